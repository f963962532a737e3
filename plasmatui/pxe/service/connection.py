"""A client's connection: uvicorn's HTTP protocol with limits for heads that grow or dawdle and clients that take
nothing."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import time
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_LARGEST: Final = 32 * 1024
"""Bytes that the head of a request may have."""
HEAD_LIMIT: Final = 20.0
"""Seconds within which the head of a request must have come."""
IDLE_LIMIT: Final = 60.0
"""Seconds after which a client that neither sends nor takes anything is dropped."""


class Connection(HttpToolsProtocol):
    """One connection. The application finds it as `wire` in the scope's state.

    Names of header fields are written with capitals: GRUB and U-Boot look for `Content-Length` by exactly these
    letters, and uvicorn has them small. Built on these attributes of uvicorn's protocol: `app_state`, which it copies
    into each scope's state, `transport`, `cycle` and its `transport`, and the parser's call-backs.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "wire": self}, _loop)
        self._head_bytes = 0
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
        super().connection_lost(exc)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = self._active_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self._active_at = time.monotonic()
        if self._head_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LARGEST:
                self._refuse()
                return
        elif self.cycle is not None and self.cycle.response_complete:
            self._head_since = self._active_at
            self._head_bytes = len(data)
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_since = None
        self._head_bytes = 0
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = _Capitals(self.transport)  # type: ignore[assignment]

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

    def _refuse(self) -> None:
        body = b"the head of the request is too long\n"
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()


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
