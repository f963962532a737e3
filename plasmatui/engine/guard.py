"""The quorum guard of an engine: nothing that it orders takes a raft group below its majority."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from plasmatui.engine.bare import BareNodes
from plasmatui.inventory.inventory import Inventory
from plasmatui.journal.memory import Memory
from plasmatui.operations.ports import Absence

if TYPE_CHECKING:
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.cluster.members import RaftGroup
    from plasmatui.cluster.quorum import Verdict

SEEN = "raft:"
"""Key of the journal's memory: a raft group once had voters, so that its silence is not the time before the first."""

TURNS = "voters take turns: the next one waits until the one before is given back, and is refused if that stays out"

OVERRIDE = "--override-quorum CLUSTER goes on all the same"


class QuorumGuard:
    """See `operations.ports.Guard`. A node counts as lost from `enter` until `leave`; then its own services tell.

    Until a raft group was seen there is either no cluster yet, and nothing to guard, or one that cannot be read from
    here. The first is believed only when every voter is off, in its installer, being installed, or in the hands of a
    running operation, which had to show the same; else a voter is disturbed only when a person overrides the guard.
    """

    def __init__(
        self,
        inventory: Callable[[], Inventory],
        cluster: Callable[[], ClusterClients],
        memory: Memory,
        bare: BareNodes,
    ) -> None:
        self._inventory = inventory
        self._cluster = cluster
        self._memory = memory
        self._bare = bare
        self._away: dict[str, set[int]] = {}
        self._lock = asyncio.Lock()
        self._left = asyncio.Event()

    async def look(self, nodes: frozenset[str], absence: Absence = Absence.AWAY) -> tuple[str, tuple[str, ...]]:
        """Whether any one of `nodes` could be disturbed now; the others follow when it is back."""
        if absence is Absence.RETIRES:
            return await self._look_after(nodes)
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

    async def _look_after(self, nodes: frozenset[str]) -> tuple[str, tuple[str, ...]]:
        """What would be left of the groups when all of `nodes` are gone for good."""
        found = await self._judge_rest(nodes)
        notes = tuple(note for note in (found.reason if found.group else "", *found.warnings) if note)
        return "" if found.allowed else f"{found.reason}; {OVERRIDE}", notes

    async def enter(self, node: str, number: int, *, override: bool, absence: Absence = Absence.AWAY) -> str:
        async with self._lock:
            if absence is not Absence.AWAY and (other := self._changing(node)):
                return f"{other}; the members of the raft groups are changed for one voter at a time"
            if not override:
                (found,) = await self._judge([frozenset((node,))])
                if found.allowed and absence is Absence.RETIRES:
                    found = await self._judge_rest(frozenset((node,)))
                if not found.allowed:
                    return f"the quorum guard refuses it: {found.reason}"
            self._away.setdefault(node, set()).add(number)
        return ""

    def _changing(self, node: str) -> str:
        """Another voter in the hands of an operation, in words; "" when there is none, or `node` has no vote."""
        voters = self._voters()
        held = ((other, max(numbers)) for other, numbers in self._away.items() if numbers and other in voters)
        other = next(((name, number) for name, number in held if name != node), None) if node in voters else None
        return f"{other[0]} is in the hands of operation {other[1]}" if other is not None else ""

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
        voters = self._voters()
        if not seen and not any(each & voters for each in targets):
            return [Verdict(True) for _ in targets]
        groups = await read_groups(self._cluster())
        for group in groups:
            if group.voters:
                self._memory.put(SEEN + group.name, b"1")
        away = self._lost()
        unknown = () if seen else await self._bare.others(self._members(groups) - away)
        forming = not seen and not unknown
        found = [verdict(groups, each, away - each, voters=voters, bootstrapping=forming) for each in targets]
        return [replace(each, reason=_explained(each.reason, unknown)) if not each.allowed else each for each in found]

    async def _judge_rest(self, leavers: frozenset[str]) -> Verdict:
        from plasmatui.cluster.members import read_groups
        from plasmatui.cluster.quorum import rest

        return rest(await read_groups(self._cluster()), leavers, self._lost(), voters=self._voters())

    def _voters(self) -> frozenset[str]:
        return frozenset(node.name for node in self._inventory().nodes.values() if node.voter)

    def _members(self, groups: Iterable[RaftGroup]) -> frozenset[str]:
        """Voters whose profile runs a raft service."""
        clients = self._cluster()
        return self._voters() & {node for group in groups for node in clients.nodes_of(group.name)}

    def _lost(self) -> frozenset[str]:
        return frozenset(node for node, numbers in self._away.items() if numbers)


def _explained(reason: str, unknown: tuple[str, ...]) -> str:
    """Why it is not taken for a rack without a cluster, and what shows that it is one."""
    if not unknown:
        return reason
    some = ", ".join(unknown[:3]) + (" ..." if len(unknown) > 3 else "")
    told = f"{reason}; no cluster was seen from here yet, but there may be one: {some}"
    return f"{told}. A first provisioning wants the voters off, or in their installer"
