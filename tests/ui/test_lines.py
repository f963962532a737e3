"""Lines in panes: wrapping, following, standing still."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from plasmatui.ui.lines import LinesPane, text_line, wrapped


def test_wrapping_cuts_at_blanks_and_indents() -> None:
    line = text_line(("    Set the boot device: ", ""), ("IPMI boot flags a0 04 00 00 00 (pxe)", "dim"), key="k")
    pieces = wrapped(line, 30)
    assert [piece.plain for piece in pieces] == [
        "    Set the boot device: IPMI ",
        "      boot flags a0 04 00 00 ",
        "      00 (pxe)",
    ]
    assert [piece.key for piece in pieces] == ["k", "", ""]


def test_a_word_that_the_line_has_no_room_for_begins_the_next_one() -> None:
    line = text_line(("install 1m00s", "bold"), ("  copying 12 of 40 paths", ""), ("  /nix/store/" + "x" * 40, "dim"))
    assert [piece.plain for piece in wrapped(line, 20)] == [
        "install 1m00s  ",
        "  copying 12 of 40 ",
        "  paths  ",
        "  /nix/store/xxxxxxx",
        "  xxxxxxxxxxxxxxxxxx",
        "  xxxxxxxxxxxxxxx",
    ]


@settings(deadline=None)
@given(st.lists(st.text(max_size=60) | st.text("ab ", min_size=30, max_size=90), max_size=4), st.integers(20, 50))
def test_wrapped_lines_fit_and_lose_nothing(texts: list[str], width: int) -> None:
    line = text_line(*((text, "") for text in texts))
    pieces = wrapped(line, width)
    assert all(cell_len(piece.plain) <= width for piece in pieces)
    assert "".join("".join(piece.plain.split()) for piece in pieces) == "".join(line.plain.split())


class Pane(App[None]):
    def __init__(self, pane: LinesPane) -> None:
        super().__init__()
        self.pane = pane

    def compose(self) -> ComposeResult:
        yield self.pane


@pytest.mark.parametrize("follow", [True, False])
async def test_following_and_standing_still(follow: bool) -> None:
    pane = LinesPane(follow=follow)
    async with Pane(pane).run_test(size=(40, 10)) as pilot:
        pane.set_lines([text_line((f"line {i}", "")) for i in range(50)])
        await pilot.pause()
        assert pane.scroll_offset.y == (40 if follow else 0)
        pane.scroll_to(y=5, animate=False)
        await pilot.pause()
        pane.set_lines([text_line((f"line {i}", "")) for i in range(60)])
        await pilot.pause()
        assert pane.scroll_offset.y == 5, "the reader looks at something"


async def test_the_scrollbar_hides_nothing_of_a_wrapped_line() -> None:
    pane = LinesPane(wrap=True)
    async with Pane(pane).run_test(size=(40, 5)) as pilot:
        pane.set_lines([text_line(("w" * 32 + " SERIAL" + str(i), "")) for i in range(10)])
        await pilot.pause()
        assert pane.show_vertical_scrollbar
        shown = pane.scrollable_content_region.width
        assert all(cell_len(line.plain.rstrip()) <= shown for line in pane.lines)
