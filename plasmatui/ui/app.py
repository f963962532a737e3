"""The application: puts context, themes, screen and signals together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual.app import ScreenStackError
from textual.filter import LineFilter
from textual.notifications import Notify
from textual.screen import Screen
from textual.theme import Theme

from plasmatui.ui import crash, themes
from plasmatui.ui.asciifilter import AsciiFilter
from plasmatui.ui.context import Context, ContextApp
from plasmatui.ui.feeds import ConsoleHub
from plasmatui.ui.glyphs import Glyphs
from plasmatui.ui.hangup import leave_on_signals
from plasmatui.ui.keymap import load_keymap
from plasmatui.ui.link import Link
from plasmatui.ui.options import TuiOptions
from plasmatui.ui.resume import resume_after_stops
from plasmatui.ui.screens.main import MainScreen
from plasmatui.ui.store import Store
from plasmatui.ui.toasts import too_many
from plasmatui.ui.typeahead import TypeAheadApp
from plasmatui.ui.widgets import chops


class PlasmatuiApp(TypeAheadApp, ContextApp, inherit_bindings=False):  # a priority ctrl+q would never reach a console
    """The screen. Everything that it shows comes from the engine through the store."""

    CSS_PATH: ClassVar[list[str]] = ["app.tcss", "dialogs.tcss"]  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "plasmatui"

    def __init__(self, options: TuiOptions, *, clock: Callable[[], float] = time.time) -> None:
        self.no_colour = bool(os.environ.get("NO_COLOR"))
        found, self._theme_problems = themes.load_themes()
        self._few = themes.few_colours()
        name = themes.wanted(options.theme)
        super().__init__(ansi_color=True if name in found and found[name].theme.ansi else None)
        self.set_reactive(ContextApp.ansi_color, None)
        keymap, self._keymap_problems = load_keymap()
        store = Store(clock)
        link = Link(store, options.connector())
        self.context = Context(options, store, link, ConsoleHub(link), keymap, Glyphs(options.ascii), store.now)
        link.on_online = self.context.hub.resume
        for file in found.values():
            self.register_theme(file.theme)
        self.theme_names = tuple(found)
        if name in found:
            self.theme = name
        else:
            self._theme_problems.append(f"no theme {name!r}; themes: {', '.join(found)}")
            self.theme = themes.DEFAULT if themes.DEFAULT in found else "textual-dark"
        self.theme_chosen = ""
        self._link_task: asyncio.Task[None] | None = None
        self.crash_lines: tuple[str, ...] = ()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours of the roles, for Textual's own themes and for themes that leave some out."""
        return {f"role-{role}": "ansi_default" for role in themes.ROLES}

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own filters, and ours for `--ascii`."""
        filters = super().get_line_filters()
        return [*filters, AsciiFilter()] if self.context.options.ascii else filters

    def _theme_changed(self, theme: Theme) -> None:
        """A terminal of few colours may show the background of a theme's cursor as any other: it is reversed there."""
        self.set_class(self._few and not theme.ansi, "few")

    def get_default_screen(self) -> Screen[object]:
        return MainScreen(id="main")

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._theme_changed, immediate=True)
        self._theme_changed(self.current_theme)
        self._link_task = asyncio.create_task(self.context.link.run(), name="engine-link")
        self._link_task.add_done_callback(self._link_ended)
        if not self.is_headless:
            leave_on_signals(self.exit)
            resume_after_stops(self)
        for title, problems in (("Themes", self._theme_problems), ("Keymap", self._keymap_problems)):
            if problems:
                self.notify("\n".join(problems[:6]), title=title, severity="warning", timeout=15, markup=False)

    def exit(self, result: int | None = None, return_code: int = 0, message: Any = None) -> None:
        """Leave; where the screen was is kept."""
        for screen in self.screen_stack:
            if isinstance(screen, MainScreen) and screen.opened:
                screen.keeper.leave()
        super().exit(result, return_code, message)

    async def on_unmount(self) -> None:
        """Leave the engine; it goes on."""
        await self.context.hub.stop()
        if self._link_task is not None:
            self._link_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._link_task

    def on_notify(self, event: Notify) -> None:
        """A toast comes; older ones make room for it."""
        for notification in too_many(self._notifications, self.size.height):
            self._unnotify(notification, refresh=False)

    def _link_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, Exception)
            self._handle_exception(error)

    def set_theme(self, name: str) -> str:
        """Use a theme; returns what is wrong, "" when nothing is."""
        if name not in self.theme_names:
            return f"no theme {name!r}; themes: {', '.join(self.theme_names)}"
        if self.no_colour and name != themes.SIXTEEN:
            return "NO_COLOR is set: only the theme ansi-16 sends no colours"
        self.theme = self.theme_chosen = name
        return ""

    def _handle_exception(self, error: Exception) -> None:
        """Write a crash file and two lines instead of a traceback with the values of variables."""
        self._return_code = 1
        if self._exception is None:  # a test under Pilot raises it again
            self._exception = error
            self._exception_event.set()
        screen = ""
        with contextlib.suppress(ScreenStackError):
            screen = type(self.screen).__name__
        if not self.crash_lines:  # what fails after the first error fails because of it
            self.crash_lines = crash.report(error, screen)
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        """Nothing: `run_tui` says what there is to say, in two lines."""
        self._exit_renderables.clear()


def run_tui(options: TuiOptions) -> int:
    """Open the screen on this terminal and stay until the operator leaves it. Returns the exit code."""
    chops.install()
    app = PlasmatuiApp(options)
    result = app.run(mouse=options.mouse)
    for line in app.crash_lines:
        sys.stderr.write(f"{line}\n")
    return result if isinstance(result, int) else app.return_code or 0
