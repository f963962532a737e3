"""The bytes of a partial update."""

from __future__ import annotations

from unittest.mock import patch

from rich.console import Console
from rich.segment import Segment
from textual._compositor import ChopsUpdate
from textual.strip import Strip

from plasmatui.ui.widgets import chops


def update(spans: list[tuple[int, int, int]]) -> ChopsUpdate:
    line = {0: Strip([Segment("x" * 60)]), 60: None, 70: Strip([Segment("y" * 20 + "漢")])}
    return ChopsUpdate([line, line], spans, [[60, 70, 92], [60, 70, 92]])


def test_only_the_changed_cells_are_sent() -> None:
    with patch.object(ChopsUpdate, "render_segments", ChopsUpdate.render_segments):
        stock = update([(0, 55, 57)]).render_segments(Console())
        assert chops.install()
        patched = update([(0, 55, 57)]).render_segments(Console())
        assert patched == "\x1b[1;56Hxx"
        assert len(patched) < len(stock) / 5


def test_spans_over_several_strips_and_rows_arrive_whole() -> None:
    with patch.object(ChopsUpdate, "render_segments", ChopsUpdate.render_segments):
        chops.install()
        assert update([(0, 58, 72), (1, 88, 92)]).render_segments(Console()) == (
            "\x1b[1;59Hxx\x1b[1;71Hyy\x1b[2;89Hyy漢"
        )


def test_an_unknown_textual_is_left_alone() -> None:
    def render_segments(self: ChopsUpdate, console: Console, more: int) -> str:
        return ""

    with patch.object(ChopsUpdate, "render_segments", render_segments):
        assert not chops.install()
        assert ChopsUpdate.render_segments is render_segments
