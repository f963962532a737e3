"""Which stored lines are wanted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import msgspec

_PIECE: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[:=!<a-zA-Z-]*|\{\d*,?\d*\}|.", re.DOTALL)
"""An escape, a class, a group's beginning, a repeat, or a character of a regular expression."""
_FEW: Final = 4
"""Times that a group in which something repeats may be repeated, as in `(\\d+\\.){3}`."""
_LONGEST: Final = 500


class PatternError(ValueError):
    """A pattern cannot be used; the message says why."""


class TextMatch(msgspec.Struct, frozen=True):
    """Text to find: literal or a regular expression of Python's `re`, over bytes."""

    text: str
    regex: bool = False
    ignore_case: bool = True


class LineFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All that is set must hold.

    Attributes:
        kinds, sources: of sources; empty: any.
        nodes: lines of these nodes; None: any, also lines of no node. "" stands for lines of no node.
        include, exclude: text that a line must have, or must not.
        since, until: Unix seconds, both included.
    """

    kinds: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    nodes: frozenset[str] | None = None
    include: TextMatch | None = None
    exclude: TextMatch | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True)
class Test:
    """A filter ready for blocks. `nodes` are the store's numbers of nodes."""

    nodes: frozenset[int] | None = None
    include: re.Pattern[bytes] | None = None
    exclude: re.Pattern[bytes] | None = None
    since: float | None = None
    until: float | None = None


def pattern(match: TextMatch | None) -> re.Pattern[bytes] | None:
    """The compiled pattern; None for no text.

    Raises:
        PatternError: it is not a regular expression, or could take for ever: repeats of repeats, as in `(a+)+`, would
            hold up everything else, since a search of one line cannot be interrupted.
    """
    if match is None or not match.text:
        return None
    if len(match.text) > _LONGEST:
        raise PatternError(f"the pattern is longer than {_LONGEST} characters")
    flags = re.MULTILINE | (re.IGNORECASE if match.ignore_case else 0)
    if not match.regex:
        return re.compile(re.escape(match.text.encode()), flags)
    if repeats_repeats(match.text):
        raise PatternError(
            f"{match.text}: a repeated group in which something repeats or has alternatives can take for ever"
        )
    try:
        return re.compile(match.text.encode(), flags)
    except (re.error, OverflowError) as error:
        raise PatternError(f"{match.text}: {error}") from error


def repeats_repeats(text: str) -> bool:
    """Whether a group is repeated in which something repeats, may be missing, or has alternatives: there may be as
    many ways to match a line as there are subsets of it."""
    open_groups: list[bool] = []  # whether something in it varies, of each group that is open
    closed = False  # whether what stands before is a group in which something varies
    for piece in _PIECE.findall(text):
        varies = piece in "*+?" or (piece[0] == "{" and len(piece) > 2)
        if closed and varies and piece != "?" and _most(piece) > _FEW:
            return True
        closed = False
        if piece[0] == "(":
            open_groups.append(False)
        elif piece == ")" and open_groups:
            closed = open_groups.pop()
            if closed and open_groups:
                open_groups[-1] = True
        elif open_groups and (piece == "|" or (varies and not piece[1:-1].isdecimal())):
            open_groups[-1] = True
    return False


def _most(repeat: str) -> float:
    """How often at most: of `*`, `+`, `{3}`, `{2,5}`."""
    last = repeat[1:-1].rpartition(",")[2] if repeat[0] == "{" else ""
    return int(last) if last.isdecimal() and len(last) < 10 else math.inf
