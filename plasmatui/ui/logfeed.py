"""Lines of logs for the Logs view: pages of what the engine keeps, what comes from now on, and places of hits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from plasmatui.model import wire
from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.ui.link import Link

PAGE = 500
BACKLOG = 50_000
"""Pushed lines that wait for the view; older ones are given up and counted."""


class LogFeed:
    """What one view reads. `call` is called when something was pushed, once until `take`."""

    def __init__(self, link: Link, call: Callable[[], None]) -> None:
        self._link = link
        self._call = call
        self._fresh: deque[LogLine] = deque()
        self._skipped = 0
        self._told = False
        self.filter = LogFilter()
        self.oldest = self.newest = 0

    async def open(self, wanted: LogFilter) -> list[LogLine]:
        """Follow what passes, and give the newest page. Lines come once, whether pushed or asked for.

        Raises: as `Link.ask`.
        """
        self.filter = wanted
        self._link.on_logs = self._pushed
        await self._link.ask(wire.FollowLogs(wanted))
        self._fresh.clear()
        self._skipped = 0
        return await self.newest_page()

    async def close(self) -> None:
        """Nothing more is pushed."""
        self._link.on_logs = None
        if self._link.online:
            await self._link.ask(wire.FollowLogs(None))

    async def newest_page(self) -> list[LogLine]:
        """The newest lines that pass; what was pushed before is among them."""
        lines = await self._page(wire.ListLogs(self.filter, limit=PAGE))
        last = lines[-1].seq if lines else 0
        while self._fresh and self._fresh[0].seq <= last:
            self._fresh.popleft()
        return lines

    async def before(self, seq: int) -> list[LogLine]:
        """Up to a page of lines older than `seq`."""
        return await self._page(wire.ListLogs(self.filter, seq, limit=PAGE))

    async def after(self, seq: int) -> list[LogLine]:
        """Up to a page of lines newer than `seq`."""
        return await self._page(wire.ListLogs(self.filter, seq, forward=True, limit=PAGE))

    async def search(self, pattern: str) -> wire.LogHits:
        """All places of a pattern among what passes."""
        reply = await self._link.ask(wire.SearchLogs(pattern, self.filter))
        assert isinstance(reply, wire.LogHits)
        return reply

    def take(self) -> tuple[list[LogLine], int]:
        """What was pushed, and how many lines were left out on the way."""
        lines, skipped = list(self._fresh), self._skipped
        self._fresh.clear()
        self._skipped, self._told = 0, False
        return lines, skipped

    async def _page(self, body: wire.ListLogs) -> list[LogLine]:
        reply = await self._link.ask(body)
        assert isinstance(reply, wire.LogPage)
        self.oldest, self.newest = reply.oldest, max(self.newest, reply.newest)
        return list(reply.lines)

    def _pushed(self, pushed: wire.LogLines) -> None:
        self._fresh.extend(pushed.lines)
        self._skipped += pushed.skipped
        if pushed.lines:
            self.newest = max(self.newest, pushed.lines[-1].seq)
        while len(self._fresh) > BACKLOG:
            self._fresh.popleft()
            self._skipped += 1
        if not self._told:
            self._told = True
            self._call()
