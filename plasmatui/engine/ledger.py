"""Where operations write down what they do: the journal keeps it, the store tells it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from statistics import median

from plasmatui.engine.oplogs import OperationLogs
from plasmatui.engine.store import Store
from plasmatui.journal.journal import Journal
from plasmatui.model.event import OperationTouched, Payload
from plasmatui.model.operation import OperationRecord, Origin
from plasmatui.model.words import OperationState, StepResult

INTENT_LIMIT = 3.0
"""Seconds that a step waits for the journal at most: a slow disk must not hold up a machine."""

ENOUGH = 3
"""Runs of a step below which nothing counts as its usual time."""


class JournalLedger:
    """The ledger of operations. See `operations.ports.Ledger`.

    Args:
        on_touch: called when an operation took or released a node.
    """

    def __init__(self, store: Store, journal: Journal, logs: OperationLogs, on_touch: Callable[[], None]) -> None:
        self._store = store
        self._journal = journal
        self._logs = logs
        self._on_touch = on_touch
        self._usual: dict[tuple[str, str], float] = {}

    async def intent(self, record: OperationRecord) -> bool:
        self._journal.put_operation(record)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTENT_LIMIT):
                return await self._journal.flush()
        return False

    def changed(self, record: OperationRecord) -> None:
        self._journal.put_operation(record)
        self._store.operation(record)
        if record.state.ended:
            self._usual.clear()

    def progress(self, record: OperationRecord) -> None:
        self._store.operation(record)

    def log(self, number: int, node: str, text: str) -> None:
        self._logs.add(number, node, text)

    def tell(self, node: str, source: str, payload: Payload) -> None:
        self._store.tell(node, source, payload)
        if isinstance(payload, OperationTouched):
            self._on_touch()

    def audit(
        self,
        by: str,
        node: str,
        text: str,
        result: str = "",
        *,
        origin: Origin,
        operation: int = 0,
        before: str = "",
        after: str = "",
    ) -> None:
        self._store.audit(by, node, text, result, origin=origin, operation=operation, before=before, after=after)

    def standing(self, node: str) -> str:
        state = self._store.states.get(node)
        return "" if state is None else " ".join((state.lifecycle, *state.flags))

    def usual(self, word: str, step: str) -> float:
        key = (word, step)
        if key not in self._usual:
            times = [
                each.end - each.begin
                for record in self._store.operations.values()
                if record.order.__struct_config__.tag == word
                for node in record.nodes
                if node.state is OperationState.DONE
                for each in node.steps
                if each.id == step and each.result is StepResult.DONE
            ]
            self._usual[key] = median(times) if len(times) >= ENOUGH else 0.0
        return self._usual[key]
