"""Ranges and conditions of HTTP requests for files (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Version:
    """A file's validators.

    Attributes:
        etag: with its quotation marks.
        modified: Unix seconds, whole.
    """

    etag: str
    modified: int


@dataclass(frozen=True)
class Plan:
    """What to answer: 200, 206, 304, 412 or 416, and which bytes (`end` is not included)."""

    status: int
    begin: int = 0
    end: int = 0


def plan(headers: Mapping[str, str], version: Version, size: int) -> Plan:
    """What a GET or HEAD with these headers (in lower case) asks of a file of this size.

    Several ranges at once are answered with the whole, as section 14.2 allows; so are ranges that cannot be read.
    """
    status = _condition(headers, version)
    if status != 200:
        return Plan(status)
    text = headers.get("range")
    if text is None or not _same(headers.get("if-range"), version):
        return Plan(200, 0, size)
    match = _RANGE.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return Plan(200, 0, size)
    return _range(match[1], match[2], size)


def _range(first: str, last: str, size: int) -> Plan:
    if not first:  # the last bytes
        length = min(int(last), size)
        return Plan(206, size - length, size) if length else Plan(416)
    begin = int(first)
    if last and int(last) < begin:  # section 14.1.1: not valid, as if it was not there
        return Plan(200, 0, size)
    end = min(int(last) + 1, size) if last else size
    return Plan(206, begin, end) if begin < size else Plan(416)


def _condition(headers: Mapping[str, str], version: Version) -> int:
    """304 or 412 when a condition fails, else 200; in the order of section 13.2.2."""
    match, unmodified = headers.get("if-match"), headers.get("if-unmodified-since")
    if match is not None:
        if not _listed(match, version.etag, weak=False):
            return 412
    elif unmodified is not None:
        since = _date(unmodified)
        if since is not None and version.modified > since:
            return 412
    none, modified = headers.get("if-none-match"), headers.get("if-modified-since")
    if none is not None:
        return 304 if _listed(none, version.etag, weak=True) else 200
    if modified is not None:
        since = _date(modified)
        return 304 if since is not None and version.modified <= since else 200
    return 200


def _listed(text: str, etag: str, *, weak: bool) -> bool:
    if text.strip() == "*":
        return True
    tags = re.findall(r'(W/)?("[^"]*")', text)
    return any(tag == etag and (weak or not mark) for mark, tag in tags)


def _same(text: str | None, version: Version) -> bool:
    """Whether If-Range holds: a strong comparison, or exactly the date."""
    if text is None:
        return True
    text = text.strip()
    return text == version.etag if text.endswith('"') else _date(text) == version.modified


def _date(text: str) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
