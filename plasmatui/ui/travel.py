"""Takes the screen to a moment that is over, and back. The newest wish counts; one question is asked at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen

MINUTE = 60.0


class Travel:
    """See the module."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._wish: wire.AskPast | None = None
        self._task: asyncio.Task[None] | None = None
        self._aim = 0.0  # where it is on the way to, 0 when it has arrived or that is not known yet

    def to(self, at: float, step: int = 0) -> None:
        """Show a moment, or with `step` that of the event before (-1) or after (1) it. What is not over yet is now."""
        self._wish = wire.AskPast(at, step)
        self._aim = 0.0 if step else at
        if self._task is None or self._task.done():
            self._task = self._main.spawn(self._go(), "travel")

    def by(self, seconds: float) -> None:
        """Go on from the moment that is shown, or on the way."""
        store = self._main.context.store
        if seconds > 0 and not store.at and not self._aim:
            self._main.tell("this is now; nothing is known of what comes")
            return
        self.to((self._aim or store.at or store.clock()) + seconds)

    def event(self, step: int) -> None:
        """To the moment of the event before or after the one that is shown."""
        store = self._main.context.store
        if step > 0 and not store.at:
            self._main.tell("this is now; nothing is known of what comes")
            return
        self.to(store.at or store.clock(), step)

    def now(self) -> None:
        """Back to the present."""
        self._wish, self._aim = None, 0.0
        if self._main.context.store.at:
            self._main.spawn(self._back(), "present")

    async def _go(self) -> None:
        store = self._main.context.store
        while (wish := self._wish) is not None:
            self._wish = None
            if not wish.step and wish.at >= store.clock():
                self._aim = 0.0
                await self._back()
                continue
            try:
                past = await self._main.context.link.ask(wish)
            except EngineError as error:
                self._aim = 0.0
                if wish.step > 0 and error.problem.id == "no-past":
                    await self._back()
                    continue
                raise
            assert isinstance(past, wire.Past)
            if self._wish is None:
                self._aim = 0.0
                self._show(past)

    def _show(self, past: wire.Past) -> None:
        context = self._main.context
        if context.frozen:
            self._main.action_freeze()
        context.store.travel(past)
        context.hub.rewind()
        self._main.refresh_bars()

    async def _back(self) -> None:
        """All that is known now is asked for: what changed meanwhile was not listened to."""
        context = self._main.context
        if not context.store.at:
            return
        try:
            reply = await context.link.ask(wire.Watch())
        except EngineUnreachableError:
            context.store.arrive()  # what was known last stays, and counts as stale
        else:
            assert isinstance(reply, wire.Snapshot)
            context.store.arrive()
            context.store.load(reply)
        context.hub.rewind()
        self._main.refresh_bars()
