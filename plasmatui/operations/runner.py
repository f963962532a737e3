"""The operations of one engine: begun, cancelled, held, released, tried again, gone on with after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from plasmatui.model.operation import (
    NOWHERE,
    IdentifyOrder,
    NodeRecord,
    OperationRecord,
    Order,
    Origin,
    Pace,
    Plan,
    StepRecord,
)
from plasmatui.model.words import OperationState, StepResult
from plasmatui.operations.identify import Lights
from plasmatui.operations.kinds import kind_of
from plasmatui.operations.pacing import Budget
from plasmatui.operations.plans import command_line, make_plan, obstacle
from plasmatui.operations.ports import Locks
from plasmatui.operations.run import Prior, Run
from plasmatui.operations.site import Site

CLOSE_LIMIT = 5.0
"""Seconds that steps on their way get when the engine is stopped."""

STALE = 900.0
"""Seconds without an engine after which it does not go on with an operation by itself: a person releases it."""


class UnknownOperationError(Exception):
    """No such operation is running."""


class StoppingError(Exception):
    """The engine is being stopped: nothing is begun any more."""


class Runner:
    """The operations of one engine.

    Args:
        first_number: number of the next operation.
        pace: what the inventory's policy says now.
    """

    def __init__(self, site: Site, locks: Locks, *, pace: Callable[[], Pace], first_number: int = 1) -> None:
        self._site = site
        self._locks = locks
        self._pace = pace
        self._next = first_number
        self._runs: dict[int, Run] = {}
        self._budget = Budget()
        self._lights = Lights(site.ledger)
        self._closed = False

    @property
    def running(self) -> tuple[int, ...]:
        """Numbers of the operations that have not ended."""
        return tuple(self._runs)

    def busy_nodes(self) -> frozenset[str]:
        """Nodes that an operation works on, or will, now."""
        return frozenset(node.node for run in self._runs.values() for node in run.record.nodes if not node.state.ended)

    async def plan(self, order: Order, nodes: tuple[str, ...], pace: Pace | None = None) -> Plan:
        """What `start` would do."""
        return await make_plan(order, nodes, self._pace_for(order, pace), self._site, self._locks)

    def start(
        self,
        order: Order,
        nodes: tuple[str, ...],
        by: str,
        pace: Pace | None = None,
        *,
        override: bool = False,
        origin: Origin = NOWHERE,
        break_lock: bool = False,
    ) -> OperationRecord:
        """Begin an operation. Nodes that cannot take part are in it as failed, with the reason; those that another
        operation holds wait for it.

        Args:
            override: the guard's refusal was overridden by a person.
            origin: where the order came from.
            break_lock: an admin said that others' locks do not count.

        Raises:
            StoppingError: see there.
        """
        nodes = tuple(dict.fromkeys(nodes))
        records = tuple(self._admit(order, node) for node in nodes)
        return self._begin(
            order, records, by, self._pace_for(order, pace), override=override, origin=origin, break_lock=break_lock
        )

    def retry(
        self,
        record: OperationRecord,
        by: str,
        *,
        override: bool = False,
        origin: Origin = NOWHERE,
        break_lock: bool = False,
    ) -> OperationRecord:
        """Begin an operation that tries the failed and cancelled nodes of one that has ended again. What it destroyed
        successfully is not destroyed a second time.

        Raises:
            UnknownOperationError: it has not ended, or nothing of it failed.
            StoppingError: see there.
        """
        again = [node for node in record.nodes if node.state in (OperationState.FAILED, OperationState.CANCELLED)]
        if not record.state.ended or not again:
            raise UnknownOperationError(record.number)
        prior = {node.node: _kept(record.order, node, self._site) for node in again}
        records = tuple(self._admit(record.order, node.node) for node in again)
        return self._begin(
            record.order,
            records,
            by,
            record.pace,
            override=override,
            prior=prior,
            retry_of=record.number,
            origin=origin,
            break_lock=break_lock,
        )

    def resume(self, record: OperationRecord, away: float) -> OperationRecord:
        """Go on with an operation that a former engine did not finish.

        Args:
            away: seconds since that engine wrote last; after a long time a person must release it.
        """
        prior: Prior = {node.node: _last(node.steps) for node in record.nodes}
        nodes = tuple(_waiting(node) for node in record.nodes)
        held = record.held
        if away > STALE and not held:
            held = f"no engine ran for {away / 60:.0f} min; plasmatui ops release {record.number} goes on with it"
        record = msgspec.structs.replace(record, nodes=nodes, state=OperationState.RUNNING, held=held)
        text = f"{record.cli} (operation {record.number})"
        self._site.ledger.audit(record.by, "", text, "resumed", origin=record.origin, operation=record.number)
        return self._launch(record, prior)

    def cancel(self, number: int, by: str, origin: Origin = NOWHERE) -> OperationRecord:
        """Begin nothing more of it; leave what can be left safely. What was left, and how, stands in the record.

        Raises:
            UnknownOperationError: it has ended or never was.
        """
        run = self._run(number)
        self._site.ledger.audit(by, "", f"cancel operation {number}", "begun", origin=origin, operation=number)
        run.cancel(f"cancelled by {by}")
        return run.record

    def hold(self, number: int, by: str, origin: Origin = NOWHERE) -> OperationRecord:
        """Begin no further node and no further step until it is released. Raises `UnknownOperationError`."""
        run = self._run(number)
        self._site.ledger.audit(by, "", f"hold operation {number}", "done", origin=origin, operation=number)
        run.hold(f"held by {by}; plasmatui ops release {number} goes on with it")
        return run.record

    def release(
        self, number: int, by: str, node: str = "", answer: str = "", origin: Origin = NOWHERE
    ) -> OperationRecord | None:
        """Go on with an operation that is held, or answer what is asked of one of its nodes; None when that node asks
        nothing, or takes other answers. Raises `UnknownOperationError`."""
        run = self._run(number)
        what = f"answer {answer} of operation {number}" if node else f"release operation {number}"
        self._site.ledger.audit(by, node, what, "done", origin=origin, operation=number)
        if node:
            return run.record if run.answer(node, answer) else None
        run.release()
        return run.record

    async def close(self, limit: float = CLOSE_LIMIT) -> None:
        """Stop for good: nothing more is begun. Operations that another engine can go on with are left as they are;
        of others, steps on their way get `limit` seconds and are then uncertain."""
        self._closed = True
        self._lights.close()
        runs = tuple(self._runs.values())
        tasks = [run.task for run in runs if run.task is not None]
        if not tasks:
            return
        for run in runs:
            run.stop()
        _, late = await asyncio.wait(tasks, timeout=limit)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=limit)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _run(self, number: int) -> Run:
        run = self._runs.get(number)
        if run is None:
            raise UnknownOperationError(number)
        return run

    def _begin(
        self,
        order: Order,
        records: tuple[NodeRecord, ...],
        by: str,
        pace: Pace,
        *,
        override: bool,
        origin: Origin,
        break_lock: bool,
        prior: Prior | None = None,
        retry_of: int = 0,
    ) -> OperationRecord:
        if self._closed:
            raise StoppingError
        number, self._next = self._next, self._next + 1
        cli = command_line(order, tuple(node.node for node in records))
        record = OperationRecord(
            number,
            order,
            by,
            cli,
            time.time(),
            OperationState.RUNNING,
            records,
            pace,
            override=override,
            retry_of=retry_of,
            origin=origin,
            break_lock=break_lock,
        )
        told = " with the quorum guard overridden" if override else ""
        told += " with locks of others broken" if break_lock else ""
        text = f"{cli} (operation {number}){told}"
        self._site.ledger.audit(by, "", text, "begun", origin=origin, operation=number)
        return self._launch(record, prior or {})

    def _launch(self, record: OperationRecord, prior: Prior) -> OperationRecord:
        number = record.number
        run = Run(record, self._site, self._locks, self._budget, prior, freed=self._wake_all)
        self._runs[number] = run
        run.publish()
        run.task = asyncio.create_task(run.run(), name=f"operation {number}")
        run.task.add_done_callback(lambda task: self._ended(number, task))
        return run.record

    def _pace_for(self, order: Order, pace: Pace | None) -> Pace:
        usual = self._pace()
        if pace is None:
            # Starts are staggered for the sake of the mains; only orders that switch machines on draw on it.
            pace = usual if kind_of(order).powers else msgspec.structs.replace(usual, stagger=0.0)
        return Pace(
            max(1, pace.parallel),
            max(0.0, pace.stagger),
            max(0, pace.per_rack or usual.per_rack),
            max(0, pace.bandwidth or usual.bandwidth),
        )

    def _admit(self, order: Order, node: str) -> NodeRecord:
        problem = obstacle(kind_of(order), node, self._site)
        if problem is None:
            return NodeRecord(node, OperationState.WAITING)
        return NodeRecord(node, OperationState.FAILED, error=problem.id, message=problem.message)

    def _wake_all(self) -> None:
        for run in self._runs.values():
            run.wake()

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(number)
        self._wake_all()
        if isinstance(run.record.order, IdentifyOrder):
            self._lights.follow(run.record, run.record.order)
        if not task.cancelled():
            task.result()  # a fault of the program reaches the loop's exception handler


def _last(steps: tuple[StepRecord, ...]) -> dict[str, StepRecord]:
    """The last record of each step."""
    return {step.id: step for step in steps}


def _kept(order: Order, node: NodeRecord, site: Site) -> dict[str, StepRecord]:
    """What a further try need not do again: what destroyed data, and what nobody knows of; all up to the last step that
    settled it."""
    planned = kind_of(order).steps(order, node.node, site)
    last = _last(node.steps)
    settled = [step.settles and step.id in last and last[step.id].result is StepResult.DONE for step in planned]
    kept = {step.id for place, step in enumerate(planned) if step.destroys or any(settled[place:])}
    return {
        id_: step
        for id_, step in last.items()
        if id_ in kept and step.result in (None, StepResult.DONE, StepResult.UNCERTAIN)
    }


def _waiting(node: NodeRecord) -> NodeRecord:
    """A node of a former engine's operation: it begins again with no steps but what is known of them."""
    if node.state.ended:
        return node
    return msgspec.structs.replace(
        node, state=OperationState.WAITING, steps=(), question="", answers=(), message="", error=""
    )


