"""The Unix socket: who may come in, the handshake, the list of clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plasmatui import __version__
from plasmatui.engine.access import Gatekeeper, Peer, RefusedError, Standing, peer_of
from plasmatui.engine.outbound import STALL, Outbound
from plasmatui.engine.session import Desk, ProtocolError, Session, read_frame
from plasmatui.model import wire
from plasmatui.model.words import Role
from plasmatui.paths import check_shared
from plasmatui.text import clean_line

log = logging.getLogger(__name__)

HANDSHAKE_LIMIT = 10.0
MAX_CLIENTS = 200
MAX_OF_A_USER = 50
"""Clients of one user that is not the engine's own, so that nobody keeps the others out."""


@dataclass(frozen=True)
class _Guest:
    """A peer that may come in."""

    hello: wire.Hello
    peer: Peer
    standing: Standing


class Server:
    """Listens on the engine's socket, and on one for other users while the engine is shared.

    Args:
        gate: says who may come in.
        welcome: makes the answer to a client that may come in, given its number, whether it only reads, and its role.
        on_clients: called whenever a client came or went.
        stall: seconds after which a client that reads nothing is given up.
    """

    def __init__(
        self,
        path: Path,
        desk: Desk,
        welcome: Callable[[int, bool, Role], wire.Welcome],
        gate: Gatekeeper,
        *,
        on_clients: Callable[[], None] = lambda: None,
        stall: float = STALL,
    ) -> None:
        self._path = path
        self._desk = desk
        self._welcome = welcome
        self._gate = gate
        self._on_clients = on_clients
        self._stall = stall
        self._numbers = itertools.count(1)
        self._sessions: dict[int, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._shared: tuple[Path, asyncio.Server] | None = None

    async def start(self) -> None:
        """Listen. The caller holds the engine's lock, so that a socket that lies there is nobody's.

        Raises:
            OSError: the socket cannot be made.
        """
        self._server = await self._listen(_bind(self._path))

    async def share(self, path: Path) -> None:
        """Listen for other users as well; who of them may come in is the gate's to say. The group of the directory may
        open the socket.

        Raises:
            UnsafeDirectoryError: see `check_shared`.
            OSError: the socket cannot be made, or not be given to that group.
        """
        if self._shared is not None:
            return
        self._shared = (path, await self._listen(_bind_shared(path)))

    def unshare(self) -> None:
        """Listen only for the engine's own user from now on."""
        if self._shared is not None:
            path, server = self._shared
            self._shared = None
            server.close()
            path.unlink(missing_ok=True)

    async def _listen(self, listener: socket.socket) -> asyncio.Server:
        try:
            return await asyncio.start_unix_server(self._connected, sock=listener, limit=1 << 18, backlog=128)
        except OSError:
            listener.close()
            raise

    async def regrade(self) -> None:
        """Roles may have changed: who has another one now, or none, must connect again."""
        for session in tuple(self._sessions.values()):
            try:
                standing = await self._gate.admit(session.peer)
            except RefusedError as error:
                session.goodbye("peer", str(error))
                continue
            if standing.role is not session.role:
                session.goodbye("role", f"your role is {standing.role} now, not {session.role}: connect again")

    async def close(self, message: str) -> None:
        """Let nobody in, say goodbye to everybody, and wait a little until they took it."""
        if self._server is not None:
            self._server.close()
        self.unshare()
        self._path.unlink(missing_ok=True)
        self._gate.close()
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
            guest = await self._handshake(reader, writer)
            if guest is None:
                return
            outbound = Outbound(writer, stall=self._stall)
            session = Session(number, guest.hello, reader, outbound, self._desk, guest.peer, guest.standing)
            self._sessions[number] = session
            outbound.message(wire.encode(self._welcome(number, guest.hello.read_only, session.role)))
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

    async def _handshake(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Guest | None:
        """The client and its greeting; None when it may not come in, after it was told why."""
        # Read before anything is refused: what lies unread when we close would cost the other side our answer.
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT):
                frame = await read_frame(reader)
            refused, hello = _check(frame)
        except ProtocolError as error:
            refused, hello = wire.Goodbye("protocol", f"no greeting of plasmatui: {error}"), None
        except (TimeoutError, EOFError, OSError):
            return None
        peer = peer_of(writer.get_extra_info("socket"))
        unwelcome, standing = await self._stand(peer)
        refused = unwelcome or refused
        if refused is None and hello is not None and standing is not None:
            return _Guest(hello, peer, standing)
        assert refused is not None
        writer.write(wire.encode(refused))
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(1.0):
                await writer.drain()
        return None

    async def _stand(self, peer: Peer) -> tuple[wire.Goodbye | None, Standing | None]:
        """What a peer may do, or why it may not come in."""
        try:
            standing = await self._gate.admit(peer)
        except RefusedError as error:
            return wire.Goodbye("peer", str(error)), None
        if len(self._sessions) >= MAX_CLIENTS:
            return wire.Goodbye("peer", f"{MAX_CLIENTS} clients are attached already: end some of them"), None
        uids = Counter(session.peer.uid for session in self._sessions.values())
        if peer.uid not in (0, os.getuid()) and uids[peer.uid] >= MAX_OF_A_USER:
            return wire.Goodbye("peer", f"user {peer.uid} has {MAX_OF_A_USER} clients attached: end some"), None
        return None, standing

    def _end(self, writer: asyncio.StreamWriter) -> None:
        """Close after what the transport still holds; a client that takes nothing is cut off."""
        transport = writer.transport
        if transport.get_write_buffer_size() and not transport.is_closing():
            asyncio.get_running_loop().call_later(1.0, transport.abort)
        writer.close()


def _bind(path: Path) -> socket.socket:
    """A socket at `path` that only this user may open. Raises `OSError`."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The directory is private, so nobody comes in between the two; nobody listens yet, either.
        listener.bind(str(path))
        path.chmod(0o600)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_shared(path: Path) -> socket.socket:
    """A socket at `path` that the group of its directory may open, too. Raises as `Server.share`."""
    group = check_shared(path.parent)
    listener = _bind(path)
    try:
        if path.stat().st_gid != group:
            os.chown(path, -1, group)
        path.chmod(0o660)
    except OSError:
        listener.close()
        path.unlink(missing_ok=True)
        raise
    return listener


def _check(frame: bytes) -> tuple[wire.Goodbye | None, wire.Hello | None]:
    """The greeting in `frame`, or why the client cannot be served."""
    try:
        hello = wire.HELLO.decode(frame)
    except wire.UNREADABLE as error:
        protocol = _protocol_of(frame)
        if protocol is None or protocol == wire.PROTOCOL:
            return wire.Goodbye("protocol", f"no greeting of plasmatui: {clean_line(str(error), 200)}"), None
        return _version(protocol, "another version"), None
    if hello.protocol != wire.PROTOCOL:
        return _version(hello.protocol, hello.version), None
    return None, hello


def _protocol_of(frame: bytes) -> int | None:
    """The protocol number of a greeting whose other fields we do not understand."""
    try:
        loose = msgspec.msgpack.decode(frame)
    except wire.UNREADABLE:
        return None
    number = loose.get("protocol") if isinstance(loose, dict) else None
    return number if isinstance(number, int) else None


def _version(protocol: int, version: str) -> wire.Goodbye:
    return wire.Goodbye(
        "version",
        f"the engine is plasmatui {__version__} (protocol {wire.PROTOCOL}), this program is {clean_line(version, 32)} "
        f"(protocol {protocol}): it cannot use this engine, nor stop it. End the engine, best while no operation runs, "
        f"with `kill {os.getpid()}`, or with `engine stop` of the plasmatui that started it; the next command then "
        "starts a new one",
    )
