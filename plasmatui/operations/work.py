"""One node's part of an operation: steps, written down before and after, with limits; how it is left and resumed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from plasmatui.bmc.controller import BmcError, Controller
from plasmatui.model.command import CommandError
from plasmatui.model.event import Payload
from plasmatui.model.operation import NodeRecord, Step, StepRecord
from plasmatui.model.words import OperationState, StepResult
from plasmatui.operations.desk import Desk
from plasmatui.operations.endings import AGAIN, DONE, STOP, NodeFailedError, NodeLeftError
from plasmatui.operations.history import History
from plasmatui.operations.site import Site
from plasmatui.text import clean_line

T = TypeVar("T")

PROGRESS_PACE = 0.5
"""Seconds between two reports of a step's progress."""


class NodeWork:
    """What the modules of the single orders (power, boot, install ...) work with.

    Args:
        steps: the node's steps as planned; `look` and `act` take them by id. The guard is left by the runner.
        prior: what an earlier run (before the engine was restarted, or the operation that is tried again) did.
        disturbed: the guard counts the node as lost already.

    Attributes:
        former_boot: number of the boot that the last power order of this run ended, 0: none; None: not known.
    """

    def __init__(
        self,
        record: NodeRecord,
        steps: tuple[Step, ...],
        site: Site,
        desk: Desk,
        prior: Mapping[str, StepRecord],
        *,
        disturbed: bool = False,
    ) -> None:
        self.node = record.node
        self.site = site
        self.record = record
        self.number = desk.number
        self.by = desk.by
        self.peers = desk.peers
        self.again = desk.again
        self.pace = desk.pace
        self.turns = desk.turns
        self.former_boot: int | None = None
        self.history = History(prior, lambda: self.record.steps)
        self._steps = {step.id: step for step in steps}
        self._desk = desk
        self._met: set[str] = set()
        self._acting = False
        self._leave = ""
        self._committed = False
        self._suspended = False
        self._guarded = self._taken = disturbed
        self._stop: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[str] | None = None
        self._limit: asyncio.Timeout | None = None
        self._reported = 0.0

    # --- for the orders: steps ------------------------------------------------------------------------------------

    async def look(self, id_: str, do: Callable[[], Awaitable[T]]) -> T:
        """Do a planned step that changes nothing. After a restart it is done again.

        Raises:
            NodeFailedError: what is asked refuses, cannot be reached, or does not answer in time.
            NodeLeftError: the operation was cancelled.
        """
        started = await self._begin(self._steps[id_])
        result = await self._perform(started, do, acts=False)
        self._end(started, StepResult.DONE, "")
        return result

    async def act(
        self,
        id_: str,
        do: Callable[[], Awaitable[object]],
        *,
        seen: Callable[[], Awaitable[bool | None]] | None = None,
        stop: Callable[[], None] | None = None,
        afresh: bool = False,
    ) -> None:
        """Do a planned step that changes the machine: it is audited, guarded when disruptive, and never done twice.

        Args:
            seen: looks whether a step that was interrupted took effect: True; False when it certainly did nothing, or
                may be done again; None when that cannot be told, so that a person is asked.
                It may take as long as the step, when what was begun still runs elsewhere.
            stop: asks a long step to end when the operation is cancelled; `do` then raises `NodeLeftError` and says
                what it leaves behind. Without it a cancel waits for the step's end.
            afresh: ask the guard once more, although it let the node's first disruptive step pass.

        Raises: as `look`.
        """
        step = self._steps[id_]
        if afresh:
            self._guarded = False
        self._stop = stop
        prior = None if id_ in self._met else self.history.before(id_)
        self._met.add(id_)
        if prior is not None and prior.result in (StepResult.DONE, StepResult.SKIPPED):
            self.update(steps=(*self.record.steps, prior))
            return
        if step.disruptive:
            await self._pass_guard(step)
        interrupted = prior is not None and prior.result in (None, StepResult.UNCERTAIN)
        if prior is not None and interrupted:
            if await self._settle(step, prior, seen):
                return
            if step.disruptive:  # it was not taken yet: what was true before the engine's end may be so no more
                self._guarded = False
                await self._pass_guard(step)
        started = await self._begin(step)
        await self._perform(started, do, acts=True)
        self._end(started, StepResult.DONE, "")
        self._desk_audit(step, "done")

    def skip(self, id_: str, message: str) -> None:
        """Write down that a planned step is not needed."""
        step = self._steps[id_]
        now = time.time()
        record = StepRecord(step.id, step.text, step.command, now, now, StepResult.SKIPPED, message)
        self.update(steps=(*self.record.steps, record))

    def limit(self, id_: str) -> float:
        """Seconds that a planned step may take."""
        return self._steps[id_].limit

    def amend(self, result: StepResult, message: str) -> None:
        """Correct the result of the last step: it ran, but what it found says otherwise."""
        *others, last = self.record.steps
        self.update(steps=(*others, msgspec.structs.replace(last, result=result, message=message)))

    async def remember(self, id_: str, do: Callable[[], Awaitable[str]]) -> str:
        """As `look`, for what is found once and holds until the node's end, also after a restart: the text that `do`
        gives, which is kept as the step's message."""
        if (earlier := self.history.last(id_)) is not None and earlier.result is StepResult.DONE:
            self.update(steps=(*self.record.steps, earlier))
            return earlier.message
        found = clean_line(await self.look(id_, do), 4000)
        self.amend(StepResult.DONE, found)
        return found

    def commit(self) -> None:
        """From now on the node's part is brought to its end: it is neither cancelled nor held half-way."""
        self._committed = True

    @contextlib.contextmanager
    def uncancelled(self) -> Iterator[None]:
        """What is inside is brought to its end; a cancel that comes meanwhile counts behind it."""
        before, self._committed = self._committed, True
        try:
            yield
        finally:
            self._committed = before

    @property
    def suspended(self) -> bool:
        """The engine stops, and another goes on: what runs by itself is left alone."""
        return self._suspended

    @property
    def left(self) -> str:
        """Why the operation was cancelled, "" when it was not, or the node's part is finished all the same."""
        return "" if self._committed else self._leave

    @property
    def overridden(self) -> bool:
        """The guard was overridden by the cluster's name."""
        return self._desk.override

    async def judge(self) -> None:
        """Ask the guard again of a node that was disturbed before: the others may be less well than they were then.

        Raises:
            NodeFailedError: "refused".
        """
        if self._desk.override:
            return
        refused, _ = await self.site.guard.look(frozenset((self.node,)), self._desk.absence)
        if refused:
            raise NodeFailedError("refused", f"{self.node}: {refused}")

    # --- for the orders: what is said -----------------------------------------------------------------------------

    def progress(self, text: str, percent: float | None = None) -> None:
        """What the running step does now. Told at most twice a second."""
        now = time.monotonic()
        if now - self._reported < PROGRESS_PACE or not self.record.steps:
            return
        *others, last = self.record.steps
        text = clean_line(text, 200)
        if (last.progress, last.percent) == (text, percent):
            return
        self._reported = now
        last = msgspec.structs.replace(last, progress=text, percent=percent)
        self.record = msgspec.structs.replace(self.record, steps=(*others, last))
        self._desk.show(self.record)

    def log(self, text: str) -> None:
        """Clean lines that the step printed."""
        self.site.ledger.log(self.number, self.node, text)

    def tell(self, payload: Payload) -> None:
        """A fact about the node that came to light."""
        self.site.ledger.tell(self.node, f"operation {self.number}", payload)

    def update(self, **fields: object) -> None:
        """Change the node's record ("before", "after", "message" ...)."""
        self.record = msgspec.structs.replace(self.record, **fields)
        self._desk.keep(self.record)

    async def ask(self, question: str, answers: tuple[str, ...]) -> str:
        """Hold the node until a person has answered with one of `answers`. A step that asks has its time afterwards.

        Raises:
            NodeLeftError: the operation was cancelled instead.
        """
        if self._is_left():
            raise NodeLeftError(self._left())
        self._answer = asyncio.get_running_loop().create_future()
        self.update(state=OperationState.HELD, question=question, answers=answers)
        self.log(f"held: {question}")
        await self._desk.intent()
        try:
            with self._unlimited():
                answer = await self._answer
        except asyncio.CancelledError:
            self._uncancel()
            raise NodeLeftError(self._left()) from None
        finally:
            self._answer = None
        self.update(state=OperationState.RUNNING, question="", answers=())
        self.log(f"answered: {answer}")
        return answer

    @contextlib.contextmanager
    def _unlimited(self) -> Iterator[None]:
        """Stop the running step's clock: a person may answer tomorrow."""
        limit, loop = self._limit, asyncio.get_running_loop()
        when = limit.when() if limit is not None else None
        if limit is None or when is None or limit.expired():
            yield
            return
        left = when - loop.time()
        limit.reschedule(None)
        try:
            yield
        finally:
            limit.reschedule(loop.time() + left)

    # --- for the orders: the outside ------------------------------------------------------------------------------

    def controller(self) -> Controller:
        """The node's controller, in the name of who gave the order. Raises `BmcError` without a BMC."""
        return self.site.machines.controller(self.node, self.by)

    # --- for the runner -------------------------------------------------------------------------------------------

    async def run(self, act: Callable[[NodeWork], Awaitable[None]]) -> None:
        """Do the node's part. Its record always ends in an ended state, unless it is suspended; a failure stays with
        this node."""
        self._task = asyncio.current_task()
        self.update(state=OperationState.RUNNING)
        try:
            await act(self)
        except NodeFailedError as error:
            evidence = tuple(clean_line(line, 300) for line in error.evidence)
            self.update(state=OperationState.FAILED, error=error.id, message=error.message, evidence=evidence)
        except NodeLeftError as error:
            self.update(state=OperationState.CANCELLED, error="cancelled", message=str(error))
        except asyncio.CancelledError:
            if not self._suspended:
                text = f"the engine was stopped during {self._last_step()}; what the machine does is not known"
                self.update(state=OperationState.FAILED, error="uncertain", message=text)
            raise
        except Exception as error:
            text = f"{self.node}: the engine failed ({type(error).__name__}); its log has the details"
            self.update(state=OperationState.FAILED, error="internal", message=text)
            raise
        else:
            self.update(state=OperationState.DONE)
        finally:
            self._task = None

    def leave(self, reason: str) -> None:
        """Cancel: an order on its way is finished, a wait or a reading is left, nothing new is begun."""
        self._leave = reason
        if self._task is None or self._committed:
            return
        if not self._acting:
            self._task.cancel()
        elif self._stop is not None:
            self._stop()

    def suspend(self) -> None:
        """The engine stops and another will go on: leave everything as it is."""
        self._suspended = True
        if self._task is not None:
            self._task.cancel()

    def answer(self, answer: str) -> bool:
        """Take a person's answer; False when nothing is asked or it is not one of the answers."""
        if self._answer is None or self._answer.done() or answer not in self.record.answers:
            return False
        self._answer.set_result(answer)
        return True

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _begin(self, step: Step, begin: float = 0.0) -> StepRecord:
        await self._open_gate()
        usual = self.site.ledger.usual(self._desk.word, step.id)
        started = StepRecord(step.id, step.text, step.command, begin or time.time(), usual=usual)
        self._reported = 0.0
        self.update(steps=(*self.record.steps, started))
        return started

    async def _perform(self, started: StepRecord, do: Callable[[], Awaitable[T]], *, acts: bool) -> T:
        step = self._steps[started.id]
        self._acting = acts
        try:
            if not await self._desk.intent() and step.destroys:
                text = (
                    f"{self.node}: {step.text} is not begun, since the journal is not kept: see plasmatui engine status"
                )
                raise NodeFailedError("journal", text)
            async with asyncio.timeout(step.limit) as self._limit:
                return await do()
        except (BmcError, CommandError) as error:
            raise self._failed(started, error.id, clean_line(error.message), acts) from None
        except NodeFailedError as error:
            raise self._failed(started, error.id, error.message, acts, error.evidence) from None
        except NodeLeftError as error:
            self._end(started, StepResult.UNCERTAIN, str(error))
            self._desk_audit(step, f"left: {error}")
            raise
        except TimeoutError:
            last = self.record.steps[-1].progress
            text = f"{self.node}: {step.text}: no answer within {step.limit:g} s" + (f" ({last})" if last else "")
            raise self._failed(started, "timeout", text, acts) from None
        except asyncio.CancelledError:
            if self._suspended:
                raise
            if acts or not self._is_left():
                self._end(started, StepResult.UNCERTAIN, "the engine ended before the result was known")
                raise
            self._uncancel()
            self._end(started, StepResult.SKIPPED, f"left: {self._leave}")
            raise NodeLeftError(self._left()) from None
        finally:
            self._acting = False
            self._limit = None

    async def _settle(self, step: Step, prior: StepRecord, seen: Callable[[], Awaitable[bool | None]] | None) -> bool:
        """Find out whether a step that was interrupted took effect; whether it need not be done any more."""
        found: bool | None = None
        started = await self._begin(step, prior.begin)
        if seen is not None:
            found = await self._perform(started, seen, acts=self._stop is not None)
        if found:
            self._end(started, StepResult.DONE, "begun before the engine was restarted, and seen to be done")
            self._desk_audit(step, "done")
            return True
        if found is False:
            self._end(started, StepResult.SKIPPED, "interrupted by the engine's end, and seen not to be done")
            return False
        self._end(started, StepResult.UNCERTAIN, "the engine ended before the result was known")
        warning = " It deletes data." if step.destroys else ""
        answer = await self.ask(
            f"{self.node}: {step.text}: it was begun, and it is not known whether it was done.{warning} "
            f"Answer {AGAIN} to do it again, {DONE} to take it as done, {STOP} to leave the node as it is",
            (AGAIN, DONE, STOP),
        )
        self._desk_audit(step, f"a person answered: {answer}")
        if answer == STOP:
            raise NodeLeftError(f"left at {step.id}, as a person decided")
        if answer == DONE:
            self.amend(StepResult.DONE, "taken as done by a person")
        return answer == DONE

    async def _pass_guard(self, step: Step) -> None:
        """Ask the guard just before the step. An operation that is held meanwhile asks again when it goes on, since
        another voter may be lost by then."""
        guard, desk = self.site.guard, self._desk
        while not self._guarded:
            await self._open_gate()
            refusal = await guard.enter(self.node, self.number, override=desk.override, absence=desk.absence)
            if not refusal:
                self._guarded = self._committed or not desk.held()
                if not self._guarded and not self._taken:
                    guard.leave(self.node, self.number)
            elif not await self._turn(refusal):
                self._desk_audit(step, f"refused: {refusal}")
                raise NodeFailedError("refused", f"{self.node}: {refusal}")
        self._taken = True

    async def _open_gate(self) -> None:
        """Wait while the operation is held, unless the node's part is brought to its end."""
        if not self._committed:
            try:
                await self._desk.gate()
            except asyncio.CancelledError:
                if not self._leave:
                    raise
                self._uncancel()
        if self._is_left():
            raise NodeLeftError(self._left())

    async def _turn(self, refusal: str) -> bool:
        """A refusal may be due to nodes that operations hold now: wait for one to be given back, and ask again."""
        message = self.record.message
        self.update(message=f"waits its turn: {refusal}")
        try:
            return await self.site.guard.turn(self.node)
        except asyncio.CancelledError:
            self._uncancel()
            raise NodeLeftError(self._left()) from None
        finally:
            self.record = msgspec.structs.replace(self.record, message=message)

    def _is_left(self) -> bool:
        # A method, because `leave` sets it while a step is awaited.
        return bool(self.left)

    def _uncancel(self) -> None:
        if self._suspended:
            raise asyncio.CancelledError
        current = asyncio.current_task()
        assert current is not None
        current.uncancel()

    def _left(self) -> str:
        acted = [step for step in self.record.steps if step.result is StepResult.DONE and self._acts(step.id)]
        if not acted:
            return f"{self._leave}; nothing had been changed"
        return f"{self._leave} after {acted[-1].id}; its effect was not waited for"

    def _acts(self, id_: str) -> bool:
        return not id_.startswith(("read-", "wait-", "verify-", "check-", "see-", "build", "copy"))

    def _last_step(self) -> str:
        return self.record.steps[-1].id if self.record.steps else "the beginning"

    def _failed(
        self, started: StepRecord, id_: str, message: str, acts: bool, evidence: tuple[str, ...] = ()
    ) -> NodeFailedError:
        # An order that was not answered may have been carried out all the same.
        lost = acts and id_ in ("timeout", "bmc-unreachable", "bmc-reset", "ssh-lost", "uncertain")
        self._end(started, StepResult.UNCERTAIN if lost else StepResult.FAILED, message)
        if acts:
            self._desk_audit(self._steps[started.id], f"{'uncertain' if lost else 'failed'}: {message}")
        return NodeFailedError(id_, message, evidence)

    def _desk_audit(self, step: Step, result: str) -> None:
        self.site.ledger.audit(
            self.by, self.node, step.command, result, origin=self._desk.origin, operation=self.number
        )

    def _end(self, started: StepRecord, result: StepResult, message: str) -> None:
        last = self.record.steps[-1]
        ended = msgspec.structs.replace(last, end=time.time(), result=result, message=message)
        self.update(steps=(*self.record.steps[:-1], ended))
