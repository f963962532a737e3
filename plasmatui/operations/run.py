"""One operation: many nodes at a pace, each failing alone, until all have ended, whoever is attached."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from plasmatui.bmc.controller import BmcError
from plasmatui.model.event import OperationTouched
from plasmatui.model.operation import NodeRecord, OperationRecord, Pace, Step, StepRecord
from plasmatui.model.words import OperationState
from plasmatui.operations.desk import Desk
from plasmatui.operations.kinds import kind_of, word_of
from plasmatui.operations.pacing import Budget, Starts
from plasmatui.operations.plans import queued
from plasmatui.operations.ports import Locks
from plasmatui.operations.rollout import Turns
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

Prior = Mapping[str, Mapping[str, StepRecord]]
"""What an earlier run did: by node, the last record of each step."""


class Run:
    """One operation of the runner.

    Args:
        freed: called when a node was released that other operations may wait for.
    """

    def __init__(
        self,
        record: OperationRecord,
        site: Site,
        locks: Locks,
        budget: Budget,
        prior: Prior,
        *,
        freed: Callable[[], None],
    ) -> None:
        self.record = record
        self.task: asyncio.Task[None] | None = None
        self._site = site
        self._locks = locks
        self._budget = budget
        self._prior = prior
        self._freed = freed
        self._kind = kind_of(record.order)
        self._index = {node.node: place for place, node in enumerate(record.nodes)}
        self._states = Counter(node.state for node in record.nodes)
        racks = {node.name: node.rack for node in site.inventory().nodes.values()}
        waves = self._kind.waves(record.order, tuple(self._index), site) if self._kind.waves is not None else ()
        self._turns = Turns(waves)
        pace = Pace(len(record.nodes)) if waves else record.pace  # those that take turns are all begun at once
        self._starts = Starts(pace, racks)
        self._works: dict[str, NodeWork] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._disturbed: set[str] = set()
        self._stood: dict[str, str] = {}
        self._leave = ""
        self._stopped = False
        self._news = asyncio.Event()
        self._open = asyncio.Event()
        if not record.held:
            self._open.set()

    def publish(self) -> None:
        """Tell what was decided at the beginning, and take the nodes that are free."""
        number = self.record.number
        held = self._locks.take([node.node for node in self.record.nodes if not node.state.ended], number)
        nodes = tuple(
            msgspec.structs.replace(node, message=queued(node.node, held[node.node])) if node.node in held else node
            for node in self.record.nodes
        )
        self.record = msgspec.structs.replace(self.record, nodes=nodes)
        self._set_state()
        self._site.ledger.changed(self.record)
        for node in self.record.nodes:
            if node.node not in held:
                self._touch(node)
            if node.state.ended:
                self._turns.ended(node)
            elif self._was_disturbed(node.node):
                self._disturbed.add(node.node)
                self._site.guard.resume(node.node, number)

    def _was_disturbed(self, node: str) -> bool:
        """Whether an earlier run of this operation took the node away: it may still be."""
        prior = self._prior.get(node, {})
        if self.record.retry_of or not prior:
            return False
        try:
            steps = self._kind.steps(self.record.order, node, self._site)
        except (BmcError, KeyError):
            return True  # nobody can tell any more
        return any(step.disruptive and step.id in prior for step in steps)

    # --- orders ---------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something changed that a node may have waited for."""
        self._news.set()

    def cancel(self, reason: str) -> None:
        """Begin nothing more, leave what can be left."""
        if self._leave:
            return
        self._leave = reason
        for work in self._works.values():
            work.leave(reason)
        for node in self.record.nodes:
            if node.state is OperationState.WAITING and node.node not in self._works:
                self._end(_cancelled(node, f"{reason} before it was begun"))
        self._open.set()
        self.wake()

    def hold(self, reason: str) -> None:
        """Begin nothing more until `release`."""
        self._open.clear()
        self.record = msgspec.structs.replace(self.record, held=reason)
        self._set_state()
        self._site.ledger.changed(self.record)

    def release(self) -> None:
        """Go on."""
        self.record = msgspec.structs.replace(self.record, held="")
        self._set_state()
        self._site.ledger.changed(self.record)
        self._open.set()
        self.wake()

    def answer(self, node: str, answer: str) -> bool:
        """A person's answer for a node that is held; False when it does not ask or does not take it."""
        work = self._works.get(node)
        return work is not None and work.answer(answer)

    def stop(self) -> None:
        """The engine is stopped."""
        if not self._kind.resumes:
            self.cancel("the engine was stopped")
            return
        self._stopped = True
        for work in self._works.values():
            work.suspend()
        self._open.set()
        self.wake()

    # --- the run --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Begin nodes as the pace allows, until all have ended."""
        try:
            while not self._stopped:
                self._news.clear()
                pause = self._begin_what_may()
                if not self._unended:
                    break
                try:
                    async with asyncio.timeout(pause):
                        await self._news.wait()
                except TimeoutError:
                    pass
            if self._tasks:
                await asyncio.wait(self._tasks)
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            raise
        finally:
            if not self._stopped:
                self._finish()

    def _begin_what_may(self) -> float | None:
        """Begin every node that may begin now; seconds until another may, None when that depends on news."""
        for node in self.record.nodes:
            if node.state is not OperationState.WAITING or node.node in self._works:
                continue
            if self._leave or not self._open.is_set() or self._starts.full:
                return None
            pause = max(self._starts.wait(), self._budget.wait() if self._kind.downloads else 0.0)
            if pause > 0:
                return pause
            if self._starts.fits(node.node) and self._lock(node):
                self._start(node)
        return None

    def _lock(self, node: NodeRecord) -> bool:
        """Take a node; while another operation has it, say so."""
        holder = self._locks.take((node.node,), self.record.number).get(node.node, 0)
        text = queued(node.node, holder) if holder else ""
        if node.message != text:
            self._keep(msgspec.structs.replace(node, message=text))
        return not holder

    def _start(self, node: NodeRecord) -> None:
        node = self.record.nodes[self._index[node.node]]
        try:
            steps = self._kind.steps(self.record.order, node.node, self._site)
        except BmcError as error:  # the node's BMC was taken out of the inventory meanwhile
            self._end(msgspec.structs.replace(node, state=OperationState.FAILED, error=error.id, message=error.message))
            return
        except KeyError:
            text = f"{node.node} is no longer in the inventory"
            self._end(msgspec.structs.replace(node, state=OperationState.FAILED, error="unknown-node", message=text))
            return
        if self._kind.downloads:
            self._budget.spend(self._site.boots.boot_bytes(node.node), self.record.pace.bandwidth)
        if locked := self._locked(node.node):
            self._end(msgspec.structs.replace(node, state=OperationState.FAILED, error="locked", message=locked))
            return
        self._stood[node.node] = self._site.ledger.standing(node.node)
        self._starts.begin(node.node)
        work = self._work(msgspec.structs.replace(node, planned=len(steps)), steps)
        self._works[node.node] = work
        task = asyncio.create_task(self._node(work), name=f"operation {self.record.number}: {node.node}")
        self._tasks.add(task)
        task.add_done_callback(self._node_ended)

    def _locked(self, node: str) -> str:
        """Why a node that waited is not begun: somebody else has locked it since. What was begun is finished."""
        record = self.record
        if record.break_lock or self._prior.get(node):
            return ""
        return self._site.locked((node,), record.origin.uid)

    def _work(self, node: NodeRecord, steps: tuple[Step, ...]) -> NodeWork:
        record = self.record
        desk = Desk(
            record.number,
            word_of(record.order),
            record.by,
            record.override,
            frozenset(self._index),
            bool(record.retry_of),
            record.origin,
            record.pace,
            self._turns,
            self._kind.absence,
            keep=self._keep,
            show=self._show,
            intent=lambda: self._site.ledger.intent(self.record),
            gate=self._gate,
            held=lambda: not self._open.is_set(),
        )
        prior = self._prior.get(node.node, {})
        return NodeWork(node, steps, self._site, desk, prior, disturbed=node.node in self._disturbed)

    async def _gate(self) -> None:
        await self._open.wait()

    async def _node(self, work: NodeWork) -> None:
        order = self.record.order
        try:
            await work.run(lambda each: self._kind.act(each, order))
        finally:
            del self._works[work.node]
            self._starts.end(work.node)
            if self._stopped:
                self._locks.release(work.node, self.record.number)
            else:
                self._end(work.record)

    def _node_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wake()
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": f"{task.get_name()} failed", "exception": error, "task": task}
            )

    # --- the record -----------------------------------------------------------------------------------------------

    @property
    def _unended(self) -> int:
        return sum(count for state, count in self._states.items() if not state.ended)

    def _put(self, node: NodeRecord) -> None:
        nodes = list(self.record.nodes)
        place = self._index[node.node]
        if nodes[place].state is not node.state:  # counted, since a thousand nodes change thousands of times
            self._states[nodes[place].state] -= 1
            self._states[node.state] += 1
        nodes[place] = node
        self.record = msgspec.structs.replace(self.record, nodes=tuple(nodes))

    def _keep(self, node: NodeRecord) -> None:
        self._put(node)
        self._set_state()
        self._site.ledger.changed(self.record)

    def _show(self, node: NodeRecord) -> None:
        self._put(node)
        self._site.ledger.progress(self.record)

    def _set_state(self) -> None:
        """Held when it is held as a whole, or when every node that is not over waits for a person."""
        asks = 0 < self._unended == self._states[OperationState.HELD]
        state = OperationState.HELD if self.record.held or asks else OperationState.RUNNING
        if state is not self.record.state:
            self.record = msgspec.structs.replace(self.record, state=state)

    def _end(self, node: NodeRecord) -> None:
        self._site.guard.leave(node.node, self.record.number)
        self._keep(node)
        self._audit_end(node)
        self._turns.ended(node)
        self._locks.release(node.node, self.record.number)
        self._touch(node)
        self._freed()

    def _audit(self, node: str, result: str, before: str = "", after: str = "") -> None:
        record = self.record
        self._site.ledger.audit(
            record.by,
            node,
            f"{record.cli} (operation {record.number})",
            result,
            origin=record.origin,
            operation=record.number,
            before=before,
            after=after,
        )

    def _audit_end(self, node: NodeRecord) -> None:
        """What the order did to a node: what it changes by its own words, else how the node stands."""
        stood = self._stood.pop(node.node, "")
        before, after = (node.before, node.after) if node.before else (stood, self._site.ledger.standing(node.node))
        self._audit(node.node, f"{node.state}{': ' if node.message else ''}{node.message}", before, after)

    def _touch(self, node: NodeRecord) -> None:
        number = self.record.number
        self._site.ledger.tell(node.node, f"operation {number}", OperationTouched(number, node))

    def _finish(self) -> None:
        for node in self.record.nodes:
            if not node.state.ended:
                self._end(_cancelled(node, "the engine was stopped before it was begun"))
        state = outcome(self.record.nodes, cancelled=bool(self._leave) or self._kind.waves is None)
        self.record = msgspec.structs.replace(self.record, state=state, end=time.time(), held="")
        self._site.ledger.changed(self.record)
        done = sum(node.state is OperationState.DONE for node in self.record.nodes)
        result = f"{state}: {done} of {len(self.record.nodes)} nodes done"
        self._audit("", result)


def outcome(nodes: tuple[NodeRecord, ...], *, cancelled: bool) -> OperationState:
    """The state of an operation whose nodes have all ended; `cancelled`: nodes were left for a person, and not
    because another one failed."""
    states = {node.state for node in nodes}
    first = (OperationState.CANCELLED, OperationState.FAILED)
    for state in first if cancelled else reversed(first):
        if state in states:
            return state
    return OperationState.DONE


def _cancelled(node: NodeRecord, text: str) -> NodeRecord:
    return msgspec.structs.replace(node, state=OperationState.CANCELLED, error="cancelled", message=text)
