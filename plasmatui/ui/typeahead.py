"""Keys in the order and the place in which they were typed, also when many arrive at once.

A key travels through the queues of the widget in focus and of its ancestors before it acts. Without waiting for that,
the keys behind it go to where the focus was: of `/Poy` typed ahead on a slow link, `P` would open the power dialog
instead of reaching the filter that `/` opens.
"""

from __future__ import annotations

import asyncio
import contextlib

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.screen import Screen

LIMIT = 0.25
"""Seconds that a key waits for the one before; more would freeze the screen for something that hangs."""


class TypeAheadApp(App[int]):
    """An app that gives away a key when the one before has been handled."""

    _key_went_to: DOMNode | None = None

    async def on_event(self, event: events.Event) -> None:
        typed = isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded
        if typed:
            before, self._key_went_to = self._key_went_to, None
            if before is not None:
                await _handled(before)
            self._key_went_to = self.focused or self.screen
        await super().on_event(event)


async def _handled(target: DOMNode) -> None:
    """Wait until `target` and its ancestors have taken from their queues what is in them now."""
    done = asyncio.Event()

    def climb(node: DOMNode) -> None:
        parent = node.parent
        if isinstance(node, Screen) or not isinstance(parent, DOMNode) or not parent.call_later(climb, parent):
            done.set()

    if target.is_running and target.call_later(climb, target):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LIMIT):
                await done.wait()
