"""The screen's copy of what the engine knows: immutable values, replaced by snapshots and changes.

Views never get a message per event. Each holds a `Watcher`, which collects what changed and calls back once until it
is read; the view reads it from one timer. Imports no Textual.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, SourceState, UnknownClient
from plasmatui.model.event import AuditLine, EventLine
from plasmatui.model.health import GroupState, HealthLook, NodeServices, NodeSystem
from plasmatui.model.node import Node, NodeState
from plasmatui.model.operation import OperationRecord
from plasmatui.model.pxe import PxeReply, PxeRequest
from plasmatui.text import clean_line
from plasmatui.ui.checklist import Checklist
from plasmatui.ui.pxeside import PxeSide

EVENTS_KEPT = 2000
AUDIT_KEPT = 1000
BOOTS_KEPT = 5


class Topic(Enum):
    """What may change besides the states of nodes."""

    NODES = "nodes"
    OPERATIONS = "operations"
    EVENTS = "events"
    AUDIT = "audit"
    LINK = "link"
    NOTICES = "notices"
    BOOTS = "boots"
    SOURCES = "sources"
    UNKNOWN = "unknown"
    CHECKS = "checks"
    CLIENTS = "clients"
    HEALTH = "health"
    PXE = "pxe"


@dataclass(frozen=True)
class Dirt:
    """What changed since the last time: names of nodes whose state did, and topics."""

    names: frozenset[str]
    topics: frozenset[Topic]

    def __bool__(self) -> bool:
        return bool(self.names or self.topics)


class Watcher:
    """Collects changes for one view. `call` is called once when there is something new, then not before `take`."""

    def __init__(self, store: Store, call: Callable[[], None]) -> None:
        self._store = store
        self._call = call
        self._names: set[str] = set()
        self._topics: set[Topic] = set()
        self._told = False

    def take(self) -> Dirt:
        """What changed; the collection begins anew."""
        dirt = Dirt(frozenset(self._names), frozenset(self._topics))
        self._names.clear()
        self._topics.clear()
        self._told = False
        return dirt

    def close(self) -> None:
        """Collect no more."""
        self._store.forget(self)

    def touch(self, names: frozenset[str], topics: frozenset[Topic]) -> None:
        """Add changes (the store calls this)."""
        self._names |= names
        self._topics |= topics
        if not self._told and (self._names or self._topics):
            self._told = True
            self._call()


@dataclass(frozen=True)
class LinkState:
    """Standing with the engine. Times are Unix seconds; `retry_at` is 0 while a try is under way."""

    online: bool = False
    reason: str = "connecting"
    since: float = 0.0
    retry_at: float = 0.0
    seen: float = 0.0


@dataclass
class Store:
    """See the module. `clock` gives Unix seconds; tests freeze it."""

    clock: Callable[[], float] = time.time
    welcome: wire.Welcome | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    states: dict[str, NodeState] = field(default_factory=dict)
    operations: dict[int, OperationRecord] = field(default_factory=dict)
    events: deque[EventLine] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    audit: deque[AuditLine] = field(default_factory=lambda: deque(maxlen=AUDIT_KEPT))
    notices: tuple[str, ...] = ()
    sources: dict[str, SourceState] = field(default_factory=dict)
    unknown: tuple[UnknownClient, ...] = ()
    services: dict[str, NodeServices] = field(default_factory=dict)
    groups: tuple[GroupState, ...] = ()
    look: HealthLook = field(default_factory=HealthLook)
    systems: dict[str, NodeSystem] = field(default_factory=dict)
    boots: dict[str, tuple[BootTimeline, ...]] = field(default_factory=dict)
    clients: tuple[wire.ClientInfo, ...] = ()
    checklist: Checklist = field(default_factory=Checklist)
    pxe: PxeSide = field(default_factory=PxeSide)
    past: wire.Past | None = None
    link: LinkState = LinkState()
    seq: int = 0
    _watchers: list[Watcher] = field(default_factory=list)

    def watch(self, call: Callable[[], None]) -> Watcher:
        """A new watcher, which counts everything as changed."""
        watcher = Watcher(self, call)
        self._watchers.append(watcher)
        watcher.touch(frozenset(self.nodes), frozenset(Topic))
        return watcher

    def forget(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def greet(self, welcome: wire.Welcome) -> None:
        """A connection was made; what is shown stays until the snapshot is there."""
        self.welcome = welcome
        self.notices = welcome.notices
        if not self.nodes:
            self._set_nodes(welcome.nodes)
        self._tell(frozenset(self.nodes), frozenset((Topic.LINK, Topic.NOTICES, Topic.NODES)))

    @property
    def at(self) -> float:
        """The moment that is shown, Unix seconds; 0 for the present."""
        return self.past.at if self.past is not None else 0.0

    def now(self) -> float:
        """The time by which ages are counted: of the moment that is shown."""
        return self.at or self.clock()

    def travel(self, past: wire.Past) -> None:
        """Show a moment that is over; what the engine tells of the present is let by until `arrive`."""
        self.past = past
        self.states = {state.name: state for state in past.states if state.name in self.nodes}
        self.operations = {record.number: record for record in past.operations}
        self.events = deque(past.events, maxlen=EVENTS_KEPT)
        self.audit = deque((line for line in self.audit if line.wall <= past.at), maxlen=AUDIT_KEPT)
        self.sources, self.unknown = {}, ()
        self.services = {each.node: each for each in past.services if each.node in self.nodes}
        self.groups = past.groups
        self.look, self.systems = HealthLook(), {}
        self.boots.clear()
        self._tell(frozenset(self.nodes), frozenset(Topic))

    def arrive(self) -> None:
        """Back in the present, of which a snapshot is to be loaded."""
        self.past = None
        self._tell(frozenset(self.nodes), frozenset(Topic))

    def load(self, snapshot: wire.Snapshot) -> None:
        """Replace everything; while a moment that is over is shown, only that the engine is there."""
        if self.past is not None:
            now = self.clock()
            self.link = LinkState(online=True, reason="", since=now, seen=now)
            self._tell(frozenset(), frozenset((Topic.LINK,)))
            return
        self._set_nodes(snapshot.nodes)
        self.states = {state.name: state for state in snapshot.states if state.name in self.nodes}
        self.operations = {record.number: record for record in snapshot.operations}
        self.events = deque(sorted(snapshot.events, key=lambda line: line.number), maxlen=EVENTS_KEPT)
        if snapshot.notices:
            self.notices = snapshot.notices
        self.sources = {source.name: source for source in snapshot.sources}
        self.unknown = snapshot.unknown
        self.clients = snapshot.clients
        self.services = {each.node: each for each in snapshot.services}
        self.groups, self.look = snapshot.groups, snapshot.look
        self.systems = {each.node: each for each in snapshot.systems}
        self.boots.clear()  # asked for again; numbers may have begun anew
        self.seq = snapshot.seq
        now = self.clock()
        self.link = LinkState(online=True, reason="", since=now, seen=now)
        self._tell(frozenset(self.nodes), frozenset(Topic))

    def apply(self, changes: wire.Changes) -> None:
        """Take over what changed, unless a moment that is over is shown."""
        if self.past is not None:
            self.link = LinkState(True, "", self.link.since, 0.0, self.clock())
            if changes.clients is not None:  # who else is there is asked of the present
                self.clients = changes.clients
                self._tell(frozenset(), frozenset((Topic.CLIENTS,)))
            return
        topics: set[Topic] = set()
        if changes.nodes is not None:
            self._set_nodes(changes.nodes)
            topics.add(Topic.NODES)
        for state in changes.states:
            if state.name in self.nodes:
                self.states[state.name] = state
        for record in changes.operations:
            self.operations[record.number] = record
            topics.add(Topic.OPERATIONS)
        if changes.events:
            self.events.extend(changes.events)
            topics.add(Topic.EVENTS)
        if changes.audit:
            self.audit.extend(changes.audit)
            topics.add(Topic.AUDIT)
        if changes.notices:
            self.notices = changes.notices
            topics.add(Topic.NOTICES)
        if changes.sources:
            self.sources |= {source.name: source for source in changes.sources}
            topics.add(Topic.SOURCES)
        if changes.unknown is not None:
            self.unknown = changes.unknown
            topics.add(Topic.UNKNOWN)
        if self._take_health(changes):
            topics.add(Topic.HEALTH)
        if changes.clients is not None:
            self.clients = changes.clients
            topics.add(Topic.CLIENTS)
        for boot in changes.timelines:
            self._take_boots((boot,))
            topics.add(Topic.BOOTS)
        self.seq = changes.seq
        self.link = LinkState(True, "", self.link.since, 0.0, self.clock())
        self._tell(frozenset(state.name for state in changes.states), frozenset(topics))

    def _take_health(self, changes: wire.Changes) -> bool:
        """Take over how services and groups stand; whether that changed."""
        self.services |= {each.node: each for each in changes.services}
        self.systems |= {each.node: each for each in changes.systems}
        if changes.groups is not None:
            self.groups = changes.groups
        if changes.look is not None:
            self.look = changes.look
        whole = changes.groups is not None or changes.look is not None
        return whole or bool(changes.services or changes.systems)

    def remember_audit(self, lines: tuple[AuditLine, ...]) -> None:
        """The command log as the engine has it; lines that came meanwhile are kept once."""
        merged = {line.number: line for line in (*lines, *self.audit) if not self.at or line.wall <= self.at}
        self.audit = deque((merged[number] for number in sorted(merged)), maxlen=AUDIT_KEPT)
        self._tell(frozenset(), frozenset((Topic.AUDIT,)))

    def remember_events(self, lines: tuple[EventLine, ...]) -> None:
        """Older events, asked for; lines that are known are kept once."""
        merged = {line.number: line for line in (*lines, *self.events)}
        self.events = deque((merged[number] for number in sorted(merged)), maxlen=EVENTS_KEPT)
        self._tell(frozenset(), frozenset((Topic.EVENTS,)))

    def remember_boots(self, boots: tuple[BootTimeline, ...]) -> None:
        """Boots of a node, asked for."""
        self._take_boots(boots)
        self._tell(frozenset(), frozenset((Topic.BOOTS,)))

    def _take_boots(self, boots: tuple[BootTimeline, ...]) -> None:
        """Keep the newest few of each node, the newest first."""
        for boot in boots:
            known = {old.number: old for old in self.boots.get(boot.node, ())} | {boot.number: boot}
            self.boots[boot.node] = tuple(known[number] for number in sorted(known, reverse=True)[:BOOTS_KEPT])

    def remember_operation(self, record: OperationRecord) -> None:
        """An operation as an answer gave it; a push may bring the same again."""
        self.operations[record.number] = record
        self._tell(frozenset(), frozenset((Topic.OPERATIONS,)))

    def begin_checks(self) -> None:
        """The checklist is asked for."""
        self.checklist.start(self.clock())
        self._tell(frozenset(), frozenset((Topic.CHECKS,)))

    def take_check(self, answer: wire.CheckAnswer) -> None:
        """A check of the checklist is answered."""
        self.checklist.take(answer, self.clock())
        self._tell(frozenset(), frozenset((Topic.CHECKS,)))

    def end_checks(self, problem: str) -> None:
        """The checklist is done; `problem`: why not all of it, "" when all is."""
        self.checklist.stop(self.clock(), clean_line(problem, 400))
        self._tell(frozenset(), frozenset((Topic.CHECKS,)))

    def take_pxe(self, answer: PxeReply) -> None:
        """Something of the PXE side is answered."""
        self.pxe.take(answer)
        self._tell(frozenset(), frozenset((Topic.PXE,)))

    def fail_pxe(self, kind: type[PxeRequest], problem: str) -> None:
        """Why a question about the PXE side has no answer."""
        self.pxe.problems[kind] = clean_line(problem, 400)
        self._tell(frozenset(), frozenset((Topic.PXE,)))

    def read_image(self, version: str, size: int | None) -> None:
        """So many bytes of an image were read; None: it is read no more."""
        if size is None:
            self.pxe.reading.pop(version, None)
        else:
            self.pxe.reading[version] = size
        self._tell(frozenset(), frozenset((Topic.PXE,)))

    def offline(self, reason: str, retry_at: float = 0.0) -> None:
        """The engine is gone (or is being looked for); what is known stays and counts as stale."""
        since = self.clock() if self.link.online or not self.link.since else self.link.since
        self.link = LinkState(False, clean_line(" / ".join(reason.splitlines()), 4000), since, retry_at, self.link.seen)
        self._tell(frozenset(), frozenset((Topic.LINK,)))

    def state(self, name: str) -> NodeState:
        """What is known of a node; unknown is a value."""
        return self.states.get(name) or NodeState(name)

    @property
    def others(self) -> tuple[wire.ClientInfo, ...]:
        """Other screens and consoles; commands that come and go are left out."""
        own = self.welcome.client if self.welcome is not None else 0
        return tuple(each for each in self.clients if each.client != own and (each.kind == "tui" or each.place))

    @property
    def running(self) -> list[OperationRecord]:
        """Operations that have not ended, oldest first."""
        return [record for _, record in sorted(self.operations.items()) if not record.state.ended]

    def _set_nodes(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = {node.name: node for node in nodes}
        for name in set(self.states) - set(self.nodes):
            del self.states[name]
        for name in set(self.services) - set(self.nodes):
            del self.services[name]

    def _tell(self, names: frozenset[str], topics: frozenset[Topic]) -> None:
        for watcher in tuple(self._watchers):
            watcher.touch(names, topics)
