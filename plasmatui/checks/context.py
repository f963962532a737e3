"""What checks look at, and what several of them share: each question is asked once in a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.answers import NodeAnswer
from plasmatui.model.boot import SourceState
from plasmatui.model.node import Node, NodeState
from plasmatui.model.words import Lifecycle, Power

if TYPE_CHECKING:  # asyncssh and httpx take a fifth of a second each
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.remote.hosts import Hosts

T = TypeVar("T")

AT_ONCE = 32
"""Nodes of one check that are asked at the same time."""

_RUNS = frozenset({Lifecycle.ACTIVE, Lifecycle.DRAINED, Lifecycle.DRAINING, Lifecycle.MAINTENANCE, Lifecycle.UPDATING})


@dataclass
class Context:
    """One run's view of the site.

    Attributes:
        states: what is known of each node.
        query: asks a node's BMC; see `model.requests.Query`.
        sources: of the logs, by name.
        journal: why it is not kept, "" when it is.
        state: the engine's directory.
        tftp_port: 69 but for tests.
    """

    inventory: Inventory
    states: Mapping[str, NodeState]
    query: Callable[[str, str], Awaitable[NodeAnswer]]
    hosts: Callable[[], Hosts]
    cluster: Callable[[], ClusterClients]
    sources: Mapping[str, SourceState]
    journal: str
    state: Path
    tftp_port: int = 69
    _shared: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    async def once(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`, which is done once in this run for all who ask by `key`."""
        task = self._shared.get(key)
        if task is None:
            task = self._shared[key] = asyncio.create_task(work(), name=f"check {key}")
        result: T = await asyncio.shield(task)
        return result

    async def close(self) -> None:
        """End what nobody waits for any more."""
        for task in self._shared.values():
            task.cancel()
        await asyncio.gather(*self._shared.values(), return_exceptions=True)

    async def each(self, names: tuple[str, ...], work: Callable[[str], Awaitable[T]]) -> dict[str, T]:
        """`work` of every name, a bounded number at the same time."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> T:
            async with gate:
                return await work(name)

        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.inventory.nodes.values())

    @property
    def running(self) -> tuple[str, ...]:
        """Nodes whose system should answer: they were installed and are not known to be off, or are on."""
        return tuple(node.name for node in self.nodes if self._runs(node))

    def installed(self, node: str) -> bool:
        """Whether the node is known to have an installed system."""
        state = self.states.get(node)
        return state is not None and state.lifecycle in _RUNS

    def _runs(self, node: Node) -> bool:
        state = self.states.get(node.name)
        if state is None or state.power.value is Power.OFF:
            return False
        return state.power.value is Power.ON or self.installed(node.name)
