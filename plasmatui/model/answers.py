"""What an engine answers and pushes. Answers travel in a `wire.Reply` or `wire.Item`."""

from __future__ import annotations

import msgspec

from plasmatui.model.bmc import BootDevice, FruField, SelEntry, SensorReading
from plasmatui.model.boot import BootTimeline, LogLine, SourceState, UnknownClient
from plasmatui.model.checks import Certificates, CheckAnswer
from plasmatui.model.event import AuditLine, EventLine
from plasmatui.model.health import GroupState, HealthLook, NodeServices, NodeSystem, Replication, Trend
from plasmatui.model.node import ConsoleState, Node, NodeState
from plasmatui.model.operation import OperationRecord, Plan
from plasmatui.model.past import Past
from plasmatui.model.pxe import ImageProgress, ImageVerified, PxeReply
from plasmatui.model.system import Generation
from plasmatui.model.words import Power, Role


class Problem(msgspec.Struct, frozen=True):
    """What went wrong: `id` for programs (a finding's id, "unknown-node", "read-only", "timeout", "refused",
    "pen-held", "role", "locked", "busy", "unsupported", "no-bmc", "disk-full", "internal"), `message` for people: what,
    where, what next."""

    id: str
    message: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    pass


class NodeAnswer(msgspec.Struct, frozen=True, tag="node-answer"):
    """One node's answer to a `Query`: `problem`, or the field that was asked for."""

    node: str
    problem: Problem | None = None
    power: Power | None = None
    boot: BootDevice | None = None
    sensors: tuple[SensorReading, ...] | None = None
    sel: tuple[SelEntry, ...] | None = None
    inventory: tuple[FruField, ...] | None = None
    generations: tuple[Generation, ...] | None = None


class ClientInfo(msgspec.Struct, frozen=True):
    """Somebody who is attached.

    Attributes:
        uid: as the kernel knows it. address: where its SSH session comes from, as the client says; "" for none.
        place: what it looks at, "" when it does not tell.
    """

    client: int
    kind: str
    user: str
    terminal: str
    since: float
    read_only: bool
    role: Role = Role.ADMIN
    uid: int = -1
    address: str = ""
    place: str = ""


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """Everything that `Changes` are changes of."""

    seq: int
    nodes: tuple[Node, ...]
    states: tuple[NodeState, ...]
    operations: tuple[OperationRecord, ...]
    events: tuple[EventLine, ...]
    notices: tuple[str, ...] = ()
    sources: tuple[SourceState, ...] = ()
    unknown: tuple[UnknownClient, ...] = ()
    services: tuple[NodeServices, ...] = ()
    groups: tuple[GroupState, ...] = ()
    look: HealthLook = HealthLook()
    clients: tuple[ClientInfo, ...] = ()
    systems: tuple[NodeSystem, ...] = ()


class Operations(msgspec.Struct, frozen=True, tag="operations"):
    operations: tuple[OperationRecord, ...]


class Events(msgspec.Struct, frozen=True, tag="events"):
    events: tuple[EventLine, ...]


class Audit(msgspec.Struct, frozen=True, tag="audit"):
    lines: tuple[AuditLine, ...]


class PlanReply(msgspec.Struct, frozen=True, tag="plan"):
    plan: Plan


class OperationReply(msgspec.Struct, frozen=True, tag="operation"):
    operation: OperationRecord


class OperationLog(msgspec.Struct, frozen=True, tag="operation-log"):
    """Lines `SECONDS TEXT` (Unix seconds); `offset` is where the next page begins."""

    offset: int
    text: str


class ConsoleOpened(msgspec.Struct, frozen=True, tag="console-opened"):
    state: ConsoleState
    offset: int
    data: bytes


class ConsoleChunk(msgspec.Struct, frozen=True, tag="console-chunk"):
    offset: int
    data: bytes


class ConsoleReply(msgspec.Struct, frozen=True, tag="console"):
    state: ConsoleState


