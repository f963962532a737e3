"""Fixtures of the screen's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from plasmatui.ui.screens.main import MainScreen
from tests.ui.fake import FakeWorld, make_app


class Cockpit:
    """The app under Pilot, with what tests look at."""

    def __init__(self, pilot: Pilot[int], world: FakeWorld) -> None:
        self.pilot = pilot
        self.world = world
        self.app: Any = pilot.app
        self.context = self.app.context

    @property
    def main(self) -> MainScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, MainScreen))

    @property
    def dialog(self) -> Any:
        """The screen on top."""
        return self.app.screen

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        await self.pilot.press(*("space" if c == " " else c for c in text))
        await self.settle()

    async def settle(self, until: Callable[[], Any] | None = None, limit: float = 15.0) -> None:
        """Let the screen come to rest, or wait until something is so."""
        await self.pilot.pause()
        waited = 0.0
        while until is not None and not until():
            assert waited < limit, f"not so within {limit} s"
            await self.pilot.pause(0.02)
            waited += 0.02
        await self.pilot.pause()

    def text(self) -> str:
        """All that is on the screen."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    def toasts(self) -> list[str]:
        return [notification.message for notification in self.app._notifications]


@pytest.fixture
def cockpit() -> Callable[..., AbstractAsyncContextManager[Cockpit]]:
    @asynccontextmanager
    async def start(
        world: FakeWorld | None = None, size: tuple[int, int] = (120, 40), **options: Any
    ) -> AsyncIterator[Cockpit]:
        world = world or FakeWorld()
        app = make_app(world, **options)
        async with app.run_test(size=size, notifications=True) as pilot:
            cockpit = Cockpit(pilot, world)
            await cockpit.settle(
                lambda: (
                    cockpit.main.opened
                    and (world.down or (app.context.store.link.online and cockpit.main.query_one("#grid").order))
                )
            )
            await cockpit.settle(lambda: world.down or "link ok" in cockpit.text())
            yield cockpit

    return start
