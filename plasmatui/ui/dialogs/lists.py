"""Texts to read, and the help among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.widget import Widget
from textual.widgets import Input

from plasmatui.ui.actions import ACTIONS, SCOPES
from plasmatui.ui.dialogs.base import Answer, Dialog
from plasmatui.ui.lines import LinesPane, TextLine, text_line
from plasmatui.ui.store import Watcher


class ListDialog(Dialog[Answer]):
    """Lines that scroll; enter gives back what the chosen one stands for."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.add_class("tall")
        self.pane = LinesPane(id="list", wrap=True)
        self._watcher: Watcher | None = None

    def contents(self) -> Sequence[Widget]:
        return (self.pane,)

    def on_mount(self) -> None:
        self.contents()[0].focus()
        self._watcher = self.context.store.watch(self._changed)

    def on_unmount(self) -> None:
        if self._watcher is not None:
            self._watcher.close()

    def _changed(self) -> None:
        self.call_later(self._update)

    def _update(self) -> None:
        if self._watcher is not None and self.is_attached:
            self._watcher.take()
            self.pane.set_lines(self.lines())

    def lines(self) -> list[TextLine]:
        """What is shown."""
        return []

    def chosen(self) -> Answer | None:
        """What the line under the cursor stands for."""
        return None

    async def pressed(self, key: str) -> bool:
        moves = {"down": 1, "j": 1, "up": -1, "k": -1}
        if key in moves:
            self.pane.move(moves[key])
        elif key in ("pgdn", "pgup", "ctrl+f"):
            self.pane.page(-1 if key == "pgup" else 1)
        elif key in ("home", "g", "end", "G"):
            self.pane.ends(-1 if key in ("home", "g") else 1)
        elif key == "enter":
            self.dismiss(self.chosen())
        elif key in ("q", "esc"):
            self.cancel()
        else:
            return await super().pressed(key)
        return True


class KeyDialog(ListDialog[str]):
    """Gives back the key of the line under the cursor."""

    def chosen(self) -> str | None:
        return self.pane.cursor or None


class HelpDialog(KeyDialog):
    """Keys and what they do, from the registry; what is typed into the line narrows it."""

    INPUT_KEYS: ClassVar[frozenset[str]] = frozenset(("escape", "up", "down", "pageup", "pagedown"))

    def __init__(self, scope: str) -> None:
        super().__init__(f"Keys: {SCOPES[scope]}   type to search, esc closes")
        self._scope = scope
        self._search = Input(placeholder="search", id="search", select_on_focus=False)
        self._search.cursor_blink = False

    def contents(self) -> Sequence[Widget]:
        return (self._search, self.pane)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.pane.set_lines(self.lines())

    def lines(self) -> list[TextLine]:
        words = self._search.value.lower().split()
        lines: list[TextLine] = []
        scopes = (self._scope, "global", *(("writing",) if self._scope == "consoles" else ()), "dialog")
        for scope in dict.fromkeys(scopes):
            found = []
            for action in ACTIONS:
                keys = " ".join(self.context.keymap.keys(action.id)) or "-"
                text = f"{keys} {action.title} {action.help} {action.id} {action.word}".lower()
                if action.scope != scope or not all(word in text for word in words):
                    continue
                level = f"  acts, level {action.confirm}" if action.acts else ""
                reason = self.context.disabled(action)
                found.append(
                    text_line(
                        (f" {keys:<16} ", "bold role-write" if action.acts else "bold role-busy"),
                        (action.title, "dim" if reason else ""),
                        (level, "role-warning"),
                        (f"  not now: {reason}" if reason else "", "role-error"),
                        (f"  :{action.word}" if action.word else "", "role-muted"),
                    )
                )
                if action.help:
                    found.append(text_line((f" {'':<16} {action.help}", "role-muted")))
            if found:
                lines += [text_line((SCOPES[scope], "bold")), *found, text_line(("", ""))]
        return lines or [text_line(("nothing found", "role-muted"))]
