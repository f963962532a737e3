"""A client's connection: uvicorn's HTTP protocol with limits for heads that grow or dawdle, clients that take nothing,
and too many of them."""

from __future__ import annotations

import asyncio
import fcntl
import resource
import socket
import struct
import termios
import time
from collections import Counter
from ipaddress import ip_address
from typing import Any, ClassVar, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

HEAD_LARGEST: Final = 32 * 1024
"""Bytes that the head of a request may have, and whatever else of it is no body: trailers, sizes of chunks."""
PIPELINED: Final = 32
"""Requests that may wait behind the one that is answered."""
OF_AN_ADDRESS: Final = 512
"""Connections of one address that is not of this host, where a proxy may be: nobody keeps the others out."""
MOST: Final = 16_384
"""Connections at once. A process that may open fewer files takes fewer: each may need a file beside itself."""
_RESERVE: Final = 64
HEAD_LIMIT: Final = 20.0
"""Seconds within which the head of a request must have come."""
IDLE_LIMIT: Final = 60.0
"""Seconds after which a client that neither sends nor takes anything is dropped."""


class _TooManyRequestsError(Exception):
    """Ends the parser's work on what came."""


class Connection(HttpToolsProtocol):
    """One connection. The application finds it as `wire` in the scope's state.

    Names of header fields are written with capitals: GRUB and U-Boot look for `Content-Length` by exactly these
    letters, and uvicorn has them small. Built on these attributes of uvicorn's protocol: `app_state`, which it copies
    into each scope's state, `transport`, `client`, `connections`, `cycle` and its `transport`, `pipeline`, and the
    parser's call-backs.
    """

    of_address: ClassVar[Counter[str]] = Counter()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "wire": self}, _loop)
        self._no_body = 0
        self._cycles: list[RequestResponseCycle] = []
        self._address = ""
        self._head_since: float | None = None
        self._active_at = 0.0
        self._unsent = 0
        self._buffered = 0
        self._lost_with: int | None = None

    @property
    def lost(self) -> bool:
        """Whether it is gone."""
        return self._lost_with is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_with = self._buffered + _unconfirmed(self.transport)
        self.of_address[self._address] -= 1
        if self.of_address[self._address] <= 0:
            del self.of_address[self._address]
        for cycle in self._cycles:  # uvicorn tells only the newest of requests that came one behind the other
            cycle.disconnected = not cycle.response_complete
        self._cycles.clear()
        super().connection_lost(exc)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = self._active_at = time.monotonic()
        self._address = self.client[0] if self.client is not None else ""
        self.of_address[self._address] += 1
        of_this_host = not self._address or ip_address(self._address.partition("%")[0]).is_loopback
        if len(self.connections) > _most() or (not of_this_host and self.of_address[self._address] > OF_AN_ADDRESS):
            self._refuse("503 Service Unavailable", "too many connections")

    def data_received(self, data: bytes) -> None:
        self._active_at = time.monotonic()
        if self._head_since is None and self.cycle is not None and self.cycle.response_complete:
            self._head_since = self._active_at
        for place in range(0, len(data), HEAD_LARGEST):
            part = data[place : place + HEAD_LARGEST]
            self._no_body += len(part)
            if self._no_body > HEAD_LARGEST:
                self._refuse("431 Request Header Fields Too Large", "the head of the request is too long")
            if self.transport.is_closing():
                return
            super().data_received(part)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            self.abort()
            raise _TooManyRequestsError
        self._head_since = None
        self._no_body = 0
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self._cycles = [cycle for cycle in self._cycles if not cycle.response_complete]
            self._cycles.append(self.cycle)
            self.cycle.transport = _Capitals(self.transport)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        self._no_body = 0
        super().on_body(body)

    def unsent(self) -> int:
        """Bytes that were written and that the client has not confirmed; when it is gone, never will."""
        if self._lost_with is not None:
            return self._lost_with
        self._buffered = self.transport.get_write_buffer_size()
        return self._buffered + _unconfirmed(self.transport)

    def abort(self) -> None:
        """Break it off: the client sees that the answer is not whole."""
        self.unsent()  # while it can be told
        self.transport.abort()

    def check(self, now: float) -> None:
        """Drop a client that takes too long; called every few seconds."""
        if self._head_since is not None and now - self._head_since > HEAD_LIMIT:
            self.abort()
            return
        unsent = self.unsent()
        if unsent != self._unsent:
            self._unsent, self._active_at = unsent, now
        if now - self._active_at > IDLE_LIMIT:
            self.abort()

    def _refuse(self, status: str, why: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.abort()  # in the middle of an answer another one cannot be told
            return
        self.transport.write(
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            f"Content-Length: {len(why) + 1}\r\n\r\n{why}\n".encode()
        )
        self.transport.close()


def _most() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if files == resource.RLIM_INFINITY else max(1, min(MOST, (files - _RESERVE) // 2))


class _Capitals:
    """What an answer is written to: the first thing that is written is its head, but for an interim answer's."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = True
        self.is_closing = transport.is_closing
        self.close = transport.close

    def write(self, data: bytes) -> None:
        if self._head and not data.startswith(b"HTTP/1.1 100 "):
            self._head = False
            status, *fields = data.split(b"\r\n")
            data = b"\r\n".join((status, *(_capital(field) for field in fields)))
        self._transport.write(data)


def _capital(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    return name.title() + colon + value


def _unconfirmed(transport: asyncio.Transport) -> int:
    """Bytes in the kernel's send queue that the peer has not acknowledged (tcp(7), SIOCOUTQ)."""
    endpoint: socket.socket | None = transport.get_extra_info("socket")
    if endpoint is None or endpoint.fileno() < 0:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(endpoint.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except OSError:
        return 0
