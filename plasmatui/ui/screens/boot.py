"""The Boot view: services and their logs, images, drift, machines that nobody knows; and the events of all nodes."""

from __future__ import annotations

import re

from textual.app import ComposeResult
from textual.containers import Vertical

from plasmatui.model import wire
from plasmatui.model.event import EventLine
from plasmatui.ui.bars import clock_text
from plasmatui.ui.lines import Line, LinesPane, Part, TextLine, text_line
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.pxefeed import PxeFeed
from plasmatui.ui.pxelines import CLIENT, FILE, IMAGE, SERVICE, SOURCE, parse_key, section_lines, wrong_parts
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.store import Dirt, Topic

AGES = 5.0
"""Seconds between two updates of what only time changes, and two looks at what is to be asked again."""

BESIDE = 160
"""Columns from which on the events stand beside the rest."""

_ROLES = {"finding": "role-warning", "operation": "role-busy", "power": "bold"}


class BootView(ActingView):
    """See the module. Keys that move go to the sections, or to the events while those have the focus."""

    SCOPE = "boot"

    def compose(self) -> ComposeResult:
        self.feed = PxeFeed(self.main)
        self.sections = LinesPane(wrap=True, id="services")
        self.title = Line(id="events-title")
        self.pane = LinesPane(follow=True)
        self._filter = ""
        self._pattern: re.Pattern[str] | None = None
        self._in_events = False
        self._starts: list[str] = []
        yield self.sections
        with Vertical():
            yield self.title
            yield self.pane

    def on_mount(self) -> None:
        self.set_interval(AGES, self._tick, name="boot-ages")

    def on_resize(self) -> None:
        self._share()
        self.call_after_refresh(lambda: self.sections.choose(self.sections.cursor))  # other lines are wrapped now

    def _tick(self) -> None:
        if self.is_in_sight and not self.context.frozen:
            self.feed.look()
            self._show_sections()

    def focus_view(self) -> None:
        (self.pane if self._in_events else self.sections).focus()

    def shown(self) -> None:
        super().shown()
        self.feed.look()
        self.call_after_refresh(self.pane.ends, 1)

    def update_view(self, dirt: Dirt) -> None:
        if Topic.EVENTS in dirt.topics:
            self._redraw()
        if Topic.LINK in dirt.topics:
            self.feed.look()
        if dirt.topics & {Topic.SOURCES, Topic.UNKNOWN, Topic.PXE}:
            self._show_sections()
            self.main.refresh_bars()

    def _show_sections(self) -> None:
        sections = section_lines(self.context)
        here = max(0, self._section())
        self._starts = [next(line.key for line in section if line.key) for section in sections]
        self.sections.set_lines([line for section in sections for line in section])
        if not self.sections.cursor:
            self.sections.choose(self._starts[here])
        self._share()

    def _share(self) -> None:
        """Beside each other where there is room; else the sections take what they need, and leave events a third."""
        beside = self.app.size.width >= BESIDE
        self.set_class(beside, "beside")
        height = self.size.height or self.app.size.height - 5
        most = height - max(5, height // 3)
        self.sections.styles.height = "1fr" if beside else max(3, min(len(self.sections.lines), most))
        self._say_title()

    def _say_title(self) -> None:
        words = f" events {len(self.context.store.events)}"
        self.title.say(
            [(words, "bold role-busy" if self._in_events else "bold")]
            + ([(f"  /{self._filter}", "role-busy")] if self._filter else [])
        )

    def _redraw(self) -> None:
        lines = [self._line(line) for line in self.context.store.events if self._passes(line)]
        self.pane.set_lines(lines or [text_line((" no events", "role-muted"))])
        self._say_title()

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
        wrong = wrong_parts(self.context)
        if self.context.store.past is not None:
            wrong = [("  events", "role-muted")]
        return [(" boot", "bold"), *(wrong or [("  nothing is known to be wrong", "role-muted")])]

    def back(self) -> bool:
        """Ends the reading of an image, then clears the filter."""
        if self.feed.leave():
            return True
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

    @property
    def _chosen(self) -> tuple[str, str]:
        """What the cursor is on, and its name; nothing while the events have the focus."""
        return ("", "") if self._in_events else parse_key(self.sections.cursor)

    def _version(self) -> wire.ImageVersion | None:
        kind, name = self._chosen
        version = self.context.store.pxe.version(name) if kind == IMAGE else None
        if version is None:
            self.main.tell("choose a version of an image first: tab, then down", "warning")
        return version

    # Actions that look

    def _section(self) -> int:
        """The section with the cursor, -1 when there is none."""
        keys = [line.key for line in self.sections.lines if line.key]
        if self.sections.cursor not in keys:
            return -1
        place = keys.index(self.sections.cursor)
        return sum(keys.index(start) <= place for start in self._starts) - 1

    def action_section(self, step: int) -> None:
        """The section after the one with the cursor; the events are the last."""
        current = len(self._starts) if self._in_events else self._section()
        target = (current + step) % (len(self._starts) + 1)
        self._in_events = target == len(self._starts)
        if not self._in_events:
            self.sections.choose(self._starts[target])
        self.focus_view()
        self._say_title()

    async def action_open(self) -> None:
        from plasmatui.ui.dialogs.pxe import DiffDialog, VersionDialog

        kind, name = self._chosen
        store = self.context.store
        if kind == IMAGE and (version := store.pxe.version(name)) is not None:
            self.app.push_screen(VersionDialog(version))
        elif kind == FILE and (file := store.pxe.file(name)) is not None:
            self.app.push_screen(DiffDialog(file))
        elif kind == SERVICE:
            await self.main.open_logs((), ("http" if name == "boot-service" else name,))
        elif kind == SOURCE and name in store.sources:
            await self.main.open_logs((), (store.sources[name].kind,))
        elif kind == CLIENT:
            self.main.tell(f"{name} is enrolled with {self.context.keymap.first('boot.enrol')}")

    def action_verify(self) -> None:
        version = self._version()
        if version is None:
            return
        if self.feed.reads:
            self.main.tell("an image is being read; esc ends that", "warning")
        else:
            self.feed.verify(version.name)

    def action_again(self) -> None:
        self.feed.look(fresh=True)

    def action_copy(self) -> None:
        kind, name = self._chosen
        pxe = self.context.store.pxe
        text = ""
        if kind == IMAGE and (version := pxe.version(name)) is not None:
            text = version.fix
        elif kind == FILE and (file := pxe.file(name)) is not None:
            text = file.fix
        elif kind == SERVICE and pxe.services is not None:
            text = next((service.fix for service in pxe.services.services if service.name == name), "")
        elif kind == CLIENT:
            text = name
        if text:
            self.copy(text)
        else:
            self.main.tell("nothing to copy: choose what is wrong, a version or a machine", "warning")

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
        (self.pane if self._in_events else self.sections).move(steps)

    def action_page(self, pages: float) -> None:
        (self.pane if self._in_events else self.sections).page(pages)

    def action_ends(self, direction: int) -> None:
        (self.pane if self._in_events else self.sections).ends(direction)

    # Actions that act

    def action_enrol(self) -> None:
        kind, name = self._chosen
        unknown = self.context.store.unknown
        chosen = [client for client in unknown if kind == CLIENT and client.mac == name]
        if not chosen and len(unknown) == 1:
            chosen = list(unknown)
        if not chosen:
            why = (
                "choose one of the unknown machines first: tab, then down"
                if unknown
                else "no unknown machine has asked"
            )
            self.main.tell(why, "warning")
            return
        from plasmatui.ui.dialogs.enrol import EnrolDialog

        def accepted(request: wire.EnrolNode | None) -> None:
            if request is not None:
                self.main.spawn(self._enrol(request), f"enrol {request.name}")

        self.app.push_screen(EnrolDialog(chosen[0]), accepted)

    async def _enrol(self, request: wire.EnrolNode) -> None:
        await self.context.link.ask(request)
        self.main.tell(f"{request.name} is in the inventory, with MAC {request.mac}")

    def action_activate(self) -> None:
        version = self._version()
        if version is None:
            return
        if version.active:
            self.main.tell(f"machines of {version.profile} boot {version.name} already", "warning")
            return
        self._switch(version, wire.ActivateImage(version.name), f"plasmatui images activate {version.name}")

    def action_rollback(self) -> None:
        version = self._version()
        images = self.context.store.pxe.images
        if version is None or images is None:
            return
        before = self.context.store.pxe.version(images.previous.get(version.profile, ""))
        if before is None:
            self.main.tell(f"{version.profile}: no version was active before this one", "warning")
            return
        body = wire.RollBackImage(before.profile, before.name)
        self._switch(before, body, f"plasmatui images rollback {before.profile}")

    def _switch(self, new: wire.ImageVersion, body: wire.ActivateImage | wire.RollBackImage, command: str) -> None:
        from plasmatui.ui.dialogs.pxe import switch_dialog

        images = self.context.store.pxe.images
        if images is None:
            return
        if new.state is wire.ImageState.DAMAGED:
            self.main.tell(f"{new.name} is damaged: {new.reason}", "error")
            return
        old = next((each for each in images.versions if each.profile == new.profile and each.active), None)

        def accepted(yes: bool | None) -> None:
            if yes:
                self.feed.switch(body)

        self.app.push_screen(switch_dialog(images.root, old, new, command), accepted)
