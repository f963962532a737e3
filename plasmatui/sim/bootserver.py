"""The rack's HTTP server: serves boot files and logs like nginx 1.22 (combined access log, error log)."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from plasmatui.sim.logfile import LogFile
from plasmatui.sim.webserver import BadRequestError, Request, read_request

SEND_LIMIT = 60.0
"""Seconds that a client may take nothing before it is dropped; nginx's `send_timeout`."""

DOCUMENT_ROOT = "/var/lib/pxe-boot"
_SEND_BUFFER = 8192  # small, so that what was sent is what was taken
_CHUNK = 8192
_RANGE = re.compile(r"bytes=(\d{1,12})-(\d{1,12})")
_PID = 12324

_NOT_FOUND = (
    b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n"
    b"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
)

Find = Callable[[str, str], bytes | None]


@dataclass(frozen=True)
class _Exchange:
    number: int
    peer: str
    request: Request
    line: str


class BootServer:
    """Serves what `find(address, path)` gives.

    The address of a client is taken from the header X-Real-IP, as behind a proxy on the same host: simulated machines
    have addresses that no loopback connection can come from.

    Attributes:
        sent: bytes of bodies that were sent since the start.
    """

    def __init__(self, find: Find, access: LogFile, errors: LogFile) -> None:
        self._find = find
        self._access = access
        self._errors = errors
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._number = 0
        self.sent = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def start(self, host: str, port: int) -> None:
        """Listen on a loopback address, on a free port when another rack has the one that is wanted.

        Raises:
            OSError: it cannot.
        """
        try:
            listener = _listen(host, port)
        except OSError:
            listener = _listen(host, 0)
        self._server = await asyncio.start_server(self._serve, sock=listener)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [task for task in self._connections.values() if task is not None]
        for writer in tuple(self._connections):
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)  # their connections are gone, so they end

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = asyncio.current_task()
        self._number += 1
        try:
            parsed = await asyncio.wait_for(read_request(reader), SEND_LIMIT)
            if parsed is not None:
                peer = parsed.headers.get("x-real-ip") or str(writer.get_extra_info("peername")[0])
                line = f"{parsed.method} {parsed.path} HTTP/1.1"
                await self._answer(writer, _Exchange(self._number, peer, parsed, line))
        except BadRequestError as error:
            writer.write(f"HTTP/1.1 {error.status} Bad Request\r\nConnection: close\r\n\r\n".encode())
        except (OSError, EOFError, TimeoutError):  # the client is gone or silent
            pass
        finally:
            del self._connections[writer]
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, exchange: _Exchange) -> None:
        request = exchange.request
        if request.method not in ("GET", "HEAD"):
            await self._send(writer, exchange, 405, b"")
            return
        body = self._find(exchange.peer, request.path)
        if body is None:
            self._log_missing(exchange)
            await self._send(writer, exchange, 404, _NOT_FOUND)
            return
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        part = body[int(wanted[1]) : int(wanted[2]) + 1] if wanted else b""
        if wanted and part:
            span = f"bytes {wanted[1]}-{int(wanted[1]) + len(part) - 1}/{len(body)}"
            await self._send(writer, exchange, 206, part, f"Content-Range: {span}\r\n")
        else:
            await self._send(writer, exchange, 200, body)

    async def _send(
        self, writer: asyncio.StreamWriter, exchange: _Exchange, status: int, body: bytes, more: str = ""
    ) -> None:
        """Send an answer; the access log gets its line when the transfer ends, however it does."""
        reason = {200: "OK", 206: "Partial Content", 404: "Not Found", 405: "Not Allowed"}[status]
        head = (
            f"HTTP/1.1 {status} {reason}\r\nServer: nginx/1.22.1\r\nDate: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
        )
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(head.encode())
        sent = 0
        try:
            await _drain(writer)
            if exchange.request.method == "GET":
                for begin in range(0, len(body), _CHUNK):
                    chunk = body[begin : begin + _CHUNK]
                    writer.write(chunk)
                    await _drain(writer)
                    sent += len(chunk)
        finally:
            self.sent += sent
            self._log(exchange, status, sent)

    def _log(self, exchange: _Exchange, status: int, sent: int) -> None:
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(self._access.wall()))
        agent = exchange.request.headers.get("user-agent", "-")
        self._access.write(f'{exchange.peer} - - [{stamp}] "{exchange.line}" {status} {sent} "-" "{agent}"')

    def _log_missing(self, exchange: _Exchange) -> None:
        stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(self._errors.wall()))
        host = exchange.request.headers.get("host", "")
        self._errors.write(
            f'{stamp} [error] {_PID}#{_PID}: *{exchange.number} open() "{DOCUMENT_ROOT}{exchange.request.path}" failed '
            f"(2: No such file or directory), client: {exchange.peer}, server: , "
            f'request: "{exchange.line}", host: "{host}"'
        )


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)  # two binders with SO_REUSEADDR meet here
    except OSError:
        listener.close()
        raise
    return listener


async def _drain(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(SEND_LIMIT):
        await writer.drain()
