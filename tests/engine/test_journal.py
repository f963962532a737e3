"""The journal: what is kept, in which order, and what happens when the disk does not play along."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from plasmatui.journal import schema, sqlite
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model.event import AuditLine, Event, EventLine, PowerSeen
from plasmatui.model.operation import NodeRecord, OperationRecord, Pace, PowerOrder
from plasmatui.model.words import OperationState, Power, PowerAction
from tests.engine.conftest import until


def line(number: int, node: str = "n1", text: str = "power on") -> tuple[EventLine, Event]:
    return EventLine(number, float(number), node, "ipmi", "power", text), Event(
        node, "ipmi", PowerSeen(Power.ON), float(number), 0.0
    )


def operation(number: int, state: OperationState = OperationState.RUNNING) -> OperationRecord:
    return OperationRecord(
        number, PowerOrder(PowerAction.ON), "anna", "plasmatui power on n1", 1.0, state, (NodeRecord("n1"),), Pace()
    )


async def opened(path: Path, said: list[str] | None = None) -> SqliteJournal:
    journal = SqliteJournal(path, (said if said is not None else []).append, retry=0.05)
    await journal.open()
    return journal


async def test_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = await opened(path)
    for number in range(1, 11):
        journal.add_event(*line(number, "n1" if number % 2 else "n2"))
    journal.add_audit(AuditLine(1, 1.0, "anna", "n1", "power on", "done"))
    journal.put_operation(operation(1, OperationState.DONE))
    journal.put_operation(operation(2))
    assert await journal.flush()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await journal.close()

    journal = await opened(path)
    numbers = await journal.last_numbers()
    assert (numbers.event, numbers.audit, numbers.operation) == (10, 1, 2)
    assert [each.number for each in await journal.events("", 0, 3)] == [10, 9, 8]
    assert [each.number for each in await journal.events("n1", 7, 10)] == [5, 3, 1]
    assert await journal.audit(5) == (AuditLine(1, 1.0, "anna", "n1", "power on", "done"),)
    assert [each.number for each in await journal.operations(5)] == [2, 1]
    assert await journal.operations(5, 1) == (operation(1, OperationState.DONE),)
    assert await journal.unfinished() == (operation(2),)
    await journal.close()


async def test_the_oldest_rows_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEPT_EVENTS", "KEPT_AUDIT", "KEPT_OPERATIONS"):
        monkeypatch.setattr(schema, name, 3)
    monkeypatch.setattr(sqlite, "PRUNE_EVERY", 5)
    path = tmp_path / "journal.db"
    journal = await opened(path)
    journal.put_operation(operation(1))
    for number in (1, 2, 3, 1000, 1001):  # numbers leap after a journal that could not be read
        journal.add_event(*line(number))
        journal.add_audit(AuditLine(number, 1.0, "anna", "n1", "power on", "done"))
        journal.put_operation(operation(number + 1, OperationState.DONE))
        assert await journal.flush()
    journal.add_event(*line(1002))
    await journal.close()

    journal = await opened(path)
    assert [each.number for each in await journal.events("", 0, 9)] == [1002, 1001, 1000]
    assert [each.number for each in await journal.audit(9)] == [1001, 1000, 3]
    assert [each.number for each in await journal.operations(9)] == [1002, 1001, 4, 1]
    assert await journal.unfinished() == (operation(1),)
    await journal.close()


async def test_the_latest_record_of_an_operation_wins(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "journal.db")
    for state in (OperationState.PLANNED, OperationState.RUNNING, OperationState.DONE):
        journal.put_operation(operation(7, state))
    assert await journal.operations(5) == (operation(7, OperationState.DONE),)
    assert await journal.unfinished() == ()
    await journal.close()


async def test_a_killed_writer_leaves_what_was_flushed(tmp_path: Path) -> None:
    """`flush` is what an intent waits for: another process sees it at once, whatever happens to this one."""
    path = tmp_path / "journal.db"
    journal = await opened(path)
    journal.put_operation(operation(3))
    await journal.flush()
    other = sqlite3.connect(path)
    assert other.execute("SELECT number, ended FROM operations").fetchall() == [(3, 0)]
    other.close()
    await journal.close()


class FullDisk:
    """Makes the writing of rows fail as a full disk does, while `full`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        real = sqlite._commit

        def commit(connection: sqlite3.Connection, work: sqlite._Work) -> int:
            if self.full and (work.rows or work.operations):
                raise sqlite3.OperationalError("database or disk is full")
            return real(connection, work)

        monkeypatch.setattr(sqlite, "_commit", commit)


