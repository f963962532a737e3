"""What the steps of operations printed: one file for each node of an operation, bounded, written off the loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

log = logging.getLogger(__name__)

MAX_LOG = 4_000_000
"""Bytes, about, that are kept of one node's part of an operation; what comes after is left out, and said to be."""

PENDING = 2_000
"""Lines of one node that wait for the disk at most."""

FLUSH = 0.3

KEPT = 500
"""Operations of which logs and jobs are kept, the newest; unfinished ones always are."""

TIDY_PACE = 3600.0
"""Seconds between two looks at what is too old to be kept: an engine may run for months."""

PAGE = 256_000
"""Bytes that one answer carries at most."""

_FULL = "... the log is full; what follows is left out"


class OperationLogs:
    """The logs below one directory; `start` begins to write them.

    Lines are `SECONDS TEXT`, Unix seconds with milliseconds. A disk that is full or slow costs lines, never an
    operation.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending: dict[tuple[int, str], deque[str]] = {}
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="operation logs")

    async def close(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._flush()

    def add(self, number: int, node: str, text: str) -> None:
        """Clean lines of a node's part of an operation."""
        stamp = f"{time.time():.3f} "
        lines = self._pending.setdefault((number, node), deque(maxlen=PENDING))
        lines.extend(stamp + line for line in text.splitlines() if line)
        self._news.set()

    async def read(self, number: int, node: str, offset: int) -> tuple[int, str]:
        """What is kept from byte `offset` on, at whole lines, and the offset behind it; the last page for -1."""
        await self._flush()
        return await asyncio.to_thread(_read, self._path(number, node), offset)

    def _path(self, number: int, node: str) -> Path:
        return self._directory / str(number) / f"{node}.log"

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._flush()
            await asyncio.sleep(FLUSH)

    async def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        if pending:
            batch = {self._path(*key): "".join(f"{line}\n" for line in lines) for key, lines in pending.items()}
            await asyncio.to_thread(_write, batch)


def prune(directory: Path, unfinished: frozenset[int], kept: int = KEPT) -> None:
    """Remove what was kept of operations that are older than the newest ones, by their numbers. Never raises."""
    try:
        numbers = sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdigit())
    except OSError:
        return
    for number in numbers[: max(0, len(numbers) - kept)]:
        if number not in unfinished:
            shutil.rmtree(directory / str(number), ignore_errors=True)


async def tidy(directories: Iterable[Path], unfinished: Callable[[], Iterable[int]]) -> None:
    """`prune` these directories again and again, until cancelled. `unfinished`: numbers of operations that go on."""
    while True:
        await asyncio.sleep(TIDY_PACE)
        for directory in directories:
            await asyncio.to_thread(prune, directory, frozenset(unfinished()))


def _write(batch: dict[Path, str]) -> None:
    for path, text in batch.items():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                if size < MAX_LOG:
                    data = text.encode()
                    if size + len(data) >= MAX_LOG:
                        data = data[: data.rfind(b"\n", 0, MAX_LOG - size) + 1]
                        data += f"{time.time():.3f} {_FULL}".ljust(MAX_LOG - size - len(data)).encode() + b"\n"
                    os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError as error:
            log.warning("%s is not written: %s", path, error.strerror)


def _read(path: Path, offset: int) -> tuple[int, str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(0, size - PAGE) if offset < 0 else min(offset, size)
            file.seek(begin)
            data = file.read(PAGE)
    except FileNotFoundError:
        return 0, ""
    except OSError as error:
        return max(0, offset), f"{time.time():.3f} the log cannot be read: {error.strerror}\n"
    if offset < 0 and begin:
        cut = data.find(b"\n") + 1
        begin, data = begin + cut, data[cut:]
    data = data[: data.rfind(b"\n") + 1]
    return begin + len(data), data.decode(errors="replace")