def interrupted(record: OperationRecord, wall: float) -> OperationRecord:
    """What is to be said of an operation that a former engine did not finish and that is not gone on with.

    A step without a result is uncertain: it was begun, and nobody knows whether it took effect. Nothing of it is
    done again by itself.
    """
    nodes = tuple(_interrupted_node(node, wall) for node in record.nodes)
    return msgspec.structs.replace(record, nodes=nodes, state=OperationState.FAILED, end=wall)


def _interrupted_node(node: NodeRecord, wall: float) -> NodeRecord:
    if node.state.ended:
        return node
    if not node.steps:
        text = f"the engine ended before {node.node} was begun"
        return msgspec.structs.replace(node, state=OperationState.CANCELLED, error="cancelled", message=text)
    text = f"the engine ended while {node.steps[-1].id} was under way: look at the power of {node.node}"
    steps = tuple(_interrupted_step(step, wall) for step in node.steps)
    return msgspec.structs.replace(node, state=OperationState.FAILED, steps=steps, error="uncertain", message=text)


def _interrupted_step(step: StepRecord, wall: float) -> StepRecord:
    if step.result is not None:
        return step
    return msgspec.structs.replace(
        step, end=wall, result=StepResult.UNCERTAIN, message="the engine ended before the result was known"
    )
