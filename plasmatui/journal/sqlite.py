"""The journal in SQLite: one writer thread with a bounded memory, readers beside it.

WAL with `synchronous=NORMAL` survives the death of the process at any point; a power cut may cost the last commits,
not the file. What concerns operations is synchronised with the disk, so that no power cut costs the intent
of a step. Disk full, read-only or corrupt files never stop the engine: lines wait in memory and are written when the
file takes them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import msgspec

from plasmatui.journal.journal import Numbers
from plasmatui.journal.schema import NewerSchemaError, prepare, prune
from plasmatui.model.event import AuditLine, Event, EventLine
from plasmatui.model.operation import OperationRecord

T = TypeVar("T")

MAX_PENDING = 20_000
"""Unwritten rows that are kept in memory while the file cannot be written."""

MAX_UNTRIED = 10 * MAX_PENDING
"""Unwritten rows that are kept in memory before it is known whether the file takes them: who has many at once waits
(`flush`) until it took the former ones."""

RETRY = 5.0
"""Seconds between two tries to write after a failure."""

CLOSE_LIMIT = 5.0

LATE = 5.0
"""Seconds after which a write that is under way is worth a word."""

READ_LIMIT = 3.0
"""Seconds that a reader waits for what was given before to be written."""

PRUNE_EVERY = 10_000
"""Rows written between two looks at what is too old to be kept."""

_EVENT = "INSERT OR REPLACE INTO events VALUES (?,?,?,?,?,?,?)"
_AUDIT = "INSERT OR IGNORE INTO audit VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_AUDIT_READ = "SELECT number, wall, actor, node, text, result, uid, client, operation, before, after FROM audit"
_OPERATION = "INSERT OR REPLACE INTO operations VALUES (?,?,?,?)"

_NONE: tuple[OperationRecord, ...] = ()

_encode = msgspec.msgpack.Encoder().encode
_decode_operation = msgspec.msgpack.Decoder(OperationRecord).decode

Row = tuple[str, tuple[object, ...]]


@dataclass(frozen=True)
class _Work:
    """What one transaction writes; after it, everything up to the `upto`th thing given is settled."""

    rows: list[Row]
    operations: dict[int, OperationRecord]
    upto: int
    closing: bool


class SqliteJournal:
    """See `Journal`.

    Args:
        path: the database file; its directory must exist.
        on_problem: called on the loop when the journal stops or begins again to be kept, with `problem`.
    """

    def __init__(self, path: Path, on_problem: Callable[[str], None] = lambda _: None, *, retry: float = RETRY) -> None:
        self.problem = ""
        self.lost = 0
        self._path = path
        self.on_problem = on_problem
        self._retry = retry
        self._pending: deque[Row] = deque()
        self._operations: dict[int, OperationRecord] = {}
        self._corrupt = False
        self._unpruned = 0
        self._writing = 0.0  # monotonic begin of the write that is under way, 0: none is
        self._given = 0
        self._settled = 0
        self._waiters: deque[tuple[int, asyncio.Future[bool]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")

    # --- life -----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[bool] = self._loop.create_future()
        self._waiters.append((0, opened))
        self._thread = threading.Thread(target=self._write_all, name="journal-writer", daemon=True)
        self._thread.start()
        await opened

    async def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        thread = self._thread
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._readers, thread.join, CLOSE_LIMIT)
        self._readers.shutdown(wait=False)

    @property
    def late(self) -> str:
        """What to tell people of a disk that takes long over a write, "" while none does."""
        begin = self._writing
        if not begin or time.monotonic() - begin < LATE:
            return ""
        return (
            f"the journal {self._path} is behind: its disk has been at one write for more than {LATE:g} s; "
            "until that ends, nothing that destroys data is begun"
        )

    # --- writing --------------------------------------------------------------------------------------------------

    def add_event(self, line: EventLine, event: Event) -> None:
        row = (line.number, line.wall, line.node, line.source, line.kind, line.text, _encode(event))
        self._put((_EVENT, row))

    def add_audit(self, line: AuditLine) -> None:
        self._put((_AUDIT, msgspec.structs.astuple(line)))

    def put_operation(self, record: OperationRecord) -> None:
        with self._wake:
            # Encoded when it is written: a large operation changes more often than the file does.
            self._operations[record.number] = record
            self._given += 1
            self._wake.notify()

    async def flush(self) -> bool:
        with self._wake:
            if self._settled >= self._given or self.problem:
                # While it cannot be written there is no use in waiting: the next try may be seconds away.
                return not self.problem
            future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._waiters.append((self._given, future))
        return await future

    def put_rows(self, rows: Iterable[Row]) -> None:
        """Statements with their values, written in one transaction."""
        with self._wake:
            self._pending.extend(rows)
            self._given += 1
            self._trim()
            self._wake.notify()

    def _put(self, row: Row) -> None:
        self.put_rows((row,))

    def _trim(self) -> None:
        most = MAX_PENDING if self.problem else MAX_UNTRIED
        while len(self._pending) > most:
            self._pending.popleft()
            self.lost += 1

    # --- the writer's thread --------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        try:
            self._write_on()
        finally:  # whatever ended it, nobody waits for it for ever
            with self._wake:
                if not self._closing:
                    self.problem = f"the journal {self._path} is not kept: its writer has ended; restart the engine"
            self._on_loop(self._release, False)

    def _write_on(self) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            work = self._next(wait=connection is not None)
            self._writing = time.monotonic()
            try:
                if connection is None:
                    connection = self._open()
                    prune(connection)
                elif self._unpruned >= PRUNE_EVERY:
                    prune(connection)
                    self._unpruned = 0
                lost = _commit(connection, work)
                self._unpruned += len(work.rows) + len(work.operations)
            except (sqlite3.Error, UnicodeDecodeError, OSError, NewerSchemaError) as error:
                _close(connection)
                connection = None
                self._failed(work, error)
                if work.closing:
                    break
                continue
            self._written(work, lost)
            if work.closing:
                break
        _close(connection)

    def _next(self, *, wait: bool) -> _Work:
        """All that is to be written. Without `wait` (the file is to be opened) there may be nothing."""
        with self._wake:
            if self.problem:
                self._wake.wait_for(lambda: self._closing, self._retry)
            elif wait:
                self._wake.wait_for(lambda: self._pending or self._operations or self._closing)
            work = _Work(list(self._pending), dict(self._operations), self._given, self._closing)
            self._pending.clear()
            self._operations.clear()
            return work

    def _open(self) -> sqlite3.Connection:
        try:
            _make(self._path)
            if not self._corrupt:
                return _connect(self._path)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not _is_corrupt(error):
                raise
        aside = self._path.with_name(f"{self._path.name}.corrupt-{int(time.time())}")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._path.rename(aside)
        self._corrupt = False
        self._tell(f"the journal was corrupt; it was moved to {aside} and a new one was begun")
        _make(self._path)
        return _connect(self._path)

    def _written(self, work: _Work, lost: int) -> None:
        with self._wake:
            self._writing = 0.0
            self._settled = work.upto
            self.lost += lost
            was, self.problem = self.problem, ""
        if was:
            self._tell(f"the journal is kept again{f'; {self.lost} lines were lost' if self.lost else ''}")
        self._on_loop(self._release, True)

    def _failed(self, work: _Work, error: Exception) -> None:
        with self._wake:
            self._writing = 0.0
            self._pending.extendleft(reversed(work.rows))
            self._operations = work.operations | self._operations
            self._corrupt = self._corrupt or _is_corrupt(error)
            was = self.problem
            self.problem = f"the journal {self._path} is not kept: {error}"
            self._trim()
        if self.problem != was:
            self._tell(self.problem)
        self._on_loop(self._release, False)

    def _tell(self, text: str) -> None:
        self._on_loop(self._say, text)

    def _say(self, text: str) -> None:
        self.on_problem(text)

    def _on_loop(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to be told
            self._loop.call_soon_threadsafe(function, *args)

    def _release(self, ok: bool) -> None:
        """On the loop: answer those whose rows are written, or all when they cannot be."""
        while self._waiters and (not ok or self._waiters[0][0] <= self._settled):
            _, future = self._waiters.popleft()
            if not future.done():
                future.set_result(ok)

    # --- reading --------------------------------------------------------------------------------------------------

    async def last_numbers(self) -> Numbers:
        def read(connection: sqlite3.Connection) -> Numbers:
            def highest(table: str) -> int:
                return int(connection.execute(f"SELECT COALESCE(MAX(number), 0) FROM {table}").fetchone()[0])  # noqa: S608

            return Numbers(highest("events"), highest("audit"), highest("operations"))

        # A journal that cannot be read may already use any small number: go on from a number that grows with time.
        now = int(time.time())
        return await self.read(read, Numbers(now * 1000, now * 1000, now))

    async def events(self, node: str, before: int, limit: int) -> tuple[EventLine, ...]:
        def read(connection: sqlite3.Connection) -> tuple[EventLine, ...]:
            where, values = ["number < ?", "text != ''"], [before if before > 0 else 1 << 62, limit]
            if node:
                where.append("node = ?")
                values.insert(1, node)  # type: ignore[arg-type]
            query = f"SELECT number, wall, node, source, kind, text FROM events WHERE {' AND '.join(where)}"  # noqa: S608
            rows = connection.execute(f"{query} ORDER BY number DESC LIMIT ?", values)
            return tuple(EventLine(*row) for row in rows)

        kept = await self.read(read, tuple[EventLine, ...]())
        waiting = (EventLine(*row[:6]) for row in self._unwritten(_EVENT))  # type: ignore[arg-type]
        fits = [
            line
            for line in waiting
            if line.text and (not node or line.node == node) and (before <= 0 or line.number < before)
        ]
        return _newest(kept, fits, limit, lambda line: line.number)

    async def audit(
        self, limit: int, nodes: tuple[str, ...] = (), since: float = 0.0, user: str = ""
    ) -> tuple[AuditLine, ...]:
        names = frozenset(nodes)

        def read(connection: sqlite3.Connection) -> tuple[AuditLine, ...]:
            connection.create_function("wanted", 1, lambda node: node in names, deterministic=True)
            where = ["wall >= ?"]
            values: list[object] = [since]
            if user:
                where.append("actor = ?")
                values.append(user)
            if names:  # by a function, since SQLite takes no more than so many values
                where.append("wanted(node)")
            query = f"{_AUDIT_READ} WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT ?"
            return tuple(AuditLine(*row) for row in connection.execute(query, (*values, limit)))

        kept = await self.read(read, tuple[AuditLine, ...]())
        waiting = [AuditLine(*row) for row in self._unwritten(_AUDIT)]  # type: ignore[arg-type]
        fits = [
            line
            for line in waiting
            if line.wall >= since and user in ("", line.by) and (not names or line.node in names)
        ]
        return _newest(kept, fits, limit, lambda line: line.number)

    async def operations(self, limit: int, number: int = 0) -> tuple[OperationRecord, ...]:
        where, values = ("number = ?", (number, limit)) if number else ("1", (limit,))
        query = f"SELECT record FROM operations WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608
        kept = await self.read(lambda connection: _records(connection.execute(query, values)), _NONE)
        with self._wake:
            waiting = tuple(self._operations.values())
        fits = [record for record in waiting if not number or record.number == number]
        return _newest(kept, fits, limit, lambda record: record.number)

    async def unfinished(self) -> tuple[OperationRecord, ...]:
        query = "SELECT record FROM operations WHERE NOT ended ORDER BY number"
        return await self.read(lambda connection: _records(connection.execute(query)), _NONE)

    async def read(self, read: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What `read` finds in the file, or `otherwise` when it cannot be read. A disk that takes long over a write is
        not waited for: what it has not written by then is missing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_LIMIT):
                await self.flush()
        if not self._path.exists():
            return otherwise

        def run() -> T:
            # Read-only, without a lock file of its own when the directory cannot be written.
            mode = "mode=ro&immutable=1" if self.problem else "mode=ro"
            connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?{mode}", uri=True)
            try:
                return read(connection)
            finally:
                connection.close()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, run)
        except (sqlite3.Error, msgspec.DecodeError, TypeError, ValueError, OverflowError):
            return otherwise  # a bit that fell over may make a number of a text, too

    def _unwritten(self, statement: str) -> list[tuple[object, ...]]:
        with self._wake:
            return [row for kind, row in self._pending if kind == statement]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=True)
    try:
        prepare(connection)
    except (sqlite3.Error, UnicodeDecodeError, NewerSchemaError):
        connection.close()
        raise
    return connection


def _close(connection: sqlite3.Connection | None) -> None:
    """Close, as far as that is possible."""
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _make(path: Path) -> None:
    """Make the file private before SQLite makes it readable."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _is_corrupt(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return True  # what SQLite says of a damaged schema quotes it, and is no text then
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _write_some(connection: sqlite3.Connection, statement: str, rows: Iterator[tuple[object, ...]]) -> int:
    """Write rows; return how many SQLite can never take. Those before and after such a row are written."""
    lost = 0
    while True:
        try:
            connection.executemany(statement, rows)
        except (UnicodeEncodeError, OverflowError):
            lost += 1  # the row that `rows` gave last
        else:
            return lost


