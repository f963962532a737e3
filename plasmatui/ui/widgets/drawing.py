"""What widgets that draw their own lines share: text fitted to cells, styles by name, and when they are drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from plasmatui.text import ELLIPSIS, clean_line, is_clean

SOONEST: Final = 0.01
"""Seconds from a change to its drawing at least, so that several are drawn once."""

Align = Literal["left", "right", "center"]

_WORDS: Final = frozenset({"bold", "dim", "italic", "underline", "reverse", "strike"})


def fit(text: str, width: int, align: Align = "left", ellipsis: str = ELLIPSIS) -> str:
    """Text in exactly `width` cells: cut with an ellipsis (one cell) or padded. Unclean text is cleaned first."""
    if width <= 0:
        return ""
    if not is_clean(text):
        text = clean_line(text)
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + ellipsis
    if align == "left":
        return text + " " * (width - length)
    if align == "right":
        return " " * (width - length) + text
    left = (width - length) // 2
    return " " * left + text + " " * (width - length - left)


def shortened(strip: Strip, width: int, base: Style) -> Strip:
    """The strip in exactly `width` cells; where something is cut off, an ellipsis says so."""
    if width < 2 or strip.cell_length <= width or cell_len(strip.text.rstrip()) <= width:
        return strip.crop_extend(0, width, base)
    kept = list(strip.crop(0, width - 1))
    return Strip([*kept, Segment(ELLIPSIS, kept[-1].style if kept else base)]).crop_extend(0, width, base)


def is_drawn(widget: Widget) -> bool:
    """Whether the widget has a place on the screen that the operator looks at, or shows through a dialog over it."""
    if not (widget.is_attached and widget.is_on_screen):
        return False
    screen, top = widget.screen, widget.app.screen
    return screen is top or (screen.is_current and top.styles.background.a < 1)


class Flush:
    """Calls `draw` soon after changes, at most `hz` times a second; not while nobody sees the widget: then `stale` says
    that something is to be drawn when it comes into sight."""

    def __init__(self, widget: Widget, draw: Callable[[], None], hz: float) -> None:
        self.stale = False
        self._widget = widget
        self._draw = draw
        self._period = 1 / hz
        self._timer: Timer | None = None
        self._at = 0.0

    @property
    def waiting(self) -> bool:
        """Whether a call will come."""
        return self._timer is not None

    def soon(self, *, at_once: bool = False) -> None:
        """Something changed; `at_once` for what a key did."""
        if self._timer is None and self._widget.is_running:
            wait = SOONEST if at_once else max(SOONEST, self._at + self._period - time.monotonic())
            self._timer = self._widget.set_timer(wait, self._call, name="flush")

    def _call(self) -> None:
        self._timer = None
        self._at = time.monotonic()
        if is_drawn(self._widget):
            self._draw()
        else:
            self.stale = True


class Styles:
    """Rich styles from names: words such as `bold`, a theme variable such as `node-up`, or a colour.

    What a theme does not know shows in the widget's own colour: a missing variable must not stop a screen.
    """

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._known: dict[str, Style] = {}

    def clear(self) -> None:
        """Forget everything: the theme changed."""
        self._known.clear()

    def base(self) -> Style:
        """The widget's own foreground and background."""
        style = self._known.get("")
        if style is None:
            style = self._known[""] = self._widget.rich_style
        return style

    def __getitem__(self, name: str) -> Style:
        """The style of a name, on the widget's background."""
        style = self._known.get(name)
        if style is None:
            style = self._known[name] = self.base() + self._parse(name)
        return style

    def component(self, name: str) -> Style:
        """The style of a component class."""
        style = self._known.get("." + name)
        if style is None:
            style = self._known["." + name] = self._widget.get_component_rich_style(name)
        return style

    def _parse(self, name: str) -> Style:
        words = name.split()
        colour = None
        for word in words:
            if word not in _WORDS:
                colour = self._colour(word)
        return Style(color=colour.rich_color if colour else None) + Style.parse(" ".join(_WORDS.intersection(words)))

    def _colour(self, word: str) -> Color | None:
        try:
            return Color.parse(self._widget.app.theme_variables.get(word, word))
        except ColorParseError:
            return None
