"""Recordings of serial consoles on disk: raw bytes in segments, each with a timing file, and absolute offsets.

A node's directory holds pairs `OFFSET.raw` and `OFFSET.time`. OFFSET (20 digits) is the absolute offset of the
segment's first byte, counted from the first byte that was ever recorded, so that an offset names a byte for ever,
also over restarts of the engine. A line of the timing file is `<unix seconds> <bytes>`: that many bytes came then
(the `console` format of bundles). After a failed write there may be a gap between two segments.

`SegmentFiles` does blocking I/O and runs in one worker thread; `Recording` belongs to the event loop.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SEGMENT_SIZE = 8 * 1024 * 1024
SEGMENTS = 4
"""So many full segments' worth of bytes are kept."""

MAX_FILES = 256
"""Segments at most, however short: each start of the engine begins one."""

TAIL = 64 * 1024
"""Bytes that are kept in memory, so that a reader is served at once and while the disk fails."""

MAX_UNWRITTEN = 1024 * 1024
"""Bytes in memory while the disk does not take them; older ones are missing from the recording then."""

STAMP_STEP = 0.1
"""Seconds: chunks closer than this share a timing line."""


@dataclass(frozen=True)
class Chunk:
    """Bytes to be written: their offset, and their times as (unix seconds, bytes)."""

    offset: int
    data: bytes
    stamps: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Extent:
    """What is on disk: offset of the oldest byte and the offset after the last one."""

    start: int
    end: int


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


class SegmentFiles:
    """The files of one console. Every method blocks and may raise `OSError`; call them from one thread at a time.

    Args:
        opener: as of `open`; tests give one that fails.
    """

    def __init__(
        self,
        directory: Path,
        *,
        size: int = SEGMENT_SIZE,
        segments: int = SEGMENTS,
        opener: Callable[[str, int], int] = _private,
    ) -> None:
        self._directory = directory
        self._size = size
        self._keep = size * segments
        self._opener = opener
        self._segments: list[tuple[int, int]] = []  # (offset, length), ascending
        self._current = -1  # offset of the segment that is appended to; -1: the next write begins one

    def load(self) -> Extent:
        """Find what earlier engines left. New bytes go into a new segment, whose times are then complete."""
        self._segments = []
        self._current = -1
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                stem, dot, suffix = entry.name.partition(".")
                if (
                    dot
                    and suffix == "raw"
                    and stem.isascii()
                    and stem.isdigit()
                    and entry.is_file(follow_symlinks=False)
                ):
                    self._segments.append((int(stem), entry.stat(follow_symlinks=False).st_size))
        self._segments.sort()
        return self._extent()

    def write(self, chunk: Chunk) -> Extent:
        """Append `chunk`; begin a new segment when the last is full or does not end where the chunk begins."""
        end = self._segments[-1][0] + self._segments[-1][1] if self._segments else -1
        fits = self._current >= 0 and end == chunk.offset and chunk.offset - self._current < self._size
        if not fits:
            self._begin(chunk.offset)
        try:
            self._append(self._current, "raw", chunk.data)
            times = "".join(f"{wall:.3f} {count}\n" for wall, count in chunk.stamps)
            self._append(self._current, "time", times.encode())
        except OSError:
            # Part of it may be on disk. It stays; the next write begins a segment where this one should have.
            self._current = -1
            raise
        offset, length = self._segments[-1]
        self._segments[-1] = (offset, length + len(chunk.data))
        return self._extent()

    def read(self, offset: int, length: int) -> tuple[int, bytes]:
        """At most `length` bytes from `offset` on, from one run without a gap; they may begin later than asked."""
        place = max(0, bisect_right(self._segments, (offset, 1 << 62)) - 1)
        found = bytearray()
        begin = offset
        for index in range(place, len(self._segments)):
            start, size = self._segments[index]
            if index + 1 < len(self._segments):
                size = min(size, self._segments[index + 1][0] - start)
            if not found:
                begin = max(offset, start)
            elif begin + len(found) != start:
                break
            skip = begin + len(found) - start
            if skip >= size:
                continue
            with open(self._path(start, "raw"), "rb") as file:
                file.seek(skip)
                found += file.read(min(size - skip, length - len(found)))
            if len(found) >= length:
                break
        return begin, bytes(found)

    def since(self, wall: float, limit: int) -> tuple[bytes, tuple[tuple[float, int], ...]]:
        """The bytes that came since a time, the last `limit` of them at most, with their (Unix seconds, bytes)."""
        data = bytearray()
        stamps: list[tuple[float, int]] = []
        for offset, size in reversed(self._segments):
            times = _stamps(self._path(offset, "time"), size)
            late = [stamp for stamp in times if stamp[0] >= wall]
            count = min(sum(length for _, length in late), size)
            with open(self._path(offset, "raw"), "rb") as file:
                file.seek(size - count)
                data[:0] = file.read(count)
            stamps[:0] = late
            if len(late) < len(times) or len(data) >= limit:
                break
        while len(data) > limit and stamps:
            del data[: stamps.pop(0)[1]]
        return bytes(data), tuple(stamps)

    def until(self, wall: float, limit: int) -> tuple[int, bytes]:
        """The last bytes that had come at a time, at most `limit`, and the offset of the first of them."""
        end = self._segments[0][0] if self._segments else 0
        for offset, size in reversed(self._segments):
            times = _stamps(self._path(offset, "time"), size)
            if times and times[0][0] <= wall:
                end = offset + min(size, sum(length for stamp, length in times if stamp <= wall))
                break
        begin, data = self.read(max(0, end - limit), limit)
        return begin, data[: max(0, end - begin)]

    def _begin(self, offset: int) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for suffix in ("raw", "time"):
            with open(self._path(offset, suffix), "wb", opener=self._opener):
                pass
        while self._segments and self._segments[-1][0] >= offset:
            self._segments.pop()
        self._segments.append((offset, 0))
        self._current = offset
        total = sum(length for _, length in self._segments)
        while len(self._segments) > 1 and (
            total - self._segments[0][1] >= self._keep - self._size or len(self._segments) > MAX_FILES
        ):
            first, length = self._segments.pop(0)
            total -= length
            for suffix in ("raw", "time"):
                self._path(first, suffix).unlink(missing_ok=True)

    def _append(self, offset: int, suffix: str, data: bytes) -> None:
        with open(self._path(offset, suffix), "ab", buffering=0, opener=self._opener) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]

    def _path(self, offset: int, suffix: str) -> Path:
        return self._directory / f"{offset:020d}.{suffix}"

    def _extent(self) -> Extent:
        if not self._segments:
            return Extent(0, 0)
        last, length = self._segments[-1]
        return Extent(self._segments[0][0], last + length)


