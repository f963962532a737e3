"""Asking an engine from a command: connect (starting one when there is none), run, report what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from plasmatui.cli.failure import REFUSED, Failure
from plasmatui.cli.output import clean, note
from plasmatui.cli.settings import Settings
from plasmatui.client import EngineClient, EngineUnreachableError, connect_or_start
from plasmatui.model import wire
from plasmatui.model.node import NodeState
from plasmatui.model.operation import OperationRecord

T = TypeVar("T")
Reply = TypeVar("Reply")

FIRST_ANSWER_LIMIT = 6.0
"""Seconds that a command waits for BMCs that the engine has not asked yet."""


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end; ctrl-c cancels it and raises KeyboardInterrupt."""
    return asyncio.run(main)


@contextlib.asynccontextmanager
async def engine(settings: Settings, *, read_only: bool = False, notices: bool = True) -> AsyncIterator[EngineClient]:
    """A connection to the inventory's engine, started when it does not run.

    Args:
        notices: print the engine's notices, which a command's second connection need not repeat.

    Raises:
        Failure: the inventory is wrong, so no engine can be started with it.
        EngineUnreachableError: there is no engine and none could be started.
    """
    path = settings.inventory_path()
    try:
        client = await connect_or_start(
            path, kind="cli", read_only=settings.read_only or read_only, idle=settings.engine_idle
        )
    except EngineUnreachableError:
        from plasmatui.cli.check import refuse_wrong_inventory

        refuse_wrong_inventory(path)  # when that is why no engine runs, it is the better answer
        raise
    async with client:
        for notice in client.welcome.notices if notices else ():
            note(f"plasmatui: {clean(notice)}")
        yield client


def expect(reply: wire.ReplyBody, kind: type[Reply]) -> Reply:
    """`reply`, which must be a `kind`.

    Raises:
        EngineUnreachableError: the engine answered with something else: it is not the same version.
    """
    if not isinstance(reply, kind):
        raise EngineUnreachableError(
            f"the engine answered {type(reply).__name__} instead of {kind.__name__}; restart it: plasmatui engine stop"
        )
    return reply


class Watcher:
    """The engine's state as this client knows it; `changed` is set at every change and when the connection ends."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self.states: dict[str, NodeState] = {}
        self.operations: dict[int, OperationRecord] = {}
        self.changed = asyncio.Event()
        self.on_events: Callable[[wire.Changes], None] | None = None

    async def begin(self) -> wire.Snapshot:
        """Start watching; returns the first snapshot."""
        self.client.on_changes = self._apply
        self.client.on_lost = self._lost
        snapshot = expect(await self.client.ask(wire.Watch()), wire.Snapshot)
        for state in snapshot.states:
            self.states.setdefault(state.name, state)
        for operation in snapshot.operations:
            self.operations.setdefault(operation.number, operation)
        return snapshot

    async def wait(self, limit: float | None = None) -> None:
        """Wait for the next change, at most `limit` seconds.

        Raises:
            EngineUnreachableError: the connection ended.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self.changed.wait()
        self.changed.clear()
        if self.client.lost is not None:
            raise EngineUnreachableError(f"the connection to the engine ended: {self.client.lost}")

    def _apply(self, changes: wire.Changes) -> None:
        self.states.update((state.name, state) for state in changes.states)
        self.operations.update((operation.number, operation) for operation in changes.operations)
        if self.on_events is not None:
            self.on_events(changes)
        self.changed.set()

    def _lost(self, _: str) -> None:
        self.changed.set()


def require_writable(settings: Settings) -> None:
    """Refuse early what read-only mode does not allow.

    Raises:
        Failure: `--read-only` was given.
    """
    if settings.read_only:
        raise Failure(REFUSED, "--read-only was given: this command changes machines", "leave --read-only out")
