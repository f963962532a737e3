"""Arithmetic on lines of a console: what changed between two, where a cell is, how a part gets another style."""

from __future__ import annotations

from rich.cells import get_character_cell_size
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from plasmatui.ui.vtscreen import Runs
from plasmatui.ui.vtstyle import Colour


def changed_cells(before: Runs, now: Runs, left: int, width: int) -> tuple[int, int]:
    """First and last-plus-one cell that differ, seen through a window of `width` cells from column `left`.

    All of the window where characters may be wider than a cell.
    """
    if not all(text.isascii() for text, _ in (*before, *now)):
        return 0, width
    old = [(character, number) for text, number in before for character in text]
    new = [(character, number) for text, number in now for character in text]
    length = max(len(old), len(new))
    blank = [(" ", 0)]
    old += blank * (length - len(old))
    new += blank * (length - len(new))
    different = [x for x in range(length) if old[x] != new[x]]
    if not different:
        return 0, width
    start = min(max(different[0] - left, 0), width - 1)
    return start, min(max(different[-1] + 1 - left, start + 1), width)


def index_of_cell(text: str, cell: int) -> int:
    """Index of the character that stands in a cell."""
    if text.isascii():
        return cell
    x = 0
    for index, character in enumerate(text):
        x += get_character_cell_size(character)
        if x > cell:
            return index
    return len(text)


def restyle(segments: list[Segment], start: int, end: int, style: Style) -> list[Segment]:
    """Segments with a style laid over the characters `start` to `end`."""
    result: list[Segment] = []
    position = 0
    for text, own, _ in segments:
        a = min(max(start - position, 0), len(text))
        b = min(max(end - position, a), len(text))
        over = style if own is None else own + style
        result.extend(
            Segment(part, look) for part, look in ((text[:a], own), (text[a:b], over), (text[b:], own)) if part
        )
        position += len(text)
    return result


def rich_colour(colour: Colour) -> Color | None:
    """A console's colour for Rich."""
    if colour is None:
        return None
    return Color.from_ansi(colour) if isinstance(colour, int) else Color.from_rgb(*colour)
