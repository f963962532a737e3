"""How fast nodes are begun: at once, apart, per rack, and what network boots may take of the link."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

from plasmatui.model.operation import Pace

UNKNOWN_BOOT = 500_000_000
"""Bytes of a network boot that nothing is known of: the documents' figure for kernel and initial RAM disk."""


class Budget:
    """The link that all network boots of an engine share: when the next one may begin."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at = 0.0

    def wait(self) -> float:
        """Seconds until the link has taken what was begun."""
        return max(0.0, self._free_at - self._clock())

    def spend(self, size: int, bandwidth: int) -> None:
        """A boot of `size` bytes (0: not known) begins; the link takes it at `bandwidth` bits per second (0: no
        limit)."""
        if bandwidth:
            now = self._clock()
            self._free_at = max(now, self._free_at) + (size or UNKNOWN_BOOT) * 8 / bandwidth


class Copies:
    """Copies of closures to nodes: when the next one may begin. The link is counted as by `Budget`, with what nix says
    that it has to copy."""

    def __init__(self) -> None:
        self._running = 0
        self._budget = Budget()
        self._news = asyncio.Event()

    @contextlib.asynccontextmanager
    async def slot(self, at_once: int) -> AsyncIterator[None]:
        """Wait until fewer than `at_once` copies run and the link has taken what they had to copy."""
        while self._running >= at_once or self._budget.wait() > 0:
            news, pause = self._news, self._budget.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause if self._running < at_once else None):
                    await news.wait()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            news, self._news = self._news, asyncio.Event()
            news.set()

    def spend(self, size: int, bandwidth: int) -> None:
        """A copy of `size` bytes has begun."""
        self._budget.spend(size, bandwidth)


class Starts:
    """The starts of one operation.

    Args:
        racks: rack of each node, "" where it is not known (no limit then).
    """

    def __init__(self, pace: Pace, racks: dict[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._racks = racks
        self._clock = clock
        self._running: set[str] = set()
        self._in_rack: Counter[str] = Counter()
        self._last = float("-inf")

    @property
    def full(self) -> bool:
        return len(self._running) >= self._pace.parallel

    def wait(self) -> float:
        """Seconds until the next start is far enough from the last."""
        return max(0.0, self._last + self._pace.stagger - self._clock())

    def fits(self, node: str) -> bool:
        """Whether the node's rack takes one more."""
        rack = self._racks.get(node, "")
        return not rack or not self._pace.per_rack or self._in_rack[rack] < self._pace.per_rack

    def begin(self, node: str) -> None:
        self._running.add(node)
        self._in_rack[self._racks.get(node, "")] += 1
        self._last = self._clock()

    def end(self, node: str) -> None:
        if node in self._running:
            self._running.discard(node)
            self._in_rack[self._racks.get(node, "")] -= 1
