"""The words on the engine's socket: frames of msgpack, a version handshake, requests, answers, pushes.

A frame is four bytes of length (big endian) and one msgpack value. The client speaks first (`Hello`), the engine
answers `Welcome` or `Goodbye`. After that the client sends `Request` and `Cancel`; the engine sends, for each request,
any number of `Item` and exactly one `Reply`, and between them the pushes `Changes` and `ConsoleData`.
"""

from __future__ import annotations

import msgspec

from plasmatui.model.bmc import BootDevice, FruField, SelEntry, SensorReading
from plasmatui.model.event import AuditLine, EventLine
from plasmatui.model.node import ConsoleState, Node, NodeState
from plasmatui.model.operation import OperationRecord, Order, Pace, Plan
from plasmatui.model.words import Power

PROTOCOL = 1
"""Raised whenever a struct here changes in a way that an older side cannot read."""

MAX_FRAME = 16 * 1024 * 1024
"""Bytes. A longer frame ends the connection."""


class Problem(msgspec.Struct, frozen=True):
    """What went wrong: `id` for programs (a finding's id, "unknown-node", "read-only", "timeout", "refused",
    "pen-held", "busy", "unsupported", "no-bmc", "disk-full", "internal"), `message` for people: what, where, what
    next."""

    id: str
    message: str


# --- handshake ---------------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """`kind` is "tui" or "cli"; `user` and `terminal` are what others see ("anna", "pts/3")."""

    protocol: int
    version: str
    kind: str
    user: str
    terminal: str
    read_only: bool = False


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """`client` is this connection's number. `notices`: warnings about the inventory and the engine, for people."""

    protocol: int
    version: str
    pid: int
    client: int
    inventory: str
    cluster: str
    environment: str
    read_only: bool
    nodes: tuple[Node, ...]
    notices: tuple[str, ...] = ()


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The engine ends the connection. `id`: "version", "peer", "stopping", "too-slow", "protocol"."""

    id: str
    message: str


# --- requests ----------------------------------------------------------------------------------------------------


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Reply: `Snapshot`. From then on `Changes` are pushed."""


class Query(msgspec.Struct, frozen=True, tag="query"):
    """Ask the BMCs of `nodes` now. Items: `NodeAnswer`, in the order in which they answer. Reply: `Done`.

    `what`: "power" "bootdev" "sensors" "sel" "inventory" "refresh" ("refresh" also tries BMCs that were refused).
    """

    what: str
    nodes: tuple[str, ...]


class PlanOrder(msgspec.Struct, frozen=True, tag="plan"):
    """Reply: `Plan`. Changes nothing."""

    order: Order
    nodes: tuple[str, ...]
    pace: Pace | None = None


class StartOrder(msgspec.Struct, frozen=True, tag="start"):
    """Begin an operation. Reply: `OperationRecord`; its progress comes with `Changes` (after `Watch`)."""

    order: Order
    nodes: tuple[str, ...]
    pace: Pace | None = None


class CancelOperation(msgspec.Struct, frozen=True, tag="cancel-operation"):
    """Cancel what has not begun and what can be left safely. Reply: `OperationRecord`."""

    number: int


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
    """Reply: `Audit`, newest first."""

    limit: int = 200


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


RequestBody = (
    Watch
    | Query
    | PlanOrder
    | StartOrder
    | CancelOperation
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
)


class Request(msgspec.Struct, frozen=True, tag="request"):
    id: int
    body: RequestBody


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop working on request `id`; its `Reply` still comes, with Problem "cancelled"."""

    id: int


ClientMessage = Request | Cancel


# --- answers -----------------------------------------------------------------------------------------------------


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


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """Everything that `Changes` are changes of."""

    seq: int
    nodes: tuple[Node, ...]
    states: tuple[NodeState, ...]
    operations: tuple[OperationRecord, ...]
    events: tuple[EventLine, ...]
    notices: tuple[str, ...] = ()


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


class ConsoleOpened(msgspec.Struct, frozen=True, tag="console-opened"):
    state: ConsoleState
    offset: int
    data: bytes


class ConsoleChunk(msgspec.Struct, frozen=True, tag="console-chunk"):
    offset: int
    data: bytes


class ConsoleReply(msgspec.Struct, frozen=True, tag="console"):
    state: ConsoleState


class ClientInfo(msgspec.Struct, frozen=True):
    client: int
    kind: str
    user: str
    terminal: str
    since: float
    read_only: bool


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


ReplyBody = (
    Done
    | Snapshot
    | Operations
    | Events
    | Audit
    | PlanReply
    | OperationReply
    | ConsoleOpened
    | ConsoleChunk
    | ConsoleReply
    | EngineStatus
)


class Item(msgspec.Struct, frozen=True, tag="item"):
    id: int
    body: NodeAnswer


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    id: int
    body: ReplyBody | None = None
    problem: Problem | None = None


# --- pushes ------------------------------------------------------------------------------------------------------


class Changes(msgspec.Struct, frozen=True, tag="changes"):
    """At most ten a second. Whole values: a later one replaces an earlier one of the same key.

    `nodes` is given only when the inventory was read again, and is then complete.
    """

    seq: int
    states: tuple[NodeState, ...] = ()
    operations: tuple[OperationRecord, ...] = ()
    events: tuple[EventLine, ...] = ()
    audit: tuple[AuditLine, ...] = ()
    notices: tuple[str, ...] = ()
    nodes: tuple[Node, ...] | None = None


class ConsoleData(msgspec.Struct, frozen=True, tag="console-data"):
    """Bytes of a console from `offset` on. A gap (offset beyond the last end) was dropped for this client because it
    reads slowly: fetch it with `ConsoleHistory`."""

    node: str
    offset: int
    data: bytes


EngineMessage = Item | Reply | Changes | ConsoleData | Goodbye

HelloAnswer = Welcome | Goodbye

_encoder = msgspec.msgpack.Encoder()


def encode(
    message: Hello | Welcome | Goodbye | Request | Cancel | Item | Reply | Changes | ConsoleData,
) -> bytes:
    """The frame of `message`, its length in front."""
    buffer = bytearray(4)
    _encoder.encode_into(message, buffer, 4)
    buffer[:4] = (len(buffer) - 4).to_bytes(4, "big")
    return bytes(buffer)


HELLO = msgspec.msgpack.Decoder(Hello)
HELLO_ANSWER = msgspec.msgpack.Decoder(HelloAnswer)
CLIENT_MESSAGE = msgspec.msgpack.Decoder(ClientMessage)
ENGINE_MESSAGE = msgspec.msgpack.Decoder(EngineMessage)
