"""The cells of a console: rows of characters with their looks, the scrollback, and what can be done to them.

A wide character stands in its first cell, the second holds nothing. All text in the cells is printable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from plasmatui.ui.vtstyle import Attribute, Attributes

Runs = tuple[tuple[str, int], ...]
"""One line: pieces of text, each with the number of its attribute."""

_COMBINED: Final = 4  # characters in one cell: a letter and its accents, not a tower of them


class Screen:
    """Screen and scrollback of one console, with its cursor, margins and the modes that decide how text is placed.

    Lines have absolute numbers that never change: line 0 is the first that the console showed. The lines that left the
    screen are `first_line` to `top_line - 1`, as far as the scrollback reaches; the screen is `top_line` to
    `top_line + rows - 1`.
    """

    def __init__(self, cols: int = 80, rows: int = 25, scrollback: int = 5000) -> None:
        self.cols = max(2, cols)
        self.rows = max(1, rows)
        self.history: deque[Runs] = deque(maxlen=scrollback)
        self.top_line = 0
        self._attributes = Attributes()
        self._switch_on()

    def _switch_on(self) -> None:
        """The state of a terminal that was just switched on; scrollback stays."""
        self._x = self._y = 0
        self._attr = self._erased = 0
        self._top, self._bottom = 0, self.rows - 1
        self._wrap, self._insert = True, False
        self._tabs = set(range(8, self.cols, 8))
        self._main: tuple[list[list[str]], list[list[int]]] | None = None
        self._blank_screen()

    def _blank_screen(self) -> None:
        self._ch = [[" "] * self.cols for _ in range(self.rows)]
        self._at = [[self._erased] * self.cols for _ in range(self.rows)]

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.cols, self.rows

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor, from 0."""
        return min(self._x, self.cols - 1), self._y

    @property
    def first_line(self) -> int:
        """Absolute number of the oldest line that is still kept."""
        return self.top_line - len(self.history)

    def attribute(self, number: int) -> Attribute:
        """What the number of a run means."""
        return self._attributes[number]

    def line(self, y: int) -> Runs:
        """A row of the screen as runs of equal looks, `cols` cells in all."""
        characters, attributes = self._ch[y], self._at[y]
        first = attributes[0]
        if attributes.count(first) == self.cols:
            return (("".join(characters), first),)
        runs = []
        start = 0
        for x in range(1, self.cols):
            if attributes[x] != first:
                runs.append(("".join(characters[start:x]), first))
                start, first = x, attributes[x]
        runs.append(("".join(characters[start:]), first))
        return tuple(runs)

    def absolute_line(self, number: int) -> Runs:
        """A line of scrollback or screen by its absolute number; nothing when it is not (or no longer) there."""
        if self.top_line <= number < self.top_line + self.rows:
            return self.line(number - self.top_line)
        if self.first_line <= number < self.top_line:
            return self.history[number - self.first_line]
        return ()

    def line_text(self, number: int) -> str:
        """The text of a line by its absolute number, without trailing blanks."""
        return "".join([text for text, _ in self.absolute_line(number)]).rstrip()

    def text(self) -> str:
        """The screen as lines of text without trailing blanks."""
        return "\n".join("".join(row).rstrip() for row in self._ch)

    # Text

    def _place(self, text: str) -> None:
        """Write characters of one cell each at the cursor."""
        cols, attr = self.cols, self._attr
        position, length = 0, len(text)
        while position < length:
            x = self._x
            if x >= cols:
                if self._wrap:
                    x = 0
                    self._line_feed()
                else:  # each further character replaces the one in the last column
                    x = cols - 1
                    position = length - 1
            count = min(cols - x, length - position)
            end = x + count
            row, numbers = self._ch[self._y], self._at[self._y]
            if self._insert:
                self._open(row, numbers, x, count)
            else:
                self._mend(row, x, end)
            row[x:end] = text[position : position + count]
            numbers[x:end] = [attr] * count
            self._x = end
            position += count

    def _place_wide(self, character: str) -> None:
        """A character of two cells: the second cell holds nothing."""
        if self._x >= self.cols - 1:
            if self._wrap:
                self._place(" " * (self.cols - self._x))
            else:
                self._x = self.cols - 2
        self._place("  ")
        row, x = self._ch[self._y], self._x - 2
        row[x], row[x + 1] = character, ""

    def _combine(self, character: str) -> None:
        """An accent joins the character before the cursor."""
        row, x = self._ch[self._y], min(self._x, self.cols) - 1
        if x > 0 and row[x] == "":
            x -= 1
        if x >= 0 and len(row[x]) < _COMBINED:
            row[x] += character

    def _mend(self, row: list[str], start: int, end: int) -> None:
        """Blank the halves of wide characters that a change of the cells start to end leaves behind."""
        if row[start] == "":
            row[start - 1] = " "
        if end < self.cols and row[end] == "":
            row[end] = " "

    def _open(self, row: list[str], numbers: list[int], x: int, count: int) -> None:
        """Insert blank cells; what they push over the right edge is lost."""
        if row[x] == "":
            row[x - 1] = row[x] = " "
        row[x:x] = " " * count
        numbers[x:x] = [self._erased] * count
        if len(row) > self.cols and row[self.cols] == "":
            row[self.cols - 1] = " "
        del row[self.cols :], numbers[self.cols :]

    # Erasing and rows that move

    def _erase_cells(self, y: int, start: int, end: int) -> None:
        row = self._ch[y]
        self._mend(row, start, end)
        row[start:end] = " " * (end - start)
        self._at[y][start:end] = [self._erased] * (end - start)

    def _erase_rows(self, rows: Iterable[int]) -> None:
        for y in rows:
            self._erase_cells(y, 0, self.cols)

    def _line_feed(self) -> None:
        if self._y == self._bottom:
            self._scroll_up(1)
        elif self._y < self.rows - 1:
            self._y += 1

    def _scroll_up(self, count: int) -> None:
        if self._top == 0 and self._main is None:
            self._keep(min(count, self._bottom + 1))
        self._move_rows(self._top, self._bottom, count)

    def _scroll_down(self, count: int) -> None:
        self._move_rows(self._top, self._bottom, -count)

    def _move_rows(self, top: int, bottom: int, count: int) -> None:
        """Move the rows top to bottom up by `count` (down when negative); blank rows come in."""
        size = bottom - top + 1
        lost = min(abs(count), size)
        out, into = (top, bottom + 1 - lost) if count > 0 else (bottom + 1 - lost, top)
        del self._ch[out : out + lost], self._at[out : out + lost]
        self._ch[into:into] = [[" "] * self.cols for _ in range(lost)]
        self._at[into:into] = [[self._erased] * self.cols for _ in range(lost)]

    def _keep(self, count: int) -> None:
        """Put the first rows of the screen into the scrollback, without the plain blanks at their ends."""
        for y in range(count):
            runs = self.line(y)
            text, number = runs[-1]
            if number == 0:
                text = text.rstrip(" ")
                runs = (*runs[:-1], (text, 0)) if text else runs[:-1]
            self.history.append(runs)
        self.top_line += count

    def _keep_screen(self) -> None:
        """Put the rows that hold text into the scrollback."""
        used = [y for y in range(self.rows) if not "".join(self._ch[y]).isspace()]
        if used:
            self._keep(used[-1] + 1)
