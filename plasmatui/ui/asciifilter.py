"""Draws nothing outside ASCII, whatever a widget says: the last step before the terminal."""

from __future__ import annotations

import re
import unicodedata

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_KNOWN = {
    "…": ".",
    "→": ">",
    "←": "<",
    "↑": "^",
    "↓": "v",
    "▲": "^",
    "▼": "v",
    "●": "*",
    "○": "o",
    "✓": "+",
    "✗": "x",
    "◆": "*",
    "✎": "W",
    "•": "*",
    "·": ".",
    "–": "-",
    "—": "-",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "\u00a0": " ",
}
_OUTSIDE = re.compile(r"[^\x00-\x7f]")


def _one(match: re.Match[str]) -> str:
    character = match.group()
    known = _KNOWN.get(character)
    if known is not None:
        return known
    code = ord(character)
    if 0x2500 <= code < 0x2580:  # box drawing
        name = unicodedata.name(character, "")
        if "VERTICAL" in name and "HORIZONTAL" not in name and " AND " not in name:
            return "|"
        return "-" if "HORIZONTAL" in name and "VERTICAL" not in name and " AND " not in name else "+"
    if 0x2580 <= code < 0x25A0:  # blocks
        return "#"
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    width = cell_len(character)
    return plain if plain and len(plain) == width else "?" * width


def to_ascii(text: str) -> str:
    """The text in as many cells, each of them ASCII."""
    return text if text.isascii() else _OUTSIDE.sub(_one, text)


class AsciiFilter(LineFilter):
    """Applied by Textual to every line of every widget, borders and scrollbars included."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.text.isascii() else Segment(to_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]
