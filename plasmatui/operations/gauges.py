"""Sizes and rates of what passes over the network, and its brake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def size_words(count: float) -> str:
    """Bytes for people: "734 kB", "12.4 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


class Gauge:
    """Bytes of one stream.

    Args:
        bandwidth: bits per second that it may take; 0: no limit.
        whole: bytes that it will be at most; 0: not known.
        show: is told the progress in words, and the share of 100 where it is known.
    """

    def __init__(
        self,
        what: str,
        whole: int,
        bandwidth: int,
        show: Callable[[str, float | None], None],
        *,
        exact: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._whole = whole
        self._bandwidth = bandwidth
        self._show = show
        self._exact = exact
        self._clock = clock
        self._begin = clock()
        self.bytes = 0

    async def passed(self, count: int) -> None:
        """So many bytes have passed; waits until the link may take more."""
        self.bytes += count
        taken = self._clock() - self._begin
        at_most = "" if self._exact else "at most "
        of = f" of {at_most}{size_words(self._whole)}" if self._whole else ""
        rate = f", {size_words(self.bytes / taken)}/s" if taken > 0.5 else ""
        share = min(100.0, 100 * self.bytes / self._whole) if self._whole and self._exact else None
        self._show(f"{self._what}: {size_words(self.bytes)}{of}{rate}", share)
        if self._bandwidth:
            early = self.bytes * 8 / self._bandwidth - taken
            if early > 0:
                await asyncio.sleep(early)
