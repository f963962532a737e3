"""Screens that wait for the terminal."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.messages import TerminalSupportsSynchronizedOutput
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from plasmatui.ui.pacing import PacedApp, PacedScreen, Pacer


class Counter(Widget):
    drawn = 0

    def render_line(self, y: int) -> Strip:
        self.drawn += y == 0
        return Strip.blank(self.size.width)


class Dialog(PacedScreen[bool], ModalScreen[bool]):
    def compose(self) -> ComposeResult:
        yield Counter()


class Shown(PacedApp[None]):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._pacer = Pacer(lambda: self.now)

    def compose(self) -> ComposeResult:
        yield Counter()


async def until_drawn(pilot: Pilot[None], counter: Counter) -> None:
    for _ in range(200):
        if counter.drawn:
            return
        await pilot.pause(0.01)


async def test_a_frame_waits_for_the_answer_and_changes_merge() -> None:
    app = Shown()
    async with app.run_test() as pilot:
        counter = app.query_one(Counter)
        app.pacer.answered()
        app.pacer.sent()
        await pilot.pause()
        counter.drawn = 0
        for _ in range(3):
            counter.refresh()
            await pilot.pause(0.03)
        assert counter.drawn == 0
        app.post_message(TerminalSupportsSynchronizedOutput())
        await until_drawn(pilot, counter)
        assert counter.drawn == 1


async def test_a_frame_does_not_wait_for_ever() -> None:
    app = Shown()
    async with app.run_test() as pilot:
        counter = app.query_one(Counter)
        app.pacer.answered()
        app.pacer.sent()
        app.now = 0.9
        await pilot.pause()
        counter.drawn = 0
        counter.refresh()
        await pilot.pause(0.03)
        assert counter.drawn == 0
        app.now = 1.1
        await until_drawn(pilot, counter)
        assert counter.drawn == 1


async def test_dialogs_wait_as_well() -> None:
    app = Shown()
    async with app.run_test() as pilot:
        await app.push_screen(Dialog())
        counter = app.screen.query_one(Counter)
        app.pacer.answered()
        app.pacer.sent()
        await pilot.pause()
        counter.drawn = 0
        counter.refresh()
        await pilot.pause(0.03)
        assert counter.drawn == 0
        app.post_message(TerminalSupportsSynchronizedOutput())
        await until_drawn(pilot, counter)
        assert counter.drawn == 1
