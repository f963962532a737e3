"""What the journal tells of a moment that is over: where to begin, the events from there, and operations."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model.event import Event, EventLine
from plasmatui.model.operation import OperationRecord

STATES: Final = "nodes-known"
"""Kind of `model.event.NodesKnown`; its source is "engine" where an engine begins."""

CHUNK: Final = 4000
"""Events that are read in one go; other readers get their turn in between."""

_LAST: Final = (
    "SELECT number, wall FROM events WHERE number >= ? AND number < ? AND wall <= ? ORDER BY number DESC LIMIT 1"
)

_event = msgspec.msgpack.Decoder(Event).decode
_operation = msgspec.msgpack.Decoder(OperationRecord).decode


class Place(msgspec.Struct, frozen=True):
    """Where a moment is among the events.

    Attributes:
        first: number of the event that tells all states, from which to begin.
        last: number of the newest event that is not after the moment, told at `heard` (Unix seconds).
        over: whether that is the last one of its engine: nothing is kept until the next began.
    """

    first: int
    last: int
    heard: float
    over: bool


class PastJournal:
    """Reads a journal; see the module. What cannot be read is as if it were not kept."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    async def oldest(self) -> float:
        """From when on it can be told what was known, Unix seconds; 0 when nothing is kept."""

        def read(connection: sqlite3.Connection) -> float:
            query = "SELECT wall FROM events WHERE node = '' AND kind = ? ORDER BY number LIMIT 1"
            found = connection.execute(query, (STATES,)).fetchone()
            return float(found[0]) if found else 0.0

        return await self._journal.read(read, 0.0)

    async def place(self, at: float) -> Place | None:
        """Where a moment is; None when nothing is kept of it."""

        def read(connection: sqlite3.Connection) -> Place | None:
            query = "SELECT number FROM events WHERE node = '' AND kind = ? AND wall <= ? ORDER BY number DESC LIMIT 1"
            first = connection.execute(query, (STATES, at)).fetchone()
            if first is None:
                return None
            query = "SELECT MIN(number) FROM events WHERE node = '' AND kind = ? AND source = 'engine' AND number > ?"
            (following,) = connection.execute(query, (STATES, first[0])).fetchone()
            end = following if following is not None else 1 << 62
            last, heard = connection.execute(_LAST, (first[0], end, at)).fetchone()
            (newest,) = connection.execute("SELECT MAX(number) FROM events WHERE number < ?", (end,)).fetchone()
            return Place(first[0], last, heard, following is not None and last == newest)

        return await self._journal.read(read, None)

    async def neighbour(self, at: float, step: int) -> float:
        """When the event for people before (-1) or after (1) a moment was told, Unix seconds; 0 when there is none."""

        def read(connection: sqlite3.Connection) -> float:
            query = "SELECT wall FROM events WHERE text != '' AND wall < ? ORDER BY number DESC LIMIT 1"
            values: tuple[float, ...] = (at,)
            if step > 0:
                last = connection.execute(_LAST, (0, 1 << 62, at)).fetchone()
                query = "SELECT wall FROM events WHERE text != '' AND wall > ? AND number > ? ORDER BY number LIMIT 1"
                values = (at, last[0] if last else 0)
            found = connection.execute(query, values).fetchone()
            return float(found[0]) if found else 0.0

        return await self._journal.read(read, 0.0)

    async def events(self, first: int, upto: int) -> tuple[tuple[int, Event], ...]:
        """Up to `CHUNK` events with their numbers, oldest first; what this program cannot read is left out."""

        def read(connection: sqlite3.Connection) -> tuple[tuple[int, Event], ...]:
            query = "SELECT number, payload FROM events WHERE number >= ? AND number <= ? ORDER BY number LIMIT ?"
            rows = connection.execute(query, (first, upto, CHUNK))
            return tuple((number, event) for number, blob in rows if (event := _decoded(blob)) is not None)

        return await self._journal.read(read, tuple[tuple[int, Event], ...]())

    async def lines(self, upto: int, limit: int) -> tuple[EventLine, ...]:
        """The newest events for people up to a number, oldest first."""
        return tuple(reversed(await self._journal.events("", upto + 1, limit)))

    async def operations(self, at: float, limit: int) -> tuple[OperationRecord, ...]:
        """Operations that had begun, as they are now, newest first."""

        def read(connection: sqlite3.Connection) -> tuple[OperationRecord, ...]:
            query = "SELECT record FROM operations WHERE begin <= ? ORDER BY number DESC LIMIT ?"
            return tuple(_operation(row[0]) for row in connection.execute(query, (at, limit)))

        return await self._journal.read(read, tuple[OperationRecord, ...]())


def _decoded(blob: bytes) -> Event | None:
    try:
        return _event(blob)
    except msgspec.DecodeError:  # of another version of this program
        return None
