"""Asks the engine about the PXE side, while the Boot view is in sight and not otherwise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.ui.pxeside import EVERY, Look

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen


class PxeFeed:
    """One question of each kind at a time. What cannot be answered is told where the answer would stand."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._asking: dict[type[Look], asyncio.Task[None]] = {}
        self._reading: asyncio.Task[None] | None = None

    def look(self, *, fresh: bool = False) -> None:
        """Ask what is due; with `fresh` everything, now."""
        context = self._main.context
        if not context.store.link.online or context.store.past is not None:
            return
        for kind in EVERY if fresh else context.store.pxe.due(context.clock()):
            task = self._asking.get(kind)
            if task is None or task.done():
                context.store.pxe.asked[kind] = context.clock()
                self._asking[kind] = self._main.spawn(self._ask(kind(fresh)), f"ask {kind.__name__}")

    async def _ask(self, body: Look) -> None:
        context = self._main.context
        try:
            reply = await context.link.ask(body)
        except EngineError as error:
            context.store.fail_pxe(type(body), error.problem.message)
        except EngineUnreachableError:
            context.store.pxe.asked.pop(type(body), None)  # asked again when it is there
        else:
            assert isinstance(reply, wire.PxeServices | wire.Images | wire.Drift)
            context.store.take_pxe(reply)

    @property
    def reads(self) -> bool:
        """Whether a version is being read."""
        return self._reading is not None and not self._reading.done()

    def verify(self, version: str) -> None:
        """Have a version read, and tell what that showed."""
        if not self.reads:
            self._reading = self._main.spawn(self._verify(version), f"verify {version}")

    def leave(self) -> bool:
        """Read no further; False when nothing is read."""
        if self._reading is None or self._reading.done():
            return False
        self._reading.cancel()
        return True

    async def _verify(self, version: str) -> None:
        main, store = self._main, self._main.context.store
        store.read_image(version, 0)
        try:
            async for answer in main.context.link.stream(wire.VerifyImage(version)):
                if isinstance(answer, wire.ImageProgress):
                    store.read_image(version, answer.bytes)
                    continue
                store.take_pxe(answer)
                wrong = [check.message for check in answer.checks if check.ok is False]
                told = f"{version}: {'; '.join(wrong)}" if wrong else f"{version} can be booted"
                main.tell(told, "error" if wrong else "")
        finally:
            store.read_image(version, None)
        self.look(fresh=True)

    def switch(self, body: wire.ActivateImage | wire.RollBackImage) -> None:
        """Change which version machines boot, and tell what became of it."""
        self._main.spawn(self._switch(body), "switch image")

    async def _switch(self, body: wire.ActivateImage | wire.RollBackImage) -> None:
        reply = await self._main.context.link.ask(body)
        assert isinstance(reply, wire.ImageSwitched)
        self._main.tell(f"{reply.profile}: {reply.before or 'nothing'} -> {reply.after}")
        for warning in reply.warnings:
            self._main.tell(warning, "warning")
        self.look(fresh=True)
