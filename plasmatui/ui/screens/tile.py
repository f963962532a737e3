"""One tile of the Consoles view: a console widget and the node whose bytes it shows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from textual.content import Content

from plasmatui.model import wire
from plasmatui.paths import UnsafeDirectoryError, make_private, state_root
from plasmatui.text import clean_line
from plasmatui.ui.context import context_of
from plasmatui.ui.facts import console_notice, console_text
from plasmatui.ui.widgets.console import ConsoleView

FROZEN_LIMIT = 256 * 1024
"""Bytes that a frozen tile keeps for later; older ones stay in the recording alone."""


class Tile:
    """Binds a `ConsoleView` to a node's feed. `here`: keys go to this one of several tiles."""

    def __init__(self) -> None:
        self.console = ConsoleView()
        self.node: str | None = None
        self.pattern = ""
        self.here = False
        self._held = bytearray()
        self._failed = ""
        self._standing = ""

    def use(self, node: str | None) -> None:
        """Show this node's console, or none; the one before is closed."""
        if node == self.node:
            return
        hub = context_of(self.console).hub
        if self.node is not None:
            hub.unsubscribe(self.node, self)
        self.node = node
        self._failed = ""
        self._held.clear()
        self.console.clear()
        self.search("")
        self.retitle()
        if node is not None:
            hub.subscribe(node, self)

    def search(self, pattern: str) -> int:
        """Look for a pattern; "" ends the search. Returns the number of hits."""
        self.pattern = pattern
        return self.console.search(pattern)

    def retitle(self) -> None:
        """Say in the border whose console it is, who writes, and how it stands."""
        console = self.console
        if self.node is None:
            console.node = ""
            return
        context = context_of(console)
        console.node = f"{context.glyphs['closed']} {self.node}" if self.here else self.node
        state = context.store.state(self.node)
        pen = state.console.pen
        welcome = context.store.welcome
        mine = pen is not None and welcome is not None and pen.client == welcome.client
        if console.writing:
            console.status = "WRITE - ctrl+e . leaves"
        elif pen is not None and not mine:
            console.status = f"view, pen: {pen.user} on {pen.terminal}"
        else:
            console.status = "view"
        console.explain(([self._failed], True) if self._failed else console_notice(context, self.node))
        standing = clean_line(f"power {state.power.value}  {console_text(state)}", 160)
        if standing != self._standing:  # Textual draws the border with each assignment
            self._standing = standing
            console.border_subtitle = Content(standing)

    def console_bytes(self, data: bytes) -> None:
        """From the hub."""
        if context_of(self.console).frozen and not self.console.writing:
            self._held += data
            del self._held[:-FROZEN_LIMIT]
        else:
            self.console.feed(data)

    def console_reset(self) -> None:
        """From the hub."""
        self._failed = ""
        self._held.clear()
        self.console.clear()

    def console_error(self, message: str) -> None:
        """From the hub."""
        self._failed = message
        self.retitle()

    def thaw(self) -> None:
        """Show what came while frozen."""
        self.console.feed(bytes(self._held))
        self._held.clear()

    async def save(self, tell: Callable[[str, str], None]) -> None:
        """Write the recording, byte for byte, to a file of the user's own and say where."""
        node = self.node
        if node is None:
            return
        context = context_of(self.console)
        console = context.store.state(node).console
        try:
            directory = make_private(state_root() / "saved")
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(context.clock()))
            safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in node)[:80]
            path = directory / f"{safe}-{stamp}.console"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            offset = console.start
            with os.fdopen(descriptor, "wb") as file:
                while True:
                    chunk = await context.link.ask(wire.ConsoleHistory(node, offset, 1 << 18))
                    if not isinstance(chunk, wire.ConsoleChunk) or not chunk.data:
                        break
                    file.write(chunk.data)
                    offset = chunk.offset + len(chunk.data)
        except (OSError, UnsafeDirectoryError) as error:
            tell(f"{node}: not saved: {error}", "error")
            return
        tell(f"{node}: {offset - console.start} bytes saved to {path}", "information")
