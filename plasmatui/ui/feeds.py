"""Console bytes for widgets: one subscription per node, however many widgets read it, without loss or doubling.

An offset names a byte of a node's recording for ever. A feed knows the offset that it has delivered up to; what lies
before it is dropped, and what is missing is fetched from the recording before anything after it is delivered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.ui.link import Link

HISTORY = 65536
"""Bytes of the past that are fetched when a console is opened."""

GAP_LIMIT = 1 << 20
"""A longer gap is not filled: its older part is skipped."""

CHUNK = 65536


class Sink(Protocol):
    """Reads a console."""

    def console_bytes(self, data: bytes) -> None: ...

    def console_error(self, message: str) -> None: ...

    def console_reset(self) -> None:
        """Forget what was read: it is read anew."""


class _Feed:
    def __init__(self, node: str) -> None:
        self.node = node
        self.sinks: list[Sink] = []
        self.tail = bytearray()
        self.end: int | None = None
        self.queue: deque[wire.ConsoleData] = deque()
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def deliver(self, data: bytes) -> None:
        self.tail += data
        del self.tail[:-HISTORY]
        for sink in tuple(self.sinks):
            sink.console_bytes(data)


class ConsoleHub:
    """All consoles that this screen reads."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._feeds: dict[str, _Feed] = {}
        self._closing: set[asyncio.Task[None]] = set()
        link.on_console = self.take

    @property
    def open_nodes(self) -> frozenset[str]:
        """Nodes whose consoles are pushed to us now."""
        return frozenset(self._feeds)

    def subscribe(self, node: str, sink: Sink) -> None:
        """Give `sink` the recent past of the console, then everything that comes."""
        feed = self._feeds.get(node)
        if feed is None:
            feed = self._feeds[node] = _Feed(node)
            feed.task = asyncio.create_task(self._pump(feed), name=f"console {node}")
        elif feed.tail:
            sink.console_bytes(bytes(feed.tail))
        feed.sinks.append(sink)

    def unsubscribe(self, node: str, sink: Sink) -> None:
        """Nothing more for `sink`; the last one that leaves closes the console."""
        feed = self._feeds.get(node)
        if feed is None or sink not in feed.sinks:
            return
        feed.sinks.remove(sink)
        if not feed.sinks:
            del self._feeds[node]
            if feed.task is not None:
                feed.task.cancel()
            closing = asyncio.create_task(self._close(node), name=f"close console {node}")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def take(self, data: wire.ConsoleData) -> None:
        """A push from the engine."""
        feed = self._feeds.get(data.node)
        if feed is not None and self._link.store.past is None:
            feed.queue.append(data)
            feed.wake.set()

    def rewind(self) -> None:
        """Another moment is shown: read every console anew, up to then."""
        for feed in self._feeds.values():
            if feed.task is not None:
                feed.task.cancel()
            feed.queue.clear()
            feed.tail.clear()
            feed.end = None
            for sink in tuple(feed.sinks):
                sink.console_reset()
            feed.task = asyncio.create_task(self._pump(feed), name=f"console {feed.node}")

    def resume(self) -> None:
        """The connection is new: open every console again, from where it was."""
        for feed in self._feeds.values():
            if feed.task is not None:
                feed.task.cancel()
            feed.queue.clear()
            feed.task = asyncio.create_task(self._pump(feed), name=f"console {feed.node}")

    async def stop(self) -> None:
        """Cancel everything; the connection's end closes the consoles."""
        tasks = [feed.task for feed in self._feeds.values() if feed.task is not None] + list(self._closing)
        self._feeds.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, node: str) -> None:
        try:
            if self._link.online and node not in self._feeds:
                await self._link.ask(wire.ConsoleClose(node))
        except (EngineError, EngineUnreachableError):
            return  # gone already, which is what was wanted

    async def _pump(self, feed: _Feed) -> None:
        try:
            await self._open(feed)
            while True:
                while feed.queue:
                    await self._step(feed, feed.queue.popleft())
                feed.wake.clear()
                await feed.wake.wait()
        except EngineUnreachableError:
            return  # `resume` begins again
        except EngineError as error:
            for sink in tuple(feed.sinks):
                sink.console_error(error.problem.message)

    async def _open(self, feed: _Feed) -> None:
        past = self._link.store.past
        if past is not None:
            chunk = await self._link.ask(wire.ConsoleAt(feed.node, past.at, HISTORY))
            assert isinstance(chunk, wire.ConsoleChunk)
            feed.deliver(chunk.data)
            return
        history = HISTORY if feed.end is None else 0
        reply = await self._link.ask(wire.ConsoleOpen(feed.node, history))
        assert isinstance(reply, wire.ConsoleOpened)
        if feed.end is None or reply.state.end < feed.end:  # a recording that was begun anew
            feed.end = reply.offset
        await self._step(feed, wire.ConsoleData(feed.node, reply.offset, reply.data))

    async def _step(self, feed: _Feed, data: wire.ConsoleData) -> None:
        assert feed.end is not None
        if data.offset > feed.end:
            await self._fill(feed, data.offset)
        fresh = data.data[max(0, feed.end - data.offset) :]
        if fresh:
            feed.end = max(feed.end, data.offset) + len(fresh)
            feed.deliver(fresh)

    async def _fill(self, feed: _Feed, until: int) -> None:
        """Fetch what lies between the last byte delivered and `until`."""
        assert feed.end is not None
        feed.end = max(feed.end, until - GAP_LIMIT)
        while feed.end < until:
            body = wire.ConsoleHistory(feed.node, feed.end, min(CHUNK, until - feed.end))
            chunk = await self._link.ask(body)
            assert isinstance(chunk, wire.ConsoleChunk)
            if not chunk.data or chunk.offset >= until:
                feed.end = until
                return
            feed.end = chunk.offset + len(chunk.data)
            feed.deliver(chunk.data)
