"""Bytes cut anywhere become lines."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line; a longer one comes in pieces."""
SPAN: Final = 256
"""Bytes before a position that must be the same for a file to be the same."""


class Piece(NamedTuple):
    raw: bytes
    offset: int
    cut: bool


def digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest() if data else ""


class LineSplitter:
    """Splits at LF; a CR before it goes too. `offset` counts the bytes handed out, line ends included."""

    def __init__(self, offset: int = 0, before: bytes = b"", limit: int = LINE_LIMIT) -> None:
        self.offset = offset
        self.before = before[-SPAN:]
        """The last bytes handed out."""
        self._data = b""
        self._limit = limit

    @property
    def pending(self) -> int:
        """Bytes that wait for their line end or for `take`."""
        return len(self._data)

    def last(self, count: int) -> bytes:
        """The last bytes that were fed, at most `SPAN` of them are known."""
        if count <= len(self._data):
            return self._data[len(self._data) - count :]
        return (self.before + self._data)[len(self.before) + len(self._data) - count :]

    def feed(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data

    def take(self, most: int) -> list[Piece]:
        """The next complete lines, about `most` of them. Fewer than `most`: no other is complete."""
        data = self._data
        parts = data.split(b"\n", most)
        rest = parts.pop()
        pieces: list[Piece] = []
        offset = self.offset
        for part in parts:
            if len(part) > self._limit:
                offset = self._chop(part, offset, pieces)
                part = part[(len(part) - 1) // self._limit * self._limit :]
            pieces.append(Piece(part[:-1] if part.endswith(b"\r") else part, offset, False))
            offset += len(part) + 1
        if len(parts) < most and len(rest) > self._limit:
            offset = self._chop(rest, offset, pieces)
            rest = rest[(len(rest) - 1) // self._limit * self._limit :]
        self._advance(data, rest, offset)
        return pieces

    def flush(self) -> list[Piece]:
        """What is left, as a line that was cut."""
        data, offset = self._data, self.offset
        self._advance(data, b"", offset + len(data))
        return [Piece(data, offset, True)] if data else []

    def _chop(self, part: bytes, offset: int, pieces: list[Piece]) -> int:
        """All full pieces of a line that is too long, but what remains to be its end."""
        for begin in range(0, (len(part) - 1) // self._limit * self._limit, self._limit):
            pieces.append(Piece(part[begin : begin + self._limit], offset, True))
            offset += self._limit
        return offset

    def _advance(self, data: bytes, rest: bytes, offset: int) -> None:
        used = len(data) - len(rest)
        if used >= SPAN:
            self.before = data[used - SPAN : used]
        elif used:
            self.before = (self.before + data[:used])[-SPAN:]
        self._data = rest
        self.offset = offset


def whole_lines(data: bytes, offset: int) -> list[Piece]:
    """The whole lines of bytes that stand at an offset of a file; the first may have begun before, unless it is 0."""
    begin = data.find(b"\n") + 1 if offset else 0
    splitter = LineSplitter(offset + begin)
    splitter.feed(data[begin:])
    return splitter.take(len(data))
