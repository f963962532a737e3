"""Moments that are over, on the screen: gone to, stepped through, shown on every view; nothing acts meanwhile."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from plasmatui.client import EngineError
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, StageSpan
from plasmatui.model.event import EventLine
from plasmatui.model.node import NodeState, PowerState
from plasmatui.model.words import Power, Stage
from plasmatui.ui.actions import ACTIONS
from tests.ui.fake import NOW, FakeWorld


def past(world: FakeWorld, at: float, **more) -> wire.Past:
    """Every node was off then."""
    states = tuple(NodeState(node.name, PowerState(Power.OFF, at - 30, "ipmi")) for node in world.nodes)
    events = (EventLine(3, at - 5, "node02", "ipmi", "power", "power off [then]"),)
    return wire.Past(at, NOW - 9000, more.pop("silent", 0.0), 3, states, (), events, **more)


@pytest.fixture
def world() -> FakeWorld:
    made = FakeWorld()

    def tell(_, body: wire.AskPast) -> wire.Past:
        if body.at < NOW - 9000:
            raise EngineError(wire.Problem("no-past", "nothing is kept of that: what is kept begins at 19:43"))
        if body.step > 0 and body.at > NOW - 100:
            raise EngineError(wire.Problem("no-past", "there is no event after that"))
        return past(made, body.at + body.step * 7)

    made.answers[wire.AskPast] = tell
    made.answers[wire.ConsoleAt] = lambda _, body: wire.ConsoleChunk(0, b"firmware of then\r\n")
    return made


async def go(ui, text: str) -> None:
    await ui.press("colon")
    await ui.type(text)
    await ui.press("enter")


async def at(ui, clock: str) -> None:
    await ui.settle(lambda: f" AT {clock} " in ui.text())


async def test_every_view_shows_the_moment_and_what_was_known(cockpit, world) -> None:
    async with cockpit(world) as ui:
        await go(ui, "at -12m")
        await at(ui, "22:01:20")
        assert "12m ago" in ui.text()
        assert "12 off" in ui.text()
        assert ui.world.of(wire.AskPast) == [wire.AskPast(NOW - 720)]
        for key, part in (
            ("2", "firmware of then"), ("3", "logs"), ("4", "operations"), ("5", "No service had been looked at"),
            ("6", "power off [then]"), ("1", "12 off"),
        ):  # fmt: skip
            await ui.press(key)
            await ui.settle(lambda part=part: part in ui.text())
            assert " AT 22:01:20 " in ui.text()
        ui.world.change("node01", power=PowerState(Power.ON, NOW))
        await ui.pilot.pause(0.3)
        assert "12 off" in ui.text(), "the present does not show through"
        await go(ui, "now")
        await ui.settle(lambda: " AT " not in ui.text() and "6 off" in ui.text())
        assert not ui.toasts()


async def test_minutes_and_events_are_stepped_and_the_present_is_the_end(cockpit, world) -> None:
    async with cockpit(world) as ui:
        await ui.press(">")
        assert any("this is now" in toast for toast in ui.toasts())
        await ui.press("<", "<")
        await at(ui, "22:11:20")
        await ui.press("<")
        await at(ui, "22:10:20")
        await ui.press(">")
        await at(ui, "22:11:20")
        await ui.press("{")
        await at(ui, "22:11:13")
        await ui.press("}")
        await at(ui, "22:11:20")
        await ui.press(">", ">")
        await ui.settle(lambda: " AT " not in ui.text())
        await ui.press("<")
        await at(ui, "22:12:20")
        await ui.press("}")
        await ui.settle(lambda: " AT " not in ui.text())


async def test_presses_that_come_faster_than_answers_count_all(cockpit, world) -> None:
    async with cockpit(world) as ui:
        for _ in range(5):
            ui.main.action_minute(-1)
            await asyncio.sleep(0)
        await at(ui, "22:08:20")


async def test_nothing_acts_in_the_past(cockpit, world) -> None:
    async with cockpit(world) as ui:
        await go(ui, "at 22:00")
        await at(ui, "22:00:00")
        asked = len(ui.world.asked)
        for action in ACTIONS:
            if action.acts:
                assert "of the past; :now goes back" in ui.context.disabled(action)
        await ui.press("P", "B", "D")
        assert ui.app.screen is ui.main
        assert sum("of the past" in toast for toast in ui.toasts()) == 3
        await ui.press("ctrl+r")
        await ui.press("2", "i")
        await ui.settle(lambda: sum("of the past" in toast for toast in ui.toasts()) >= 4)
        await go(ui, "power on node01")
        assert "of the past" in ui.text()
        await ui.press("escape")
        allowed = (wire.AskPast, wire.AskTimelineAt, wire.ConsoleAt, wire.ConsoleClose, wire.ListEvents, wire.Here)
        assert {type(body) for body in ui.world.asked[asked:]} <= set(allowed)
        for body in (wire.StopEngine(), wire.Reload(), wire.ConsoleWrite("node01", b"x"), wire.ActivateImage("v")):
            with pytest.raises(EngineError, match="of the past"):
                await ui.context.link.ask(body)


async def test_boots_and_logs_are_asked_of_that_moment(cockpit, world) -> None:
    span = StageSpan(Stage.FIRMWARE, NOW - 800, None, "running")
    boot = BootTimeline("node01", 4, NOW - 800, None, "running", (span,))
    world.answers[wire.AskTimelineAt] = lambda _, body: wire.Timelines((boot,))
    world.log("then", "later")
    world.logs = [msgspec.structs.replace(line, wall=NOW - 900 + i * 600) for i, line in enumerate(world.logs)]
    async with cockpit(world) as ui:
        await go(ui, "at -10m")
        await at(ui, "22:03:20")
        await ui.press("enter", "right_square_bracket")
        await ui.settle(lambda: "boot 4" in ui.text())
        assert ui.world.of(wire.AskTimelineAt) == [wire.AskTimelineAt("node01", NOW - 600)]
        assert not ui.world.of(wire.AskTimeline)
        await ui.press("3")
        await ui.settle(lambda: ui.world.of(wire.ListLogs))
        assert {body.filter.until for body in ui.world.of(wire.ListLogs)} == {NOW - 600}
        assert ui.world.followed is None


async def test_what_cannot_be_told_is_said_and_the_screen_stays(cockpit, world) -> None:
    async with cockpit(world) as ui:
        await go(ui, "at -9d")
        await ui.settle(lambda: any("what is kept begins at" in toast for toast in ui.toasts()))
        assert " AT " not in ui.text()
        await go(ui, "at tomorrow")
        assert "is no time; write" in ui.text()
        await ui.press("escape")
        await go(ui, "at 2999-01-01")
        assert "lies ahead" in ui.text()
        await ui.press("escape")
        world.answers[wire.AskPast] = lambda _, body: past(world, body.at, silent=NOW - 5000)
        await go(ui, "at -1h")
        await ui.settle(lambda: "no engine ran; known until 20:50:00" in ui.text())


async def test_a_broken_connection_leaves_the_moment_where_it_is(cockpit, world) -> None:
    async with cockpit(world) as ui:
        await go(ui, "at -12m")
        await at(ui, "22:01:20")
        ui.world.lose()
        await ui.settle(lambda: "engine not connected" in ui.text())
        ui.world.down = False
        ui.context.link.retry()
        await at(ui, "22:01:20")
        assert "12 off" in ui.text()
        await go(ui, "now")
        await ui.settle(lambda: " AT " not in ui.text() and "6 off" in ui.text())


async def test_80_columns_have_room_for_it(cockpit, world) -> None:
    async with cockpit(world, size=(80, 24)) as ui:
        await go(ui, "at 2023-11-13 22:00")
        await ui.settle(lambda: any("nothing is kept" in toast for toast in ui.toasts()))
        await go(ui, "at -2h")
        await at(ui, "20:13:20")
        line = next(line for line in ui.text().splitlines() if " AT " in line)
        assert line.rstrip().endswith("< > a minute  :now")
