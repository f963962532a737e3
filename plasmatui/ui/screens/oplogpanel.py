"""The log of a node's steps: follows while somebody looks, stands still for a reader, searched and saved in whole."""

from __future__ import annotations

import os
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical

from plasmatui.model.boot import LogLine
from plasmatui.paths import UnsafeDirectoryError, make_private, state_root
from plasmatui.ui.bars import clock_text
from plasmatui.ui.context import Context, context_of
from plasmatui.ui.lines import Line, Part
from plasmatui.ui.oplog import OperationLog
from plasmatui.ui.widgets.logpane import LogPane

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen

PERIOD = 1.0
"""Seconds between two looks for new lines, while somebody sees them."""

_ROLES = {"error": "role-error", "warning": "role-warning"}


class OperationLogPanel(Vertical):
    """See the module. It shows what `show` names; out of sight it asks for nothing."""

    def __init__(self, main: MainScreen) -> None:
        super().__init__(id="oplog")
        self._main = main
        self.pattern = ""
        self.hits: tuple[int, ...] = ()
        self.new = 0
        self._source: OperationLog | None = None
        self._over = False
        self._seen = False
        self._reading: OperationLog | None = None

    @property
    def context(self) -> Context:
        return context_of(self)

    @property
    def shown_of(self) -> tuple[int, str]:
        """Operation and node whose log this is; (0, "") for none."""
        return (self._source.number, self._source.node) if self._source is not None else (0, "")

    def compose(self) -> ComposeResult:
        self.title = Line()
        self.pane = LogPane(self._parts)
        yield self.title
        yield self.pane

    def on_mount(self) -> None:
        self.set_interval(PERIOD, self._tick, name="operation-log")

    # What is shown

    def show(self, number: int, node: str, *, over: bool) -> None:
        """Show the log of this node of an operation. `over`: it has ended, and its log grows no more."""
        same = self._source is None or self._source.at == self.context.store.at
        if (number, node) == self.shown_of and same:
            self._over = self._over and over
            return
        self.forget_search()
        self._over, self.new = False, 0
        self._source = OperationLog(self.context.link, number, node) if number and node else None
        self.pane.set_lines([], follow=True)
        self._say()
        if self._source is not None and self._seen:
            self._read(self._source, self._newer(self._source))

    def seen(self, on: bool) -> None:
        """Whether somebody sees the panel."""
        fresh = on and not self._seen
        self._seen = on
        if fresh:
            self._over = False
            self._tick()

    def _tick(self) -> None:
        source = self._source
        idle = self._reading is source or self._over or not self._seen or self.context.frozen
        if source is not None and not idle and self.context.store.link.online:
            self._read(source, self._newer(source))

    def _read(self, source: OperationLog, work: Coroutine[object, object, None]) -> None:
        """Read in a task; of each log, one at a time."""
        self._reading = source

        async def alone() -> None:
            try:
                await work
            finally:
                if self._reading is source:
                    self._reading = None

        self._main.spawn(alone(), f"operation log {source.number} {source.node}")

    async def _newer(self, source: OperationLog) -> None:
        record = self.context.store.operations.get(source.number)
        ended = record is not None and record.state.ended
        lines = await (source.newer() if source.end else source.tail())
        if source is not self._source:
            return
        self._over = ended and not lines  # a look after its end found nothing more
        if lines:
            self.pane.append(lines)
            self.new += 0 if self.pane.following else len(lines)
        self._say()

    def on_log_pane_at_top(self, event: LogPane.AtTop) -> None:
        event.stop()
        if self._source is not None and self._source.start and self._reading is not self._source:
            self._read(self._source, self._older(self._source))

    async def _older(self, source: OperationLog) -> None:
        lines = await source.older()
        if source is self._source and lines:
            self.pane.prepend(lines)

    def on_log_pane_moved(self, event: LogPane.Moved) -> None:
        event.stop()
        self._say()

    # What it says

    def _say(self) -> None:
        number, node = self.shown_of
        parts: list[Part] = [(f" log of {node} ", "bold"), (f"operation {number}", "role-muted")]
        if not number:
            self.title.say([(" log: choose an operation or a node", "role-muted")])
            return
        if not self.pane.lines:
            parts.append(("  nothing was printed yet", "role-muted"))
        if self.pattern:
            here = bisect_right(self.hits, self.pane.current.seq) if self.pane.current is not None else 0
            parts.append((f"  /{self.pattern} ({here} of {len(self.hits)} hits)", "role-busy"))
        if self.pane.following:
            self.new = 0
            parts.append(("  FOLLOW", "bold role-ok"))
        else:
            parts.append(("  FOLLOW off", "role-warning"))
            parts.append((f" +{self.new} " if self.new else "", "reverse role-warning"))
        self.title.say(parts)

    def _parts(self, line: LogLine) -> list[Part]:
        return [(f" {clock_text(line.wall)} ", "role-muted"), (line.text, _ROLES.get(line.severity, ""))]

    # Reading

    def move(self, steps: int) -> None:
        """Move the cursor; upwards it stands still."""
        self.pane.move(steps)

    def page(self, pages: float) -> None:
        """Move by this part of the height."""
        self.pane.move(int(pages * max(2, self.pane.size.height - 1)))

    def ends(self, direction: int) -> None:
        """To the first line that is held, or the newest, which follows again."""
        if direction < 0:
            self.pane.first()
        else:
            self.pane.follow()

    def toggle_follow(self) -> None:
        """Follow, or stand still."""
        if self.pane.following:
            self.pane.move(0)
        else:
            self.pane.follow()

    def toggle_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.pane.wrap = not self.pane.wrap
        self.pane.redraw()

    def search(self, text: str) -> str:
        """Look through the whole log; returns what is wrong with the expression, "" when nothing is."""
        try:
            pattern = re.compile(text, re.IGNORECASE if text == text.lower() else 0)
        except re.error as error:
            return f"no regular expression: {error}"
        if not text:
            self.forget_search()
        elif self._source is not None:
            self._read(self._source, self._search(self._source, text, pattern))
        return ""

    async def _search(self, source: OperationLog, text: str, pattern: re.Pattern[str]) -> None:
        while source.start and source is self._source:
            await self._older(source)
        if source is not self._source:
            return
        self.pattern, self.pane.pattern = text, pattern
        self._find()
        if self.hits:
            self.pane.go_to(self.hits[-1])
        else:
            self._main.tell(f"{text}: not found in this log", "warning")
        self.pane.redraw()
        self._say()

    def _find(self) -> None:
        pattern = self.pane.pattern
        self.hits = tuple(line.seq for line in self.pane.lines if pattern is not None and pattern.search(line.text))

    def hit(self, step: int) -> None:
        """To the next hit, or the previous one."""
        self._find()
        if not self.hits:
            self._main.tell("nothing to search for; / begins a search", "warning")
            return
        here = self.pane.current.seq if self.pane.current is not None else 0
        place = bisect_right(self.hits, here) if step > 0 else bisect_left(self.hits, here) - 1
        self.pane.go_to(self.hits[place % len(self.hits)])
        self._say()

    def forget_search(self) -> None:
        """No search any more."""
        self.pattern, self.hits, self.pane.pattern = "", (), None
        self.pane.redraw()
        self._say()

    # Taking away

    def save(self) -> None:
        """The whole log into a file of the user's own."""
        if self._source is None:
            self._main.tell("choose a node of an operation first", "warning")
        else:
            source = OperationLog(self.context.link, self._source.number, self._source.node)
            self._main.spawn(self._save(source), "save operation log")

    async def _save(self, source: OperationLog) -> None:
        try:
            path = make_private(state_root() / "saved") / f"operation-{source.number}-{source.node}.log"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                count = 0
                while lines := await source.newer():
                    count += len(lines)
                    file.writelines(f"{_iso(line.wall)} {line.text}\n" for line in lines)
        except (OSError, UnsafeDirectoryError) as error:
            self._main.tell(f"not saved: {error}", "error")
            return
        self._main.tell(f"{count} lines saved to {path}")


def _iso(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall)) + f".{int(wall % 1 * 1000):03d}Z"
