"""Small terminals, few colours, many toasts: nothing is lost without a sign, and what matters is said in words."""

from __future__ import annotations

import msgspec
import pytest
from textual.notifications import Notification, Notifications

from plasmatui.model.words import Lifecycle
from plasmatui.paths import state_root
from plasmatui.ui import themes
from plasmatui.ui.dialogs import base
from plasmatui.ui.toasts import too_many
from tests.ui.fake import FakeWorld


async def test_all_that_can_be_chosen_for_a_boot_is_in_sight_at_80_columns(cockpit) -> None:
    async with cockpit(size=(80, 24)) as ui:
        await ui.press("B")
        assert "u firmware: as it is" in ui.text()
        await ui.press("u")
        assert "u firmware: uefi" in ui.text()


async def test_a_dialog_in_a_terminal_that_became_too_small_says_so_and_goes_on(cockpit) -> None:
    async with cockpit(size=(80, 24)) as ui:
        await ui.press("P", "o")
        await ui.settle(lambda: "y accepts" in ui.text())
        await ui.pilot.resize_terminal(59, 14)
        await ui.settle(lambda: "59x14; 60x15 is needed" in ui.text())
        assert "y accepts" not in ui.text()
        await ui.pilot.resize_terminal(60, 15)
        await ui.settle(lambda: "y accepts; enter, esc and n" in ui.text())
        assert "cancel" in ui.text()


async def test_the_command_that_does_the_same_is_copied_for_this_rack(cockpit) -> None:
    async with cockpit(command=("plasmatui", "-i", "/srv/my rack.yaml")) as ui:
        await ui.press("P", "o")
        await ui.settle(lambda: "same as: plasmatui -i '/srv/my rack.yaml' power" in ui.text())
        await ui.press("equals_sign")
        await ui.settle(lambda: any("copied" in toast for toast in ui.toasts()))
        assert (state_root() / "copied.txt").read_text().startswith("plasmatui -i '/srv/my rack.yaml' power")


async def test_a_drained_node_says_so_where_there_is_no_column_for_it(cockpit) -> None:
    world = FakeWorld()
    drained = msgspec.structs.replace(world.states["node02"], lifecycle=Lifecycle.DRAINED, flags=("cordoned",))
    world.states["node02"] = drained
    async with cockpit(world, size=(80, 24)) as ui:
        assert "drained cordoned" in ui.text()


async def test_the_views_and_their_keys_stand_in_the_second_line(cockpit) -> None:
    async with cockpit(size=(100, 30)) as ui:
        assert "1[nodes] 2 consoles 3 logs 4 ops 5 health 6 boot" in ui.text()
        await ui.press("5")
        await ui.settle(lambda: "[health]" in ui.text() or "1-6 views" in ui.text())


async def test_which_tile_the_keys_go_to_is_said_without_colour(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("2")
        await ui.settle(lambda: "\u25b8 node01 view" in ui.text())
        await ui.press("tab")
        await ui.settle(lambda: "\u25b8 node02 view" in ui.text())
        assert "\u25b8 node01" not in ui.text()
        await ui.press("enter")
        await ui.settle(lambda: "\u25b8" not in ui.text(), limit=30)


async def test_a_search_in_a_console_counts_its_hits(cockpit) -> None:
    world = FakeWorld()
    world.recording = {"node01": b"link up\r\nlink down\r\nlogin: "}
    async with cockpit(world) as ui:
        await ui.press("c")
        await ui.settle(lambda: "link down" in ui.text())
        await ui.press("slash")
        await ui.type("link")
        await ui.press("enter")
        assert "/link  hit 2 of 2" in ui.text()
        await ui.press("N")
        assert "/link  hit 1 of 2" in ui.text()
        await ui.press("escape")
        assert "hit 1" not in ui.text()


async def test_while_writing_the_list_of_keys_is_always_in_sight(cockpit) -> None:
    async with cockpit(size=(80, 24)) as ui:
        await ui.press("c", "i")
        await ui.settle(lambda: "? list" in ui.text())


@pytest.mark.parametrize(("system", "few"), [("standard", True), ("256", False), ("truecolor", False)])
def test_sixteen_colours_are_few(monkeypatch: pytest.MonkeyPatch, system: str, few: bool) -> None:
    monkeypatch.setattr(themes.constants, "COLOR_SYSTEM", system)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert themes.few_colours() == few


async def test_few_colours_take_the_theme_that_has_no_others(cockpit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(themes, "few_colours", lambda: True)
    async with cockpit() as ui:
        assert ui.app.theme == themes.SIXTEEN
        ui.app.set_theme("light")
        await ui.settle()
        cursor = ui.main.query_one("#grid").get_component_rich_style("nodegrid--cursor")
        assert cursor.reverse, "the background alone is not seen"


def test_toasts_leave_most_of_the_screen_in_sight() -> None:
    shown = Notifications()
    for place, severity in enumerate(("error", "information", "warning", "information")):
        shown.add(Notification(str(place), severity=severity, raised_at=2e9 + place))
    assert [each.message for each in too_many(shown, 24)] == ["1", "3", "2"]
    assert [each.message for each in too_many(shown, 40)] == ["1"]
    assert too_many(shown, 60) == []


async def test_a_problem_leads_to_its_log_lines_and_back(cockpit) -> None:
    world = FakeWorld()
    for place in range(8):
        world.log(f"line {place}", node="node09")
    async with cockpit(world) as ui:
        await ui.press("exclamation_mark")
        await ui.settle(lambda: "l: log lines" in ui.text())
        await ui.press("y")
        await ui.settle(lambda: (state_root() / "copied.txt").exists())
        assert (state_root() / "copied.txt").read_text() == "Correct `bmc_defaults`.", "the first is chosen"
        await ui.press("down", "l")
        await ui.settle(lambda: ui.main.view_name == "logs" and ui.main.view.wanted.nodes == ("node09",))
        await ui.press("escape", "escape", "escape")
        await ui.settle(lambda: ui.main.view_name == "nodes")


async def test_logs_are_where_they_were_left(cockpit) -> None:
    world = FakeWorld()
    for place in range(90):
        world.log(f"line {place}")
    async with cockpit(world) as ui:
        await ui.press("3")
        await ui.settle(lambda: "line 89" in ui.text() and not ui.main.view._loading, limit=30)
        await ui.press("pageup", "pageup")
        here = ui.main.view.pane.current
        await ui.press("1", "3")
        await ui.settle(lambda: ui.main.view.pane.current == here, limit=30)
        assert "FOLLOW off" in ui.text()


async def test_an_order_without_an_engine_stays_in_its_dialog(cockpit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "GUARD", 0.0)
    async with cockpit() as ui:
        await ui.press("P", "o")
        await ui.settle(lambda: "y accepts" in ui.text())
        ui.context.store.offline("gone")
        await ui.press("y")
        await ui.settle(lambda: "nothing was done; the same key" in ui.text())
        assert len(ui.app.screen_stack) == 2


async def test_a_click_on_a_title_orders_by_its_column(cockpit) -> None:
    async with cockpit() as ui:
        await ui.pilot.click("#grid", offset=(14, 0))
        await ui.settle(lambda: "order: power" in ui.text())
        await ui.pilot.click("#grid", offset=(14, 0))
        await ui.settle(lambda: ui.main.view.reverse)
