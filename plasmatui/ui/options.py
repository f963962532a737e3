"""What the program that starts the screen tells it. Imports no Textual, so that the command line stays quick."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

from plasmatui.client import connect, connect_or_start
from plasmatui.model import wire
from plasmatui.paths import engine_paths


class Engine(Protocol):
    """The part of `EngineClient` that the screen uses; tests give an invented one."""

    welcome: wire.Welcome
    on_changes: Callable[[wire.Changes], None] | None
    on_console: Callable[[wire.ConsoleData], None] | None
    on_logs: Callable[[wire.LogLines], None] | None
    on_lost: Callable[[str], None] | None

    async def ask(self, body: wire.RequestBody) -> wire.ReplyBody: ...

    @overload
    def stream(self, body: wire.Query) -> AsyncIterator[wire.NodeAnswer]: ...

    @overload
    def stream(self, body: wire.AskChecks) -> AsyncIterator[wire.CheckAnswer]: ...

    @overload
    def stream(self, body: wire.VerifyImage) -> AsyncIterator[wire.ImageProgress | wire.ImageVerified]: ...

    async def close(self) -> None: ...


Connect = Callable[[bool], Awaitable[Engine]]
"""Connects to the engine; True also starts one when there is none. Raises `EngineUnreachableError`."""


@dataclass(frozen=True)
class TuiOptions:
    """How the screen is started.

    Attributes:
        inventory: the file whose engine is shown.
        read_only: acting keys are refused here and by the engine.
        theme: name of a theme; "" is the default.
        ascii: no character outside ASCII is drawn.
        mouse: the terminal reports the mouse to us.
        connect: how to reach the engine; None is the engine of `inventory` on this machine.
        command: the program as it was called, with the options that name the rack: what command lines begin with.
        keep: file in which the place of the screen is kept for the next time; None keeps nothing.
    """

    inventory: Path
    read_only: bool = False
    theme: str = ""
    ascii: bool = False
    mouse: bool = True
    connect: Connect | None = None
    command: tuple[str, ...] = ("plasmatui",)
    keep: Path | None = None

    def connector(self) -> Connect:
        """The way to the engine that these options name."""
        if self.connect is not None:
            return self.connect

        async def local(start: bool) -> Engine:
            if start:
                return await connect_or_start(self.inventory, kind="tui", read_only=self.read_only)
            return await connect(engine_paths(self.inventory), kind="tui", read_only=self.read_only)

        return local
