"""Output that is taken at the pace of who takes it, so that gigabytes pass without being held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from plasmatui.remote.channel import Collected, Running

Sink = Callable[[bytes], Awaitable[None]]
"""Takes a piece of standard output; nothing more is taken until it is done."""

HIGH: Final = 1 << 20
"""Bytes that wait for the sink before the program is held back; asyncssh's window comes on top (2 MiB)."""


class Taker:
    """Hands standard output to a sink, piece after piece, while `work` runs; keeps the end of standard error."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parts: list[bytes] = []
        self._waiting = 0
        self._held = False
        self._over = False
        self._news = asyncio.Event()
        self._running: Running | None = None
        self._kept = Collected(0)

    def begin(self, running: Running) -> None:
        """The program that is about to be started."""
        self._running = running

    def __call__(self, data: bytes, error: bool) -> None:
        if error:
            self._kept(data, True)
            return
        self._parts.append(data)
        self._waiting += len(data)
        self._news.set()
        if self._waiting >= HIGH and not self._held and self._running is not None:
            self._held = True
            self._running.hold()

    @property
    def err(self) -> bytes:
        return self._kept.err

    def close(self) -> None:
        """Nothing more comes."""
        self._over = True
        self._news.set()

    async def work(self) -> None:
        """Feed the sink until `close`. What it raises ends the program too."""
        try:
            while True:
                self._news.clear()
                while self._parts:
                    data = b"".join(self._parts)
                    self._parts.clear()
                    self._waiting = 0
                    await self._sink(data)
                if self._held and self._running is not None:
                    self._held = False
                    self._running.release()
                if self._over and not self._parts:
                    return
                await self._news.wait()
        except Exception as error:
            if self._running is not None:
                self._running.fail(error)
            raise