def _stamps(path: Path, size: int) -> list[tuple[float, int]]:
    """The lines of a timing file, for `size` bytes; a line that was cut off by a crash ends it."""
    stamps: list[tuple[float, int]] = []
    left = size
    for line in path.read_text(errors="replace").splitlines():
        wall, _, count = line.partition(" ")
        try:
            stamp = float(wall), min(left, int(count))
        except ValueError:
            break
        stamps.append(stamp)
        left -= stamp[1]
    if left > 0 and stamps:
        stamps[-1] = stamps[-1][0], stamps[-1][1] + left
    return stamps


class Recording:
    """A console's bytes as the event loop sees them: what came, what is not on disk yet, what is in memory."""

    def __init__(self, extent: Extent) -> None:
        self.end = extent.end
        self.start = extent.start
        self.gaps = 0  # bytes that the disk did not take in time
        self._tail = bytearray()
        self._written = extent.end
        self._stamps: list[tuple[float, int]] = []

    def append(self, data: bytes, wall: float) -> int:
        """Take in bytes that came at `wall`; return the offset of the first."""
        offset = self.end
        self.end += len(data)
        self._tail += data
        if self._stamps and wall - self._stamps[-1][0] < STAMP_STEP:
            first, count = self._stamps[-1]
            self._stamps[-1] = (first, count + len(data))
        else:
            self._stamps.append((wall, len(data)))
        self._bound()
        return offset

    @property
    def unwritten(self) -> int:
        return self.end - self._written

    def take(self) -> Chunk | None:
        """What is to be written now. It stays here until `written` or `refused` says how that went."""
        if not self.unwritten:
            return None
        data = bytes(self._tail[self._written - self._tail_start :])
        return Chunk(self._written, data, tuple(self._stamps))

    def written(self, chunk: Chunk, extent: Extent) -> None:
        """`chunk` is on disk."""
        self.start = extent.start
        end = chunk.offset + len(chunk.data)
        self._drop_stamps(max(0, end - self._written))
        self._written = max(self._written, end)
        self._bound()

    def recent(self, offset: int, length: int) -> tuple[int, bytes] | None:
        """Bytes from `offset` on out of memory; None when they are on disk only."""
        if offset < self._tail_start:
            return None
        place = offset - self._tail_start
        return offset, bytes(self._tail[place : place + length])

    @property
    def oldest_in_memory(self) -> int:
        return self._tail_start

    @property
    def _tail_start(self) -> int:
        return self.end - len(self._tail)

    def _bound(self) -> None:
        """Keep the tail small, but for what is not on disk yet."""
        if self.unwritten > MAX_UNWRITTEN:
            lost = self.unwritten - MAX_UNWRITTEN
            self.gaps += lost
            self._drop_stamps(lost)
            self._written += lost
        kept = max(TAIL, self.unwritten)
        if len(self._tail) > kept + TAIL // 4:
            del self._tail[: len(self._tail) - kept]

    def _drop_stamps(self, count: int) -> None:
        """Forget the times of the first `count` unwritten bytes."""
        while count and self._stamps:
            wall, length = self._stamps[0]
            if length > count:
                self._stamps[0] = (wall, length - count)
                return
            count -= length
            self._stamps.pop(0)
