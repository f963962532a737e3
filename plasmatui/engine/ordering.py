"""Signals of several sources in the order in which things happened.

Logs are read by turns, so that a web server's line may be read before the DHCP server's line that explains it. Signals
are held for a moment and let go in the order of their times.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterator

from plasmatui.model.boot import Signal

HOLD = 0.12
"""Seconds that a signal is held at least; twice that at most."""

FULL = 20_000
"""Signals held at once; beyond that the oldest are let go earlier."""

SLICE = 0.004
"""Seconds of work after which the loop gets its turn."""

_RANK = {"dhcp": 0, "tftp": 1, "http": 2}
"""Servers' lines of the same second: what comes first in a boot comes first."""

Held = tuple[float, int, int, Signal]
"""When it was heard (Unix seconds), rank, number, the signal."""


class Ordering:
    """Gives signals to `take` in order. `started` and not closed, it does so by itself."""

    def __init__(self, take: Callable[[Signal, float, bool], None]) -> None:
        self._take = take
        self._heap: list[Held] = []
        self._numbers = itertools.count()
        self._kept = -1  # numbers up to this one were given out by `unkept`
        self._last = -1
        self._horizon = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="boot signals in order")

    async def close(self) -> None:
        """Let everything go, and end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.drain()

    def push(self, signal: Signal, heard: float) -> None:
        """Hold a signal that was heard at Unix seconds `heard`."""
        self._last = next(self._numbers)
        rank = _RANK.get(signal.kind.partition("-")[0], 3)
        heapq.heappush(self._heap, (heard, rank, self._last, signal))
        if len(self._heap) > FULL:
            self._give()
        self._wake.set()

    def unkept(self) -> Iterator[tuple[float, Signal]]:
        """Signals that are held and were not given out here before; `take` is told of them that they were."""
        new = sorted(held for held in self._heap if held[2] > self._kept)
        self._kept = self._last
        for heard, _, _, signal in new:
            yield heard, signal

    async def drain(self) -> None:
        """Let everything go now."""
        await self._give_up_to(math.inf)

    async def _give_up_to(self, limit: float) -> None:
        """Let go what was heard up to a time, in slices."""
        begun = time.perf_counter()
        while self._heap and self._heap[0][0] <= limit:
            self._give()
            if time.perf_counter() - begun > SLICE:
                await asyncio.sleep(0)
                begun = time.perf_counter()

    def _give(self) -> None:
        heard, _, number, signal = heapq.heappop(self._heap)
        self._take(signal, heard, number <= self._kept)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._heap:
                limit, self._horizon = self._horizon, max(heard for heard, _, _, _ in self._heap)
                await self._give_up_to(limit)
                await asyncio.sleep(HOLD)
