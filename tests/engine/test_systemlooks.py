"""What the engine makes of what systems say over SSH. The hosts are in memory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plasmatui.engine import declared
from plasmatui.engine.ports import ProblemError
from plasmatui.engine.store import Store
from plasmatui.engine.systemlooks import SystemLooks, version_of
from plasmatui.inventory.inventory import Inventory, Profile
from plasmatui.model import wire
from plasmatui.model.command import CommandError, Completed
from plasmatui.model.event import PowerSeen
from plasmatui.model.health import NodeServices, ServiceState
from plasmatui.model.node import Node
from plasmatui.model.words import Health, Power
from plasmatui.nix.generations import STATE_ARGV
from plasmatui.text import is_clean
from tests.sim.test_cluster_clients import CONTROL_PLANE

OLD, NEW = "/nix/store/aaaaaaaa-nixos-system-n1-25.11.1", "/nix/store/bbbbbbbb-nixos-system-n1-25.11.2"


def state(booted: str, current: str, profile: str) -> str:
    parts = [f"{base}/{part}" for part in ("kernel", "initrd", "modules") for base in (booted, profile)]
    return "\n".join((booted, current, profile, *parts))


class FakeHost:
    """Answers the commands of a look."""

    def __init__(self) -> None:
        self.state = state(OLD, OLD, OLD)
        self.journal = ""
        self.failed = "[]"
        self.broken = ""

    async def run(self, argv: Sequence[str], **_: Any) -> Completed:
        if self.broken:
            raise CommandError("ssh-refused", self.broken)
        if tuple(argv) == STATE_ARGV:
            return Completed(0, self.state.encode(), b"", 0)
        return Completed(0, (self.journal if argv[0] == "journalctl" else self.failed).encode(), b"", 0)


class FakeHosts:
    def __init__(self) -> None:
        self.made: dict[str, FakeHost] = {}

    def system(self, node: str) -> FakeHost:
        return self.made.setdefault(node, FakeHost())


@pytest.fixture
def hosts() -> FakeHosts:
    return FakeHosts()


@pytest.fixture
def store() -> Store:
    nodes = [Node(name, profile="cp") for name in ("n1", "n2", "n3")]
    return Store(nodes, on_line=lambda _, __: None, on_audit=lambda _: None)


@pytest.fixture
def looks(store: Store, hosts: FakeHosts) -> SystemLooks:
    inventory = Inventory(
        path=Path("inventory.yaml"), cluster="c", domain="", environment="", nodes=store.nodes, bmcs={},
        profiles={"cp": Profile("cp", services=CONTROL_PLANE)},
    )  # fmt: skip
    return SystemLooks(store, lambda: inventory, lambda: hosts, lambda: True)  # type: ignore[arg-type,return-value]


def findings(store: Store, node: str) -> list[str]:
    return [finding.id for finding in store.states[node].findings]


@pytest.mark.parametrize(
    ("active", "profile", "drift", "finding"),
    [
        (OLD, OLD, "", []),
        (NEW, NEW, "kernel or initrd waits for a reboot", []),
        (OLD, NEW, "the next boot takes another system", ["generation-drift"]),
        (NEW, OLD, "on trial", ["generation-drift"]),
    ],
)
async def test_drift(
    looks: SystemLooks, store: Store, hosts: FakeHosts, active: str, profile: str, drift: str, finding: list[str]
) -> None:
    hosts.system("n1").state = state(OLD, active, profile)
    await looks.look(("n1",))
    seen = store.systems["n1"]
    assert (drift in seen.drift) if drift else not seen.drift
    assert findings(store, "n1") == finding
    assert seen.booted == "25.11.1 (aaaaaa)"
    hosts.system("n1").state = state(NEW, NEW, NEW)
    await looks.look(("n1",))
    assert findings(store, "n1") == []


async def test_first_boot_units_and_failed_units(looks: SystemLooks, store: Store, hosts: FakeHosts) -> None:
    def line(unit: str, level: str, message: str) -> str:
        record = {"_SYSTEMD_UNIT": f"{unit}-cluster-join.service"}
        return json.dumps(record | {"MESSAGE": json.dumps({"level": level, "message": message})})

    host = hosts.system("n1")
    host.journal = "\n".join(
        (
            line("chainfire", "INFO", "Cluster join complete"),
            line("flaredb", "ERROR", "Join request failed: \x1b[31mconnection refused"),
        )
    )
    host.failed = json.dumps([{"unit": "flaredb-cluster-join.service", "active": "failed"}])
    await looks.look(("n1",))
    seen = store.systems["n1"]
    assert {each.group: each.state for each in seen.joins} == {"chainfire": "joined", "flaredb": "refused"}
    assert all("\x1b" not in each.message for each in seen.joins)
    assert seen.failed == ("flaredb-cluster-join.service",)


async def test_who_cannot_be_asked_is_unknown_and_its_findings_stay(
    looks: SystemLooks, store: Store, hosts: FakeHosts
) -> None:
    hosts.system("n1").state = state(OLD, OLD, NEW)
    await looks.look(("n1",))
    hosts.system("n1").broken = "n1: connection refused"
    hosts.system("n2").state = "no NixOS"
    await looks.look(("n1", "n2"))
    assert store.systems["n1"].problem == "n1: connection refused"
    assert findings(store, "n1") == ["generation-drift"]
    assert "cannot be read" in store.systems["n2"].problem


async def test_the_journal_of_a_service(looks: SystemLooks, hosts: FakeHosts) -> None:
    hosts.system("n1").journal = "2026-11-28T04:00:00+00:00 n1 chainfire: \x1b[31mready\nsecond\n"
    reply = await looks.handlers[wire.AskJournal](None, 1, wire.AskJournal("n1", "chainfire"))  # type: ignore[arg-type]
    assert isinstance(reply, wire.Journal)
    assert reply.units == ("chainfire.service", "chainfire-cluster-join.service")
    assert len(reply.lines) == 2
    assert all(is_clean(line) for line in reply.lines)
    hosts.system("n1").broken = "n1: connection refused"
    for node, service, id_ in (("n1", "chainfire", "ssh-refused"), ("n1", "sshd", "unsupported")):
        with pytest.raises(ProblemError) as caught:
            await looks.handlers[wire.AskJournal](None, 1, wire.AskJournal(node, service))  # type: ignore[arg-type]
        assert caught.value.problem.id == id_


async def test_what_the_flake_declares_is_compared_when_asked(
    looks: SystemLooks, store: Store, hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def of_flake(_: Inventory, node: str) -> str:
        if node == "n2":
            raise CommandError("command-failed", "the flake: no such node")
        return NEW

    monkeypatch.setattr(declared, "declared_system", of_flake)
    hosts.system("n3").state = state(NEW, NEW, NEW)
    await looks.look(("n1", "n2", "n3"), declared=True)
    assert store.systems["n1"].differs
    assert store.systems["n1"].declared == "25.11.2 (bbbbbb)"
    assert store.systems["n2"].undeclared == "the flake: no such node"
    assert not store.systems["n2"].differs
    assert not store.systems["n3"].differs
    assert findings(store, "n1") == [], "a flake may be ahead of its nodes"
    await looks.look(("n1",))
    assert store.systems["n1"].differs, "later looks keep it"


async def test_a_flake_that_cannot_be_evaluated_is_explained(tmp_path: Path, looks: SystemLooks) -> None:
    nix = tmp_path / "nix"
    nix.write_text("#!/bin/sh\necho \"error: flake 'path:/f' does not provide attribute 'n1'\" >&2\nexit 1\n")
    nix.chmod(0o755)
    inventory = dataclasses.replace(looks._inventory(), tools=str(tmp_path), flake="/f")
    with pytest.raises(CommandError, match=r"^the flake: "):
        await declared.declared_system(inventory, "n1")
    nix.write_text(f"#!/bin/sh\nprintf %s /nix/store/{'a' * 32}-nixos-system-n1-25.11.2\n")
    path = await declared.declared_system(inventory, "n1")
    assert version_of(path, "n1") == "25.11.2 (aaaaaa)"
    with pytest.raises(CommandError, match="names no flake"):
        await declared.declared_system(dataclasses.replace(inventory, flake=""), "n1")


async def test_only_what_is_installed_and_not_off_is_asked_by_itself(looks: SystemLooks, store: Store) -> None:
    assert looks.installed() == ()
    for name in ("n1", "n2"):
        store.node_services(NodeServices(name, (ServiceState("iam", Health.OK),)))
    store.tell("n2", "test", PowerSeen(Power.OFF))
    assert looks.installed() == ("n1",)


def test_a_version_that_is_no_store_path() -> None:
    assert version_of("/run/booted-system", "n1") == ""
    assert version_of("/nix/store/aaaaaaaa-other", "n1") == "other (aaaaaa)"
