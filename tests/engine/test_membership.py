"""Members added and taken out, over fakes: what the guard and a person refuse, what is asked, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs

from plasmatui.bmc.controller import BmcError
from plasmatui.cluster import members as cluster_members
from plasmatui.cluster.members import Member, RaftGroup
from plasmatui.engine.guard import QuorumGuard
from plasmatui.inventory.edit import Editor
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.loader import load
from plasmatui.journal.locks import MemoryLocks
from plasmatui.model.operation import AddOrder, DecommissionOrder, NodeRecord, OperationRecord, Pace, ReplaceOrder
from plasmatui.model.words import OperationState, Power
from plasmatui.operations.membership import why_not_join
from plasmatui.operations.ports import Absence
from plasmatui.operations.runner import Runner
from plasmatui.operations.site import Change
from tests.engine.conftest import until
from tests.engine.fakes import FakeBackend, FakeGuard, make_site
from tests.engine.test_operations import Ledger

DONE, FAILED, CANCELLED = OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED
RUNNING, HELD = OperationState.RUNNING, OperationState.HELD
NAMES = tuple(f"n{number}" for number in range(1, 6))
GROUPS = ("chainfire", "flaredb")

TEXT = """\
version: 1
cluster: {name: c, domain: example.com}
networks: {management: {cidr: 10.0.10.0/24}, production: {cidr: 10.0.200.0/24}}
bmc_defaults: {username: admin, password: {env: X}}
profiles:
  cp: {voter: true, services: [chainfire, flaredb]}
  plain: {}
nodes:
"""


class Cluster:
    """Raft groups in memory. `refuses`: a removal from that group is not taken."""

    def __init__(self, *members: str) -> None:
        self.members = {name: list(members) for name in GROUPS}
        self.dead: set[str] = set()
        self.removed: list[tuple[str, str]] = []

    def group(self, name: str) -> RaftGroup:
        there = self.members[name]
        found = tuple(Member(each, each, status="dead" if each in self.dead else "healthy") for each in there)
        leader = next((each for each in there if each not in self.dead), "")
        return RaftGroup(name, found, leader, asked=tuple(set(there) - self.dead))

    async def read_groups(self, _: object) -> tuple[RaftGroup, ...]:
        return tuple(map(self.group, GROUPS))

    async def read_group(self, _: object, name: str) -> RaftGroup:
        return self.group(name)

    async def remove_member(self, _: object, group: RaftGroup, id_: str) -> None:
        self.removed.append((group.name, id_))
        self.members[group.name].remove(id_)


class Keys:
    """The file of host keys."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    async def remove(self, name: str) -> None:
        self.removed.append(name)


class Rig:
    def __init__(self, path: Path, cluster: Cluster) -> None:
        self.inventory = load(path)
        self.path = path
        self.cluster = cluster
        self.backend = FakeBackend(self.inventory)
        self.ledger = Ledger()
        self.keys = Keys()
        self.guard = FakeGuard()
        made = make_site(self.inventory, self.backend, self.ledger)
        self.site = replace(
            made,
            guard=self.guard,
            inventory=lambda: self.inventory,
            cluster=lambda: cast(Any, None),
            hosts=lambda: cast(Any, SimpleNamespace(keys=self.keys)),
            amend=self.amend,
        )
        self.runner = Runner(self.site, MemoryLocks(), pace=lambda: Pace(16, 0.0))

    async def amend(self, change: Change) -> str:
        editor = Editor(self.path)
        change(editor)
        edit = editor.edit()
        edit.apply()
        self.inventory = load(self.path)
        return edit.diff()

    def start(self, order: Any, *nodes: str) -> int:
        return self.runner.start(order, nodes, "anna").number

    async def ended(self, number: int) -> OperationRecord:
        await until(lambda: number not in self.runner.running)
        return self.ledger.records[number]

    async def asked(self, number: int) -> NodeRecord:
        await until(lambda: self.ledger.records[number].nodes[0].state is HELD)
        return self.ledger.records[number].nodes[0]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(*NAMES)
    for name in ("read_groups", "read_group", "remove_member"):
        monkeypatch.setattr(cluster_members, name, getattr(made, name))
    return made


