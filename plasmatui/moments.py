"""Moments as people write them: on the command line in the machine's own time, on the screen in UTC, as it shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

FORMS = "90s, 10m, 2h, 3d ago (also -10m), 14:30, 14:30:05, 2026-11-21, 2026-11-21 14:30 or 2026-11-21T14:30:00"

_AGO = re.compile(r"-?(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DATES = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_TIMES = ("%H:%M:%S", "%H:%M")


def moment(text: str, now: float, *, utc: bool = False) -> float:
    """A time as Unix seconds: a span before `now`, a time of the day of `now`, or a date with or without a time.

    Raises:
        ValueError: it is none of these; the message says what is expected.
    """
    text = text.strip().removesuffix("Z")
    if ago := _AGO.fullmatch(text):
        return now - float(ago[1]) * _SECONDS[ago[2]]
    zone = UTC if utc else None
    today = datetime.fromtimestamp(now, zone)
    for pattern in (*_DATES, *_TIMES):
        try:
            found = datetime.strptime(text, pattern)
            if pattern in _TIMES:
                found = found.replace(today.year, today.month, today.day)
            return found.replace(tzinfo=zone).timestamp()
        except (ValueError, OverflowError, OSError):
            continue
    raise ValueError(f"{text[:40]!a} is no time; write {FORMS}")
