"""Lines in, signals out as short text that a person can check against the lines."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from pathlib import Path

from plasmatui.model.boot import Signal
from plasmatui.watch.parsers import make_parser

LOGS = Path(__file__).parents[3] / "data" / "logs"
REFERENCE = float(calendar.timegm((2026, 11, 22, 0, 0, 0)))
MIDNIGHT = float(calendar.timegm((2026, 11, 21, 0, 0, 0)))
"""The day of the captures."""

MAC = "52:54:00:12:34:56"


def signals(format_: str, lines: Iterable[str], *, reference: float | None = REFERENCE) -> list[Signal]:
    parser = make_parser(format_, "log", reference=reference)
    return [signal for number, line in enumerate(lines, 1) for signal in parser.feed(line, number)]


def shown(signal: Signal) -> str:
    """`LINE KIND` and what else the signal tells, without evidence and time."""
    parts = [str(signal.evidence.line), signal.kind.value]
    for name in signal.__struct_fields__:
        value = getattr(signal, name)
        if name in ("kind", "evidence", "wall") or value is None or value == "":
            continue
        parts.append(f"{name}={value}")
    return " ".join(parts)


def read(format_: str, *lines: str) -> list[str]:
    return [shown(signal) for signal in signals(format_, lines)]


def one(format_: str, *lines: str) -> Signal:
    """The only signal of some lines."""
    (signal,) = signals(format_, lines)
    return signal


def read_log(format_: str, name: str) -> list[str]:
    return read(format_, *(LOGS / name).read_text().splitlines())


def expected(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]
