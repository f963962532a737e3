"""Runs the boot service: listens, tells what is wrong with the store, and ends without breaking transfers off."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvicorn

from plasmatui.pxe.service.accesslog import AccessLog
from plasmatui.pxe.service.answers import Problem, Source
from plasmatui.pxe.service.app import BootApp
from plasmatui.pxe.service.complaints import Complaints
from plasmatui.pxe.service.connection import Connection
from plasmatui.pxe.service.files import Images
from plasmatui.pxe.service.once import BootStates
from plasmatui.pxe.service.transfers import Transfers

TRANSFER_LIMIT: Final = 30.0
"""Seconds that transfers have to end when the service is stopped."""
KEEP_ALIVE: Final = 15
"""Seconds that a connection is kept for a next request."""
_SHORT: Final = 1.0
"""Seconds between two looks at whether notices of changes came."""
_LONG: Final = 5.0
"""Seconds between two looks at every file, or a hundred times what one took."""
_CHECK_EVERY: Final = 2.0
"""Seconds between two looks at clients that take too long."""
_SWITCH: Final = 0.0005
_TOLD: Final = 50
"""Problems that are told one by one."""

Note = Callable[[str], None]


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: those would end the process before the log is written."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@dataclass
class BootService:
    """A boot service to run.

    Args:
        note: takes lines for people.
        log_path: the access log; None for standard output.
        transfer_limit: seconds that transfers have to end at the end.
    """

    source: Source
    images: Images | None
    states: BootStates | None
    listener: socket.socket
    note: Note
    log_path: Path | None = None
    transfer_limit: float = TRANSFER_LIMIT
    _told: frozenset[Problem] = field(default=frozenset(), init=False)

    async def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until SIGTERM, SIGINT or cancelled; a second signal ends transfers at once.

        Raises:
            OSError: the log cannot be opened.
        """
        log = AccessLog(self.log_path)
        app = BootApp(self.source, self.images, self.states, Complaints(self.note))
        transfers = Transfers(app.make(), log.write, app.meters)
        app.meters.watch("transfers", "Requests that are being answered.", lambda: len(transfers.running))
        server = _Server(self._config(transfers))
        self._tell(first=True)
        try:
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(log.run(), name="access log"),
                    group.create_task(transfers.tell(), name="progress of transfers"),
                    group.create_task(self._watch(), name="store"),
                    group.create_task(_check(server), name="slow clients"),
                ]
                if ready is not None:
                    helpers.append(group.create_task(_announce(server, ready), name="ready"))
                with _signals(server, self.note):
                    await server.serve(sockets=[self.listener])
                for helper in helpers:
                    helper.cancel()
        finally:
            for connection in tuple(server.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)  # so that what was broken off is logged
            log.close()
            self.source.close()

    def _config(self, app: Transfers) -> uvicorn.Config:
        _quiet_uvicorn(self.note)
        return uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=self.transfer_limit,  # type: ignore[arg-type]
        )

    async def _watch(self) -> None:
        """Tell changes of the store's standing; notices come for most edits, a look at all files finds the others."""
        due = 0.0
        while True:
            await asyncio.sleep(_SHORT)
            began = time.monotonic()
            if began < due:
                await self.source.refresh()
            else:
                await self.source.look()
                ended = time.monotonic()
                due = ended + max(_LONG, 100 * (ended - began))
            self._tell()

    def _tell(self, *, first: bool = False) -> None:
        problems = frozenset(self.source.problems)
        if problems == self._told and not first:
            return
        fresh = sorted(problems - self._told, key=lambda problem: (problem.file, problem.line))
        for problem in fresh[:_TOLD]:
            self.note(str(problem))
        if len(fresh) > _TOLD:
            self.note(f"and {len(fresh) - _TOLD} more problems; /health and `serve explain` tell more")
        healed = {problem.file for problem in self._told} - {problem.file for problem in problems}
        for name in sorted(healed)[:_TOLD]:
            self.note(f"{name}: in order again")
        self._told = problems
        if first:
            self.note(f"{self.source.kind}: {self.source.rules} rules, {len(problems)} problems")


async def _announce(server: uvicorn.Server, ready: Callable[[], None]) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    ready()


async def _check(server: uvicorn.Server) -> None:
    """Drop clients that take too long."""
    while True:
        await asyncio.sleep(_CHECK_EVERY)
        now = time.monotonic()
        for connection in tuple(server.server_state.connections):
            if isinstance(connection, Connection):
                connection.check(now)


@contextlib.contextmanager
def _signals(server: uvicorn.Server, note: Note) -> Generator[None, None, None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if server.should_exit:
            server.force_exit = True
        else:
            server.should_exit = True
            count = len(server.server_state.tasks)
            note(f"ending; {count} transfers may end first" if count else "ending")

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
    except (ValueError, RuntimeError):  # not the main thread: who runs us ends us
        yield
        return
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class _Handler(logging.Handler):
    """Errors of the server in one line, with kinds and places and without values."""

    def __init__(self, note: Note) -> None:
        super().__init__(logging.ERROR)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        trace = error.__traceback__ if error is not None else None
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""
        what = type(error).__name__ if error is not None else record.getMessage().strip()
        self._note(f"internal error: {what}{place}")


def _quiet_uvicorn(note: Note) -> None:
    logger = logging.getLogger("uvicorn.error")
    logger.handlers = [_Handler(note)]
    logger.setLevel(logging.ERROR)
    logger.propagate = False


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address is taken, or not of this host.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only so
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def prepare_process() -> None:
    """Make the process fit for many clients: each is an open file, and each image that it fetches another; and a thread
    that looks at many files may keep the loop from answering for half a millisecond only."""
    sys.setswitchinterval(_SWITCH)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
