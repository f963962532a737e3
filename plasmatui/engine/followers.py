"""Clients that follow the logs: each gets what passes its filter, at its own pace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from plasmatui.engine.loglines import shown
from plasmatui.engine.outbound import Outbound
from plasmatui.model import wire
from plasmatui.watch.linefilter import LineFilter
from plasmatui.watch.lines import LineStore, Order

PAGE = 500
"""Lines that one push carries at most."""

INTERVAL = 0.1
"""Seconds between two pushes."""


class Followers:
    """`kind_of` tells the kind of a source."""

    def __init__(self, lines: LineStore, kind_of: Callable[[str], str]) -> None:
        self._lines = lines
        self._kind_of = kind_of
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._news: dict[int, asyncio.Event] = {}

    def told(self) -> None:
        """Lines came."""
        for news in self._news.values():
            news.set()

    def follow(self, client: int, outbound: Outbound, wanted: LineFilter) -> None:
        """Push to a client what passes from now on, in place of what it followed before."""
        self.leave(client)
        self._news[client] = asyncio.Event()
        work = self._push(outbound, wanted, self._news[client])
        self._tasks[client] = asyncio.create_task(work, name=f"client {client} follows logs")

    def leave(self, client: int) -> None:
        """A client follows no more."""
        self._news.pop(client, None)
        task = self._tasks.pop(client, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        tasks = tuple(self._tasks.values())
        for client in tuple(self._tasks):
            self.leave(client)
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _push(self, outbound: Outbound, wanted: LineFilter, news: asyncio.Event) -> None:
        seen = self._lines.next_seq - 1
        skipped = 0
        while True:
            await news.wait()
            news.clear()
            more = True
            while more:
                last = self._lines.next_seq - 1
                found = await self._lines.after(seen, PAGE, wanted, Order.ARRIVAL)
                more = len(found) == PAGE
                seen = found[-1].seq if more else max(seen, last, found[-1].seq if found else 0)
                if outbound.slow:
                    skipped += len(found)
                elif found or skipped:
                    lines = tuple(shown(line, self._kind_of(line.source)) for line in found)
                    outbound.message(wire.encode(wire.LogLines(lines, skipped)))
                    skipped = 0
            await asyncio.sleep(INTERVAL)
