"""Collects what belongs into a bundle: lines of the nodes' time, consoles, timelines, events."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from plasmatui.engine.bundles import BundleConsole, BundleContent, BundleLog
from plasmatui.engine.consoles import ConsoleHub
from plasmatui.engine.feeds import LogFeed
from plasmatui.engine.store import Store
from plasmatui.engine.watch import WatchHub
from plasmatui.journal.journal import Journal
from plasmatui.watch.linefilter import LineFilter
from plasmatui.watch.lines import Order, StoredLine

DAY = 86400.0
"""Seconds that a bundle reaches back when nobody said since when."""

LINES = 200_000
CONSOLE_BYTES = 8 * 1024 * 1024
EVENTS = 5000
BOOTS = 20
PAGE = 5000


async def collect(
    nodes: tuple[str, ...], since: float, hub: WatchHub, consoles: ConsoleHub, store: Store, journal: Journal
) -> BundleContent:
    """What is known of `nodes` since a time (Unix seconds, 0: a day ago)."""
    since = since or time.time() - DAY
    logs = [await _log(feed, nodes, since, hub) for feed in hub.logs.feeds]
    found = []
    for node in nodes:
        data, stamps = await consoles.since(node, since, CONSOLE_BYTES)
        if data:
            found.append(BundleConsole(node, data, stamps))
    timelines = [boot for node in nodes for boot in await hub.boots.timelines(node, BOOTS)]
    events = [line for node in nodes for line in await journal.events(node, 0, EVENTS) if line.wall >= since]
    return BundleContent(
        tuple(store.nodes[node] for node in nodes),
        tuple(log for log in logs if log.lines),
        tuple(found),
        tuple(timelines),
        tuple(events),
    )


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
