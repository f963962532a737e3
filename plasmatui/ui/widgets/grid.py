"""A live table of many rows that draws only the cells that changed.

Rows are known by key, never by place: the cursor and the marks stay with their rows when the order changes. Changes are
collected and drawn at most `hz` times a second, each as the region of its cell; rows out of sight cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from plasmatui.text import ELLIPSIS
from plasmatui.ui.widgets.drawing import Flush, Styles, fit
from plasmatui.ui.widgets.gridlayout import BLANK, GUTTER, Cell, Column, Layout, Row


class NodeGrid(ScrollView, can_focus=True):
    """The table. The owner gives rows, order and glyphs; the grid keeps cursor and marks and tells of them."""

    ALLOW_SELECT = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "nodegrid--header",
        "nodegrid--cursor",
        "nodegrid--marked",
    }

    DEFAULT_CSS = """
    NodeGrid {
        height: 1fr;
        width: 1fr;
        background: $surface;
        color: $foreground;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
        & > .nodegrid--header { text-style: bold; color: $foreground; background: $panel; }
        & > .nodegrid--cursor { color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background; }
        &:focus > .nodegrid--cursor { color: $block-cursor-foreground; background: $block-cursor-background; }
        & > .nodegrid--marked { color: $accent; text-style: bold; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "first", show=False),
        Binding("end", "last", show=False),
        Binding("enter", "open", show=False),
    ]

    class CursorMoved(Message):
        """The cursor is on another row; None when there is no row."""

        def __init__(self, grid: NodeGrid, key: str | None) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

        @property
        def control(self) -> NodeGrid:
            return self.grid

    class RowOpened(Message):
        """Enter, or a click on the row under the cursor."""

        def __init__(self, grid: NodeGrid, key: str) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

        @property
        def control(self) -> NodeGrid:
            return self.grid

    class TitleClicked(Message):
        """A click on the title of a column."""

        def __init__(self, grid: NodeGrid, column: str) -> None:
            super().__init__()
            self.grid = grid
            self.column = column

        @property
        def control(self) -> NodeGrid:
            return self.grid

    class MarksChanged(Message):
        """Other rows are marked."""

        def __init__(self, grid: NodeGrid, marks: frozenset[str]) -> None:
            super().__init__()
            self.grid = grid
            self.marks = marks

        @property
        def control(self) -> NodeGrid:
            return self.grid

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        mark: str = "*",
        ellipsis: str = ELLIPSIS,
        hz: float = 10.0,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._layout = Layout(columns, ellipsis)
        self._mark = mark
        self._rows: dict[str, dict[str, Cell]] = {}
        self._order: list[str] = []
        self._place: dict[str, int] = {}
        self._cursor: str | None = None
        self._marks: set[str] = set()
        self._strips: dict[str, Strip] = {}
        self._dirty: dict[str, dict[str, tuple[int, int]]] = {}
        self.flush = Flush(self, self._draw_changed, hz)
        self._styles = Styles(self)
        self._lay_out(0)

    # Rows

    @property
    def order(self) -> list[str]:
        """Keys of the rows shown, from the top."""
        return list(self._order)

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns; rows keep their cells."""
        self._layout = Layout(columns, self._layout.ellipsis)
        self._lay_out(self.size.width)
        self._repaint()
        self.call_after_refresh(self._show_cursor)  # a scrollbar below may have come

    def set_rows(self, rows: Iterable[Row]) -> None:
        """Replace all rows; they are shown in the order given. The same rows with other cells draw only those."""
        new = {row.key: dict(row.cells) for row in rows}
        if list(new) == list(self._rows):
            for key, cells in new.items():
                gone = dict.fromkeys(self._rows[key].keys() - cells.keys(), BLANK)
                self.update_cells(key, gone | cells)
        else:
            self._rows = new
            self._order = []
        self.set_order(new)

    def set_order(self, keys: Iterable[str]) -> None:
        """Show these rows in this order (sorted and filtered by the owner); unknown keys are passed over.

        The cursor stays on its row, and the row at its line on the screen, as far as that is possible. When its row is
        no longer shown, the cursor goes to the row that took its place. Marks of rows that are gone vanish; those of
        rows that are only filtered out stay.
        """
        order = [key for key in keys if key in self._rows]
        if order == self._order and order:
            return
        before = self._place.get(self._cursor) if self._cursor is not None else None
        offset = 0 if before is None else before - self.scroll_offset.y
        self._order = order
        self._place = {key: place for place, key in enumerate(self._order)}
        self.virtual_size = Size(self._layout.total, len(self._order) + 1)
        if gone := self._marks - self._rows.keys():
            self._set_marks(self._marks - gone)
        if self._cursor not in self._place:
            last = len(self._order) - 1
            self._set_cursor(self._order[min(before or 0, last)] if self._order else None)
        elif before is not None and self._place[self._cursor] != before:
            self.scroll_to(y=self._place[self._cursor] - offset, animate=False, force=True)
        self._repaint()

    def update_cells(self, key: str, cells: Mapping[str, Cell]) -> None:
        """Change cells of a row; drawn with the next flush. A key that is not there is passed over."""
        row = self._rows.get(key)
        if row is None:
            return
        changed = {column: row.get(column, BLANK) for column, cell in cells.items() if row.get(column, BLANK) != cell}
        if not changed:
            return
        row.update(cells)
        self._strips.pop(key, None)
        if key in self._place:
            dirty = self._dirty.setdefault(key, {})
            for column, old in changed.items():
                if column in self._layout.spans:
                    first, end = self._layout.difference(column, old, row[column])
                    known = dirty.get(column, (first, end))
                    dirty[column] = (min(first, known[0]), max(end, known[1]))
            self.flush.soon()

    # Cursor and marks

    @property
    def cursor_key(self) -> str | None:
        """Key of the row under the cursor."""
        return self._cursor

    def move_to(self, key: str) -> None:
        """Put the cursor on a row and scroll to it."""
        if key in self._place:
            self._set_cursor(key)
            self._show_cursor()

    @property
    def marks(self) -> frozenset[str]:
        """Keys of the marked rows, shown or not."""
        return frozenset(self._marks)

    def set_marks(self, keys: Iterable[str]) -> None:
        """Mark these rows and no others."""
        self._set_marks(set(keys) & self._rows.keys())

    def toggle_mark(self, key: str | None = None) -> None:
        """Mark or unmark a row; without a key the one under the cursor."""
        key = self._cursor if key is None else key
        if key in self._rows:
            self._set_marks(self._marks ^ {key})

    def action_move(self, rows: int) -> None:
        """Move the cursor down by `rows` (up when negative)."""
        if self._order:
            place = self._place.get(self._cursor or "", 0) + rows
            self.move_to(self._order[max(0, min(place, len(self._order) - 1))])

    def action_page(self, pages: int) -> None:
        """Move the cursor by what fits on the screen."""
        self.action_move(pages * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """Move the cursor to the first row."""
        self.action_move(-len(self._order))

    def action_last(self) -> None:
        """Move the cursor to the last row."""
        self.action_move(len(self._order))

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self._cursor is not None:
            self.post_message(self.RowOpened(self, self._cursor))

    def _set_cursor(self, key: str | None) -> None:
        if key == self._cursor:
            return
        for changed in (self._cursor, key):
            self._refresh_row(changed)
        self._cursor = key
        self.post_message(self.CursorMoved(self, key))

    def _set_marks(self, marks: set[str]) -> None:
        if marks == self._marks:
            return
        for changed in marks ^ self._marks:
            self._refresh_row(changed)
        self._marks = marks
        self.post_message(self.MarksChanged(self, frozenset(marks)))

    def _show_cursor(self) -> None:
        place = self._place.get(self._cursor or "")
        if place is None:
            return
        shown = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if place < top:
            self.scroll_to(y=place, animate=False, force=True)
        elif place >= top + shown:
            self.scroll_to(y=place - shown + 1, animate=False, force=True)

    # Mouse, size, theme

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a row; one on the row under the cursor opens it. One on a title is told."""
        if event.y == 0 and (column := self._layout.at(event.x + self.scroll_offset.x)):
            self.post_message(self.TitleClicked(self, column))
        place = event.y - 1 + self.scroll_offset.y
        if event.y < 1 or place >= len(self._order):
            return
        key = self._order[place]
        if key == self._cursor:
            self.action_open()
        else:
            self.move_to(key)

    def on_resize(self, event: events.Resize) -> None:
        """Share the new width among the columns."""
        self._lay_out(self.size.width)
        self._show_cursor()
        self._repaint()

    def notify_style_update(self) -> None:
        """The theme or the focus changed: nothing drawn before is right."""
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()

    def _lay_out(self, width: int) -> None:
        self._layout.share(width)
        self._strips.clear()
        self.virtual_size = Size(self._layout.total, len(self._order) + 1)

    # Drawing

    def _repaint(self) -> None:
        self._strips.clear()
        self._dirty.clear()
        self.refresh()

    def _refresh_row(self, key: str | None) -> None:
        if key is None or key not in self._place:
            return
        self._strips.pop(key, None)
        y = self._place[key] - self.scroll_offset.y + 1
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _draw_changed(self) -> None:
        dirty, self._dirty = self._dirty, {}
        regions = self._regions(dirty)
        if regions:
            self.refresh(*regions)

    def _regions(self, dirty: Mapping[str, Mapping[str, tuple[int, int]]]) -> list[Region]:
        """Where the changed cells are on the screen."""
        left, top = self.scroll_offset
        width, height = self.size
        regions = []
        for key, columns in dirty.items():
            y = self._place.get(key, -1) - top + 1
            if not 1 <= y < height:
                continue
            for column, (first, after) in columns.items():
                x, cells = self._layout.spans.get(column, (0, 0))
                start, end = max(0, x + first - left), min(width, x + min(after, cells) - left)
                if start < end:
                    regions.append(Region(start, y, end - start, 1))
        return regions

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines for the compositor; what changed while nobody looked is drawn anew."""
        if self.flush.stale:
            self.flush.stale = False
            self._dirty.clear()
            self._styles_cache.clear()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """The header, or a row."""
        left, top = self.scroll_offset
        width = self.size.width
        if y == 0:
            style = self._styles.component("nodegrid--header")
            return self._layout.header(style).crop_extend(left, left + width, style)
        place = y - 1 + top
        if place >= len(self._order):
            return Strip.blank(width, self._styles.base())
        key = self._order[place]
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._build(key)
        return strip.crop_extend(left, left + width, self._row_style(key))

    def _row_style(self, key: str) -> Style:
        return self._styles.component("nodegrid--cursor") if key == self._cursor else self._styles.base()

    def _build(self, key: str) -> Strip:
        row = self._rows[key]
        plain = self._row_style(key)
        marked = key in self._marks
        mark_style = plain if key == self._cursor else self._styles.component("nodegrid--marked")
        mark = Segment(fit(self._mark if marked else "", GUTTER), mark_style if marked else plain)

        cells = [row.get(column, BLANK) for column in self._layout.spans]
        here = key == self._cursor
        texts = [(cell.text, plain if here or not cell.style else self._styles[cell.style]) for cell in cells]
        return self._layout.strip(mark, texts, plain)
