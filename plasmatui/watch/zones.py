"""The time zone of a bundle's logs: where they were written, not where they are read.

Syslog, dnsmasq, Kea and nginx's error log write local time without a zone. The access log beside them names the zone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from statistics import median

import msgspec

from plasmatui.model.boot import Signal
from plasmatui.watch.parsers.stamps import zone_seconds

_LOOKED_AT = 200
"""Lines of a file that tell how it writes its times."""

_ACCESS = re.compile(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d ([+-]\d{4})\]", re.ASCII)
_ZONELESS = re.compile(
    r"(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d[ .,]"
    r"|\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,9})? )",
    re.ASCII,
)


def zone_of(access_logs: Iterable[Path]) -> int | None:
    """Seconds east of Greenwich that access logs name; None where none does, or they disagree. Raises OSError."""
    zones = {zone for path in access_logs for line in _beginning(path) if (zone := _ACCESS.search(line)) is not None}
    seconds = {zone_seconds(zone[1]) for zone in zones}
    return seconds.pop() if len(seconds) == 1 else None


def is_zoneless(path: Path) -> bool:
    """Whether a log's times name no zone. Raises OSError."""
    return any(_ZONELESS.match(line) is not None for line in _beginning(path))


def moved(signals: list[Signal], zone: int, served: list[float]) -> list[Signal]:
    """Signals whose times were read as local time of this host, as of `zone` seconds east of Greenwich, where that
    brings them nearer to `served`, the times of the access logs: a server may keep a clock of its own."""
    walls = [signal.wall for signal in signals if signal.wall is not None]
    if not walls or not served:
        return signals
    shift = time.localtime(walls[-1]).tm_gmtoff - zone
    apart = median(walls) - median(served)
    if shift == 0 or abs(apart + shift) >= abs(apart):
        return signals
    return [
        signal if signal.wall is None else msgspec.structs.replace(signal, wall=signal.wall + shift)
        for signal in signals
    ]


def _beginning(path: Path) -> list[str]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        return [line[:400] for line in islice(lines, _LOOKED_AT)]
