"""Partial updates that send only what changed.

Textual's compositor crops a changed span on its right side only: what changed in the last column is sent from the left
edge of the widget on. `install` replaces that one method; measured on a full screen of cells, it saves seven bytes of
eight.
"""

from __future__ import annotations

import inspect

from rich.console import Console
from textual._compositor import ChopsUpdate


def install() -> bool:
    """Replace the method, if this Textual is built as we know it. Returns whether it is."""
    if list(inspect.signature(ChopsUpdate.__init__).parameters) != ["self", "chops", "spans", "chop_ends"]:
        return False
    if list(inspect.signature(ChopsUpdate.render_segments).parameters) != ["self", "console"]:
        return False
    ChopsUpdate.render_segments = _render_segments  # type: ignore[method-assign]
    return True


def _render_segments(self: ChopsUpdate, console: Console) -> str:
    """The changed spans as text for the terminal, each cropped on both sides."""
    parts: list[str] = []
    for y, x1, x2 in self.spans:
        for end, (start, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
            if strip is None or start >= x2 or end <= x1:
                continue
            left, right = max(start, x1), min(end, x2)
            if (left, right) != (start, end):
                strip = strip.crop(left - start, right - start)
            parts.append(f"\x1b[{y + 1};{left + 1}H")
            parts.append(strip.render(console))
    return "".join(parts)
