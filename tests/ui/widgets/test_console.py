"""Console panes: what is shown, what moves, what is sent, and what is not drawn."""

from __future__ import annotations

import time
import unicodedata

import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.events import Paste
from textual.geometry import Region
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip

from plasmatui.ui.vt import Vt
from plasmatui.ui.widgets.backlog import RAW_LIMIT
from plasmatui.ui.widgets.console import ConsoleView


class Watched(ConsoleView):
    """A pane that keeps book of what it draws."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, hz=1000, **options)  # type: ignore[arg-type]
        self.lines_drawn = 0
        self.regions: list[Region] = []

    def render_line(self, y: int) -> Strip:
        self.lines_drawn += 1
        return super().render_line(y)

    def refresh(self, *regions: Region, **options: bool) -> Watched:
        if hasattr(self, "regions"):
            self.regions.extend(regions)
        return super().refresh(*regions, **options)


class ConsoleApp(App[None]):
    CSS = "ConsoleView { border: none; }"

    def __init__(self, *views: ConsoleView) -> None:
        super().__init__()
        self.views = views
        self.seen: list[Message] = []

    def compose(self) -> ComposeResult:
        yield Horizontal(*self.views)

    def on_console_view_console_input(self, message: ConsoleView.ConsoleInput) -> None:
        self.seen.append(message)

    def on_console_view_console_paste(self, message: ConsoleView.ConsolePaste) -> None:
        self.seen.append(message)


def shown(view: ConsoleView) -> list[str]:
    return [view.render_line(y).text.rstrip() for y in range(view.size.height)]


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"\r\nline %d" % n for n in range(first, last))


async def settle(pilot: Pilot[None]) -> None:
    """Until what was fed is drawn, or left for later."""
    await pilot.pause()
    while any(view.flush.waiting for view in pilot.app.query(ConsoleView)):
        await pilot.pause(0.002)
    await pilot.pause()


async def test_a_tall_pane_shows_scrollback_above_the_screen() -> None:
    view = Watched("n1", vt=Vt(40, 5))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.feed(numbered(0, 20))
        await settle(pilot)
        assert shown(view) == [f"line {n}" for n in range(10, 20)]


async def test_a_small_pane_shows_the_part_with_the_cursor_and_never_wraps() -> None:
    view = Watched("n1", vt=Vt(80, 25))
    app = ConsoleApp(view)
    async with app.run_test(size=(20, 4)) as pilot:
        view.feed(b"\x1b[10;1Hshort\r\n" + b"0123456789" * 7 + b"\r\nend")
        await settle(pilot)
        assert shown(view) == ["", "short", "01234567890123456789", "end"]


async def test_nothing_moves_under_a_reader_who_paged_back() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.focus()
        view.feed(numbered(0, 100))
        await settle(pilot)
        await pilot.press("pageup")
        await settle(pilot)
        before = shown(view)
        assert before[0] == "line 81"
        view.regions.clear()
        view.feed(numbered(100, 130))
        await settle(pilot)
        assert shown(view)[:-1] == before[:-1]
        assert shown(view)[-1].endswith("+30 lines")
        assert {region.y for region in view.regions} == {9}
        await pilot.press("end")
        await settle(pilot)
        assert view.following
        assert shown(view)[-1] == "line 129"


async def test_one_typed_character_refreshes_its_cell_only() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.feed(b"login: ")
        await settle(pilot)
        view.regions.clear()
        view.feed(b"r")
        await settle(pilot)
        assert view.regions == [Region(7, 0, 1, 1)]


async def test_a_hidden_pane_neither_emulates_nor_draws_and_catches_up() -> None:
    view, other = Watched("n1", vt=Vt(40, 10)), Watched("n2", vt=Vt(40, 10))
    app = ConsoleApp(view, other)
    async with app.run_test(size=(80, 10)) as pilot:
        view.display = False
        await settle(pilot)
        view.lines_drawn = 0
        view.feed(b"hello")
        await settle(pilot)
        view.feed(b" again")
        await settle(pilot)
        assert view.lines_drawn == 0
        assert view.vt.text().strip() == ""
        view.display = True
        await settle(pilot)
        assert view.vt.text().strip() == "hello again"
        assert shown(view)[0] == "hello again"
        view.feed(b"!")
        await settle(pilot)
        assert shown(view)[0] == "hello again!"


async def test_what_a_hidden_pane_keeps_is_bounded_and_the_loss_is_said() -> None:
    view = Watched("n1", vt=Vt(60, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(60, 10)) as pilot:
        view.display = False
        await settle(pilot)
        view.feed(b"x" * 1_000_000)
        for _ in range(40):
            view.feed(b"x" * 16_384)
        view.feed(b"\r\nlast")
        assert sum(map(len, view.backlog.chunks)) <= RAW_LIMIT + 16_384
        view.display = True
        await settle(pilot)
        history = [
            "".join(text for text, _ in view.vt.absolute_line(n)) for n in range(view.vt.top_line + view.vt.rows)
        ]
        assert any("bytes not shown here" in line for line in history)
        assert "last" in view.vt.text()


async def test_hostile_bytes_reach_no_strip_and_no_title() -> None:
    view = Watched("evil\x1b]0;x\x07[red]", vt=Vt(60, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(60, 10)) as pilot:
        view.feed(
            "\x1b]52;c;aGk=\x07[@click=app.quit]x[/] \u202ea\u2028 \x9b31m\x7f \x00漢字\ufe0f e\u0301 \x1b[5n".encode()
        )
        await settle(pilot)
        text = "".join(shown(view))
        assert "[@click=app.quit]x[/]" in text
        assert not {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")}
        assert all(view.render_line(y).cell_length == 60 for y in range(10))
        assert view._border_title is not None
        assert view._border_title.plain == "evil[red] VIEW"


async def test_search_marks_hits_and_walks_through_them() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.feed(numbered(0, 100) + b"\r\nERROR here" + numbered(100, 200) + b"\r\nan error")
        await settle(pilot)
        assert view.search("error") == 2
        assert view.search("ERROR") == 1
        assert "ERROR here" in shown(view)
        assert not view.following
        assert view.search("err[") == 0
        assert view.search("") == 0
        assert not view.search_next()
        view.search("error")
        assert view.search_next(-1)
        assert "ERROR here" in shown(view)
        assert view.search_next(-1)
        assert "an error" in shown(view)


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("a", b"a"),
        ("enter", b"\r"),
        ("backspace", b"\x7f"),
        ("tab", b"\t"),
        ("escape", b"\x1b"),
        ("ctrl+c", b"\x03"),
        ("ctrl+e", b"\x05"),
        ("ctrl+z", b"\x1a"),
        ("ctrl+backslash", b"\x1c"),
        ("shift+tab", b"\x1b[Z"),
        ("shift+up", b"\x1b[1;2A"),
        ("alt+enter", b"\x1b\r"),
        ("é", "é".encode()),
        ("up", b"\x1b[A"),
        ("ctrl+right", b"\x1b[1;5C"),
        ("f1", b"\x1bOP"),
        ("f12", b"\x1b[24~"),
        ("delete", b"\x1b[3~"),
        ("pageup", b"\x1b[5~"),
        ("space", b" "),
        ("alt+x", b"\x1bx"),
    ],
)
async def test_keys_go_to_the_owner_only_while_writing(key: str, data: bytes) -> None:
    view = Watched("n1")
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.focus()
        await pilot.press("a")
        assert app.seen == []
        view.writing = True
        await pilot.press(key)
        (message,) = app.seen
        assert isinstance(message, ConsoleView.ConsoleInput)
        assert (message.console, message.data) == (view, data)


async def test_typing_goes_back_to_the_newest_lines() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.feed(numbered(0, 100))
        await settle(pilot)
        view.focus()
        view.writing = True
        view.scroll_to_line(3)
        assert shown(view)[0] == "line 2"
        await pilot.press("x")
        assert view.following


async def test_the_cursor_is_drawn_only_while_writing() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.feed(b"login: ")
        await settle(pilot)
        assert not any(segment.style and segment.style.reverse for segment in view.render_line(0))
        view.writing = True
        await settle(pilot)
        assert any(segment.style and segment.style.reverse for segment in view.render_line(0))


async def test_a_preview_shows_the_last_lines_that_hold_text() -> None:
    view = Watched("n1", vt=Vt(40, 25), preview=True)
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 3)) as pilot:
        view.feed(b"one\r\n\r\ntwo\r\n\r\n\r\nthree\r\nfour\r\n\r\n")
        await settle(pilot)
        assert shown(view) == ["two", "three", "four"]


async def test_what_came_before_the_first_screen_is_shown() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    view.feed(b"early")
    async with ConsoleApp(view).run_test(size=(40, 10)) as pilot:
        await settle(pilot)
        assert shown(view)[0] == "early"
        assert view.visible_text().strip() == view.all_text() == "early"


async def test_bytes_that_are_expensive_to_emulate_do_not_block_keys() -> None:
    view = Watched("n1")
    async with ConsoleApp(view).run_test(size=(80, 25)) as pilot:
        view.feed(b"\x1b[2Jx\x1b[9999T\x1b[9999S" * 8_000 + b"\r\nend")
        begin = time.perf_counter()
        view.catch_up()
        assert time.perf_counter() - begin < 0.5
        await settle(pilot)
        assert "end" in view.vt.text()


async def test_the_border_speaks_plainly() -> None:
    view = Watched("n1")
    async with ConsoleApp(view).run_test(size=(80, 25)) as pilot:
        view.status = "WRITE [bold]"
        view.note = "power [on]\x1b]0;x\x07"
        await pilot.pause()
        assert view._border_title is not None
        assert view._border_subtitle is not None
        assert view._border_title.plain == "n1 WRITE [bold]"
        assert view._border_subtitle.plain == "power [on]"


async def test_a_paste_goes_to_the_owner_only_while_writing() -> None:
    view = Watched("n1")
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.focus()
        app.post_message(Paste("one"))
        await pilot.pause()
        assert app.seen == []
        view.writing = True
        app.post_message(Paste("two\nlines"))
        await pilot.pause()
        (message,) = app.seen
        assert isinstance(message, ConsoleView.ConsolePaste)
        assert message.text == "two\nlines"


async def test_arrows_follow_the_mode_that_the_machine_set() -> None:
    view = Watched("n1")
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.feed(b"\x1b[?1h")
        view.writing = True
        view.focus()
        await settle(pilot)
        await pilot.press("up")
        assert isinstance(app.seen[0], ConsoleView.ConsoleInput)
        assert app.seen[0].data == b"\x1bOA"


async def test_colours_of_the_machine_and_of_the_theme() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        view.feed(b"plain \x1b[31mred\x1b[0m \x1b[1;7mloud")
        await settle(pilot)
        styles = {segment.text.strip(): segment.style for segment in view.render_line(0)}
        assert styles["red"] is not None
        assert styles["red"].color is not None
        assert styles["red"].color.number == 1
        assert styles["loud"] is not None
        assert styles["loud"].reverse
        before = view.render_line(0)._segments[0].style
        app.theme = "textual-light"
        await pilot.pause()
        assert view.render_line(0)._segments[0].style != before


async def test_a_pane_on_another_screen_waits_until_that_is_shown() -> None:
    view = Watched("n1", vt=Vt(40, 10))
    app = ConsoleApp(view)
    async with app.run_test(size=(40, 10)) as pilot:
        await app.push_screen(Screen())
        view.lines_drawn = 0
        view.feed(b"meanwhile")
        await settle(pilot)
        assert view.backlog
        assert view.lines_drawn == 0
        app.pop_screen()
        await settle(pilot)
        assert not view.backlog
        assert view.lines_drawn >= 10
        assert view.render_lines(Region(0, 0, 40, 10))[0].text.rstrip() == "meanwhile"
