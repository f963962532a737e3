"""What operations survive: a hold, an engine that ends in the middle of any step, a failed try; and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.journal.locks import MemoryLocks
from plasmatui.model.node import Node
from plasmatui.model.operation import NodeRecord, OperationRecord, Pace, RollbackOrder, Step
from plasmatui.model.words import OperationState, StepResult
from plasmatui.operations import kinds
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.kinds import Kind
from plasmatui.operations.pacing import Budget, Starts
from plasmatui.operations.runner import Runner, UnknownOperationError
from plasmatui.operations.work import NodeWork
from tests.engine.conftest import until
from tests.engine.fakes import FakeBackend, FakeGuard, make_site, rack
from tests.engine.test_operations import Ledger

DONE, FAILED, HELD = OperationState.DONE, OperationState.FAILED, OperationState.HELD
ORDER = RollbackOrder()
STEPS = ("prepare", "wipe", "copy", "reboot", "check")


@dataclass
class World:
    """What the machines of the test went through, beside any engine.

    Attributes:
        done: by node, each acting step in the order in which it took effect.
        gates: steps that wait, by name. fail: steps that fail, by node and name.
        tells: whether an interrupted step can be seen to be done.
    """

    done: dict[str, list[str]] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    fail: set[tuple[str, str]] = field(default_factory=set)
    tells: bool = True
    running: set[str] = field(default_factory=set)
    most: int = 0

    def steps(self, order: RollbackOrder, node: str, site: object) -> tuple[Step, ...]:
        return tuple(
            Step(name, name, f"{name} {node}", 30.0, disruptive=name in ("wipe", "reboot"), destroys=name == "wipe")
            for name in STEPS
        )

    async def act(self, work: NodeWork, order: RollbackOrder) -> None:
        self.running.add(work.node)
        self.most = max(self.most, len(self.running))
        try:
            await work.look("prepare", lambda: self._do(work.node, "prepare"))
            for name in ("wipe", "copy", "reboot"):
                await work.act(name, self._effect(work.node, name), seen=self._seen(work.node, name))
            await work.look("check", lambda: self._do(work.node, "check"))
        finally:
            self.running.discard(work.node)

    def _effect(self, node: str, name: str) -> Callable[[], Awaitable[None]]:
        async def effect() -> None:
            self.done.setdefault(node, []).append(name)
            await self._do(node, name)

        return effect

    def _seen(self, node: str, name: str) -> Callable[[], Awaitable[bool | None]]:
        async def seen() -> bool | None:
            return (name in self.done.get(node, [])) if self.tells else None

        return seen

    async def _do(self, node: str, name: str) -> None:
        if name in self.gates:
            await self.gates[name].wait()
        if (node, name) in self.fail:
            raise NodeFailedError("install-no-space", f"{node}: {name} failed", ("no space left",))


class Rig:
    def __init__(self, world: World, racks: tuple[str, ...] = ()) -> None:
        self.inventory = rack(4)
        for number, name in enumerate(racks, 1):
            self.inventory.nodes[f"n{number}"] = Node(f"n{number}", rack=name)
        self.world = world
        self.ledger = Ledger()
        self.backend = FakeBackend(self.inventory)
        self.site = make_site(self.inventory, self.backend, self.ledger)
        self.runner = Runner(self.site, MemoryLocks(), pace=Pace, first_number=1)

    @property
    def guard(self) -> FakeGuard:
        assert isinstance(self.site.guard, FakeGuard)
        return self.site.guard

    def record(self, number: int = 1) -> OperationRecord:
        return self.ledger.records[number]

    def node(self, name: str = "n1", number: int = 1) -> NodeRecord:
        return next(node for node in self.record(number).nodes if node.node == name)

    async def ended(self, number: int = 1) -> OperationRecord:
        await until(lambda: number not in self.runner.running)
        return self.record(number)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    kind = Kind(made.act, made.steps, lambda _: ("rollback", ""), lambda _: 3, bmc=False, verb="wipe")
    monkeypatch.setitem(kinds.KINDS, RollbackOrder, kind)
    return made


@pytest.fixture
async def rig(world: World) -> AsyncIterator[Rig]:
    made = Rig(world)
    yield made
    await made.runner.close(0.1)


def results(node: NodeRecord) -> dict[str, StepResult | None]:
    return {step.id: step.result for step in node.steps}


# --- plans -----------------------------------------------------------------------------------------------------------


async def test_what_destroys_must_be_typed(rig: Rig) -> None:
    assert (await rig.runner.plan(ORDER, ("n2",))).phrase == "n2"
    plan = await rig.runner.plan(ORDER, ("n1", "n2", "n3"))
    assert (plan.phrase, plan.confirm) == ("wipe 3", 3)
    assert [step.id for step in plan.nodes[0].steps if step.destroys] == ["wipe"]


async def test_a_plan_says_what_the_guard_would(rig: Rig) -> None:
    rig.guard.refusals["n1"] = "chainfire: 2 of 3 voters healthy"
    assert (await rig.runner.plan(ORDER, ("n1",))).refused == "chainfire: 2 of 3 voters healthy"


# --- an engine that ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("tells", [True, False])
async def test_an_engine_that_dies_in_any_step(world: World, step: str, tells: bool) -> None:
    """A second engine goes on from what the journal held when the first was killed; nothing is wiped twice."""
    world.gates[step] = asyncio.Event()
    first = Rig(world)
    first.runner.start(ORDER, ("n1",), "anna")
    await until(lambda: bool(first.ledger.intents) and first.ledger.intents[-1].nodes[0].steps[-1].id == step)
    if step in ("wipe", "copy", "reboot"):
        await until(lambda: step in world.done.get("n1", []))
    kept = first.ledger.intents[-1]  # what kill -9 leaves in the journal
    assert kept.nodes[0].steps[-1].result is None
    await first.runner.close(0.1)
    world.gates.clear()
    world.tells = tells
    second = Rig(world)
    second.runner.resume(kept, 5.0)
    if not tells and step in ("wipe", "copy", "reboot"):
        await until(lambda: second.node().state is HELD)
        assert second.record().state is HELD
        assert second.node().answers == ("again", "done", "stop")
        assert world.done["n1"].count(step) == 1, "nothing is done while a person is asked"
        assert second.runner.release(1, "ben", "n1", "nonsense") is None
        assert second.runner.release(1, "ben", "n1", "done") is not None
    record = await second.ended()
    assert record.state is DONE
    assert world.done["n1"] == ["wipe", "copy", "reboot"]
    assert ("anna", "", "plasmatui rollback n1 (operation 1)", "resumed") in second.ledger.audited
    assert second.guard.away == {}


async def test_a_wipe_is_done_again_only_by_a_person(world: World) -> None:
    world.gates["wipe"] = asyncio.Event()
    first = Rig(world)
    first.runner.start(ORDER, ("n1",), "anna")
    await until(lambda: world.done.get("n1") == ["wipe"])
    kept = first.ledger.intents[-1]
    await first.runner.close(0.1)
    world.gates.clear()
    world.tells = False
    second = Rig(world)
    second.runner.resume(kept, 5.0)
    await until(lambda: second.node().state is HELD)
    assert "It deletes data" in second.node().question
    assert second.guard.resumed == ["n1"], "it counts as lost while it is asked about"
    second.runner.release(1, "ben", "n1", "again")
    assert (await second.ended()).state is DONE
    assert world.done["n1"] == ["wipe", "wipe", "copy", "reboot"]
    assert ("anna", "n1", "wipe n1", "a person answered: again") in second.ledger.audited


async def test_a_person_may_leave_it(world: World) -> None:
    kept = OperationRecord(
        1, ORDER, "anna", "plasmatui rollback n1", 1.0, OperationState.RUNNING,
        (NodeRecord("n1", OperationState.RUNNING, (_begun("wipe"),)),), Pace(),
    )  # fmt: skip
    world.tells = False
    rig = Rig(world)
    rig.runner.resume(kept, 5.0)
    await until(lambda: rig.node().state is HELD)
    rig.runner.release(1, "ben", "n1", "stop")
    record = await rig.ended()
    assert record.state is OperationState.CANCELLED
    assert "as a person decided" in rig.node().message
    assert world.done == {}


def _begun(name: str, result: StepResult | None = None):  # type: ignore[no-untyped-def]
    from plasmatui.model.operation import StepRecord

    return StepRecord(name, name, f"{name} n1", 1.0, result=result)


async def test_after_a_long_time_a_person_releases_it(world: World) -> None:
    nodes = (NodeRecord("n1", OperationState.WAITING), NodeRecord("n2", DONE))
    kept = OperationRecord(1, ORDER, "anna", "cli", 1.0, OperationState.RUNNING, nodes, Pace())
    rig = Rig(world)
    rig.runner.resume(kept, 7200.0)
    await until(lambda: rig.record().state is HELD)
    assert "no engine ran for 120 min" in rig.record().held
    assert world.done == {}
    rig.runner.release(1, "ben")
    assert (await rig.ended()).state is DONE
    assert list(world.done) == ["n1"], "a node that had ended is left alone"


async def test_an_engine_that_is_stopped_leaves_it_to_the_next(rig: Rig) -> None:
    rig.world.gates["copy"] = asyncio.Event()
    rig.runner.start(ORDER, ("n1", "n2"), "anna", Pace(1))
    await until(lambda: rig.world.done.get("n1") == ["wipe", "copy"])
    await rig.runner.close(0.2)
    assert not rig.record().state.ended
    assert [node.state for node in rig.record().nodes] == [OperationState.RUNNING, OperationState.WAITING]
    assert results(rig.node())["copy"] is None, "it is for the next engine to find out"


# --- failures and tries ----------------------------------------------------------------------------------------------


async def test_a_failure_names_its_finding_and_stays_alone(rig: Rig) -> None:
    rig.world.fail.add(("n2", "copy"))
    rig.runner.start(ORDER, ("n1", "n2", "n3"), "anna")
    record = await rig.ended()
    assert [node.state for node in record.nodes] == [DONE, FAILED, DONE]
    assert (rig.node("n2").error, rig.node("n2").evidence) == ("install-no-space", ("no space left",))
    assert rig.guard.away == {}


async def test_a_further_try_takes_the_failed_nodes_and_wipes_nothing_twice(rig: Rig) -> None:
    rig.world.fail.add(("n2", "copy"))
    rig.runner.start(ORDER, ("n1", "n2"), "anna")
    record = await rig.ended()
    rig.world.fail.clear()
    again = rig.runner.retry(record, "ben")
    assert (again.number, again.retry_of, [node.node for node in again.nodes]) == (2, 1, ["n2"])
    assert (await rig.ended(2)).state is DONE
    assert rig.world.done["n2"] == ["wipe", "copy", "copy", "reboot"]
    with pytest.raises(UnknownOperationError):
        rig.runner.retry(rig.record(2), "ben")


async def test_a_journal_that_is_not_kept_stops_what_destroys(rig: Rig) -> None:
    async def lost(record: OperationRecord) -> bool:
        return False

    rig.ledger.intent = lost  # type: ignore[method-assign]
    rig.runner.start(ORDER, ("n1",), "anna")
    await rig.ended()
    assert (rig.node().error, rig.world.done) == ("journal", {})


# --- hold, cancel, guard ---------------------------------------------------------------------------------------------


async def test_a_held_operation_begins_nothing(rig: Rig) -> None:
    rig.world.gates["wipe"] = asyncio.Event()
    rig.runner.start(ORDER, ("n1", "n2"), "anna", Pace(1))
    await until(lambda: rig.world.done.get("n1") == ["wipe"])
    rig.runner.hold(1, "ben")
    assert rig.record().state is HELD
    rig.world.gates["wipe"].set()
    await until(lambda: results(rig.node()).get("wipe") is StepResult.DONE)
    await asyncio.sleep(0.05)
    assert rig.world.done == {"n1": ["wipe"]}
    rig.runner.release(1, "ben")
    assert (await rig.ended()).state is DONE


async def test_cancel_while_a_person_is_asked(world: World) -> None:
    kept = OperationRecord(
        1, ORDER, "anna", "cli", 1.0, OperationState.RUNNING,
        (NodeRecord("n1", OperationState.RUNNING, (_begun("wipe"),)),), Pace(),
    )  # fmt: skip
    world.tells = False
    rig = Rig(world)
    rig.runner.resume(kept, 1.0)
    await until(lambda: rig.node().state is HELD)
    rig.runner.cancel(1, "ben")
    assert (await rig.ended()).state is OperationState.CANCELLED


async def test_a_person_may_take_longer_than_the_step(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step's limit is for what it does; it goes on counting after the answer."""
    steps = (Step("check", "check", "check", 0.05),)

    async def act(work: NodeWork, order: RollbackOrder) -> None:
        async def ask() -> None:
            assert await work.ask("wipe /dev/sda?", ("wipe", "stop")) == "wipe"
            await asyncio.Event().wait()

        await work.look("check", ask)

    kind = msgspec_replace(kinds.KINDS[RollbackOrder], act)
    monkeypatch.setitem(kinds.KINDS, RollbackOrder, replace(kind, steps=lambda *_: steps))
    rig.runner.start(ORDER, ("n1",), "anna")
    await until(lambda: rig.node().state is HELD)
    late = asyncio.get_running_loop().time() + 4 * steps[0].limit
    await until(lambda: asyncio.get_running_loop().time() > late)
    assert rig.node().state is HELD
    assert rig.runner.release(1, "ben", "n1", "wipe") is not None
    await rig.ended()
    assert (rig.node().state, rig.node().error) == (FAILED, "timeout")


