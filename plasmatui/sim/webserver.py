"""A small HTTP/1.1 server: JSON in, JSON out, keep-alive, bounded requests. Just what BMCs and services offer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MAX_HEAD = 16384
MAX_BODY = 65536
IDLE_LIMIT = 75.0
"""Seconds after which a connection without a request is closed."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request. Header names are lower case; `body` is None when there is none."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Json | None = None


@dataclass(frozen=True)
class Response:
    status: int
    body: Json | None = None
    headers: dict[str, str] = field(default_factory=dict)


class BadRequestError(Exception):
    """A request that cannot be read; the connection is closed after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


Handler = Callable[[Request], Awaitable[Response]]


async def converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    handler: Handler,
    headers: Callable[[], dict[str, str]] = dict,
) -> None:
    """Answer the requests of one connection until it ends. Never raises for what the client does.

    Args:
        headers: makes those that every answer has.
    """
    try:
        while True:
            try:
                request = await asyncio.wait_for(read_request(reader), IDLE_LIMIT)
            except BadRequestError as error:
                failed = Response(error.status, {"error": {"message": str(error)}}, headers())
                _write(writer, failed, keep=False)
                await writer.drain()
                break
            if request is None:
                break
            keep = request.headers.get("connection", "").lower() != "close"
            response = await handler(request)
            _write(writer, replace(response, headers=headers() | response.headers), keep=keep)
            await writer.drain()
            if not keep:
                break
    except (OSError, EOFError, TimeoutError):  # the client is gone or silent
        pass
    finally:
        writer.close()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None when there is none any more.

    Raises:
        BadRequestError: it cannot be read.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequestError(431, "the head of the request is too long") from None
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequestError(400, "no HTTP/1.1 request")
    headers = {}
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError(400, "a header without a colon")
        headers[name.strip().lower()] = value.strip()
    parts = urlsplit(words[1])
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Request(words[0], unquote(parts.path), query, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> Json | None:
    if "transfer-encoding" in headers:
        raise BadRequestError(411, "a length is required")
    text = headers.get("content-length", "0")
    if not text.isdecimal():
        raise BadRequestError(400, "Content-Length is no number")
    length = int(text)
    if length > MAX_BODY:
        raise BadRequestError(413, "the body is too long")
    if not length:
        return None
    raw = await reader.readexactly(length)
    try:
        body = json.loads(raw)
    except ValueError:
        raise BadRequestError(400, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise BadRequestError(400, "the body is no JSON object")
    return body


def _write(writer: asyncio.StreamWriter, response: Response, *, keep: bool) -> None:
    body = b"" if response.body is None else json.dumps(response.body).encode()
    reason = HTTPStatus(response.status).phrase
    headers = {"Cache-Control": "no-store", **response.headers}
    if response.status not in (204, 304):
        headers["Content-Length"] = str(len(body))
    if body:
        headers["Content-Type"] = "application/json; charset=utf-8"
    headers["Connection"] = "keep-alive" if keep else "close"
    head = f"HTTP/1.1 {response.status} {reason}\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in headers.items()
    )
    writer.write(head.encode("latin-1") + b"\r\n" + body)
