"""`plasmatui ops`: following, what a person is asked, logs, holding, cancelling and trying again."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO

import pytest

from plasmatui.cli.following import progress
from plasmatui.model import wire
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_engine import FakeEngine
from tests.unit.cli.program import command, environment

QUESTION = "node02: the inventory names disks by names that may change: /dev/sda is PM9A3"


def begin(cli: Cli, engine: FakeEngine, *nodes: str) -> None:
    """A provisioning that runs."""
    engine.hold = True
    phrase = nodes[0] if len(nodes) == 1 else f"wipe {len(nodes)}"
    assert cli("provision", ",".join(nodes), "--confirm", phrase, "--detach").code == 0


def started(inventory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("-i", str(inventory), *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )


def line_with(stream: IO[bytes] | None, text: bytes) -> bytes:
    """The next line that holds `text`."""
    assert stream is not None
    for line in stream:
        if text in line:
            return line
    raise AssertionError(f"no line with {text!r}")


# --- show ------------------------------------------------------------------------------------------------------------


def test_show_of_a_running_operation(cli: Cli, engine: FakeEngine) -> None:
    engine.asks["node02"] = (QUESTION, ("wipe", "stop"))
    begin(cli, engine, "node01", "node02")
    out = cli("ops", "show", "1").out
    assert "node01: running, step 1 of 2" in out
    assert ", usually 1m30s: formatting 43 %]" in out
    assert "HELD: node02: the inventory names disks by names that may change" in out
    assert "\n  plasmatui ops release 1 node02 wipe\n  plasmatui ops release 1 node02 stop\n" in out


def test_show_says_why_a_node_failed(cli: Cli, engine: FakeEngine) -> None:
    engine.failing = {"node02": "install"}
    cli("provision", "node02", "--confirm", "node02")
    out = cli("ops", "show", "1").out
    assert "node02: failed: install-no-space: no space left" in out
    assert "  | cp: no space left on device" in out
    assert "\x1b" not in out
    assert "what to do: Enlarge the partition" in out
    assert "to try the failed nodes again: plasmatui ops retry 1" in out


def test_show_of_a_cancelled_node_says_so_once(cli: Cli, engine: FakeEngine) -> None:
    begin(cli, engine, "node01")
    assert cli("ops", "cancel", "1").code == 0
    assert "node01: cancelled: cancelled by anna" in cli("ops", "show", "1").out


def test_what_to_do_names_the_operation_and_its_node(cli: Cli, engine: FakeEngine) -> None:
    engine.failing = {"node02": "disko"}
    engine.error = "command-failed"
    cli("provision", "node02", "--confirm", "node02")
    assert "(`plasmatui ops log 1 node02`)" in cli("ops", "show", "1").out


def test_show_json(cli: Cli, engine: FakeEngine) -> None:
    engine.asks["node02"] = (QUESTION, ("wipe", "stop"))
    begin(cli, engine, "node01", "node02")
    nodes = cli("ops", "show", "1", "--json").json["operation"]["nodes"]
    assert nodes["node01"]["steps"][0]["percent"] == 43.0
    assert nodes["node01"]["steps"][0]["usual"] == 90.0
    assert nodes["node01"]["question"] is None
    assert (nodes["node02"]["state"], nodes["node02"]["question"], nodes["node02"]["answers"]) == (
        "held", QUESTION, ["wipe", "stop"],
    )  # fmt: skip


def test_list_says_what_is_held(cli: Cli, engine: FakeEngine) -> None:
    engine.asks["node02"] = (QUESTION, ("wipe", "stop"))
    begin(cli, engine, "node02")
    outcome = cli("ops", "list")
    assert outcome.out.splitlines()[1].split()[:2] == ["1", "running"]
    assert "HELD: operation 1: node02: " in outcome.err


def test_progress_line_begins_with_what_moves(cli: Cli, engine: FakeEngine) -> None:
    engine.asks["node02"] = (QUESTION, ("wipe", "stop"))
    begin(cli, engine, "node01", "node02", "node03")
    line = progress(engine.operations[1])
    assert re.fullmatch(
        r"operation 1, \d+s: 0 of 3 done, 1 HELD, 2 running, node01 \[1/2\] \d+s of usually 1m30s: formatting 43 %",
        line,
    )


# --- follow ----------------------------------------------------------------------------------------------------------


def test_follow_says_loudly_what_is_held_and_ends_as_the_operation(
    cli: Cli, engine: FakeEngine, inventory: Path
) -> None:
    engine.asks["node02"] = (QUESTION, ("wipe", "stop"))
    begin(cli, engine, "node01", "node02")
    process = started(inventory, "ops", "follow", "1")
    line_with(process.stderr, b"HELD: node02: the inventory names disks")
    assert line_with(process.stderr, b"plasmatui") == b"  plasmatui ops release 1 node02 wipe\n"
    engine.hold = False
    assert cli("ops", "release", "1", "node02", "wipe").code == 0
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, b"node[01-02]: installed\n")
    assert b"HELD" not in err  # said once


def test_follow_ends_with_the_exit_code_of_the_result(cli: Cli, engine: FakeEngine, inventory: Path) -> None:
    engine.failing = {"node02": "install"}
    begin(cli, engine, "node01", "node02")
    process = started(inventory, "ops", "follow", "1", "--json")
    engine.wait_for(wire.ListOperations)
    engine.release()
    process.communicate(timeout=30)
    assert process.returncode == 3


@pytest.mark.parametrize("arguments", [("follow", "1"), ("log", "1", "node01", "-f")], ids=" ".join)
def test_ctrl_c_leaves_the_operation_running(
    cli: Cli, engine: FakeEngine, inventory: Path, arguments: tuple[str, ...]
) -> None:
    begin(cli, engine, "node01")
    engine.requests.clear()
    process = started(inventory, "ops", *arguments)
    engine.wait_for(wire.AskOperationLog if arguments[0] == "log" else wire.ListOperations)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"operation 1 goes on in the engine" in err
    assert b"Traceback" not in err
    assert engine.asked(wire.CancelOperation) == []


# --- hold, release, resume, cancel -----------------------------------------------------------------------------------


def test_hold_and_release(cli: Cli, engine: FakeEngine) -> None:
    begin(cli, engine, "node01")
    outcome = cli("ops", "hold", "1")
    assert (outcome.code, outcome.out) == (0, "operation 1: held\n")
    assert "what is on its way is finished: node01" in outcome.err
    assert "plasmatui ops release 1" in outcome.err
    assert "HELD: operation 1: held by anna; plasmatui ops release 1 goes on with it" in cli("ops", "show", "1").out
    engine.hold = False
    assert cli("ops", "release", "1").out == "operation 1: released\n"
    assert cli("ops", "follow", "1").code == 0


def test_resume_releases_what_is_held(cli: Cli, engine: FakeEngine) -> None:
    begin(cli, engine, "node01")
    cli("ops", "hold", "1")
    assert cli("ops", "resume", "1", "--json").json["operation"]["held"] is None
    assert engine.asked(wire.ReleaseOperation) == [wire.ReleaseOperation(1)]


@pytest.mark.parametrize("word", ["release", "resume"])
def test_release_of_an_operation_that_asks_names_the_answers(cli: Cli, engine: FakeEngine, word: str) -> None:
    engine.asks["node02"] = (QUESTION, ("wipe", "stop"))
    begin(cli, engine, "node01", "node02")
    outcome = cli("ops", word, "1")
    assert outcome.code == 4
    assert "plasmatui ops release 1 node02 wipe" in outcome.err
    assert engine.asked(wire.ReleaseOperation) == []


def test_an_answer_reaches_its_node(cli: Cli, engine: FakeEngine) -> None:
    engine.asks["node02"] = (QUESTION, ("wipe", "stop"))
    begin(cli, engine, "node01", "node02")
    assert cli("ops", "release", "1", "node02").code == 2
    wrong = cli("ops", "release", "1", "node02", "maybe")
    assert wrong.code == 4
    assert "wipe, stop" in wrong.err
    outcome = cli("ops", "release", "1", "node02", "stop")
    assert (outcome.code, outcome.out) == (0, "operation 1: node02 goes on: stop\n")
    assert engine.asked(wire.ReleaseOperation)[-1] == wire.ReleaseOperation(1, "node02", "stop")


def test_what_has_ended_is_not_released(cli: Cli, engine: FakeEngine) -> None:
    cli("drain", "node01", "--yes")
    assert cli("ops", "release", "1").code == 4
    assert cli("ops", "resume", "1").code == 4


def test_cancel_of_a_step_that_is_not_left_half_done(cli: Cli, engine: FakeEngine) -> None:
    begin(cli, engine, "node01")
    engine.answers[wire.CancelOperation] = wire.OperationReply(engine.operations[1])
    outcome = cli("ops", "cancel", "1")
    assert (outcome.code, outcome.out) == (0, "operation 1: being cancelled\n")
    assert "still at a step that is not left half done: node01" in outcome.err


@pytest.mark.parametrize("words", [("cancel",), ("hold",), ("release",), ("resume",), ("retry",)])
def test_read_only_changes_no_operation(cli: Cli, engine: FakeEngine, words: tuple[str, ...]) -> None:
    outcome = cli("--read-only", "ops", *words, "1")
    assert outcome.code == 4
    assert engine.requests == []


@pytest.mark.parametrize(
    "words", [("hold", "9"), ("release", "9"), ("resume", "9"), ("retry", "9"), ("log", "9", "node01")], ids=" ".join
)
def test_unknown_number(cli: Cli, engine: FakeEngine, words: tuple[str, ...]) -> None:
    outcome = cli("ops", *words)
    assert outcome.code == 2
    assert "no operation 9" in outcome.err


# --- retry -----------------------------------------------------------------------------------------------------------


def failed(cli: Cli, engine: FakeEngine, step: str) -> None:
    """Operation 1: node02 failed at `step` of its installation."""
    engine.failing = {"node02": step}
    assert cli("provision", "node[01-02]", "--confirm", "wipe 2").code == 3
    engine.failing = {}


def test_retry_after_the_wipe_destroys_nothing_more(cli: Cli, engine: FakeEngine) -> None:
    failed(cli, engine, "install")
    plan = cli("ops", "retry", "1", "--plan")
    assert plan.code == 0
    assert "disko was done before and is not done again" in plan.out
    assert "that are wiped" not in plan.out
    outcome = cli("ops", "retry", "1", "--yes")
    assert (outcome.code, outcome.out) == (0, "node02: installed\n")
    assert engine.asked(wire.RetryOperation) == [wire.RetryOperation(1)]


def test_retry_before_the_wipe_takes_the_phrase(cli: Cli, engine: FakeEngine) -> None:
    failed(cli, engine, "disko")
    refused = cli("ops", "retry", "1", "--yes")
    assert refused.code == 2
    assert "--confirm node02" in refused.err
    assert engine.asked(wire.RetryOperation) == []
    assert cli("ops", "retry", "1", "--confirm", "node02", "--json").json["operation"] == 2


def test_retry_when_the_plan_cannot_see_the_node_takes_the_phrase(cli: Cli, engine: FakeEngine) -> None:
    """What would be wiped cannot be told: nothing is then taken as harmless."""
    assert cli("provision", "node04", "--confirm", "node04").code == 1
    assert cli("ops", "retry", "1", "--yes").code == 2
    assert cli("ops", "retry", "1", "--confirm", "node04").code == 1


def test_retry_of_what_is_reversible_takes_yes(cli: Cli, engine: FakeEngine) -> None:
    assert cli("undrain", "node[03-04]", "--yes").code == 3
    assert cli("ops", "retry", "1").code == 2
    outcome = cli("ops", "retry", "1", "--yes", "--detach")
    assert (outcome.code, outcome.out) == (0, "operation 2 started\n")
    assert [node.node for node in engine.operations[2].nodes] == ["node04"]


def test_retry_is_guarded(cli: Cli, engine: FakeEngine) -> None:
    assert cli("drain", "node[03-04]", "--yes").code == 3
    engine.refused = "chainfire would keep 1 of 3 voters"
    assert cli("ops", "retry", "1", "--yes").code == 4
    assert cli("ops", "retry", "1", "--yes", "--override-quorum", "prod").code == 4
    assert engine.asked(wire.RetryOperation) == []
    cli("ops", "retry", "1", "--yes", "--override-quorum", "lab")
    assert engine.asked(wire.RetryOperation) == [wire.RetryOperation(1, "lab")]


def test_nothing_to_retry(cli: Cli, engine: FakeEngine) -> None:
    cli("drain", "node01", "--yes")
    assert cli("ops", "retry", "1", "--yes").code == 4
    begin(cli, engine, "node01")
    assert cli("ops", "retry", "2", "--yes").code == 4


# --- log -------------------------------------------------------------------------------------------------------------


def test_log(cli: Cli, engine: FakeEngine) -> None:
    begin(cli, engine, "node01")
    lines = [f"17000000{i:02d}.500 ### Line {i} of what nixos-anywhere said ###" for i in range(7)]
    engine.logs[1, "node01"] = "".join(f"{line}\n" for line in lines)
    outcome = cli("ops", "log", "1", "node01")
    assert outcome.code == 0
    assert [line.split("  ", 1)[1] for line in outcome.out.splitlines()] == [line.split(" ", 1)[1] for line in lines]
    value = cli("ops", "log", "1", "node01", "--json").json
    assert (value["operation"], value["node"]) == (1, "node01")
    assert value["lines"][6] == {"time": 1700000006.5, "text": "### Line 6 of what nixos-anywhere said ###"}


def test_log_is_cleaned(cli: Cli, engine: FakeEngine) -> None:
    begin(cli, engine, "node01")
    engine.logs[1, "node01"] = "1700000000.000 evil\x1b]52;c;AAAA\x07\nno time\n"
    out = cli("ops", "log", "1", "node01").out
    assert "\x1b" not in out
    assert out.splitlines()[1] == "-  no time"


def test_log_of_nothing_and_of_nobody(cli: Cli, engine: FakeEngine) -> None:
    begin(cli, engine, "node01")
    outcome = cli("ops", "log", "1", "node01")
    assert (outcome.code, outcome.out) == (0, "")
    assert "nothing yet" in outcome.err
    assert cli("ops", "log", "1", "node03").code == 2
    assert cli("ops", "log", "1", "node01", "-f", "--json").code == 2


def test_log_is_followed_until_the_node_has_ended(cli: Cli, engine: FakeEngine, inventory: Path) -> None:
    begin(cli, engine, "node01")
    engine.logs[1, "node01"] = "1700000000.000 first\n"
    process = started(inventory, "ops", "log", "1", "node01", "-f")
    line_with(process.stdout, b"first")
    engine.logs[1, "node01"] += "1700000001.000 second\n"
    line_with(process.stdout, b"second")
    engine.logs[1, "node01"] += "1700000002.000 last\n"
    engine.release()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    assert out.endswith(b"  last\n")


def test_interrupt_of_an_operation_that_was_started_here(engine: FakeEngine, inventory: Path) -> None:
    engine.asks["node01"] = ("node01: wipe?", ("wipe", "stop"))
    process = started(inventory, "provision", "node01", "--confirm", "node01")
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    line_with(process.stderr, b"HELD: node01: wipe?")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    watchdog.cancel()
    assert process.returncode == 130
    assert b"plasmatui ops follow 1" in err
    assert not engine.operations[1].state.ended
