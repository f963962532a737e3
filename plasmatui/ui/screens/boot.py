"""The Boot view: log sources and how they stand, machines that nobody knows, and the events of all nodes."""

from __future__ import annotations

import re

from textual.app import ComposeResult

from plasmatui.model import wire
from plasmatui.model.boot import UnknownClient
from plasmatui.model.event import EventLine
from plasmatui.ui.bars import age, clock_text
from plasmatui.ui.dialogs.sources import source_parts
from plasmatui.ui.lines import LinesPane, Part, TextLine, text_line
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.store import Dirt, Topic

AGES = 5.0
"""Seconds between two updates of what only time changes."""

_ARCHITECTURES = {0: "BIOS", 6: "UEFI IA-32", 7: "UEFI x64", 9: "UEFI x64", 11: "UEFI arm64", 16: "UEFI x64 HTTP"}
"""RFC 4578 section 2.1 with the registry that it opened; 7 is what x64 firmware sends in practice."""

_ROLES = {"finding": "role-warning", "operation": "role-busy", "power": "bold"}


class BootView(ActingView):
    """See the module."""

    SCOPE = "boot"

    def compose(self) -> ComposeResult:
        self.services = LinesPane(id="services")
        self.services.can_focus = False
        self.pane = LinesPane(follow=True)
        self._filter = ""
        self._pattern: re.Pattern[str] | None = None
        yield self.services
        yield self.pane

    def on_mount(self) -> None:
        self.set_interval(AGES, self._tick, name="boot-ages")

    def _tick(self) -> None:
        if self.is_in_sight and not self.context.frozen:
            self._show_services()

    def focus_view(self) -> None:
        self.pane.focus()

    def shown(self) -> None:
        super().shown()
        self.call_after_refresh(self.pane.ends, 1)

    def update_view(self, dirt: Dirt) -> None:
        if Topic.EVENTS in dirt.topics:
            self._redraw()
        if dirt.topics & {Topic.SOURCES, Topic.UNKNOWN}:
            self._show_services()
            self.main.refresh_bars()

    def _show_services(self) -> None:
        """Sources, then unknown machines; tab goes through these."""
        context = self.context
        lines = [text_line((" sources of logs", "bold"))]
        for _, source in sorted(context.store.sources.items()):
            lines.append(text_line((" ", ""), *source_parts(context, source)))
        if not context.store.sources:
            lines.append(text_line((" none: the inventory names no `logs:`", "role-muted")))
        unknown = sorted(context.store.unknown, key=lambda client: client.mac)  # who asks does not jump to the end
        lines.append(text_line((" machines that ask and that the inventory does not name", "bold")))
        lines += [_unknown_line(client, context.clock()) for client in unknown]
        if not unknown:
            lines.append(text_line((" none", "role-muted")))
        self.services.set_lines(lines)
        self.services.styles.height = min(len(lines), max(4, self.app.size.height // 2 - 2))
        if unknown and not self.services.cursor:
            self.services.choose(unknown[0].mac)

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
        unknown = len(self.context.store.unknown)
        parts: list[Part] = [(f" boot  {unknown} unknown machines ", "bold role-warning")] if unknown else []
        parts += [(f" events {len(self.context.store.events)}", "bold")]
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

    def targets(self) -> tuple[str, ...]:
        return ()

    # Actions

    def action_choose(self, step: int) -> None:
        self.services.move(step)

    def action_enrol(self) -> None:
        chosen = next((client for client in self.context.store.unknown if client.mac == self.services.cursor), None)
        if chosen is None:
            self.main.tell("no unknown machine has asked; tab chooses one when it has", "warning")
            return
        from plasmatui.ui.dialogs.enrol import EnrolDialog

        def accepted(request: wire.EnrolNode | None) -> None:
            if request is not None:
                self.main.spawn(self._enrol(request), f"enrol {request.name}")

        self.app.push_screen(EnrolDialog(chosen), accepted)

    async def _enrol(self, request: wire.EnrolNode) -> None:
        await self.context.link.ask(request)
        self.main.tell(f"{request.name} is in the inventory, with MAC {request.mac}")

    async def action_checks(self) -> None:
        await self.main.action_checks()

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


def _unknown_line(client: UnknownClient, now: float) -> TextLine:
    arch = "" if client.arch is None else _ARCHITECTURES.get(client.arch, f"architecture {client.arch}")
    last = f", last {age(now - client.last)} ago" if client.last is not None else ""
    return text_line(
        (f" {client.mac}  ", "bold role-warning"),
        (f"{client.ip or '-':<16} {arch:<13} ", ""),
        (f"{client.vendor}  {client.hostname}  ", ""),
        (f"{client.requests} requests{last}", "role-muted"),
        key=client.mac,
    )
