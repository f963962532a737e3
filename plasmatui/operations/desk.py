"""What a node's part needs of the operation that it belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from plasmatui.model.operation import NodeRecord, Origin, Pace
from plasmatui.operations.ports import Absence
from plasmatui.operations.rollout import Turns


@dataclass(frozen=True)
class Desk:
    """What a node's part needs of the operation that it belongs to.

    Attributes:
        word: the kind of operation ("install").
        override: the guard was overridden by the cluster's name.
        absence: how the operation takes its nodes away.
        keep: writes the node's record into the operation's; show: the same for what need not be kept.
        peers: all nodes of the operation. again: it tries again what failed in another.
        origin: where the order came from.
        pace: how fast the operation goes. turns: who may begin now, where nodes take turns.
        intent: awaited before a step begins, so that it is journalled.
        gate: awaited before a step begins; waits while the operation is held. held: whether it is.
    """

    number: int
    word: str
    by: str
    override: bool
    peers: frozenset[str]
    again: bool
    origin: Origin
    pace: Pace
    turns: Turns
    absence: Absence
    keep: Callable[[NodeRecord], None]
    show: Callable[[NodeRecord], None]
    intent: Callable[[], Awaitable[bool]]
    gate: Callable[[], Awaitable[None]]
    held: Callable[[], bool]
