"""Whether there may be a cluster that nobody tells of: needed before anything is taken from a voter while no raft group
was ever seen. Silence is no proof; a machine that cannot run a member is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from plasmatui.model.node import NodeState
from plasmatui.model.words import Lifecycle, Power

POWER_LIMIT = 5.0
"""Seconds that the BMCs get to tell the power."""

_WIPED = frozenset({Lifecycle.READY, Lifecycle.DEPLOYING})
"""Lifecycles in which nothing is installed; none of them is what a node has that nobody knows of."""


class BareNodes:
    """Knows of nodes that they run no member of a raft group: off, in the installer, or being installed.

    Args:
        state: what is known of a node.
        power: asks its BMC now.
    """

    def __init__(self, state: Callable[[str], NodeState], power: Callable[[str], Awaitable[Power]]) -> None:
        self._state = state
        self._power = power

    async def others(self, nodes: Iterable[str]) -> tuple[str, ...]:
        """Those of `nodes` that may run a member for all that is known, with why, in words."""
        asked = [node for node in sorted(nodes) if not _installing(self._state(node))]
        powers = await asyncio.gather(*(self._ask(node) for node in asked))
        words = {Power.ON: "is on", Power.UNKNOWN: "may be on: its power is not known"}
        return tuple(f"{node} {words[power]}" for node, power in zip(asked, powers, strict=True) if power in words)

    async def _ask(self, node: str) -> Power:
        try:
            async with asyncio.timeout(POWER_LIMIT):
                return await self._power(node)
        except TimeoutError:
            return Power.UNKNOWN


def _installing(state: NodeState) -> bool:
    """Whether the machine runs an installer, or what is on its disks is being made."""
    return state.lifecycle in _WIPED or (state.stage is not None and state.stage.outcome == "installer-up")
