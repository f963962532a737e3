"""Facts that reach the engine. The reducer turns them into state; the journal keeps them."""

from __future__ import annotations

import msgspec

from plasmatui.model.bmc import BootDevice
from plasmatui.model.health import GroupState, NodeServices
from plasmatui.model.node import BmcState, ConsoleState, Finding, NodeLock, NodeNote, NodeState, StageState
from plasmatui.model.operation import NodeRecord
from plasmatui.model.words import Health, Lifecycle, Power


class PowerSeen(msgspec.Struct, frozen=True, tag="power"):
    """The BMC tells a power state that differs from the last. `by`: the operator whose order it follows, if any."""

    value: Power
    by: str = ""


class BmcChanged(msgspec.Struct, frozen=True, tag="bmc"):
    state: BmcState


class ConsoleChanged(msgspec.Struct, frozen=True, tag="console"):
    state: ConsoleState


class BootDeviceSeen(msgspec.Struct, frozen=True, tag="bootdev"):
    """A boot override was read from the BMC. `verified` compares it with what was set: None when it cannot tell."""

    boot: BootDevice | None
    verified: bool | None = None


class IdentifySeen(msgspec.Struct, frozen=True, tag="identify"):
    on: bool


class FindingRaised(msgspec.Struct, frozen=True, tag="finding"):
    finding: Finding


class FindingCleared(msgspec.Struct, frozen=True, tag="finding-cleared"):
    id: str


class OperationTouched(msgspec.Struct, frozen=True, tag="operation"):
    """An operation took, changed or released a node."""

    number: int
    record: NodeRecord


class LifecycleChanged(msgspec.Struct, frozen=True, tag="lifecycle"):
    """Where a node stands between unpacking and scrapping; `flags` replace those that it has ("cordoned" ...)."""

    lifecycle: Lifecycle
    flags: tuple[str, ...] = ()


class StageSeen(msgspec.Struct, frozen=True, tag="stage"):
    """The boot of a node is at a stage; None: no boot is known."""

    stage: StageState | None


class HealthSeen(msgspec.Struct, frozen=True, tag="health"):
    """What the services of a node say of themselves, taken together. `reason`: which of them is why, "" for none."""

    health: Health
    reason: str = ""


class LockChanged(msgspec.Struct, frozen=True, tag="lock"):
    """Somebody locked a node, or (None) unlocked it; `by` says who did, "" when its time was over."""

    lock: NodeLock | None
    by: str = ""


class NotesChanged(msgspec.Struct, frozen=True, tag="notes"):
    """All notes of a node, the oldest first, as `by` left them."""

    notes: tuple[NodeNote, ...]
    by: str = ""


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Something for people to read; changes no state."""

    text: str


class ServicesSeen(msgspec.Struct, frozen=True, tag="services"):
    """The services of a node stand otherwise than before."""

    services: NodeServices


class GroupsSeen(msgspec.Struct, frozen=True, tag="groups"):
    """The raft groups stand otherwise than before: all of them."""

    groups: tuple[GroupState, ...]


class NodesKnown(msgspec.Struct, frozen=True, tag="nodes-known"):
    """All that is known now; what was said before counts no more. `version`: of an engine that begins, and knows
    nothing yet."""

    states: tuple[NodeState, ...] = ()
    version: str = ""
    services: tuple[NodeServices, ...] = ()
    groups: tuple[GroupState, ...] = ()


Payload = (
    PowerSeen
    | BmcChanged
    | ConsoleChanged
    | BootDeviceSeen
    | IdentifySeen
    | FindingRaised
    | FindingCleared
    | OperationTouched
    | LifecycleChanged
    | StageSeen
    | HealthSeen
    | LockChanged
    | NotesChanged
    | Note
    | NodesKnown
    | ServicesSeen
    | GroupsSeen
)


class Event(msgspec.Struct, frozen=True):
    """A fact.

    Attributes:
        node: its name, "" for the engine itself.
        source: who says so ("ipmi", "redfish", "sol", "operation 7", "engine").
        payload: the fact; its tag is the event's kind.
        wall, mono: Unix seconds and monotonic seconds of the engine.
    """

    node: str
    source: str
    payload: Payload
    wall: float
    mono: float

    @property
    def kind(self) -> str:
        return str(self.payload.__struct_config__.tag)


class EventLine(msgspec.Struct, frozen=True):
    """An event as people read it; what screens, `nodes --watch` and the journal's reader show. Clean text."""

    number: int
    wall: float
    node: str
    source: str
    kind: str
    text: str


class AuditLine(msgspec.Struct, frozen=True):
    """Who ordered what, and each command that left the engine. Clean text without secrets.

    Attributes:
        uid, client: see `Origin`.
        operation: its number, 0 for none.
        before, after: what the order changed, where that is known: power, boot device, generation, lifecycle.
    """

    number: int
    wall: float
    by: str
    node: str
    text: str
    result: str = ""
    uid: int = -1
    client: str = ""
    operation: int = 0
    before: str = ""
    after: str = ""
