"""Time of the simulated machines: it may run faster than ours."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Machine time. BMC protocol timers (idle limits, retries) are not scaled: they belong to both sides.

    Args:
        speed: machine seconds per second.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError("speed must be above 0")
        self.speed = speed
        self._start = time.monotonic()
        self._wall = time.time()

    def now(self) -> float:
        """Machine seconds since the rack was switched on."""
        return (time.monotonic() - self._start) * self.speed

    def wall(self) -> float:
        """Unix seconds; not scaled, so that event logs carry times of today."""
        return self._wall + time.monotonic() - self._start

    async def sleep(self, seconds: float) -> None:
        """Wait machine seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)
