"""Which operation holds a node. Two operations never share one."""

from __future__ import annotations

from collections.abc import Iterable


class MemoryLocks:
    """Locks of one engine. They need not outlive it: what it was doing ends with it and is marked in the journal."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def take(self, nodes: Iterable[str], number: int) -> dict[str, int]:
        """Lock the free ones of `nodes` for operation `number`; return the others with the operation that has them."""
        busy: dict[str, int] = {}
        for node in nodes:
            holder = self._held.setdefault(node, number)
            if holder != number:
                busy[node] = holder
        return busy

    def release(self, node: str, number: int) -> None:
        """Give a node back; nothing happens when `number` does not hold it."""
        if self._held.get(node) == number:
            del self._held[node]

    def holder(self, node: str) -> int:
        """The operation that holds `node`, 0 for none."""
        return self._held.get(node, 0)

    def held(self) -> dict[str, int]:
        return dict(self._held)
