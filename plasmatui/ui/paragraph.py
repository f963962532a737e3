"""A few words in as many lines as they need: what a dialog asks, and what can be chosen there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from plasmatui.ui.lines import Part, clean_parts
from plasmatui.ui.widgets.drawing import Styles, shortened

INDENT = 2
"""Blanks before the second line and those after it."""

Unit = tuple[Part, ...]
"""What stands together on one line."""


def words(parts: Iterable[Part]) -> list[Unit]:
    """The words of a text, each with the blanks after it."""
    units: list[Unit] = []
    for text, style in parts:
        rest = text
        while rest:
            word = rest[: len(rest) - len(rest.lstrip())]
            rest = rest[len(word) :]
            end = rest.find(" ")
            end = len(rest) if end < 0 else end
            while end < len(rest) and rest[end] == " ":
                end += 1
            units.append(((word + rest[:end], style),))
            rest = rest[end:]
    return units


def packed(units: Sequence[Unit], width: int, most: int) -> list[list[Part]]:
    """Units in at most `most` lines of this width; the last of them is longer where they do not suffice."""
    lines: list[list[Part]] = [[]]
    room = width
    for unit in units:
        needed = cell_len("".join(text for text, _ in unit).rstrip())
        if needed > room and lines[-1] and len(lines) < most:
            lines.append([(" " * INDENT, "")])
            room = width - INDENT
        lines[-1] += unit
        room -= sum(cell_len(text) for text, _ in unit)
    return lines


class Paragraph(Widget):
    """See the module; `most` lines at most, of which the last ends in an ellipsis when more would be needed."""

    DEFAULT_CSS = "Paragraph { height: 1; width: 1fr; }"

    class Grown(Message):
        """It takes another number of lines now."""

    def __init__(self, *, most: int = 3, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._most = most
        self._units: tuple[Unit, ...] = ()
        self._lines: list[list[Part]] = [[]]
        self._styles = Styles(self)

    @property
    def plain(self) -> str:
        """What it says, in one line, without colours."""
        return "".join(text for unit in self._units for text, _ in unit)

    @property
    def height(self) -> int:
        """Lines that it takes."""
        return len(self._lines)

    def say(self, parts: Sequence[Part]) -> None:
        """Show a text, broken between words."""
        self.say_units(words(parts))

    def say_units(self, units: Sequence[Unit]) -> None:
        """Show units, none of which is broken."""
        self._units = tuple(clean_parts(unit) for unit in units)
        self._pack()

    def on_resize(self) -> None:
        self._pack()

    def _pack(self) -> None:
        width = self.size.width
        lines = packed(self._units, width, self._most) if width else [[part for unit in self._units for part in unit]]
        grown = len(lines) != len(self._lines)
        self._lines = lines
        if grown:
            self.styles.height = len(lines)
            self.post_message(self.Grown())
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        base = self._styles.base()
        parts = self._lines[y] if y < len(self._lines) else []
        strip = Strip([Segment(text, self._styles[style] if style else base) for text, style in parts])
        return shortened(strip, self.size.width, base)
