"""Collects what belongs into a bundle: lines of the nodes' time, consoles, timelines, events."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterable

from msgspec.structs import replace

from plasmatui.engine.bundles import BundleConsole, BundleContent, BundleLog, BundlePrint
from plasmatui.engine.consoles import ConsoleHub
from plasmatui.engine.feeds import LogFeed
from plasmatui.engine.oplogs import OperationLogs
from plasmatui.engine.store import Store
from plasmatui.engine.watch import WatchHub
from plasmatui.journal.journal import Journal
from plasmatui.model.operation import OperationRecord
from plasmatui.watch.linefilter import LineFilter
from plasmatui.watch.lines import Order, StoredLine

DAY = 86400.0
"""Seconds that a bundle reaches back when nobody said since when."""

LINES = 200_000
CONSOLE_BYTES = 8 * 1024 * 1024
EVENTS = 5000
BOOTS = 20
OPERATIONS = 500
PAGE = 5000


class Collector:
    """Asks everything that keeps evidence."""

    def __init__(
        self, hub: WatchHub, consoles: ConsoleHub, store: Store, journal: Journal, logs: OperationLogs
    ) -> None:
        self._hub = hub
        self._consoles = consoles
        self._store = store
        self._journal = journal
        self._logs = logs

    async def collect(self, nodes: tuple[str, ...], since: float) -> BundleContent:
        """What is known of `nodes` since a time (Unix seconds, 0: a day ago)."""
        since = since or time.time() - DAY
        logs = [await _log(feed, nodes, since, self._hub) for feed in self._hub.logs.feeds]
        timelines = [boot for node in nodes for boot in await self._hub.boots.timelines(node, BOOTS)]
        events = [line for node in nodes for line in await self._journal.events(node, 0, EVENTS) if line.wall >= since]
        operations = await self._operations(nodes, since)
        return BundleContent(
            tuple(self._store.nodes[node] for node in nodes),
            tuple(log for log in logs if log.lines),
            tuple([console async for console in self._of_consoles(nodes, since)]),
            tuple(timelines),
            tuple(events),
            operations,
            tuple([printed async for printed in self._prints(nodes, operations)]),
        )

    async def _of_consoles(self, nodes: tuple[str, ...], since: float) -> AsyncIterator[BundleConsole]:
        for node in nodes:
            data, stamps = await self._consoles.since(node, since, CONSOLE_BYTES)
            if data:
                yield BundleConsole(node, data, stamps)

    async def _operations(self, nodes: tuple[str, ...], since: float) -> tuple[OperationRecord, ...]:
        """Those that had to do with the nodes, without what they did to others."""
        found = []
        for record in await self._journal.operations(OPERATIONS):
            ours = tuple(each for each in record.nodes if each.node in nodes)
            if ours and (not record.end or record.end >= since):
                found.append(replace(record, nodes=ours))
        return tuple(found)

    async def _prints(
        self, nodes: tuple[str, ...], operations: tuple[OperationRecord, ...]
    ) -> AsyncIterator[BundlePrint]:
        for record in operations:
            for each in record.nodes:
                offset, text = 0, ""
                while (page := await self._logs.read(record.number, each.node, offset))[1]:
                    offset, text = page[0], text + page[1]
                if text:
                    yield BundlePrint(record.number, each.node, text)


async def _log(feed: LogFeed, nodes: Iterable[str], since: float, hub: WatchHub) -> BundleLog:
    """The lines that are the nodes' or nobody's: those of other nodes are no business of who gets the bundle."""
    wanted = LineFilter(sources=frozenset((feed.name,)), nodes=frozenset((*nodes, "")), since=since, until=math.inf)
    lines: list[bytes] = []
    seen = 0
    while len(lines) < LINES:
        page = await hub.lines.after(seen, PAGE, wanted, Order.ARRIVAL)
        lines += [_original(line, journal=bool(feed.entry.journal)) for line in page]
        if len(page) < PAGE:
            break
        seen = page[-1].seq
    return BundleLog(feed.name, feed.entry.format, tuple(lines))


def _original(line: StoredLine, *, journal: bool) -> bytes:
    """A line as it was written; a journal keeps the time beside the line, so it is written before it."""
    if not journal:
        return line.raw
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(line.wall)) + f".{int(line.wall % 1 * 1e6):06d}+00:00"
    return f"{stamp} localhost ".encode() + line.raw
