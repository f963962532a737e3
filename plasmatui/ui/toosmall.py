"""What a terminal says that is too small for the screen, whether a dialog stands on it or not."""

from __future__ import annotations

from typing import Any

from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

MIN_WIDTH, MIN_HEIGHT = 60, 15


class TooSmall(Static):
    """Covers its screen while the class `small` is set on it."""

    def __init__(self) -> None:
        super().__init__("", id="too-small", markup=False)

    def look(self, screen: Screen[Any], size: Size) -> None:
        """The terminal has this size now."""
        small = size.width < MIN_WIDTH or size.height < MIN_HEIGHT
        screen.set_class(small, "small")
        if small:
            self.update(f"terminal too small: {size.width}x{size.height}; {MIN_WIDTH}x{MIN_HEIGHT} is needed")
