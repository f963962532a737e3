"""The quorum guard of an engine: nothing that it orders takes a raft group below its majority."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from plasmatui.inventory.inventory import Inventory
from plasmatui.journal.memory import Memory

if TYPE_CHECKING:
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.cluster.quorum import Verdict

SEEN = "raft:"
"""Key of the journal's memory: a raft group once had voters, so that its silence is not the time before the first."""

TURNS = "voters take turns: the next one waits until the one before is given back, and is refused if that stays out"

OVERRIDE = "--override-quorum CLUSTER goes on all the same"


class QuorumGuard:
    """See `operations.ports.Guard`. A node counts as lost from `enter` until `leave`; then its own services tell."""

    def __init__(
        self, inventory: Callable[[], Inventory], cluster: Callable[[], ClusterClients], memory: Memory
    ) -> None:
        self._inventory = inventory
        self._cluster = cluster
        self._memory = memory
        self._away: dict[str, set[int]] = {}
        self._lock = asyncio.Lock()
        self._left = asyncio.Event()

    async def look(self, nodes: frozenset[str]) -> tuple[str, tuple[str, ...]]:
        """Whether any one of `nodes` could be disturbed now; the others follow when it is back."""
        verdicts = await self._judge([frozenset((node,)) for node in sorted(nodes)])
        refused = [found.reason for found in verdicts if not found.allowed]
        notes = dict.fromkeys(
            text for found in verdicts for text in (found.reason if found.group else "", *found.warnings)
        )
        if sum(bool(found.group) for found in verdicts) > 1:
            notes[TURNS] = None
        if len(refused) == len(verdicts) and refused:
            return f"{refused[0]}; {OVERRIDE}", tuple(note for note in notes if note)
        return "", tuple(note for note in notes if note)

    async def enter(self, node: str, number: int, *, override: bool) -> str:
        async with self._lock:
            if not override:
                (found,) = await self._judge([frozenset((node,))])
                if not found.allowed:
                    return f"the quorum guard refuses it: {found.reason}"
            self._away.setdefault(node, set()).add(number)
        return ""

    async def turn(self, node: str) -> bool:
        if not any(numbers for other, numbers in self._away.items() if other != node):
            return False
        event = self._left
        await event.wait()
        return True

    def resume(self, node: str, number: int) -> None:
        self._away.setdefault(node, set()).add(number)

    def leave(self, node: str, number: int) -> None:
        if number in self._away.get(node, ()):
            self._away[node].discard(number)
            self._left.set()
            self._left = asyncio.Event()

    async def _judge(self, targets: list[frozenset[str]]) -> list[Verdict]:
        from plasmatui.cluster.members import read_groups
        from plasmatui.cluster.quorum import Verdict, verdict

        seen = self._memory.under(SEEN)
        voters = frozenset(node.name for node in self._inventory().nodes.values() if node.voter)
        if not seen and not any(each & voters for each in targets):
            return [Verdict(True) for _ in targets]
        groups = await read_groups(self._cluster())
        for group in groups:
            if group.voters:
                self._memory.put(SEEN + group.name, b"1")
        away = frozenset(node for node, numbers in self._away.items() if numbers)
        return [verdict(groups, each, away - each, voters=voters, bootstrapping=not seen) for each in targets]
