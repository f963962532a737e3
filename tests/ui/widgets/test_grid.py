"""The live table: rows by key, cells drawn alone, nothing that moves under the reader."""

from __future__ import annotations

import unicodedata

from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.message import Message
from textual.pilot import Pilot
from textual.strip import Strip

from plasmatui.ui.widgets.grid import NodeGrid
from plasmatui.ui.widgets.gridlayout import Cell, Column, Row

COLUMNS = [Column("node", "NODE", 8), Column("power", "POWER", 6), Column("note", "NOTE", 10, flex=1)]


class Watched(NodeGrid):
    def __init__(self) -> None:
        super().__init__(COLUMNS, hz=1000)
        self.lines_drawn = 0
        self.regions: list[Region] = []

    def render_line(self, y: int) -> Strip:
        self.lines_drawn += 1
        return super().render_line(y)

    def refresh(self, *regions: Region, **options: bool) -> Watched:
        if hasattr(self, "regions"):
            self.regions.extend(regions)
        return super().refresh(*regions, **options)


class GridApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.grid = Watched()
        self.seen: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.grid

    def on_node_grid_cursor_moved(self, message: NodeGrid.CursorMoved) -> None:
        self.seen.append(message)

    def on_node_grid_row_opened(self, message: NodeGrid.RowOpened) -> None:
        self.seen.append(message)

    def on_node_grid_marks_changed(self, message: NodeGrid.MarksChanged) -> None:
        self.seen.append(message)


def rows(count: int) -> list[Row]:
    return [Row(f"n{n:04}", {"node": Cell(f"n{n:04}", "bold"), "power": Cell("● on", "success")}) for n in range(count)]


def shown(grid: NodeGrid) -> list[str]:
    return [grid.render_line(y).text.rstrip() for y in range(grid.size.height)]


async def settle(pilot: Pilot[None], grid: NodeGrid) -> None:
    """Until what was changed is drawn."""
    await pilot.pause()
    while grid.flush.waiting:
        await pilot.pause(0.002)
    await pilot.pause()


async def test_header_rows_and_cursor() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(3))
        await pilot.pause()
        assert shown(app.grid)[:4] == [
            "  NODE     POWER  NOTE",
            "  n0000    ● on",
            "  n0001    ● on",
            "  n0002    ● on",
        ]
        assert all(app.grid.render_line(y).cell_length == app.grid.size.width for y in range(10))
        app.grid.focus()
        await pilot.press("down", "down", "down", "enter")
        assert app.grid.cursor_key == "n0002"
        assert isinstance(app.seen[-1], NodeGrid.RowOpened)
        assert app.seen[-1].key == "n0002"


async def test_cursor_marks_and_view_stay_with_their_rows() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 11)) as pilot:
        app.grid.set_rows(rows(100))
        await pilot.pause()
        app.grid.move_to("n0050")
        app.grid.toggle_mark()
        await pilot.pause()
        line = next(y for y, text in enumerate(shown(app.grid)) if "n0050" in text)
        app.grid.set_order(sorted(app.grid.order, reverse=True))
        await pilot.pause()
        assert app.grid.cursor_key == "n0050"
        assert shown(app.grid)[line].startswith("* n0050")
        app.grid.set_order([f"n{n:04}" for n in range(10, 100)])
        await pilot.pause()
        assert "n0050" in shown(app.grid)[line]


async def test_a_filtered_row_hands_the_cursor_to_its_place_and_keeps_its_mark() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(5))
        app.grid.move_to("n0002")
        app.grid.toggle_mark()
        app.grid.set_order(["n0000", "n0001", "n0003"])
        assert app.grid.cursor_key == "n0003"
        assert app.grid.marks == {"n0002"}
        app.grid.set_rows(rows(2))
        assert app.grid.marks == frozenset()
        assert app.grid.cursor_key == "n0001"
        app.grid.set_rows([])
        await pilot.pause()
        assert app.grid.cursor_key is None
        moved = [message.key for message in app.seen if isinstance(message, NodeGrid.CursorMoved)]
        assert moved == ["n0000", "n0002", "n0003", "n0001", None]


