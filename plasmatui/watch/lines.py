"""The lines of all sources, as many as fit: what log views and `plasmatui logs` read.

One ring per source, bounded together: when the whole is full, the largest source loses its oldest block, so that a
talkative source never drives out the evidence of a quiet one. Queries work in slices of a few milliseconds.
"""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from plasmatui.text import clean_line, decode
from plasmatui.watch.lineblocks import BLOCK, Block
from plasmatui.watch.linefilter import LineFilter, Test, pattern
from plasmatui.watch.sources.base import LogLine

CAP: Final = 64 << 20
"""Bytes of memory for all lines together."""
AHEAD: Final = 60.0
"""Seconds that a line's time may be after its arrival; a clock that is farther ahead is not believed."""
_RULED: Final = 8  # times looked at for each part of a ruler
_SLICE: Final = 0.003
_STEP: Final = 512
_STEPS: Final = (16, 4096)

Place = tuple[float, int]
"""Time (or sequence number, in order of arrival) and sequence number of a line."""


class Order(StrEnum):
    TIME = "time"
    ARRIVAL = "arrival"


class StoredLine(msgspec.Struct, frozen=True):
    """A line as it is kept. `seq` counts over all sources; `wall` is its own time, else that of its arrival."""

    seq: int
    source: str
    number: int
    wall: float
    node: str
    raw: bytes

    @property
    def text(self) -> str:
        """Clean, for a screen."""
        return clean_line(decode(self.raw))


class SourceCount(msgspec.Struct, frozen=True):
    """What is kept of a source, and what had to go."""

    lines: int
    bytes: int
    dropped_lines: int
    dropped_bytes: int
    first_seq: int | None


class Hits(msgspec.Struct, frozen=True):
    """How many lines pass, in all and in equal parts of the kept sequence numbers, for the ticks of a scroll bar."""

    total: int
    ticks: tuple[int, ...]
    first_seq: int
    last_seq: int


@dataclass
class _Ring:
    kind: str
    blocks: deque[Block] = field(default_factory=deque)
    bytes: int = 0
    lines: int = 0
    dropped_lines: int = 0
    dropped_bytes: int = 0


