"""Who goes when in an operation whose nodes take turns: wave after wave, to the end or to the first failure."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Final

from plasmatui.model.operation import NodeRecord
from plasmatui.model.words import OperationState

Waves = tuple[tuple[str, ...], ...]

RENEWED: Final = 1.0
"""Seconds after which one that waits says anew what it waits for."""


def waves(nodes: Sequence[str], voters: Collection[str], leaders: Collection[str], batch: int) -> Waves:
    """Which nodes go together: one without a vote alone as the canary, the others without a vote by `batch`, then the
    voters one by one, those that lead a raft group last. Within that, the order of `nodes`."""
    workers = [node for node in nodes if node not in voters]
    voting = sorted((node for node in nodes if node in voters), key=lambda node: node in leaders)
    rest = workers[1:]
    size = max(1, batch)
    batches = [tuple(rest[begin : begin + size]) for begin in range(0, len(rest), size)]
    return (*(tuple(workers[:1]),) * bool(workers), *batches, *((node,) for node in voting))


class Turns:
    """The turns of one operation's nodes. No wave begins before all nodes are ready, and none before the waves ahead of
    it are done; when a node does not get done, nothing more begins.

    Args:
        waves: all nodes of the operation; none where nodes take no turns.
    """

    def __init__(self, waves: Waves) -> None:
        self._waves = waves
        self._place = {node: place for place, wave in enumerate(waves) for node in wave}
        self._unready = set(self._place)
        self._left = [set(wave) for wave in waves]
        self._gates = [asyncio.Event() for _ in waves]
        self._stopped = ""

    @property
    def stopped(self) -> str:
        """Why nothing more begins, "" while it does."""
        return self._stopped

    def together(self, node: str) -> frozenset[str]:
        """The nodes of its wave."""
        return frozenset(self._waves[self._place[node]])

    def ahead(self, node: str) -> str:
        """What a node waits for, for people."""
        place = self._place[node]
        if self._unready:
            return f"{len(self._unready)} {'node is' if len(self._unready) == 1 else 'nodes are'} not ready yet"
        return f"wave {place + 1} of {len(self._waves)}; {sum(map(len, self._left[:place]))} nodes are before it"

    def ready(self, node: str) -> None:
        """Everything that disturbs nobody is done for a node."""
        self._unready.discard(node)
        self._advance()

    def ended(self, node: NodeRecord) -> None:
        """A node's part is over."""
        if node.node not in self._place:
            return
        self._unready.discard(node.node)
        self._left[self._place[node.node]].discard(node.node)
        if node.state is not OperationState.DONE and not self._stopped:
            word = "failed" if node.state is OperationState.FAILED else "was cancelled"
            self._stopped = f"not begun, since {node.node} {word}"
            for gate in self._gates:
                gate.set()
        self._advance()

    async def turn(self, node: str, say: Callable[[str], None]) -> str:
        """Wait for a node's turn; why there will be none, "" when it has come. `say` is told again and again
        what it waits for."""
        gate = self._gates[self._place[node]]
        while not gate.is_set():
            say(self.ahead(node))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEWED):
                    await gate.wait()
        return self._stopped

    def _advance(self) -> None:
        if self._unready:
            return
        for gate, left in zip(self._gates, self._left, strict=True):
            gate.set()
            if left:
                return
