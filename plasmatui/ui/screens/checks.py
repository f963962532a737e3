"""The checklist before a deployment: asked of machines and servers, shown as the answers come. It changes nothing."""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.ui.checklines import check_lines, progress_parts
from plasmatui.ui.lines import LinesPane, Part
from plasmatui.ui.prompt import PromptUse
from plasmatui.ui.screens.acting import ActingView
from plasmatui.ui.store import Dirt, Topic

AGES = 5.0
"""Seconds between two updates of what only time changes."""


class ChecksView(ActingView):
    """See the module. A run goes on while another view is in sight."""

    SCOPE = "checks"

    def compose(self) -> ComposeResult:
        self.pane = LinesPane(wrap=True)
        self._filter = ""
        self._asking: asyncio.Task[None] | None = None
        yield self.pane

    def on_mount(self) -> None:
        self.set_interval(AGES, self._tick, name="check-ages")

    def _tick(self) -> None:
        if self.is_in_sight and not self.context.frozen:
            self._redraw()

    def focus_view(self) -> None:
        self.pane.focus()

    def shown(self) -> None:
        super().shown()
        if not self.context.store.checklist.begin:
            self.action_run()

    def update_view(self, dirt: Dirt) -> None:
        if Topic.CHECKS in dirt.topics:
            self._redraw()

    def _redraw(self) -> None:
        self.pane.set_lines(check_lines(self.context, self._filter))
        self.main.refresh_bars()

    def crumbs(self) -> list[Part]:
        parts = progress_parts(self.context)
        return [parts[0], (f"/{self._filter}  ", "role-busy"), *parts[1:]] if self._filter else parts

    def back(self) -> bool:
        """Cancels the run, then clears the filter."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
        elif self._filter:
            self._use("")
        else:
            return False
        return True

    def targets(self) -> tuple[str, ...]:
        return ()

    # The run

    async def _ask(self) -> None:
        store, problem = self.context.store, "cancelled"
        try:
            async for answer in self.context.link.stream(wire.AskChecks()):
                store.take_check(answer)
            problem = ""
        except EngineError as error:
            problem = error.problem.message
            raise
        except EngineUnreachableError as error:
            problem = str(error)
            raise
        finally:
            store.end_checks(problem)

    # Actions

    def action_run(self) -> None:
        if self._asking is not None and not self._asking.done():
            self.main.tell("the checklist is being gone through; esc cancels it")
            return
        self.context.store.begin_checks()
        self._asking = self.main.spawn(self._ask(), "checklist")

    def action_copy_fix(self) -> None:
        seen = self.context.store.checklist.seen.get(self.pane.cursor)
        if seen is None or not seen.answer.fix:
            self.main.tell("nothing to copy: choose a check that has a fix", "warning")
            return
        self.copy(seen.answer.fix)

    def action_filter(self) -> None:
        before = self._filter

        def undo() -> None:
            self._use(before)

        self.main.ask(PromptUse("/", self._use, change=self._use, cancel=undo, value=before))

    def _use(self, text: str) -> str:
        self._filter = text
        self._redraw()
        return ""

    def action_move(self, steps: int) -> None:
        self.pane.move(steps)

    def action_page(self, pages: float) -> None:
        self.pane.page(pages)

    def action_ends(self, direction: int) -> None:
        self.pane.ends(direction)
