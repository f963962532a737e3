"""Raw serial bytes to lines of text, in one pass and bounded memory.

A serial console is a terminal: firmware and menus address the cursor, iPXE and progress displays erase and overwrite,
prompts end without a newline. What counts here is what stood on a line when it was left.

Control sequences: ECMA-48 5th edition, sections 5.4 (CSI), 5.6 (control strings), 8.3 (CUP, VPA, CUU, CUD, CNL, CPL,
CHA, CUF, CUB, ED, EL); VT100 user guide for RIS, IND and NEL.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

LINE_CAP: Final = 4096
"""Bytes of a line that are kept; the rest of it is dropped."""
SEQUENCE_CAP: Final = 256
"""Bytes of a control sequence whose end has not come; a longer one is dropped."""
GLANCES: Final = 400
"""How often text that is erased or overwritten is looked at, within one line of the stream."""
GLANCE_CAP: Final = 512
"""Bytes of an unfinished line that are looked at."""

_SGR: Final = re.compile(rb"\x1b\[[0-9;:]*m")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_TOKEN: Final = re.compile(
    rb"(?P<text>[^\x00-\x08\x0a-\x1f\x7f]+)"
    rb"|(?P<csi>\x1b\[(?P<args>[0-?]*)[ -/]*(?P<final>[@-~]))"
    rb"|(?P<string>\x1b[\]PX^_])"
    rb"|(?P<escape>\x1b[ -/]*[0-Z\\`-~])"
    rb"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
)
_BEGUN: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[ -/]*)\Z")
_STRING_END: Final = re.compile(rb"\x07|\x1b\\|\n")


class LineSink(Protocol):
    """Who reads the lines. `line` counts line feeds, from 1."""

    def on_line(self, raw: bytes, line: int) -> None:
        """A line that is complete: its end came, or the cursor left it."""

    def on_glance(self, raw: bytes, line: int) -> None:
        """What stands before the cursor, just before it is erased or overwritten."""

    def on_pause(self, raw: bytes, line: int) -> None:
        """What stands before the cursor at the end of a chunk. It may go on."""


class SerialScreen:
    """Cuts a byte stream into lines for a sink."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink
        self._line = 1
        self._rest = b""
        self._in_string = False
        self._buffer = bytearray()
        self._column = 0
        self._row = 0  # 0: not known
        self._base = 0  # the screen's column of the buffer's first byte
        self._return = False  # a carriage return whose next byte has not come
        self._dirty = False  # something visible was written since the last look
        self._glances = 0

    def feed(self, data: bytes) -> None:
        """Take a chunk, cut anywhere."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position, size = 0, len(data)
        while position < size:
            if self._in_string:
                position = self._skip_string(data, position)
            elif self._buffer or self._return or self._column:
                position = self._step(data, position)
            else:
                position = self._plain(data, position)
        if self._column:
            self._sink.on_pause(bytes(self._buffer[: min(self._column, GLANCE_CAP)]), self._line)

    def finish(self) -> None:
        """The stream ended: what stands on the line is a line."""
        self._rest = b""
        self._in_string = False
        self._leave()

    def _plain(self, data: bytes, position: int) -> int:
        """Whole lines without cursor movement, which most are."""
        sink = self._sink
        while (end := data.find(b"\n", position)) >= 0:
            raw = data[position : end - 1] if data[end - 1 : end] == b"\r" and end > position else data[position:end]
            if _CONTROL.search(raw) is not None:
                raw = _SGR.sub(b"", raw)
                if _CONTROL.search(raw) is not None:
                    return self._step(data, position)
            if raw:
                sink.on_line(raw[:LINE_CAP], self._line)
            self._next_line()
            position = end + 1
        return self._step(data, position) if position < len(data) else position

    def _step(self, data: bytes, position: int) -> int:
        """Tokens up to the end of the line, or of the data."""
        size = len(data)
        while position < size:
            match = _TOKEN.match(data, position)
            if match is None:
                if _BEGUN.match(data, position) and size - position <= SEQUENCE_CAP:
                    self._rest = data[position:]
                    return size
                position += 1  # an escape that begins nothing
                continue
            position = match.end()
            kind = match.lastgroup
            if self._return and match.group() != b"\n":
                self._overwrite()
            if kind == "text":
                self._write(match.group())
            elif kind == "control":
                if self._control(match.group()):
                    return position
            elif kind == "string":
                self._in_string = True
                return position
            elif kind == "escape":
                if match.group() in (b"\x1bc", b"\x1bD", b"\x1bE", b"\x1bM"):
                    self._leave()
            else:
                self._csi(match["args"], match["final"])
        return position

    def _skip_string(self, data: bytes, position: int) -> int:
        """A control string ends at its terminator or at the end of the line, whichever comes first."""
        match = _STRING_END.search(data, position)
        if match is None:
            if data.endswith(b"\x1b") and position < len(data):
                self._rest = b"\x1b"
            return len(data)
        self._in_string = False
        return match.start() if match.group() == b"\n" else match.end()

    def _control(self, control: bytes) -> bool:
        """Whether the line of the stream ended."""
        if control == b"\n":
            self._return = False
            if self._buffer:
                self._sink.on_line(bytes(self._buffer), self._line)
            self._next_line()
            return True
        if control == b"\r":
            self._return = True
        elif control == b"\x08" and self._column:
            self._glance()
            self._column -= 1
        return False

    def _next_line(self) -> None:
        self._line += 1
        self._buffer.clear()
        self._column = self._base = self._row = self._glances = 0
        self._dirty = False

    def _write(self, text: bytes) -> None:
        end = min(LINE_CAP, self._column + len(text))
        buffer = self._buffer
        if self._column > len(buffer):
            buffer.extend(b" " * (self._column - len(buffer)))
        buffer[self._column : end] = text[: end - self._column]
        self._column = end
        self._dirty = self._dirty or not text.isspace()

    def _overwrite(self) -> None:
        """The cursor went back to the margin and something follows on the same line."""
        self._return = False
        self._glance()
        self._column = self._base = 0

    def _glance(self) -> None:
        if self._dirty and self._glances < GLANCES:
            self._dirty = False
            self._glances += 1
            self._sink.on_glance(bytes(self._buffer[: min(self._column, GLANCE_CAP)]), self._line)

    def _leave(self) -> None:
        """The cursor goes to another row."""
        self._return = False
        if self._buffer:
            self._sink.on_line(bytes(self._buffer), self._line)
            self._buffer.clear()
        self._column = self._base = self._row = 0
        self._dirty = False

    def _csi(self, args: bytes, final: bytes) -> None:
        if final == b"m" or args[:1] in (b"?", b"=", b">", b"<"):
            return
        numbers = [int(part) if part.isdigit() and len(part) < 5 else 0 for part in args.split(b";")]
        first = numbers[0] or 1
        if final in (b"H", b"f"):
            self._go(first, (numbers[1] if len(numbers) > 1 else 0) or 1)
        elif final == b"d":
            self._go(first, self._base + self._column + 1)
        elif final in (b"A", b"B", b"E", b"F", b"S", b"T", b"L", b"M"):
            self._leave()
        elif final == b"J":
            if numbers[0]:
                self._leave()
            else:
                self._erase_right()
        elif final == b"K":
            self._glance()
            if numbers[0] == 2:
                self._buffer.clear()
            elif numbers[0] == 0:
                self._erase_right()
        elif final in (b"G", b"`"):
            self._move(first - 1 - self._base)
        elif final == b"C":
            self._move(self._column + first)
        elif final == b"D":
            self._move(self._column - first)

    def _go(self, row: int, column: int) -> None:
        """Absolute positioning: on the same row it goes on with the line, elsewhere it begins one."""
        if row == self._row and self._base <= column - 1 < LINE_CAP:
            self._move(column - 1 - self._base)
            return
        self._leave()
        self._row, self._base = row, column - 1

    def _move(self, column: int) -> None:
        column = min(LINE_CAP, max(0, column))
        if column < self._column:
            self._glance()
        self._column = column

    def _erase_right(self) -> None:
        del self._buffer[self._column :]
