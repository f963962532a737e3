"""Which stored lines are wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

_NESTED: Final = re.compile(r"[+*}]\??\)+(?:[+*]|\{\d*,)")
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
    if _NESTED.search(match.text):
        raise PatternError(f"{match.text}: a repeat of a repeat can take for ever; write it with one")
    try:
        return re.compile(match.text.encode(), flags)
    except (re.error, OverflowError) as error:
        raise PatternError(f"{match.text}: {error}") from error