@pytest.fixture
def inventory_file(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    entry = (
        "  n{0}: {{profile: cp, bmc: 10.0.10.{0}, production_ip: 10.0.200.{0}, disks: [/dev/disk/by-id/a]}}  # nr {0}\n"
    )
    nodes = "".join(entry.format(number) for number in range(1, 6))
    path.write_text(TEXT + nodes + "  w1: {profile: plain, bmc: 10.0.10.9}\n  w2: {profile: plain}\n")
    return path


@pytest.fixture
async def rig(inventory_file: Path, cluster: Cluster) -> AsyncIterator[Rig]:
    made = Rig(inventory_file, cluster)
    yield made
    await made.runner.close(0.1)
    await made.backend.close()


def ids(record: OperationRecord) -> list[str]:
    return [step.id for step in record.nodes[0].steps]


async def test_a_machine_that_is_off_is_taken_out_without_being_drained(rig: Rig) -> None:
    rig.cluster.dead.add("n5")
    record = await rig.ended(rig.start(DecommissionOrder(), "n5"))
    assert record.nodes[0].state is DONE, record.nodes[0]
    assert rig.cluster.removed == [("chainfire", "n5"), ("flaredb", "n5")]
    assert rig.keys.removed == ["n5"]
    assert "n5" not in rig.inventory.nodes
    assert "# nr 4" in rig.path.read_text()
    assert "order soft" not in rig.backend.machines["n5"].calls
    assert "update delete n5.example.com. A" in record.nodes[0].message


async def test_an_engine_killed_after_the_inventory_was_written_is_followed_by_one_that_ends_it(rig: Rig) -> None:
    rig.cluster.dead.add("n5")
    record = await rig.ended(rig.start(DecommissionOrder(), "n5"))
    (node,) = record.nodes
    *before, last = node.steps
    assert last.id == "edit-inventory"
    half = structs.replace(node, state=RUNNING, steps=(*before, structs.replace(last, end=0.0, result=None)))
    rig.runner.resume(structs.replace(record, state=RUNNING, end=0.0, nodes=(half,)), 1.0)
    again = await rig.ended(record.number)
    assert again.nodes[0].state is DONE, again.nodes[0]
    assert rig.cluster.removed == [("chainfire", "n5"), ("flaredb", "n5")], "not a second time"


async def test_the_guards_refusal_comes_before_anything_is_removed(rig: Rig) -> None:
    rig.guard.refusals["n5"] = "the others are not well"
    record = await rig.ended(rig.start(DecommissionOrder(), "n5"))
    assert (record.nodes[0].state, record.nodes[0].error) == (FAILED, "refused")
    assert rig.cluster.removed == []
    assert "n5" in rig.inventory.nodes


async def test_the_guard_is_asked_again_before_each_removal(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def remove_first(_: object, group: RaftGroup, id_: str) -> None:
        await rig.cluster.remove_member(_, group, id_)
        rig.guard.refusals["n5"] = "another voter died meanwhile"

    monkeypatch.setattr(cluster_members, "remove_member", remove_first)
    record = await rig.ended(rig.start(DecommissionOrder(), "n5"))
    assert (record.nodes[0].state, record.nodes[0].error) == (FAILED, "refused")
    assert ids(record)[-1] == "leave-flaredb"
    assert rig.cluster.removed == [("chainfire", "n5")]


@pytest.mark.parametrize(("answer", "state"), [("off", DONE), ("stop", CANCELLED)])
async def test_a_person_confirms_what_a_dead_bmc_cannot_tell(rig: Rig, answer: str, state: OperationState) -> None:
    rig.backend.machines["w1"].error = BmcError("bmc-unreachable", "w1: its BMC does not answer")
    number = rig.start(DecommissionOrder(), "w1")
    node = await rig.asked(number)
    assert "w1: its BMC does not answer" in node.question
    assert node.answers == ("off", "stop")
    assert "w1" in rig.inventory.nodes
    rig.runner.release(number, "anna", "w1", answer)
    record = await rig.ended(number)
    assert record.nodes[0].state is state
    assert ("w1" in rig.inventory.nodes) is (answer == "stop")


async def test_a_machine_that_runs_is_asked_to_shut_down_first(rig: Rig) -> None:
    machine = rig.backend.machines["w1"]
    machine.power_is = Power.ON
    record = await rig.ended(rig.start(DecommissionOrder(), "w1"))
    assert record.nodes[0].state is DONE, record.nodes[0]
    assert [call for call in machine.calls if call.startswith("order")] == ["order soft"]


async def test_plans_leave_out_what_cannot_be_done(rig: Rig) -> None:
    both = await rig.runner.plan(ReplaceOrder(mac="52:54:00:00:00:01"), ("n1", "n2"))
    assert all("replace one node at a time" in node.skipped for node in both.nodes)
    without = await rig.runner.plan(ReplaceOrder(), ("w2",))
    assert "no BMC" in without.nodes[0].skipped
    member = await rig.runner.plan(AddOrder(), ("n1",))
    assert "has a member n1 already (healthy)" in member.nodes[0].skipped


async def test_a_new_machines_addresses_stand_in_the_plan_as_a_diff(rig: Rig) -> None:
    rig.cluster.dead.add("n2")
    plan = await rig.runner.plan(ReplaceOrder(None, "52:54:00:00:00:99", "10.0.10.99"), ("n2",))
    (node,) = plan.nodes
    assert "+  n2: {profile: cp, bmc: 10.0.10.99," in node.diff
    assert 'mac: "52:54:00:00:00:99"' in node.diff.replace("'", '"')
    assert "edit-inventory" in [step.id for step in node.steps]
    assert plan.cli == "plasmatui replace n2 --mac 52:54:00:00:00:99 --bmc 10.0.10.99"
    assert rig.path.read_text().count("10.0.10.99") == 0


def test_who_can_join() -> None:
    cluster = Cluster("n1", "n2", "n3")
    assert why_not_join(tuple(map(cluster.group, GROUPS)), "n4") is None
    cluster.dead |= {"n1", "n2", "n3"}
    problem = why_not_join(tuple(map(cluster.group, GROUPS)), "n4")
    assert problem is not None
    assert problem[0] == "quorum-lost"
    assert why_not_join((), "n4") is not None


# The guard itself


class Memory:
    """The journal's memory: the groups once had voters."""

    def under(self, _: str) -> dict[str, bytes]:
        return {"chainfire": b"1"}

    def put(self, key: str, value: bytes) -> None: ...


@pytest.fixture
def guard(inventory_file: Path, cluster: Cluster) -> QuorumGuard:
    inventory: Inventory = load(inventory_file)
    return QuorumGuard(lambda: inventory, lambda: cast(Any, None), cast(Any, Memory()), cast(Any, None))


@pytest.mark.parametrize("override", [False, True])
async def test_members_are_changed_for_one_voter_at_a_time(guard: QuorumGuard, override: bool) -> None:
    assert await guard.enter("n1", 7, override=False, absence=Absence.REJOINS) == ""
    refused = await guard.enter("n2", 8, override=override, absence=Absence.REJOINS)
    assert refused.startswith("n1 is in the hands of operation 7")
    assert await guard.enter("w1", 8, override=False, absence=Absence.RETIRES) == "", "it has no vote"
    turn = asyncio.create_task(guard.turn("n2"))
    await asyncio.sleep(0)
    assert not turn.done()
    guard.leave("n1", 7)
    assert await turn
    assert await guard.enter("n2", 8, override=override, absence=Absence.REJOINS) == ""


async def test_what_was_taken_up_from_a_dead_engine_is_not_overtaken(guard: QuorumGuard) -> None:
    guard.resume("n1", 7)
    assert "operation 7" in await guard.enter("n2", 8, override=False, absence=Absence.RETIRES)
    assert await guard.enter("n1", 7, override=False, absence=Absence.REJOINS) == "", "it is its own"


async def test_nodes_retire_as_long_as_one_more_may_be_lost(guard: QuorumGuard, cluster: Cluster) -> None:
    refused, notes = await guard.look(frozenset({"n5"}), Absence.RETIRES)
    assert (refused, len(notes)) == ("", 1)
    assert "4 voters would be left, 4 of them healthy, an even number" in notes[0]
    refused, _ = await guard.look(frozenset({"n3", "n4", "n5"}), Absence.RETIRES)
    assert "2 voters would be left, which may not lose one more; --override-quorum" in refused
    cluster.dead = {"n1"}
    assert (await guard.look(frozenset({"n1", "n5"}), Absence.RETIRES))[0] == ""
    cluster.dead = {"n1", "n2"}
    refused, _ = await guard.look(frozenset({"n5"}), Absence.RETIRES)
    assert "4 voters would be left, 2 of them healthy, and 3 are a majority" in refused
    cluster.dead = set()
    cluster.members = {name: ["n1", "n2", "n3"] for name in GROUPS}
    assert "refuses it" in await guard.enter("n3", 9, override=False, absence=Absence.RETIRES)
    assert await guard.enter("n3", 9, override=True, absence=Absence.RETIRES) == ""
