"""Durations and sizes of boots in words, and what takes longer than usual."""

from __future__ import annotations

from plasmatui.model.node import StageState

SLOW = 1.5
"""From this multiple of the usual time on, a stage is said to take long."""

_UNITS = ("B", "kB", "MB", "GB")


def span_text(seconds: float) -> str:
    """A duration as boots have it: 0.4s, 12s, 3m05s."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def bytes_text(count: int) -> str:
    """A size: 812 B, 73 kB, 1.2 GB."""
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit < 2 or size >= 10 else f"{size:.1f} {_UNITS[unit]}"


def ratio_of(stage: StageState, now: float) -> float | None:
    """How many times its usual length a running stage has taken by now; None where that is not known."""
    if stage.state != "running" or stage.outcome != "running" or not stage.usual:
        return None
    return (now - stage.since) / stage.usual
