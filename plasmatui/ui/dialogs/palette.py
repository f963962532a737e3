"""The palette: every action that the view in sight has, found by typing part of its name."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from plasmatui.ui.actions import ACTIONS, BY_ID, Action
from plasmatui.ui.dialogs.base import Dialog


def score(words: list[str], action: Action) -> int:
    """How well an action fits; 0 when it does not. The begin of a word counts more than its middle."""
    text = f"{action.title} {action.id} {action.word} {action.help}".lower()
    total = 1
    for word in words:
        if word not in text:
            return 0
        total += 4 if action.title.lower().startswith(word) else 2 if f" {word}" in f" {action.title.lower()}" else 1
    return total


class PaletteDialog(Dialog[Action]):
    """Gives back the action chosen, or None."""

    def __init__(self, scope: str) -> None:
        super().__init__("Palette")
        self._scope = scope
        self._search = Input(placeholder="what is to be done", id="search", select_on_focus=False)
        self._search.cursor_blink = False
        self._list = OptionList(markup=False)
        self._list.can_focus = False

    def contents(self) -> Sequence[Widget]:
        return (self._search, self._list)

    def on_mount(self) -> None:
        self._search.focus()
        self._fill("")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._fill(event.value)

    def _fill(self, text: str) -> None:
        words = text.lower().split()
        actions = [action for action in ACTIONS if action.call and action.scope in (self._scope, "global")]
        scored = [(score(words, action), action) for action in actions]
        found = [action for points, action in sorted(scored, key=lambda pair: -pair[0]) if points]
        self._list.clear_options()
        self._list.add_options(self._option(action) for action in found)
        self._list.highlighted = 0 if found else None

    def _option(self, action: Action) -> Option:
        key = self.context.keymap.first(action.id)
        reason = self.context.disabled(action)
        note = f"  ({reason})" if reason else f"  level {action.confirm}" if action.acts else ""
        return Option(Content(f"{key:<10} {action.title}{note}"), id=action.id)

    async def on_key(self, event: events.Key) -> None:
        if event.key in ("up", "down"):
            self._list.action_cursor_up() if event.key == "up" else self._list.action_cursor_down()
            event.stop()
            event.prevent_default()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        place = self._list.highlighted
        if place is not None:
            self._choose(self._list.get_option_at_index(place))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(event.option)

    def _choose(self, option: Option) -> None:
        self.dismiss(BY_ID[option.id or ""])
