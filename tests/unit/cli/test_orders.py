"""Operations on systems: what is asked of the engine, how it is confirmed, what is printed, how it exits."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from plasmatui.model import wire
from plasmatui.model.operation import (
    AddOrder,
    BackupOrder,
    BootOrder,
    CertsRotateOrder,
    DecommissionOrder,
    DrainOrder,
    InstallOrder,
    Order,
    Pace,
    ProvisionOrder,
    RecoverClusterOrder,
    RecoverOrder,
    ReplaceOrder,
    ReprovisionOrder,
    RestoreOrder,
    RollbackOrder,
    SshKeysRotateOrder,
    UndrainOrder,
)
from plasmatui.model.words import OperationState
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_engine import FakeEngine
from tests.unit.cli.fake_operations import POLICY, SYSTEM
from tests.unit.cli.program import command, environment

ORDERS: list[tuple[tuple[str, ...], Order]] = [
    (("boot", "node01"), BootOrder()),
    (("boot", "node01", "--disk"), BootOrder(disk=True)),
    (("boot", "node01", "--uefi"), BootOrder(uefi=True)),
    (("boot", "node01", "--bios"), BootOrder(uefi=False)),
    (("provision", "node01", "--confirm", "node01"), ProvisionOrder()),
    (("provision", "node01", "--uefi", "--confirm", "node01"), ProvisionOrder(True)),
    (("reprovision", "node01", "--bios", "--confirm", "node01"), ReprovisionOrder(False)),
    (("add", "node01", "--confirm", "node01"), AddOrder()),
    (("replace", "node01", "--confirm", "node01"), ReplaceOrder()),
    (
        ("replace", "node01", "--uefi", "--mac", "52:54:00:00:00:01", "--bmc", "10.0.10.9", "--confirm", "node01"),
        ReplaceOrder(True, "52:54:00:00:00:01", "10.0.10.9"),
    ),
    (("decommission", "node01", "--confirm", "node01"), DecommissionOrder()),
    (("recover", "node01"), RecoverOrder()),
    (("drain", "node01"), DrainOrder()),
    (("undrain", "node01"), UndrainOrder()),
    (("rollback", "node01"), RollbackOrder()),
    (("backup", "node01", "-o", "/b"), BackupOrder("/b")),
    (
        ("backup", "make", "node01", "--live", "--secrets", "-o", "/b", "--service", "iam"),
        BackupOrder("/b", ("iam",), True, True),
    ),
    (("restore", "/b/one", "node01", "--service", "iam", "--confirm", "node01"), RestoreOrder("/b/one", ("iam",))),
    (("recover-cluster", "/b", "node01", "--confirm", "node01"), RecoverClusterOrder("/b")),
    (("certs", "rotate", "node01"), CertsRotateOrder()),
    (("sshkeys", "rotate", "node01"), SshKeysRotateOrder()),
    (("sshkeys", "rotate", "node01", "--key", "/keys/next"), SshKeysRotateOrder(new="/keys/next")),
    (("certs", "rotate", "node01", "--passphrase", "file:/run/ca"), CertsRotateOrder("file:/run/ca")),
    (("rollback", "node01", "--to", "7", "--next-boot"), RollbackOrder(7, True)),
]

WIPING = ["install", "provision", "reprovision", "add", "replace", "decommission"]


@pytest.mark.parametrize(("arguments", "order"), ORDERS, ids=[" ".join(arguments) for arguments, _ in ORDERS])
def test_order(cli: Cli, engine: FakeEngine, arguments: tuple[str, ...], order: Order) -> None:
    outcome = cli(*arguments, "--yes")
    assert outcome.code == 0
    assert engine.asked(wire.StartOrder) == [wire.StartOrder(order, ("node01",), POLICY)]


@pytest.mark.parametrize("arguments", [arguments for arguments, _ in ORDERS], ids=" ".join)
def test_order_json(cli: Cli, engine: FakeEngine, arguments: tuple[str, ...]) -> None:
    value = cli(*arguments, "--yes", "--json").json
    assert (value["schema"], value["operation"]) == (1, 1)
    node = value["nodes"]["node01"]
    assert (node["ok"], node["state"], node["lifecycle"], node["error"]) == (True, "done", "enrolled", None)


@pytest.mark.parametrize("name", ["boot", "recover", "drain", "undrain", "rollback", *WIPING])
def test_without_terminal_and_yes_nothing_is_begun(cli: Cli, engine: FakeEngine, name: str) -> None:
    outcome = cli(name, "node01")
    assert outcome.code == 2
    assert ("--confirm node01" if name in WIPING else "--yes") in outcome.err
    assert engine.asked(wire.StartOrder) == []


# --- what destroys data ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WIPING)
@pytest.mark.parametrize(
    "arguments",
    [("--yes",), ("--confirm", "node01"), ("--confirm", "wipe 3", "--yes"), ("--confirm", "wipe", "--yes")],
    ids=" ".join,
)
def test_data_is_not_destroyed_by_a_stray_flag(
    cli: Cli, engine: FakeEngine, name: str, arguments: tuple[str, ...]
) -> None:
    outcome = cli(name, "node[01-02]", *arguments)
    assert outcome.code == 2
    assert "'wipe 2'" in outcome.err
    assert engine.asked(wire.StartOrder) == []


@pytest.mark.parametrize("name", WIPING)
@pytest.mark.parametrize("more", [(), ("--yes",)])
def test_the_phrase_confirms(cli: Cli, engine: FakeEngine, name: str, more: tuple[str, ...]) -> None:
    outcome = cli(name, "node[01-02]", "--confirm", "wipe 2", *more)
    assert (outcome.code, outcome.out) == (0, "node[01-02]: installed\n")


def test_the_order_that_is_started_names_the_disks_that_were_shown(cli: Cli, engine: FakeEngine) -> None:
    assert cli("install", "node[01-02]", "--confirm", "wipe 2").code == 0
    order = engine.asked(wire.StartOrder)[0].order
    assert isinstance(order, InstallOrder)
    assert [(each.node, each.disks[0].serial) for each in order.disks] == [
        ("node01", "S-node01"),
        ("node02", "S-node02"),
    ]


def test_nodes_that_the_plan_leaves_out_are_not_started(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("install", "node[03-04]", "--confirm", "node03", "--json")
    assert outcome.code == 3
    assert engine.asked(wire.StartOrder)[0].nodes == ("node03",)
    assert outcome.json["nodes"]["node03"]["ok"] is True
    assert outcome.json["nodes"]["node04"]["error"] == {
        "id": "skipped",
        "message": "node04: SSH to 10.0.100.54: no route to host",
    }
    assert "node04 is left out: SSH to 10.0.100.54" in outcome.err


def test_nothing_is_started_when_every_node_is_left_out(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("install", "node04", "--confirm", "node04")
    assert outcome.code == 2
    assert "left out" in outcome.err
    assert "plasmatui boot node04" in outcome.err
    told = cli("install", "node04", "--confirm", "node04", "--json")
    assert (told.code, told.json["nodes"]["node04"]["error"]["id"]) == (2, "skipped")
    plan = cli("install", "node04", "--plan")
    assert "nothing to do" in plan.out
    assert "--confirm" not in plan.out
    assert engine.asked(wire.StartOrder) == []


def on_terminal(inventory: Path, typed: str, *arguments: str) -> tuple[int, str]:
    """The program on a terminal, where `typed` is entered; its exit code and all that it showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command("-i", str(inventory), *arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(TERM="xterm", COLUMNS="200"),
    )
    os.close(slave)
    os.write(master, typed.encode())
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: nobody has the other end any more (Linux, pty(7))
            break
        if not data:
            break
        shown += data
    os.close(master)
    return process.wait(timeout=30), shown.decode()