async def test_one_change_refreshes_one_cell() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(100))
        await settle(pilot, app.grid)
        app.grid.regions.clear()
        app.grid.update_cells("n0002", {"power": Cell("○ off", "error"), "node": Cell("n0002", "bold")})
        app.grid.update_cells("n0090", {"power": Cell("○ off", "error")})
        app.grid.update_cells("gone", {"power": Cell("x")})
        await settle(pilot, app.grid)
        assert app.grid.regions == [Region(11, 3, 5, 1)]
        assert "○ off" in shown(app.grid)[3]


async def test_the_same_rows_again_draw_only_what_differs() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(20))
        await settle(pilot, app.grid)
        app.grid.regions.clear()
        app.grid.lines_drawn = 0
        again = rows(20)
        again[4] = Row("n0004", {"node": Cell("n0004", "bold")})
        app.grid.set_rows(again)
        app.grid.set_order(app.grid.order)
        await settle(pilot, app.grid)
        assert app.grid.regions == [Region(11, 5, 4, 1)]
        assert app.grid.lines_drawn == 1
        assert shown(app.grid)[5] == "  n0004"


async def test_a_hidden_grid_draws_nothing_and_is_right_when_shown() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(5))
        await settle(pilot, app.grid)
        app.grid.display = False
        await settle(pilot, app.grid)
        app.grid.lines_drawn = 0
        app.grid.update_cells("n0002", {"power": Cell("○ off")})
        await settle(pilot, app.grid)
        assert app.grid.lines_drawn == 0
        app.grid.display = True
        await settle(pilot, app.grid)
        strips = app.grid.render_lines(Region(0, 0, 60, 10))
        assert "○ off" in strips[3].text


async def test_hostile_and_wide_text_keeps_its_cell() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows([Row("a", {"node": Cell("\x1b]0;x\x07[/]\u202e漢字漢字漢字"), "power": Cell("[red]")})])
        await pilot.pause()
        text = app.grid.render_line(1).text
        assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cf")}
        assert app.grid.render_line(1).cell_length == 60
        assert "[red]" in text
        assert "…" in text


async def test_the_mouse_selects_opens_and_scrolls() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(100))
        await pilot.pause()
        await pilot.click(NodeGrid, offset=(5, 4))
        assert app.grid.cursor_key == "n0003"
        await pilot.click(NodeGrid, offset=(5, 4))
        assert isinstance(app.seen[-1], NodeGrid.RowOpened)


async def test_five_thousand_rows_draw_what_is_seen() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(5000))
        await settle(pilot, app.grid)
        app.grid.focus()
        app.grid.lines_drawn = 0
        await pilot.press("end")
        await settle(pilot, app.grid)
        assert shown(app.grid)[-1].startswith("  n4999")
        assert app.grid.lines_drawn < 60


async def test_narrow_grids_scroll_sideways() -> None:
    app = GridApp()
    async with app.run_test(size=(20, 10)) as pilot:
        app.grid.set_rows(rows(3))
        await pilot.pause()
        app.grid.scroll_to(x=8, animate=False)
        await settle(pilot, app.grid)
        app.grid.regions.clear()
        app.grid.update_cells("n0001", {"power": Cell("○ off")})
        await settle(pilot, app.grid)
        assert app.grid.regions == [Region(3, 2, 5, 1)]
        assert shown(app.grid)[2].strip().startswith("○ off")


async def test_focus_and_theme_change_what_was_drawn() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows(rows(3))
        app.grid.focus()
        await pilot.pause()
        focused = app.grid.render_line(1)._segments[1].style
        app.set_focus(None)
        await pilot.pause()
        blurred = app.grid.render_line(1)._segments[1].style
        assert focused != blurred
        dark = app.grid.render_line(2)._segments[3].style
        app.theme = "textual-light"
        await pilot.pause()
        assert app.grid.render_line(2)._segments[3].style != dark


async def test_a_style_that_the_theme_does_not_know_is_plain() -> None:
    app = GridApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.grid.set_rows([Row("a"), Row("b", {"node": Cell("b", "no-such-variable bold"), "power": Cell("on")})])
        await pilot.pause()
        node, power = app.grid.render_line(2)._segments[1].style, app.grid.render_line(2)._segments[3].style
        assert node is not None
        assert power is not None
        assert node.color == power.color
        assert node.bold