async def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch)
    said: list[str] = []
    journal = await opened(tmp_path / "journal.db", said)
    journal.add_event(*line(1))
    assert not await journal.flush()
    assert "disk is full" in journal.problem
    journal.add_event(*line(2))
    journal.put_operation(operation(1))
    assert not await asyncio.wait_for(journal.flush(), 1.0), "nobody waits for a disk that is known to be full"
    assert [each.number for each in await journal.events("", 0, 10)] == [2, 1], "readers see the unwritten"
    assert [each.number for each in await journal.operations(10)] == [1]
    disk.full = False
    await until(lambda: not journal.problem)
    assert await journal.flush()
    assert said[0].endswith("disk is full")
    assert "kept again" in said[-1]
    await journal.close()
    journal = await opened(tmp_path / "journal.db")
    assert [each.number for each in await journal.events("", 0, 10)] == [2, 1]
    assert (await journal.last_numbers()).operation == 1
    assert journal.lost == 0
    await journal.close()


async def test_memory_is_bounded_and_losses_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_PENDING", 10)
    disk = FullDisk(monkeypatch)
    said: list[str] = []
    journal = await opened(tmp_path / "journal.db", said)
    for number in range(1, 26):
        journal.add_event(*line(number))
        await journal.flush()
    disk.full = False
    await until(lambda: not journal.problem and journal._settled == journal._given)
    assert [each.number for each in await journal.events("", 0, 100)] == list(range(25, 15, -1))
    assert journal.lost == 15
    assert "15 lines were lost" in said[-1]
    await journal.close()


async def test_a_corrupt_journal_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database, and never was" * 100)
    said: list[str] = []
    journal = await opened(path, said)
    journal.add_event(*line(1))
    assert await journal.flush()
    await until(lambda: said)
    aside = [tmp_path / name for name in os.listdir(tmp_path) if "corrupt" in name]
    assert len(aside) == 1
    assert str(aside[0]) in said[0]
    assert aside[0].read_bytes().startswith(b"this is no database")
    assert [each.number for each in await journal.events("", 0, 10)] == [1]
    await journal.close()


async def test_corruption_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    journal = await opened(tmp_path / "journal.db", said)
    real = sqlite._commit
    broken = [True]

    def commit(connection: sqlite3.Connection, work: sqlite._Work) -> int:
        if work.rows and broken.pop():
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            broken.append(False)
            raise error
        return real(connection, work)

    monkeypatch.setattr(sqlite, "_commit", commit)
    journal.add_event(*line(1))
    await journal.flush()
    await until(lambda: not journal.problem)
    assert any("moved to" in text for text in said)
    assert [each.number for each in await journal.events("", 0, 10)] == [1]
    await journal.close()


async def test_a_newer_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    before = path.read_bytes()
    journal = await opened(path)
    journal.add_event(*line(1))
    assert "update plasmatui" in journal.problem
    assert [each.number for each in await journal.events("", 0, 10)] == [1]
    await journal.close()
    assert path.read_bytes() == before


async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    said: list[str] = []
    journal = await opened(tmp_path / "missing" / "journal.db", said)
    assert journal.problem
    assert (await journal.last_numbers()).event > 10**9, "numbers that cannot clash with those in the unread file"
    (tmp_path / "missing").mkdir()
    journal.add_event(*line(5))
    await until(lambda: not journal.problem)
    await journal.flush()
    assert [each.number for each in await journal.events("", 0, 10)] == [5]
    await journal.close()


async def test_a_row_that_sqlite_never_takes_does_not_block_the_rest(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "journal.db")
    for number, node in enumerate(("n1", "\udc80", "n1", "\udc80", "\udc80", "n1"), 1):
        journal.add_audit(AuditLine(number, 1.0, "anna", node, "a lone surrogate is no text"))
    assert await journal.flush()
    assert [each.number for each in await journal.audit(9)] == [6, 3, 1]
    assert journal.lost == 3
    await journal.close()


async def test_writing_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    stuck = threading.Event()
    real = sqlite._commit

    def commit(connection: sqlite3.Connection, work: sqlite._Work) -> int:
        if work.rows:
            stuck.wait(5)
        return real(connection, work)

    monkeypatch.setattr(sqlite, "_commit", commit)
    journal = await opened(tmp_path / "journal.db")
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(1, 2001):
        journal.add_event(*line(number))
    assert loop.time() - begin < 0.5
    stuck.set()
    assert await journal.flush()
    await journal.close()
    assert os.stat(tmp_path / "journal.db").st_size > 50_000
