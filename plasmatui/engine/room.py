"""Whether what is heard still fits into memory: sources wait while the journal is behind, and nothing is dropped."""

from __future__ import annotations

import asyncio
import contextlib


class Room:
    """Room for so much that the journal was not given yet.

    Attributes:
        free: set while there is room; sources wait for it before they read on.
    """

    def __init__(self, most: int) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self._most = most
        self._full = asyncio.Event()

    def fill(self, waiting: int) -> None:
        """So much waits now."""
        if waiting >= self._most:
            self.free.clear()
            self._full.set()

    def empty(self) -> None:
        """What waited was taken away."""
        self._full.clear()
        self.free.set()

    async def full(self, limit: float) -> None:
        """Wait until there is no room, at most `limit` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._full.wait()
