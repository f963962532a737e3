"""The consoles of all nodes as sources of lines and signals; what was recorded before is shown again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from plasmatui.engine.boots import BootWatch
from plasmatui.watch.console import ConsoleReader
from plasmatui.watch.console.screen import SerialScreen
from plasmatui.watch.lines import LineStore
from plasmatui.watch.sources.base import LogLine

log = logging.getLogger(__name__)

CONSOLE = "console "
"""Before a node's name: its console as a source of lines."""

RECALLED = 4 << 20
"""Bytes of all consoles together that an engine keeps again when it begins, and of one at most."""
RECALLED_ONE = 64 << 10

Stamps = tuple[tuple[float, int], ...]
"""Unix seconds, and bytes that came then."""


class Recordings(Protocol):
    """What the consoles' recordings tell."""

    def since(self, node: str, wall: float, limit: int) -> Awaitable[tuple[bytes, Stamps]]:
        """The last bytes that were recorded since a time, at most `limit`, and when they came."""


class _LineReader(ConsoleReader):
    """A console's reader that also hands out its lines, so that its bytes are gone through once."""

    def __init__(self, node: str, source: str) -> None:
        super().__init__(node, source)
        self.lines: list[bytes] = []

    def on_line(self, raw: bytes, line: int) -> None:
        self.lines.append(raw)
        super().on_line(raw, line)


class _Lines:
    """The lines of a recording, without what they mean."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def on_line(self, raw: bytes, line: int) -> None:
        self.lines.append(raw)

    def on_glance(self, raw: bytes, line: int) -> None:
        """Nothing: it is about to be overwritten."""

    def on_pause(self, raw: bytes, line: int) -> None:
        """Nothing: the line is not finished."""


class ConsoleFeeds:
    """Takes the consoles' bytes as they come."""

    def __init__(self, lines: LineStore, boots: BootWatch, on_lines: Callable[[], None]) -> None:
        self._lines = lines
        self._boots = boots
        self._on_lines = on_lines
        self._readers: dict[str, _LineReader] = {}
        self._numbers: dict[str, int] = {}
        self._begun = time.time()
        self._held: dict[str, list[tuple[float, list[bytes]]]] = {}  # lines that came before older ones were recalled
        self._task: asyncio.Task[None] | None = None

    def recall(self, nodes: Iterable[str], recordings: Recordings) -> None:
        """Show again what was recorded of these nodes' consoles before this engine began."""
        self._held = {node: [] for node in nodes}
        self._task = asyncio.create_task(self._recall(recordings), name="console lines of before")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def on_data(self, node: str, data: bytes) -> None:
        """Bytes came from a machine now."""
        now = time.time()
        reader = self._readers.get(node)
        if reader is None:
            reader = self._readers[node] = _LineReader(node, CONSOLE + node)
        for signal in reader.feed(data, now):
            self._boots.feed(signal, now)
        if reader.lines:
            raws, reader.lines = reader.lines, []
            if node in self._held:
                self._held[node].append((now, raws))
            else:
                self._keep(node, raws, now)

    def _keep(self, node: str, raws: list[bytes], wall: float) -> None:
        source, number = CONSOLE + node, self._numbers.get(node, 0)
        lines = [LogLine(source, count, raw) for count, raw in enumerate(raws, number + 1)]
        self._numbers[node] = number + len(lines)
        self._lines.add_source(source, "console")
        self._lines.append(source, lines, wall, nodes=[node] * len(lines))
        self._on_lines()

    async def _recall(self, recordings: Recordings) -> None:
        limit = min(RECALLED_ONE, RECALLED // max(1, len(self._held)))
        for node in tuple(self._held):
            try:
                data, stamps = await recordings.since(node, 0.0, limit)
            except OSError as error:
                log.info("%s: what its console said before is not shown again: %s", node, error)
            else:
                self._again(node, data, stamps)
            for wall, raws in self._held.pop(node):
                self._keep(node, raws, wall)
            await asyncio.sleep(0)

    def _again(self, node: str, data: bytes, stamps: Stamps) -> None:
        found, place = _Lines(), 0
        screen = SerialScreen(found)
        for wall, count in stamps:
            if wall >= self._begun:
                return  # this engine recorded it: it came as data
            screen.feed(data[place : place + count])
            place += count
            if found.lines:
                raws, found.lines = found.lines, []
                self._keep(node, raws, wall)
