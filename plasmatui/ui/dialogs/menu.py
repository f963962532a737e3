"""Menus: choose one of several, with arrows and enter, or by the letter in front."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from plasmatui.text import clean_line
from plasmatui.ui.dialogs.base import Dialog


@dataclass(frozen=True)
class MenuItem:
    """An entry; `disabled` says why it cannot be chosen."""

    id: str
    title: str
    note: str = ""
    disabled: str = ""


class MenuDialog(Dialog[str]):
    """Gives back the id of the entry chosen, or None."""

    LETTERS = string.digits[1:] + "abcdefghilmopqrstuvwxz"

    def __init__(self, title: str, items: Sequence[MenuItem]) -> None:
        super().__init__(title)
        self._items = tuple(items)
        self._list = OptionList(*(self._option(place, item) for place, item in enumerate(self._items)), markup=False)

    def contents(self) -> Sequence[Widget]:
        return (self._list,)

    def on_mount(self) -> None:
        self._list.focus()
        self._list.highlighted = next((i for i, item in enumerate(self._items) if not item.disabled), None)

    def _option(self, place: int, item: MenuItem) -> Option:
        letter = self.LETTERS[place] if place < len(self.LETTERS) else " "
        text = f"{letter}  {clean_line(item.title, 200)}"
        note = clean_line(item.disabled or item.note, 200)
        return Option(Content(f"{text}   {note}" if note else text), id=str(place), disabled=bool(item.disabled))

    async def pressed(self, key: str) -> bool:
        if key in ("j", "k"):
            self._list.action_cursor_down() if key == "j" else self._list.action_cursor_up()
            return True
        place = self.LETTERS.find(key) if len(key) == 1 else -1
        if 0 <= place < len(self._items):
            if not self._items[place].disabled:
                self.dismiss(self._items[place].id)
            return True
        return await super().pressed(key)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._items[int(event.option.id or 0)].id)


class ActionMenu(MenuDialog):
    """All acts on the chosen nodes; each opens its own dialog."""
