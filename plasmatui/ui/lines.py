"""Widgets for clean text in colour roles: one line, a paragraph, and many lines that can be scrolled. Text is never
markup here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from plasmatui.text import clean_line, is_clean
from plasmatui.ui.widgets.drawing import Styles, shortened

Part = tuple[str, str]
"""Text and its style: "" or names such as "role-ok", "bold", "bold role-error"."""


def clean_parts(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts as they may be drawn."""
    return tuple((text if is_clean(text) else clean_line(text), style) for text, style in parts)


class Line(Widget):
    """One line; drawn only when it says something else. `right` parts stand at the right end, over `left` ones."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id, classes=classes)
        self._left: tuple[Part, ...] = ()
        self._right: tuple[Part, ...] = ()
        self._styles = Styles(self)

    @property
    def plain(self) -> str:
        """What it says, without colours."""
        return "".join(text for text, _ in (*self._left, *self._right))

    def say(self, left: Sequence[Part], right: Sequence[Part] = ()) -> None:
        """Show these parts."""
        new = (clean_parts(left), clean_parts(right))
        if new == (self._left, self._right):
            return
        width = self.size.width
        before = self._cells(width)
        self._left, self._right = new
        after = self._cells(width)
        changed = [x for x, (old, now) in enumerate(zip(before, after, strict=False)) if old != now]
        if not width or len(before) != width or len(after) != width:  # out of sight, or wider and narrower characters
            self.refresh()
        elif changed:
            self.refresh(Region(changed[0], 0, changed[-1] - changed[0] + 1, 1))

    def _cells(self, width: int) -> list[tuple[str, object]]:
        """Character and style of each cell, as they are drawn."""
        return [(character, segment.style) for segment in self._strip(width) for character in segment.text]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        return self._strip(self.size.width)

    def _strip(self, width: int) -> Strip:
        base = self._styles.base()
        right = Strip([Segment(text, self._styles[style] if style else base) for text, style in self._right])
        room = max(0, width - right.cell_length)
        left = Strip([Segment(text, self._styles[style] if style else base) for text, style in self._left])
        return Strip.join([shortened(left, room, base), right]).crop_extend(0, width, base)


@dataclass(frozen=True)
class TextLine:
    """A line of a `LinesPane`; lines with a `key` can be chosen."""

    parts: tuple[Part, ...]
    key: str = ""

    @property
    def plain(self) -> str:
        return "".join(text for text, _ in self.parts)


def text_line(*parts: Part, key: str = "") -> TextLine:
    """A line from clean or unclean parts."""
    return TextLine(clean_parts(parts), key)


def _cut(text: str, cells: int) -> tuple[str, str]:
    """What of a text fits into so many cells, and the rest."""
    if text.isascii():
        return text[:cells], text[cells:]
    used = 0
    for place, character in enumerate(text):
        used += cell_len(character)
        if used > cells:
            return text[:place], text[place:]
    return text, ""


def wrapped(line: TextLine, width: int) -> list[TextLine]:
    """The line in pieces of at most `width` cells, the further ones indented; only the first keeps the key."""
    if width < 20 or cell_len(line.plain) <= width:
        return [line]
    indent = min(len(line.plain) - len(line.plain.lstrip()) + 2, width // 2)
    pieces: list[TextLine] = []
    parts: list[Part] = []
    room, begun = width, False
    for text, style in line.parts:
        rest = text
        while rest:
            head, tail = _cut(rest, room)
            if tail and not tail.startswith(" "):
                cut = head.rfind(" ") + 1  # a word is not torn, but for one that is longer than a line
                if begun or head[:cut].strip():
                    head, tail = head[:cut], head[cut:] + tail
            parts.append((head, style))
            room -= cell_len(head)
            begun = begun or bool(head.strip())
            rest = tail.lstrip() if tail else ""
            if rest:
                pieces.append(TextLine(tuple(parts), "" if pieces else line.key))
                parts, room, begun = [(" " * indent, "")], width - indent, False
    pieces.append(TextLine(tuple(parts), "" if pieces else line.key))
    return pieces


class LinesPane(ScrollView, can_focus=True):
    """Many lines. At its end it follows what is appended; anywhere else nothing moves under the reader."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"linespane--cursor"}

    DEFAULT_CSS = """
    LinesPane {
        height: 1fr;
        width: 1fr;
        background: $background;
        color: $foreground;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
        & > .linespane--cursor { background: $panel; }
    }
    """

    class Chosen(Message):
        """A click on a line with a key."""

        def __init__(self, pane: LinesPane, key: str) -> None:
            super().__init__()
            self.pane = pane
            self.key = key

        @property
        def control(self) -> LinesPane:
            return self.pane

    def __init__(
        self,
        *,
        follow: bool = False,
        wrap: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: tuple[TextLine, ...] = ()
        self._given: tuple[TextLine, ...] = ()
        self._follow = follow
        self._wrap = wrap
        self._cursor = ""
        self._styles = Styles(self)

    @property
    def lines(self) -> tuple[TextLine, ...]:
        """The lines as they are shown."""
        return self._lines

    def on_resize(self) -> None:
        if self._wrap:
            self.set_lines(self._given)

    @property
    def plain(self) -> str:
        """All lines without colours."""
        return "\n".join(line.plain for line in self._lines)

    @property
    def cursor(self) -> str:
        """Key of the chosen line, "" when there is none."""
        return self._cursor

    def begin(self, *, follow: bool) -> None:
        """Something else will be shown: from its first line, or following its last."""
        self._follow = follow
        self._lines = ()
        self._cursor = ""
        self.virtual_size = Size(0, 0)
        self.scroll_home(animate=False, force=True)
        self.refresh()

    def set_lines(self, lines: Sequence[TextLine]) -> None:
        """Show these lines; the place on the screen is kept, or the end when it was at the end."""
        new = self._given = tuple(lines)
        if self._wrap and self.size.width:
            room = self.size.width - self.styles.scrollbar_size_vertical  # the bar may come, and must hide nothing
            new = tuple(piece for line in new for piece in wrapped(line, room))
        if new == self._lines:
            return
        at_end = self._follow and self.scroll_offset.y >= self.max_scroll_y
        old, self._lines = self._lines, new
        widest = max((cell_len(line.plain) for line in new), default=0)
        if (len(new), widest) != (len(old), self.virtual_size.width):
            self.virtual_size = Size(widest, len(new))
        if self._cursor and not any(line.key == self._cursor for line in new):
            self._cursor = ""
        if at_end:
            self.scroll_end(animate=False, force=True)
        self._refresh_changed(old)

    def _refresh_changed(self, old: tuple[TextLine, ...]) -> None:
        top, height = self.scroll_offset.y, self.size.height
        if len(old) != len(self._lines):
            self.refresh()
            return
        regions = [
            Region(0, y - top, self.size.width, 1)
            for y in range(top, min(top + height, len(old)))
            if old[y] != self._lines[y]
        ]
        if regions:
            self.refresh(*regions)

    def choose(self, key: str) -> None:
        """Put the cursor on the line with this key."""
        for place, line in enumerate(self._lines):
            if key and line.key == key:
                self._cursor = key
                if not self.scroll_offset.y <= place < self.scroll_offset.y + self.size.height:
                    self.scroll_to(y=max(0, place - self.size.height // 2), animate=False, force=True)
                self.refresh()
                return

    def move(self, steps: int) -> None:
        """Move the cursor by lines that have a key; scroll when none has."""
        keys = list(dict.fromkeys(line.key for line in self._lines if line.key))
        if not keys:
            self.scroll_relative(y=steps, animate=False, force=True)
            return
        place = keys.index(self._cursor) + steps if self._cursor in keys else 0
        self.choose(keys[max(0, min(place, len(keys) - 1))])

    def page(self, pages: float) -> None:
        """Scroll by this part of the height."""
        self.scroll_relative(y=int(pages * max(1, self.size.height - 1)), animate=False, force=True)

    def ends(self, direction: int) -> None:
        """To the first line (-1) or the last (1)."""
        keys = [line.key for line in self._lines if line.key]
        if keys:
            self.choose(keys[0 if direction < 0 else -1])
        elif direction < 0:
            self.scroll_home(animate=False, force=True)
        else:
            self.scroll_end(animate=False, force=True)

    def on_click(self, event: events.Click) -> None:
        place = event.y + self.scroll_offset.y
        if 0 <= place < len(self._lines) and self._lines[place].key:
            self.choose(self._lines[place].key)
            self.post_message(self.Chosen(self, self._cursor))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width = self.size.width
        base = self._styles.base()
        if y + top >= len(self._lines):
            return Strip.blank(width, base)
        line = self._lines[y + top]
        styles = [self._styles[style] if style else base for _, style in line.parts]
        if line.key and line.key == self._cursor:
            cursor = self.get_component_rich_style("linespane--cursor", partial=True)
            base += cursor
            styles = [style + cursor for style in styles]
        segments = [Segment(text, style) for (text, _), style in zip(line.parts, styles, strict=True)]
        return Strip(segments).crop_extend(left, left + width, base)