@pytest.mark.parametrize(
    ("arguments", "typed", "code"),
    [
        (("install", "node[01-02]"), "wipe 2\n", 0),
        (("install", "node[01-02]", "--yes"), "wipe 2\n", 0),
        (("install", "node[01-02]"), "y\n", 1),
        (("install", "node[01-02]"), "wipe 3\n", 1),
        (("install", "node01"), "node01\n", 0),
        (("drain", "node01"), "y\n", 0),
        (("drain", "node01"), "n\n", 1),
        (("undrain", "node01"), "\n", 1),
        (("install", "node01"), "\x04", 130),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else repr(value),
)
def test_confirmation_on_a_terminal(
    engine: FakeEngine, inventory: Path, arguments: tuple[str, ...], typed: str, code: int
) -> None:
    got, shown = on_terminal(inventory, typed, *arguments)
    assert got == code, shown
    assert len(engine.asked(wire.StartOrder)) == (code == 0)
    assert "order it" in shown
    if arguments[0] == "install":
        assert SYSTEM in shown
        assert "PM9A3" in shown
        assert "1.92 TB" in shown
        assert "S-node01" in shown
        assert "GPT, 3 partitions" in shown
        assert "waits for the end of operation 7" in shown
        assert "Everything on these disks is lost" in shown


# --- plans -----------------------------------------------------------------------------------------------------------


def test_plan_shows_everything_and_does_nothing(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("install", "node01,node04", "--plan", "--parallel", "2")
    assert outcome.code == 0
    for text in (
        "pace: 2 at once, 3 of one rack, network boots 1 Gbit/s together",
        "2. Wipe and format the disks [disruptive] [destroys] (limit 30m00s)",
        "nixos-anywhere --phases disko root@node01",
        "only if: the disks are those that were confirmed",
        "done when: the phase's own result",
        "note: waits for the end of operation 7",
        "disks of node01 that are wiped:",
        f"{SYSTEM}  PM9A3  1.92 TB  S-node01  GPT, 3 partitions",
        "node04: left out: SSH to 10.0.100.54: no route to host",
        "guard: chainfire: 3 of 3 voters are healthy",
        "to confirm: --confirm node01",
    ):
        assert text in outcome.out
    assert engine.asked(wire.StartOrder) == []


def test_plan_json(cli: Cli, engine: FakeEngine) -> None:
    value = cli("install", "node01,node04", "--plan", "--json").json
    assert (value["confirm"], value["phrase"], value["refused"]) == (3, "node01", "")
    assert value["pace"] == {"parallel": 8, "stagger": 0.0, "per_rack": 3, "bandwidth": 1_000_000_000}
    node = value["nodes"]["node01"]
    assert node["disks"] == [
        {
            "name": SYSTEM, "path": "/dev/nvme0n1", "model": "PM9A3", "size": 1_920_000_000_000, "serial": "S-node01",
            "contents": "GPT, 3 partitions",
        }
    ]  # fmt: skip
    assert node["steps"][1]["destroys"] is True
    assert node["steps"][1]["precondition"] == "the disks are those that were confirmed"
    assert value["nodes"]["node04"]["error"]["id"] == "skipped"


def test_plan_is_possible_read_only(cli: Cli, engine: FakeEngine) -> None:
    assert cli("--read-only", "drain", "node01", "--plan").code == 0
    assert cli("--read-only", "drain", "node01", "--yes").code == 4
    assert engine.asked(wire.StartOrder) == []


# --- guard -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["boot", "drain", "rollback", *WIPING])
def test_refused_by_the_guard(cli: Cli, engine: FakeEngine, name: str) -> None:
    engine.refused = "chainfire would keep 1 of 3 voters"
    confirm = ("--confirm", "node01") if name in WIPING else ("--yes",)
    outcome = cli(name, "node01", *confirm)
    assert outcome.code == 4
    assert "chainfire would keep 1 of 3 voters" in outcome.err
    plan = cli(name, "node01", "--plan")
    assert (plan.code, plan.out.count("chainfire would keep")) == (4, 1)
    assert engine.asked(wire.StartOrder) == []


def test_the_guard_is_overridden_by_the_name_of_the_cluster_alone(cli: Cli, engine: FakeEngine) -> None:
    engine.refused = "chainfire would keep 1 of 3 voters"
    for wrong in ("prod", "yes", "LAB"):
        outcome = cli("drain", "node01", "--yes", "--override-quorum", wrong)
        assert outcome.code == 4
        assert "lab" not in outcome.err.split("next:")[0].replace("LAB", "")  # it is not told what to type
    assert engine.asked(wire.StartOrder) == []
    outcome = cli("drain", "node01", "--yes", "--override-quorum", "lab")
    assert outcome.code == 0
    assert "the quorum guard is overridden, which says: chainfire would keep" in outcome.err
    assert engine.asked(wire.StartOrder)[0].override_quorum == "lab"
    assert cli("ops", "show", "1", "--json").json["operation"]["override"] is True


# --- how it ends -----------------------------------------------------------------------------------------------------


def test_some_nodes_fail(cli: Cli, engine: FakeEngine) -> None:
    engine.failing = {"node02": "install"}
    outcome = cli("provision", "node[01-03]", "--confirm", "wipe 3")
    assert outcome.code == 3
    assert outcome.out.splitlines() == [
        "node[01,03]: installed",
        "node02: failed: install-no-space: no space left",
    ]
    assert "plasmatui ops show 1" in outcome.err
    value = cli("ops", "follow", "1", "--json").json["nodes"]["node02"]
    assert value["error"] == {"id": "install-no-space", "message": "node02: no space left"}
    assert value["evidence"] == ["cp: \x1b[31mno space left on device"]  # escaped by JSON


def test_all_nodes_fail(cli: Cli, engine: FakeEngine) -> None:
    engine.failing = {"node02": "install"}
    assert cli("provision", "node02", "--confirm", "node02").code == 1


def test_refused_by_the_engine(cli: Cli, engine: FakeEngine) -> None:
    """The guard looks again when a node's turn comes."""
    engine.answers[wire.StartOrder] = wire.Problem("refused", "the engine is being stopped")
    assert cli("drain", "node01", "--yes").code == 4


def test_detach(cli: Cli, engine: FakeEngine) -> None:
    engine.hold = True
    outcome = cli("provision", "node01", "--confirm", "node01", "--detach", "--json")
    assert outcome.json == {
        "schema": 1, "operation": 1, "nodes": {"node01": {"ok": True, "state": "running", "error": None}},
    }  # fmt: skip
    assert not engine.operations[1].state.ended


def test_pace_of_the_inventory_holds_where_nothing_is_asked(cli: Cli, engine: FakeEngine) -> None:
    assert cli("boot", "node01", "--yes", "--per-rack", "1", "--stagger", "5s").code == 0
    assert engine.asked(wire.StartOrder)[0].pace == Pace(8, 5.0, 1, POLICY.bandwidth)


# --- generations -----------------------------------------------------------------------------------------------------


def test_generations(cli: Cli, engine: FakeEngine) -> None:
    outcome = cli("generations", "node01,node04")
    assert outcome.code == 3
    assert [line.split() for line in outcome.out.splitlines()] == [
        ["node01:"],
        ["NUMBER", "DATE", "(UTC)", "VERSION", "KERNEL", "REVISION", "USE"],
        ["2", "2025-12-10", "12:45", "25.11", "6.12.1", "abc", "runs,", "boots", "next"],
        ["1", "2025-12-10", "10:30", "25.11", "6.12.1", "-"],
    ]
    assert outcome.err.startswith("node04: bmc-unreachable: ")


def test_generations_json(cli: Cli, engine: FakeEngine) -> None:
    engine.hostile = "\x1b[?1049h"
    nodes = cli("generations", "node01,node04", "--json").json["nodes"]
    assert nodes["node01"]["generations"][0]["number"] == 2
    assert nodes["node01"]["generations"][0]["booted"] is True
    assert nodes["node04"]["generations"] is None
    assert "\x1b" not in cli("generations", "node01").out
    assert engine.operations == {}


def test_states_are_words(cli: Cli, engine: FakeEngine) -> None:
    """What a node's state and operation are, for scripts that wait for it."""
    engine.hold = True
    cli("drain", "node01", "--yes", "--detach")
    node = cli("ops", "show", "1", "--json").json["operation"]["nodes"]["node01"]
    assert (node["state"], node["planned"], node["error"]) == (OperationState.RUNNING, 2, None)
