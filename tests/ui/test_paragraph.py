"""Words in as many lines as they need, and what is cut off with a sign."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from plasmatui.ui.paragraph import packed, words
from plasmatui.ui.widgets.drawing import shortened


@settings(deadline=None)
@given(st.lists(st.text("ab \u4e16", max_size=40), max_size=4), st.integers(10, 60), st.integers(1, 4))
def test_packed_words_lose_nothing_and_keep_to_their_lines(texts: list[str], width: int, most: int) -> None:
    units = words([(text, "") for text in texts])
    assert "".join(text for unit in units for text, _ in unit) == "".join(texts)
    lines = ["".join(text for text, _ in line) for line in packed(units, width, most)]
    assert len(lines) <= most
    shown = "".join(line if place == 0 else line.removeprefix("  ") for place, line in enumerate(lines))
    assert shown == "".join(texts)
    longest = max((cell_len(word) for text in texts for word in text.split()), default=0)
    for line in lines[: most - 1]:
        assert cell_len(line.rstrip()) <= max(width, longest + cell_len(line) - cell_len(line.lstrip()))


@settings(deadline=None)
@given(st.text("ab \u4e16", max_size=30), st.integers(0, 30))
@example("aaaa\u4e16", 5)
def test_what_is_cut_off_shows(text: str, width: int) -> None:
    strip = shortened(Strip([Segment(text)]), width, Style.null())
    assert strip.cell_length == width
    if width > 1:
        lost = cell_len(text.rstrip()) > width
        assert strip.text.rstrip().endswith("\u2026") == lost
