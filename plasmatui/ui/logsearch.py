"""A search of the Logs view, and where its hits are."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from plasmatui.model import wire

Place = tuple[float, int]
"""Time and `seq` of a line."""


class LogSearch:
    """What is searched for, "" for nothing.

    Attributes:
        hits: places, the oldest first. total: of all hits, those beyond the engine's limit too.
        regex: for marking hits in a line.
    """

    def __init__(self) -> None:
        self.pattern = ""
        self.hits: list[Place] = []
        self.total = 0
        self.regex: re.Pattern[str] | None = None

    def found(self, pattern: str, found: wire.LogHits) -> None:
        """What the engine found."""
        self.pattern, self.total = pattern, found.total
        self.hits = sorted(zip(found.walls, found.seqs, strict=True))
        self.regex = re.compile(pattern, re.IGNORECASE if pattern.islower() else 0)

    def number(self, here: Place | None) -> int:
        """The number of the hit at a place, or of the last one before it."""
        return bisect_right(self.hits, here) if here is not None else 0


def next_place(places: Sequence[Place], here: Place | None, step: int) -> int:
    """`seq` of the place after `here`, or before it with -1, around the end; there must be one."""
    here = here or (0.0, 0)
    place = bisect_right(places, here) if step > 0 else bisect_left(places, here) - 1
    return places[place % len(places)][1]


def wrong(pattern: str) -> str:
    """Why a pattern cannot be used, "" when it can."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"no regular expression: {error}"
    return ""
