"""Where the reader of a console is: at its newest lines, or at a line of the past, which then stands still."""

from __future__ import annotations

from plasmatui.ui.vt import Vt


class Place:
    """Lines are named by their absolute numbers, `height` is that of the pane."""

    def __init__(self) -> None:
        self._top: int | None = None
        self._seen_end = 0

    @property
    def following(self) -> bool:
        """Whether the newest lines are shown."""
        return self._top is None

    def new_lines(self, vt: Vt) -> int:
        """Lines that came since the reader paged back."""
        return 0 if self._top is None else max(0, _end(vt) - self._seen_end)

    def top(self, vt: Vt, height: int) -> int:
        """The first line shown."""
        return _follow_top(vt, height) if self._top is None else max(self._top, vt.first_line)

    def follow(self) -> None:
        """Show the newest lines."""
        self._top = None

    def hold(self, vt: Vt, height: int) -> None:
        """Stay at what is shown now."""
        if self._top is None:
            self._seen_end = _end(vt)
            self._top = _follow_top(vt, height)

    def go_to(self, vt: Vt, number: int, height: int) -> None:
        """Show a line at the top and stay there; past the newest lines, follow again."""
        if number >= _follow_top(vt, height):
            self._top = None
        else:
            self.hold(vt, height)
            self._top = max(vt.first_line, number)


def _end(vt: Vt) -> int:
    """Number of lines so far: up to the cursor, not the blank rest of the screen."""
    return vt.top_line + vt.cursor[1] + 1


def _follow_top(vt: Vt, height: int) -> int:
    """First line shown when following: the screen, or as much of it as fits around the cursor, at the bottom."""
    if height >= vt.rows:
        return max(vt.first_line, vt.top_line + vt.rows - height)
    return vt.top_line + max(0, min(vt.cursor[1] - height + 1, vt.rows - height))
