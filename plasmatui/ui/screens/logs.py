"""The Logs view: all sources merged by time or side by side, followed or read, searched and filtered over all that the
engine keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace as changed

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.timer import Timer

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.paths import UnsafeDirectoryError
from plasmatui.ui.lines import Part
from plasmatui.ui.logfeed import LogFeed
from plasmatui.ui.logsave import save_logs
from plasmatui.ui.logsearch import LogSearch, Place, next_place, wrong
from plasmatui.ui.logtext import STAMPS, Look, filter_parts, line_parts
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.screens.logcolumn import Lane, LogColumn
from plasmatui.ui.screens.loglanes import MERGED, NARROWEST, ORDERS, lanes
from plasmatui.ui.store import Dirt, Topic
from plasmatui.ui.widgets.logpane import LogPane

PERIOD = 0.2
"""Seconds between two looks at what was pushed."""

WIDE = 100
"""Cells from which on times have milliseconds."""


class LogsView(ActingView):
    """See the module. Out of sight it is pushed nothing."""

    SCOPE = "logs"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.wanted = LogFilter()
        self.order = MERGED
        self.look = Look()
        self.search = LogSearch()
        self.new = 0
        self.columns: list[LogColumn] = []
        self._here = 0
        self._loading = False
        self._opens = 0
        self._opening = asyncio.Lock()
        self._pushing: Timer | None = None
        self._at: float | None = None

    def compose(self) -> ComposeResult:
        self.feed = LogFeed(self.context.link, self._pushed)
        self.columns = [LogColumn(Lane("", self.wanted), self.feed, self._parts)]
        self.side = Horizontal(*self.columns)
        yield self.side

    @property
    def column(self) -> LogColumn:
        """The column that the keys go to."""
        return self.columns[self._here]

    @property
    def pane(self) -> LogPane:
        return self.column.pane

    def focus_view(self) -> None:
        self.pane.focus()

    # In sight

    def shown(self) -> None:
        super().shown()
        self.main.spawn(self._open(), "open logs")

    def hidden(self) -> None:
        super().hidden()
        here = self.column.place
        self._at = here[0] if here is not None and not self.pane.following else None
        self.main.spawn(self._close(), "close logs")

    def update_view(self, dirt: Dirt) -> None:
        if Topic.LINK in dirt.topics and self.context.store.link.online and self.is_in_sight:
            self.main.spawn(self._open(), "open logs")
        if Topic.SOURCES in dirt.topics:
            self.main.refresh_bars()

    def thawed(self) -> None:
        super().thawed()
        self._take()

    async def _open(self) -> None:
        """Begin with the newest lines that pass the filter, or where one was, or is to be sent to."""
        if not self.context.store.link.online:
            return
        self._opens += 1
        this, self._loading = self._opens, True
        try:
            async with self._opening:  # one at a time takes columns away and puts others there
                if self._opens != this or not await self._fill(this):
                    return  # another filter or order was chosen meanwhile
        finally:
            self._loading = self._opens != this
        self.new = 0
        self._take()
        at, self._at = self._at, None
        if at is not None:
            await self.column.go_near(at)
        self._draw_around()
        if self.search.pattern:
            await self._search(self.search.pattern)

    async def _fill(self, this: int) -> bool:
        """Arrange the columns and read each one's newest lines; False when a later opening wants something else."""
        marked = self.context.targets() if self.context.marks else ()
        wanted = lanes(self.order, self.wanted, self.context.store, marked)
        await self._arrange(wanted)
        await self.feed.follow(self.wanted)
        for column, lane in zip(self.columns, wanted, strict=True):
            if self._opens != this:
                return False
            await column.open(lane)
        return self._opens == this

    async def _close(self) -> None:
        try:
            if not self.is_in_sight:
                await self.feed.close()
        except (EngineError, EngineUnreachableError):
            return  # nothing is pushed any more, which is what was wanted

    async def _arrange(self, wanted: list[Lane]) -> None:
        """Have a column for each lane."""
        if [lane.title for lane in wanted] != [column.lane.title for column in self.columns]:
            self._here = 0
            self.columns = [LogColumn(lane, self.feed, self._parts) for lane in wanted]
            await self.side.remove_children()
            await self.side.mount(*self.columns)
            self.focus_view()
        self._fit()

    def on_resize(self, _: events.Resize) -> None:
        self.look = changed(self.look, millis=self.size.width >= WIDE)
        self._fit()

    def _fit(self) -> None:
        """Show as many columns as fit, among them the one that the keys go to."""
        count = max(1, self.size.width // NARROWEST)
        first = max(0, min(self._here, len(self.columns) - count))
        for place, column in enumerate(self.columns):
            column.display = first <= place < first + count
            column.say_title(here=place == self._here)
            column.pane.wrap = self.look.whole
            column.pane.redraw()

    def _pushed(self) -> None:
        if self._pushing is None and self._shown and not self.context.frozen:
            self._pushing = self.set_timer(PERIOD, self._take, name="logs-flush")

    def _take(self) -> None:
        """Append what was pushed; while somebody reads elsewhere it is only counted."""
        self._pushing = None
        if self._loading or self.context.frozen or not self._shown:
            return
        lines, skipped = self.feed.take()
        if skipped and lines:
            text = f"... {skipped} lines skipped here because this terminal is slow; g and G read them from the engine"
            gap = LogLine(lines[0].seq - 1, lines[0].wall, "", "", "", text, "warning", arrived=True)
            lines = [gap, *lines]
        if not lines:
            return
        new = sum(column.take([line for line in lines if column.lane.holds(line)]) for column in self.columns)
        if not self.pane.following:
            self.new += new
        self._draw_around()

    def _draw_around(self) -> None:
        for column in self.columns:
            column.show_edge(self.feed.ruler, self.search.hits if column is self.column else (), self.context.glyphs)
        self.main.refresh_bars()

    # What it says

    def crumbs(self) -> list[Part]:
        parts: list[Part] = [(" logs", "bold")]
        bad = [source for source in self.context.store.sources.values() if source.status != "running"]
        parts.append((f"  {len(self.context.store.sources)} sources", "role-muted"))
        if bad:
            parts.append((f"  {self.context.glyphs['warning']} {len(bad)} not running: a", "role-warning"))
        if self.columns[1:]:
            parts.append((f"  {self.order}", "role-mark"))
            hidden = len(self.columns) - sum(column.display for column in self.columns)
            parts.append((f", {hidden} more: tab" if hidden else "", "role-warning"))
        parts += filter_parts(self.wanted)
        if self.search.pattern:
            number = self.search.number(self.column.place)
            parts.append((f"  /{self.search.pattern} ({number} of {self.search.total} hits)", "role-busy"))
        if self.pane.following:
            parts.append(("  FOLLOW", "bold role-ok"))
        else:
            parts.append(("  FOLLOW off", "role-warning"))
            parts.append((f" +{self.new} " if self.new else "", "reverse role-warning"))
        return parts

    def _parts(self, line: LogLine, lane: Lane) -> list[Part]:
        narrow = bool(lane.title)
        look = changed(self.look, kind=lane.kind, node=lane.node, narrow=narrow, millis=self.look.millis and not narrow)
        return line_parts(line, look, self.context.glyphs["mark"])

    # Messages of the panes

    def on_log_pane_moved(self, event: LogPane.Moved) -> None:
        event.stop()
        here = self.column.place
        if here is not None and not self.pane.following:
            for column in self.columns:
                if column is not self.column:
                    self.main.spawn(column.go_near(here[0]), f"logs of {column.lane.title}")
        self._draw_around()

    def on_log_pane_at_top(self, event: LogPane.AtTop) -> None:
        event.stop()
        if not self._loading:
            self.main.spawn(self._read(self.column.read_back()), "older log lines")

    async def _read(self, more: Awaitable[bool]) -> None:
        if await more:
            self._draw_around()

    # Moving

    def action_move(self, steps: int) -> None:
        self.pane.move(steps)
        self.main.spawn(self._read(self.column.read_on()), "newer log lines")

    def action_page(self, pages: float) -> None:
        self.action_move(int(pages * max(2, self.pane.size.height - 1)))

    def action_ends(self, direction: int) -> None:
        if direction < 0:
            self.main.spawn(self._first(), "oldest log lines")
        else:
            self.action_follow(on=True)

    async def _first(self) -> None:
        await self.column.first()
        self._draw_around()

    def action_follow(self, *, on: bool = False) -> None:
        if self.pane.following and not on:
            self.pane.move(0)
            self._draw_around()
        else:
            self.main.spawn(self._follow(), "follow logs")

    async def _follow(self) -> None:
        self.new = 0
        for column in self.columns:
            await column.follow()
        self._draw_around()

    def back(self) -> bool:
        if self.search.pattern:
            self._forget_search()
        elif not self.pane.following:
            self.action_follow(on=True)
        elif self.wanted != LogFilter():
            self.use(LogFilter())
        elif self.order != MERGED:
            self.order = MERGED
            self.use(self.wanted)
        else:
            return False
        return True

    # Columns

    def action_columns(self) -> None:
        """Merged, a column for each source, one for each node."""
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        self.use(self.wanted)

    def action_column(self, step: int) -> None:
        if not self.columns[1:]:
            self.main.tell("one column only; c shows sources or nodes side by side", "warning")
            return
        self._here = (self._here + step) % len(self.columns)
        self._fit()
        self.focus_view()
        if self.search.pattern:
            self.main.spawn(self._search(self.search.pattern), "search logs")
        self._draw_around()

    # Filters

    def use(self, wanted: LogFilter) -> None:
        """Show what passes this filter, from its newest line."""
        self.wanted = wanted
        if self.is_in_sight:
            self.main.spawn(self._open(), "open logs")

    def only(self, nodes: tuple[str, ...], kinds: tuple[str, ...] = (), at: float | None = None) -> None:
        """Lines of these nodes and kinds alone, with none of all; at a time (Unix seconds), or the newest."""
        self._at = at
        self.use(msgspec.structs.replace(self.wanted, nodes=nodes, kinds=kinds))

    def action_nodes(self) -> None:
        here = self.pane.current
        chosen = (
            self.context.targets() if self.context.marks else (here.node,) if here is not None and here.node else ()
        )
        if not chosen and not self.wanted.nodes:
            self.main.tell("this line is of no node; move to one that is, or mark nodes", "warning")
            return
        self.only(() if self.wanted.nodes else chosen)

    def _ask_pattern(self, mark: str, field: str) -> None:
        def accept(text: str) -> str:
            problem = wrong(text)
            if not problem:
                self.use(msgspec.structs.replace(self.wanted, **{field: text}))
            return problem

        self.main.ask(PromptUse(mark, accept, value=getattr(self.wanted, field)))

    def action_include(self) -> None:
        self._ask_pattern("with ", "include")

    def action_exclude(self) -> None:
        self._ask_pattern("without ", "exclude")

    def action_sources(self) -> None:
        from plasmatui.ui.dialogs.sources import SourcesDialog

        def chosen(names: tuple[str, ...] | None) -> None:
            if names is not None:
                everything = set(names) == set(self.context.store.sources)
                self.use(msgspec.structs.replace(self.wanted, sources=() if everything else names))

        self.app.push_screen(SourcesDialog(self.wanted.sources), chosen)

    # Search

    def action_search(self) -> None:
        def accept(text: str) -> str:
            problem = wrong(text)
            if not problem and text:
                self.main.spawn(self._search(text, go=True), "search logs")
            elif not text:
                self._forget_search()
            return problem

        self.main.ask(PromptUse("/", accept))

    async def _search(self, text: str, *, go: bool = False) -> None:
        self.search.found(text, await self.feed.search(text, self.column.lane.wanted))
        self._highlight()
        if go and self.search.hits:
            await self._visit(self.search.hits[-1][1])
        elif go:
            self.main.tell(f"{text}: not found in what is kept", "warning")
        self._draw_around()

    def _forget_search(self) -> None:
        self.search = LogSearch()
        self._highlight()
        self._draw_around()

    def _highlight(self) -> None:
        for column in self.columns:
            column.pane.pattern = self.search.regex
            column.pane.redraw()

    def action_hit(self, step: int) -> None:
        self._go_among(self.search.hits, step, "nothing to search for; / begins a search")

    def action_error(self) -> None:
        errors = sorted((wall, seq) for seq, wall in self.column.errors.items())
        self._go_among(errors, -1, "no error is known in what was read")

    def _go_among(self, places: list[Place], step: int, nothing: str) -> None:
        if places:
            self.main.spawn(self._visit(next_place(places, self.column.place, step)), "go to a log line")
        else:
            self.main.tell(nothing, "warning")

    async def _visit(self, seq: int) -> None:
        await self.column.visit(seq)
        self._draw_around()

    # How it looks

    def _use_look(self, look: Look) -> None:
        self.look = look
        self._fit()

    def action_stamps(self) -> None:
        stamps = STAMPS[(STAMPS.index(self.look.stamps) + 1) % len(STAMPS)]
        self._use_look(changed(self.look, stamps=stamps, elapsed=False))

    def action_mark(self) -> None:
        self._use_look(changed(self.look, mark=self.pane.current))

    def action_elapsed(self) -> None:
        mark = self.look.mark or self.pane.current
        self._use_look(changed(self.look, mark=mark, elapsed=not self.look.elapsed))

    def action_wrap(self) -> None:
        self._use_look(changed(self.look, whole=not self.look.whole))

    # Taking away

    def copy_source(self) -> str:
        here = self.pane.current
        return here.node if here is not None else ""

    def targets(self) -> tuple[str, ...]:
        if self.context.marks:
            return self.context.targets()
        name = self.copy_source()
        return (name,) if name in self.context.store.nodes else ()

    def action_copy_line(self) -> None:
        if (here := self.pane.current) is not None:
            self.copy(here.text)

    def action_save(self) -> None:
        self.main.spawn(self._save(), "save logs")

    async def _save(self) -> None:
        try:
            count, path = await save_logs(self.feed, self.wanted, self.context.clock())
        except (OSError, UnsafeDirectoryError) as error:
            self.main.tell(f"not saved: {error}", "error")
            return
        self.main.tell(f"{count} lines saved to {path}")
