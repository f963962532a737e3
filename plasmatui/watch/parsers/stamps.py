"""Times as logs write them, as Unix seconds.

Syslog names no year (RFC 3164 section 4.1.2): the newest one is taken that does not lie ahead of a reference time.
A time without a zone is local time. What is no time gives None; nothing here raises.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import Final

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
AHEAD: Final = 86_400.0
"""Seconds that a clock may be ahead of the reference before a year-less time is taken for last year's."""

_YEARS_BACK: Final = 9  # 29 February may be eight years ago (1896 to 1904, 2096 to 2104)
_ZONE: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_CLF_LOCAL: Final = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4})[: ](\d\d):(\d\d):(\d\d)", re.ASCII)
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d{0,9})?(Z|[+-]\d\d:?\d\d|)", re.ASCII
)
_SECONDS: Final = re.compile(r"\d{9,10}(?:\.\d{1,12})?", re.ASCII)
_CLF: Final = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})", re.ASCII)


def zone_seconds(zone: str) -> int | None:
    """Seconds east of Greenwich: `Z`, `UTC`, `GMT`, `+0100`, `-05:30`; None for local time."""
    if zone in ("Z", "UTC", "GMT"):
        return 0
    match = _ZONE.fullmatch(zone)
    if match is None:
        return None
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return seconds if match[1] == "+" else -seconds


def unix_time(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: int | None) -> float | None:
    """Unix seconds of a date that exists; `zone` in seconds east of Greenwich, None for local time."""
    if not (1970 <= year <= 9998 and 1 <= month <= 12 and hour < 24 and minute < 60 and second <= 60):
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    if zone is not None:
        return float(calendar.timegm((year, month, day, hour, minute, second)) - zone)
    try:
        return time.mktime((year, month, day, hour, minute, second, -1, -1, -1))
    except (OverflowError, ValueError):
        return None


def yearless_time(month: int, day: int, hour: int, minute: int, second: int, reference: float) -> float | None:
    """Unix seconds of a local time without a year: the newest that is at most `AHEAD` after the reference."""
    try:
        newest = time.localtime(reference + AHEAD).tm_year
    except (OverflowError, ValueError, OSError):
        return None
    for year in range(newest, newest - _YEARS_BACK, -1):
        wall = unix_time(year, month, day, hour, minute, second, None)
        if wall is not None and wall <= reference + AHEAD:
            return wall
    return None


def access_time(text: str) -> float | None:
    """The Common Log Format's time: `21/Nov/2026:00:39:11 +0000`."""
    match = _CLF.fullmatch(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, zone = match.groups()
    return unix_time(int(year), MONTHS.get(month, 0), int(day), int(hour), int(minute), int(second), zone_seconds(zone))


def any_time(text: str) -> float | None:
    """A time as access logs of other formats write it: the Common Log Format's, also without a zone (local time), ISO
    8601, or Unix seconds."""
    wall = access_time(text)
    if wall is not None:
        return wall
    match = _CLF_LOCAL.fullmatch(text)
    if match is not None:
        day, month, year, *clock = match.groups()
        hour, minute, second = map(int, clock)
        return unix_time(int(year), MONTHS.get(month, 0), int(day), hour, minute, second, None)
    match = _ISO.fullmatch(text)
    if match is not None:
        *date, fraction, zone = match.groups()
        year_, month_, day_, hour, minute, second = map(int, date)
        wall = unix_time(year_, month_, day_, hour, minute, second, zone_seconds(zone))
        return wall + float(f"0.{fraction}") if fraction and wall is not None else wall
    return float(text) if _SECONDS.fullmatch(text) else None
