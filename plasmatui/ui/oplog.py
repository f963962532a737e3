"""What the steps of one node of an operation printed: read page by page from the engine, either way. No Textual."""

from __future__ import annotations

from typing import Final

from plasmatui.model import wire
from plasmatui.model.boot import LogLine
from plasmatui.ui.link import Link

PAGE: Final = 200_000
"""Bytes that are asked for at a time when older lines are wanted."""

AT_ONCE: Final = 4
"""Pages that one look for newer lines fetches at most."""


class OperationLog:
    """A window on the log, from byte `start` to `end`. The place of a line, its `seq`, is the byte that it begins at.

    Every method raises `EngineError` and `EngineUnreachableError`.
    """

    def __init__(self, link: Link, number: int, node: str) -> None:
        self.number = number
        self.node = node
        self.start = self.end = 0
        self.at = link.store.at
        self._link = link

    async def tail(self) -> list[LogLine]:
        """The last page; what was read before is forgotten."""
        begin, end, text = await self._read(-1)
        self.start, self.end = begin, end
        return self._lines(begin, text)

    async def newer(self) -> list[LogLine]:
        """What was printed since the last look."""
        lines: list[LogLine] = []
        for _ in range(AT_ONCE):
            asked = self.end
            _, end, text = await self._read(asked)
            if not text or end <= asked or self.end != asked:
                break
            lines += self._lines(asked, text)
            self.end = end
        return lines

    async def older(self) -> list[LogLine]:
        """Up to a page of lines before `start`; none at the log's begin."""
        asked, wanted = self.start, max(0, self.start - PAGE)
        lines: list[LogLine] = []
        place = wanted
        while place < asked:
            begin, end, text = await self._read(place)
            if not text or end <= place:
                break
            lines += [line for line in self._lines(begin, text) if line.seq < asked]
            place = end
        if self.start != asked:
            return []  # somebody else read them meanwhile
        if wanted and lines:
            lines = lines[1:]  # it was cut at its begin
        self.start = lines[0].seq if lines else 0
        return lines

    async def _read(self, offset: int) -> tuple[int, int, str]:
        """Where a page begins and ends, and its text."""
        reply = await self._link.ask(wire.AskOperationLog(self.number, self.node, offset))
        assert isinstance(reply, wire.OperationLog)
        return reply.offset - len(reply.text.encode()), reply.offset, reply.text

    def _lines(self, begin: int, text: str) -> list[LogLine]:
        lines = []
        for raw in text.split("\n"):
            if raw:
                stamp, _, said = raw.partition(" ")
                wall = _seconds(stamp)
                if not self.at or wall <= self.at:
                    lines.append(LogLine(begin, wall, "", "", self.node, said, _severity(said)))
            begin += len(raw.encode()) + 1
        return lines


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _severity(text: str) -> str:
    begin = text[:40].lower()
    if "error" in begin or "failed" in begin:
        return "error"
    return "warning" if begin.startswith(("warning", "held:")) else ""
