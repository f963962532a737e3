"""Go's text/template, its surface: text and actions, and the words of an action (pkg.go.dev/text/template)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from plasmatui.pxe.service.documents import WrongDocumentError

_WORD: Final = re.compile(
    r"""(?P<space>\s+)
      |(?P<string>"(?:[^"\\\n]|\\.)*")
      |(?P<raw>`[^`]*`)
      |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      |(?P<variable>\$\w*)
      |(?P<field>\.[^\W\d]\w*)
      |(?P<dot>\.)
      |(?P<name>[^\W\d]\w*)
      |(?P<mark>:=|[=|(),])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Word:
    """A word of an action. `glued`: no space stands before it, so that `.b` belongs to what precedes."""

    kind: str
    text: str
    glued: bool = False


@dataclass(frozen=True)
class Piece:
    """Text as it stands, or an action's words; `line` counts from 1."""

    line: int
    text: str = ""
    words: tuple[Word, ...] | None = None


def split_template(text: str) -> Iterator[Piece]:
    """The pieces of a template, blanks beside `{{-` and `-}}` taken away, comments left out.

    Raises:
        WrongDocumentError: an action has no end, or holds what is no word.
    """
    at, line, trim = 0, 1, False
    while True:
        begin = text.find("{{", at)
        plain = text[at:] if begin < 0 else text[at:begin]
        trim_right = begin >= 0 and re.match(r"\{\{-\s", text[begin:]) is not None
        shown = plain.lstrip() if trim else plain
        shown = shown.rstrip() if trim_right else shown
        if shown:
            yield Piece(line, shown)
        line += plain.count("\n")
        if begin < 0:
            return
        start = begin + (3 if trim_right else 2)
        comment = re.compile(r"\s*/\*.*?\*/\s*?(-?)\}\}", re.DOTALL).match(text, start)
        if comment is not None:
            end, trim = comment.end(), bool(comment[1])
        else:
            words, end, trim = _words(text, start, line)
            yield Piece(line, words=words)
        line += text.count("\n", begin, end)
        at = end


def _words(text: str, at: int, line: int) -> tuple[tuple[Word, ...], int, bool]:
    """The words up to `}}`, where that ends, and whether blanks after it are taken away."""
    words: list[Word] = []
    glued = False
    while True:
        if text.startswith("}}", at):
            return tuple(words), at + 2, False
        if not glued and text.startswith("-}}", at):
            return tuple(words), at + 3, True
        match = _WORD.match(text, at)
        if match is None or at >= len(text):
            rest = text[at : at + 12].partition("\n")[0]
            raise WrongDocumentError(line, f"template: found {rest!r} in an action" if rest else "template: no }}")
        at = match.end()
        kind = match.lastgroup or ""
        if kind != "space":
            words.append(Word(kind, match[0], glued))
        glued = kind != "space"


def string_value(word: Word) -> str:
    """The text of a string word."""
    if word.kind == "raw":
        return word.text[1:-1]
    try:
        return str(json.loads(re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", word.text)))
    except ValueError:
        return word.text[1:-1]
