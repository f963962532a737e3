"""Where lines come from: the inventory's log sources and the consoles; each line is kept, and read for signals once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from plasmatui.engine.boots import BootWatch
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.inventory import LogSource as LogEntry
from plasmatui.model.boot import Signal, SourceState
from plasmatui.model.command import CommandError, Commands
from plasmatui.text import decode
from plasmatui.watch.facts import is_aside
from plasmatui.watch.lines import LineStore
from plasmatui.watch.parser import LogParser
from plasmatui.watch.parsers import make_parser
from plasmatui.watch.parsers.prefix import PrefixReader
from plasmatui.watch.sources.base import Batch, LogLine, LogSource, Position, SourceStatus
from plasmatui.watch.sources.factory import make_source, source_name
from plasmatui.watch.sources.supervised import SourceTroubleError

log = logging.getLogger(__name__)

BACK = 900.0
"""Seconds that a log which was never read before is read back, so that boots under way are seen."""

CATCHING_UP = 10.0
"""Seconds after its start during which a source's old lines count as heard when they were written."""

MOMENT = 5.0
"""Seconds that a line may be written before it is read; a clock that is farther away is not believed."""

BELIEVED = 60.0
"""Seconds between a line's own time and its arrival from which on clocks or time zones differ: it stands as it came."""

RECALLED = 512 * 1024
"""Bytes of a log that an engine keeps again when it begins."""

RECALL_STEP = 128

_STATUS = {SourceStatus.RUNNING: "running", SourceStatus.FAILED: "failed"}

_encode = msgspec.msgpack.Encoder().encode
_position = msgspec.msgpack.Decoder(Position).decode


def stored_position(blob: bytes | None) -> Position | None:
    """A position as the journal keeps it; None when there is none, or when it is not to be understood."""
    if blob is None:
        return None
    try:
        return _position(blob)
    except msgspec.MsgspecError:
        return None


class LogFeed:
    """One log source with its parser.

    Attributes:
        name: unique; stands in the evidence. entry: as in the inventory.
    """

    def __init__(
        self,
        name: str,
        entry: LogEntry,
        lines: LineStore,
        boots: BootWatch,
        connect: Callable[[str], Commands],
        position: Position | None,
        on_lines: Callable[[], None],
    ) -> None:
        self.name = name
        self.entry = entry
        self.moved = False
        self._lines = lines
        self._boots = boots
        self._on_lines = on_lines
        self._parser = make_parser(entry.format, name)
        self._prefix = PrefixReader()
        self._last = 0.0
        self._begun = time.time()
        self._latest = 0.0
        self._failed = 0
        self._begin: asyncio.Task[None] | None = None
        self._aside: Signal | None = None
        lines.add_source(name, entry.kind)
        self.source: LogSource = make_source(
            entry,
            self._on_batch,
            connect=connect,
            start=self._begun - BACK,
            position=position,
            stamp=self._stamp(),
        )
        self.source.room = boots.room.free

    @property
    def state(self) -> SourceState:
        """How it is now, as clients see it."""
        state, count = self.source.state, self._lines.counts()[self.name]
        return SourceState(
            name=self.name,
            kind=self.entry.kind,
            format=self.entry.format,
            where=self.entry.ssh or "this host",
            status=_STATUS.get(state.status, "waiting"),
            message=state.reason,
            lag=round(state.lag_seconds, 1),
            lines=state.lines,
            dropped=count.dropped_lines,
            last=self._last,
        )

    def position(self) -> bytes:
        """How far it was read, for the journal."""
        self.moved = False
        return _encode(self.source.position)

    def start(self) -> None:
        """Keep again what a former engine read, and follow."""
        if self._begin is None:
            self._begin = asyncio.create_task(self._start(), name=f"lines of before {self.name}")

    async def close(self) -> None:
        """Follow no more."""
        if self._begin is not None:
            self._begin.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._begin
        await self.source.close()

    async def _start(self) -> None:
        try:
            await self._recall()
        except (OSError, CommandError, SourceTroubleError) as error:
            log.info("%s: what was read before is not shown again: %s", self.name, error)
        self.source.start()

    async def _recall(self) -> None:
        """Keep the last lines that a former engine read, so that they are shown and bundled; their signals were heard.
        Done before the first new line, because a source's lines are kept in the order in which they came."""
        recalled, now = await self.source.recall(RECALLED), time.time()
        parser = make_parser(self.entry.format, self.name)
        for begin in range(0, len(recalled), RECALL_STEP):
            lines = recalled[begin : begin + RECALL_STEP]
            walls: list[float | None] = []
            nodes: list[str] = []
            for line in lines:
                text = decode(line.raw)
                signals = self._signals(parser, text, line.number)
                owners = (self._boots.owners.of(signal) for signal in signals)
                nodes.append(next((owner for owner in owners if owner), "") or self._boots.owners.named_in(text))
                own = signals[0].wall if signals else self._prefix.split(text)[0]
                walls.append(line.wall if line.wall is not None else own)
            self._lines.append(self.name, lines, now, walls, nodes)
            self._on_lines()
            await asyncio.sleep(0)

    def _on_batch(self, batch: Batch) -> None:
        walls: list[float | None] = []
        nodes: list[str] = []
        for line in batch.lines:
            wall, node = self._read(line, batch.arrived)
            walls.append(wall)
            nodes.append(node)
        if batch.lines:
            self._lines.append(self.name, batch.lines, batch.arrived, walls, nodes)
            self._last = walls[-1] or batch.arrived
        self.moved = True
        self._on_lines()

    def _read(self, line: LogLine, arrived: float) -> tuple[float | None, str]:
        """A line's own time and whose it is; its signals go to the boots."""
        text = decode(line.raw)
        wall, owner = line.wall, ""
        aside = self._aside
        if aside is not None and wall is None and self._parser.repeats(text):
            owner = self._boots.owners.of(aside) or self._boots.owners.named_in(text)
            return self._placed(aside.wall, arrived), owner
        signals = self._signals(self._parser, text, line.number)
        for signal in signals:
            if signal.wall is None and line.wall is not None:
                signal = replace(signal, wall=line.wall)
            if self._said(signal):
                owner = self._boots.owners.of(signal) or owner
                wall = signal.wall if wall is None else wall
                continue
            owner = self._boots.feed(signal, self._heard(signal, arrived)) or owner
            wall = signal.wall if wall is None else wall
        if wall is None and not signals:
            wall = self._prefix.time(text)
        return self._placed(wall, arrived), owner or self._boots.owners.named_in(text)

    def _placed(self, wall: float | None, arrived: float) -> float | None:
        """Where a line stands among those of other sources: at its own time, or, where that is not to be believed or
        knows whole seconds only, where it came (None)."""
        if wall is None or (wall.is_integer() and 0 <= arrived - wall < 1):
            return None
        early = arrived - self._begun > CATCHING_UP and arrived - wall > BELIEVED
        return None if early or wall - arrived > BELIEVED else wall

    def _signals(self, parser: LogParser, text: str, number: int) -> tuple[Signal, ...]:
        """What a line says. One that the parser fails on must never cost the source; it stays visible as a line."""
        try:
            return parser.feed(text, number)
        except Exception:
            self._failed += 1
            if self._failed == 1:
                log.exception(
                    "%s:%d cannot be parsed; further failures of this source are not logged", self.name, number
                )
            return ()

    def _said(self, signal: Signal) -> bool:
        """Whether the line before told the same of a running system, which may fetch thousands of files at once."""
        before, self._aside = self._aside, signal if is_aside(signal) else None
        if before is None or self._aside is None:
            return False
        return before.ip == signal.ip and before.wall == signal.wall

    def _heard(self, signal: Signal, arrived: float) -> float:
        """When a signal counts as heard: when its line was written, if that was a moment ago or we are catching up;
        else on its arrival, clocks being clocks. Many logs know whole seconds only."""
        wall = signal.wall
        window = math.inf if arrived - self._begun < CATCHING_UP else MOMENT
        heard = arrived
        if wall is not None and 0 <= arrived - wall <= window:
            heard = min(arrived, wall + 0.999) if wall.is_integer() else wall
        self._latest = max(heard, min(self._latest, arrived))  # a log's own order is its order
        return self._latest

    def _stamp(self) -> Callable[[bytes], float | None]:
        """Tells the time of a raw line, to find where to begin in a file."""
        parser, prefix = make_parser(self.entry.format, self.name), PrefixReader()

        def stamp(raw: bytes) -> float | None:
            text = decode(raw)
            wall = prefix.split(text)[0]
            return (
                wall if wall is not None else next((s.wall for s in parser.feed(text, 1) if s.wall is not None), None)
            )

        return stamp


