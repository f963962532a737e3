"""Keeps the recordings of all consoles: writes them off the loop, goes on when a disk fails, reads the past."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from plasmatui.engine.recording import Chunk, Extent, Recording, SegmentFiles

T = TypeVar("T")

FLUSH_INTERVAL = 0.5
"""Seconds between two writes to disk."""

RETRY = 30.0
"""Seconds until a recording whose disk failed is tried again."""

CLOSE_LIMIT = 5.0
"""Seconds that a write on its way gets when the engine ends."""


@dataclass
class _Tape:
    files: SegmentFiles
    recording: Recording
    problem: str = ""
    retry: float = 0.0  # monotonic


class Recorder:
    """The recordings of an engine, by node.

    Args:
        directory: one directory per node in it.
        on_change: told of a node whose extent or problem changed.
        on_trouble: told in one line which recordings fail, "" when none does any more.
        make_files: as `SegmentFiles`; tests give files that fail.
    """

    def __init__(
        self,
        directory: Path,
        on_change: Callable[[str], None],
        on_trouble: Callable[[str], None],
        make_files: Callable[[Path], SegmentFiles] = SegmentFiles,
    ) -> None:
        self._directory = directory
        self._on_change = on_change
        self._on_trouble = on_trouble
        self._make_files = make_files
        self._tapes: dict[str, _Tape] = {}
        self._dirty: set[str] = set()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="recordings")
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def replace(self, nodes: Iterable[str]) -> None:
        """The nodes that can be recorded are these from now on; finds what earlier engines recorded of them."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="recordings")
        names = set(nodes)
        await self.flush()
        new = sorted(names - self._tapes.keys())
        files = [self._make_files(self._directory / name) for name in new]
        extents = await self._on_disk(lambda: [_load(each) for each in files])
        for name, each, extent in zip(new, files, extents, strict=True):
            self._tapes[name] = _Tape(each, Recording(extent))
        for name in self._tapes.keys() - names:
            del self._tapes[name]
            self._dirty.discard(name)

    async def close(self) -> None:
        """Write what is in memory and end."""
        self._closing.set()
        self._work.set()
        if self._task is not None:
            # Not cancelled: what a half-done write has written would be unknown.
            await asyncio.wait({self._task}, timeout=CLOSE_LIMIT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT):
                await self.flush(last=True)
        self._disk.shutdown(wait=False)

    def append(self, node: str, data: bytes) -> int:
        """Bytes came now; returns the offset of the first."""
        self._dirty.add(node)
        self._work.set()
        return self._tapes[node].recording.append(data, time.time())

    def recording(self, node: str) -> Recording:
        return self._tapes[node].recording

    def problem(self, node: str) -> str:
        """Why the node is not recorded, "" when it is."""
        return self._tapes[node].problem

    async def read(self, node: str, offset: int, length: int) -> tuple[int, bytes]:
        """At most `length` bytes from `offset` on; they may begin later than asked."""
        tape = self._tapes[node]
        recording = tape.recording
        offset = max(0, min(offset, recording.end))
        recent = recording.recent(offset, length)
        if recent is not None:
            return recent
        try:
            begin, data = await self._on_disk(lambda: tape.files.read(offset, length))
        except OSError:
            begin, data = offset, b""
        if data:
            return begin, data
        return recording.recent(recording.oldest_in_memory, length) or (recording.end, b"")

    async def since(self, node: str, wall: float, limit: int) -> tuple[bytes, tuple[tuple[float, int], ...]]:
        """What was recorded since a time, at most the last `limit` bytes, and (Unix seconds, bytes) of them."""
        await self.flush()
        tape = self._tapes[node]
        try:
            return await self._on_disk(lambda: tape.files.since(wall, limit))
        except OSError:
            return b"", ()

    async def until(self, node: str, wall: float, limit: int) -> tuple[int, bytes]:
        """The last `limit` bytes that had come at a time, and the offset of the first of them."""
        await self.flush()
        tape = self._tapes[node]
        try:
            return await self._on_disk(lambda: tape.files.until(wall, limit))
        except OSError:
            return 0, b""

    async def flush(self, *, last: bool = False) -> None:
        """Write all that is not on disk, in one go, off the loop. `last`: also where the disk failed a moment ago."""
        now = time.monotonic()
        work: list[tuple[str, _Tape, Chunk]] = []
        for name in tuple(self._dirty):
            tape = self._tapes[name]
            if tape.problem and now < tape.retry and not last:
                self._on_change(name)
                continue
            self._dirty.discard(name)
            chunk = tape.recording.take()
            if chunk is not None:
                work.append((name, tape, chunk))
        if not work:
            return
        results = await self._on_disk(lambda: [_write(tape.files, chunk) for _, tape, chunk in work])
        troubled = False
        for (name, tape, chunk), result in zip(work, results, strict=True):
            troubled |= self._settle(name, tape, chunk, result)
            if name in self._tapes:
                self._on_change(name)
        if troubled:
            self._tell_trouble()

    def _settle(self, name: str, tape: _Tape, chunk: Chunk, result: Extent | OSError) -> bool:
        """Take in how a write went; whether the tape's problem changed."""
        before = tape.problem
        if isinstance(result, OSError):
            tape.problem = f"not recorded: {result.strerror or result}; it is tried again every {RETRY:g} s"
            tape.retry = time.monotonic() + RETRY
            self._dirty.add(name)
        else:
            tape.recording.written(chunk, result)
            tape.problem = ""
        return tape.problem != before

    def _tell_trouble(self) -> None:
        failing = [tape.problem for tape in self._tapes.values() if tape.problem]
        some = "1 console is" if len(failing) == 1 else f"{len(failing)} consoles are"
        self._on_trouble(f"{some} {failing[0]}" if failing else "")

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._work.wait()
            self._work.clear()
            await self.flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_INTERVAL):
                    await self._closing.wait()
            if self._dirty:
                self._work.set()

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)


def _load(files: SegmentFiles) -> Extent:
    try:
        return files.load()
    except OSError:
        return Extent(0, 0)  # writing will say what is wrong with the directory


def _write(files: SegmentFiles, chunk: Chunk) -> Extent | OSError:
    try:
        return files.write(chunk)
    except OSError as error:
        return error
