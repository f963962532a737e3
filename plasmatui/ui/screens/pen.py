"""Writing to a console: taking the pen, the prefix, pastes. One tile at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.ui.actions import BY_ID
from plasmatui.ui.dialogs.base import ConfirmDialog
from plasmatui.ui.keymap import typed
from plasmatui.ui.lines import Part
from plasmatui.ui.widgets.console import ConsoleView

if TYPE_CHECKING:
    from plasmatui.ui.screens.consoles import ConsolesView
    from plasmatui.ui.screens.tile import Tile

PREFIX = "ctrl+e"
PREFIX_BYTE = b"\x05"
HELP = ". leave   b break   o reopen   e literal ctrl+e   / search   l save raw   ? this list"


class Pen:
    """The pen of this screen; `armed` after the prefix, until the next key."""

    def __init__(self, view: ConsolesView) -> None:
        self._view = view
        self._tile: Tile | None = None
        self._queue: asyncio.Queue[bytes] | None = None
        self.armed = False

    def parts(self) -> list[Part]:
        """What the crumb line says."""
        parts: list[Part] = []
        if self._tile is not None:
            parts += [
                (f"  WRITE {self._tile.node} ", "reverse role-write"),
                (" every key goes to the node; ", "role-write"),
            ]
            parts.append((f"{PREFIX} . leaves", "bold role-write"))
        if self.armed:
            parts.append((f"  {PREFIX}: {HELP}", "role-busy"))
        return parts

    def take(self) -> None:
        """Ask the engine for the pen of the tile in focus."""
        context = self._view.context
        tile = self._view.tile
        if tile.node is None:
            return
        if context.read_only:
            self._view.main.tell("read-only: this screen may not write to consoles", "warning")
            return
        if reason := context.disabled(BY_ID["consoles.write"]):
            self._view.main.tell(reason, "warning")
            return
        self._view.main.spawn(self._ask(tile, tile.node), f"pen {tile.node}")

    async def _ask(self, tile: Tile, node: str, *, steal: bool = False) -> None:
        try:
            await self._view.context.link.ask(wire.ConsolePen(node, take=True, steal=steal))
        except EngineError as error:
            if error.problem.id != "pen-held" or steal:
                raise
            self._offer(tile, node, error.problem.message)
            return
        if tile.node == node and self._view.tile is tile and self._view.is_in_sight:
            self._begin(tile)
        else:
            await self._view.context.link.ask(wire.ConsolePen(node, take=False))

    def _offer(self, tile: Tile, node: str, message: str) -> None:
        def answered(yes: bool | None) -> None:
            if yes and tile.node == node:
                self._view.main.spawn(self._ask(tile, node, steal=True), f"pen {node}")

        lines = (message, "", "Taking it over ends the other's writing; both still read.")
        self._view.app.push_screen(ConfirmDialog(f"Take the pen of {node}", lines), answered)

    def _begin(self, tile: Tile) -> None:
        self._tile = tile
        self._queue = asyncio.Queue()
        tile.console.writing = True
        tile.retitle()
        tile.console.focus()
        assert tile.node is not None
        self._view.main.spawn(self._send(tile.node, self._queue), f"write {tile.node}")
        self._view.main.refresh_bars()

    def leave(self) -> None:
        """Give the pen back."""
        tile, self._tile = self._tile, None
        self.armed = False
        if tile is None:
            return
        if self._queue is not None:
            self._queue.put_nowait(b"")
            self._queue = None
        tile.console.writing = False
        tile.retitle()
        self._view.main.refresh_bars()

    def check(self) -> None:
        """Stop writing when the engine says that the pen is not ours any more."""
        tile, context = self._tile, self._view.context
        if tile is None or tile.node is None:
            return
        pen = context.store.state(tile.node).console.pen
        welcome = context.store.welcome
        if pen is not None and welcome is not None and pen.client != welcome.client:
            self._view.main.tell(f"{pen.user} on {pen.terminal} took the pen of {tile.node}", "warning")
            self.leave()

    async def _send(self, node: str, queue: asyncio.Queue[bytes]) -> None:
        """Send what is typed, in order; keys typed meanwhile go together. Ends, and gives the pen back, on b""."""
        link = self._view.context.link
        try:
            while data := await queue.get():
                end = False
                while not queue.empty() and not end:
                    more = queue.get_nowait()
                    data, end = data + more, not more
                await link.ask(wire.ConsoleWrite(node, data))
                if end:
                    break
            await link.ask(wire.ConsolePen(node, take=False))
        except (EngineError, EngineUnreachableError):
            if self._queue is queue:
                self.leave()
            raise

    # Keys

    def key(self, event: ConsoleView.ConsoleInput) -> None:
        """A key while writing."""
        if self._tile is None or event.console is not self._tile.console:
            return
        if self.armed:
            self.command(event.key, event.data.decode("ascii", "ignore") or None)
        elif event.key == PREFIX:
            self.arm()
        elif event.data and self._queue is not None:
            self._queue.put_nowait(event.data)

    def arm(self) -> None:
        """The prefix was pressed."""
        self.armed = True
        self._view.main.refresh_bars()

    def command(self, key: str, character: str | None) -> None:
        """The key after the prefix."""
        self.armed = False
        word = typed(key, character)
        node = self._view.tile.node
        if word == ".":
            self.leave()
        elif word in ("e", PREFIX) and self._queue is not None:
            self._queue.put_nowait(PREFIX_BYTE)
        elif word == "b" and node is not None and self._tile is not None:
            self._view.main.spawn(self._break(node), f"break {node}")
        elif word == "o" and not self._view.context.disabled(BY_ID["consoles.reopen"]):
            self._view.action_reopen()
        elif word == "/":
            self.leave()
            self._view.action_search()
        elif word == "l":
            self._view.action_save()
        elif word == "?":
            self._view.main.tell(f"{PREFIX}: {HELP}")
        self._view.main.refresh_bars()

    async def _break(self, node: str) -> None:
        await self._view.context.link.ask(wire.ConsoleBreak(node))
        self._view.main.tell(f"{node}: a break was sent")

    def paste(self, text: str) -> None:
        """Text pasted while writing; several lines are asked about first."""
        queue = self._queue
        if queue is None or self._tile is None or not text:
            return
        data = text.replace("\r\n", "\r").replace("\n", "\r").encode()
        lines = text.count("\n") + 1
        if lines == 1:
            queue.put_nowait(data)
            return

        def answered(yes: bool | None) -> None:
            if yes and self._queue is queue:
                queue.put_nowait(data)

        question = (
            f"{lines} lines, {len(data)} bytes. A shell runs every line of it at once.",
            "",
            *text.splitlines()[:8],
        )
        self._view.app.push_screen(ConfirmDialog(f"Paste into {self._tile.node}", question, level=1), answered)
