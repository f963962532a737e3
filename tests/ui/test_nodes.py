"""The Nodes view under Pilot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmatui.model import wire
from plasmatui.model.event import EventLine
from plasmatui.model.node import Node, NodeState, PowerState
from plasmatui.model.words import Power
from tests.ui.fake import NOW, FakeWorld, make_app, rack


async def test_a_change_of_power_reaches_the_screen(cockpit) -> None:
    async with cockpit() as ui:
        assert "○ 6 off" in ui.text()
        ui.world.change("node02", power=PowerState(Power.ON, NOW, "ipmi"))
        await ui.settle(lambda: "● 5 on" in ui.text())
        await ui.settle(lambda: any(" node02 " in line and "● on" in line for line in ui.text().splitlines()))


async def test_marks_and_ranges(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("space", "space")
        assert ui.context.marks == {"node01", "node02"}
        await ui.press("v", "down", "down", "v")
        assert ui.context.marks == {"node01", "node02", "node03", "node04", "node05"}
        assert "5 marked" in ui.text()
        await ui.press("ctrl+backslash")
        assert ui.context.marks == frozenset()


async def test_filter_hides_marks_and_says_so(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("space")
        await ui.press("end", "space")
        await ui.press("slash")
        await ui.type("rack=r1")
        await ui.press("enter")
        assert "2 marked (1 hidden)" in ui.text()
        assert "nodes 6/12" in ui.text()
        await ui.press("P", "o")
        await ui.settle(lambda: "IPMI power on to node12" in ui.text())
        assert "(1 hidden by the filter)" in ui.text()
        assert "hidden by the filter" in next(line for line in ui.text().splitlines() if "node12  " in line)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node0[13]$", {"node01", "node03"}),
        ("node[01-03]", {"node01", "node02", "node03"}),
        ("@control-plane", {"node01", "node02", "node03"}),
        ("!@worker power=on", {"node01", "node03"}),
        ("finding=auth", {"node07"}),
        ("tag=ssd rack=r2 power=on", {"node11"}),
        ("NODE12", {"node12"}),
        ("no(thing", set()),
    ],
)
async def test_filter_language(cockpit, text: str, names: set[str]) -> None:
    async with cockpit() as ui:
        assert ui.main.view.set_filter(text) == ""
        assert set(ui.main.view.grid.order) == names


async def test_a_wrong_filter_says_why_and_escape_restores(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("slash")
        await ui.type("colour=red")
        assert "no field 'colour'" in ui.text()
        await ui.press("escape")
        assert len(ui.main.view.grid.order) == 12
        await ui.press("slash")
        await ui.type("node01")
        assert ui.main.view.grid.order == ["node01"]
        await ui.press("escape")
        assert len(ui.main.view.grid.order) == 12


async def test_order_keeps_the_cursor_on_its_row(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("down")
        assert ui.context.current == "node02"
        await ui.press("o")
        await ui.press("2")
        assert ui.main.view.grid.order[:2] == ["node02", "node04"]
        assert ui.context.current == "node02"
        await ui.press("o")
        await ui.press("2")
        assert ui.main.view.reverse
        assert ui.context.current == "node02"


async def test_problems_only_and_back(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("x")
        assert ui.main.view.grid.order == ["node07", "node09"]
        await ui.press("escape")
        assert len(ui.main.view.grid.order) == 12
        await ui.press("exclamation_mark")
        await ui.settle(lambda: "Correct `bmc_defaults`." in ui.text())
        await ui.press("down", "enter")
        await ui.settle(lambda: ui.main.view_name == "node")


async def test_vim_keys_move(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("j", "j", "k")
        assert ui.context.current == "node02"
        await ui.press("G")
        assert ui.context.current == "node12"
        await ui.press("g")
        assert ui.context.current == "node01"


async def test_freeze_holds_everything_and_counts(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("equals_sign")
        ui.world.change("node02", power=PowerState(Power.ON, NOW, "ipmi"))
        await ui.settle(lambda: "FROZEN +1" in ui.text())
        (line,) = [line for line in ui.text().splitlines() if " node02 " in line]
        assert "○ off" in line
        await ui.press("equals_sign")
        await ui.settle(lambda: "FROZEN" not in ui.text())
        (line,) = [line for line in ui.text().splitlines() if " node02 " in line]
        assert "● on" in line


async def test_detail_pane_follows_and_asks_the_bmc_only_when_told(cockpit) -> None:
    async with cockpit() as ui:
        await ui.settle(lambda: ui.context.hub.open_nodes == {"node01"})
        await ui.press("down")
        await ui.settle(lambda: ui.context.hub.open_nodes == {"node02"})
        ui.world.say("node02", b"login: ")
        await ui.settle(lambda: "login:" in ui.text())
        await ui.press(*["right_square_bracket"] * 4)
        assert "52:54:00:00:00:02" in ui.text()
        await ui.settle(lambda: not ui.context.hub.open_nodes)
        assert not ui.world.of(wire.Query)
        await ui.press(*["right_square_bracket"] * 2)  # past the audit
        await ui.settle(lambda: "CPU [/] Temp" in ui.text())
        assert [(query.what, query.nodes) for query in ui.world.of(wire.Query)] == [("sensors", ("node02",))]


async def test_the_pane_is_open_where_there_is_room_and_obeys_p(cockpit) -> None:
    async with cockpit(size=(100, 36)) as ui:
        pane = ui.main.view.detail
        assert pane.has_class("on")
        await ui.pilot.resize_terminal(100, 30)
        await ui.settle(lambda: not pane.has_class("on"))
        assert not ui.context.hub.open_nodes
        await ui.press("p")
        await ui.settle(lambda: ui.context.hub.open_nodes == {"node01"})
        await ui.press("p")
        await ui.pilot.resize_terminal(100, 50)
        await ui.settle()
        assert not pane.has_class("on"), "who closed it wants it closed"
        await ui.pilot.resize_terminal(100, 19)
        await ui.press("p")
        assert not pane.has_class("on")
        assert "needs 20 lines" in ui.toasts()[-1]


async def test_the_pane_takes_what_the_rows_leave(cockpit) -> None:
    async with cockpit(size=(120, 40)) as ui:
        await ui.settle(lambda: ui.main.view.detail.size.height > 20)
        ui.world.push(nodes=rack(60))
        await ui.settle(lambda: ui.main.view.detail.outer_size.height == 12)
        await ui.press("plus")
        await ui.settle(lambda: ui.main.view.detail.outer_size.height == 25)


async def test_the_pane_says_what_is_behind_the_worst_finding(cockpit) -> None:
    async with cockpit(size=(120, 40)) as ui:
        await ui.settle(lambda: ui.context.hub.open_nodes == {"node01"})
        assert "remedy" not in ui.text()
        await ui.press(*["down"] * 6)
        await ui.settle(lambda: ui.context.hub.open_nodes == {"node07"})
        assert "bmc-auth: The BMC refuses the user or the password." in ui.text()
        assert "Correct `bmc_defaults`." in ui.text()


async def test_the_pane_names_its_node_after_another_view(cockpit) -> None:
    async with cockpit(size=(120, 40)) as ui:
        await ui.press("down", "e")
        await ui.settle(lambda: " node02  console  boot" in ui.text())
        for view in ("3", "4", "6", "2"):
            await ui.press(view)
            await ui.pilot.pause(0.1)
            await ui.press("1")
            await ui.pilot.pause(0.1)
            assert " node02  console  boot" in ui.text(), view


async def test_the_last_event_does_not_repeat_the_name_of_its_row(cockpit) -> None:
    async with cockpit(size=(200, 60)) as ui:
        ui.world.change("node03", last_event="BMC waiting: node03: no answer", last_event_at=NOW)
        await ui.settle(lambda: "BMC waiting: no answer" in ui.text())


async def test_the_first_frame_is_drawn_once_and_holds_the_nodes() -> None:
    world = FakeWorld()
    app = make_app(world)
    drawn: list[int] = []
    show = app._display

    def display(screen: Any, renderable: Any) -> None:
        if renderable is not None:
            drawn.append(len(app.context.store.states))
        show(screen, renderable)

    app._display = display  # type: ignore[method-assign]
    async with app.run_test(size=(120, 30)) as pilot:
        while not drawn:
            await pilot.pause(0.01)
        assert drawn[0] == 12, "nothing is drawn before the nodes are there"


async def test_without_an_engine_the_first_frame_does_not_wait_for_one(cockpit) -> None:
    world = FakeWorld()
    world.down = True
    async with cockpit(world) as ui:
        await ui.settle(lambda: "engine not connected" in ui.text(), limit=1.0)


async def test_one_change_draws_its_characters_alone(cockpit) -> None:
    async with cockpit(size=(160, 50)) as ui:
        await ui.settle(lambda: ui.context.hub.open_nodes)
        await ui.pilot.pause(0.4)
        spans: list[tuple[int, int]] = []
        compositor = ui.app.screen._compositor
        render = compositor.render_partial_update

        def partial() -> Any:
            spans.extend((region.y, region.width) for region in compositor._dirty_regions)
            return render()

        compositor.render_partial_update = partial
        ui.world.change("node02", last_event="power ok", last_event_at=NOW)  # was: power off
        await ui.settle(lambda: "power ok" in ui.text())
        assert [width for y, width in spans if y == 4] == [2], "off and ok have the o in common"


async def test_the_footer_fits_whole(cockpit) -> None:
    async with cockpit(size=(80, 24)) as ui:
        for view in ("1", "2", "4", "6"):
            await ui.press(view)
            footer = ui.text().splitlines()[-1]
            assert footer.endswith(": command"), footer
            assert "? help" in footer


async def test_ctrl_c_says_how_to_leave_and_twice_asks(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("ctrl+c")
        assert "q leaves the screen" in ui.toasts()[-1]
        await ui.press("ctrl+c")
        await ui.settle(lambda: "Leave the screen" in ui.text())


async def test_node_in_full_shows_the_breaker(cockpit) -> None:
    async with cockpit() as ui:
        ui.main.spawn(ui.main.open_node("node09", "details"), "open")
        await ui.settle(lambda: "5 tries failed in a row; next try in 20s" in ui.text())
        assert "bmc-unreachable" in ui.text()
        await ui.press("escape")
        await ui.settle(lambda: ui.main.view_name == "nodes")


async def test_refresh_asks_the_bmcs_of_the_marked(cockpit) -> None:
    async with cockpit() as ui:
        ui.main.view.mark(("node08", "node09"))
        await ui.settle()
        await ui.press("ctrl+r")
        await ui.settle(lambda: ui.toasts())
        assert ui.toasts() == ["1 of 2 BMCs answered\nnode09: no answer from 10.0.10.58"]


async def test_copy_saves_to_a_private_file(cockpit, private_directories) -> None:
    async with cockpit() as ui:
        await ui.press("y")
        await ui.press("4")
        path = private_directories / "state" / "plasmatui" / "copied.txt"
        assert path.read_text() == "52:54:00:00:00:01"
        assert path.stat().st_mode & 0o777 == 0o600


HOSTILE = (
    "[/]",
    "[@click=app.exit]x",
    "[red]a[/blue]",
    "a\x1b]52;c;AAAA\x07b",
    "\x1b[31mred",
    "n\x00ul\x9b5m",
    "\u202egnp.exe",
    "[/",
)


async def test_hostile_names_and_texts_stay_text(cockpit) -> None:
    nodes = tuple(msgspec.structs.replace(node, name=f"{text}{i}", rack=text) for i, (node, text) in
                  enumerate(zip(rack(len(HOSTILE)), HOSTILE, strict=True)))  # fmt: skip
    world = FakeWorld(nodes, cluster="[/]\x1b[2J")
    for node, text in zip(nodes, HOSTILE, strict=True):
        world.states[node.name] = msgspec.structs.replace(world.states[node.name], last_event=f"{text} event")
    async with cockpit(world) as ui:
        for _ in nodes:
            for keys in (("p",), ("P",), ("escape",), ("y",), ("escape",), ("A",), ("escape",), ("enter",)):
                await ui.press(*keys)
                assert not set("\x1b\x07\x00\x9b\u202e") & set(ui.text())
            await ui.press("escape", "p", "down")
        for keys in ("6", "4", "2", "at", "escape", "exclamation_mark", "escape", "1"):
            await ui.press(keys)
            assert not set("\x1b\x07\x00\x9b\u202e") & set(ui.text())
        ui.main.tell("[/] [@click=app.exit]boo")
        await ui.settle()
        assert "[@click=app.exit]x1" in ui.text()


async def test_an_inventory_that_was_read_again(cockpit) -> None:
    async with cockpit() as ui:
        new = (*ui.world.nodes[:2], Node("spare01"))
        ui.world.push(NodeState("spare01"), nodes=new)
        await ui.settle(lambda: "spare01" in ui.text())
        assert ui.main.view.grid.order == ["node01", "node02", "spare01"]


async def test_too_small_and_large_again(cockpit) -> None:
    async with cockpit() as ui:
        await ui.pilot.resize_terminal(50, 12)
        await ui.settle(lambda: "terminal too small: 50x12; 60x15 is needed" in ui.text())
        assert "node01" not in ui.text()
        await ui.pilot.resize_terminal(80, 24)
        await ui.settle(lambda: "node01" in ui.text())


async def test_events_of_a_node_come_from_the_journal_once(cockpit) -> None:
    world = FakeWorld()
    old = EventLine(-5, NOW - 9000, "node03", "ipmi", "power", "power on long ago")
    world.answers[wire.ListEvents] = lambda engine, body: wire.Events((old,))
    async with cockpit(world) as ui:
        ui.main.spawn(ui.main.open_node("node03", "events"), "open")
        await ui.settle(lambda: "power on long ago" in ui.text())
        assert world.of(wire.ListEvents) == [wire.ListEvents(node="node03")]


async def test_refresh_in_a_hardware_tab_asks_for_it_again(cockpit) -> None:
    async with cockpit() as ui:
        ui.main.spawn(ui.main.open_node("node03", "sensors"), "open")
        await ui.settle(lambda: "CPU [/] Temp" in ui.text())
        await ui.press("ctrl+r")
        await ui.settle(lambda: len(ui.world.of(wire.Query)) == 2)
        assert {query.what for query in ui.world.of(wire.Query)} == {"sensors"}


async def test_columns_follow_the_width(cockpit) -> None:
    async with cockpit(size=(80, 24)) as ui:
        assert "CONSOLE" not in ui.text()
        await ui.press("w")
        assert "CONSOLE" in ui.text()
        await ui.press("w")
        await ui.pilot.resize_terminal(200, 50)
        await ui.settle(lambda: "BMC ADDRESS" in ui.text() and "10.0.10.50:623" in ui.text())
        assert ui.context.current == "node01"
