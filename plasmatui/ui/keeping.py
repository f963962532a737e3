"""Where an operator left the screen, kept for when it is opened again: after a line that broke, or the next morning.

Marks are not kept: what an order goes to is chosen by the person who gives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from plasmatui.paths import UnsafeDirectoryError, make_private
from plasmatui.ui.columns import BY_ID

if TYPE_CHECKING:
    from plasmatui.ui.app import PlasmatuiApp
    from plasmatui.ui.screens.main import MainScreen
    from plasmatui.ui.screens.nodes import NodesView

HISTORY = 100
"""Lines of the command line that are kept."""

PERIOD = 5.0
"""Seconds between two looks at whether something is to be kept."""

RESTORED = ("nodes", "consoles", "logs", "operations", "health", "boot", "node")
"""Views that are gone back to."""


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept. `theme` is one that `:theme` chose; `pane` None leaves the pane to the size of the screen."""

    view: str = "nodes"
    node: str = ""
    tab: str = ""
    filter: str = ""
    order: str = "node"
    reverse: bool = False
    problems: bool = False
    wide: bool = False
    pane: bool | None = None
    theme: str = ""
    history: tuple[str, ...] = ()


def read(path: Path | None) -> Kept:
    """What was kept; nothing when there is no file, or none that can be used."""
    if path is None:
        return Kept()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return Kept()


def write(path: Path, kept: Kept) -> None:
    """Keep it, whole or not at all. Where it cannot be written there is nothing to go back to, which stops nobody."""
    temporary = path.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError, UnsafeDirectoryError):
        make_private(path.parent)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept))
        temporary.replace(path)


class Keeper:
    """Takes the screen back to where it was, and notes where it is."""

    def __init__(self, main: MainScreen) -> None:
        self._main = main
        self._path = main.context.options.keep
        self._kept = read(self._path)
        self._going_back = True
        self._app = cast("PlasmatuiApp", main.app)
        main.context.history[:0] = self._kept.history
        if self._kept.theme and not main.context.options.theme:
            self._app.set_theme(self._kept.theme)
        if self._path is not None:
            main.set_interval(PERIOD, self._look, name="keep-place")

    def go_back(self) -> None:
        """Once, as soon as there are nodes: what was shown then is shown again."""
        if not self._going_back or not self._main.context.store.nodes:
            return
        self._going_back = False
        kept = self._kept
        self._nodes_view().go_back_to(kept)
        if kept.view in RESTORED[1:] and self._main.view_name == "nodes":
            self._main.spawn(self._open(kept), "go back")

    async def _open(self, kept: Kept) -> None:
        if kept.view == "node":
            if kept.node in self._main.context.store.nodes:
                await self._main.open_node(kept.node, kept.tab)
        elif kept.view == "consoles":
            await self._main.action_view("consoles")
        else:
            await self._main.show_view(kept.view)

    def _look(self) -> None:
        now = self._now()
        if now != self._kept and self._path is not None:
            self._kept = now
            self._main.spawn(asyncio.to_thread(write, self._path, now), "keep place")

    def leave(self) -> None:
        """The screen is closed."""
        if self._path is not None and not self._going_back:
            write(self._path, self._now())

    def _now(self) -> Kept:
        if self._going_back:
            return self._kept
        main, context = self._main, self._main.context
        nodes, name = self._nodes_view(), self._main.view_name
        shown = main.shown_node()
        return Kept(
            name if name in RESTORED else "nodes",
            shown[0] or context.current,
            shown[1],
            nodes.filter.text,
            nodes.order_by,
            nodes.reverse,
            nodes.only_problems,
            nodes.all_columns,
            nodes.pane_wanted,
            self._app.theme_chosen or self._kept.theme,
            tuple(context.history[-HISTORY:]),
        )

    def _nodes_view(self) -> NodesView:
        from plasmatui.ui.screens.nodes import NodesView

        return self._main.switcher.get_child_by_id("nodes", NodesView)


def usable_order(order: str) -> str:
    """The column, or the usual one when there is no such column any more."""
    return order if order in BY_ID else "node"
