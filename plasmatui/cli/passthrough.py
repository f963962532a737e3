"""What of a machine's serial console may reach the operator's terminal, byte for byte.

A console is hostile: whoever controls the machine (or its firmware) controls what it sends, and a terminal obeys. So
nothing passes that is not listed here: printable text, CR, LF, TAB, BS, and control sequences that move the cursor,
colour text, or erase, insert and delete on the screen, with few and small parameters. Everything that makes a terminal
answer (DSR, DA), switch modes, set titles, touch the clipboard, the scrollback or the other screen buffer is dropped.

The states follow the usual parser for terminals (ECMA-48; vt100.net/emu/dec_ansi_parser).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

PLACEHOLDER = "\N{REPLACEMENT CHARACTER}"
"""Stands for a byte that is not UTF-8, and for a character that is not printable (direction overrides and such)."""

MAX_SEQUENCE = 128
"""Characters of a control sequence that are kept; a longer one is dropped as a whole."""

MAX_STRING = 4096
"""Characters that an operating system command or other string swallows at most: one without an end hides no more."""

_PLAIN = re.compile(r"[ -~\r\n\t\b]+")
_KEPT_CONTROLS = "\r\n\t\b"
_KEPT_ESCAPES = "78DEM"  # save and restore cursor, index, next line, reverse index
_STRING_INTRODUCERS = "PX]^_"  # DCS, SOS, OSC, PM, APC
_C1_STRINGS = "\x90\x98\x9d\x9e\x9f"
_CANCEL = "\x18\x1a"

_SMALL = r"(?:[0-9]{1,4})?"
_KEPT_SEQUENCES = re.compile(
    rf"{_SMALL}[ABCDEFGXade`@LMP]"  # cursor moves; erase, insert and delete characters and lines
    rf"|{_SMALL}(?:;{_SMALL})?[Hf]"  # cursor position
    r"|[0-2]?[JK]"  # erase in display and line; never 3, the scrollback
    r"|[su]"  # save and restore cursor, without parameters (with them they mean margins and keyboard modes)
    r"|(?:[0-9]{0,3}[;:]){0,24}[0-9]{0,3}m"  # colours and attributes
)


class ConsoleFilter:
    """Filters a console's bytes, cut anywhere. Keeps at most a few thousand characters between calls.

    Args:
        encoding: of the operator's terminal: "utf-8", else what is not ASCII becomes "?".
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._encoding = "utf-8" if _is_utf8(encoding) else "ascii"
        self._state: Callable[[str], str] = self._ground
        self._sequence = ""
        self._swallowed = 0

    def feed(self, data: bytes) -> bytes:
        """The part of `data` (and of what was held back before) that may be written to the terminal."""
        text = self._decoder.decode(data)
        out: list[str] = []
        at = 0
        while at < len(text):
            if self._state == self._ground:
                plain = _PLAIN.match(text, at)
                if plain is not None:
                    out.append(plain.group())
                    at = plain.end()
                    continue
            out.append(self._state(text[at]))
            at += 1
        return "".join(out).encode(self._encoding, "replace")

    # Each state takes one character and returns what it lets through.

    def _ground(self, char: str) -> str:
        if char < " " or char == "\x7f":
            if char == "\x1b":
                self._state = self._escape
            return char if char in _KEPT_CONTROLS else ""
        if "\x80" <= char <= "\x9f":
            return self._c1(char)
        if char.isprintable():
            return char
        return " " if char.isspace() else PLACEHOLDER

    def _c1(self, char: str) -> str:
        if char == "\x9b":
            self._begin(self._control)
        elif char in _C1_STRINGS:
            self._begin(self._string)
        return ""

    def _escape(self, char: str) -> str:
        if char == "[":
            self._begin(self._control)
            return ""
        if char in _STRING_INTRODUCERS:
            self._begin(self._string)
            return ""
        if " " <= char <= "/":
            self._state = self._designation
            return ""
        if char == "\x1b":
            return ""
        if char < " ":
            return self._control_inside(char)
        self._state = self._ground
        if char > "~":
            return self._ground(char)
        return f"\x1b{char}" if char in _KEPT_ESCAPES else ""

    def _designation(self, char: str) -> str:
        """ESC and intermediates, as in ESC ( 0: swallowed with its final character."""
        if " " <= char <= "/":
            return ""
        if char < " ":
            return self._control_inside(char)
        self._state = self._ground
        return self._ground(char) if char > "~" else ""

    def _control(self, char: str) -> str:
        """Inside CSI: parameters and intermediates up to a final character."""
        if " " <= char <= "?":
            if len(self._sequence) <= MAX_SEQUENCE:  # one more than is kept marks it as too long
                self._sequence += char
            return ""
        if char < " ":
            return self._control_inside(char)
        self._state = self._ground
        if char > "~":
            return self._ground(char)
        sequence = self._sequence + char
        return f"\x1b[{sequence}" if len(sequence) <= MAX_SEQUENCE and _KEPT_SEQUENCES.fullmatch(sequence) else ""

    def _string(self, char: str) -> str:
        """Inside OSC, DCS, APC, PM or SOS: swallowed up to its end, the end of the line, or `MAX_STRING`."""
        self._swallowed += 1
        if char == "\x1b":
            self._state = self._escape  # the backslash of ST is then an escape that is dropped
        elif char in "\x07\x9c\x18\x1a\r\n" or self._swallowed >= MAX_STRING:
            self._state = self._ground
        return char if char in "\r\n" else ""

    def _control_inside(self, char: str) -> str:
        """A control character inside a sequence: acts at once; CAN and SUB end the sequence, ESC begins another."""
        if char == "\x1b":
            self._state = self._escape
        elif char in _CANCEL:
            self._state = self._ground
        return char if char in _KEPT_CONTROLS else ""

    def _begin(self, state: Callable[[str], str]) -> None:
        self._state = state
        self._sequence = ""
        self._swallowed = 0


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False
