"""Whatever is ordered, held, fails or is restarted: no voter is taken by our hand where its majority needs it.

A state machine over the real runner, the real guard and the real arithmetic of majorities; machines and the cluster's
services are invented, and know better than the guard, which sees only what they tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from plasmatui.cluster import members as members_module
from plasmatui.cluster.members import Member, RaftGroup
from plasmatui.engine.bare import BareNodes
from plasmatui.engine.guard import SEEN, QuorumGuard
from plasmatui.inventory.inventory import Inventory
from plasmatui.journal.locks import MemoryLocks
from plasmatui.journal.memory import Memory
from plasmatui.model.node import Node, NodeState, StageState
from plasmatui.model.operation import OperationRecord, Pace, RollbackOrder, Step
from plasmatui.model.words import Lifecycle, OperationState, Power, Stage
from plasmatui.operations import kinds
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.kinds import Kind
from plasmatui.operations.runner import Runner, UnknownOperationError
from plasmatui.operations.work import NodeWork
from tests.engine.fakes import FakeBackend, make_site, rack
from tests.engine.test_operations import Ledger

VOTERS = ("n1", "n2", "n3", "n4", "n5")
WORKER = "n6"
GROUPS = {"chainfire": VOTERS, "flaredb": VOTERS[:3]}
ORDER = RollbackOrder()


class FakeJournal:
    """Keeps what an engine leaves to the next."""

    def put_rows(self, rows: object) -> None:
        """Nothing: `Memory` holds the same."""


class World:
    """Machines and services as they are.

    Attributes:
        broken: failed by themselves. out: taken by an operation and not well again. mute: do not answer anybody who
            asks how they are.
        dark: nobody tells anything of any group.
        ours: what we took although it was needed, in words; there must be none.
        slow: services take their time to tell.
    """

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.out: set[str] = set()
        self.mute: set[str] = set()
        self.dark = False
        self.ours: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failing: set[str] = set()
        self.overridden: set[int] = set()
        self.by_override: set[str] = set()
        self.slow = False

    def up(self, node: str) -> bool:
        return node not in self.broken | self.out

    def groups(self) -> tuple[RaftGroup, ...]:
        """What the services tell now."""
        return tuple(self._group(name, voters) for name, voters in GROUPS.items())

    def _group(self, name: str, voters: tuple[str, ...]) -> RaftGroup:
        answering = () if self.dark else tuple(node for node in voters if self.up(node) and node not in self.mute)
        if not answering:
            return RaftGroup(name, unknown=dict.fromkeys(voters, "no answer"))
        told = tuple(
            Member(node, node, status="healthy" if self.up(node) else "unhealthy", answers=node in answering)
            for node in voters
        )
        return RaftGroup(name, told, answering[0], asked=answering)

    def lost(self) -> frozenset[str]:
        """What is lost otherwise than by an order that the guard let pass."""
        return frozenset(self.broken | (self.out & self.by_override))

    def take(self, node: str, number: int, lost: frozenset[str]) -> None:
        """An operation takes a machine away: the moment in which a majority may break by our hand. What was
        lost otherwise after the step was begun could not be known: only `lost` could."""
        well = self.up(node)
        self.out.add(node)
        (self.by_override.add if number in self.overridden else self.by_override.discard)(node)
        for name, voters in GROUPS.items():
            left = len(set(voters) - (self.out - self.by_override) - lost)
            if well and node in voters and left < len(voters) // 2 + 1 and number not in self.overridden:
                self.ours.append(f"operation {number} took {node} of {name}, {left} of {len(voters)} left")


class Rack(RuleBasedStateMachine):
    """Orders, failures and restarts in any order."""

    again = False
    """Whether an operation takes its nodes a second time, after they were well in between, and asks the guard again."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.memory = Memory(cast(Any, FakeJournal()))
        self.memory.put(SEEN + "chainfire", b"1")
        made = rack(6)
        nodes = {name: Node(name, profile="control-plane", voter=name in VOTERS) for name in made.nodes}
        self.inventory: Inventory = dataclasses.replace(made, nodes=nodes)
        self.ledger = Ledger()
        self.next = 1
        self.kinds = kinds.KINDS[RollbackOrder]
        self.read = members_module.read_groups
        members_module.read_groups = self._read  # type: ignore[assignment]
        kinds.KINDS[RollbackOrder] = Kind(self._act, self._steps, lambda _: ("rollback", ""), lambda _: 2, bmc=False)
        self._begin_engine()

    async def _read(self, _: object) -> tuple[RaftGroup, ...]:
        if self.world.slow:
            await self._wait("reading")
        return self.world.groups()

    def _begin_engine(self) -> None:
        async def power(_: str) -> Power:
            return Power.ON

        bare = BareNodes(lambda node: NodeState(node, lifecycle=Lifecycle.ENROLLED), power)
        cluster = type("Clients", (), {"nodes_of": lambda _, name: GROUPS[name]})()
        guard = QuorumGuard(lambda: self.inventory, lambda: cast(Any, cluster), self.memory, bare)
        site = dataclasses.replace(
            make_site(self.inventory, cast(Any, FakeBackend(self.inventory)), cast(Any, self.ledger)), guard=guard
        )
        self.runner = Runner(site, MemoryLocks(), pace=Pace, first_number=self.next)

    def teardown(self) -> None:
        for gate in self.world.gates.values():
            gate.set()
        self.loop.run_until_complete(self.runner.close(0.05))
        self.loop.run_until_complete(self._settled())
        self.loop.close()
        members_module.read_groups = self.read  # type: ignore[assignment]
        kinds.KINDS[RollbackOrder] = self.kinds

    async def _settled(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    def _run(self, do: Callable[[], object] = lambda: None) -> None:
        """Do something, and let everything come as far as it does by itself."""

        async def run() -> None:
            do()
            await self._settled()

        self.loop.run_until_complete(run())

    # --- the operation ----------------------------------------------------------------------------------------------

    def _names(self) -> tuple[str, ...]:
        return ("take", "return", *(("look", "retake", "return-again") if self.again else ()))

    def _steps(self, order: RollbackOrder, node: str, site: object) -> tuple[Step, ...]:
        return tuple(
            Step(name, name, f"{name} {node}", 1e6, disruptive=name in ("take", "retake")) for name in self._names()
        )

    async def _act(self, work: NodeWork, order: RollbackOrder) -> None:
        await work.act("take", self._take(work), seen=self._seen(work.node))
        await work.look("return", lambda: self._return(work.node))
        if self.again:
            await work.look("look", lambda: self._wait(work.node))
            await work.act("retake", self._take(work), seen=self._seen(work.node), afresh=True)
            await work.look("return-again", lambda: self._return(work.node))

    def _take(self, work: NodeWork) -> Callable[[], Awaitable[None]]:
        async def take() -> None:
            lost = self.world.lost()
            await self._wait(work.node)
            self.world.take(work.node, work.number, lost)

        return take

    def _seen(self, node: str) -> Callable[[], Awaitable[bool | None]]:
        async def seen() -> bool | None:
            return node in self.world.out

        return seen

    async def _return(self, node: str) -> None:
        await self._wait(node)
        if node in self.world.failing:
            raise NodeFailedError("timeout", f"{node} did not come back")
        self.world.out.discard(node)

    async def _wait(self, node: str) -> None:
        gate = self.world.gates[node] = asyncio.Event()
        await gate.wait()

    # --- what may happen --------------------------------------------------------------------------------------------

    @initialize(bad=st.frozensets(st.sampled_from(VOTERS), max_size=1))
    def begin(self, bad: frozenset[str]) -> None:
        self.world.broken |= bad

    @precondition(lambda self: len(self.runner.running) < 4)
    @rule(
        nodes=st.lists(st.sampled_from([*VOTERS, WORKER]), min_size=1, max_size=4, unique=True),
        parallel=st.integers(1, 4),
    )
    def order(self, nodes: list[str], parallel: int) -> None:
        self._run(lambda: self.runner.start(ORDER, tuple(nodes), "anna", Pace(parallel)))
        self._number()

    @rule(node=st.sampled_from(VOTERS))
    def order_with_the_clusters_name(self, node: str) -> None:
        self.world.overridden.add(max([self.next - 1, *self.ledger.records]) + 1)
        self._run(lambda: self.runner.start(ORDER, (node,), "anna", override=True))
        self._number()

    def _number(self) -> None:
        self.next = max(self.ledger.records) + 1

    @rule()
    def wait_until_nothing_waits(self) -> None:
        for _ in range(4):
            self.all_go_on()

    @precondition(lambda self: any(not gate.is_set() for gate in self.world.gates.values()))
    @rule(data=st.data(), fails=st.booleans())
    def go_on(self, data: st.DataObject, fails: bool) -> None:
        """A step's wait ends; with `fails`, a machine that was taken does not come back."""
        node = data.draw(st.sampled_from([name for name, gate in self.world.gates.items() if not gate.is_set()]))
        (self.world.failing.add if fails else self.world.failing.discard)(node)
        self._run(self.world.gates[node].set)

    @rule()
    def all_go_on(self) -> None:
        self.world.failing.clear()
        self._run(lambda: [gate.set() for gate in list(self.world.gates.values())])

    @rule(
        what=st.sampled_from(("break", "break", "mend", "mend", "mute", "speak", "dark", "light", "slow", "quick")),
        node=st.sampled_from(VOTERS),
    )
    def without_us(self, what: str, node: str) -> None:
        """What happens by itself: to a machine, to what it tells, to what anybody tells."""
        world = self.world
        if what in ("break", "mend"):
            (world.broken.add if what == "break" else world.broken.discard)(node)
            if what == "mend" and node not in self.runner.busy_nodes():
                world.out.discard(node)
        elif what in ("mute", "speak"):
            (world.mute.add if what == "mute" else world.mute.discard)(node)
        elif what in ("dark", "light"):
            world.dark = what == "dark"
        else:
            world.slow = what == "slow"
        self._run()

    @precondition(lambda self: self.runner.running)
    @rule(data=st.data(), what=st.sampled_from(("hold", "release", "cancel")))
    def decide(self, data: st.DataObject, what: str) -> None:
        number = data.draw(st.sampled_from(self.runner.running))
        self._run(lambda: getattr(self.runner, what)(number, "anna"))

    @rule()
    def retry(self) -> None:
        failed = [record for record in self.ledger.records.values() if record.state.ended and not record.override]

        def again(record: OperationRecord) -> None:
            with contextlib.suppress(UnknownOperationError):
                self.runner.retry(record, "anna")

        if failed:
            self._run(lambda: again(failed[-1]))
            self._number()

    @rule(away=st.sampled_from((1.0, 5000.0)))
    def restart_the_engine(self, away: float) -> None:
        """A new engine over the same journal; the machines are as they are."""
        self.loop.run_until_complete(self.runner.close(0.05))
        self._run()
        self.world.gates.clear()
        unfinished = [record for record in self.ledger.records.values() if not record.state.ended]
        self._begin_engine()
        self._run(lambda: [self.runner.resume(record, away) for record in unfinished])

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def no_majority_is_broken_by_our_hand(self) -> None:
        assert self.world.ours == []

    @invariant()
    def what_ended_holds_nothing(self) -> None:
        assert self.runner.busy_nodes() == {
            node.node
            for record in self.ledger.records.values()
            if record.number in self.runner.running
            for node in record.nodes
            if not node.state.ended
        }


class RackTakenTwice(Rack):
    """Operations that take their nodes twice."""

    again = True


LIMITS = settings(max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("machine", [Rack, RackTakenTwice])
def test_no_majority_is_ever_broken_by_our_hand(machine: type[Rack]) -> None:
    run_state_machine_as_test(machine, settings=LIMITS)  # type: ignore[no-untyped-call]


# --- what random days seldom come upon -------------------------------------------------------------------------------


@pytest.fixture
def day() -> Iterator[Rack]:
    made = Rack()
    yield made
    made.teardown()


def message(day: Rack, number: int = 1) -> str:
    return day.ledger.records[number].nodes[0].message


def test_a_step_that_a_former_engine_began_in_vain_asks_the_guard_again(day: Rack) -> None:
    day.order(nodes=["n1"], parallel=1)
    day.without_us(what="break", node="n2")  # while no engine runs
    day.restart_the_engine(away=1.0)
    day.wait_until_nothing_waits()
    assert day.world.ours == []
    assert "n1" not in day.world.out
    assert "1 would be left, 2 are needed" in message(day)


def test_an_operation_that_is_held_while_the_guard_looks_asks_it_again(day: Rack) -> None:
    day.without_us(what="slow", node="n1")
    day.order(nodes=["n1"], parallel=1)
    day._run(lambda: day.runner.hold(1, "anna"))
    day.wait_until_nothing_waits()
    assert day.runner.running == (1,)
    day.without_us(what="break", node="n2")
    day._run(lambda: day.runner.release(1, "anna"))
    day.wait_until_nothing_waits()
    assert day.world.ours == []
    assert "1 would be left, 2 are needed" in message(day)


def test_a_held_operation_lets_others_have_its_turn_and_can_be_cancelled(day: Rack) -> None:
    day.without_us(what="slow", node="n1")
    day.order(nodes=["n1"], parallel=1)
    day._run(lambda: day.runner.hold(1, "anna"))
    day.wait_until_nothing_waits()
    day.order(nodes=["n2"], parallel=1)
    day.wait_until_nothing_waits()
    assert day.ledger.records[2].state is OperationState.DONE
    day._run(lambda: day.runner.cancel(1, "anna"))
    assert day.ledger.records[1].state is OperationState.CANCELLED
    assert day.world.ours == []


# --- before the first raft group was seen ----------------------------------------------------------------------------


class Unseen:
    """A guard whose journal never saw a raft group, and machines that are as `states` and `powers` say."""

    def __init__(self) -> None:
        inventory = rack(3)
        nodes = {name: Node(name, profile="control-plane", voter=True) for name in inventory.nodes}
        self.inventory = dataclasses.replace(inventory, nodes=nodes)
        self.powers: dict[str, Power] = {}
        self.states: dict[str, NodeState] = {}
        self.services = ("chainfire",)
        self.memory = Memory(cast(Any, FakeJournal()))
        self.told: RaftGroup = RaftGroup("chainfire", unknown={"n1": "no connection to port 2379 in time"})
        bare = BareNodes(lambda node: self.states.get(node) or NodeState(node), self.power)
        self.guard = QuorumGuard(lambda: self.inventory, lambda: cast(Any, self), self.memory, bare)

    def nodes_of(self, service: str) -> tuple[str, ...]:
        return tuple(self.inventory.nodes) if service in self.services else ()

    async def power(self, node: str) -> Power:
        return self.powers.get(node, Power.OFF)


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> Unseen:
    made = Unseen()

    async def read(_: object) -> tuple[RaftGroup, ...]:
        return (made.told,) if made.services else ()

    monkeypatch.setattr(members_module, "read_groups", read)
    return made


async def test_the_first_provisioning_of_machines_that_are_off_is_not_refused(unseen: Unseen) -> None:
    assert (await unseen.guard.look(frozenset(VOTERS[:3])))[0] == ""
    assert await unseen.guard.enter("n1", 1, override=False) == ""
    unseen.powers["n1"] = Power.ON  # by the operation that has it
    assert await unseen.guard.enter("n2", 1, override=False) == ""
    unseen.powers["n2"] = Power.ON
    assert await unseen.guard.enter("n3", 1, override=False) == ""


@pytest.mark.parametrize(("power", "words"), [(Power.ON, "n3 is on"), (Power.UNKNOWN, "its power is not known")])
async def test_a_voter_that_may_run_an_unseen_cluster_keeps_all_from_being_taken(
    unseen: Unseen, power: Power, words: str
) -> None:
    unseen.powers["n3"] = power
    refused, _ = await unseen.guard.look(frozenset(("n1",)))
    assert words in refused
    assert "there may be one" in refused
    assert words in await unseen.guard.enter("n1", 1, override=False)
    assert await unseen.guard.enter("n1", 1, override=True) == ""


@pytest.mark.parametrize(
    "state",
    [
        NodeState("n3", stage=StageState(Stage.INSTALLER_UP, 1.0, state="done", outcome="installer-up")),
        NodeState("n3", lifecycle=Lifecycle.DEPLOYING),
        NodeState("n3", lifecycle=Lifecycle.READY),
    ],
)
async def test_a_voter_in_its_installer_or_being_installed_runs_no_cluster(unseen: Unseen, state: NodeState) -> None:
    unseen.powers["n3"] = Power.ON
    unseen.states["n3"] = state
    assert await unseen.guard.enter("n1", 1, override=False) == ""


async def test_a_rack_without_raft_services_is_no_matter_of_the_guard(unseen: Unseen) -> None:
    unseen.services = ()
    unseen.powers = dict.fromkeys(("n1", "n2", "n3"), Power.ON)
    assert await unseen.guard.enter("n1", 1, override=False) == ""


async def test_once_a_group_was_seen_its_silence_refuses(unseen: Unseen) -> None:
    unseen.memory.put(SEEN + "chainfire", b"1")
    assert "a majority cannot be shown" in await unseen.guard.enter("n1", 1, override=False)


async def test_a_bmc_that_hangs_leaves_the_power_unknown(unseen: Unseen, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_: str) -> Power:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("plasmatui.engine.bare.POWER_LIMIT", 0.01)
    assert await BareNodes(NodeState, hang).others(("n1",)) == ("n1 may be on: its power is not known",)
