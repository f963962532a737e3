"""Stored lines as clients see them, and the filters of clients as the store's."""

from __future__ import annotations

import re

from plasmatui.engine.ports import ProblemError
from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.watch.linefilter import LineFilter, PatternError, TextMatch, pattern
from plasmatui.watch.lines import StoredLine

LONGEST = 2000
"""Characters of a line that are sent to a client; the rest stays in the log."""

_ERROR = re.compile(r"\b(error|err|fail(ed|ure)?|fatal|panic|crit|alert|emerg|denied|refused)\b|PXE-E\d\d", re.I)
_WARNING = re.compile(r"\b(warn(ing)?|timed? ?out|not found|unknown|no free|declin\w+|nak|retry\w*)\b", re.I)


def severity_of(text: str) -> str:
    """ "error", "warning" or "": by the words of a line, for colours and ticks."""
    if _ERROR.search(text):
        return "error"
    return "warning" if _WARNING.search(text) else ""


def shown(line: StoredLine, kind: str) -> LogLine:
    """A stored line as a client sees it."""
    text = line.text[:LONGEST]
    return LogLine(line.seq, line.wall, line.source, kind, line.node, text, severity_of(text))


def store_filter(wanted: LogFilter, more: str = "") -> LineFilter:
    """A client's filter as the store's; a `more` pattern must be found too.

    Raises:
        ProblemError: "refused", a pattern cannot be used.
    """
    includes = [text for text in (wanted.include, more) if text]
    if len(includes) > 1:
        includes = ["^" + "".join(f"(?=.*(?:{text}))" for text in includes)]
    result = LineFilter(
        kinds=frozenset(wanted.kinds),
        sources=frozenset(wanted.sources),
        nodes=frozenset(wanted.nodes) if wanted.nodes else None,
        include=_match(includes[0]) if includes else None,
        exclude=_match(wanted.exclude) if wanted.exclude else None,
        since=wanted.since or None,
        until=wanted.until or None,
    )
    try:
        pattern(result.include)
        pattern(result.exclude)
    except PatternError as error:
        raise ProblemError("refused", f"the pattern cannot be used: {error}") from None
    return result


def _match(text: str) -> TextMatch:
    return TextMatch(text, regex=True, ignore_case=text == text.lower())
