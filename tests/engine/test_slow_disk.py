"""A disk that takes long: what an engine says of it, and what goes on meanwhile."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from plasmatui.engine import ledger
from plasmatui.journal import sqlite
from plasmatui.model import wire
from plasmatui.model.operation import PowerOrder
from plasmatui.model.words import OperationState, PowerAction
from tests.engine.conftest import Start, until
from tests.engine.test_service import Seen, order


class StuckDisk:
    """A disk that does not end the writes of a journal while `stuck`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        self.free.set()
        real = sqlite._commit

        def commit(connection: sqlite3.Connection, work: sqlite._Work) -> int:
            self.free.wait(120.0)
            return real(connection, work)

        monkeypatch.setattr(sqlite, "_commit", commit)


async def test_a_disk_that_hangs_is_said_and_holds_up_no_machine(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LATE", 0.2)
    monkeypatch.setattr(sqlite, "READ_LIMIT", 0.2)
    monkeypatch.setattr(ledger, "INTENT_LIMIT", 0.2)
    disk = StuckDisk(monkeypatch)
    running = await start(2)
    async with await running.client() as client:
        seen = await Seen(client).watch()
        disk.free.clear()
        record = await order(client, PowerOrder(PowerAction.ON), "n1", "n2")
        await until(lambda: seen.ended(record.number), 60.0)
        assert seen.operations[record.number].state is OperationState.DONE
        await until(lambda: any("is behind" in text for each in seen.batches for text in each.notices), 60.0)
        assert "is behind" in running.engine.status().journal
        assert isinstance(await client.ask(wire.ListEvents("", 0, 10)), wire.Events), "readers do not wait for it"
        disk.free.set()
        await until(lambda: not running.engine.status().journal, 60.0)
        kept = await client.ask(wire.ListOperations(5))
        assert isinstance(kept, wire.Operations)
        assert [each.state for each in kept.operations] == [OperationState.DONE]
