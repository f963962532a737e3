"""How a line of a console looks, and the strip that it is drawn as."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from plasmatui.ui.vt import Vt
from plasmatui.ui.vtscreen import Runs
from plasmatui.ui.widgets.cells import index_of_cell, restyle, rich_colour
from plasmatui.ui.widgets.drawing import Styles
from plasmatui.ui.widgets.search import Hit


@dataclass(frozen=True, slots=True)
class Picture:
    """All that decides how a line looks: two equal ones need no drawing."""

    runs: Runs = ()
    left: int = 0
    cursor: int = -1
    hits: tuple[Hit, ...] = ()
    current: Hit | None = None
    chip: str = ""
    notice: str = ""


def place_notice(pictures: list[Picture], notice: Sequence[str], width: int, *, blank: bool) -> None:
    """Put clean lines, wrapped, somewhat above the middle of a pane that is `blank`, else over its last lines."""
    room = max(1, width - 4)
    lines = [piece for line in notice for piece in textwrap.wrap(line, room) or [""]][: len(pictures)]
    top = max(0, len(pictures) // 3 - len(lines) // 2) if blank else len(pictures) - len(lines)
    for place, line in enumerate(lines):
        pictures[top + place] = Picture(notice=line)


class Painter:
    """Draws pictures for a widget with the component classes `console--...`."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._looks = Styles(widget)
        self._run_styles: dict[int, Style] = {}

    def clear(self) -> None:
        """The theme or the focus changed."""
        self._looks.clear()
        self._run_styles.clear()

    def forget_runs(self) -> None:
        """Another emulator numbers its looks anew."""
        self._run_styles.clear()

    def blank(self, width: int) -> Strip:
        """A line without anything."""
        return Strip.blank(width, self._looks.base())

    def strip(self, picture: Picture, vt: Vt, width: int) -> Strip:
        """A picture as a strip of `width` cells; `vt` knows the looks of its runs."""
        base = self._looks.base()
        if picture.notice:
            style = self._looks.component("console--notice")
            return Strip([Segment(f"  {picture.notice}", style)]).crop_extend(0, width, base)
        segments = [Segment(text, self._run_style(number, vt)) for text, number in picture.runs]
        for hit in picture.hits:
            name = "console--current-hit" if hit == picture.current else "console--hit"
            segments = restyle(segments, hit[1], hit[2], self._partial(name))
        if picture.cursor >= 0:
            x = index_of_cell("".join([text for text, _ in picture.runs]), picture.cursor)
            segments = restyle(segments, x, x + 1, self._partial("console--cursor"))
        strip = Strip(segments).crop_extend(picture.left, picture.left + width, base)
        if picture.chip:
            chip = Segment(picture.chip[:width], self._looks.component("console--chip"))
            strip = Strip([*strip.crop(0, width - len(chip.text)), chip], width)
        return strip

    def _partial(self, name: str) -> Style:
        return self._widget.get_component_rich_style(name, partial=True)

    def _run_style(self, number: int, vt: Vt) -> Style:
        style = self._run_styles.get(number)
        if style is None:
            look = vt.attribute(number)
            style = self._run_styles[number] = self._looks.base() + Style(
                color=rich_colour(look.fg),
                bgcolor=rich_colour(look.bg),
                bold=look.bold or None,
                dim=look.dim or None,
                italic=look.italic or None,
                underline=look.underline or None,
                blink=look.blink or None,
                reverse=look.reverse or None,
                strike=look.strike or None,
            )
        return style
