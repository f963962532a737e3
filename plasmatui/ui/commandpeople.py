"""The words of the `:` line about other operators: who, audit, note, lock, unlock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from plasmatui.ui.actions import BY_ID

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen

Sets = Callable[[list[str]], tuple[str, ...]]

PEOPLE_FLAGS = {"note": ("--clear",), "lock": (), "unlock": ("--break-lock",), "audit": ()}
"""Words that take nodes, with their options."""


class PeopleWords:
    """Does these commands for one main screen. `sets` resolves node sets."""

    def __init__(self, main: MainScreen, sets: Sets) -> None:
        self._main = main
        self._sets = sets
        self.commands: dict[str, Callable[[list[str]], object]] = {
            "who": lambda words: main.people.who(),
            "audit": self._audit,
            "note": self._note,
            "lock": self._lock,
            "unlock": self._unlock,
        }

    def _audit(self, words: list[str]) -> None:
        names = self._sets(words) if words else ()
        if len(names) == 1:
            self._main.spawn(self._main.open_node(names[0], "audit"), "audit")
        else:
            self._main.action_command_log(" ".join(words))

    def _note(self, words: list[str]) -> None:
        self._allowed("nodes.note")
        names = self._sets(words[:1])
        if len(names) != 1:
            raise ValueError(f"expected one node, found {len(names)}")
        if words[1:] == ["--clear"]:
            self._main.people.clear_notes(names[0])
        elif words[1:]:
            self._main.people.write_note(names[0], " ".join(words[1:]))
        else:
            self._main.people.note(names)

    def _lock(self, words: list[str]) -> None:
        self._allowed("nodes.lock")
        names = self._sets(words[:1])
        if words[1:]:
            self._main.people.put_lock(names, " ".join(words[1:]))
        else:
            self._main.people.lock(names)

    def _unlock(self, words: list[str]) -> None:
        self._allowed("nodes.lock")
        sets = [word for word in words if not word.startswith("--")]
        flags = set(words) - set(sets)
        if flags - {"--break-lock"}:
            raise ValueError("the only option is --break-lock")
        self._main.people.unlock(self._sets(sets), break_lock=bool(flags))

    def _allowed(self, action_id: str) -> None:
        if reason := self._main.context.disabled(BY_ID[action_id]):
            raise ValueError(reason)
