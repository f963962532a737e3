"""Every command against a fake engine: what it prints, what it asks, how it exits."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.operation import BootDeviceOrder, IdentifyOrder, Pace, PowerOrder
from plasmatui.model.words import PowerAction
from plasmatui.paths import engine_paths
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_engine import FakeEngine
from tests.unit.cli.fake_operations import POLICY
from tests.unit.cli.program import command, environment

DEAD = {"id": "bmc-unreachable", "message": "node04: the BMC at 10.0.10.54:623 does not answer"}


# --- nodes -----------------------------------------------------------------------------------------------------------


def test_nodes_table(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("nodes")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].split() == ["NODE", "POWER", "BMC", "STAGE", "LIFECYCLE", "HEALTH", "FINDINGS"]
    assert outcome.out.splitlines()[4].split() == [
        "node04", "unknown", "waiting", "-", "enrolled", "unknown", "bmc-unreachable",
    ]  # fmt: skip
    assert outcome.err == ""


def test_nodes_json(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("nodes", "node[03-04]", "--json")
    assert outcome.code == 0
    good = outcome.json["nodes"]["node03"]
    assert good == {
        "ok": True, "power": "on", "stage": None, "boot": None, "lifecycle": "enrolled", "health": "unknown",
        "flags": [], "lock": None, "notes": [], "operation": None, "findings": [], "error": None,
    }  # fmt: skip
    dead = outcome.json["nodes"]["node04"]
    assert (dead["ok"], dead["power"], dead["error"]) == (False, "unknown", DEAD)
    assert [finding["id"] for finding in dead["findings"]] == ["bmc-unreachable"]
    assert outcome.json["schema"] == 1
    assert list(outcome.json["nodes"]) == ["node03", "node04"]


def test_nodes_json_and_watch_exclude_each_other(cli: Cli) -> None:
    assert cli("nodes", "--json", "--watch").code == 2


def test_nodes_watch_ends_quietly_when_nobody_reads_any_more(inventory: Path, engine: FakeEngine) -> None:
    """`nodes --watch | head`: it is the output that ended, not the connection to the engine."""
    process = subprocess.Popen(
        command("-i", str(inventory), "nodes", "node01", "--watch"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"watching" in process.stderr.readline()
    process.stdout.close()
    engine.send_event("node01", "power on (was off)")
    assert process.wait(timeout=30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_nodes_watch_prints_events_of_its_nodes(inventory: Path, engine: FakeEngine) -> None:
    process = subprocess.Popen(
        command("-i", str(inventory), "nodes", "node01", "--watch"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"watching" in process.stderr.readline()
    for node, text in (("node02", "of another node"), ("node01", "power on (was off)")):
        engine.send_event(node, text)
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert lines[2].endswith(b"  node01  ipmi  power on (was off)\n")
    assert process.returncode == 130
    assert b"Traceback" not in err


# --- power -----------------------------------------------------------------------------------------------------------


def test_power_status_is_collated(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("power", "status", "@all")
    assert outcome.code == 3
    assert outcome.out.splitlines() == [
        "node[01-02]: off",
        "node03: on",
        "node04: unknown: bmc-unreachable: the BMC at 10.0.10.54:623 does not answer",
    ]


def test_power_status_json(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("power", "status", "node01,node04", "--json")
    assert outcome.code == 3
    assert outcome.json == {
        "schema": 1,
        "nodes": {
            "node01": {"ok": True, "power": "off", "error": None},
            "node04": {"ok": False, "power": "unknown", "error": DEAD},
        },
    }


def test_power_status_of_one_dead_node_fails(cli: Cli, engine: FakeEngine) -> None:
    assert cli("power", "status", "node04").code == 1


@pytest.mark.parametrize("action", list(PowerAction))
def test_power_change(cli: Cli, engine: FakeEngine, action: PowerAction) -> None:
    outcome = cli("power", action, "node[01-02]", "--yes")
    after = "off" if action in (PowerAction.OFF, PowerAction.SOFT) else "on"
    assert (outcome.code, outcome.out) == (0, f"node[01-02]: off -> {after}\n")
    assert engine.asked(wire.StartOrder) == [wire.StartOrder(PowerOrder(action), ("node01", "node02"), POLICY)]


def test_power_change_json(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("power", "on", "node01,node04", "--yes", "--json")
    assert outcome.code == 3
    assert outcome.json == {
        "schema": 1,
        "operation": 1,
        "nodes": {
            "node01": {"ok": True, "before": "off", "power": "on", "error": None},
            "node04": {"ok": False, "before": "unknown", "power": "unknown", "error": DEAD},
        },
    }


def test_pace_is_passed_on(cli: Cli, engine: FakeEngine) -> None:
    assert cli("power", "on", "node01", "--yes", "--parallel", "2", "--stagger", "500ms").code == 0
    assert engine.asked(wire.StartOrder)[0].pace == Pace(2, 0.5, POLICY.per_rack, POLICY.bandwidth)
    assert cli("power", "on", "node01", "--yes", "--stagger", "1m").code == 0
    assert engine.asked(wire.StartOrder)[1].pace == Pace(
        8, 60.0, POLICY.per_rack, POLICY.bandwidth
    )  # the rest stays the inventory's
    assert cli("power", "on", "node01", "--yes", "--per-rack", "1").code == 0
    assert engine.asked(wire.StartOrder)[2].pace == Pace(8, 0.0, 1, POLICY.bandwidth)
    for wrong in ("soon", "-1", "", "1h", "1e9", "²"):
        assert cli("power", "on", "node01", "--yes", f"--stagger={wrong}").code == 2


def test_plan_changes_nothing(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("power", "off", "node[01-02]", "--plan")
    assert outcome.code == 0
    assert "IPMI chassis control 1 to 10.0.10.51:623" in outcome.out
    assert "[disruptive]" in outcome.out
    assert engine.asked(wire.StartOrder) == []


def test_plan_json(cli: Cli, engine: FakeEngine) -> None:
    value = cli("power", "off", "node01", "--plan", "--json").json
    assert value["confirm"] == 2
    assert value["nodes"]["node01"]["steps"][0]["command"] == "IPMI chassis control 1 to 10.0.10.51:623"
    assert value["nodes"]["node01"]["error"] is None


def test_detach(cli: Cli, engine: FakeEngine) -> None:
    engine.hold = True
    outcome = cli("power", "on", "node01", "--yes", "--detach")
    assert (outcome.code, outcome.out) == (0, "operation 1 started\n")
    assert cli("power", "on", "node01", "--yes", "--detach", "--json").json == {
        "schema": 1, "operation": 2, "nodes": {"node01": {"ok": True, "state": "running", "error": None}},
    }  # fmt: skip


def test_refused_by_guard(cli: Cli, engine: FakeEngine) -> None:
    engine.refused = "2 of 3 voters must stay"
    outcome = cli("power", "off", "node01", "--yes")
    assert outcome.code == 4
    assert "2 of 3 voters must stay" in outcome.err
    assert engine.asked(wire.StartOrder) == []
    assert cli("power", "off", "node01", "--plan").code == 4


def test_no_terminal_no_yes(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("power", "on", "node01")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert engine.asked(wire.StartOrder) == []


def test_read_only_refuses_early(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("--read-only", "power", "on", "node01", "--yes")
    assert outcome.code == 4
    assert engine.requests == []
    assert cli("--read-only", "power", "status", "node01").code == 0


# --- bootdev, identify -----------------------------------------------------------------------------------------------


def test_bootdev(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("bootdev", "pxe", "node01", "--persistent", "--uefi", "--yes", "--json")
    assert outcome.code == 0
    assert engine.asked(wire.StartOrder)[0].order == BootDeviceOrder(BootDevice(Device.PXE, True, True))
    assert outcome.json == {
        "schema": 1,
        "operation": 1,
        "nodes": {
            "node01": {
                "ok": True, "device": "pxe", "persistent": True, "uefi": True, "verified": True, "error": None,
            }
        },
    }  # fmt: skip


@pytest.mark.parametrize(("option", "uefi"), [((), None), (("--bios",), False), (("--uefi",), True)])
def test_bootdev_mode(cli: Cli, engine: FakeEngine, option: tuple[str, ...], uefi: bool | None) -> None:
    assert cli("bootdev", "bios", "node01", "--yes", *option).code == 0
    assert engine.asked(wire.StartOrder)[0].order == BootDeviceOrder(BootDevice(Device.BIOS, False, uefi))


def test_bootdev_names_its_devices(cli: Cli) -> None:
    outcome = cli("bootdev", "floppy", "node01", "--yes")
    assert outcome.code == 2
    assert "pxe" in outcome.err


@pytest.mark.parametrize(("option", "seconds"), [((), 15), (("--off",), 0), (("--on",), -1), (("--seconds", "60"), 60)])
def test_identify(cli: Cli, engine: FakeEngine, option: tuple[str, ...], seconds: int) -> None:
    outcome = cli("identify", "node01", "--yes", *option)
    assert (outcome.code, outcome.out) == (0, "node01: done\n")
    assert engine.asked(wire.StartOrder)[0].order == IdentifyOrder(seconds)


# --- sel, sensors, inventory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "text"),
    [("sel", "2023-11-14 22:13:20"), ("sel", "clock not set"), ("sensors", "21.5 C"), ("inventory", "S123")],
)
def test_hardware(cli: Cli, engine: FakeEngine, what: str, text: str) -> None:
    outcome = cli(what, "node01,node04")
    assert outcome.code == 3
    assert text in outcome.out
    assert "bmc-unreachable" in outcome.err
    assert "node04" not in outcome.out


@pytest.mark.parametrize("what", ["sel", "sensors", "inventory"])
def test_hardware_json(cli: Cli, engine: FakeEngine, what: str) -> None:
    nodes = cli(what, "node01,node04", "--json").json["nodes"]
    assert nodes["node01"]["ok"] is True
    assert len(nodes["node01"][what]) > 0
    assert nodes["node04"] == {"ok": False, what: None, "error": DEAD}


@pytest.mark.parametrize("what", ["sel", "sensors", "inventory"])
def test_hostile_machine_text_is_cleaned(cli: Cli, engine: FakeEngine, what: str) -> None:
    engine.hostile = "\x1b]52;c;ZXZpbA==\x07\x1b[?1049h\r\nforged: line"
    outcome = cli(what, "node01")
    assert "\x1b" not in outcome.out
    assert "\nforged" not in outcome.out
    assert "\x1b" not in cli(what, "node01", "--json").out


# --- ops -------------------------------------------------------------------------------------------------------------


def test_ops(cli: Cli, engine: FakeEngine) -> None:
    cli("power", "on", "node01,node04", "--yes")
    listed = cli("ops", "list")
    assert listed.out.splitlines()[1].split()[:2] == ["1", "failed"]
    shown = cli("ops", "show", "1")
    assert shown.code == 0
    assert "node01: off -> on" in shown.out
    assert "IPMI chassis control" in shown.out
    assert "the BMC at 10.0.10.54:623 does not answer" in shown.out
    followed = cli("ops", "follow", "1")
    assert followed.code == 3
    assert followed.out.splitlines()[0] == "node01: off -> on"


def test_ops_json(cli: Cli, engine: FakeEngine) -> None:
    cli("power", "on", "node01", "--yes")
    assert cli("ops", "list", "--json").json["operations"][0]["state"] == "done"
    operation = cli("ops", "show", "1", "--json").json["operation"]
    assert operation["nodes"]["node01"]["steps"][0]["result"] == "done"
    assert cli("ops", "follow", "1", "--json").json["nodes"]["node01"]["ok"] is True


def test_ops_cancel(cli: Cli, engine: FakeEngine) -> None:
    engine.hold = True
    cli("power", "on", "node01", "--yes", "--detach")
    outcome = cli("ops", "cancel", "1")
    assert (outcome.code, outcome.out) == (0, "operation 1: cancelled\n")


@pytest.mark.parametrize("command", ["show", "follow", "cancel"])
def test_ops_unknown_number(cli: Cli, engine: FakeEngine, command: str) -> None:
    outcome = cli("ops", command, "99")
    assert outcome.code == 2
    assert "99" in outcome.err


# --- engine ----------------------------------------------------------------------------------------------------------


def test_engine_status(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("engine", "status")
    assert outcome.code == 0
    assert "3 up, 1 waiting" in outcome.out
    assert cli("engine", "status", "--json").json["engine"]["running"] is True


def test_engine_status_without_engine(cli: Cli) -> None:
    outcome = cli("engine", "status")
    assert outcome.code == 5
    assert "not running" in outcome.out
    assert cli("engine", "status", "--json").json["engine"]["running"] is False


def test_engine_start_and_stop(cli: Cli, engine: FakeEngine) -> None:
    assert "engine runs" in cli("engine", "start").out
    assert cli("engine", "stop").code == 0
    assert engine.stopped


def test_an_empty_set_is_never_every_node(cli: Cli, engine: FakeEngine) -> None:
    for words in (("audit", ""), ("logs", ""), ("nodes", ""), ("power", "status", "")):
        assert cli(*words).code == 2, words


def test_engine_reload(cli: Cli, engine: FakeEngine) -> None:
    assert "again: " in cli("engine", "reload").out
    outcome = cli("power", "status", "node99")
    assert (outcome.code, "plasmatui engine reload" in outcome.err) == (2, True)


def test_engine_stop_while_busy(cli: Cli, engine: FakeEngine) -> None:
    engine.hold = True
    cli("power", "on", "node01", "--yes", "--detach")
    outcome = cli("engine", "stop")
    assert outcome.code == 1
    assert "--force" in outcome.err
    assert not engine.stopped
    assert cli("engine", "stop", "--force").code == 0


def test_engine_stop_without_engine(cli: Cli, inventory: Path) -> None:
    assert cli("engine", "stop").code == 0
    left = engine_paths(inventory).socket
    left.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as killed:  # an engine that was killed leaves its socket
        killed.bind(str(left))
    assert cli("engine", "stop").code == 0


# --- explain, completions, reset-terminal ----------------------------------------------------------------------------


def test_explain(cli: Cli) -> None:
    outcome = cli("explain", "sol-in-use")
    assert outcome.code == 0
    assert "remedy:" in outcome.out
    assert cli("explain", "sol-in-use", "--json").json["severity"] == "warning"
    assert cli("explain", "sunspots").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(cli: Cli, shell: str) -> None:
    outcome = cli("completions", shell)
    assert outcome.code == 0
    assert "_PLASMATUI_COMPLETE" in outcome.out


def test_reset_terminal(cli: Cli) -> None:
    outcome = cli("reset-terminal")
    assert outcome.code == 0
    assert "\x1b[?1049l" in outcome.out
