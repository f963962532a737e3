"""The main screen: bars, views, prompt; gives key presses to the actions of the view in sight."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import ContentSwitcher

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.pages import INDEX
from plasmatui.ui.actions import Action
from plasmatui.ui.context import Context, context_of
from plasmatui.ui.keeping import Keeper
from plasmatui.ui.keymap import typed
from plasmatui.ui.lines import Line
from plasmatui.ui.notifier import Notifier
from plasmatui.ui.opsdesk import OperationsDesk
from plasmatui.ui.orders import Orders
from plasmatui.ui.pacing import PacedScreen
from plasmatui.ui.people import People
from plasmatui.ui.prompt import Prompt, PromptInput, PromptUse
from plasmatui.ui.screens.barlines import Bars
from plasmatui.ui.screens.base import View
from plasmatui.ui.screens.views import make_view
from plasmatui.ui.store import AUDIT_KEPT, Topic, Watcher
from plasmatui.ui.toosmall import TooSmall
from plasmatui.ui.travel import MINUTE, Travel

if TYPE_CHECKING:
    from plasmatui.ui.dialogs.problems import Jump

TWICE = 3.0
"""Seconds within which a second ctrl+c is one."""

READING = 10.0
"""Seconds that a warning or an error is shown."""

OPENING = 0.15
"""Seconds that the first frame waits for the engine's answer at most."""


