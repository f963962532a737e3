"""Boot watch: the logs of all sources and the consoles of all nodes, and what they say of each boot. It assembles."""

from __future__ import annotations

import asyncio
import contextlib

from plasmatui.engine.boots import BootWatch
from plasmatui.engine.consolefeeds import CONSOLE, ConsoleFeeds, Recordings
from plasmatui.engine.feeds import LogFeeds
from plasmatui.engine.followers import Followers
from plasmatui.engine.store import Store
from plasmatui.inventory.inventory import Inventory
from plasmatui.journal.boots import BootJournal
from plasmatui.model.boot import Evidence
from plasmatui.watch.lines import LineStore

KEEP = 0.5
"""Seconds between two times that the journal is given signals and positions: what a crash makes us read again."""


class WatchHub:
    """What is heard of the boots of an inventory's nodes.

    Attributes:
        inventory: the one in use.
        lines: what the sources said, as much as fits.
        boots: what it means.
        followers: clients that read along.
    """

    def __init__(self, inventory: Inventory, store: Store, journal: BootJournal) -> None:
        self.inventory = inventory
        self.lines = LineStore()
        self.boots = BootWatch(inventory.nodes.values(), store, journal, self._own)
        self.followers = Followers(self.lines, self.kind_of)
        self.logs = LogFeeds(self.lines, self.boots, self.followers.told)
        self._consoles = ConsoleFeeds(self.lines, self.boots, self.followers.told)
        self._store = store
        self._journal = journal
        self._task: asyncio.Task[None] | None = None
        self.on_console = self._consoles.on_data
        store.on_event = self.boots.on_event
        store.on_operation = self.boots.on_operation

    async def start(self) -> None:
        """Go on where a former engine was, and begin to listen."""
        recalled = await self._journal.recall()
        await self.boots.start(recalled)
        await self.logs.replace(self.inventory, dict(recalled.positions))
        self._task = asyncio.create_task(self._keep(), name="boot watch journal")

    def recall_consoles(self, recordings: Recordings) -> None:
        """Show again what the consoles said before; the recordings are known by now, and nothing is recorded yet."""
        self._consoles.recall(self.inventory.bmcs, recordings)

    async def replace(self, inventory: Inventory) -> None:
        """Use another inventory from now on."""
        self.inventory = inventory
        self._write()
        await self.boots.replace(inventory.nodes.values())
        recalled = await self._journal.recall()
        self._store.forget_sources(await self.logs.replace(inventory, dict(recalled.positions)))

    async def close(self) -> None:
        """Stop listening and write down how far it came."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.followers.close()
        await self._consoles.close()
        await self.logs.close()
        await self.boots.close(self.logs.positions())

    def kind_of(self, source: str) -> str:
        """The kind of a source: "dhcp" "tftp" "http" "console"."""
        if source.startswith(CONSOLE):
            return "console"
        return next((feed.entry.kind for feed in self.logs.feeds if feed.name == source), "")

    def _own(self, line: Evidence, node: str) -> None:
        self.lines.own(line.file, line.line, node)

    def _write(self) -> None:
        self.boots.keep(self.logs.positions())

    async def _keep(self) -> None:
        while True:
            if await self._journal.written(KEEP):
                self._write()
            for feed in self.logs.feeds:
                self._store.source(feed.state)
            await self.boots.room.full(KEEP)
