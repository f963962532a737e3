"""What goes to one client. A slow client costs itself: it gets merged changes and misses console bytes."""

from __future__ import annotations

import asyncio
from collections import deque

from plasmatui.engine.store import Batch
from plasmatui.model import wire

SLOW = 256 * 1024
"""Unsent bytes above which a client counts as slow."""

FULL = 4 * 1024 * 1024
"""Unsent bytes of answers above which no more requests of the client are read."""

STALL = 60.0
"""Seconds without a byte taken, with full buffers, after which a client is given up."""


class SlowClientError(Exception):
    """The client reads nothing any more."""


class Outbound:
    """The queue to one client, and the task that empties it (`run`).

    Args:
        stall: see `STALL`.
    """

    def __init__(self, writer: asyncio.StreamWriter, *, stall: float = STALL) -> None:
        self._writer = writer
        self._transport: asyncio.WriteTransport = writer.transport
        self._transport.set_write_buffer_limits(high=SLOW // 2)
        self._stall = stall
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._merged = Batch()
        self._seq = 0
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def slow(self) -> bool:
        return self._queued + self._transport.get_write_buffer_size() > SLOW

    def message(self, frame: bytes) -> None:
        """Queue an answer. Answers are never dropped; `room` keeps them bounded."""
        self._queue.append(frame)
        self._queued += len(frame)
        self._ready.set()
        self._idle.clear()
        if self._queued > FULL:
            self._room.clear()

    def changes(self, changes: wire.Changes, frame: bytes) -> None:
        """Queue a change set; while the client is slow it is merged with the others that wait."""
        if self._merged or self.slow:
            self._merged.merge(changes)
            self._seq = changes.seq
            self._ready.set()
            self._idle.clear()
        else:
            self.message(frame)

    def console(self, _: wire.ConsoleData, frame: bytes) -> None:
        """Queue console bytes, or drop them while the client is slow: it sees the gap by the next offset."""
        if not self.slow:
            self.message(frame)

    async def room(self) -> None:
        """Wait until more answers may be queued."""
        await self._room.wait()

    async def flushed(self) -> None:
        """Wait until everything has been given to the kernel's or the transport's buffer."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send, for ever.

        Raises:
            SlowClientError: it took nothing for `STALL` seconds.
            OSError: it is gone.
        """
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._queue or self._merged:
                self._writer.write(self._next())
                await self._drain()
            self._idle.set()

    def _next(self) -> bytes:
        if not self._queue:
            merged, self._merged = self._merged, Batch()
            return wire.encode(merged.changes(self._seq))
        frame = self._queue.popleft()
        self._queued -= len(frame)
        if self._queued <= FULL // 2:
            self._room.set()
        return frame

    async def _drain(self) -> None:
        while True:
            before = self._transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._stall):
                    await self._writer.drain()
                return
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= before:
                    raise SlowClientError from None
