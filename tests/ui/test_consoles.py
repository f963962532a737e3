"""The Consoles view: tiles, subscriptions, the pen."""

from __future__ import annotations

import pytest
from textual import events

from plasmatui.model import wire
from plasmatui.model.node import ConsoleState, PenHolder
from plasmatui.model.operation import PowerOrder
from plasmatui.model.words import ConsoleStatus, PowerAction
from plasmatui.ui.dialogs.base import ConfirmDialog
from tests.ui.fake import NOW, FakeWorld


async def test_only_tiles_in_sight_are_open(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("2")
        await ui.settle(lambda: ui.world.engine.open == {"node01", "node02", "node03", "node04"})
        await ui.press("right_square_bracket")
        await ui.settle(lambda: ui.world.engine.open == {"node05", "node06", "node07", "node08"})
        await ui.press("enter")
        await ui.settle(lambda: ui.world.engine.open == {"node05"})
        await ui.press("escape")
        await ui.settle(lambda: len(ui.world.engine.open) == 4)
        await ui.press("1")
        await ui.settle(lambda: ui.world.engine.open == {"node01"})  # the pane of Nodes


@pytest.mark.parametrize(("presses", "size"), [(1, 6), (2, 9), (3, 1), (4, 2), (5, 4)])
async def test_layouts(cockpit, presses: int, size: int) -> None:
    async with cockpit() as ui:
        await ui.press("2", *["t"] * presses)
        await ui.settle(lambda: len(ui.world.engine.open) == size)
        assert f"layout {size}" in ui.text()
        assert sum(tile.console.display for tile in ui.main.view.tiles) == size


async def test_marked_nodes_are_tiled_and_history_is_shown(cockpit) -> None:
    world = FakeWorld()
    world.recording = {"node02": b"node two booted\r\n", "node04": b"node four booted\r\n"}
    async with cockpit(world) as ui:
        ui.main.view.mark(("node02", "node04"))
        await ui.settle()
        await ui.press("c")
        await ui.settle(lambda: "node two booted" in ui.text() and "node four booted" in ui.text())
        assert world.engine.open == {"node02", "node04"}
        world.say("node04", b"login: ")
        await ui.settle(lambda: "login:" in ui.text())


async def test_the_pen_and_the_prefix(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("c")
        await ui.press("x", "y")
        await ui.press("escape")
        assert not ui.world.of(wire.ConsoleWrite), "view-only until the pen is taken"
        await ui.press("c", "i")
        await ui.settle(lambda: ui.main.view.tile.console.writing)
        assert "WRITE" in ui.text()
        await ui.press("q", "1", "P", "ctrl+c", "enter", "ctrl+q", "escape")
        await ui.press("ctrl+e", "e")
        await ui.press("ctrl+e", "b")
        await ui.settle(lambda: ui.world.of(wire.ConsoleBreak))
        await ui.press("ctrl+e", "full_stop")
        await ui.settle(lambda: not ui.main.view.tile.console.writing)
        await ui.settle(lambda: ui.world.of(wire.ConsolePen)[-1:] == [wire.ConsolePen("node01", take=False)])
        sent = b"".join(body.data for body in ui.world.of(wire.ConsoleWrite))
        assert sent == b"q1P\x03\r\x11\x1b\x05"
        assert ui.main.view_name == "consoles"
        assert "WRITE" not in ui.text()


def held(world: FakeWorld, name: str) -> None:
    import msgspec

    console = msgspec.structs.replace(world.states[name].console, pen=PenHolder(9, "bert[/]", "pts/4", NOW))
    world.states[name] = msgspec.structs.replace(world.states[name], console=console)


async def test_a_pen_that_is_held_is_asked_for(cockpit) -> None:
    world = FakeWorld()
    held(world, "node01")
    async with cockpit(world) as ui:
        await ui.press("c")
        assert "pen: bert[/] on pts/4" in ui.text()
        await ui.press("i")
        await ui.settle(lambda: isinstance(ui.dialog, ConfirmDialog))
        assert "bert[/] on pts/4 writes to node01" in ui.text()
        await ui.press("enter")
        assert not ui.main.view.tile.console.writing
        await ui.press("i")
        await ui.settle(lambda: isinstance(ui.dialog, ConfirmDialog))
        await ui.press("y")
        await ui.settle(lambda: ui.main.view.tile.console.writing)
        assert ui.world.of(wire.ConsolePen)[-1] == wire.ConsolePen("node01", take=True, steal=True)


async def test_losing_the_pen_ends_writing(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("c", "i")
        await ui.settle(lambda: ui.main.view.tile.console.writing)
        held(ui.world, "node01")
        ui.world.push(ui.world.states["node01"])
        await ui.settle(lambda: not ui.main.view.tile.console.writing)
        assert any("took the pen of node01" in toast for toast in ui.toasts())


async def test_leaving_the_view_gives_the_pen_back(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("c", "i")
        await ui.settle(lambda: ui.main.view.tile.console.writing)
        await ui.main.show_view("nodes")
        await ui.settle(lambda: ui.world.of(wire.ConsolePen)[-1] == wire.ConsolePen("node01", take=False))


async def test_a_paste_of_several_lines_is_asked_about(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("c", "i")
        await ui.settle(lambda: ui.main.view.tile.console.writing)
        console = ui.main.view.tile.console
        console.post_message(events.Paste("one line"))
        await ui.settle(lambda: ui.world.of(wire.ConsoleWrite))
        console.post_message(events.Paste("rm -rf /\nyes\n"))
        await ui.settle(lambda: isinstance(ui.dialog, ConfirmDialog))
        await ui.press("enter")
        assert len(ui.world.of(wire.ConsoleWrite)) == 1
        console.post_message(events.Paste("a\nb"))
        await ui.settle(lambda: isinstance(ui.dialog, ConfirmDialog))
        await ui.press("y")
        await ui.settle(lambda: len(ui.world.of(wire.ConsoleWrite)) == 2)
        assert ui.world.of(wire.ConsoleWrite)[1].data == b"a\rb"


async def test_search_and_save(cockpit, private_directories) -> None:
    world = FakeWorld()
    world.recording = {"node01": b"".join(b"line %d\r\n" % i for i in range(300)) + b"\x1b]52;c;AAAA\x07end"}
    async with cockpit(world) as ui:
        await ui.press("c")
        await ui.settle(lambda: "line 299" in ui.text())
        await ui.press("slash")
        await ui.type("line 42$")
        await ui.press("enter")
        await ui.settle(lambda: "line 42" in ui.text())
        await ui.press("slash")
        await ui.type("nowhere")
        await ui.press("enter")
        assert "not found" in ui.text()
        await ui.press("escape", "s")
        await ui.settle(lambda: ui.toasts())
        (path,) = (private_directories / "state" / "plasmatui" / "saved").iterdir()
        assert path.read_bytes() == world.recording["node01"]
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_gap_is_fetched_and_nothing_doubled(cockpit) -> None:
    world = FakeWorld()
    world.recording = {"node01": b"first\r\n"}
    async with cockpit(world) as ui:
        await ui.press("c")
        await ui.settle(lambda: "first" in ui.text())
        world.recording["node01"] += b"lost on the way\r\n"  # never pushed
        world.say("node01", b"third\r\n")
        await ui.settle(lambda: "third" in ui.text())
        assert ui.text().count("lost on the way") == 1
        world.engine.on_console(wire.ConsoleData("node01", 0, world.recording["node01"]))
        world.say("node01", b"fourth\r\n")
        await ui.settle(lambda: "fourth" in ui.text())
        assert ui.text().count("first") == 1


async def test_frozen_consoles_stand_still(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("c", "equals_sign")
        ui.world.say("node01", b"moves\r\n")
        await ui.settle()
        await ui.pilot.pause(0.2)
        assert "moves" not in ui.text()
        await ui.press("equals_sign")
        await ui.settle(lambda: "moves" in ui.text())


async def test_a_console_that_cannot_be_opened_says_why(cockpit) -> None:
    from plasmatui.client import EngineError

    def refuse(engine, body):
        raise EngineError(wire.Problem("no-bmc", "node01 has no BMC"))

    world = FakeWorld()
    world.answers[wire.ConsoleOpen] = refuse
    async with cockpit(world) as ui:
        await ui.press("c")
        await ui.settle(lambda: "node01 has no BMC" in ui.text())


async def test_the_first_tile_is_the_node_under_the_cursor(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("down", "down", "2")
        await ui.settle(lambda: ui.world.engine.open == {"node03", "node04", "node05", "node06"})
        assert ui.main.view.tile.node == "node03"
        await ui.press("left_square_bracket")
        await ui.settle(lambda: ui.world.engine.open == {"node01", "node02", "node03", "node04"})


async def test_the_last_tiles_are_full(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("G", "2")
        await ui.settle(lambda: ui.world.engine.open == {"node09", "node10", "node11", "node12"})
        assert ui.main.view.tile.node == "node12"


async def test_keys_typed_while_the_view_is_made_reach_it(cockpit) -> None:
    async with cockpit() as ui:
        await ui.pilot.press("down", "2", "enter")
        await ui.settle(lambda: ui.world.engine.open == {"node02"})
        assert ui.main.view_name == "consoles"
        assert ui.main.view.zoomed


async def test_after_an_order_the_consoles_of_its_nodes_are_shown(cockpit) -> None:
    async with cockpit() as ui:
        order = wire.StartOrder(PowerOrder(PowerAction.ON), ("node04", "node06"))
        ui.main.spawn(ui.main.operations._begin(order), "start")
        await ui.settle(lambda: ui.context.ordered)
        await ui.press("2")
        await ui.settle(lambda: ui.world.engine.open == {"node04", "node06"})
        await ui.press("1", "down")
        await ui.press("2")
        await ui.settle(lambda: "node02" in ui.world.engine.open)


@pytest.mark.parametrize(
    ("console", "words"),
    [
        (ConsoleState(ConsoleStatus.HELD, finding="sol-in-use"), ("Another client of the BMC", "ctrl+e o")),
        (ConsoleState(ConsoleStatus.WAITING, message="no answer", retry_at=NOW + 20), ("no answer", "Next try in 20s")),
        (ConsoleState(ConsoleStatus.UNAVAILABLE, message="SOL is disabled"), ("no console", "SOL is disabled")),
        (ConsoleState(ConsoleStatus.OPEN, recording=True), ("has said nothing yet",)),
    ],
)  # fmt: skip
async def test_an_empty_tile_says_why_and_what_to_do(cockpit, console: ConsoleState, words: tuple[str, ...]) -> None:
    async with cockpit() as ui:
        ui.world.change("node01", console=console)
        await ui.press("c")
        await ui.settle(lambda: all(word in ui.text() for word in words))
        assert ("recorded" in ui.text()) == (console.status is ConsoleStatus.OPEN)


async def test_what_a_machine_said_stays_above_why_its_console_is_closed(cockpit) -> None:
    world = FakeWorld()
    world.recording = {"node01": b"login: "}
    async with cockpit(world) as ui:
        await ui.press("c")
        await ui.settle(lambda: "login:" in ui.text())
        assert "said nothing" not in ui.text()
        ui.world.change("node01", console=ConsoleState(ConsoleStatus.HELD))
        await ui.settle(lambda: "Another client" in ui.text())
        assert "login:" in ui.text()
