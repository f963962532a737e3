"""What clients ask of an engine. Each body travels in a `wire.Request`; the docstring names its reply."""

from __future__ import annotations

import msgspec

from plasmatui.model.boot import LogFilter
from plasmatui.model.checks import AskCertificates, AskChecks
from plasmatui.model.operation import Order, Pace
from plasmatui.model.past import PastRequest
from plasmatui.model.pxe import PxeRequest


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Reply: `Snapshot`. From then on `Changes` are pushed."""


class Query(msgspec.Struct, frozen=True, tag="query"):
    """Ask `nodes` now. Items: `NodeAnswer`, in the order in which they answer. Reply: `Done`.

    `what`: of the BMCs "power" "bootdev" "sensors" "sel" "inventory" "refresh" ("refresh" also tries BMCs that were
    refused); of the installed systems over SSH "generations".
    """

    what: str
    nodes: tuple[str, ...]


class PlanOrder(msgspec.Struct, frozen=True, tag="plan"):
    """Reply: `PlanReply`. Changes nothing; looks at nodes and services where the order needs it."""

    order: Order
    nodes: tuple[str, ...]
    pace: Pace | None = None


class StartOrder(msgspec.Struct, frozen=True, tag="start"):
    """Begin an operation. Reply: `OperationReply`; its progress comes with `Changes` (after `Watch`).

    `order` is the plan's, which may hold what was found and confirmed. `override_quorum`: the cluster's name, typed to
    go on although the guard refuses; Problem "refused" when it is another name. `break_lock`: an admin goes on although
    others locked nodes.
    """

    order: Order
    nodes: tuple[str, ...]
    pace: Pace | None = None
    override_quorum: str = ""
    break_lock: bool = False


class CancelOperation(msgspec.Struct, frozen=True, tag="cancel-operation"):
    """Cancel what has not begun and what can be left safely. Reply: `OperationReply`."""

    number: int


class HoldOperation(msgspec.Struct, frozen=True, tag="hold-operation"):
    """Begin no further node and step of it. Reply: `OperationReply`."""

    number: int


class ReleaseOperation(msgspec.Struct, frozen=True, tag="release-operation"):
    """Go on with a held operation, or answer what one of its nodes asks (`NodeRecord.answers`). Reply:
    `OperationReply`; Problem "refused" when that node asks nothing or takes other answers."""

    number: int
    node: str = ""
    answer: str = ""


class RetryOperation(msgspec.Struct, frozen=True, tag="retry-operation"):
    """Try the failed and cancelled nodes of an operation that has ended again. Reply: `OperationReply` of the new
    one."""

    number: int
    override_quorum: str = ""
    break_lock: bool = False


class AskOperationLog(msgspec.Struct, frozen=True, tag="operation-log"):
    """What the steps of a node printed, from byte `offset` on (-1: the last page). Reply: `OperationLog`."""

    number: int
    node: str
    offset: int = 0


class ListOperations(msgspec.Struct, frozen=True, tag="operations"):
    """Reply: `Operations`, newest first. `number` picks one."""

    limit: int = 50
    number: int = 0


class ListEvents(msgspec.Struct, frozen=True, tag="events"):
    """Reply: `Events`, newest first: of one node or of all (""), older than number `before` (0: the newest)."""

    node: str = ""
    before: int = 0
    limit: int = 200


class ListAudit(msgspec.Struct, frozen=True, tag="audit"):
    """Reply: `Audit`, newest first.

    Attributes:
        nodes: only lines about these, and about no node in particular with none.
        since: Unix seconds. user: only what this user ordered.
    """

    limit: int = 200
    nodes: tuple[str, ...] = ()
    since: float = 0.0
    user: str = ""


class ConsoleOpen(msgspec.Struct, frozen=True, tag="console-open"):
    """Read a console: reply `ConsoleOpened` with up to `history` bytes of the past, then `ConsoleData` pushes."""

    node: str
    history: int = 65536


class ConsoleClose(msgspec.Struct, frozen=True, tag="console-close"):
    """Stop reading (and give back the pen). Reply: `Done`."""

    node: str


class ConsoleHistory(msgspec.Struct, frozen=True, tag="console-history"):
    """Reply: `ConsoleChunk`: at most `length` bytes of the recording from `offset`; it may begin later than asked."""

    node: str
    offset: int
    length: int


class ConsolePen(msgspec.Struct, frozen=True, tag="console-pen"):
    """Take (or give back) the right to write. Reply: `ConsoleState`; Problem "pen-held" names the holder."""

    node: str
    take: bool = True
    steal: bool = False


class ConsoleWrite(msgspec.Struct, frozen=True, tag="console-write"):
    """Send bytes; needs the pen. Reply: `Done` when they are queued for the BMC."""

    node: str
    data: bytes


class ConsoleBreak(msgspec.Struct, frozen=True, tag="console-break"):
    """Send a serial break; needs the pen. Reply: `Done`."""

    node: str


class ConsoleReopen(msgspec.Struct, frozen=True, tag="console-reopen"):
    """Close and open the console now; with `takeover` end another client's session. Reply: `ConsoleState`."""

    node: str
    takeover: bool = False


class AskEngine(msgspec.Struct, frozen=True, tag="engine"):
    """Reply: `EngineStatus`."""


