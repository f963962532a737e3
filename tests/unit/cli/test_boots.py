"""Commands of boot watch: timeline, logs, bundle, and stages in `nodes`."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, Evidence, LogFilter, LogLine, StageSpan
from plasmatui.model.node import Finding, NodeState, PowerState, StageState
from plasmatui.model.words import Power, Severity, Stage
from plasmatui.moments import moment
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_engine import FakeEngine
from tests.unit.cli.program import command, environment

LOG = "/var/log/kea.log"
HOSTILE = "\x1b]0;title\x07"


def boot() -> BootTimeline:
    spans = (
        StageSpan(Stage.POWERING_ON, 1000.0, 1002.0, "done", (Evidence("operation 3", 0, "power on"),)),
        StageSpan(Stage.DHCP_LOADER, 1002.0, 1007.0, "done", (Evidence(LOG, 7, "DISCOVER"),), usual=2.0, tries=2),
        StageSpan(Stage.TFTP_LOADER, None, None, "done", inferred=True),
        StageSpan(Stage.HTTP_INITRD, 1009.0, None, "failed", bytes=400_000, total=2_000_000, percent=20.0),
    )
    evidence = (f"{LOG}:9: {HOSTILE}gone",)
    finding = Finding("initrd-missing", Severity.ERROR, "It is not there.", "Put it there.", 1009.0, evidence)
    return BootTimeline("node01", 4, 1000.0, Stage.TFTP_LOADER, "stopped", spans, (finding,))


def line(seq: int, text: str = "text", wall: float = 0.0) -> LogLine:
    return LogLine(seq, wall or float(seq), LOG, "dhcp", "node01", text)


def test_timeline_is_for_people(cli: Cli, engine: FakeEngine) -> None:
    engine.answers[wire.AskTimeline] = wire.Timelines((boot(),))
    outcome = cli("timeline", "node01")
    assert outcome.code == 0
    head, powering, dhcp, tftp, initrd, error, remedy, evidence = outcome.out.splitlines()
    assert head.startswith("node01  boot 4: stopped, reached tftp-loader, began ")
    assert "power on" in powering
    assert dhcp.split()[:2] == ["+", "dhcp-loader"]
    assert dhcp.endswith(f"5.0s  2.5x usual, 2 times, {LOG}:7")
    assert "not seen" in tftp
    assert initrd.split()[:2] == ["x", "http-initrd"]
    assert "0.4 of 2.0 MB, 20 %" in initrd
    assert error == "  error: initrd-missing: It is not there."
    assert remedy == "      do: Put it there."
    assert evidence.startswith(f"      {LOG}:9:")
    assert "\x1b" not in outcome.out
    assert engine.asked(wire.AskTimeline) == [wire.AskTimeline("node01", 1)]


def test_timeline_json_has_every_boot(cli: Cli, engine: FakeEngine) -> None:
    engine.answers[wire.AskTimeline] = wire.Timelines((boot(), replace(boot(), number=3, findings=())))
    answer = cli("timeline", "node01", "--limit", "2", "--json").json
    assert answer["schema"] == 1
    node = answer["nodes"]["node01"]
    assert (node["ok"], node["error"]) == (True, None)
    assert [each["number"] for each in node["boots"]] == [4, 3]
    assert node["boots"][0]["reached"] == "tftp-loader"
    assert node["boots"][0]["stages"][1]["evidence"] == [{"file": LOG, "line": 7, "text": "DISCOVER"}]
    assert [each["id"] for each in node["boots"][0]["findings"]] == ["initrd-missing"]


def test_timeline_without_a_boot_says_so(cli: Cli, engine: FakeEngine) -> None:
    engine.answers[wire.AskTimeline] = wire.Timelines(())
    assert cli("timeline", "node01").out == "node01: no boot has been seen\n"
    assert cli("timeline", "node[01-02]").code == 2


def test_logs_ask_for_pages_until_there_are_enough_and_print_them_by_time(cli: Cli, engine: FakeEngine) -> None:
    engine.answers[wire.ListLogs] = wire.LogPage((line(8, "late", 99.0), line(9, f"{HOSTILE}soon", 50.0)), True)
    outcome = cli("logs", "dhcp", "node01", "-n", "4")
    assert outcome.code == 0
    texts = [each.split("  ")[-1] for each in outcome.out.splitlines()]
    assert [text[-4:] for text in texts] == ["soon", "soon", "late", "late"]
    assert "\x1b" not in outcome.out
    wanted = LogFilter(kinds=("dhcp",), nodes=("node01",))
    assert engine.asked(wire.ListLogs) == [wire.ListLogs(wanted, 0, limit=4), wire.ListLogs(wanted, 8, limit=2)]


def test_logs_since_a_time_that_match(cli: Cli, engine: FakeEngine) -> None:
    engine.answers[wire.ListLogs] = wire.LogPage((line(1),), False)
    answer = cli("logs", "--since", "10m", "--grep", "NAK|offer", "--json").json
    assert [each["seq"] for each in answer["lines"]] == [1]
    (asked,) = engine.asked(wire.ListLogs)
    assert (asked.filter.kinds, asked.filter.nodes, asked.filter.include) == ((), (), "NAK|offer")
    assert asked.filter.since == pytest.approx(time.time() - 600, abs=10)


@pytest.mark.parametrize("words", [("dhcp", "node01", "tftp"), ("nothing",), ("--since", "soon"), ("--json", "-f")])
def test_logs_refuse_what_they_do_not_understand(cli: Cli, engine: FakeEngine, words: tuple[str, ...]) -> None:
    engine.answers[wire.ListLogs] = wire.LogPage((), False)
    assert cli("logs", *words).code == 2


def test_a_wrong_pattern_is_told_as_the_engine_says_it(cli: Cli, engine: FakeEngine) -> None:
    engine.answers[wire.ListLogs] = wire.Problem("refused", "the pattern cannot be used: (: missing )")
    outcome = cli("logs", "--grep", "(")
    assert outcome.code == 4
    assert "missing )" in outcome.err


def test_logs_follow_prints_each_line_once_and_says_what_was_left_out(inventory: Path, engine: FakeEngine) -> None:
    engine.answers |= {wire.ListLogs: wire.LogPage((line(1, "one"), line(2, "two")), False)}
    engine.answers[wire.FollowLogs] = wire.Done()
    engine.pushed = (wire.LogLines((line(2, "two"), line(3, "three")), 7),)
    process = subprocess.Popen(
        command("-i", str(inventory), "logs", "-f"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert [each.split()[-1] for each in lines] == [b"one", b"two", b"three"]
    assert process.returncode == 130
    assert b"7 lines were left out" in err
    assert b"Traceback" not in err


def test_moments() -> None:
    now = time.time()
    for text, seconds in (("90s", 90), ("-10m", 600), ("1.5h", 5400), ("3d", 259200)):
        assert moment(text, now) == now - seconds
    assert time.localtime(moment("2026-11-20T14:30:05", now))[:6] == (2026, 11, 20, 14, 30, 5)
    assert time.localtime(moment("2026-11-20", now))[:6] == (2026, 11, 20, 0, 0, 0)
    assert time.localtime(moment("14:30", now))[2:6] == (time.localtime(now).tm_mday, 14, 30, 0)
    assert moment("2023-11-14 22:13:20", now, utc=True) == 1_700_000_000
    assert moment("22:13Z", 1_700_000_000, utc=True) == 1_699_999_980
    for text in ("", "now", "25:00", "10x", "2026-13-01", "99999999999d9"):
        with pytest.raises(ValueError, match="is no time; write"):
            moment(text, now)


def test_nodes_and_boots_of_a_moment(cli: Cli, engine: FakeEngine) -> None:
    state = NodeState("node01", PowerState(Power.ON, 5.0), stage=StageState(Stage.HTTP_KERNEL, 900.0, usual=10.0))
    engine.answers[wire.AskPast] = wire.Past(950.0, 1.0, 940.0, 7, (state, NodeState("node02")))
    outcome = cli("nodes", "node01", "--at", "10m")
    assert outcome.code == 0
    assert "http-kernel 5.0x usual" in outcome.out
    assert "node02" not in outcome.out
    assert "no engine ran then: this was known at" in outcome.err
    (asked,) = engine.asked(wire.AskPast)
    assert asked.at == pytest.approx(time.time() - 600, abs=30)
    data = cli("nodes", "--at", "10m", "--json").json
    assert (data["at"], data["known"], data["nodes"]["node01"]["power"]) == (950.0, 940.0, "on")
    engine.answers[wire.AskTimelineAt] = wire.Timelines(())
    assert cli("timeline", "node01", "--at", "-1h").out == "node01: no boot has been seen\n"
    engine.answers[wire.AskPast] = wire.Problem("no-past", "nothing is kept of that")
    assert cli("nodes", "--at", "10m").code == 1
    assert cli("nodes", "--at", "soon").code == 2
    assert cli("nodes", "--at", "2999-01-01").code == 2
    assert cli("nodes", "--at", "10m", "--watch").code == 2


def test_bundle_goes_into_a_directory_from_the_root_on(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    engine.answers[wire.MakeBundle] = wire.BundleReply(str(tmp_path / "b"), ("bundle.yaml",))
    outcome = cli("bundle", "node01", "node03", "-o", str(tmp_path / "b"), "--since", "2h")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'b'}\n")
    (asked,) = engine.asked(wire.MakeBundle)
    assert (asked.nodes, asked.directory) == (("node01", "node03"), str(tmp_path / "b"))
    assert asked.since == pytest.approx(time.time() - 7200, abs=10)
    assert cli("bundle", "node01", "-o", str(tmp_path / "b"), "--json").json["files"] == ["bundle.yaml"]
    assert cli("bundle", "node01").code == 2


def test_bundle_of_an_operation(cli: Cli, engine: FakeEngine, tmp_path: Path) -> None:
    engine.answers[wire.MakeBundle] = wire.BundleReply(str(tmp_path / "b"), ("bundle.yaml",), ("node02",))
    outcome = cli("bundle", "7", "-o", str(tmp_path / "b"), "--json")
    assert outcome.json["nodes"] == ["node02"]
    assert engine.asked(wire.MakeBundle) == [wire.MakeBundle((), str(tmp_path / "b"), 0.0, 7)]


def test_nodes_tell_stage_percent_and_ratio(cli: Cli, engine: FakeEngine) -> None:
    now = time.time()
    stages = {
        "node01": StageState(Stage.HTTP_INITRD, now - 100, 43.2, 20.0),
        "node02": StageState(Stage.DHCP_LOADER, now, None, None, "failed", "stopped"),
        "node03": StageState(Stage.INSTALLER_UP, now, None, 5.0, "done", "installer-up"),
    }
    for name, stage in stages.items():
        engine.states[name] = replace(engine.states[name], stage=stage)
    rows = cli("nodes").out.splitlines()
    assert "http-initrd 43 % 5.0x usual" in rows[1]
    assert "dhcp-loader failed" in rows[2]
    assert "installer-up  " in rows[3]
    told = cli("nodes", "node02", "--json").json["nodes"]["node02"]
    assert told["stage"] == "dhcp-loader"
    assert told["boot"] == {"since": now, "state": "failed", "outcome": "stopped", "percent": None, "usual": None}