class LogFeeds:
    """All log sources of an inventory."""

    def __init__(self, lines: LineStore, boots: BootWatch, on_lines: Callable[[], None]) -> None:
        self._lines = lines
        self._boots = boots
        self._on_lines = on_lines
        self._feeds: dict[str, LogFeed] = {}
        self._connections: object | None = None
        self._inventory: Inventory | None = None

    @property
    def feeds(self) -> tuple[LogFeed, ...]:
        return tuple(self._feeds.values())

    async def replace(self, inventory: Inventory, positions: dict[str, bytes]) -> frozenset[str]:
        """Follow the logs of `inventory`; the names of those that are followed no more. Unchanged ones go on."""
        wanted = named(inventory.logs)
        ssh_changed = self._inventory is not None and self._inventory.ssh != inventory.ssh
        self._inventory = inventory
        gone = [
            name
            for name, feed in self._feeds.items()
            if wanted.get(name) != feed.entry or (ssh_changed and feed.entry.ssh)
        ]
        for name in gone:
            feed = self._feeds.pop(name)
            await feed.close()
            positions[name] = feed.position()
        if ssh_changed:
            await self._disconnect()
        for name, entry in wanted.items():
            if name not in self._feeds:
                position = stored_position(positions.get(name))
                feed = LogFeed(name, entry, self._lines, self._boots, self._commands, position, self._on_lines)
                self._feeds[name] = feed
                feed.start()
        return frozenset(gone) - wanted.keys()

    def positions(self) -> dict[str, bytes]:
        """Of those that moved since they were asked."""
        return {feed.name: feed.position() for feed in self.feeds if feed.moved}

    async def close(self) -> None:
        for feed in self.feeds:
            await feed.close()
        await self._disconnect()

    def _commands(self, host: str) -> Commands:
        from plasmatui.remote.connections import Connections  # asyncssh is loaded where it is needed only

        if self._connections is None:
            assert self._inventory is not None, "sources are made from an inventory"
            self._connections = Connections(self._inventory.ssh)
        assert isinstance(self._connections, Connections)
        return self._connections.commands(host)

    async def _disconnect(self) -> None:
        if self._connections is not None:
            from plasmatui.remote.connections import Connections

            assert isinstance(self._connections, Connections)
            await self._connections.close()
            self._connections = None


def named(entries: tuple[LogEntry, ...]) -> dict[str, LogEntry]:
    """Entries by unique names: two that read the same log are told apart by their format."""
    found: dict[str, LogEntry] = {}
    for entry in entries:
        name = source_name(entry)
        if name in found and found[name] != entry:
            name = f"{name} ({entry.format})"
        found[name] = entry
    return found
