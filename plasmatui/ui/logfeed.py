"""Lines of logs for the Logs view: pages of what the engine keeps, what comes from now on, and places of hits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from plasmatui.model import wire
from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.ui.link import Link

PAGE = 500
BACKLOG = 50_000
"""Pushed lines that wait for the view; older ones are given up and counted."""

Page = tuple[list[LogLine], bool]
"""Lines, and whether there are more beyond."""


class LogFeed:
    """What one view reads. `call` is called when something was pushed, once until `take`. All that asks raises as
    `Link.ask`.

    Attributes:
        ruler: times that cut all that is kept into parts of equally many lines, as of the last page.
    """

    def __init__(self, link: Link, call: Callable[[], None]) -> None:
        self._link = link
        self._call = call
        self._fresh: deque[LogLine] = deque()
        self._skipped = 0
        self._told = False
        self.ruler: tuple[float, ...] = ()

    async def follow(self, wanted: LogFilter) -> None:
        """Be pushed what passes from now on. Lines may come twice: pushed, and with the page that is asked for next."""
        self._link.on_logs = self._pushed
        await self._link.ask(wire.FollowLogs(wanted))
        self._fresh.clear()
        self._skipped = 0

    async def close(self) -> None:
        """Nothing more is pushed."""
        self._link.on_logs = None
        if self._link.online:
            await self._link.ask(wire.FollowLogs(None))

    async def newest(self, wanted: LogFilter) -> Page:
        """The newest page of what passes."""
        return await self._page(wire.ListLogs(wanted, limit=PAGE))

    async def before(self, wanted: LogFilter, seq: int) -> Page:
        """Up to a page of lines before a line."""
        return await self._page(wire.ListLogs(wanted, seq, limit=PAGE))

    async def after(self, wanted: LogFilter, seq: int) -> Page:
        """Up to a page of lines after a line; after 0 from the oldest."""
        return await self._page(wire.ListLogs(wanted, seq, forward=True, limit=PAGE))

    async def up_to(self, wanted: LogFilter, wall: float) -> Page:
        """The last page of lines that are not after a time (Unix seconds)."""
        until = min(wall, wanted.until) if wanted.until else wall
        return await self.newest(msgspec.structs.replace(wanted, until=until))

    async def search(self, pattern: str, wanted: LogFilter) -> wire.LogHits:
        """All places of a pattern among what passes."""
        reply = await self._link.ask(wire.SearchLogs(pattern, wanted))
        assert isinstance(reply, wire.LogHits)
        return reply

    def take(self) -> tuple[list[LogLine], int]:
        """What was pushed, and how many lines were left out on the way."""
        lines, skipped = list(self._fresh), self._skipped
        self._fresh.clear()
        self._skipped, self._told = 0, False
        return lines, skipped

    async def _page(self, body: wire.ListLogs) -> Page:
        reply = await self._link.ask(body)
        assert isinstance(reply, wire.LogPage)
        self.ruler = reply.ruler
        return list(reply.lines), reply.more

    def _pushed(self, pushed: wire.LogLines) -> None:
        self._fresh.extend(pushed.lines)
        self._skipped += pushed.skipped
        while len(self._fresh) > BACKLOG:
            self._fresh.popleft()
            self._skipped += 1
        if not self._told:
            self._told = True
            self._call()
