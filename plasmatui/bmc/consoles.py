"""Keeps the wanted serial consoles open, on top of the fleet: opens, waits, opens again, never takes over unasked."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec

from plasmatui.bmc.controller import Backoff, BmcError, Console
from plasmatui.bmc.fleet import Fleet
from plasmatui.model.event import ConsoleChanged, Event
from plasmatui.model.node import ConsoleState
from plasmatui.model.words import BmcStatus, ConsoleStatus
from plasmatui.text import clean_line

log = logging.getLogger(__name__)

HELD_PAUSE: Final = 15.0
"""Seconds until it is looked again whether the other client has left."""
UNAVAILABLE_PAUSE: Final = 60.0
"""Seconds until it is looked again whether the console was enabled on the BMC."""
STEADY: Final = 30.0
"""Seconds that a console must have been open for its failures to be forgotten."""
CLOSE_LIMIT: Final = 4.0
_OWN_FINDINGS: Final = frozenset({"sol-in-use", "console-silent"})


class ConsoleKeeper:
    """`on_data(node, bytes)` gets what the machines say, `emit` gets `ConsoleChanged`."""

    def __init__(
        self,
        fleet: Fleet,
        emit: Callable[[Event], None],
        on_data: Callable[[str, bytes], None],
        *,
        backoff: Backoff | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._emit = emit
        self._on_data = on_data
        self._backoff = backoff or Backoff(longest=30.0)
        self._wall = wall
        self._keepers: dict[str, _Keeper] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def want(self, nodes: frozenset[str]) -> None:
        """The consoles that shall be open from now on; others are closed."""
        for node in [node for node in self._keepers if node not in nodes]:
            keeper = self._keepers.pop(node)
            task = asyncio.create_task(keeper.stop(), name=f"close console {node}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        for node in sorted(nodes - self._keepers.keys()):
            self._keepers[node] = _Keeper(node, self._fleet, self._tell, self._on_data, self._backoff, self._wall)

    def state(self, node: str) -> ConsoleState:
        keeper = self._keepers.get(node)
        return ConsoleState() if keeper is None else keeper.state

    def write(self, node: str, data: bytes) -> None:
        """Queue bytes for the machine.

        Raises:
            BmcError: the console is not open, or takes no more.
        """
        self._keeper(node).console().write(data)

    def send_break(self, node: str) -> None:
        """Raises: as `write`."""
        self._keeper(node).console().send_break()

    async def reopen(self, node: str, *, takeover: bool) -> None:
        """Close and open now; with `takeover` another client's session is ended. Does not wait for the result, which
        comes as `ConsoleChanged`.

        Raises:
            BmcError: the console is not wanted.
        """
        self._keeper(node).reopen(takeover)

    async def close(self) -> None:
        """Close all at once, within a limit."""
        self.want(frozenset())
        if self._ending:
            _, late = await asyncio.wait(set(self._ending), timeout=CLOSE_LIMIT)
            for task in late:
                task.cancel()

    def _keeper(self, node: str) -> _Keeper:
        keeper = self._keepers.get(node)
        if keeper is None:
            raise BmcError("console-silent", f"{node}: its console is not open")
        return keeper

    def _tell(self, node: str, state: ConsoleState) -> None:
        self._emit(Event(node, "sol", ConsoleChanged(state), self._wall(), time.monotonic()))


class _Keeper:
    """One console that is wanted."""

    def __init__(
        self,
        node: str,
        fleet: Fleet,
        tell: Callable[[str, ConsoleState], None],
        on_data: Callable[[str, bytes], None],
        backoff: Backoff,
        wall: Callable[[], float],
    ) -> None:
        self.state = ConsoleState(since=wall())
        self._node = node
        self._fleet = fleet
        self._tell = tell
        self._on_data = on_data
        self._backoff = backoff
        self._wall = wall
        self._console: Console | None = None
        self._takeover = False
        self._failures = 0
        self._asked = asyncio.Event()
        self._ended: asyncio.Future[BmcError | None] | None = None
        self._task = asyncio.create_task(self._run(), name=f"console {node}")

    def console(self) -> Console:
        if self._console is None or self.state.status is not ConsoleStatus.OPEN:
            why = self.state.message or f"it is {self.state.status}"
            raise BmcError(self.state.finding or "console-silent", f"{self._node}: the console is not open: {why}")
        return self._console

    def reopen(self, takeover: bool) -> None:
        self._takeover = takeover
        self._asked.set()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._close()
        self._change(ConsoleStatus.CLOSED)

    async def _run(self) -> None:
        while True:
            self._asked.clear()
            try:
                pause = await self._hold()
            except BmcError as error:
                pause = self._explain(error)
            # A defect in a driver must not end the care for this console.
            except Exception as error:
                log.exception("%s: console driver failed", self._node)
                why = f"{self._node}: internal error in the console driver: {type(error).__name__}"
                pause = self._explain(BmcError("console-silent", why))
            await self._rest(pause)

    async def _hold(self) -> float:
        """Open the console and stay until it ends. Seconds until the next try."""
        await self._bmc_up()
        # What is wrong stays said during a mere look whether it still is: no finding comes and goes with each try.
        if not self.state.finding or self._takeover:
            self._change(ConsoleStatus.CONNECTING)
        takeover, self._takeover = self._takeover, False
        ended: asyncio.Future[BmcError | None] = asyncio.get_running_loop().create_future()

        def down(id: str, message: str) -> None:  # noqa: A002
            if not ended.done():
                ended.set_result(BmcError(id, message))

        controller = self._fleet.controller(self._node)
        self._console = await controller.open_console(self._data, down, takeover=takeover)
        self._ended = ended
        self._change(ConsoleStatus.OPEN)
        opened = time.monotonic()
        try:
            error = await ended
        finally:
            self._ended = None
        if time.monotonic() - opened > STEADY:
            self._failures = 0
        await self._close()
        return 0.0 if error is None else self._explain(error)

    async def _bmc_up(self) -> None:
        while self._fleet.state(self._node).status is not BmcStatus.UP:
            obstacle = self._fleet.obstacle(self._node)
            self._change(ConsoleStatus.WAITING, message=obstacle.message if obstacle is not None else "")
            await self._fleet.changed(self._node)

    def _explain(self, error: BmcError) -> float:
        """Say why the console is not open. Seconds until the next try."""
        finding = error.id if error.id in _OWN_FINDINGS else ""
        if error.id == "sol-in-use":
            self._change(ConsoleStatus.HELD, finding, error.message, HELD_PAUSE)
            return HELD_PAUSE
        if error.id == "unsupported":
            self._change(ConsoleStatus.UNAVAILABLE, "console-silent", error.message, UNAVAILABLE_PAUSE)
            return UNAVAILABLE_PAUSE
        self._failures += 1
        pause = min(self._backoff.first * 2.0 ** min(self._failures - 1, 30), self._backoff.longest)
        pause *= 1 + self._backoff.jitter * random.random()  # noqa: S311 - spreads tries
        self._change(ConsoleStatus.WAITING, finding, error.message, pause)
        return pause

    async def _rest(self, pause: float) -> None:
        """Pause, unless somebody asks for the console."""
        try:
            async with asyncio.timeout(pause):
                await self._asked.wait()
        except TimeoutError:
            return
        self._failures = 0

    async def _close(self) -> None:
        console, self._console = self._console, None
        if console is not None:
            await console.close()

    def _data(self, data: bytes) -> None:
        self._on_data(self._node, data)

    def _change(self, status: ConsoleStatus, finding: str = "", message: str = "", pause: float = 0.0) -> None:
        state = ConsoleState(
            status=status,
            since=self.state.since,
            finding=finding,
            message=clean_line(message),
            retry_at=self._wall() + pause if pause else 0.0,
        )
        if status is not self.state.status:
            state = msgspec.structs.replace(state, since=self._wall())
        if state != self.state:
            self.state = state
            self._tell(self._node, state)
