"""A simulated machine's HTTP client: fetches for real, at the machine's pace."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_RECEIVE_BUFFER = 8192  # small, so that the server sees how far the machine is
_READ_LIMIT = 4096
_HEAD = 65536
_TAIL = 1024
ANSWER_LIMIT = 30.0
"""Seconds without a byte after which a transfer is given up."""


class DownloadError(Exception):
    """What iPXE would say: `reason` is "missing", "reset", "timeout" or "protocol"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Image:
    """What was fetched. Its middle is not kept.

    Attributes:
        head, tail: the first and the last bytes, at most 64 KiB and 1 KiB.
    """

    name: str
    size: int
    head: bytes
    tail: bytes


@dataclass(frozen=True)
class Route:
    """How a machine reaches the boot service.

    Attributes:
        address: the machine's own, which the service shall see.
        aliases: where hosts of URLs really are: `HOST:PORT` to loopback address and port.
    """

    address: str
    agent: str
    aliases: dict[str, tuple[str, int]]


Progress = Callable[[int], Awaitable[None]]
"""Called with the percentage after each share; takes the time that the share takes."""


async def download(url: str, route: Route, shares: Sequence[int], progress: Progress) -> Image:
    """Fetch a URL in shares, given as rising percentages that end with 100.

    Raises:
        DownloadError: it cannot be had.
    """
    parts = urlsplit(url)
    target = route.aliases.get(parts.netloc) or (parts.hostname or "", parts.port or 80)
    query = f"?{parts.query}" if parts.query else ""
    request = (
        f"GET {parts.path or '/'}{query} HTTP/1.1\r\nUser-Agent: {route.agent}\r\nHost: {parts.netloc}\r\n"
        f"X-Real-IP: {route.address}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(ANSWER_LIMIT):
            reader, writer = await _connect(*target)
    except TimeoutError:
        raise DownloadError("timeout") from None
    except OSError:
        raise DownloadError("reset") from None
    try:
        writer.write(request.encode())
        return await _receive(reader, parts.path.rpartition("/")[2], shares, progress)
    except TimeoutError:
        raise DownloadError("timeout") from None
    except (OSError, EOFError):
        raise DownloadError("reset") from None
    finally:
        writer.transport.abort()


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        endpoint.setblocking(False)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        await asyncio.get_running_loop().sock_connect(endpoint, (host, port))
        return await asyncio.open_connection(sock=endpoint, limit=_READ_LIMIT)
    except BaseException:
        endpoint.close()
        raise


async def _receive(reader: asyncio.StreamReader, name: str, shares: Sequence[int], progress: Progress) -> Image:
    async with asyncio.timeout(ANSWER_LIMIT):
        status, total = _parse_head(await reader.readuntil(b"\r\n\r\n"))
    if status in (404, 410):
        raise DownloadError("missing")
    if status != 200 or total is None:
        raise DownloadError("protocol")
    head = tail = b""
    got = 0
    for share in shares:
        wanted = total * share // 100 - got
        while wanted:
            async with asyncio.timeout(ANSWER_LIMIT):
                data = await reader.read(min(wanted, _READ_LIMIT))
            if not data:
                raise DownloadError("reset")
            got += len(data)
            wanted -= len(data)
            head = head if len(head) == _HEAD else (head + data)[:_HEAD]
            tail = (tail + data)[-_TAIL:]
        await progress(share)
    return Image(name, got, head, tail)


def _parse_head(head: bytes) -> tuple[int, int | None]:
    """Status and Content-Length, None when there is none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise DownloadError("protocol")
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() == "content-length" and value.strip().isdecimal():
            return int(words[1]), int(value)
    return int(words[1]), None