class EngineStatus(msgspec.Struct, frozen=True, tag="engine"):
    """The engine about itself. `paths`: name -> path. `counts`: BMC status -> nodes. Lag in milliseconds, CPU in
    percent of a core, both over the last minute. `journal`: "" when it is kept, else why not."""

    version: str
    pid: int
    started: float
    inventory: str
    clients: tuple[ClientInfo, ...]
    running: tuple[int, ...]
    consoles_open: int
    counts: dict[str, int]
    paths: dict[str, str]
    lag_p99_ms: float
    cpu_percent: float
    journal: str = ""
    idle_exit: float = 0.0


class Timelines(msgspec.Struct, frozen=True, tag="timelines"):
    timelines: tuple[BootTimeline, ...]


class LogPage(msgspec.Struct, frozen=True, tag="log-page"):
    """Lines in the order of their times.

    Attributes:
        more: whether lines that pass lie beyond the page.
        ruler: times (Unix seconds) that cut all that is kept into parts of about the same number of lines, the oldest
            first; for the marks beside a log.
    """

    lines: tuple[LogLine, ...]
    more: bool
    ruler: tuple[float, ...] = ()


class LogHits(msgspec.Struct, frozen=True, tag="log-hits"):
    """`seqs` and times of hits in the order of their times; `total` counts those beyond the limit too."""

    seqs: tuple[int, ...]
    walls: tuple[float, ...]
    total: int


class BundleReply(msgspec.Struct, frozen=True, tag="bundle"):
    directory: str
    files: tuple[str, ...]
    nodes: tuple[str, ...] = ()


class EnrolReply(msgspec.Struct, frozen=True, tag="enrol"):
    diff: str
    applied: bool


class Trends(msgspec.Struct, frozen=True, tag="trends"):
    node: str
    trends: tuple[Trend, ...]


class Journal(msgspec.Struct, frozen=True, tag="journal"):
    """Lines of `units` in the order of their times."""

    units: tuple[str, ...]
    lines: tuple[str, ...]


class Replications(msgspec.Struct, frozen=True, tag="replications"):
    groups: tuple[Replication, ...]


ReplyBody = (
    Done
    | Snapshot
    | Operations
    | Events
    | Audit
    | PlanReply
    | OperationReply
    | OperationLog
    | ConsoleOpened
    | ConsoleChunk
    | ConsoleReply
    | EngineStatus
    | Timelines
    | LogPage
    | LogHits
    | BundleReply
    | EnrolReply
    | Certificates
    | PxeReply
    | Past
    | Trends
    | Replications
    | Journal
)

ItemBody = NodeAnswer | CheckAnswer | ImageProgress | ImageVerified


class Changes(msgspec.Struct, frozen=True, tag="changes"):
    """At most ten a second. Whole values: a later one replaces an earlier one of the same key.

    `nodes` is given only when the inventory was read again, and is then complete. `groups` and `clients` are complete
    when given.
    """

    seq: int
    states: tuple[NodeState, ...] = ()
    operations: tuple[OperationRecord, ...] = ()
    events: tuple[EventLine, ...] = ()
    audit: tuple[AuditLine, ...] = ()
    notices: tuple[str, ...] = ()
    nodes: tuple[Node, ...] | None = None
    sources: tuple[SourceState, ...] = ()
    unknown: tuple[UnknownClient, ...] | None = None
    timelines: tuple[BootTimeline, ...] = ()
    services: tuple[NodeServices, ...] = ()
    groups: tuple[GroupState, ...] | None = None
    look: HealthLook | None = None
    clients: tuple[ClientInfo, ...] | None = None
    systems: tuple[NodeSystem, ...] = ()


class LogLines(msgspec.Struct, frozen=True, tag="log-lines"):
    """Lines that pass the filter of `FollowLogs`. `skipped`: lines that were left out because this client is slow."""

    lines: tuple[LogLine, ...]
    skipped: int = 0


class ConsoleData(msgspec.Struct, frozen=True, tag="console-data"):
    """Bytes of a console from `offset` on. A gap (offset beyond the last end) was dropped for this client because it
    reads slowly: fetch it with `ConsoleHistory`."""

    node: str
    offset: int
    data: bytes