class LineStore:
    """Sequence numbers begin at 1 and are never used twice. All methods belong to one event loop."""

    def __init__(self, cap: int = CAP) -> None:
        self.cap = cap
        self.next_seq = 1
        self.bytes = 0
        self._rings: dict[str, _Ring] = {}
        self._nodes: dict[str, int] = {"": 0}
        self._names = [""]

    def add_source(self, name: str, kind: str) -> None:
        """Make a source known ("dhcp", "tftp", "http", "console"); known ones keep their lines."""
        self._rings.setdefault(name, _Ring(kind))

    def append(
        self,
        source: str,
        lines: Sequence[LogLine],
        arrived: float,
        walls: Sequence[float | None] | None = None,
        nodes: Sequence[str] | None = None,
    ) -> range:
        """Keep lines; their sequence numbers. `walls`: the lines' own times, where a parser has found them; `nodes`:
        whose lines they are, where that is known ("": not).

        Raises:
            KeyError: the source was not added.
        """
        ring = self._rings[source]
        times = walls if walls is not None else [line.wall for line in lines]
        begin = 0
        size = 0
        for place, line in enumerate(lines):
            size += len(line.raw)
            if size > BLOCK or place == len(lines) - 1:
                self._keep(ring, lines[begin : place + 1], times[begin : place + 1], arrived)
                if nodes is not None:
                    ring.blocks[-1].own([self._number(node) for node in nodes[begin : place + 1]])
                begin, size = place + 1, 0
        self._trim()
        return range(self.next_seq - len(lines), self.next_seq)

    def own(self, source: str, number: int, node: str) -> None:
        """Say whose a source's line is; nothing when it is no longer kept."""
        ring = self._rings.get(source)
        for block in reversed(ring.blocks) if ring is not None else ():
            index = number - block.first_number
            if 0 <= index < len(block):
                block.nodes[index] = self._number(node)
                return

    def line(self, seq: int) -> StoredLine | None:
        """One line, None when it is not kept."""
        found = self._find(seq)
        return None if found is None else self._stored(*found)

    def counts(self) -> dict[str, SourceCount]:
        """What is kept, by source."""
        return {
            name: SourceCount(
                ring.lines,
                ring.bytes,
                ring.dropped_lines,
                ring.dropped_bytes,
                ring.blocks[0].first_seq if ring.blocks else None,
            )
            for name, ring in self._rings.items()
        }

    def ruler(self, parts: int) -> tuple[float, ...]:
        """Times that cut all that is kept into about `parts` parts of equally many lines, the oldest first."""
        lines = sum(ring.lines for ring in self._rings.values())
        step = max(1, lines // (parts * _RULED))
        marks = sorted(
            wall for ring in self._rings.values() for block in ring.blocks for wall in block.walls[step // 2 :: step]
        )
        parts = min(parts, len(marks))
        return tuple(marks[place * len(marks) // parts] for place in range(parts))

    async def tail(
        self, count: int, wanted: LineFilter | None = None, order: Order = Order.TIME
    ) -> tuple[StoredLine, ...]:
        """The last lines that pass, the oldest of them first.

        Raises:
            PatternError: as `linefilter.pattern`.
        """
        return (await self._some((math.inf, 0), count, wanted, order, forward=False))[::-1]

    async def before(
        self, seq: int, count: int, wanted: LineFilter | None = None, order: Order = Order.TIME
    ) -> tuple[StoredLine, ...]:
        """The lines that pass right before a line, the oldest first. Raises: as `tail`."""
        return (await self._some(self._place(seq, order), count, wanted, order, forward=False))[::-1]

    async def after(
        self, seq: int, count: int, wanted: LineFilter | None = None, order: Order = Order.TIME
    ) -> tuple[StoredLine, ...]:
        """The lines that pass right after a line; after 0 from the oldest. To follow, use the order of arrival: a late
        line may stand before ones already seen. Raises: as `tail`."""
        return await self._some(self._place(seq, order), count, wanted, order, forward=True)

    async def search(
        self, wanted: LineFilter, start: int, *, forward: bool, order: Order = Order.TIME
    ) -> StoredLine | None:
        """The next line after (before) `start` that passes. May be cancelled. Raises: as `tail`."""
        found = await self._some(self._place(start, order), 1, wanted, order, forward=forward)
        return found[0] if found else None

    async def count(self, wanted: LineFilter, ticks: int = 0) -> Hits:
        """Count the lines that pass, in `ticks` parts as well. May be cancelled. Raises: as `tail`."""
        test = self._test(wanted)
        rings = self._chosen(wanted)
        last = self.next_seq - 1
        first = min((ring.blocks[0].first_seq for _, ring in rings if ring.blocks), default=last + 1)
        span = max(1, last - first + 1)
        parts = [0] * ticks
        total = 0
        pace = _Pace()
        for block in [block for _, ring in rings for block in ring.blocks]:
            low, size = 0, len(block)
            while low < size:
                high = min(size, low + pace.step)
                hits = block.hits(low, high, test)
                total += len(hits)
                for index in hits if ticks else ():
                    parts[min(ticks - 1, (block.seq(index) - first) * ticks // span)] += 1
                low = high
                await pace.breathe()
        return Hits(total, tuple(parts), first, last)

    def _keep(self, ring: _Ring, lines: Sequence[LogLine], times: Sequence[float | None], arrived: float) -> None:
        walls = [arrived if wall is None or wall > arrived + AHEAD else wall for wall in times]
        block = ring.blocks[-1] if ring.blocks else None
        if block is None or not block.takes(self.next_seq, lines[0].number):
            if block is not None:
                block.seal()
            block = Block(self.next_seq, lines[0].number, block.ceiling() if block else -math.inf)
            ring.blocks.append(block)
            self._grow(ring, block.size)
        was = block.size
        block.add([line.raw for line in lines], self.next_seq, walls)
        self.next_seq += len(lines)
        ring.lines += len(lines)
        self._grow(ring, block.size - was)

    def _grow(self, ring: _Ring, size: int) -> None:
        ring.bytes += size
        self.bytes += size

    def _trim(self) -> None:
        while self.bytes > self.cap:
            ring = max(self._rings.values(), key=lambda ring: ring.bytes)
            if len(ring.blocks) < 2:
                return  # every source has its last block at least
            block = ring.blocks.popleft()
            ring.lines -= len(block)
            ring.dropped_lines += len(block)
            ring.dropped_bytes += len(block.text)
            self._grow(ring, -block.size)

    def _number(self, node: str) -> int:
        number = self._nodes.get(node)
        if number is None:
            number = self._nodes[node] = len(self._names)
            self._names.append(node)
        return number

    def _find(self, seq: int) -> tuple[str, Block, int] | None:
        for name, ring in self._rings.items():
            place = bisect_right(ring.blocks, seq, key=lambda block: block.first_seq) - 1
            if place >= 0:
                block = ring.blocks[place]
                index = block.index(seq)
                if index is not None:
                    return name, block, index
        return None

    def _stored(self, source: str, block: Block, index: int) -> StoredLine:
        return StoredLine(
            block.seq(index),
            source,
            block.first_number + index,
            block.walls[index],
            self._names[block.nodes[index]],
            block.raw(index),
        )

    def _place(self, seq: int, order: Order) -> Place:
        """Where a line stands; a line that is gone stands before all, one to come after all."""
        if order is Order.ARRIVAL:
            return (float(seq), seq)
        found = self._find(seq)
        if found is None:
            return (math.inf, 0) if seq >= self.next_seq else (-math.inf, 0)
        _, block, index = found
        return (block.keys()[index], seq)

    def _test(self, wanted: LineFilter) -> Test:
        nodes = wanted.nodes
        numbers = None if nodes is None else frozenset(self._nodes[name] for name in nodes if name in self._nodes)
        return Test(numbers, pattern(wanted.include), pattern(wanted.exclude), wanted.since, wanted.until)

    def _chosen(self, wanted: LineFilter) -> list[tuple[str, _Ring]]:
        return [
            (name, ring)
            for name, ring in self._rings.items()
            if (not wanted.kinds or ring.kind in wanted.kinds) and (not wanted.sources or name in wanted.sources)
        ]

    async def _some(
        self, place: Place, count: int, wanted: LineFilter | None, order: Order, *, forward: bool
    ) -> tuple[StoredLine, ...]:
        wanted = wanted or LineFilter()
        test = self._test(wanted)
        walkers = [_Walker(name, list(ring.blocks), place, test, order, forward) for name, ring in self._chosen(wanted)]
        found: list[StoredLine] = []
        if count > 0:
            async for name, block, index in _merge(walkers, forward):
                found.append(self._stored(name, block, index))
                if len(found) >= count:
                    break
        return tuple(found)


class _Pace:
    """Gives way to the loop every few milliseconds, and keeps slices that short whatever the pattern costs."""

    def __init__(self) -> None:
        self.step = _STEP
        self._begun = self._last = time.perf_counter()

    async def breathe(self) -> None:
        now = time.perf_counter()
        took, self._last = now - self._last, now
        if took > _SLICE:
            self.step = max(_STEPS[0], self.step // 2)
        elif took < _SLICE / 4:
            self.step = min(_STEPS[1], self.step * 2)
        if now - self._begun > _SLICE:
            await asyncio.sleep(0)
            self._begun = self._last = time.perf_counter()


class _Walker:
    """Goes through one source from a place on, a slice at a time; `found` holds what passed, next first."""

    def __init__(self, name: str, blocks: list[Block], place: Place, test: Test, order: Order, forward: bool) -> None:
        self.name = name
        self.found: deque[tuple[Place, Block, int]] = deque()
        self._blocks = blocks
        self._test = test
        self._order = order
        self._forward = forward
        self._at = self._block_of(place)
        self._index = self._index_of(place) if 0 <= self._at < len(blocks) else 0

    @property
    def done(self) -> bool:
        return not 0 <= self._at < len(self._blocks)

    def step(self, size: int) -> None:
        """Test the next `size` lines."""
        block = self._blocks[self._at]
        if self._forward:
            low, high = self._index, min(len(block), self._index + size)
        else:
            low, high = max(0, self._index - size), self._index
        hits = block.hits(low, high, self._test)
        keys = self._keys(block) if hits else ()
        for index in hits if self._forward else reversed(hits):
            self.found.append(((keys[index], block.seq(index)), block, index))
        self._index = high if self._forward else low
        if self._forward and high == len(block):
            self._at, self._index = self._at + 1, 0
        elif not self._forward and low == 0:
            self._at -= 1
            self._index = len(self._blocks[self._at]) if self._at >= 0 else 0

    def _keys(self, block: Block) -> Sequence[float]:
        if self._order is Order.TIME:
            return block.keys()
        return [float(block.first_seq + delta) for delta in block.seqs]

    def _block_of(self, place: Place) -> int:
        """Forward: the first block that reaches over the place; backward: the last one that begins before it."""
        if self._forward:
            return bisect_right(self._blocks, place, key=self._last)
        return bisect_left(self._blocks, place, key=self._first) - 1

    def _first(self, block: Block) -> Place:
        key = float(block.first_seq) if self._order is Order.ARRIVAL else block.keys()[0]
        return key, block.first_seq

    def _last(self, block: Block) -> Place:
        seq = block.seq(len(block) - 1)
        return (float(seq) if self._order is Order.ARRIVAL else block.ceiling()), seq

    def _index_of(self, place: Place) -> int:
        block = self._blocks[self._at]
        keys = self._keys(block)
        bisect = bisect_right if self._forward else bisect_left
        return bisect(range(len(block)), place, key=lambda index: (keys[index], block.seq(index)))


async def _merge(walkers: list[_Walker], forward: bool) -> AsyncIterator[tuple[str, Block, int]]:
    """What all walkers find, in order."""
    pace = _Pace()
    pick = min if forward else max
    while True:
        for walker in walkers:
            while not walker.found and not walker.done:
                walker.step(pace.step)
                await pace.breathe()
        heads = [walker for walker in walkers if walker.found]
        if not heads:
            return
        walker = pick(heads, key=lambda walker: walker.found[0][0])
        _, block, index = walker.found.popleft()
        yield walker.name, block, index
        await pace.breathe()
