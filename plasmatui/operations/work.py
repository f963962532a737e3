"""One node's part of an operation: its steps, written down before and after, with limits; how it is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from plasmatui.bmc.controller import BmcError, Controller
from plasmatui.model.event import Payload
from plasmatui.model.operation import NodeRecord, Step, StepRecord
from plasmatui.model.words import OperationState, StepResult
from plasmatui.operations.ports import Ledger, Machines
from plasmatui.text import clean_line

T = TypeVar("T")


class NodeFailedError(Exception):
    """The node's part failed: `id` for programs, `message` for people."""

    def __init__(self, id: str, message: str) -> None:  # noqa: A002 - the field's name in the record
        super().__init__(message)
        self.id = id
        self.message = message


class NodeLeftError(Exception):
    """The node's part was cancelled; the message says what had been done."""


class NodeWork:
    """What the modules of the single orders (power, bootdev, identify) work with.

    Args:
        steps: the node's steps as planned; `step` takes them by id.
        keep: writes the node's record into the operation's; awaited before a step begins, so that it is journalled.
    """

    def __init__(
        self,
        record: NodeRecord,
        steps: tuple[Step, ...],
        *,
        number: int,
        by: str,
        machines: Machines,
        ledger: Ledger,
        keep: Callable[[NodeRecord], None],
        intent: Callable[[], Awaitable[None]],
    ) -> None:
        self.node = record.node
        self.machines = machines
        self.record = record
        self._steps = {step.id: step for step in steps}
        self._number = number
        self._by = by
        self._ledger = ledger
        self._keep = keep
        self._intent = intent
        self._acting = False
        self._leave = ""
        self._task: asyncio.Task[None] | None = None

    # --- for the orders -------------------------------------------------------------------------------------------

    async def step(self, id_: str, do: Callable[[], Awaitable[T]], *, acts: bool = False) -> T:
        """Do one planned step within its limit; write down the intent before and the result after.

        Args:
            acts: it changes the machine: it goes into the audit, and a cancel lets it finish.

        Raises:
            NodeFailedError: the BMC refuses, cannot be reached, or does not answer in time.
            NodeLeftError: the operation was cancelled.
        """
        if self._leave:
            raise NodeLeftError(self._left())
        step = self._steps[id_]
        started = StepRecord(step.id, step.text, step.command, time.time())
        self.update(steps=(*self.record.steps, started))
        self._acting = acts
        try:
            await self._intent()
            async with asyncio.timeout(step.limit):
                result = await do()
        except BmcError as error:
            raise self._failed(started, error.id, clean_line(error.message), acts) from None
        except TimeoutError:
            text = f"{self.node}: {step.text}: no answer within {step.limit:g} s"
            raise self._failed(started, "timeout", text, acts) from None
        except asyncio.CancelledError:
            if acts or not self._is_left():
                self._end(started, StepResult.UNCERTAIN, "the engine ended before the result was known")
                raise
            current = asyncio.current_task()
            assert current is not None
            current.uncancel()
            self._end(started, StepResult.SKIPPED, f"left: {self._leave}")
            raise NodeLeftError(self._left()) from None
        finally:
            self._acting = False
        self._end(started, StepResult.DONE, "")
        if acts:
            self._ledger.audit(self._by, self.node, step.command, "done")
        return result

    def controller(self) -> Controller:
        """The node's controller, in the name of who gave the order. Raises `BmcError` without a BMC."""
        return self.machines.controller(self.node, self._by)

    def skip(self, id_: str, message: str) -> None:
        """Write down that a planned step is not needed."""
        step = self._steps[id_]
        now = time.time()
        record = StepRecord(step.id, step.text, step.command, now, now, StepResult.SKIPPED, message)
        self.update(steps=(*self.record.steps, record))

    def limit(self, id_: str) -> float:
        """Seconds that a planned step may take."""
        return self._steps[id_].limit

    def tell(self, payload: Payload) -> None:
        """A fact about the node that came to light."""
        self._ledger.tell(self.node, f"operation {self._number}", payload)

    def update(self, **fields: object) -> None:
        """Change the node's record ("before", "after", "message" ...)."""
        self.record = msgspec.structs.replace(self.record, **fields)
        self._keep(self.record)

    def amend(self, result: StepResult, message: str) -> None:
        """Correct the result of the last step: it ran, but what it found says otherwise."""
        *others, last = self.record.steps
        self.update(steps=(*others, msgspec.structs.replace(last, result=result, message=message)))

    # --- for the runner -------------------------------------------------------------------------------------------

    async def run(self, act: Callable[[NodeWork], Awaitable[None]]) -> None:
        """Do the node's part. Its record always ends in an ended state; a failure stays with this node."""
        self._task = asyncio.current_task()
        self.update(state=OperationState.RUNNING)
        try:
            await act(self)
        except NodeFailedError as error:
            self.update(state=OperationState.FAILED, error=error.id, message=error.message)
        except NodeLeftError as error:
            self.update(state=OperationState.CANCELLED, error="cancelled", message=str(error))
        except asyncio.CancelledError:
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
        if self._task is not None and not self._acting:
            self._task.cancel()

    def _is_left(self) -> bool:
        # A method, because `leave` sets it while a step is awaited.
        return bool(self._leave)

    def _left(self) -> str:
        acted = [step for step in self.record.steps if step.result is StepResult.DONE and self._acts(step.id)]
        if not acted:
            return f"{self._leave}; nothing had been changed"
        return f"{self._leave} after {acted[-1].id}; its effect was not waited for"

    def _acts(self, id_: str) -> bool:
        return not id_.startswith(("read-", "wait-", "verify-"))

    def _last_step(self) -> str:
        return self.record.steps[-1].id if self.record.steps else "the beginning"

    def _failed(self, started: StepRecord, id_: str, message: str, acts: bool) -> NodeFailedError:
        # An order that was not answered may have been carried out all the same.
        lost = acts and id_ in ("timeout", "bmc-unreachable", "bmc-reset")
        self._end(started, StepResult.UNCERTAIN if lost else StepResult.FAILED, message)
        if acts:
            self._ledger.audit(self._by, self.node, started.command, f"{'uncertain' if lost else 'failed'}: {message}")
        return NodeFailedError(id_, message)

    def _end(self, started: StepRecord, result: StepResult, message: str) -> None:
        ended = msgspec.structs.replace(started, end=time.time(), result=result, message=message)
        self.update(steps=(*self.record.steps[:-1], ended))