class StopEngine(msgspec.Struct, frozen=True, tag="stop"):
    """Orderly shutdown. Reply: `Done`, then `Goodbye`. Problem "busy" while operations run, unless `force`."""

    force: bool = False


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """Read the inventory again. Reply: `Snapshot`; Problem "inventory" with every error when it is wrong."""


class AskTimeline(msgspec.Struct, frozen=True, tag="timeline"):
    """Reply: `Timelines`: the boots of a node, newest first, at most `limit`."""

    node: str
    limit: int = 5


class ListLogs(msgspec.Struct, frozen=True, tag="logs"):
    """Reply: `LogPage`: at most `limit` lines that pass, nearest to `seq` (0: the newest) and before it, or after it
    with `forward`; in the order of their times."""

    filter: LogFilter = LogFilter()
    seq: int = 0
    forward: bool = False
    limit: int = 500


class FollowLogs(msgspec.Struct, frozen=True, tag="follow-logs"):
    """Be pushed `LogLines` of what passes from now on; replaces an earlier filter. None ends it. Reply: `Done`."""

    filter: LogFilter | None


class SearchLogs(msgspec.Struct, frozen=True, tag="search-logs"):
    """Reply: `LogHits`: the places of all lines that pass the filter and hold `pattern` (at most `limit`)."""

    pattern: str
    filter: LogFilter = LogFilter()
    limit: int = 10_000


class MakeBundle(msgspec.Struct, frozen=True, tag="bundle"):
    """Write an incident bundle of `nodes` into `directory` (made, 0700; holds no bundle yet). Reply: `BundleReply`.

    Attributes:
        nodes: with none, those of `operation`.
        since: Unix seconds; 0: since a day ago, or shortly before `operation` began.
        operation: its number, 0 for none.
    """

    nodes: tuple[str, ...]
    directory: str
    since: float = 0.0
    operation: int = 0


class EnrolNode(msgspec.Struct, frozen=True, tag="enrol"):
    """Add a machine to the inventory. Reply: `EnrolReply` with the diff; written only with `apply`."""

    name: str
    mac: str
    profile: str = ""
    bmc: str = ""
    provisioning_ip: str = ""
    apply: bool = False


class LookHealth(msgspec.Struct, frozen=True, tag="look-health"):
    """Look at every service and raft group now, also at what is silent. Reply: `Done` when all have told or had their
    time; what they told comes with `Changes`."""


class Here(msgspec.Struct, frozen=True, tag="here"):
    """Tell the others what this client looks at ("nodes", "console node01"). Reply: `Done`."""

    place: str


class PutNote(msgspec.Struct, frozen=True, tag="note"):
    """Add a note to a node; with `clear` take all of its notes away. Reply: `Done`; Problem "refused" when it is too
    long or there are too many."""

    node: str
    text: str = ""
    clear: bool = False


class LockNodes(msgspec.Struct, frozen=True, tag="lock"):
    """Keep everybody else's acts from nodes, until Unix seconds `until` (0: until they are unlocked). Reply: `Done`;
    Problem "locked" when somebody else has locked one of them."""

    nodes: tuple[str, ...]
    reason: str
    until: float = 0.0


class UnlockNodes(msgspec.Struct, frozen=True, tag="unlock"):
    """Take locks away; those of others only with `break_lock`, which only an admin may. Reply: `Done`."""

    nodes: tuple[str, ...]
    break_lock: bool = False


class AskTrend(msgspec.Struct, frozen=True, tag="trend"):
    """How the services of a node did at the last looks. Reply: `Trends`."""

    node: str


class CheckReplication(msgspec.Struct, frozen=True, tag="check-replication"):
    """Write a value into each raft group and read it at the other members. Reply: `Replications`."""


class AskJournal(msgspec.Struct, frozen=True, tag="journal"):
    """The newest lines of what a service of a node's profile wrote, its first-boot unit's with them. Reply: `Journal`;
    Problem "unsupported" for another service, or why the node cannot be asked over SSH."""

    node: str
    service: str


class LookSystems(msgspec.Struct, frozen=True, tag="look-systems"):
    """Ask the systems of these nodes over SSH now (all that are on when none is named). Reply: `Done` when all have
    told or had their time; what they told comes with `Changes`.

    `declared`: also evaluate what the flake declares for them, which takes up to minutes a node.
    """

    nodes: tuple[str, ...] = ()
    declared: bool = False


RequestBody = (
    Watch
    | Query
    | PlanOrder
    | StartOrder
    | CancelOperation
    | HoldOperation
    | ReleaseOperation
    | RetryOperation
    | AskOperationLog
    | ListOperations
    | ListEvents
    | ListAudit
    | ConsoleOpen
    | ConsoleClose
    | ConsoleHistory
    | ConsolePen
    | ConsoleWrite
    | ConsoleBreak
    | ConsoleReopen
    | AskEngine
    | StopEngine
    | Reload
    | AskTimeline
    | ListLogs
    | FollowLogs
    | SearchLogs
    | MakeBundle
    | EnrolNode
    | AskChecks
    | AskCertificates
    | LookHealth
    | PxeRequest
    | Here
    | PutNote
    | LockNodes
    | UnlockNodes
    | PastRequest
    | AskTrend
    | CheckReplication
    | LookSystems
    | AskJournal
)
