"""Sparklines: a few numbers as a picture one line high."""

from __future__ import annotations

from collections.abc import Sequence

from plasmatui.model.health import Trend
from plasmatui.ui.glyphs import Glyphs
from plasmatui.ui.lines import Part

_STEPS = "▁▂▃▄▅▆▇█"
_ASCII_STEPS = "_.-=+*%@"

FLAT = 50.0
"""Milliseconds that the highest step stands for at least: below, latencies are small, whatever their differences."""


def spark(trend: Trend, width: int, glyph: Glyphs) -> list[Part]:
    """The newest latencies of a trend, the newest at the right; a look without an answer is `?`. What was not well is
    coloured as a warning."""
    steps = _ASCII_STEPS if glyph.ascii else _STEPS
    points = list(zip(trend.latencies, trend.unwell, strict=False))[-max(0, width) :]
    top = max((latency for latency, _ in points), default=0.0)
    parts: list[Part] = []
    for latency, unwell in points:
        character = _step(latency, max(top, FLAT), steps) if latency else glyph["unknown"]
        role = "role-unknown" if not latency else "role-warning" if unwell else "role-ok"
        if parts and parts[-1][1] == role:
            parts[-1] = (parts[-1][0] + character, role)
        else:
            parts.append((character, role))
    return parts


def _step(value: float, top: float, steps: Sequence[str]) -> str:
    return steps[min(len(steps) - 1, int(value / top * len(steps)))]
