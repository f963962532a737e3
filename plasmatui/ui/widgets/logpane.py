"""A window on a log of any length: draws only the lines in sight, holds still while somebody reads.

The owner gives lines in the order of their times, at either end. At its end the pane follows, and puts a line that
comes late to its time; as soon as the cursor moves up it stands still, whatever is appended. Of a flood only what is on
the screen is drawn, `hz` times a second at most.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from plasmatui.model.boot import LogLine
from plasmatui.ui.lines import Part, TextLine, wrapped
from plasmatui.ui.widgets.cells import restyle
from plasmatui.ui.widgets.drawing import Flush, Styles, shortened

KEPT: Final = 20_000
"""Lines that the pane holds; while it follows, older ones make room."""

_SLACK: Final = 2_000  # lines dropped at once, so that a flood does not shift a list with each line
_WHEEL: Final = 3

Row = tuple[int, Strip]
"""Place of its line in the window, and what is drawn."""


class LogPane(Widget, can_focus=True):
    """See the module. `shown_as` gives the parts that a line is drawn as."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"logpane--cursor", "logpane--hit"}
    DEFAULT_CSS = """
    LogPane {
        height: 1fr;
        width: 1fr;
        & > .logpane--cursor { background: $panel; }
        & > .logpane--hit { text-style: reverse bold; }
    }
    """

    class AtTop(Message):
        """The first line that is held came into sight: are there older ones?"""

    class Moved(Message):
        """The reader moved, or follows again."""

    def __init__(self, shown_as: Callable[[LogLine], list[Part]], *, hz: float = 5.0) -> None:
        super().__init__()
        self._shown_as = shown_as
        self.lines: list[LogLine] = []
        self.following = True
        self.wrap = False
        self.pattern: re.Pattern[str] | None = None
        self._top = 0
        self._cursor = 0
        self._edge: dict[int, Part] = {}
        self._rows: list[Row] = []
        self._styles = Styles(self)
        self._flush = Flush(self, self._draw, hz)
        self._stale = True

    # Lines

    def set_lines(self, lines: Sequence[LogLine], *, follow: bool) -> None:
        """Hold these lines and no others."""
        self.lines = list(lines)
        self.following = follow
        self._top = self._cursor = max(0, len(self.lines) - 1) if follow else 0
        self.redraw()

    def append(self, lines: Sequence[LogLine]) -> None:
        """Newer lines. While following, the oldest make room for them."""
        if self.following:
            self._merge(lines)
        else:
            self.lines += lines
        if self.following:
            if len(self.lines) > KEPT + _SLACK:
                del self.lines[: len(self.lines) - KEPT]
            self._cursor = max(0, len(self.lines) - 1)
        if self.following or len(self._rows) < self.size.height:
            self.redraw()

    def prepend(self, lines: Sequence[LogLine]) -> None:
        """Older lines; nothing in sight moves."""
        self.lines[:0] = lines
        self._top += len(lines)
        self._cursor += len(lines)
        self.redraw()

    def _merge(self, lines: Sequence[LogLine]) -> None:
        """Add lines each at its time; of lines of the same time the later one stands later."""
        for line in lines:
            place = len(self.lines)
            while place and self.lines[place - 1].wall > line.wall:
                place -= 1
            self.lines.insert(place, line)

    def set_edge(self, edge: dict[int, Part]) -> None:
        """What stands at the right edge, by row: a character and its role."""
        if edge != self._edge:
            self._edge = edge
            self.redraw()

    # The reader

    @property
    def current(self) -> LogLine | None:
        """The line under the cursor."""
        return self.lines[self._cursor] if 0 <= self._cursor < len(self.lines) else None

    def go_to(self, seq: int) -> bool:
        """Put the cursor on a line and stand still; False when it is not held."""
        place = next((place for place, line in enumerate(self.lines) if line.seq == seq), None)
        if place is None:
            return False
        self._go(place)
        self._moved()
        return True

    def go_near(self, wall: float) -> bool:
        """Put the cursor on the last line that is not after a time, without telling; False when that is not held."""
        place = bisect_right(self.lines, wall, key=lambda line: line.wall) - 1
        if place < 0:
            return False
        self._go(place)
        self.redraw()
        return True

    def _go(self, place: int) -> None:
        self._stand_still()
        self._cursor = place
        if not self._top <= place < self._top + max(1, self.size.height - 1):
            self._top = max(0, place - self.size.height // 2)

    def move(self, steps: int) -> None:
        """Move the cursor; upwards it ends following."""
        if not self.lines or (self.following and steps > 0):
            return
        self._stand_still()
        self._cursor = max(0, min(self._cursor + steps, len(self.lines) - 1))
        height = max(1, self.size.height)
        if self._cursor < self._top:
            self._top = self._cursor
        elif self._cursor not in {place for place, _ in self._visible()}:
            self._top = max(self._top, self._cursor - height + 1)
            while self._top < self._cursor and self._cursor not in {place for place, _ in self._visible()}:
                self._top += 1
        self._moved()
        if self._top == 0:
            self.post_message(self.AtTop())

    def follow(self) -> None:
        """Show the newest lines, and those to come."""
        if not self.following:
            self.lines.sort(key=lambda line: line.wall)  # what came meanwhile stands in the order in which it came
        self.following = True
        self._cursor = max(0, len(self.lines) - 1)
        self._moved()

    def first(self) -> None:
        """The first line that is held."""
        self.move(-len(self.lines))

    def _stand_still(self) -> None:
        if self.following:
            rows = self._visible()
            self._top = rows[0][0] if rows else 0
            self.following = False

    def _moved(self) -> None:
        self.redraw()
        self.post_message(self.Moved())

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Back."""
        event.stop()
        self.move(-_WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Forth."""
        event.stop()
        self.move(_WHEEL)

    # Drawing

    def redraw(self) -> None:
        """Draw with the next flush; what nobody sees is drawn when it comes into sight."""
        self._flush.soon(at_once=not self.following)

    def _draw(self) -> None:
        self._stale = True
        self.refresh()

    def on_resize(self) -> None:
        """Other lines fit."""
        self._stale = True

    def notify_style_update(self) -> None:
        """The theme changed."""
        super().notify_style_update()
        self._styles.clear()
        self._stale = True

    def render_line(self, y: int) -> Strip:
        """A line in sight, with the tick of the right edge."""
        if self._stale or self._flush.stale:
            self._stale = self._flush.stale = False
            self._rows = self._visible()
        width, base = self.size.width, self._styles.base()
        strip = self._rows[y][1] if y < len(self._rows) else Strip.blank(max(0, width - 1), base)
        sign, role = self._edge.get(y, (" ", ""))
        return Strip([*strip, Segment(sign, self._styles[role] if role else base)])

    @property
    def sight(self) -> tuple[float, float] | None:
        """Times of the first and the last line in sight, long lines taken for short; None where there is none."""
        height, count = max(1, self.size.height), len(self.lines)
        top = max(0, count - height) if self.following else self._top
        return (self.lines[top].wall, self.lines[min(top + height, count) - 1].wall) if count else None

    def _visible(self) -> list[Row]:
        """The rows in sight, from the top; while following, the last ones that fit."""
        height = max(1, self.size.height)
        rows: list[Row] = []
        if self.following:
            for place in range(len(self.lines) - 1, -1, -1):
                rows[:0] = self._drawn(place)
                if len(rows) >= height:
                    return rows[-height:]
            return rows
        for place in range(self._top, len(self.lines)):
            rows += self._drawn(place)
            if len(rows) >= height:
                break
        return rows[:height]

    def _drawn(self, place: int) -> list[Row]:
        line = self.lines[place]
        width = max(1, self.size.width - 1)
        parts = tuple(self._shown_as(line))
        pieces = wrapped(TextLine(parts), width) if self.wrap else [TextLine(parts)]
        return [(place, self._strip(piece, width, place == self._cursor)) for piece in pieces]

    def _strip(self, piece: TextLine, width: int, here: bool) -> Strip:
        base = self._styles.base()
        cursor = self.get_component_rich_style("logpane--cursor", partial=True) if here else Style.null()
        segments = [Segment(text, (self._styles[role] if role else base) + cursor) for text, role in piece.parts]
        if self.pattern is not None and piece.parts:
            look = self.get_component_rich_style("logpane--hit", partial=True)
            for hit in self.pattern.finditer(piece.plain):
                if hit.start() < hit.end():
                    segments = restyle(segments, hit.start(), hit.end(), look)
        return shortened(Strip(segments), width, base + cursor)
