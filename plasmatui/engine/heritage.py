"""What a former engine left: nodes' lifecycles, unfinished operations, and the consoles that it held when it died.

A BMC goes on to hold the console of a session whose owner died, for a minute or so (IPMI 2.0, section 6.12.15: 60 s
of inactivity). What a machine prints meanwhile is lost to everybody, the fingerprint of an installer's host key
among it. What was ours is therefore taken back at once; what another client holds is never taken by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from plasmatui.bmc.controller import BmcError
from plasmatui.engine.consoles import ConsoleHub
from plasmatui.engine.oplogs import prune
from plasmatui.engine.ports import ClientId
from plasmatui.engine.store import Store
from plasmatui.journal.journal import Journal
from plasmatui.journal.memory import Memory
from plasmatui.model.event import LifecycleChanged
from plasmatui.model.node import ConsoleState
from plasmatui.model.words import ConsoleStatus
from plasmatui.operations.kinds import kind_of
from plasmatui.operations.ports import Ledger
from plasmatui.operations.runner import Runner, interrupted

ALIVE = "alive"
"""Key of the journal's memory: Unix seconds when an engine last ran."""

ALIVE_PACE = 10.0
"""Seconds between two times that it is kept."""

CONSOLES = "consoles"
"""Key of the journal's memory: the consoles that the engine holds open; none after an orderly end."""

LIFECYCLE = "lifecycle:"
"""Key of the journal's memory, before a node's name."""

SESSIONS_LAST = 120.0
"""Seconds after which no BMC holds a dead engine's session any more."""


class Heritage:
    """What is known of the former engine, and what of this one is kept for the next.

    Args:
        spawn: runs a task of the engine.

    Attributes:
        away: seconds for which no engine ran, 0 when none ever did.
    """

    def __init__(
        self,
        memory: Memory,
        consoles: ConsoleHub,
        store: Store,
        journal: Journal,
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self.away = 0.0
        self._memory = memory
        self._consoles = consoles
        self._store = store
        self._journal = journal
        self._spawn = spawn
        self._left: set[str] = set()
        self._until = 0.0
        self._kept = 0.0

    def recall(self) -> None:
        """Look at what was kept, once the journal's memory is there."""
        last = float(self._memory.get(ALIVE) or 0.0)
        self.away = max(0.0, time.time() - last) if last else 0.0
        held = self._memory.get(CONSOLES)
        if held is not None and self.away < SESSIONS_LAST:
            self._left = set(msgspec.msgpack.decode(held, type=list[str]))
            self._until = time.monotonic() + SESSIONS_LAST
        for node, value in self._memory.under(LIFECYCLE).items():
            if node in self._store.states:
                self._store.tell(node, "journal", msgspec.msgpack.decode(value, type=LifecycleChanged))

    def keep(self, node: str, payload: LifecycleChanged) -> None:
        """Remember where a node stands."""
        self._memory.put(LIFECYCLE + node, msgspec.msgpack.encode(payload))

    async def take_up(self, runner: Runner, ledger: Ledger, directories: tuple[Path, ...]) -> None:
        """Go on with operations that a former engine left unfinished, or say of them what is known.

        Args:
            directories: where something is kept by operations' numbers; what is old there goes.
        """
        unfinished = await self._journal.unfinished()
        numbers = frozenset(record.number for record in unfinished)
        for directory in directories:
            await asyncio.to_thread(prune, directory, numbers)
        for record in unfinished:
            if kind_of(record.order).resumes:
                runner.resume(record, self.away)
                self._store.note(f"operation {record.number} of the former engine goes on: {record.cli}")
                continue
            ledger.changed(interrupted(record, time.time()))
            self._store.audit(
                record.by,
                "",
                f"{record.cli} (operation {record.number})",
                "failed: the engine ended",
                origin=record.origin,
                operation=record.number,
            )
            self._store.note(f"operation {record.number} was not finished by the former engine: {record.cli}")

    def beat(self) -> None:
        """Keep that this engine runs, and what it holds; about once a second."""
        self._memory.put(CONSOLES, msgspec.msgpack.encode(sorted(self._consoles.open_nodes | self._left)))
        if time.monotonic() - self._kept >= ALIVE_PACE:
            self._kept = time.monotonic()
            self._memory.put(ALIVE, repr(time.time()).encode())

    def close(self) -> None:
        """An orderly end: no console is left behind."""
        self._memory.put(ALIVE, repr(time.time()).encode())
        self._memory.put(CONSOLES, msgspec.msgpack.encode([]))

    def on_console(self, node: str, state: ConsoleState) -> None:
        """A console's standing changed: one that our dead predecessor holds is taken back, once."""
        if node not in self._left:
            return
        if state.status is ConsoleStatus.OPEN or time.monotonic() > self._until:
            self._left.discard(node)
        elif state.status is ConsoleStatus.HELD:
            self._left.discard(node)
            self._spawn(self._take_back(node), f"take back the console of {node}")

    async def _take_back(self, node: str) -> None:
        self._store.note("the former engine died with this console open; it is taken back", node)
        try:
            await self._consoles.reopen(node, ClientId(0, "engine", "engine"), takeover=True)
        except BmcError as error:
            self._store.note(f"the console could not be taken back: {error.message}", node)
