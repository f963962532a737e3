"""What the journal keeps of boots: how far logs were read, signals of running boots, boots, usual durations."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from plasmatui.journal.sqlite import Row, SqliteJournal
from plasmatui.model.boot import BootTimeline, Signal
from plasmatui.model.words import Stage

SIGNALS_KEPT = 2000
"""Signals of one boot that are read back at most, the oldest of them."""

DURATIONS_READ = 20_000

_POSITION = "INSERT OR REPLACE INTO positions VALUES (?,?)"
_SIGNAL = "INSERT INTO signals (node, boot, heard, signal) VALUES (?,?,?,?)"
_FORGET = "DELETE FROM signals WHERE node = ? AND boot < ?"
_BOOT = "INSERT OR REPLACE INTO boots (node, boot, timeline) VALUES (?,?,?)"
_DURATION = "INSERT OR REPLACE INTO durations (node, boot, profile, stage, seconds) VALUES (?,?,?,?,?)"

_encode = msgspec.msgpack.Encoder().encode
_signal = msgspec.msgpack.Decoder(Signal).decode
_timeline = msgspec.msgpack.Decoder(BootTimeline).decode


SignalRow = tuple[str, int, float, bytes]
"""Node, number of the boot, when it was heard, and the signal as `encoded`."""


def encoded(signal: Signal) -> bytes:
    """A signal as it is kept; done when it comes, so that nobody waits for many at once."""
    return _encode(signal)


class KeptSignal(msgspec.Struct, frozen=True):
    """A signal of boot `boot` of a node, heard at Unix seconds `heard`."""

    node: str
    boot: int
    heard: float
    signal: Signal


class Duration(msgspec.Struct, frozen=True):
    """A stage of a boot that went well took `seconds`."""

    node: str
    boot: int
    profile: str
    stage: Stage
    seconds: float


class Recalled(msgspec.Struct, frozen=True):
    """What a new engine goes on from.

    Attributes:
        positions: of log sources, in their own words.
        signals: of the last two boots of each node, in the order in which they were heard.
        boots: the last boot of each node.
        durations: oldest first.
    """

    positions: dict[str, bytes] = {}
    signals: tuple[KeptSignal, ...] = ()
    boots: dict[str, BootTimeline] = {}
    durations: tuple[Duration, ...] = ()


class BootJournal:
    """Tables of a journal that belong to boot watch."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal

    def keep(
        self,
        signals: Iterable[SignalRow] = (),
        positions: Mapping[str, bytes] | None = None,
        boots: Iterable[BootTimeline] = (),
        durations: Iterable[Duration] = (),
    ) -> None:
        """Keep all of this together: who reads it back finds all or nothing, so that no line counts twice or never."""
        rows: list[Row] = [(_SIGNAL, row) for row in signals]
        rows += [(_POSITION, item) for item in (positions or {}).items()]
        for boot in boots:
            rows.append((_BOOT, (boot.node, boot.number, _encode(boot))))
            rows.append((_FORGET, (boot.node, boot.number - 1)))
        rows += [(_DURATION, (d.node, d.boot, d.profile, d.stage.value, d.seconds)) for d in durations]
        if rows:
            self._journal.put_rows(rows)

    async def written(self, limit: float) -> bool:
        """Wait until all that was given is in the file, or cannot be written now; False after `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                await self._journal.flush()
        except TimeoutError:
            return False
        return True

    async def recall(self) -> Recalled:
        """What was kept; nothing when it cannot be read."""
        return await self._journal.read(_recall, Recalled())

    async def boots(self, node: str, limit: int) -> tuple[BootTimeline, ...]:
        """The boots of a node, newest first."""

        def read(connection: sqlite3.Connection) -> tuple[BootTimeline, ...]:
            query = "SELECT timeline FROM boots WHERE node = ? ORDER BY boot DESC LIMIT ?"
            return tuple(_timeline(row[0]) for row in connection.execute(query, (node, limit)))

        return await self._journal.read(read, tuple[BootTimeline, ...]())


def _recall(connection: sqlite3.Connection) -> Recalled:
    positions = dict(connection.execute("SELECT source, position FROM positions"))
    last = (
        "SELECT b.timeline FROM boots b JOIN (SELECT node, MAX(boot) boot FROM boots GROUP BY node) USING (node, boot)"
    )
    boots = [_timeline(row[0]) for row in connection.execute(last)]
    counts: dict[tuple[str, int], int] = {}
    signals: list[KeptSignal] = []
    for node, boot, heard, blob in connection.execute(
        "SELECT node, boot, heard, signal FROM signals ORDER BY heard, number"
    ):
        counts[node, boot] = counts.get((node, boot), 0) + 1
        if counts[node, boot] <= SIGNALS_KEPT:
            signals.append(KeptSignal(node, boot, heard, _signal(blob)))
    query = "SELECT node, boot, profile, stage, seconds FROM durations ORDER BY number DESC LIMIT ?"
    durations = [Duration(n, b, p, Stage(s), t) for n, b, p, s, t in connection.execute(query, (DURATIONS_READ,))]
    return Recalled(positions, tuple(signals), {boot.node: boot for boot in boots}, tuple(reversed(durations)))
