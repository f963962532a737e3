"""What a grid shows, and where its columns are: cells, rows, columns and the share that each has of the width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from plasmatui.ui.widgets.drawing import Align, fit

GAP: Final = 1
"""Blank cells after each column."""

GUTTER: Final = 2
"""Cells before the first column: the mark and a blank."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one cell; `style` is a name for `Styles`, such as `node-up` or `bold error`."""

    text: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: at least `width` cells; columns with `flex` share what is left in that proportion."""

    key: str
    title: str
    width: int
    flex: int = 0
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its key, and a cell for each column's key (a missing one is blank)."""

    key: str
    cells: Mapping[str, Cell] = field(default_factory=dict)


BLANK: Final = Cell()


class Layout:
    """Columns on a screen of some width.

    Attributes:
        spans: first character cell and width of each column, by its key, from the left.
        total: cells of all columns.
    """

    def __init__(self, columns: Sequence[Column], ellipsis: str) -> None:
        self.ellipsis = ellipsis
        self.spans: dict[str, tuple[int, int]] = {}
        self.total = 0
        self._columns = tuple(columns)
        self._moving = {column.key for column in columns if column.align != "left"}

    def share(self, width: int) -> None:
        """Share a width among the columns."""
        used = GUTTER + sum(column.width + GAP for column in self._columns)
        spare = max(0, width - used)
        shares = sum(column.flex for column in self._columns)
        x = GUTTER
        self.spans.clear()
        for column in self._columns:
            extra = spare * column.flex // shares if shares else 0
            spare, shares = spare - extra, shares - column.flex
            self.spans[column.key] = (x, column.width + extra)
            x += column.width + extra + GAP
        self.total = max(0, x - GAP)

    def at(self, x: int) -> str:
        """The key of the column at a cell, "" where there is none."""
        return next((key for key, (first, width) in self.spans.items() if first <= x < first + width), "")

    def difference(self, key: str, old: Cell, new: Cell) -> tuple[int, int]:
        """First differing character cell of two values in a column, and the one after the last."""
        width = self.spans[key][1]
        before, after = (fit(cell.text, width, ellipsis=self.ellipsis) for cell in (old, new))
        if len(before) != width or len(after) != width or key in self._moving:
            return 0, width  # wide characters, or text that moves as a whole
        if old.style != new.style:
            return 0, max(len(before.rstrip()), len(after.rstrip()))
        places = [place for place in range(width) if before[place] != after[place]]
        return (places[0], places[-1] + 1) if places else (0, 0)

    def header(self, style: Style) -> Strip:
        """The columns' titles."""
        titles = [(column.title, style) for column in self._columns]
        return self.strip(Segment(" " * GUTTER, style), titles, style)

    def strip(self, mark: Segment, texts: Iterable[tuple[str, Style]], plain: Style) -> Strip:
        """A line: what stands in the gutter, then a text for each column."""
        segments = [mark]
        for column, (text, style) in zip(self._columns, texts, strict=True):
            segments.append(Segment(fit(text, self.spans[column.key][1], column.align, self.ellipsis), style))
            segments.append(Segment(" " * GAP, plain))
        return Strip(segments, self.total + GAP)
