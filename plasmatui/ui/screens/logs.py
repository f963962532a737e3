"""The Logs view: all sources merged, followed or read, searched and filtered over everything that the engine keeps."""

from __future__ import annotations

import os
import re
import time
from bisect import bisect_left, bisect_right

import msgspec
from textual.app import ComposeResult
from textual.timer import Timer

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.paths import UnsafeDirectoryError, make_private, state_root
from plasmatui.ui.bars import clock_text
from plasmatui.ui.lines import Part
from plasmatui.ui.logfeed import LogFeed
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.spans import span_text
from plasmatui.ui.store import Dirt, Topic
from plasmatui.ui.widgets.logpane import LogPane

PERIOD = 0.2
"""Seconds between two looks at what was pushed."""

_OWN_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s+"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
)
"""The time at the begin of a line, as programs and syslog write it."""

_ROLES = {"error": "role-error", "warning": "role-warning"}

ERRORS_KEPT = 5_000
"""Places of errors that have a tick and that `e` goes to."""

HELD = 10_000
"""Lines that are taken in while somebody reads; beyond, they are read from the engine when they come into sight."""

STAMPS = ("time", "date", "none")


class LogsView(ActingView):
    """See the module. Out of sight it is pushed nothing."""

    SCOPE = "logs"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.wanted = LogFilter()
        self.pattern = ""
        self.hits: tuple[int, ...] = ()
        self.total = 0
        self.new = 0
        self.skipped = 0
        self.stamps = STAMPS[0]
        self.elapsed = False
        self.mark: LogLine | None = None
        self._errors: set[int] = set()
        self._tail = True
        self._loading = False
        self._opens = 0
        self._pushing: Timer | None = None

    def compose(self) -> ComposeResult:
        self.feed = LogFeed(self.context.link, self._pushed)
        self.pane = LogPane(self._parts)
        yield self.pane

    def focus_view(self) -> None:
        self.pane.focus()

    # In sight

    def shown(self) -> None:
        super().shown()
        self.main.spawn(self._open(), "open logs")

    def hidden(self) -> None:
        super().hidden()
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
        """Begin with the newest lines that pass the filter."""
        if not self.context.store.link.online:
            return
        self._opens += 1
        this, self._loading = self._opens, True
        try:
            lines = await self.feed.open(self.wanted)
        finally:
            self._loading = self._opens != this
        if self._opens != this:
            return  # another filter was chosen meanwhile
        self._begin(lines)
        if self.pattern:
            await self._search(self.pattern)

    async def _close(self) -> None:
        try:
            if not self.is_in_sight:
                await self.feed.close()
        except (EngineError, EngineUnreachableError):
            return  # nothing is pushed any more, which is what was wanted

    def _begin(self, lines: list[LogLine]) -> None:
        self._tail, self.new, self.skipped = True, 0, 0
        self._errors = {line.seq for line in lines if line.severity == "error"}
        self.pane.set_lines(lines, follow=True)
        self._take()
        self._show_ticks()
        self.main.refresh_bars()

    def _pushed(self) -> None:
        if self._pushing is None and self._shown and not self.context.frozen:
            self._pushing = self.set_timer(PERIOD, self._take, name="logs-flush")

    def _take(self) -> None:
        """Append what was pushed; while somebody reads elsewhere it is only counted."""
        self._pushing = None
        if self._loading or self.context.frozen or not self._shown:
            return
        lines, skipped = self.feed.take()
        self.skipped += skipped
        if skipped and lines:
            text = f"... {skipped} lines skipped here because this terminal is slow; g and G read them from the engine"
            gap = LogLine(lines[0].seq - 1, lines[0].wall, "", "", "", text, "warning", arrived=True)
            lines = [gap, *lines]
        if not lines:
            return
        self._errors |= {line.seq for line in lines if line.severity == "error"}
        if len(self._errors) > 2 * ERRORS_KEPT:
            self._errors = set(sorted(self._errors)[-ERRORS_KEPT:])
        if self._tail:
            self.pane.append(lines)
        if not self.pane.following:
            self.new += len(lines)
            self._tail = self._tail and len(self.pane.lines) < HELD
        self._show_ticks()
        self.main.refresh_bars()

    # What it says

    def crumbs(self) -> list[Part]:
        parts: list[Part] = [(" logs", "bold")]
        bad = [source for source in self.context.store.sources.values() if source.status != "running"]
        parts.append((f"  {len(self.context.store.sources)} sources", "role-muted"))
        if bad:
            parts.append((f"  {self.context.glyphs['warning']} {len(bad)} not running: a", "role-warning"))
        wanted = self.wanted
        if wanted.kinds:
            parts.append((f"  only {', '.join(wanted.kinds)}", "role-busy"))
        if wanted.sources:
            parts.append((f"  only {', '.join(wanted.sources)}", "role-busy"))
        if wanted.nodes:
            nodes = ", ".join(wanted.nodes[:4]) + (f" and {len(wanted.nodes) - 4} more" if wanted.nodes[4:] else "")
            parts.append((f"  node={nodes}", "role-mark"))
        if wanted.include:
            parts.append((f"  with {wanted.include}", "role-busy"))
        if wanted.exclude:
            parts.append((f"  without {wanted.exclude}", "role-busy"))
        if self.pattern:
            parts.append((f"  /{self.pattern} ({self._hit_number()} of {self.total} hits)", "role-busy"))
        if self.pane.following:
            parts.append(("  FOLLOW", "bold role-ok"))
        else:
            parts.append(("  FOLLOW off", "role-warning"))
            parts.append((f" +{self.new} " if self.new else "", "reverse role-warning"))
        return parts

    def _hit_number(self) -> int:
        here = self.pane.current
        return bisect_right(self.hits, here.seq) if here is not None else 0

    def _parts(self, line: LogLine) -> list[Part]:
        parts: list[Part] = []
        text = line.text
        if self.elapsed and self.mark is not None:
            delta = line.wall - self.mark.wall
            parts.append((f" {'-' if delta < 0 else '+'}{span_text(abs(delta)):<7}", "role-busy"))
        elif self.stamps != "none":
            day = time.strftime("%m-%d ", time.gmtime(line.wall)) if self.stamps == "date" else ""
            if not line.arrived:
                text = text[found.end() :] if (found := _OWN_TIME.match(text)) else text  # it stands in front already
            parts.append((f" {day}{clock_text(line.wall)}.{int(line.wall % 1 * 1000):03d}", "role-muted"))
        marked = self.mark is not None and line.seq == self.mark.seq
        sign = self.context.glyphs["mark"] if marked else " "
        parts.append((f" {sign}{line.kind:<8}", "role-mark" if marked else "role-muted"))
        parts.append((f"{line.node[:14]:<10} ", "bold" if line.node else ""))
        parts.append((text, _ROLES.get(line.severity, "")))
        return parts

    def _show_ticks(self) -> None:
        """Right edge: errors and hits, where they are in all that the engine keeps."""
        height, span = self.pane.size.height, self.feed.newest - self.feed.oldest + 1
        if height < 2 or span < 1:
            return
        ticks: dict[int, str] = {}
        for seqs, role in ((self._errors, "bold role-error"), (self.hits, "bold role-busy")):
            for seq in seqs:
                if seq >= self.feed.oldest:
                    ticks[min(height - 1, (seq - self.feed.oldest) * height // span)] = role
        self.pane.set_ticks(ticks)

    # Messages of the pane

    def on_log_pane_moved(self, event: LogPane.Moved) -> None:
        event.stop()
        self.main.refresh_bars()

    def on_log_pane_at_top(self, event: LogPane.AtTop) -> None:
        event.stop()
        if self.pane.lines and not self._loading and self.pane.lines[0].seq > self.feed.oldest:
            self.main.spawn(self._older(self.pane.lines[0].seq), "older log lines")

    async def _older(self, seq: int) -> None:
        self._loading = True
        try:
            lines = await self.feed.before(seq)
        finally:
            self._loading = False
        if self.pane.lines and self.pane.lines[0].seq == seq:
            self._errors |= {line.seq for line in lines if line.severity == "error"}
            self.pane.prepend(lines)
            self._show_ticks()

    # Moving

    def action_move(self, steps: int) -> None:
        self.pane.move(steps)
        self._read_on()

    def action_page(self, pages: float) -> None:
        self.action_move(int(pages * max(2, self.pane.size.height - 1)))

    def _read_on(self) -> None:
        """At the end of a part from the past: fetch what follows it."""
        lines = self.pane.lines
        if not self._tail and not self._loading and lines and self.pane.current is lines[-1]:
            self.main.spawn(self._newer(lines[-1].seq), "newer log lines")

    async def _newer(self, seq: int) -> None:
        self._loading = True
        try:
            lines = await self.feed.after(seq)
        finally:
            self._loading = False
        self.pane.append(lines)
        self._tail = bool(lines) and lines[-1].seq >= self.feed.newest

    def action_ends(self, direction: int) -> None:
        if direction < 0:
            self.main.spawn(self._first(), "oldest log lines")
        else:
            self.action_follow(on=True)

    async def _first(self) -> None:
        lines = await self.feed.after(0)
        if lines:
            self._tail = False
            self.pane.set_lines(lines, follow=False)
            self.pane.first()
            self.main.refresh_bars()

    def action_follow(self, *, on: bool = False) -> None:
        if self.pane.following and not on:
            self.pane.move(0)
        elif self._tail:
            self.new = 0
            self.pane.follow()
        else:
            self.main.spawn(self._open(), "open logs")
        self.main.refresh_bars()

    def back(self) -> bool:
        if self.pattern:
            self._forget_search()
        elif not self.pane.following:
            self.action_follow(on=True)
        elif self.wanted != LogFilter():
            self.use(LogFilter())
        else:
            return False
        return True

    # Filters

    def use(self, wanted: LogFilter) -> None:
        """Show what passes this filter, from its newest line."""
        self.wanted = wanted
        if self.is_in_sight:
            self.main.spawn(self._open(), "open logs")

    def only(self, nodes: tuple[str, ...], kinds: tuple[str, ...] = ()) -> None:
        """Lines of these nodes and kinds alone; with none, of all."""
        self.use(msgspec.structs.replace(self.wanted, nodes=nodes, kinds=kinds))

    def action_nodes(self) -> None:
        here = self.pane.current
        chosen = (
            self.context.targets() if self.context.marks else (here.node,) if here is not None and here.node else ()
        )
        self.only(() if self.wanted.nodes else chosen)

    def _ask_pattern(self, mark: str, field: str) -> None:
        def accept(text: str) -> str:
            problem = _wrong(text)
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
            problem = _wrong(text)
            if not problem and text:
                self.main.spawn(self._search(text, go=True), "search logs")
            elif not text:
                self._forget_search()
            return problem

        self.main.ask(PromptUse("/", accept))

    async def _search(self, text: str, *, go: bool = False) -> None:
        found = await self.feed.search(text)
        self.pattern, self.hits, self.total = text, found.seqs, found.total
        self.pane.pattern = re.compile(text, re.IGNORECASE if text.islower() else 0)
        self._show_ticks()
        if go and self.hits:
            await self._visit(self.hits[-1])
        elif go:
            self.main.tell(f"{text}: not found in what is kept", "warning")
        self.pane.redraw()
        self.main.refresh_bars()

    def _forget_search(self) -> None:
        self.pattern, self.hits, self.total, self.pane.pattern = "", (), 0, None
        self._show_ticks()
        self.pane.redraw()

    def action_hit(self, step: int) -> None:
        self._go_among(self.hits, step, "nothing to search for; / begins a search")

    def action_error(self) -> None:
        self._go_among(tuple(sorted(self._errors)), -1, "no error is known in what was read")

    def _go_among(self, seqs: tuple[int, ...], step: int, nothing: str) -> None:
        if not seqs:
            self.main.tell(nothing, "warning")
            return
        here = self.pane.current.seq if self.pane.current is not None else 0
        place = bisect_right(seqs, here) if step > 0 else bisect_left(seqs, here) - 1
        self.main.spawn(self._visit(seqs[place % len(seqs)]), "go to a log line")

    async def _visit(self, seq: int) -> None:
        """Put the cursor on a line; fetch its surroundings when they are not held."""
        if not self.pane.go_to(seq):
            lines = [*await self.feed.before(seq + 1), *await self.feed.after(seq)]
            self._tail = False
            self.pane.set_lines(lines, follow=False)
            self.pane.go_to(seq)
        self.main.refresh_bars()

    # How it looks

    def action_stamps(self) -> None:
        self.stamps = STAMPS[(STAMPS.index(self.stamps) + 1) % len(STAMPS)]
        self.elapsed = False
        self.pane.redraw()

    def action_mark(self) -> None:
        self.mark = self.pane.current
        self.pane.redraw()

    def action_elapsed(self) -> None:
        if self.mark is None:
            self.mark = self.pane.current
        self.elapsed = not self.elapsed
        self.pane.redraw()

    def action_wrap(self) -> None:
        self.pane.wrap = not self.pane.wrap
        self.pane.redraw()

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
        """Everything that passes the filter, page by page, into a file of the user's own."""
        seq, count = 0, 0
        try:
            directory = make_private(state_root() / "saved")
            path = directory / f"logs-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self.context.clock()))}.log"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                while lines := await self.feed.after(seq):
                    seq, count = lines[-1].seq, count + len(lines)
                    file.writelines(
                        f"{_iso(line.wall)} {line.source} {line.node or '-'} {line.text}\n" for line in lines
                    )
        except (OSError, UnsafeDirectoryError) as error:
            self.main.tell(f"not saved: {error}", "error")
            return
        self.main.tell(f"{count} lines saved to {path}")


def _wrong(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        return f"no regular expression: {error}"
    return ""


def _iso(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall)) + f".{int(wall % 1 * 1000):03d}Z"
