"""What is shown when the screen cannot open: what is missing or wrong, where, and what may be done about it by keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.filter import LineFilter
from textual.screen import Screen

from plasmatui.inventory.starter import write_starter
from plasmatui.paths import UnsafeDirectoryError
from plasmatui.ui import themes
from plasmatui.ui.actions import ACTIONS, Action
from plasmatui.ui.asciifilter import AsciiFilter
from plasmatui.ui.hangup import leave_on_signals
from plasmatui.ui.keymap import Keymap, load_keymap, typed
from plasmatui.ui.lines import Line, LinesPane, Part, TextLine, text_line
from plasmatui.ui.pacing import PacedApp, PacedScreen


class Wish(StrEnum):
    """What the operator wants next."""

    SIM = "sim"
    AGAIN = "again"
    LEAVE = "leave"


@dataclass(frozen=True)
class Trouble:
    """Why the screen cannot open.

    Attributes:
        title: in one line.
        lines: what was looked at, or each mistake with its place.
        starter: where a first inventory may be written, None when there is a file already.
    """

    title: str
    lines: tuple[str, ...]
    starter: Path | None = None


class WelcomeScreen(PacedScreen[object]):
    """See the module."""

    AUTO_FOCUS = ""

    def __init__(self, trouble: Trouble, keymap: Keymap, leave: Callable[[Wish], None]) -> None:
        super().__init__(id="welcome")
        self._trouble = trouble
        self._keymap = keymap
        self._leave = leave
        self._said: tuple[TextLine, ...] = ()
        self._status = Line(id="status")
        self._keys = Line(id="keys")
        self.pane = LinesPane(wrap=True)

    def compose(self) -> ComposeResult:
        yield self._status
        yield self.pane
        yield self._keys

    def on_mount(self) -> None:
        self.pane.focus()
        self._status.say([(" plasmatui  mission control for bare metal", "bold")])
        self._draw()

    def _actions(self) -> list[Action]:
        """What can be done here now."""
        writable = self._trouble.starter is not None
        return [a for a in ACTIONS if a.scope == "start" and a.call and (writable or a.id != "start.write")]

    def _draw(self) -> None:
        lines = [text_line(("", "")), text_line((f" {self._trouble.title}", "bold role-warning"))]
        lines += [text_line((f"   {line}", "")) for line in self._trouble.lines]
        lines.append(text_line(("", "")))
        if self._said:
            lines += [*self._said, text_line(("", ""))]
        for action in self._actions():
            key = self._keymap.first(action.id)
            lines.append(text_line((f"   {key:<6} ", "bold role-busy"), (action.title, "bold")))
            about = action.help
            if action.id == "start.write":
                about = f"{self._trouble.starter}: {about}"
            lines.append(text_line((f"          {about}", "role-muted")))
        self.pane.set_lines(lines)
        footer: list[Part] = []
        for action in self._actions():
            footer += [(f" {self._keymap.first(action.id)}", "bold role-busy"), (f" {action.footer} ", "")]
        self._keys.say(footer)

    async def on_key(self, event: events.Key) -> None:
        key = typed(event.key, event.character)
        action = self._keymap.find("start", key)
        scroll = {"down": 1, "up": -1, "pgdn": 10, "pgup": -10}
        if key in scroll:
            self.pane.scroll_relative(y=scroll[key], animate=False, force=True)
        elif action is not None and action in self._actions():
            await self.app.run_action(action.call, self)
        else:
            return
        event.stop()
        event.prevent_default()

    def action_sim(self) -> None:
        self._leave(Wish.SIM)

    def action_again(self) -> None:
        self._leave(Wish.AGAIN)

    def action_leave(self) -> None:
        self._leave(Wish.LEAVE)

    def action_docs(self) -> None:
        from plasmatui.ui.screens.docs import DocsScreen

        self.app.push_screen(DocsScreen())

    def action_write(self) -> None:
        """Write the starter where the trouble says; it is never written over a file."""
        assert self._trouble.starter is not None
        try:
            path = write_starter(self._trouble.starter)
        except (OSError, UnsafeDirectoryError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._said = (text_line((f" It cannot be written: {self._trouble.starter}: {why}", "bold role-error")),)
        else:
            again = self._keymap.first("start.again")
            self._trouble = Trouble(
                f"A first inventory was written to {path}",
                (
                    "1. Edit it in another terminal: the addresses of your BMCs, their user.",
                    f"2. plasmatui -i {path} check   names every mistake with its place.",
                    "3. Leave, set the variable PLASMATUI_BMC_PASSWORD, and start plasmatui again. Where the inventory",
                    f"   names a file for the password, {again} is enough: the screen opens, and the BMCs are asked.",
                ),
            )
            self._said = ()
        self._draw()


class WelcomeApp(PacedApp[Wish], inherit_bindings=False):
    """An app of one screen, in place of the one that cannot open."""

    CSS_PATH: ClassVar[list[str]] = ["app.tcss"]  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "plasmatui"

    def __init__(self, trouble: Trouble, *, theme: str = "", ascii_only: bool = False) -> None:
        found, _ = themes.load_themes()
        name = themes.wanted(theme)
        name = name if name in found else themes.DEFAULT
        super().__init__(ansi_color=True if name in found and found[name].theme.ansi else None)
        self._trouble = trouble
        self._ascii = ascii_only
        for file in found.values():
            self.register_theme(file.theme)
        self.theme = name if name in found else "textual-dark"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {f"role-{role}": "ansi_default" for role in themes.ROLES}

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, AsciiFilter()] if self._ascii else filters

    def get_default_screen(self) -> Screen[object]:
        keymap, _ = load_keymap()
        return WelcomeScreen(self._trouble, keymap, self.exit)

    def on_mount(self) -> None:
        if not self.is_headless:
            leave_on_signals(lambda code: self.exit(Wish.LEAVE, code))


def welcome(trouble: Trouble, *, theme: str = "", ascii_only: bool = False, mouse: bool = True) -> Wish:
    """Show it on this terminal until the operator has chosen.

    Raises:
        KeyboardInterrupt: a signal ended it.
    """
    app = WelcomeApp(trouble, theme=theme, ascii_only=ascii_only)
    wish = app.run(mouse=mouse)
    if app.return_code:
        raise KeyboardInterrupt
    return wish or Wish.LEAVE
