"""HTTP towards the PXE server: headers and the first bytes, bounded, without proxies and redirects."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass
from typing import Final

import httpx

from plasmatui.text import clean_line

LIMIT: Final = httpx.Timeout(8.0, connect=4.0)
FIRST: Final = 1024
"""Bytes of a part; enough for a kernel's header."""
TEXT_MOST: Final = 512 * 1024
"""Bytes of a script."""


_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout)


class WebError(Exception):
    """No answer; the message says why, in one clean line. `unreached`: no connection came up."""

    def __init__(self, message: str, *, unreached: bool) -> None:
        super().__init__(message)
        self.unreached = unreached


@dataclass(frozen=True)
class Head:
    """Answer to HEAD. `length`: its Content-Length; `skew`: seconds that its Date is ahead of us. None: not told."""

    status: int
    length: int | None
    skew: float | None


@dataclass(frozen=True)
class Part:
    """Answer to a question for the first bytes. `total`: of Content-Range; `ranged`: 206 with what was asked for."""

    status: int
    data: bytes
    total: int | None
    ranged: bool


def make_client() -> httpx.AsyncClient:
    """One client for a run; close it."""
    headers = {"User-Agent": "plasmatui", "Accept-Encoding": "identity"}
    return httpx.AsyncClient(timeout=LIMIT, trust_env=False, headers=headers)


async def head(client: httpx.AsyncClient, url: str) -> Head:
    """Raises WebError."""
    before = time.time()
    try:
        answer = await client.head(url)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise WebError(_reason(error), unreached=isinstance(error, _UNREACHED)) from None
    return Head(answer.status_code, _number(answer.headers.get("content-length", "")), _skew(answer, before))


async def first(client: httpx.AsyncClient, url: str, most: int = FIRST, *, ranged: bool = True) -> Part:
    """The first bytes. A server that sends all is cut off after them. Raises WebError."""
    data = bytearray()
    headers = {"Range": f"bytes=0-{most - 1}"} if ranged else {}
    try:
        async with client.stream("GET", url, headers=headers) as answer:
            async for chunk in answer.aiter_raw():
                data += chunk
                if len(data) >= most:
                    break
            told = answer.headers.get("content-range", "")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise WebError(_reason(error), unreached=isinstance(error, _UNREACHED)) from None
    unit, _, rest = told.partition(" ")
    span, _, total = rest.partition("/")
    fits = answer.status_code == 206 and unit == "bytes" and span.startswith("0-")
    return Part(answer.status_code, bytes(data[:most]), _number(total), fits)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _skew(answer: httpx.Response, before: float) -> float | None:
    """RFC 9110, section 6.6.1: whole seconds; half of one is added, as it was cut off."""
    try:
        told = email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return told + 0.5 - (before + time.time()) / 2


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return f"no connection: {clean_line(str(error), 120)}"
    return clean_line(str(error), 120) or type(error).__name__
