"""Blocks of stored lines: their text in one piece, 18 bytes beside it for each."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from plasmatui.watch.linefilter import Test

BLOCK: Final = 256 * 1024
"""Bytes of text after which a block is full."""
PER_LINE: Final = 18
_OVERHEAD: Final = 1024
_FARTHEST: Final = 2**32 - 1


class Block:
    """Lines of one source in the order in which they came; each ends with LF in `text`.

    `walls` are the lines' times. Clocks may step back: `keys` never do, which is what merging and searching by time
    need.
    """

    __slots__ = ("begins", "first_number", "first_seq", "floor", "nodes", "ordered", "seqs", "text", "walls")

    def __init__(self, first_seq: int, first_number: int, floor: float) -> None:
        self.first_seq = first_seq
        self.first_number = first_number
        self.floor = floor
        self.ordered = True
        self.text: bytes | bytearray = bytearray()
        self.begins = array("I")
        self.seqs = array("I")
        self.walls = array("d")
        self.nodes = array("H")

    def __len__(self) -> int:
        return len(self.begins)

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.text) + PER_LINE * len(self.begins) + _OVERHEAD

    def takes(self, seq: int, number: int) -> bool:
        """Whether a line with these numbers can be next here."""
        return (
            len(self.text) < BLOCK
            and number == self.first_number + len(self.begins)
            and seq - self.first_seq < _FARTHEST // 2
        )

    def add(self, raws: Sequence[bytes], seq: int, walls: Sequence[float]) -> None:
        assert isinstance(self.text, bytearray)
        joined = b"\n".join(raws) + b"\n"
        if joined.count(b"\n") != len(raws):  # a line is one line, whatever its source thinks
            raws = [raw.replace(b"\n", b" ") for raw in raws]
            joined = b"\n".join(raws) + b"\n"
        begin = len(self.text)
        self.text += joined
        ends = accumulate((len(raw) + 1 for raw in raws), initial=begin)
        self.begins.extend(array("I", ends)[: len(raws)])
        delta = seq - self.first_seq
        self.seqs.extend(range(delta, delta + len(raws)))
        last = self.walls[-1] if self.walls else self.floor
        self.walls.extend(walls)
        self.nodes.frombytes(bytes(2 * len(raws)))
        if self.ordered:
            self.ordered = last <= walls[0] and all(a <= b for a, b in pairwise(walls))

    def own(self, numbers: Sequence[int]) -> None:
        """Say whose the last lines are."""
        self.nodes[-len(numbers) :] = array("H", numbers)

    def seal(self) -> None:
        """No more lines come: give back what was allocated ahead."""
        self.text = bytes(self.text)
        self.begins, self.seqs = self.begins[:], self.seqs[:]
        self.walls, self.nodes = self.walls[:], self.nodes[:]

    def keys(self) -> Sequence[float]:
        """Times that never go back."""
        if self.ordered:
            return self.walls
        return list(accumulate(self.walls, max, initial=self.floor))[1:]

    def ceiling(self) -> float:
        """The last key."""
        if not self.walls:
            return self.floor
        return self.walls[-1] if self.ordered else max(self.floor, max(self.walls))

    def seq(self, index: int) -> int:
        return self.first_seq + self.seqs[index]

    def index(self, seq: int) -> int | None:
        """Where a line is, None when it is not here."""
        delta = seq - self.first_seq
        index = bisect_left(self.seqs, delta) if delta >= 0 else len(self.seqs)
        return index if index < len(self.seqs) and self.seqs[index] == delta else None

    def end(self, index: int) -> int:
        """Where a line's text ends, without its LF."""
        following = index + 1
        return (self.begins[following] if following < len(self.begins) else len(self.text)) - 1

    def raw(self, index: int) -> bytes:
        return bytes(self.text[self.begins[index] : self.end(index)])

    def hits(self, low: int, high: int, test: Test) -> Sequence[int]:
        """The lines from `low` up to `high`, not included, that pass."""
        if low >= high:
            return ()
        found: Sequence[int] = range(low, high)
        if test.since is not None or test.until is not None:
            keys = self.keys()
            first = low if test.since is None else bisect_left(keys, test.since, low, high)
            last = high if test.until is None else bisect_right(keys, test.until, low, high)
            found = range(first, last)
        if test.nodes is not None:
            nodes, wanted = self.nodes, test.nodes
            found = [index for index in found if nodes[index] in wanted]
        if test.include is not None and found:
            if isinstance(found, range):
                found = self._search(found.start, found.stop, test)
            else:
                search, text, begins = test.include.search, self.text, self.begins
                found = [index for index in found if search(text, begins[index], self.end(index))]
        if test.exclude is not None and found:
            search, text, begins = test.exclude.search, self.text, self.begins
            found = [index for index in found if not search(text, begins[index], self.end(index))]
        return found

    def _search(self, low: int, high: int, test: Test) -> list[int]:
        """Lines that `include` finds, by going through their text in one piece."""
        assert test.include is not None
        search, text, begins = test.include.search, self.text, self.begins
        found: list[int] = []
        place, stop = begins[low], self.end(high - 1)
        while place <= stop:
            match = search(text, place, stop)
            if match is None:
                break
            index = bisect_right(begins, match.start(), low, high) - 1
            end = self.end(index)
            # A match may reach over a line's end; then the line alone decides.
            if match.end() <= end or search(text, begins[index], end):
                found.append(index)
            place = end + 1
        return found
