"""Collects what a source delivers, and writes numbered lines as a daemon would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from plasmatui.watch.sources.base import Batch, LogLine, Position


class Collector:
    """An `on_batch` that keeps everything."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.gaps: list[str] = []
        self.position = Position()

    def __call__(self, batch: Batch) -> None:
        self.lines.extend(batch.lines)
        self.position = batch.position
        if batch.gap:
            self.gaps.append(batch.gap)

    def has(self, count: int) -> bool:
        return len(self.lines) >= count

    @property
    def raws(self) -> list[bytes]:
        return [line.raw for line in self.lines]

    @property
    def numbers(self) -> list[int]:
        """The numbers that `numbered` wrote."""
        return [int(raw.split()[1]) for raw in self.raws]


async def until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    """Wait for something that the test can only look at."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


def numbered(first: int, last: int) -> bytes:
    """Lines `line FIRST ...` up to `last`, not included."""
    return b"".join(b"line %d of a log that somebody writes\n" % n for n in range(first, last))


def append(path: Path, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)
