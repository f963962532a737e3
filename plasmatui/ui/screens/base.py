"""What all views have in common: a scope of keys, one timer that brings them up to date, and a way back."""

from __future__ import annotations

from typing import ClassVar

from textual.containers import Vertical
from textual.timer import Timer

from plasmatui.ui.context import Context, context_of
from plasmatui.ui.lines import Part
from plasmatui.ui.store import Dirt, Watcher

PERIOD = 0.1
"""Seconds between two updates of a view at most."""


class View(Vertical):
    """A view of the main screen. Hidden views draw nothing and are brought up to date when they are shown."""

    SCOPE: ClassVar[str] = ""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's word
        super().__init__(id=id)
        self._watcher: Watcher | None = None
        self._timer: Timer | None = None
        self._shown = False
        self._waiting = False

    @property
    def context(self) -> Context:
        return context_of(self)

    def on_mount(self) -> None:
        self._watcher = self.context.store.watch(self._changed)

    def on_unmount(self) -> None:
        if self._watcher is not None:
            self._watcher.close()

    @property
    def footer(self) -> str:
        """The scope whose keys the footer shows."""
        return self.SCOPE

    @property
    def is_in_sight(self) -> bool:
        """Whether this is the view that the main screen shows."""
        return self._shown

    def shown(self) -> None:
        """The view came into sight."""
        self._shown = True
        self._flush()
        self.focus_view()

    def hidden(self) -> None:
        """The view went out of sight."""
        self._shown = False

    def thawed(self) -> None:
        """Updates go on."""
        self._flush()

    def catch_up(self) -> None:
        """Show what changed now, not when its time has come."""
        self._flush()

    def _changed(self) -> None:
        self._waiting = True
        if self._shown and self._timer is None and not self.context.frozen:
            self._timer = self.set_timer(PERIOD, self._flush, name=f"{self.SCOPE}-flush")

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._waiting and self._shown and self._watcher is not None and not self.context.frozen:
            self._waiting = False
            self.update_view(self._watcher.take())

    def update_view(self, dirt: Dirt) -> None:
        """Show what changed."""

    def focus_view(self) -> None:
        """Put the focus where the view's keys are."""

    def crumbs(self) -> list[Part]:
        """What the second line says of the view."""
        return []

    def back(self) -> bool:
        """Undo the last narrowing; False when there is none."""
        return False

    def targets(self) -> tuple[str, ...]:
        """The nodes that an order from this view goes to."""
        return self.context.targets()

    def log_filter(self) -> str:
        """What the command log is narrowed to when it is opened from here."""
        return ""

    def place(self) -> str:
        """What the others are told that this screen shows."""
        return self.SCOPE

    def ask_again(self) -> bool:
        """Ask the BMC again for what is in sight; False when the view shows no such thing."""
        return False

    def zoom(self, on: bool) -> None:
        """Make the pane in use larger or smaller."""
