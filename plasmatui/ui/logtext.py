"""How a line of a log is drawn, and how it is written into a file."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from rich.cells import cell_len

from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.ui.lines import Part
from plasmatui.ui.spans import span_text
from plasmatui.ui.widgets.drawing import fit

NAME = 14
"""Cells for the name of a node at most."""

STAMPS = ("time", "date", "none")

_OWN_TIME = re.compile(
    r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s+"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
)
"""The time at the begin of a line, as programs and syslog write it."""

_LOGGER = re.compile(
    r"^([A-Z]+)\s+\[kea-[\w.-]+/[\d.]+\] |^(\S+) - \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:[\d:]{8} [+-]\d{4}\] "
)
"""Before the message: Kea's level, logger, process and thread (Kea ARM, "Logging Message Format"), 50 columns; a web
server's client, user and time (the combined format)."""

_ROLES = {"error": "role-error", "warning": "role-warning"}


@dataclass(frozen=True)
class Look:
    """How lines are drawn.

    Attributes:
        stamps: one of `STAMPS`. millis: whether times of day have them.
        elapsed: times since the `mark`ed line instead.
        kind, node: whether these stand before the text. narrow: with as little room as they need.
        whole: as it was written, with its own time and what nobody reads at its begin.
    """

    stamps: str = STAMPS[0]
    millis: bool = True
    elapsed: bool = False
    mark: LogLine | None = None
    kind: bool = True
    node: bool = True
    narrow: bool = False
    whole: bool = False


def line_parts(line: LogLine, look: Look, sign: str) -> list[Part]:
    """Time, kind, node and text, with roles; `sign` marks the marked line."""
    parts: list[Part] = []
    text = line.text
    if look.elapsed and look.mark is not None:
        delta = line.wall - look.mark.wall
        parts.append((f" {'-' if delta < 0 else '+'}{span_text(abs(delta)):<7}", "role-busy"))
    elif look.stamps != "none":
        parts.append((f" {_stamp(line.wall, look)}", "role-muted"))
    if not look.whole and not line.arrived and (look.elapsed or look.stamps != "none"):
        found = _OWN_TIME.match(text)
        text = text[found.end() :] if found else text  # it stands in front already
    if not look.whole:
        text = _LOGGER.sub(lambda found: f"{found[1] or found[2]} ", text)
    marked = look.mark is not None and line.seq == look.mark.seq
    kind = f"{line.kind:<8}" if look.kind else ""
    gap = "" if look.narrow else " "
    parts.append((f"{gap}{sign if marked else ' '}{kind}", "role-mark" if marked else "role-muted"))
    if look.node:
        least = 6 if look.narrow else 10
        name = fit(line.node, max(least, min(cell_len(line.node), NAME)))
        parts.append((f"{name} ", "bold" if line.node else ""))
    parts.append((text, _ROLES.get(line.severity, "")))
    return parts


def filter_parts(wanted: LogFilter) -> list[Part]:
    """What a filter lets through, in words."""
    parts: list[Part] = []
    if wanted.kinds:
        parts.append((f"  only {', '.join(wanted.kinds)}", "role-busy"))
    if wanted.sources:
        parts.append((f"  only {', '.join(wanted.sources)}", "role-busy"))
    if wanted.nodes:
        nodes = ", ".join(wanted.nodes[:4]) + (f" and {len(wanted.nodes) - 4} more" if wanted.nodes[4:] else "")
        parts.append((f"  node={nodes}", "role-mark"))
    if wanted.include:
        parts.append((f"  with {wanted.include}", "role-busy"))
    if wanted.exclude:
        parts.append((f"  without {wanted.exclude}", "role-busy"))
    return parts


def saved_line(line: LogLine) -> str:
    """A line for a file, whole."""
    seconds, millis = divmod(round(line.wall * 1000), 1000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{millis:03d}Z"
    return f"{stamp} {line.source} {line.node or '-'} {line.text}\n"


def _stamp(wall: float, look: Look) -> str:
    seconds, millis = divmod(round(wall * 1000), 1000)
    day = "%m-%d " if look.stamps == "date" else ""
    return time.strftime(f"{day}%H:%M:%S", time.gmtime(seconds)) + (f".{millis:03d}" if look.millis else "")
