"""Runs operations: many nodes at a pace, each failing alone, until all have ended, whoever is attached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from plasmatui.bmc.controller import BmcError
from plasmatui.model.event import IdentifySeen, OperationTouched
from plasmatui.model.operation import (
    BootDeviceOrder,
    IdentifyOrder,
    NodeRecord,
    OperationRecord,
    Order,
    Pace,
    Plan,
    PowerOrder,
    StepRecord,
)
from plasmatui.model.words import OperationState, StepResult
from plasmatui.operations.bootdev import set_boot_device
from plasmatui.operations.identify import identify
from plasmatui.operations.plans import busy, command_line, make_plan, steps_for
from plasmatui.operations.ports import Ledger, Locks, Machines
from plasmatui.operations.power import change_power
from plasmatui.operations.work import NodeWork

CLOSE_LIMIT = 5.0
"""Seconds that steps on their way get when the engine is stopped."""


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

    def __init__(
        self, machines: Machines, ledger: Ledger, locks: Locks, *, pace: Callable[[], Pace], first_number: int = 1
    ) -> None:
        self._machines = machines
        self._ledger = ledger
        self._locks = locks
        self._pace = pace
        self._next = first_number
        self._runs: dict[int, _Run] = {}
        self._lights: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    @property
    def running(self) -> tuple[int, ...]:
        """Numbers of the operations that have not ended."""
        return tuple(self._runs)

    def busy_nodes(self) -> frozenset[str]:
        """Nodes that an operation holds now."""
        return frozenset(node.node for run in self._runs.values() for node in run.record.nodes if not node.state.ended)

    def plan(self, order: Order, nodes: tuple[str, ...], pace: Pace | None = None) -> Plan:
        """What `start` would do."""
        return make_plan(order, nodes, self._pace_for(order, pace), self._machines, self._locks)

    def start(self, order: Order, nodes: tuple[str, ...], by: str, pace: Pace | None = None) -> OperationRecord:
        """Begin an operation. Nodes that cannot take part are in it as failed, with the reason.

        Raises:
            StoppingError: see there.
        """
        if self._closed:
            raise StoppingError
        number, self._next = self._next, self._next + 1
        nodes = tuple(dict.fromkeys(nodes))
        held = self._locks.take(nodes, number)
        records = tuple(self._admit(node, held.get(node, 0)) for node in nodes)
        cli = command_line(order, nodes)
        record = OperationRecord(
            number, order, by, cli, time.time(), OperationState.RUNNING, records, self._pace_for(order, pace)
        )
        self._ledger.audit(by, "", f"{cli} (operation {number})", "begun")
        run = _Run(record, self._machines, self._ledger, self._locks, self._act(order))
        self._runs[number] = run
        run.publish()
        run.task = asyncio.create_task(run.run(), name=f"operation {number}")
        run.task.add_done_callback(lambda task: self._ended(number, task))
        return record

    def cancel(self, number: int, by: str) -> OperationRecord:
        """Begin nothing more of it; leave what can be left safely. What was left, and how, stands in the record.

        Raises:
            UnknownOperationError: it has ended or never was.
        """
        run = self._runs.get(number)
        if run is None:
            raise UnknownOperationError(number)
        self._ledger.audit(by, "", f"cancel operation {number}", "begun")
        run.cancel(f"cancelled by {by}")
        return run.record

    async def close(self, limit: float = CLOSE_LIMIT) -> None:
        """Stop for good: nothing more is begun, steps on their way get `limit` seconds and are then uncertain."""
        self._closed = True
        for light in self._lights.values():
            light.cancel()
        runs = tuple(self._runs.values())
        tasks = [run.task for run in runs if run.task is not None]
        if not tasks:
            return
        for run in runs:
            run.cancel("the engine was stopped")
        _, late = await asyncio.wait(tasks, timeout=limit)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=limit)

    def _pace_for(self, order: Order, pace: Pace | None) -> Pace:
        if pace is None:
            usual = self._pace()
            # Starts are staggered for the sake of the mains; only power orders draw on it.
            pace = usual if isinstance(order, PowerOrder) else msgspec.structs.replace(usual, stagger=0.0)
        return Pace(max(1, pace.parallel), max(0.0, pace.stagger))

    def _admit(self, node: str, holder: int) -> NodeRecord:
        problem = busy(node, holder) if holder else self._machines.unusable(node)
        if problem is None:
            return NodeRecord(node, OperationState.WAITING)
        return NodeRecord(node, OperationState.FAILED, error=problem.id, message=problem.message)

    def _act(self, order: Order) -> Callable[[NodeWork], Awaitable[None]]:
        async def act(work: NodeWork) -> None:
            if isinstance(order, PowerOrder):
                await change_power(work, order)
            elif isinstance(order, BootDeviceOrder):
                await set_boot_device(work, order)
            else:
                await identify(work, order)
                self._light(work.node, order)

        return act

    def _light(self, node: str, order: IdentifyOrder) -> None:
        """The BMC switches a timed light off by itself and does not say so: what is known follows the clock."""
        earlier = self._lights.pop(node, None)
        if earlier is not None:
            earlier.cancel()
        if order.seconds > 0:
            loop = asyncio.get_running_loop()
            self._lights[node] = loop.call_later(order.seconds, self._light_out, node)

    def _light_out(self, node: str) -> None:
        self._lights.pop(node, None)
        self._ledger.tell(node, "engine", IdentifySeen(False))

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        self._runs.pop(number, None)
        if not task.cancelled():
            task.result()  # a fault of the program reaches the loop's exception handler


class _Run:
    """One operation."""

    def __init__(
        self,
        record: OperationRecord,
        machines: Machines,
        ledger: Ledger,
        locks: Locks,
        act: Callable[[NodeWork], Awaitable[None]],
    ) -> None:
        self.record = record
        self.task: asyncio.Task[None] | None = None
        self._machines = machines
        self._ledger = ledger
        self._locks = locks
        self._act = act
        self._index = {node.node: place for place, node in enumerate(record.nodes)}
        self._works: dict[str, NodeWork] = {}
        self._leave = ""
        self._stop = asyncio.Event()

    def publish(self) -> None:
        """Tell what was decided at the beginning."""
        self._ledger.changed(self.record)
        for node in self.record.nodes:
            if node.state.ended:
                self._locks.release(node.node, self.record.number)
            self._touch(node)

    def cancel(self, reason: str) -> None:
        if self._leave:
            return
        self._leave = reason
        self._stop.set()
        for work in self._works.values():
            work.leave(reason)
        for node in self.record.nodes:
            if node.state is OperationState.WAITING and node.node not in self._works:
                text = f"{reason} before it was begun"
                self._end(
                    msgspec.structs.replace(node, state=OperationState.CANCELLED, error="cancelled", message=text)
                )

    async def run(self) -> None:
        waiting = [node for node in self.record.nodes if node.state is OperationState.WAITING]
        pace = self.record.pace
        free = asyncio.Semaphore(pace.parallel)
        tasks: set[asyncio.Task[None]] = set()
        try:
            for place, node in enumerate(waiting):
                if place and pace.stagger:
                    await self._pause(pace.stagger)
                await free.acquire()
                if self._leave:
                    break
                task = asyncio.create_task(self._node(node, free), name=f"operation {self.record.number}: {node.node}")
                tasks.add(task)
            if tasks:
                await asyncio.wait(tasks)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            raise
        finally:
            self._finish()
        for task in tasks:
            task.result()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _node(self, node: NodeRecord, free: asyncio.Semaphore) -> None:
        try:
            steps = steps_for(self.record.order, node.node, self._machines)
        except BmcError as error:  # the node's BMC was taken out of the inventory meanwhile
            self._end(msgspec.structs.replace(node, state=OperationState.FAILED, error=error.id, message=error.message))
            free.release()
            return
        work = NodeWork(
            node,
            steps,
            number=self.record.number,
            by=self.record.by,
            machines=self._machines,
            ledger=self._ledger,
            keep=self._keep,
            intent=lambda: self._ledger.intent(self.record),
        )
        self._works[node.node] = work
        try:
            await work.run(self._act)
        finally:
            del self._works[node.node]
            self._end(work.record)
            free.release()

    def _keep(self, node: NodeRecord) -> None:
        nodes = list(self.record.nodes)
        nodes[self._index[node.node]] = node
        self.record = msgspec.structs.replace(self.record, nodes=tuple(nodes))
        self._ledger.changed(self.record)

    def _end(self, node: NodeRecord) -> None:
        self._keep(node)
        self._locks.release(node.node, self.record.number)
        self._touch(node)

    def _touch(self, node: NodeRecord) -> None:
        number = self.record.number
        self._ledger.tell(node.node, f"operation {number}", OperationTouched(number, node))

    def _finish(self) -> None:
        for node in self.record.nodes:
            if not node.state.ended:
                text = "the engine was stopped before it was begun"
                self._end(
                    msgspec.structs.replace(node, state=OperationState.CANCELLED, error="cancelled", message=text)
                )
        state = outcome(self.record.nodes)
        self.record = msgspec.structs.replace(self.record, state=state, end=time.time())
        self._ledger.changed(self.record)
        done = sum(node.state is OperationState.DONE for node in self.record.nodes)
        result = f"{state}: {done} of {len(self.record.nodes)} nodes done"
        self._ledger.audit(self.record.by, "", f"{self.record.cli} (operation {self.record.number})", result)


def outcome(nodes: tuple[NodeRecord, ...]) -> OperationState:
    """The state of an operation whose nodes have all ended."""
    states = {node.state for node in nodes}
    for state in (OperationState.CANCELLED, OperationState.FAILED):
        if state in states:
            return state
    return OperationState.DONE


def mark_interrupted(record: OperationRecord, wall: float) -> OperationRecord:
    """What is to be said of an operation that a former engine did not finish.

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
