"""The only place where untrusted bytes become text for a screen.

Log lines, console output, host names, HTTP agents and BMC strings are written by machines that an attacker may own.
Sent to an operator's terminal as they are, they can set its title, write its clipboard, move its cursor or reorder what
is read (bidirectional controls). Everything from outside passes through `clean_line` or `clean_text` once, at ingest.
What comes out holds printable characters only, each line bounded in length, and is safe to hand to a terminal
as plain text. It may still hold square brackets: never hand it to a widget as markup.

Control sequences: ECMA-48 5th edition, sections 5.3 to 5.6 and 8.3; xterm's `ctlseqs` for BEL as the end of an OSC.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final

PLACEHOLDER: Final = "\N{REPLACEMENT CHARACTER}"
"""Shown, one cell wide, for a character that must not reach a terminal."""

ELLIPSIS: Final = "…"
"""Last character of a line that was cut."""

LINE_LIMIT: Final = 4096
"""Characters that a line may have on a screen, unless the caller says otherwise."""

_SEQUENCE: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI, with or without its final character
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, ended by BEL or ST, or by nothing
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"  # two-character escapes and character set selections
)
# Printable to Python, but terminals disagree about the width of what they make with their neighbours: variation
# selectors, skin tones, and the letters that flags are made of.
_UNSTEADY: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\U0001f3fb-\U0001f3ff\U0001f1e6-\U0001f1ff]")
# Candidates only: what of this is printable stays as it is.
_SUSPECT: Final = re.compile(r"[^ -~]")
_TAB: Final = 8


def clean_line(text: str, limit: int = LINE_LIMIT) -> str:
    """One line of untrusted text as printable characters, at most `limit` of them.

    Control sequences vanish (an unterminated one up to the end of the line), tabs become spaces, a line end at the end
    is dropped, and every other control, format, private, unassigned or surrogate character shows as `PLACEHOLDER`. A
    line that was cut ends with `ELLIPSIS`. Never raises; cleaning twice changes nothing.
    """
    if not text.isprintable():
        text = _SEQUENCE.sub("", text).rstrip("\r\n")
        text = printable(text[: limit + 1].expandtabs(_TAB))  # cut first: a tab grows
    elif not text.isascii():
        text = _UNSTEADY.sub(_steady, text)
    if len(text) > limit:
        text = text[: max(0, limit - 1)] + ELLIPSIS[:limit]
    return text


def clean_text(text: str, limit: int = LINE_LIMIT, lines: int = 10_000) -> str:
    """Several lines of untrusted text, each cleaned by `clean_line`, joined by newlines.

    At most `lines` lines are kept; the last one is then `ELLIPSIS`. A sequence does not reach over a line end, so an
    unterminated one cannot hide the lines after it.
    """
    parts = text.split("\n", lines)
    if len(parts) > lines:
        parts[lines - 1 :] = [ELLIPSIS] if lines else []
    return "\n".join([clean_line(part, limit) for part in parts])


def decode(data: bytes) -> str:
    """UTF-8 with U+FFFD for what is not; the result is not yet clean."""
    return data.decode("utf-8", "replace")


def is_clean(text: str) -> bool:
    """Whether `clean_line` would leave this text as it is, but for its length."""
    return text.isprintable() and (text.isascii() or _UNSTEADY.search(text) is None)


class StreamDecoder:
    """UTF-8 from a byte stream cut anywhere: a character split between two chunks is decoded when its rest comes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> str:
        """The characters that are complete with this chunk; not yet clean."""
        return self._decoder.decode(data)

    def finish(self) -> str:
        """What is left at the end of the stream (U+FFFD for a half character), ready for a new one."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


def printable(text: str) -> str:
    """Text without control sequences, character by character: any kind of space as a space, what must not be shown as
    `PLACEHOLDER`. For callers that have their own terminal emulator; others want `clean_line`."""
    return _UNSTEADY.sub(_steady, _SUSPECT.sub(_visible, text))


def _steady(match: re.Match[str]) -> str:
    """A flag's letter as a letter; nothing for what only changes its neighbour."""
    letter = ord(match.group()) - 0x1F1E6
    return chr(ord("A") + letter) if 0 <= letter < 26 else ""


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else PLACEHOLDER
