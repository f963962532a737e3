"""How well the engine's loop runs: lag and CPU over the last minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

INTERVAL = 0.25
WINDOW = 60.0


class Meter:
    """Measures by sleeping: what comes later than asked is lag.

    Args:
        on_beat: called about once a second from the loop, which proves that it runs.
    """

    def __init__(self, on_beat: Callable[[], None] = lambda: None) -> None:
        self._on_beat = on_beat
        self._lags: deque[float] = deque(maxlen=int(WINDOW / INTERVAL))
        self._cpu: deque[tuple[float, float]] = deque([(time.monotonic(), time.process_time())], maxlen=61)

    async def run(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        beat = 0
        while True:
            begin = loop.time()
            await asyncio.sleep(INTERVAL)
            self._lags.append(max(0.0, loop.time() - begin - INTERVAL))
            beat += 1
            if beat % 4 == 0:
                self._cpu.append((time.monotonic(), time.process_time()))
                self._on_beat()

    @property
    def lag_p99_ms(self) -> float:
        """99th percentile of the lag in milliseconds."""
        if not self._lags:
            return 0.0
        ordered = sorted(self._lags)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]

    @property
    def cpu_percent(self) -> float:
        """Percent of one core."""
        begin, used = self._cpu[0]
        elapsed = time.monotonic() - begin
        return 100 * (time.process_time() - used) / elapsed if elapsed > 0 else 0.0
