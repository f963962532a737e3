"""The connection to the engine: kept up, with back-off, and everything subscribed again after it broke."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import overload

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.paths import UnsafeDirectoryError
from plasmatui.ui.options import Connect, Engine
from plasmatui.ui.past import FLEETING, dated
from plasmatui.ui.store import Store

FIRST_DELAY = 0.5
LONGEST_DELAY = 15.0
"""Seconds between two tries to reach an engine that is gone."""

CONNECT_LIMIT = 30.0


class Link:
    """Holds the connection and fills the store.

    Attributes:
        on_online: called after every (new) connection, when the store holds the snapshot.
        on_console: called with each `ConsoleData`.
        on_logs: called with each `LogLines`.
    """

    def __init__(self, store: Store, connect: Connect) -> None:
        self.store = store
        self.on_online: Callable[[], None] | None = None
        self.on_console: Callable[[wire.ConsoleData], None] | None = None
        self.on_logs: Callable[[wire.LogLines], None] | None = None
        self._connect = connect
        self._engine: Engine | None = None
        self._lost: asyncio.Future[str] | None = None
        self._hurry = asyncio.Event()
        self._start = True
        self._not_started = ""

    @property
    def online(self) -> bool:
        return self._engine is not None and self.store.link.online

    def retry(self) -> None:
        """Try again now, and start an engine when there is none."""
        self._start = True
        self._hurry.set()

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        delay = FIRST_DELAY
        try:
            while True:
                reason = await self._hold()
                if reason is None:
                    delay, reason = FIRST_DELAY, self.store.link.reason
                self.store.offline(reason, self.store.clock() + delay)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._hurry.wait()
                self._hurry.clear()
                self.store.offline(reason)
                delay = min(delay * 2, LONGEST_DELAY)
        finally:
            await self._drop()

    async def _hold(self) -> str | None:
        """One connection from its begin to its end: None when it stood, else why it did not come up."""
        start, self._start = self._start, False
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                engine = await self._connect(start)
                self._lost = asyncio.get_running_loop().create_future()
                self._attach(engine, self._lost)
                reply = await engine.ask(wire.Watch())
        except (EngineUnreachableError, EngineError, UnsafeDirectoryError, OSError, TimeoutError) as error:
            await self._drop()
            why = str(error) or "the engine does not answer"
            if start:
                self._not_started = why
            return self._not_started or why  # that none is there later follows from why it did not start
        self._not_started = ""
        assert isinstance(reply, wire.Snapshot)
        self.store.load(reply)
        if self.on_online is not None:
            self.on_online()
        reason = await self._lost
        await self._drop()
        self.store.offline(reason)
        return None

    def _attach(self, engine: Engine, lost: asyncio.Future[str]) -> None:
        self._engine = engine
        engine.on_changes = self.store.apply
        engine.on_console = self._console
        engine.on_logs = self._logs

        def gone(reason: str) -> None:
            if not lost.done():
                lost.set_result(reason)

        engine.on_lost = gone
        self.store.greet(engine.welcome)

    def _console(self, data: wire.ConsoleData) -> None:
        if self.on_console is not None:
            self.on_console(data)

    def _logs(self, lines: wire.LogLines) -> None:
        if self.on_logs is not None:
            self.on_logs(lines)

    async def _drop(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.on_changes = engine.on_console = engine.on_logs = engine.on_lost = None
            await engine.close()

    async def ask(self, body: wire.RequestBody) -> wire.ReplyBody:
        """Ask the engine, while a moment that is over is shown of that moment.

        Raises:
            EngineError: it says what is wrong; or this is not for the past, or of a moment that is not shown any more.
            EngineUnreachableError: it is not connected now.
        """
        past = self.store.past
        reply = await self._current().ask(dated(body, past))
        if self.store.past is not past and isinstance(body, FLEETING):
            raise EngineError(wire.Problem("past", "another moment is shown now"))
        return reply

    @overload
    def stream(self, body: wire.Query) -> AsyncIterator[wire.NodeAnswer]: ...

    @overload
    def stream(self, body: wire.AskChecks) -> AsyncIterator[wire.CheckAnswer]: ...

    @overload
    def stream(self, body: wire.VerifyImage) -> AsyncIterator[wire.ImageProgress | wire.ImageVerified]: ...

    async def stream(self, body: wire.Query | wire.AskChecks | wire.VerifyImage) -> AsyncIterator[wire.ItemBody]:
        """Ask what is answered bit by bit: the nodes' BMCs, the checklist, an image. Raises: as `ask`."""
        dated(body, self.store.past)
        async for answer in self._current().stream(body):
            yield answer

    def _current(self) -> Engine:
        if self._engine is None:
            raise EngineUnreachableError("the engine is not connected")
        return self._engine