def _commit(connection: sqlite3.Connection, work: _Work) -> int:
    """Write in one transaction; return how many rows SQLite can never take (a lone surrogate, a number too big)."""
    if not work.rows and not work.operations:
        return 0
    lost = 0
    connection.execute(f"PRAGMA synchronous={'FULL' if work.operations else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement, rows in groupby(work.rows, key=itemgetter(0)):
            lost += _write_some(connection, statement, (values for _, values in rows))
        for record in work.operations.values():
            values = (record.number, record.begin, int(record.state.ended), _encode(record))
            connection.execute(_OPERATION, values)
        connection.execute("COMMIT")
    except sqlite3.Error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return lost


def _records(rows: sqlite3.Cursor) -> tuple[OperationRecord, ...]:
    return tuple(record for row in rows if (record := _record(row[0])) is not None)


def _record(blob: object) -> OperationRecord | None:
    """An operation; None for one that is damaged or of another program, which must not hide the others."""
    try:
        return _decode_operation(blob) if isinstance(blob, bytes) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _newest(kept: tuple[T, ...], waiting: list[T], limit: int, number: Callable[[T], int]) -> tuple[T, ...]:
    """Written and unwritten ones together, newest first; of one number the later (unwritten) wins."""
    by_number = {number(each): each for each in (*kept, *waiting)}
    return tuple(by_number[key] for key in sorted(by_number, reverse=True)[:limit])
