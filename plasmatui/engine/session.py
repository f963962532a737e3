"""One client: its requests, each a task that can be cancelled, and what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable
from typing import Protocol

from plasmatui.bmc.controller import BmcError
from plasmatui.engine.access import Peer, Standing
from plasmatui.engine.outbound import Outbound, SlowClientError
from plasmatui.engine.ports import ClientId, ProblemError
from plasmatui.model import wire
from plasmatui.model.operation import Origin
from plasmatui.model.words import Role
from plasmatui.text import clean_line

log = logging.getLogger(__name__)

MAX_REQUESTS = 256
"""Requests of one client that are worked on at once; a further one waits in the socket."""

GOODBYE_LIMIT = 1.0
"""Seconds that a client gets to take the last frames."""


class Desk(Protocol):
    """Answers requests."""

    async def answer(self, session: Session, number: int, body: wire.RequestBody) -> wire.ReplyBody:
        """Raises `ProblemError` or `BmcError` with what the client is told instead."""

    def left(self, session: Session) -> None:
        """The client is gone: take back what it held."""


class Session:
    """A connected client after its handshake.

    Attributes:
        id: its number, user and terminal, as others see it.
        peer: who the kernel says it is. role: what it may do.
        place: what it looks at, as it tells.
        unsubscribe: ends its change sets, once it watches.
    """

    def __init__(
        self,
        number: int,
        hello: wire.Hello,
        reader: asyncio.StreamReader,
        outbound: Outbound,
        desk: Desk,
        peer: Peer,
        standing: Standing,
    ) -> None:
        self.peer = peer
        self.role: Role = standing.role
        self.kind = _name(hello.kind)
        self.address = _name(hello.address)
        self.place = ""
        terminal = _name(hello.terminal)
        client = f"{self.kind} {terminal}" + (f" from {self.address}" if self.address else "")
        self.id = ClientId(number, standing.user or _name(hello.user), terminal, Origin(peer.uid, client))
        self.read_only = hello.read_only
        self.since = time.time()
        self.outbound = outbound
        self.unsubscribe: Callable[[], None] | None = None
        self._reader = reader
        self._desk = desk
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._goodbye = asyncio.Event()

    @property
    def info(self) -> wire.ClientInfo:
        return wire.ClientInfo(
            self.id.number,
            self.kind,
            self.id.user,
            self.id.terminal,
            self.since,
            self.read_only,
            self.role,
            self.peer.uid,
            self.address,
            self.place,
        )

    def item(self, number: int, answer: wire.ItemBody) -> None:
        """A part of the answer to request `number`."""
        self.outbound.message(wire.encode(wire.Item(number, answer)))

    def goodbye(self, id_: str, message: str) -> None:
        """End the connection after what is queued, and this, has been sent."""
        self.outbound.message(wire.encode(wire.Goodbye(id_, message)))
        self._goodbye.set()

    async def run(self) -> None:
        """Serve until the client leaves, misbehaves, reads nothing, or `goodbye` is said. Does not raise for those."""
        name = f"client {self.id.number}"
        reading = asyncio.create_task(self._read(), name=f"{name} reader")
        writing = asyncio.create_task(self.outbound.run(), name=f"{name} writer")
        leaving = asyncio.create_task(self._goodbye.wait(), name=f"{name} goodbye")
        tasks = (reading, writing, leaving)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done() and (leaving.done() or self._explain(reading)):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_LIMIT):
                        await self.outbound.flushed()
        finally:
            if self.unsubscribe is not None:
                self.unsubscribe()
            self._desk.left(self)
            requests = tuple(self._tasks.values())
            for task in (*tasks, *requests):
                task.cancel()
            results = await asyncio.gather(*tasks, *requests, return_exceptions=True)
        for result in results:
            if isinstance(result, SlowClientError):
                log.warning("%s (%s on %s) reads nothing and was given up", name, self.id.user, self.id.terminal)
            elif isinstance(result, Exception) and not isinstance(result, OSError | EOFError | ProtocolError):
                raise result

    def _explain(self, reading: asyncio.Task[None]) -> bool:
        """Tell a client that broke the protocol why it is put out; whether there is one to be told."""
        if reading.done() and not reading.cancelled():
            error = reading.exception()
            if isinstance(error, ProtocolError):
                log.warning("client %d broke the protocol: %s", self.id.number, error)
                self.outbound.message(wire.encode(wire.Goodbye("protocol", f"malformed frame: {error}")))
                return True
        return False

    async def _read(self) -> None:
        while True:
            await self.outbound.room()
            frame = await read_frame(self._reader)
            try:
                message = wire.CLIENT_MESSAGE.decode(frame)
            except wire.UNREADABLE as error:
                raise ProtocolError(clean_line(str(error), 200)) from None
            if isinstance(message, wire.Cancel):
                task = self._tasks.get(message.id)
                if task is not None:
                    task.cancel()
                continue
            if message.id in self._tasks:
                raise ProtocolError(f"request {message.id} is already being worked on")
            await self._slots.acquire()
            kind = message.body.__struct_config__.tag
            task = asyncio.create_task(
                self._serve(message), name=f"client {self.id.number} request {message.id} {kind}"
            )
            self._tasks[message.id] = task
            task.add_done_callback(functools.partial(self._served, message.id))

    def _served(self, number: int, _: asyncio.Task[None]) -> None:
        self._tasks.pop(number, None)
        self._slots.release()

    async def _serve(self, request: wire.Request) -> None:
        body: wire.ReplyBody | None = None
        problem: wire.Problem | None = None
        try:
            body = await self._desk.answer(self, request.id, request.body)
        except ProblemError as error:
            problem = error.problem
        except BmcError as error:
            problem = wire.Problem(error.id, clean_line(error.message))
        except asyncio.CancelledError:
            problem = wire.Problem("cancelled", "the request was cancelled")
        except Exception as error:
            # The boundary to a client: a fault of ours is told and logged, and costs only this request.
            log.exception("request %s failed", request.body.__struct_config__.tag)
            text = f"the engine failed on this request ({type(error).__name__}); its log has the details"
            problem = wire.Problem("internal", text)
        self.outbound.message(wire.encode(wire.Reply(request.id, body, problem)))


class ProtocolError(Exception):
    """The client sent what is no message."""


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame without its length.

    Raises:
        EOFError: the client is gone.
        ProtocolError: the frame is longer than allowed.
    """
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > wire.MAX_FRAME:
            raise ProtocolError(f"a frame of {size} bytes, more than {wire.MAX_FRAME}")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise EOFError("end of stream") from error


def _name(text: str) -> str:
    """What a client says of itself, fit for others to see."""
    return clean_line(text, 64)
