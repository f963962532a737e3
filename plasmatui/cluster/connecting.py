"""Few connections are made at once: each takes the event loop two milliseconds, most of it in the handshake, and a
first look at a cluster makes thousands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

AT_ONCE: Final = 8

PATIENCE: Final = 0.2
"""Seconds after which one that only waits for the other side gives its place to another."""

LONGEST_WAIT: Final = 1.0
"""Seconds that one waits for a place at most: the limit of its request goes on meanwhile."""

Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]

_ENDS: Final = frozenset(
    ("connection.connect_tcp.failed", "connection.start_tls.complete", "connection.start_tls.failed")
)


class Connecting:
    """Counts the connections that are being made."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(AT_ONCE)

    def trace(self) -> Trace:
        """For one request: httpcore's `trace` extension, which is called, and waited for, at each of its steps."""
        place: asyncio.TimerHandle | None = None

        def leave() -> None:
            nonlocal place
            if place is not None:
                place.cancel()
                place = None
                self._gate.release()

        async def step(name: str, _: Mapping[str, Any]) -> None:
            nonlocal place
            if name == "connection.connect_tcp.started":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LONGEST_WAIT):
                        await self._gate.acquire()
                    place = asyncio.get_running_loop().call_later(PATIENCE, leave)
            elif name in _ENDS:
                leave()

        return step
