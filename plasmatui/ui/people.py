"""The screen's hand for the other operators: says where one is, shows who is there, notes and locks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from plasmatui.client import EngineError, EngineUnreachableError
from plasmatui.inventory.nodesets import fold
from plasmatui.model import wire
from plasmatui.model.words import Role
from plasmatui.ui.bars import clock_text
from plasmatui.ui.lines import text_line

if TYPE_CHECKING:
    from plasmatui.ui.screens.main import MainScreen


class People:
    """See the module."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._told: tuple[float, str] = (0.0, "")

    def here(self, place: str) -> None:
        """Tell the others what this screen shows; nothing is sent when they know."""
        link = self._main.context.store.link
        if link.online and self._told != (link.since, place):
            self._told = (link.since, place)
            self._main.spawn(self._tell(place), "here")

    async def _tell(self, place: str) -> None:
        with contextlib.suppress(EngineError, EngineUnreachableError):  # nobody waits for it
            await self._main.context.link.ask(wire.Here(place))

    def who(self) -> None:
        """Show who is attached."""
        from plasmatui.ui.dialogs.people import WhoDialog

        self._main.app.push_screen(WhoDialog())

    # Notes

    def note(self, targets: tuple[str, ...]) -> None:
        """Ask for a note about a node."""
        from plasmatui.ui.dialogs.people import NoteDialog

        if len(targets) != 1:
            self._main.tell("a note is about one node: clear the marks, or write :note NODE TEXT", "warning")
            return
        (name,) = targets

        def written(text: str | None) -> None:
            if text:
                self.write_note(name, text)

        notes = [
            text_line((f"  {clock_text(note.wall)} {note.by}: ", "role-muted"), (note.text, ""))
            for note in self._main.context.store.state(name).notes
        ]
        self._main.app.push_screen(NoteDialog(name, notes), written)

    def write_note(self, name: str, text: str) -> None:
        """Add a note."""
        self._send(wire.PutNote(name, text), f"{name}: the note is kept")

    def clear_notes(self, name: str) -> None:
        """Take all notes of a node away."""
        self._send(wire.PutNote(name, clear=True), f"{name}: its notes were cleared")

    # Locks

    def lock(self, targets: tuple[str, ...]) -> None:
        """Ask for the reason of a lock; nodes that are all locked are unlocked instead, after a question."""
        from plasmatui.ui.dialogs.base import ConfirmDialog
        from plasmatui.ui.dialogs.people import LockDialog

        store = self._main.context.store
        locks = [(name, lock) for name in targets if (lock := store.state(name).lock) is not None]
        if not targets:
            self._main.tell("no node is chosen", "warning")
        elif len(locks) == len(targets):
            lines = [f"{name}: locked by {lock.by}: {lock.reason}" for name, lock in locks]
            lines += ["", "Others may act on them again. A lock of somebody else is broken, which only an admin may."]

            def answered(yes: bool | None) -> None:
                if yes:
                    welcome = store.welcome
                    self.unlock(targets, break_lock=welcome is not None and welcome.role is Role.ADMIN)

            self._main.app.push_screen(ConfirmDialog(f"Unlock {fold(targets)}", lines), answered)
        else:

            def given(reason: str | None) -> None:
                if reason:
                    self.put_lock(targets, reason)

            self._main.app.push_screen(LockDialog(targets), given)

    def put_lock(self, names: tuple[str, ...], reason: str) -> None:
        """Lock nodes."""
        self._send(wire.LockNodes(names, reason), f"{fold(names)}: locked")

    def unlock(self, names: tuple[str, ...], *, break_lock: bool = False) -> None:
        """Unlock nodes."""
        self._send(wire.UnlockNodes(names, break_lock), f"{fold(names)}: unlocked")

    def _send(self, body: wire.RequestBody, told: str) -> None:
        async def send() -> None:
            await self._main.context.link.ask(body)
            self._main.tell(told)

        self._main.spawn(send(), told)
