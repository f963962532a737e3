"""Where operations write down what they do: the journal keeps it, the store tells it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from plasmatui.engine.store import Store
from plasmatui.journal.journal import Journal
from plasmatui.model.event import OperationTouched, Payload
from plasmatui.model.operation import OperationRecord

INTENT_LIMIT = 3.0
"""Seconds that a step waits for the journal at most: a slow disk must not hold up a machine."""


class JournalLedger:
    """The ledger of operations. See `operations.ports.Ledger`.

    Args:
        on_touch: called when an operation took or released a node.
    """

    def __init__(self, store: Store, journal: Journal, on_touch: Callable[[], None]) -> None:
        self._store = store
        self._journal = journal
        self._on_touch = on_touch

    async def intent(self, record: OperationRecord) -> None:
        self._journal.put_operation(record)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTENT_LIMIT):
                await self._journal.flush()

    def changed(self, record: OperationRecord) -> None:
        self._journal.put_operation(record)
        self._store.operation(record)

    def tell(self, node: str, source: str, payload: Payload) -> None:
        self._store.tell(node, source, payload)
        if isinstance(payload, OperationTouched):
            self._on_touch()

    def audit(self, by: str, node: str, text: str, result: str = "") -> None:
        self._store.audit(by, node, text, result)