async def test_a_long_step_is_asked_to_stop(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = asyncio.Event()

    async def act(work: NodeWork, order: RollbackOrder) -> None:
        async def long() -> None:
            await stopped.wait()
            raise NodeLeftError(f"{work.left}; the disks may be half formatted")

        await work.act("wipe", long, stop=stopped.set)

    monkeypatch.setitem(kinds.KINDS, RollbackOrder, msgspec_replace(kinds.KINDS[RollbackOrder], act))
    rig.runner.start(ORDER, ("n1",), "anna")
    await until(lambda: bool(rig.node().steps))
    await asyncio.sleep(0.02)
    rig.runner.cancel(1, "ben")
    await rig.ended()
    assert rig.node().message == "cancelled by ben; the disks may be half formatted"
    assert results(rig.node())["wipe"] is StepResult.UNCERTAIN


def msgspec_replace(kind: Kind, act: Callable[[NodeWork, RollbackOrder], Awaitable[None]]) -> Kind:
    return replace(kind, act=act)


async def test_the_guard_is_asked_before_the_first_disruptive_step(rig: Rig) -> None:
    rig.guard.refusals["n1"] = "quorum-at-risk: chainfire would lose its majority"
    rig.runner.start(ORDER, ("n1", "n2"), "anna")
    await rig.ended()
    assert (rig.node("n1").state, rig.node("n1").error) == (FAILED, "refused")
    assert rig.node("n2").state is DONE
    assert rig.world.done.get("n1") is None
    rig.runner.start(ORDER, ("n1",), "anna", override=True)
    assert (await rig.ended(2)).state is DONE
    assert any("guard overridden" in text for _, _, text, _ in rig.ledger.audited)


async def test_voters_take_turns(rig: Rig) -> None:
    """What is refused only because another node is away now waits for it; what is refused for good fails."""
    rig.guard.most = 1
    rig.world.gates["copy"] = asyncio.Event()
    rig.runner.start(ORDER, ("n1", "n2", "n3"), "anna")
    await until(lambda: len(rig.world.done) == 1 and "waits its turn" in rig.node("n2").message)
    assert rig.guard.away.keys() == rig.world.done.keys()
    rig.world.gates["copy"].set()
    record = await rig.ended()
    assert record.state is DONE
    assert all("turn" not in node.message for node in record.nodes)


async def test_a_turn_can_be_cancelled(rig: Rig) -> None:
    rig.guard.most = 1
    rig.world.gates["copy"] = asyncio.Event()
    rig.runner.start(ORDER, ("n1", "n2"), "anna")
    await until(lambda: "waits its turn" in rig.node("n2").message)
    rig.runner.cancel(1, "ben")
    await until(lambda: rig.node("n2").state.ended)
    assert rig.node("n2").state is OperationState.CANCELLED
    rig.world.gates["copy"].set()
    await rig.ended()


# --- pace ------------------------------------------------------------------------------------------------------------


async def test_racks_have_limits(world: World) -> None:
    rig = Rig(world, racks=("r1", "r1", "r1", "r2"))
    world.gates["copy"] = asyncio.Event()
    rig.runner.start(ORDER, ("n1", "n2", "n3", "n4"), "anna", Pace(16, per_rack=1))
    await until(lambda: set(world.done) == {"n1", "n4"})
    world.gates["copy"].set()
    assert (await rig.ended()).state is DONE


def test_boots_share_the_link() -> None:
    now = 100.0
    budget = Budget(lambda: now)
    assert budget.wait() == 0.0
    budget.spend(500_000_000, 1_000_000_000)
    assert budget.wait() == pytest.approx(4.0)
    budget.spend(500_000_000, 1_000_000_000)
    assert budget.wait() == pytest.approx(8.0)
    now = 200.0
    assert budget.wait() == 0.0
    budget.spend(0, 0)
    assert budget.wait() == 0.0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=60), st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None)
def test_starts_never_pass_their_limits(moves: list[tuple[bool, int]], parallel: int, per_rack: int) -> None:
    racks = {f"n{number}": f"r{number % 3}" for number in range(8)}
    starts = Starts(Pace(parallel, per_rack=per_rack), racks)
    running: set[str] = set()
    for begins, number in moves:
        node = f"n{number}"
        if begins and node not in running and not starts.full and starts.fits(node):
            starts.begin(node)
            running.add(node)
        elif not begins:
            starts.end(node)
            running.discard(node)
        assert len(running) <= parallel
        for name in set(racks.values()):
            inside = sum(racks[each] == name for each in running)
            assert not per_rack or inside <= per_rack
