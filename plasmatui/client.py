"""What the screen and the command line use to talk with an engine.

One connection, one reader task. Requests are awaited; pushes go to two plain callbacks, which must be quick. The
module holds no device and imports no protocol library, so that a screen starts fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import itertools
import os
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from socket import SO_PEERCRED, SOL_SOCKET
from typing import overload

from plasmatui import __version__
from plasmatui.model import wire
from plasmatui.paths import EnginePaths, engine_paths, make_private

HANDSHAKE_LIMIT = 10.0
"""Seconds that an engine gets to answer the greeting."""

START_LIMIT = 20.0
"""Seconds that a new engine gets to answer on its socket."""

NOBODY = (FileNotFoundError, ConnectionRefusedError)
"""Why a connection fails where no engine runs."""

ANOTHER_RUNS = 75
"""Exit code of an engine that found another one running."""


_UCRED = struct.Struct("3i")  # pid, uid, gid


class EngineError(Exception):
    """The engine answered with a problem. `problem.id` is for programs, `problem.message` for people."""

    def __init__(self, problem: wire.Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class EngineUnreachableError(Exception):
    """There is no engine, it does not answer, or it went away."""


def _terminal_name() -> str:
    for fd in (0, 1, 2):
        try:
            return os.ttyname(fd).removeprefix("/dev/")
        except OSError:
            continue
    return "no terminal"


def _address() -> str:
    """Where the SSH session comes from (ssh(1), SSH_CONNECTION), "" for none."""
    words = (os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_CLIENT") or "").split()
    return words[0] if words else ""


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class EngineClient:
    """A connection to an engine.

    Attributes:
        welcome: what the engine said at the handshake.
        on_changes: called with each `Changes` (after `Watch`).
        on_console: called with each `ConsoleData` (after `ConsoleOpen`).
        on_logs: called with each `LogLines` (after `FollowLogs`).
        on_lost: called once, with the reason, when the connection ends without `close`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, welcome: wire.Welcome) -> None:
        self.welcome = welcome
        self.on_changes: Callable[[wire.Changes], None] | None = None
        self.on_console: Callable[[wire.ConsoleData], None] | None = None
        self.on_logs: Callable[[wire.LogLines], None] | None = None
        self.on_lost: Callable[[str], None] | None = None
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[wire.ReplyBody | None]] = {}
        self._items: dict[int, asyncio.Queue[wire.ItemBody]] = {}
        self._lost: str | None = None
        self._closing = False
        self._task = asyncio.create_task(self._read(), name="engine-reader")

    @classmethod
    async def connect(cls, socket: Path, *, kind: str, read_only: bool = False) -> EngineClient:
        """Connect and shake hands.

        Raises:
            EngineUnreachableError: nobody listens there, or the engine refuses us (another version, another user).
        """
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=wire.MAX_FRAME)
        except OSError as error:
            raise EngineUnreachableError(f"no engine answers on {socket}: {error.strerror or error}") from error
        hello = wire.Hello(wire.PROTOCOL, __version__, kind, _user_name(), _terminal_name(), read_only, _address())
        try:
            writer.write(wire.encode(hello))
            async with asyncio.timeout(HANDSHAKE_LIMIT):
                answer = wire.HELLO_ANSWER.decode(await _frame(reader))
        except TimeoutError as error:
            pid = _peer_pid(writer)
            writer.close()
            raise EngineUnreachableError(
                f"the engine (process {pid}) takes connections on {socket}, but did not answer within "
                f"{HANDSHAKE_LIMIT:g} s: it is stopped or hangs; look at it, or end it: kill -CONT {pid}; kill {pid}"
            ) from error
        except (OSError, EOFError, ValueError, RecursionError) as error:
            writer.close()
            raise EngineUnreachableError(f"the engine on {socket} does not answer the handshake: {error}") from error
        if isinstance(answer, wire.Goodbye):
            writer.close()
            raise EngineUnreachableError(answer.message)
        return cls(reader, writer, answer)

    async def __aenter__(self) -> EngineClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def lost(self) -> str | None:
        """Why the connection ended, None while it stands."""
        return self._lost

    async def close(self) -> None:
        """End the connection. Operations go on without us."""
        self._closing = True
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._fail("closed")
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def ask(self, body: wire.RequestBody) -> wire.ReplyBody:
        """Send a request and wait for its reply. If the waiting task is cancelled, the engine is told.

        Raises:
            EngineError: the engine says what is wrong.
            EngineUnreachableError: the connection is gone.
        """
        number = next(self._ids)
        return await self._reply(number, self._send(number, body))

    @overload
    def stream(self, body: wire.Query) -> AsyncIterator[wire.NodeAnswer]: ...

    @overload
    def stream(self, body: wire.AskChecks) -> AsyncIterator[wire.CheckAnswer]: ...

    @overload
    def stream(self, body: wire.VerifyImage) -> AsyncIterator[wire.ImageProgress | wire.ImageVerified]: ...

    async def stream(self, body: wire.Query | wire.AskChecks | wire.VerifyImage) -> AsyncIterator[wire.ItemBody]:
        """Send a request whose answer comes bit by bit, and yield each. Leaving the loop early cancels it.

        Raises: as `ask`.
        """
        number = next(self._ids)
        queue: asyncio.Queue[wire.ItemBody] = asyncio.Queue()
        self._items[number] = queue
        future = self._send(number, body)
        getter: asyncio.Future[wire.ItemBody] | None = None
        try:
            while not future.done():
                getter = asyncio.ensure_future(queue.get())
                await asyncio.wait((getter, future), return_when=asyncio.FIRST_COMPLETED)
                if getter.done():
                    yield getter.result()
            if getter is not None:
                getter.cancel()
            while not queue.empty():
                yield queue.get_nowait()
            await self._reply(number, future)
        finally:
            if getter is not None:
                getter.cancel()
            self._items.pop(number, None)
            if not future.done():
                self._abandon(number)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _send(self, number: int, body: wire.RequestBody) -> asyncio.Future[wire.ReplyBody | None]:
        if self._lost is not None:
            raise EngineUnreachableError(f"the connection to the engine is gone: {self._lost}")
        future: asyncio.Future[wire.ReplyBody | None] = asyncio.get_running_loop().create_future()
        self._replies[number] = future
        self._writer.write(wire.encode(wire.Request(number, body)))
        return future

    async def _reply(self, number: int, future: asyncio.Future[wire.ReplyBody | None]) -> wire.ReplyBody:
        try:
            body = await future
        except asyncio.CancelledError:
            self._abandon(number)
            raise
        return wire.Done() if body is None else body

    def _abandon(self, number: int) -> None:
        self._replies.pop(number, None)
        if self._lost is None and not self._closing:
            self._writer.write(wire.encode(wire.Cancel(number)))

    async def _read(self) -> None:
        reason = "this program failed on a message of the engine"
        try:
            while True:
                message = wire.ENGINE_MESSAGE.decode(await _frame(self._reader))
                if isinstance(message, wire.Goodbye):
                    reason = message.message
                    break
                self._dispatch(message)
        except EOFError:
            reason = "the engine closed the connection"
        except (OSError, ValueError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
        finally:
            # Also when a callback failed: nobody may wait for ever for a reply that is not read any more.
            if not self._closing:
                self._fail(reason)
                self._writer.close()
                if self.on_lost is not None:
                    self.on_lost(reason)

    def _dispatch(self, message: wire.Item | wire.Reply | wire.Changes | wire.LogLines | wire.ConsoleData) -> None:
        if isinstance(message, wire.ConsoleData):
            if self.on_console is not None:
                self.on_console(message)
        elif isinstance(message, wire.Changes):
            if self.on_changes is not None:
                self.on_changes(message)
        elif isinstance(message, wire.LogLines):
            if self.on_logs is not None:
                self.on_logs(message)
        elif isinstance(message, wire.Item):
            queue = self._items.get(message.id)
            if queue is not None:
                queue.put_nowait(message.body)
        else:
            future = self._replies.pop(message.id, None)
            if future is not None and not future.done():
                if message.problem is not None:
                    future.set_exception(EngineError(message.problem))
                else:
                    future.set_result(message.body)

    def _fail(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
        for future in self._replies.values():
            if not future.done():
                future.set_exception(EngineUnreachableError(f"the connection to the engine is gone: {reason}"))
                future.exception()  # whoever still awaits it sees it; nobody is no error
        self._replies.clear()


def _peer_pid(writer: asyncio.StreamWriter) -> int:
    """The process that listens at the other end: Linux, unix(7), SO_PEERCRED."""
    credentials = writer.get_extra_info("socket").getsockopt(SOL_SOCKET, SO_PEERCRED, _UCRED.size)
    pid: int = _UCRED.unpack(credentials)[0]
    return pid


async def _frame(reader: asyncio.StreamReader) -> bytes:
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > wire.MAX_FRAME:
            raise ValueError(f"a frame of {size} bytes, more than {wire.MAX_FRAME}")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise EOFError("end of stream") from error


async def connect(paths: EnginePaths, *, kind: str, read_only: bool = False) -> EngineClient:
    """Connect to the engine of an inventory: one's own, else the one that another user shares.

    Raises:
        EngineUnreachableError: there is none (its cause is one of `NOBODY`), or it refuses us.
    """
    try:
        return await EngineClient.connect(paths.socket, kind=kind, read_only=read_only)
    except EngineUnreachableError as error:
        if not isinstance(error.__cause__, NOBODY) or not _reachable(paths.shared):
            raise
    return await EngineClient.connect(paths.shared, kind=kind, read_only=read_only)


def _reachable(shared: Path) -> bool:
    """Whether a shared socket can be seen, though perhaps not opened."""
    try:
        return shared.exists()
    except PermissionError:
        return False


async def connect_or_start(
    inventory: Path, *, kind: str, read_only: bool = False, idle: float | None = None
) -> EngineClient:
    """Connect to the engine of `inventory`; start one, detached, when there is none.

    Args:
        idle: seconds after which the new engine leaves when nobody is attached; None is the engine's own default.

    Raises:
        EngineUnreachableError: it cannot be started (the message holds what it printed) or does not answer in time.
    """
    paths = engine_paths(inventory)
    try:
        return await connect(paths, kind=kind, read_only=read_only)
    except EngineUnreachableError as error:
        if not isinstance(error.__cause__, NOBODY) or (paths.socket.exists() and _alive(paths)):
            raise
    process = start_engine(paths, idle=idle)
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        try:
            return await connect(paths, kind=kind, read_only=read_only)
        except EngineUnreachableError:
            code = process.poll()
            if code is not None and not _alive(paths):
                if code not in (0, ANOTHER_RUNS):
                    raise EngineUnreachableError(_why_not(paths, code)) from None
                # It left again at once, or another that was about to end had the lock: our turn.
                process = start_engine(paths, idle=idle)
        await asyncio.sleep(0.02)
    raise EngineUnreachableError(
        f"the engine (process {process.pid}) did not answer on {paths.socket} within {START_LIMIT:g} s; see {paths.log}"
    )


def start_engine(paths: EnginePaths, *, idle: float | None = None) -> subprocess.Popen[bytes]:
    """Start an engine in its own session without a terminal, as tmux does with its server.

    What it prints before it has its own log goes to `engine.start` beside the socket.

    Raises:
        EngineUnreachableError: its directories cannot be made.
    """
    command = [sys.executable, "-m", "plasmatui", "-i", str(paths.inventory), "engine", "run"]
    if idle is not None:
        command += ["--idle", f"{idle:g}"]
    try:
        make_private(paths.socket.parent)
        with open(_start_file(paths), "wb", opener=_private_opener) as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
    except OSError as error:
        raise EngineUnreachableError(f"the engine cannot be started: {error}") from error


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _start_file(paths: EnginePaths) -> Path:
    return paths.socket.with_suffix(".start")


def _why_not(paths: EnginePaths, code: int) -> str:
    try:
        printed = _start_file(paths).read_text(errors="replace").strip()
    except OSError:
        printed = ""
    return printed or f"the engine ended with code {code} before it answered; see {paths.log}"


def _alive(paths: EnginePaths) -> bool:
    """Whether a process holds the engine's lock."""
    import fcntl

    try:
        with open(paths.lock, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