class MainScreen(PacedScreen[object]):
    """See the module."""

    AUTO_FOCUS = ""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self.bars = Bars(self)
        self.hints = Line(id="hints")
        self.prompt = Prompt(self.hints, self._prompt_closed)
        self.orders = Orders(self)
        self.operations = OperationsDesk(self)
        self.travel = Travel(self)
        self.people = People(self)
        self._trail: list[str] = []
        self._last = "nodes"
        self._watcher: Watcher | None = None
        self._pending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._fresh = 0
        self._minute = 0
        self._told: set[str] = set()
        self._opening = True
        self._interrupted = 0.0

    @property
    def context(self) -> Context:
        return context_of(self)

    def compose(self) -> ComposeResult:
        yield from self.bars.above
        with Vertical():
            yield ContentSwitcher(make_view("nodes"), initial="nodes", id="views")
        yield from self.bars.jobs
        yield self.hints
        yield self.prompt
        yield self.bars.keys
        yield TooSmall()

    def on_mount(self) -> None:
        self._notifier = Notifier(self.context)
        self.keeper = Keeper(self)
        self._watcher = self.context.store.watch(self._changed)
        self.set_interval(1.0, self._tick, name="status-clock")
        self.call_after_refresh(self.view.shown)
        self.set_timer(OPENING, self._open, name="first-frame")

    # The first frame

    @property
    def opened(self) -> bool:
        """Whether the first frame may be drawn."""
        return not self._opening

    def _compositor_refresh(self) -> None:
        """Draw, but not while the screen is put together: one frame with nodes instead of six on the way to it."""
        if not self._opening:
            super()._compositor_refresh()

    def _open(self) -> None:
        """Draw the first frame."""
        if not self._opening:
            return
        self.view.catch_up()
        self.keeper.go_back()
        self.refresh_bars()
        self._opening = False
        self.refresh()
        if not gc.isenabled():
            self.call_after_refresh(self._collect_again)

    @staticmethod
    def _collect_again() -> None:
        """What has been imported stays for ever and need not be looked through again."""
        gc.freeze()
        gc.enable()

    async def on_unmount(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Views

    @property
    def switcher(self) -> ContentSwitcher:
        return self.query_one("#views", ContentSwitcher)

    @property
    def view_name(self) -> str:
        return self.switcher.current or "nodes"

    @property
    def view(self) -> View:
        """The view in sight."""
        return self.switcher.get_child_by_id(self.view_name, View)

    async def show_view(self, name: str, *, step: bool = False) -> View:
        """Bring a view into sight; with `step`, escape goes back to the one before."""
        before = self.view_name
        if name == before:
            return self.view
        self.view.hidden()
        if step:
            self._trail.append(before)
        else:
            self._trail.clear()
        self._last = before
        if not self.switcher.query_children(f"#{name}"):
            await self.switcher.mount(make_view(name))
        self.switcher.current = name
        view = self.view
        self.set_focus(None)  # keys typed ahead are for this view, not for what had the focus
        view.shown()
        self.refresh_bars()
        self._changed()  # the others are told
        return view

    async def action_view(self, name: str) -> None:
        before = self.view_name
        view = await self.show_view(name)
        if name == "consoles" and before == "nodes":
            from plasmatui.ui.screens.consoles import ConsolesView

            assert isinstance(view, ConsolesView)
            view.begin_at_cursor()

    async def action_last_view(self) -> None:
        await self.show_view(self._last)

    # Bars

    def _changed(self) -> None:
        link = self.context.store.link
        if self._opening and (link.online or link.retry_at):
            self.call_after_refresh(self._open)
        if not self._pending:
            self._pending = True
            self.set_timer(0.2, self._update, name="bars-flush")

    def _update(self) -> None:
        self._pending = False
        if self._watcher is None:
            return
        dirt = self._watcher.take()
        if self.context.frozen:
            self._fresh += len(dirt.names) + (Topic.EVENTS in dirt.topics)
        if self.context.store.link.online:
            for text, severity in self._notifier.news(dirt.names):
                self.tell(text, severity)
        self.keeper.go_back()
        if Topic.NOTICES in dirt.topics:
            self._tell_notices()
        if Topic.OPERATIONS in dirt.topics:
            self.operations.look()
        self.refresh_bars()
        self.people.here(self.view.place())

    def _tell_notices(self) -> None:
        """Warnings about inventory and engine, once each; `!` keeps showing them."""
        new = [notice for notice in self.context.store.notices if notice not in self._told]
        self._told.update(new)
        if new:
            more = [f"and {len(new) - 3} more: !"] if len(new) > 3 else []
            self.tell("\n".join([*new[:3], *more]), "warning")

    def _tick(self) -> None:
        """Once a second, what time alone changes: the minute, how long the engine is gone and operations run."""
        store = self.context.store
        minute = int(store.clock() // 60)
        if minute != self._minute or not store.link.online or store.past is not None:
            self._minute = minute
            self.bars.say_status(self.context, self._fresh)
        if self.context.store.running and not self.context.frozen:
            self.bars.say_jobs(self.context)

    def refresh_bars(self) -> None:
        """Bring all bars up to date; each draws only when it changed."""
        if self.is_mounted:
            self.bars.say_all(self.context, self.view, self._fresh)

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(TooSmall).look(self, event.size)
        self.refresh_bars()

    def on_screen_resume(self) -> None:
        self.refresh_bars()

    # Keys

    async def on_key(self, event: events.Key) -> None:
        if isinstance(self.focused, PromptInput):
            return
        key = typed(event.key, event.character)
        action = self.context.keymap.find(self.view.SCOPE, key) or self.context.keymap.find("global", key)
        if action is not None:
            event.stop()
            event.prevent_default()
            await self.run(action)

    async def run(self, action: Action) -> None:
        """Do an action, or say why not."""
        reason = self.context.disabled(action)
        if reason:
            self.tell(f"{action.title}: {reason}", "warning")
        else:
            await self.app.run_action(action.call, self if action.scope == "global" else self.view)

    def tell(self, text: str, severity: str = "information") -> None:
        """A toast; text is never markup."""
        level = severity if severity in ("warning", "error") else "information"
        self.notify(
            self.context.glyphs.text(text),
            severity=level,  # type: ignore[arg-type]
            timeout=None if level == "information" else READING,
            markup=False,
        )

    def spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Do something that waits for the engine, in a task that is held; its problems become toasts."""

        async def guarded() -> None:
            try:
                await work
            except EngineError as error:
                self.tell(error.problem.message, "error")
            except EngineUnreachableError as error:
                self.tell(str(error), "error")

        task = asyncio.create_task(guarded(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, Exception)
            self.app._handle_exception(error)

    # Prompt

    def ask(self, use: PromptUse) -> None:
        """Open the line at the bottom."""
        self.prompt.open(use)

    def _prompt_closed(self) -> None:
        self.view.focus_view()
        self.refresh_bars()

    def action_command(self, text: str = "") -> None:
        from plasmatui.ui.commandline import CommandLine

        commands = CommandLine(self)
        history = self.context.history

        def accept(line: str) -> str:
            problem = commands.run(line)
            if line.strip() and not problem and (not history or history[-1] != line):
                history.append(line)
                del history[:-200]
            return problem

        self.ask(PromptUse(":", accept, complete=commands.complete, history=list(history), value=text))

    # Global actions

    def action_palette(self) -> None:
        from plasmatui.ui.dialogs.palette import PaletteDialog

        self.app.push_screen(PaletteDialog(self.view.SCOPE), self._picked)

    def _picked(self, action: Action | None) -> None:
        if action is not None:
            self.call_later(self.run, action)

    def action_help(self) -> None:
        from plasmatui.ui.dialogs.lists import HelpDialog

        self.app.push_screen(HelpDialog(self.view.SCOPE))

    def action_docs(self, page: str = INDEX) -> None:
        from plasmatui.ui.screens.docs import DocsScreen

        self.app.push_screen(DocsScreen(page))

    def action_who(self) -> None:
        self.people.who()

    def action_command_log(self, narrowed: str = "") -> None:
        from plasmatui.ui.dialogs.commandlog import CommandLogDialog

        self.app.push_screen(CommandLogDialog(narrowed or self.view.log_filter()))
        self.spawn(self._fetch_audit(), "command-log")

    async def _fetch_audit(self) -> None:
        reply = await self.context.link.ask(wire.ListAudit(AUDIT_KEPT))
        assert isinstance(reply, wire.Audit)
        self.context.store.remember_audit(reply.lines)

    def action_problems(self) -> None:
        from plasmatui.ui.dialogs.problems import ProblemsDialog

        def go(chosen: Jump | None) -> None:
            if chosen is not None:
                self.spawn(self._go_to(chosen), f"open {chosen.node}")

        self.app.push_screen(ProblemsDialog(), go)

    async def _go_to(self, chosen: Jump) -> None:
        if chosen.logs:
            await self.open_logs((chosen.node,), at=chosen.since)
        else:
            await self.open_node(chosen.node)

    async def open_node(self, name: str, tab: str = "") -> None:
        """Show one node in full."""
        from plasmatui.ui.screens.node import NodeView

        view = await self.show_view("node", step=True)
        assert isinstance(view, NodeView)
        view.show(name, tab)

    def shown_node(self) -> tuple[str, str]:
        """The node that is shown in full, and its tab; empty when none is."""
        from plasmatui.ui.screens.node import NodeView

        view = self.view
        return (view.node_name, view.detail.tab) if isinstance(view, NodeView) else ("", "")

    async def open_operation(self, number: int, node: str = "", *, log: bool = False) -> None:
        """Show one operation in the Operations view, or one of its nodes; with `log`, its log in front."""
        from plasmatui.ui.screens.operations import OperationsView

        view = await self.show_view("operations", step=True)
        assert isinstance(view, OperationsView)
        view.choose(number, node, log=log)

    async def open_consoles(self, names: tuple[str, ...] = ()) -> None:
        """Show the consoles of these nodes, or of the marked ones."""
        from plasmatui.ui.screens.consoles import ConsolesView

        view = await self.show_view("consoles", step=True)
        assert isinstance(view, ConsolesView)
        view.pick(names)

    async def open_logs(self, names: tuple[str, ...], kinds: tuple[str, ...] = (), *, at: float | None = None) -> None:
        """Show the logs of these nodes and kinds, with none of all; at a time (Unix seconds), or the newest."""
        from plasmatui.ui.screens.logs import LogsView

        view = await self.show_view("logs", step=True)
        assert isinstance(view, LogsView)
        view.only(names, kinds, at)

    async def action_checks(self) -> None:
        await self.show_view("checks", step=True)

    def action_minute(self, minutes: int) -> None:
        self.travel.by(minutes * MINUTE)

    def action_event(self, step: int) -> None:
        self.travel.event(step)

    def action_freeze(self) -> None:
        self.context.frozen = not self.context.frozen
        self._fresh = 0
        if not self.context.frozen:
            self.view.thawed()
        self.refresh_bars()

    def action_refresh(self) -> None:
        if not self.context.link.online:
            self.context.link.retry()
            return
        names = self.view.targets()
        if not self.view.ask_again() and names:
            self.orders.refresh(names)

    async def action_back(self) -> None:
        if not self.view.back() and self._trail:
            name = self._trail.pop()
            trail, last = list(self._trail), self._last
            await self.show_view(name)
            self._trail, self._last = trail, last
        self.refresh_bars()

    def action_interrupt(self) -> None:
        """ctrl+c ends nothing here; it says what does, and asks when it is pressed again."""
        now = self.context.store.clock()
        if now - self._interrupted <= TWICE:
            self.orders.ask_to_leave()
            return
        self._interrupted = now
        key = self.context.keymap.first("global.quit")
        self.tell(f"{key} leaves the screen; ctrl+c again asks for it. In a console, i lets ctrl+c reach the machine.")

    async def action_quit(self) -> None:
        if self._trail:
            await self.action_back()
            return
        self.orders.ask_to_leave()

    def action_zoom(self) -> None:
        self.view.zoom(True)

    def action_unzoom(self) -> None:
        self.view.zoom(False)
