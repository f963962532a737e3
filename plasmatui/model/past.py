"""A moment that is over, as the engine's journal tells it."""

from __future__ import annotations

import msgspec

from plasmatui.model.event import EventLine
from plasmatui.model.health import GroupState, NodeServices
from plasmatui.model.node import NodeState
from plasmatui.model.operation import OperationRecord


class AskPast(msgspec.Struct, frozen=True, tag="past"):
    """What was known of the nodes at a time (Unix seconds). Reply: `Past`; Problem "no-past" when it is not kept.

    `step`: -1 for the moment of the event before that time, 1 for that of the event after it.
    """

    at: float
    step: int = 0


class Past(msgspec.Struct, frozen=True, tag="past"):
    """The nodes of today's inventory, as they were known.

    Attributes:
        at: Unix seconds, those of the event when one was stepped to.
        oldest: from when on moments can be told.
        silent: since when nothing is kept, because the engine of that time had ended or said nothing more; 0 when it
            went on.
        last: number of the newest event.
        operations: newest first, as they stood.
        events: the newest of that time, oldest first.
        services, groups: as they stood; latencies are those of the last change.
    """

    at: float
    oldest: float
    silent: float
    last: int
    states: tuple[NodeState, ...]
    operations: tuple[OperationRecord, ...] = ()
    events: tuple[EventLine, ...] = ()
    services: tuple[NodeServices, ...] = ()
    groups: tuple[GroupState, ...] = ()


class ConsoleAt(msgspec.Struct, frozen=True, tag="console-at"):
    """The end of a console's recording as it was at a time: at most `length` bytes. Reply: `ConsoleChunk`."""

    node: str
    at: float
    length: int = 65536


class AskTimelineAt(msgspec.Struct, frozen=True, tag="timeline-at"):
    """Reply: `Timelines`: the boots of a node that had begun at a time, as they stood, newest first."""

    node: str
    at: float
    limit: int = 5


PastRequest = AskPast | ConsoleAt | AskTimelineAt
