"""One node in tabs: console preview, boot timeline, events, details, and what its BMC tells when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.ui import facts, glyphs
from plasmatui.ui.auditlines import audit_lines
from plasmatui.ui.bars import clock_text
from plasmatui.ui.context import Context, context_of
from plasmatui.ui.lines import Line, LinesPane, Part, TextLine, text_line
from plasmatui.ui.partlines import part_lines
from plasmatui.ui.store import Dirt, Topic
from plasmatui.ui.timeline import timeline_lines

if TYPE_CHECKING:
    from plasmatui.ui.widgets.console import ConsoleView

TABS = ("console", "boot", "operation", "events", "details", "audit", "sensors", "sel", "inventory")
QUERIES = ("sensors", "sel", "inventory")
"""Tabs that ask the BMC, which is done only when one is opened or refreshed, never by itself."""


AGES = 5.0
"""Seconds between two updates of what only time changes."""


class NodeDetail(Vertical):
    """The pane. It shows the node that `show` names; "" shows none and reads no console."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.name_shown = ""
        self.tab = "console"
        self._subscribed = ""
        self._drawn = ("", "")
        self._asked_events: set[tuple[str, float]] = set()
        self._asked_boots: set[tuple[str, float, float]] = set()
        self._asked_audit: set[tuple[str, float]] = set()
        self._evidence = False
        self._answers: dict[tuple[str, str], list[TextLine]] = {}

    @property
    def context(self) -> Context:
        return context_of(self)

    def compose(self) -> ComposeResult:
        self.tabs = Line()
        self.cause, self.remedy = Line(classes="finding"), Line(classes="finding")
        self.preview: ConsoleView | None = None
        self.pane = LinesPane(follow=True, wrap=True)
        yield self.tabs
        yield self.cause
        yield self.remedy
        yield self.pane

    def on_mount(self) -> None:
        self.set_interval(AGES, self._tick, name="detail-ages")

    def on_unmount(self) -> None:
        self._subscribe("")

    def show(self, name: str, tab: str = "") -> None:
        """Show this node (and this tab)."""
        self.name_shown = name
        self.tab = tab or self.tab
        self._redraw()

    def next_tab(self, step: int) -> None:
        """The tab after, or before with -1."""
        self.tab = TABS[(TABS.index(self.tab) + step) % len(TABS)]
        self._redraw()

    def refresh_detail(self, dirt: Dirt) -> None:
        """Something changed; draw again when it is ours."""
        boots = Topic.BOOTS in dirt.topics and self.tab == "boot"
        work = Topic.OPERATIONS in dirt.topics and self.tab == "operation"
        audit = Topic.AUDIT in dirt.topics and self.tab == "audit"
        if audit or self.name_shown in dirt.names or Topic.EVENTS in dirt.topics or boots or work:
            self._redraw()

    def ask_again(self) -> bool:
        """Ask the BMC again on a tab that shows its answers; False on the others."""
        if self.tab not in QUERIES:
            return False
        self._answers.pop((self.name_shown, self.tab), None)
        self._redraw()
        return True

    def _tick(self) -> None:
        """Ages and the time of the next try go on by themselves."""
        if self.tab in ("console", "boot", "details", "operation") and self.name_shown and not self.context.frozen:
            self._redraw()

    # Drawing

    def _redraw(self) -> None:
        name = self.name_shown
        known = name in self.context.store.nodes
        console = known and self.tab == "console"
        self.tabs.say(self._tab_parts())
        self._show_finding(name if console else "")
        if console or self.preview is not None:
            self._made_preview().display = console
        self.pane.display = not console
        if console and self.preview is not None:
            self.preview.explain(facts.console_notice(self.context, name))
        self._subscribe(name if console else "")
        if self._drawn != (name, self.tab):
            self._drawn = (name, self.tab)
            self.pane.begin(follow=self.tab in ("events", "audit", "sel"))
        if console:
            return
        if not known:
            self.pane.set_lines(())
            return
        if self.tab == "boot":
            self._show_boots(name)
        elif self.tab == "operation":
            self.pane.set_lines(part_lines(self.context, name))
        elif self.tab == "events":
            self.pane.set_lines(self._events())
            if (name, self.context.store.at) not in self._asked_events:
                self._asked_events.add((name, self.context.store.at))
                self.run_worker(self._fetch_events(name), name=f"events {name}", group="events")
        elif self.tab == "audit":
            self._show_audit(name)
        elif self.tab == "details":
            self.pane.set_lines(facts.details(self.context, name))
        else:
            self._show_answers(name, self.tab)

    def _show_audit(self, name: str) -> None:
        """Who ordered what; from the journal, and what came since."""
        asked = (name, self.context.store.link.since)
        if asked not in self._asked_audit:
            self._asked_audit.add(asked)
            self.run_worker(self._fetch_audit(name), name=f"audit {name}", group="audit")
        self.pane.set_lines(audit_lines(self.context, name))

    async def _fetch_audit(self, name: str) -> None:
        try:
            reply = await self.context.link.ask(wire.ListAudit(nodes=(name,)))
        except (EngineError, EngineUnreachableError):
            return
        if isinstance(reply, wire.Audit):
            self.context.store.remember_audit(reply.lines)

    def _show_finding(self, name: str) -> None:
        """Above the console: the worst finding of the node, what is behind it and what helps."""
        findings = sorted(self.context.store.state(name).findings, key=lambda found: -glyphs.rank(found.severity))
        for line in (self.cause, self.remedy):
            line.set_class(bool(name and findings), "on")
        if name and findings:
            worst, glyph = findings[0], self.context.glyphs
            sign, role = glyphs.SEVERITY[worst.severity]
            more = [(f"  and {len(findings) - 1} more: ]", "role-muted")] if findings[1:] else []
            self.cause.say([(f" {glyph[sign]} {worst.id}: ", f"bold role-{role}"), (worst.cause, ""), *more])
            self.remedy.say([(f"   {glyph['arrow']} {worst.remedy}", "role-busy")])

    def _made_preview(self) -> ConsoleView:
        """The preview; made when it is first shown, because the screen starts faster without its emulator."""
        if self.preview is None:
            from plasmatui.ui.widgets.console import ConsoleView

            self.preview = ConsoleView(preview=True)
            self.preview.can_focus = False
            self.mount(self.preview, before=self.pane)
        return self.preview

    def _tab_parts(self) -> list[Part]:
        parts: list[Part] = [(f" {self.name_shown} ", "bold")]
        for tab in TABS:
            parts.append((f" {tab} ", "reverse" if tab == self.tab else "role-muted"))
        if self.tab == "console" and self.name_shown:
            parts.append((f"  {facts.console_text(self.context.store.state(self.name_shown))}", "role-muted"))
        parts.append(("  [ ] tabs", "role-muted"))
        return parts

    def toggle_evidence(self) -> None:
        """Show, or hide, the lines that prove the stages of a boot."""
        self._evidence = not self._evidence
        self.tab = "boot"
        self._redraw()

    def _show_boots(self, name: str) -> None:
        store = self.context.store
        boots = store.boots.get(name, ())
        asked = (name, store.link.since, store.at)
        if asked not in self._asked_boots:
            self._asked_boots.add(asked)
            self.run_worker(self._fetch_boots(name), name=f"boots {name}", group="boots")
        self.pane.set_lines(timeline_lines(self.context, boots, self._evidence))

    async def _fetch_boots(self, name: str) -> None:
        try:
            reply = await self.context.link.ask(wire.AskTimeline(name))
        except (EngineError, EngineUnreachableError):
            return
        if isinstance(reply, wire.Timelines):
            self.context.store.remember_boots(reply.timelines)

    def _events(self) -> list[TextLine]:
        lines = [
            text_line((f"{clock_text(line.wall)} ", "role-muted"), (f"{line.source:<12} ", ""), (line.text, ""))
            for line in self.context.store.events
            if line.node == self.name_shown
        ]
        return lines or [text_line(("no events are known", "role-muted"))]

    async def _fetch_events(self, name: str) -> None:
        """The node's events from the journal; the store holds only recent ones of all nodes."""
        try:
            reply = await self.context.link.ask(wire.ListEvents(node=name))
        except (EngineError, EngineUnreachableError):
            self._asked_events.discard((name, self.context.store.at))
            return
        if isinstance(reply, wire.Events):
            self.context.store.remember_events(reply.events)

    # Console

    def _subscribe(self, name: str) -> None:
        if name == self._subscribed:
            return
        hub = self.context.hub
        if self._subscribed:
            hub.unsubscribe(self._subscribed, self)
        self._subscribed = name
        if not self.is_attached or self.preview is None:
            return
        self.preview.clear()
        if name:
            hub.subscribe(name, self)

    def console_bytes(self, data: bytes) -> None:
        """From the hub."""
        self._made_preview().feed(data)

    def console_reset(self) -> None:
        """From the hub."""
        if self.preview is not None:
            self.preview.clear()

    def console_error(self, message: str) -> None:
        """From the hub."""
        self._made_preview().explain(([message], True))

    # What the BMC tells

    def _show_answers(self, name: str, what: str) -> None:
        if self.context.store.past is not None:
            self.pane.set_lines([text_line(("what the BMC told is not kept of the past", "role-muted"))])
            return
        known = self._answers.get((name, what))
        if known is None:
            known = self._answers[(name, what)] = [text_line((f"asking the BMC of {name} ...", "role-busy"))]
            self.run_worker(self._ask(name, what), name=f"{what} {name}", group="ask", exit_on_error=True)
        self.pane.set_lines(known)

    async def _ask(self, name: str, what: str) -> None:
        lines: list[TextLine] = []
        try:
            async for answer in self.context.link.stream(wire.Query(what, (name,))):
                lines += facts.answer_lines(self.context, answer)
        except EngineError as error:
            lines = [text_line((error.problem.message, "role-error"))]
        except EngineUnreachableError as error:
            lines = [text_line((str(error), "role-error"))]
        lines.append(text_line((f"asked at {clock_text(self.context.clock())}; ctrl+r asks again", "role-muted")))
        self._answers[(name, what)] = lines
        if (self.name_shown, self.tab) == (name, what):
            self.pane.set_lines(lines)
