"""The Unix socket: who may come in, the handshake, the list of clients."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec

from plasmatui import __version__
from plasmatui.engine.outbound import STALL, Outbound
from plasmatui.engine.session import Desk, ProtocolError, Session, read_frame
from plasmatui.model import wire

log = logging.getLogger(__name__)

HANDSHAKE_LIMIT = 10.0
MAX_CLIENTS = 200

_UCRED = struct.Struct("3i")  # pid, uid, gid: Linux, unix(7), SO_PEERCRED


class Server:
    """Listens on the engine's socket.

    Args:
        welcome: makes the answer to a client that may come in, given its number and whether it only reads.
        on_clients: called whenever a client came or went.
        stall: seconds after which a client that reads nothing is given up.
    """

    def __init__(
        self,
        path: Path,
        desk: Desk,
        welcome: Callable[[int, bool], wire.Welcome],
        *,
        on_clients: Callable[[], None] = lambda: None,
        stall: float = STALL,
    ) -> None:
        self._path = path
        self._desk = desk
        self._welcome = welcome
        self._on_clients = on_clients
        self._stall = stall
        self._numbers = itertools.count(1)
        self._sessions: dict[int, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. The caller holds the engine's lock, so that a socket that lies there is nobody's.

        Raises:
            OSError: the socket cannot be made.
        """
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The directory is private, so nobody comes in between the two.
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=1 << 18, backlog=128)
        except OSError:
            listener.close()
            raise

    async def close(self, message: str) -> None:
        """Let nobody in, say goodbye to everybody, and wait a little until they took it."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        for session in tuple(self._sessions.values()):
            session.goodbye("stopping", message)
        if self._tasks:
            _, late = await asyncio.wait(tuple(self._tasks), timeout=2.0)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)

    @property
    def clients(self) -> tuple[wire.ClientInfo, ...]:
        return tuple(session.info for session in self._sessions.values())

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        task = asyncio.create_task(self._serve(number, reader, writer), name=f"client {number}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = await self._handshake(reader, writer)
            if hello is None:
                return
            outbound = Outbound(writer, stall=self._stall)
            session = Session(number, hello, reader, outbound, self._desk)
            self._sessions[number] = session
            outbound.message(wire.encode(self._welcome(number, hello.read_only)))
            self._on_clients()
            try:
                await session.run()
            finally:
                del self._sessions[number]
                self._on_clients()
        except Exception:
            # The boundary to a client: whatever goes wrong with one must not reach the others.
            log.exception("client %d", number)
        finally:
            self._end(writer)

    async def _handshake(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> wire.Hello | None:
        """The client's greeting; None when it may not come in, after it was told why."""
        refused = self._refuse_peer(writer)
        hello: wire.Hello | None = None
        if refused is None:
            try:
                async with asyncio.timeout(HANDSHAKE_LIMIT):
                    frame = await read_frame(reader)
                refused, hello = _check(frame)
            except ProtocolError as error:
                refused = wire.Goodbye("protocol", f"no greeting of plasmatui: {error}")
            except (TimeoutError, EOFError, OSError):
                return None
        if refused is None:
            return hello
        writer.write(wire.encode(refused))
        try:
            async with asyncio.timeout(1.0):
                await writer.drain()
        except (TimeoutError, OSError):
            pass
        return None

    def _refuse_peer(self, writer: asyncio.StreamWriter) -> wire.Goodbye | None:
        uid = _peer_uid(writer.get_extra_info("socket"))
        if uid not in (0, os.getuid()):
            return wire.Goodbye("peer", f"this engine belongs to user {os.getuid()}, not to user {uid}")
        if len(self._sessions) >= MAX_CLIENTS:
            return wire.Goodbye("peer", f"{MAX_CLIENTS} clients are attached already: end some of them")
        return None

    def _end(self, writer: asyncio.StreamWriter) -> None:
        """Close after what the transport still holds; a client that takes nothing is cut off."""
        transport = writer.transport
        if transport.get_write_buffer_size() and not transport.is_closing():
            asyncio.get_running_loop().call_later(1.0, transport.abort)
        writer.close()


def _peer_uid(connection: socket.socket) -> int:
    """The user of the process at the other end, as the kernel knows it."""
    uid: int = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1]
    return uid


def _check(frame: bytes) -> tuple[wire.Goodbye | None, wire.Hello | None]:
    """The greeting in `frame`, or why the client cannot be served."""
    try:
        hello = wire.HELLO.decode(frame)
    except msgspec.MsgspecError as error:
        protocol = _protocol_of(frame)
        if protocol is None or protocol == wire.PROTOCOL:
            return wire.Goodbye("protocol", f"no greeting of plasmatui: {error}"), None
        return _version(protocol, "another version"), None
    if hello.protocol != wire.PROTOCOL:
        return _version(hello.protocol, hello.version), None
    return None, hello


def _protocol_of(frame: bytes) -> int | None:
    """The protocol number of a greeting whose other fields we do not understand."""
    try:
        loose = msgspec.msgpack.decode(frame)
    except msgspec.MsgspecError:
        return None
    number = loose.get("protocol") if isinstance(loose, dict) else None
    return number if isinstance(number, int) else None


def _version(protocol: int, version: str) -> wire.Goodbye:
    return wire.Goodbye(
        "version",
        f"the engine is plasmatui {__version__} (protocol {wire.PROTOCOL}), this program is {version[:32]} "
        f"(protocol {protocol}): it cannot use this engine, nor stop it. End the engine, best while no operation runs, "
        f"with `kill {os.getpid()}`, or with `engine stop` of the plasmatui that started it; the next command then "
        "starts a new one",
    )
