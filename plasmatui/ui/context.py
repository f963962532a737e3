"""What every view and dialog of the screen shares, and the kind of app that carries it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from textual.dom import DOMNode

from plasmatui.model.words import Role
from plasmatui.ui.actions import Action
from plasmatui.ui.glyphs import Glyphs
from plasmatui.ui.keymap import Keymap
from plasmatui.ui.pacing import PacedApp
from plasmatui.ui.past import not_of_the_past
from plasmatui.ui.store import Store

if TYPE_CHECKING:
    from plasmatui.ui.feeds import ConsoleHub
    from plasmatui.ui.link import Link
    from plasmatui.ui.options import TuiOptions


@dataclass
class Context:
    """Shared by everything on the screen. `marks` are the marked nodes, `current` the one under the grid's cursor,
    `ordered` those of the last order, until the cursor moves."""

    options: TuiOptions
    store: Store
    link: Link
    hub: ConsoleHub
    keymap: Keymap
    glyphs: Glyphs
    clock: Callable[[], float]
    marks: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    current: str = ""
    ordered: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    frozen: bool = False
    history: list[str] = field(default_factory=list)

    @property
    def read_only(self) -> bool:
        welcome = self.store.welcome
        return self.options.read_only or (welcome is not None and welcome.read_only)

    @property
    def role(self) -> Role:
        """What this client may do with the engine."""
        return self.store.welcome.role if self.store.welcome is not None else Role.ADMIN

    def disabled(self, action: Action) -> str:
        """Why an action cannot be done now, "" when it can."""
        if not self.role.covers(action.role):
            return f"needs the role {action.role}; you are {self.role} here"
        if not action.acts:
            return ""
        if self.read_only:
            return "read-only: started with --read-only"
        if not self.store.link.online:
            return "the engine is not connected"
        if self.store.past is not None:
            return not_of_the_past(self.store.past)
        return ""

    def cli(self, *words: str) -> str:
        """A command line for the rack that is shown, as it can be pasted into a shell."""
        return shlex.join((*self.options.command, *words))

    def same_as(self, command: str) -> str:
        """The engine's command line `plasmatui ...` for the rack that is shown: it does not know how we were called."""
        return f"{shlex.join(self.options.command)}{command.removeprefix('plasmatui')}"

    def targets(self) -> tuple[str, ...]:
        """Nodes that an order would go to: the marked ones in the grid's order, else the one under the cursor."""
        if self.marks:
            shown = [name for name in self.order if name in self.marks]
            return (*shown, *sorted(self.marks - set(shown)))
        return (self.current,) if self.current in self.store.nodes else ()


class ContextApp(PacedApp[int]):
    """An app with a context."""

    context: Context


def context_of(node: DOMNode) -> Context:
    """The context of the app that a widget or screen belongs to."""
    return cast(ContextApp, node.app).context
