"""The Boot view: what happened, from all nodes, the newest at the end."""

from __future__ import annotations

import re

from textual.app import ComposeResult

from plasmatui.model import wire
from plasmatui.model.event import EventLine
from plasmatui.ui.bars import clock_text
from plasmatui.ui.lines import LinesPane, Part, TextLine, text_line
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.store import Dirt, Topic

_ROLES = {"finding": "role-warning", "operation": "role-busy", "power": "bold"}


class BootView(ActingView):
    """See the module."""

    SCOPE = "boot"

    def compose(self) -> ComposeResult:
        self.pane = LinesPane(follow=True)
        self._filter = ""
        self._pattern: re.Pattern[str] | None = None
        yield self.pane

    def focus_view(self) -> None:
        self.pane.focus()

    def shown(self) -> None:
        super().shown()
        self.call_after_refresh(self.pane.ends, 1)

    def update_view(self, dirt: Dirt) -> None:
        if Topic.EVENTS in dirt.topics:
            self._redraw()

    def _redraw(self) -> None:
        lines = [self._line(line) for line in self.context.store.events if self._passes(line)]
        self.pane.set_lines(lines or [text_line((" no events", "role-muted"))])

    def _passes(self, line: EventLine) -> bool:
        return (
            self._pattern is None
            or self._pattern.search(f"{line.node} {line.source} {line.kind} {line.text}") is not None
        )

    def _line(self, line: EventLine) -> TextLine:
        return text_line(
            (f" {clock_text(line.wall)} ", "role-muted"),
            (f"{line.node or 'engine':<14} ", "bold"),
            (f"{line.source:<12} ", "role-muted"),
            (line.text, _ROLES.get(line.kind, "")),
        )

    def crumbs(self) -> list[Part]:
        parts: list[Part] = [(f" events {len(self.context.store.events)}", "bold")]
        if self._filter:
            parts.append((f"  /{self._filter}", "role-busy"))
        return parts

    def back(self) -> bool:
        if not self._filter:
            return False
        self._use("")
        return True

    def _use(self, text: str) -> str:
        try:
            pattern = re.compile(text, re.IGNORECASE) if text else None
        except re.error as error:
            return f"no regular expression: {error}"
        self._filter, self._pattern = text, pattern
        self._redraw()
        self.main.refresh_bars()
        return ""

    # Actions

    def action_filter(self) -> None:
        before = self._filter

        def undo() -> None:
            self._use(before)

        self.main.ask(PromptUse("/", self._use, change=self._use, cancel=undo, value=before))

    def action_older(self) -> None:
        self.main.spawn(self._older(), "older events")

    async def _older(self) -> None:
        events = self.context.store.events
        before = events[0].number if events else 0
        reply = await self.context.link.ask(wire.ListEvents(before=before))
        assert isinstance(reply, wire.Events)
        if reply.events:
            self.context.store.remember_events(reply.events)
        else:
            self.main.tell("there are no older events")

    def action_move(self, steps: int) -> None:
        self.pane.move(steps)

    def action_page(self, pages: float) -> None:
        self.pane.page(pages)

    def action_ends(self, direction: int) -> None:
        self.pane.ends(direction)
