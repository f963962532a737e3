"""An engine that nobody needs ends by itself."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

IDLE: Final = 1800.0
"""Seconds with nobody attached after which the engine leaves, unless it records consoles or was told otherwise."""

_PACE = 5.0
"""Seconds between two looks, at most."""


class Idleness:
    """Knows how long the engine has not been used.

    Args:
        wanted: seconds that were asked for, 0 for never; None is the default, which recorded consoles override.
        records: whether consoles are recorded.
        busy: whether somebody is attached, or an operation runs.
        stop: ends the engine, with the reason.
    """

    def __init__(
        self,
        wanted: float | None,
        records: Callable[[], bool],
        busy: Callable[[], bool],
        stop: Callable[[str], None],
    ) -> None:
        self._wanted = wanted
        self._records = records
        self._busy = busy
        self._stop = stop
        self._last_used = time.monotonic()

    def used(self) -> None:
        """Somebody came, went, or looks at something else."""
        self._last_used = time.monotonic()

    @property
    def limit(self) -> float:
        """Seconds with nobody attached after which the engine leaves; 0 when it stays, as under a service manager."""
        if os.environ.get("NOTIFY_SOCKET"):
            return 0.0
        if self._wanted is not None:
            return self._wanted
        return 0.0 if self._records() else IDLE

    async def run(self) -> None:
        """Wait until the engine has been idle for its limit, and stop it."""
        while True:
            limit = self.limit
            if self._busy():
                self.used()
            left = self._last_used + limit - time.monotonic()
            if limit > 0 and left <= 0:
                self._stop(f"nobody was attached for {limit:g} s")
                return
            await asyncio.sleep(min(_PACE, max(0.05, left)) if limit > 0 else _PACE)
