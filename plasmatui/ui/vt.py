"""A terminal emulator for consoles: firmware screens, boot loaders, kernels, installers.

It takes bytes from a machine that may be broken or hostile and keeps what a VT220-like terminal would show. It never
raises, never answers (device status and identification requests are dropped: an answer would be typed into the
console), swallows window titles, clipboard writes and device strings, and gives back only printable characters. A
control string ends at the next control character or after 4 kB: one that is never closed cannot swallow the console.

One regular expression cuts the stream into runs of text and sequences; runs are written into rows as slices. That
makes it several times faster than an emulator that looks at each character.

Protocol: ECMA-48 5th edition; DEC VT220 Programmer Reference (charsets, margins, modes); xterm's `ctlseqs`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from rich.cells import get_character_cell_size

from plasmatui.text import StreamDecoder, is_clean, printable
from plasmatui.ui.vtscreen import Screen

_TOKEN: Final = re.compile(
    r"([^\x00-\x1f\x7f-\x9f]+)"  # 1: text
    r"|\r?\n|\r"
    r"|\x1b\[([0-?]{0,256})([ -/]{0,4})([@-~])"  # 2, 3, 4: a control sequence
    r"|\x1b[]PX^_][^\x00-\x1f]{0,4096}(?:\x07|\x1b\\)"  # a control string: dropped
    # 5: what may go on in the next chunk
    r"|(\x1b(?:\[[0-?]{0,256}[ -/]{0,4}|[]PX^_][^\x00-\x1f]{0,4096}\x1b?|[ -/]{0,4})\Z)"
    r"|\x1b\[[0-?]{0,256}[ -/]{0,4}|\x1b[]PX^_][^\x00-\x1f]{0,4096}"  # broken off: dropped as well
    r"|\x1b([ -/]{0,4})([0-~])"  # 6, 7: a short escape
    r"|[\x00-\x1f\x7f-\x9f]"
)
# DEC Special Graphics, VT220 Programmer Reference table 2-4.
_GRAPHICS: Final = str.maketrans("`abcdefghijklmnopqrstuvwxyz{|}~_", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£· ")
_LARGEST: Final = 9999


class Vt(Screen):
    """One console: bytes in, lines of text with looks out (see `Screen` for those)."""

    def __init__(self, cols: int = 80, rows: int = 25, scrollback: int = 5000) -> None:
        super().__init__(cols, rows, scrollback)
        self._decoder = StreamDecoder()
        self._pending = ""

    def _switch_on(self) -> None:
        super()._switch_on()
        self._origin = False
        self._graphics = [False, False]
        self._shift = 0
        self._last = ""
        self.cursor_visible = True
        self.application_cursor = False
        self._saved = self._cursor_state()

    def feed(self, data: bytes) -> None:
        """Take bytes from the console, cut anywhere. Never raises, never answers."""
        text = self._decoder.feed(data)
        if self._pending:
            text = self._pending + text
            self._pending = ""
        for match in _TOKEN.finditer(text):
            run = match[1]
            if run is not None:
                self._write(run)
                continue
            token = match[0]
            first = token[0]
            if first == "\r":
                self._x = 0
                if len(token) == 2:
                    self._line_feed()
            elif first != "\x1b":
                self._control(first)
            elif match[4] is not None:
                self._sequence(match[2], match[3], match[4])
            elif match[5] is not None:
                self._pending = token
            elif match[7] is not None:
                self._escape(match[6], match[7])

    def _write(self, text: str) -> None:
        if self._graphics[self._shift]:
            text = text.translate(_GRAPHICS)
        self._last = text[-1]
        if text.isascii():
            self._place(text)
            return
        if not is_clean(text):
            text = printable(text)
        widths = [get_character_cell_size(c) for c in text]
        if widths.count(1) == len(text):
            self._place(text)
            return
        for character, width in zip(text, widths, strict=True):
            if width == 1:
                self._place(character)
            elif width == 2:
                self._place_wide(character)
            else:
                self._combine(character)

    # Controls and short escapes

    def _control(self, character: str) -> None:
        if character in "\n\x0b\x0c":
            self._line_feed()
        elif character == "\b":
            self._x = max(0, min(self._x, self.cols - 1) - 1)
        elif character == "\t":
            self._tab(1)
        elif character in "\x0e\x0f":
            self._shift = 1 if character == "\x0e" else 0

    def _escape(self, intermediate: str, final: str) -> None:
        if intermediate in ("(", ")"):
            self._graphics["()".index(intermediate)] = final == "0"
        elif intermediate == "#" and final == "8":
            self._ch = [["E"] * self.cols for _ in range(self.rows)]
        elif not intermediate and (action := _ESCAPES.get(final)) is not None:
            action(self)

    def _next_line(self) -> None:
        self._x = 0
        self._line_feed()

    def _reverse_line_feed(self) -> None:
        if self._y == self._top:
            self._scroll_down(1)
        elif self._y > 0:
            self._y -= 1

    def _set_tab(self) -> None:
        self._tabs.add(self.cursor[0])

    def _reset(self) -> None:
        """RIS. What was on the screen goes to the scrollback: it may be the panic before the reboot."""
        if self._main is not None:
            self._ch, self._at = self._main
            self._main = None
        self._keep_screen()
        self._switch_on()

    def _cursor_state(self) -> tuple[int, int, int, int, bool, tuple[bool, bool], int]:
        graphics = (self._graphics[0], self._graphics[1])
        return self._x, self._y, self._attr, self._erased, self._origin, graphics, self._shift

    def _save_cursor(self) -> None:
        self._saved = self._cursor_state()

    def _restore_cursor(self) -> None:
        x, y, self._attr, self._erased, self._origin, graphics, self._shift = self._saved
        self._x, self._y = min(x, self.cols), min(y, self.rows - 1)
        self._graphics = list(graphics)

    # Control sequences

    def _sequence(self, parameters: str, intermediate: str, final: str) -> None:
        if parameters[:1] in ("<", "=", ">", "?") and parameters:
            if parameters[0] == "?" and final in "hl" and not intermediate:
                for mode in parameters[1:].split(";"):
                    self._private_mode(mode, final == "h")
        elif intermediate:
            if intermediate == "!" and final == "p":
                self._soft_reset()
        elif final == "m":
            self._attr = self._attributes.after_sgr(self._attr, parameters)
            self._erased = self._attributes.erased(self._attr)
        elif (action := _SEQUENCES.get(final)) is not None:
            action(self, [min(int(v[:5]), _LARGEST) if v.isdecimal() else 0 for v in parameters.split(";")])

    def _private_mode(self, mode: str, on: bool) -> None:
        if mode == "1":
            self.application_cursor = on
        elif mode == "6":
            self._origin = on
            self._move_to([1, 1])
        elif mode == "7":
            self._wrap = on
        elif mode == "25":
            self.cursor_visible = on
        elif mode in ("47", "1047", "1049"):
            self._alternate(on, save=mode == "1049")

    def _alternate(self, on: bool, save: bool) -> None:
        if on and self._main is None:
            if save:
                self._save_cursor()
            self._main = self._ch, self._at
            self._blank_screen()
        elif not on and self._main is not None:
            self._ch, self._at = self._main
            self._main = None
            if save:
                self._restore_cursor()

    def _soft_reset(self) -> None:
        self._attr = self._erased = self._shift = 0
        self._graphics = [False, False]
        self._wrap, self._origin, self._insert = True, False, False
        self._top, self._bottom = 0, self.rows - 1
        self.cursor_visible, self.application_cursor = True, False

    def _modes(self, values: list[int], on: bool) -> None:
        if 4 in values:
            self._insert = on

    def _move_to(self, values: list[int]) -> None:
        self._row_to(values)
        self._column_to(values[1:] or [1])

    def _row_to(self, values: list[int]) -> None:
        low, high = (self._top, self._bottom) if self._origin else (0, self.rows - 1)
        self._y = min(low + max(1, values[0]) - 1, high)

    def _column_to(self, values: list[int]) -> None:
        self._x = min(max(1, values[0]), self.cols) - 1

    def _up(self, values: list[int], column: int = 0) -> None:
        low = self._top if self._y >= self._top else 0
        self._y = max(low, self._y - max(1, values[0]))
        if column:
            self._column_to([column])

    def _down(self, values: list[int], column: int = 0) -> None:
        high = self._bottom if self._y <= self._bottom else self.rows - 1
        self._y = min(high, self._y + max(1, values[0]))
        if column:
            self._column_to([column])

    def _forward(self, values: list[int]) -> None:
        self._x = min(self.cols - 1, self._x + max(1, values[0]))

    def _back(self, values: list[int]) -> None:
        self._x = max(0, min(self._x, self.cols - 1) - max(1, values[0]))

    def _tab(self, count: int) -> None:
        for _ in range(min(count, self.cols)):
            self._x = min((stop for stop in self._tabs if stop > self._x), default=self.cols - 1)

    def _tab_back(self, values: list[int]) -> None:
        for _ in range(min(max(1, values[0]), self.cols)):
            self._x = max((stop for stop in self._tabs if stop < self._x), default=0)

    def _clear_tabs(self, values: list[int]) -> None:
        if values[0] == 0:
            self._tabs.discard(self.cursor[0])
        elif values[0] == 3:
            self._tabs.clear()

    def _erase_line(self, values: list[int]) -> None:
        x, y = self.cursor
        start, end = {0: (x, self.cols), 1: (0, x + 1), 2: (0, self.cols)}.get(values[0], (0, 0))
        if end:
            self._erase_cells(y, start, end)

    def _erase_screen(self, values: list[int]) -> None:
        """ED. Erasing all keeps the old screen in the scrollback, as PuTTY does."""
        if values[0] in (0, 1):
            self._erase_line(values)
            self._erase_rows(range(self._y + 1, self.rows) if values[0] == 0 else range(self._y))
        elif values[0] == 2:
            if self._main is None:
                self._keep_screen()
            self._erase_rows(range(self.rows))

    def _erase_characters(self, values: list[int]) -> None:
        x, y = self.cursor
        self._erase_cells(y, x, min(self.cols, x + max(1, values[0])))

    def _delete_characters(self, values: list[int]) -> None:
        x, y = self.cursor
        row, numbers = self._ch[y], self._at[y]
        count = min(max(1, values[0]), self.cols - x)
        self._mend(row, x, x + count)
        del row[x : x + count], numbers[x : x + count]
        row.extend(" " * count)
        numbers.extend([self._erased] * count)

    def _insert_blanks(self, values: list[int]) -> None:
        x, y = self.cursor
        self._open(self._ch[y], self._at[y], x, min(max(1, values[0]), self.cols - x))

    def _repeat(self, values: list[int]) -> None:
        if self._last:
            self._write(self._last * min(max(1, values[0]), self.cols))

    def _insert_lines(self, values: list[int]) -> None:
        if self._top <= self._y <= self._bottom:
            self._move_rows(self._y, self._bottom, -max(1, values[0]))
            self._x = 0

    def _delete_lines(self, values: list[int]) -> None:
        if self._top <= self._y <= self._bottom:
            self._move_rows(self._y, self._bottom, max(1, values[0]))
            self._x = 0

    def _margins(self, values: list[int]) -> None:
        top = max(1, values[0]) - 1
        bottom = min(self.rows, (values[1] if len(values) > 1 else 0) or self.rows) - 1
        if top < bottom:
            self._top, self._bottom = top, bottom
            self._move_to([1, 1])


_ESCAPES: Final[dict[str, Callable[[Vt], None]]] = {
    "7": Vt._save_cursor,
    "8": Vt._restore_cursor,
    "D": Vt._line_feed,
    "E": Vt._next_line,
    "H": Vt._set_tab,
    "M": Vt._reverse_line_feed,
    "c": Vt._reset,
}

_SEQUENCES: Final[dict[str, Callable[[Vt, list[int]], None]]] = {
    "@": Vt._insert_blanks,
    "A": Vt._up,
    "B": Vt._down,
    "C": Vt._forward,
    "D": Vt._back,
    "E": lambda vt, values: vt._down(values, column=1),
    "F": lambda vt, values: vt._up(values, column=1),
    "G": Vt._column_to,
    "H": Vt._move_to,
    "I": lambda vt, values: vt._tab(max(1, values[0])),
    "J": Vt._erase_screen,
    "K": Vt._erase_line,
    "L": Vt._insert_lines,
    "M": Vt._delete_lines,
    "P": Vt._delete_characters,
    "S": lambda vt, values: vt._scroll_up(max(1, values[0])),
    "T": lambda vt, values: vt._scroll_down(max(1, values[0])),
    "X": Vt._erase_characters,
    "Z": Vt._tab_back,
    "`": Vt._column_to,
    "a": Vt._forward,
    "b": Vt._repeat,
    "d": Vt._row_to,
    "e": Vt._down,
    "f": Vt._move_to,
    "g": Vt._clear_tabs,
    "h": lambda vt, values: vt._modes(values, on=True),
    "l": lambda vt, values: vt._modes(values, on=False),
    "r": Vt._margins,
    "s": lambda vt, _: vt._save_cursor(),
    "u": lambda vt, _: vt._restore_cursor(),
}
