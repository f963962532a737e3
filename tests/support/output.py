"""What a program wrote to its terminal, judged strictly and turned into a picture.

The judge knows the few sequences that Textual itself writes. Whatever else a terminal could obey is a violation:
control strings (OSC, DCS, APC, PM, SOS) but for three shapes of the mouse pointer, other modes and queries, 8-bit
controls, NUL, BEL, DEL, invisible and reordering characters, bytes that are not UTF-8. It shares no code with the
product.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import pyte

START_MODES = (1049, 25, 7, 1004, 1000, 1003, 1015, 1006, 1016, 2004, 2048)
"""Private modes that Textual's driver sets at start and takes back at the end."""

FRAME = "\x1b[?2026h"
"""Begins a frame: synchronised output."""

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?P<csi>\x1b\[[0-?]*[ -/]*[@-~])"
    r"|(?P<string>(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|\Z))"
    r"|(?P<escape>\x1b[ -/]*[0-~]?)"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])",
    re.DOTALL,
)
_CURSOR = re.compile(r"\x1b\[[1-9][0-9]{0,3};[1-9][0-9]{0,3}H")
_STYLE = re.compile(r"\x1b\[(?:[0-9]{1,3}(?:;[0-9]{1,3})*)?m")
_MODES = frozenset(f"\x1b[?{mode}{end}" for mode in START_MODES for end in "hl") | frozenset(
    ("\x1b[?2026$p", "\x1b[?2048$p", "\x1b[>25u", "\x1b[<u")
)
_FRAME_MARKS = frozenset((FRAME, "\x1b[?2026l", "\x1b[?2026$p"))
_POINTERS = frozenset(f"\x1b]22;{shape}\x07" for shape in ("default", "pointer", "text"))
_LINE_ENDS = frozenset("\r\n")


class Token(NamedTuple):
    """A piece of output: `kind` is text, csi, string, escape or control."""

    kind: str
    text: str


def tokens(data: bytes) -> Iterator[Token]:
    """The output in pieces. Bytes that are not UTF-8 come as lone surrogates."""
    for match in _TOKEN.finditer(data.decode("utf-8", "surrogateescape")):
        yield Token(str(match.lastgroup), match.group())


def violations(data: bytes) -> list[str]:
    """What of the output no screen of ours may send; [] when it is clean.

    Modes are set before the first frame and taken back after the last one; in between, the frame marks are the only
    modes. So a machine that sets one that we use ourselves is found out as well.
    """
    found: list[str] = []
    phase = "setup"
    for token in tokens(data):
        if phase == "setup" and token.text == FRAME:
            phase = "frames"
        elif phase == "frames" and token.text == "\x1b[?2004l":
            phase = "farewell"
        elif phase == "farewell" and token.text == "\x1b[?1049h":
            phase = "setup"
        if not _is_allowed(token, phase):
            found.append(repr(token.text[:60]))
    return found


def _is_allowed(token: Token, phase: str) -> bool:
    if token.kind == "text":
        return token.text.isascii() or all(_is_visible(character) for character in token.text)
    if token.kind == "csi":
        drawing = _CURSOR.fullmatch(token.text) or _STYLE.fullmatch(token.text) or token.text in _FRAME_MARKS
        return (bool(drawing) and phase == "frames") or (token.text in _MODES and phase != "frames")
    return token.text in _LINE_ENDS or token.text in _POINTERS


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] != "C" and category not in ("Zl", "Zp")


def styles(data: bytes) -> list[list[int]]:
    """The parameters of every SGR sequence."""
    return [
        [int(number) for number in token.text[2:-1].split(";") if number]
        for token in tokens(data)
        if token.kind == "csi" and _STYLE.fullmatch(token.text)
    ]


def modes_left(data: bytes) -> dict[str, bool]:
    """Of each mode that the output touched, whether it is set at its end; `kitty` for the keyboard protocol."""
    left: dict[str, bool] = {}
    for token in tokens(data):
        if token.kind != "csi":
            continue
        match = re.fullmatch(r"\x1b\[\?([0-9;]+)([hl])", token.text)
        if match:
            left |= dict.fromkeys(match[1].split(";"), match[2] == "h")
        elif re.fullmatch(r"\x1b\[[>=<][0-9;]*u", token.text):
            left["kitty"] = token.text[2] != "<"
    return left


class Picture:
    """What an operator sees: the cells after all output so far."""

    def __init__(self, rows: int, columns: int) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Draw more output. A sequence or character cut at the end waits for its rest."""
        data = self._rest + data
        cut = re.search(rb"(?:\x1b(?:\[[0-?]*[ -/]*)?|[\xc2-\xf4][\x80-\xbf]{0,2})\Z", data)
        whole = len(data) if cut is None or _is_complete(cut.group()) else cut.start()
        data, self._rest = data[:whole], data[whole:]
        for token in tokens(data):
            if token.kind in ("text", "control") or _CURSOR.fullmatch(token.text) or _STYLE.fullmatch(token.text):
                self._stream.feed(token.text.encode("utf-8", "replace").decode())
            elif token.text == "\x1b[?1049l":
                self._screen.reset()

    def resize(self, rows: int, columns: int) -> None:
        self._screen.resize(rows, columns)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def _is_complete(tail: bytes) -> bool:
    try:
        tail.decode()
    except UnicodeDecodeError:
        return False
    return not tail.startswith(b"\x1b")
