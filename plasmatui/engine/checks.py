"""The online checklist and the services' certificates, for clients."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from plasmatui.engine.ports import ProblemError
from plasmatui.engine.session import Session
from plasmatui.engine.store import Store
from plasmatui.engine.systems import Systems
from plasmatui.inventory.inventory import Inventory
from plasmatui.model import wire
from plasmatui.paths import EnginePaths

if TYPE_CHECKING:
    from plasmatui.checks.context import Context


_ROOMS = ("plasmatui.checks.run", "plasmatui.checks.web", "plasmatui.cluster.clients", "plasmatui.remote.hosts")


def import_rooms() -> None:
    """What checks need, imported where it delays nobody: it takes half a second, and not every engine is asked."""
    for name in _ROOMS:
        importlib.import_module(name)


class ChecksDesk:
    """Answers `AskChecks` and `AskCertificates`.

    Args:
        query: asks a node's BMC. journal: why it is not kept, "" when it is.
    """

    def __init__(
        self,
        store: Store,
        query: Callable[[str, str], Awaitable[wire.NodeAnswer]],
        systems: Systems,
        inventory: Callable[[], Inventory],
        paths: EnginePaths,
        journal: Callable[[], str],
    ) -> None:
        self._store = store
        self._query = query
        self._systems = systems
        self._inventory = inventory
        self._paths = paths
        self._journal = journal
        self.handlers: dict[type, Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]] = {
            wire.AskChecks: self._checks,
            wire.AskCertificates: self._certificates,
        }

    async def _checks(self, session: Session, number: int, body: wire.AskChecks) -> wire.ReplyBody:
        await asyncio.to_thread(import_rooms)
        from plasmatui.checks.run import WORK, run

        unknown = [name for name in body.only if name not in WORK]
        if unknown:
            raise ProblemError("unsupported", f"there is no check {unknown[0]!r}; there are {', '.join(WORK)}")

        async def tell(answer: wire.CheckAnswer) -> None:
            await session.outbound.room()
            session.item(number, answer)

        await run(self.context(), body.only, tell)
        return wire.Done()

    async def _certificates(self, _: Session, __: int, body: wire.AskCertificates) -> wire.ReplyBody:
        await asyncio.to_thread(import_rooms)
        from plasmatui.checks.certificates import live

        context = self.context()
        try:
            nodes = tuple(name for name in body.nodes or context.running if name in context.inventory.nodes)
            return wire.Certificates(await live(context, nodes))
        finally:
            await context.close()

    def context(self) -> Context:
        """What a run of checks looks at; close it."""
        from plasmatui.checks.context import Context

        return Context(
            inventory=self._inventory(),
            states=self._store.states,
            query=self._query,
            hosts=lambda: self._systems.hosts,
            cluster=lambda: self._systems.cluster,
            sources=self._store.sources,
            journal=self._journal(),
            state=self._paths.state,
        )
