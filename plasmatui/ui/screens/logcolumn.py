"""A column of the Logs view: lines of one source or node, or of all; read page by page, followed, or standing still."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical

from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.ui.glyphs import Glyphs
from plasmatui.ui.lines import Line, Part
from plasmatui.ui.logfeed import LogFeed, Page
from plasmatui.ui.logsearch import Place
from plasmatui.ui.widgets.logpane import LogPane

ERRORS_KEPT = 5_000
"""Places of errors that have a tick and that `e` goes to."""

HELD = 10_000
"""Lines that are taken in while somebody reads; beyond, they are read from the engine when they come into sight."""


@dataclass(frozen=True)
class Lane:
    """What a column shows: lines that pass `wanted`; `holds` tells which of the view's they are. "" is no title."""

    title: str
    wanted: LogFilter
    holds: Callable[[LogLine], bool] = lambda _: True
    kind: bool = True
    node: bool = True


class LogColumn(Vertical):
    """See the module. What asks the engine raises as `Link.ask`."""

    DEFAULT_CSS = """
    LogColumn { width: 1fr; }
    LogColumn > Line { display: none; }
    LogColumn.titled > Line { display: block; }
    LogColumn.titled { border-right: solid $panel; }
    """

    def __init__(self, lane: Lane, feed: LogFeed, shown_as: Callable[[LogLine, Lane], list[Part]]) -> None:
        super().__init__()
        self.lane = lane
        self.loading = False
        self.errors: dict[int, float] = {}
        self.pane = LogPane(lambda line: shown_as(line, self.lane))
        self.title = Line()
        self._feed = feed
        self._known: frozenset[int] = frozenset()  # of the page that was asked for last: they may be pushed as well
        self._older = False
        self._tail = True

    def compose(self) -> ComposeResult:
        self.set_class(bool(self.lane.title), "titled")
        yield self.title
        yield self.pane

    def say_title(self, *, here: bool) -> None:
        """`here`: the column that the keys go to."""
        self.title.say([(f" {self.lane.title} ", "reverse" if here else "bold role-muted")])

    @property
    def place(self) -> Place | None:
        """Where the reader is."""
        here = self.pane.current
        return (here.wall, here.seq) if here is not None else None

    # Lines

    async def open(self, lane: Lane) -> None:
        """Begin with the newest lines that pass, and follow."""
        self.lane = lane
        lines, self._older = await self._ask(self._feed.newest(lane.wanted))
        self._tail, self.errors = True, {}
        self._note(lines)
        self.pane.set_lines(lines, follow=True)

    def take(self, lines: Sequence[LogLine]) -> int:
        """Append what was pushed, while somebody reads only so far as it may be held; how many lines are new."""
        lines = [line for line in lines if line.seq not in self._known]
        self._note(lines, asked=False)
        if self._tail:
            self.pane.append(lines)
        if not self.pane.following:
            self._tail = self._tail and len(self.pane.lines) < HELD
        return len(lines)

    async def read_back(self) -> bool:
        """The first line that is held came into sight: fetch older ones; False when there are none."""
        lines = self.pane.lines
        if not lines or not self._older or self.loading:
            return False
        first = lines[0].seq
        found, older = await self._ask(self._feed.before(self.lane.wanted, first))
        if lines is self.pane.lines and lines[0].seq == first:
            self._older = older
            self._note(found, asked=False)
            self.pane.prepend(found)
        return True

    async def read_on(self) -> bool:
        """At the end of a part from the past: fetch what follows it; False when nothing does."""
        lines = self.pane.lines
        if not lines or self._tail or self.loading or self.pane.current is not lines[-1]:
            return False
        await self._append_newer(lines[-1].seq)
        return True

    async def first(self) -> None:
        """Stand on the oldest line that is kept."""
        found, more = await self._ask(self._feed.after(self.lane.wanted, 0))
        self._stand(found, older=False, tail=not more)
        self.pane.first()

    async def visit(self, seq: int) -> None:
        """Put the cursor on a line; fetch its surroundings when they are not held."""
        if self.pane.go_to(seq):
            return
        before, older = await self._ask(self._feed.before(self.lane.wanted, seq))
        after, more = await self._ask(self._feed.after(self.lane.wanted, before[-1].seq if before else 0))
        self._stand([*before, *after], older=older, tail=not more)
        self.pane.go_to(seq)

    async def go_near(self, wall: float) -> None:
        """Stand where another column is: on the last line that is not after a time."""
        held = self.pane.lines
        if held and (self._tail or wall < held[-1].wall) and self.pane.go_near(wall):
            return
        if held and not self._older and wall < held[0].wall:
            self.pane.first()
            return
        if self.loading:
            return
        found, older = await self._ask(self._feed.up_to(self.lane.wanted, wall))
        if found:
            self._stand(found, older=older, tail=False)
            await self._append_newer(found[-1].seq)
            self.pane.go_near(wall)
        else:
            await self.first()

    async def follow(self) -> None:
        """Show the newest lines, and those to come."""
        if self._tail:
            self.pane.follow()
        else:
            await self.open(self.lane)

    async def _append_newer(self, seq: int) -> None:
        lines = self.pane.lines
        found, more = await self._ask(self._feed.after(self.lane.wanted, seq))
        if lines is self.pane.lines:
            held = {line.seq for line in lines}
            self.pane.append([line for line in found if line.seq not in held])
            self._note(found)
            self._tail = not more

    def _stand(self, lines: list[LogLine], *, older: bool, tail: bool) -> None:
        self._older, self._tail = older, tail
        self._note(lines)
        self.pane.set_lines(lines, follow=False)

    async def _ask(self, page: Awaitable[Page]) -> Page:
        self.loading = True
        try:
            return await page
        finally:
            self.loading = False

    def _note(self, lines: Iterable[LogLine], *, asked: bool = True) -> None:
        if asked:
            self._known = frozenset(line.seq for line in lines)
        self.errors.update((line.seq, line.wall) for line in lines if line.severity == "error")
        if len(self.errors) > 2 * ERRORS_KEPT:
            self.errors = dict(sorted(self.errors.items())[-ERRORS_KEPT:])

    # The right edge

    def show_edge(self, ruler: tuple[float, ...], hits: Sequence[Place], glyph: Glyphs) -> None:
        """What is in sight, errors and hits, where they are in all that the engine keeps."""
        height = self.pane.size.height
        if height < 2 or not ruler:
            return

        def row(wall: float) -> int:
            return min(height - 1, bisect_right(ruler, wall) * height // (len(ruler) + 1))

        edge: dict[int, Part] = {}
        if (sight := self.pane.sight) is not None:
            edge |= dict.fromkeys(range(row(sight[0]), row(sight[1]) + 1), (glyph["thumb"], "role-muted"))
        edge |= {row(wall): (glyph["tick"], "bold role-error") for wall in self.errors.values() if wall >= ruler[0]}
        edge |= {row(wall): (glyph["tick"], "bold role-busy") for wall, _ in hits if wall >= ruler[0]}
        self.pane.set_edge(edge)
