"""One HTTPS service of one simulated node: it comes and goes with its unit."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from plasmatui.sim import webserver
from plasmatui.sim.webserver import Handler


class ServiceServer:
    """A service that listens on a loopback address.

    Args:
        context: makes the TLS context of a connection; asked at each handshake, so that certificates cost nothing until
            somebody connects, and faults act at once.
        headers: makes what every answer carries.
    """

    def __init__(
        self,
        address: tuple[str, int],
        handler: Handler,
        context: Callable[[], ssl.SSLContext],
        headers: Callable[[], dict[str, str]],
    ) -> None:
        self._address = address
        self._handler = handler
        self._context = context
        self._headers = headers
        self._open = False
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._starting: asyncio.Task[None] | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is in use.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self._address)
            listener.listen(64)
        except OSError:
            listener.close()
            raise
        self._open = True
        self._listener = listener
        name = f"sim-service-{self._address[0]}:{self._address[1]}"
        self._starting = asyncio.create_task(self._accept(listener), name=name)

    async def _accept(self, listener: socket.socket) -> None:
        if not self._open:
            return
        base = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _base: ssl.SSLContext) -> None:
            connection.context = self._context()

        base.sni_callback = choose  # called without a name in the client's hello too
        # without serving at once it returns in the same turn, and `stop` finds the socket or the server, never neither
        self._server = await asyncio.start_server(
            self._connected, sock=listener, ssl=base, limit=webserver.MAX_HEAD, start_serving=False
        )
        await self._server.start_serving()

    def stop(self) -> list[asyncio.Task[None]]:
        """Be gone at once, with every connection. Returns what has yet to notice."""
        self._open = False
        left = list(self._serving)
        if self._starting is not None and not self._starting.done():
            left.append(self._starting)
        if self._server is not None:
            self._server.close()
        elif self._listener is not None:
            self._listener.close()
        for task, writer in self._serving.items():
            writer.transport.abort()
            task.cancel()
        return left

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:  # it was in its handshake when the service ended
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            # Cancelled by `stop` alone; asyncio would report that as a fault (StreamReaderProtocol, Python 3.11).
            with contextlib.suppress(asyncio.CancelledError):
                await webserver.converse(reader, writer, self._handler, self._headers)
        finally:
            del self._serving[task]
