"""The one place where state changes: events in, change sets out, at most ten a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from plasmatui.engine.lines import describe
from plasmatui.engine.state import ROUTINE, lasting, reduce, standing
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, SourceState, UnknownClient
from plasmatui.model.event import (
    AuditLine,
    Event,
    EventLine,
    FindingRaised,
    GroupsSeen,
    LifecycleChanged,
    NodesKnown,
    Note,
    Payload,
    ServicesSeen,
    StageSeen,
)
from plasmatui.model.health import GroupState, HealthLook, NodeServices, NodeSystem
from plasmatui.model.node import Finding, Node, NodeState, StageState
from plasmatui.model.operation import NOWHERE, OperationRecord, Origin
from plasmatui.text import clean_line

INTERVAL = 0.1
"""Seconds between two change sets."""

STATES_EVERY = 10_000
"""Events for the journal between two times that all states are kept, so that few events tell what was known at a time;
with older events making room, the states are still there."""

KEPT_EVENTS = 500
KEPT_OPERATIONS = 50


@dataclass
class Batch:
    """Changes that are not sent yet: the latest value of each key, and lines up to a bound.

    A client that reads slowly has one of its own, into which later change sets are merged.
    """

    states: dict[str, NodeState] = field(default_factory=dict)
    operations: dict[int, OperationRecord] = field(default_factory=dict)
    events: deque[EventLine] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    audit: deque[AuditLine] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    notices: dict[str, None] = field(default_factory=dict)
    nodes: tuple[Node, ...] | None = None
    sources: dict[str, SourceState] = field(default_factory=dict)
    unknown: tuple[UnknownClient, ...] | None = None
    timelines: dict[tuple[str, int], BootTimeline] = field(default_factory=dict)
    services: dict[str, NodeServices] = field(default_factory=dict)
    groups: tuple[GroupState, ...] | None = None
    look: HealthLook | None = None
    clients: tuple[wire.ClientInfo, ...] | None = None
    systems: dict[str, NodeSystem] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return (
            bool(self.states or self.operations or self.events or self.audit or self.notices)
            or bool(self.sources or self.timelines or self.services or self.systems)
            or self.nodes is not None
            or self.unknown is not None
            or self.groups is not None
            or self.look is not None
            or self.clients is not None
        )

    def merge(self, changes: wire.Changes) -> None:
        """Take in a later change set: of each key the latest value wins, lines are appended."""
        if changes.nodes is not None:
            self.nodes = changes.nodes
            names = {node.name for node in changes.nodes}
            self.states = {name: state for name, state in self.states.items() if name in names}
        self.states.update((state.name, state) for state in changes.states)
        self.operations.update((record.number, record) for record in changes.operations)
        self.events.extend(changes.events)
        self.audit.extend(changes.audit)
        self.notices.update(dict.fromkeys(changes.notices))
        self.sources.update((source.name, source) for source in changes.sources)
        self.unknown = self.unknown if changes.unknown is None else changes.unknown
        self.timelines.update(((each.node, each.number), each) for each in changes.timelines)
        self.services.update((each.node, each) for each in changes.services)
        self.groups = self.groups if changes.groups is None else changes.groups
        self.look = self.look if changes.look is None else changes.look
        self.clients = self.clients if changes.clients is None else changes.clients
        self.systems.update((each.node, each) for each in changes.systems)

    def changes(self, seq: int) -> wire.Changes:
        return wire.Changes(
            seq,
            tuple(self.states.values()),
            tuple(self.operations.values()),
            tuple(self.events),
            tuple(self.audit),
            tuple(self.notices),
            self.nodes,
            tuple(self.sources.values()),
            self.unknown,
            tuple(self.timelines.values()),
            tuple(self.services.values()),
            self.groups,
            self.look,
            self.clients,
            tuple(self.systems.values()),
        )


Subscriber = Callable[[wire.Changes, bytes], None]
"""Called with each change set and its frame, which is encoded once for all clients. Must be quick."""


class Store:
    """What is known now, and who is told of changes.

    Args:
        on_line: told of each event that is worth a line or changes what lasts, for the journal.
        on_audit: told of each audit line, for the journal.
        on_lifecycle: told of each change of a node's lifecycle, to be remembered.
        first_event, first_audit: numbers to go on from.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        *,
        on_line: Callable[[EventLine, Event], None],
        on_audit: Callable[[AuditLine], None],
        on_lifecycle: Callable[[str, LifecycleChanged], None] = lambda _, __: None,
        first_event: int = 1,
        first_audit: int = 1,
    ) -> None:
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}
        self.states: dict[str, NodeState] = {name: NodeState(name) for name in self.nodes}
        self.operations: dict[int, OperationRecord] = {}
        self.events: deque[EventLine] = deque(maxlen=KEPT_EVENTS)
        self.notices: dict[str, str] = {}
        self.sources: dict[str, SourceState] = {}
        self.unknown: tuple[UnknownClient, ...] = ()
        self.services: dict[str, NodeServices] = {}
        self.groups: tuple[GroupState, ...] = ()
        self.look = HealthLook()
        self.clients: tuple[wire.ClientInfo, ...] = ()
        self.systems: dict[str, NodeSystem] = {}
        self.seq = 0
        self.on_event: Callable[[NodeState, Event], None] = lambda _, __: (
            None
        )  # told of each event of a node, with its state before
        self.on_operation: Callable[[OperationRecord], None] = lambda _: None  # told of each change of an operation
        self._on_line = on_line
        self._on_audit = on_audit
        self._on_lifecycle = on_lifecycle
        self._next_event = first_event
        self._next_audit = first_audit
        self._kept_since = 0  # events since all states were kept
        self._batch = Batch()
        self._subscribers: list[Subscriber] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushed = 0.0

    def recall(self, events: Iterable[EventLine], operations: Iterable[OperationRecord]) -> None:
        """What the journal knows of the time before this engine, oldest first."""
        for line in events:
            self.events.append(line)
            state = self.states.get(line.node)
            if state is not None and line.text not in ROUTINE:
                self.states[line.node] = replace(state, last_event=line.text, last_event_at=line.wall)
        self.operations.update((record.number, record) for record in operations)

    def recall_boot(self, node: str, stage: StageState | None, findings: Iterable[Finding]) -> None:
        """What a former engine told of a node's boot already: state, no news."""
        state = self.states[node]
        every = {each.id: each for each in (*state.findings, *findings)}
        known = tuple(every[key] for key in sorted(every))
        self.states[node] = self._batch.states[node] = replace(state, stage=stage, findings=known)
        told: list[Payload] = [StageSeen(stage), *map(FindingRaised, known)]
        for payload in told:
            self._silently(node, payload)
        self._schedule()

    # --- in -------------------------------------------------------------------------------------------------------

    def tell(self, node: str, source: str, payload: Payload) -> None:
        """Apply a fact that is seen now."""
        self.apply(Event(node, source, payload, time.time(), time.monotonic()))

    def note(self, text: str, node: str = "") -> None:
        """A line for people that changes no state."""
        self.tell(node, "engine", Note(text))

    def apply(self, event: Event) -> None:
        """Apply an event. One of a node that the inventory does not name changes no state, but is told."""
        before = self.states.get(event.node)
        if before is not None:
            self.on_event(before, event)
        if before is None:
            text = describe(NodeState(event.node), event)
        else:
            after = reduce(before, event)
            if after is before:
                return
            self.states[event.node] = after
            if isinstance(event.payload, LifecycleChanged):
                self._on_lifecycle(event.node, event.payload)
            self._batch.states[event.node] = after
            text = describe(before, event)
        if text:
            line = self._keep(event, text)
            self.events.append(line)
            self._batch.events.append(line)
        elif before is not None and lasting(before) != lasting(after):
            self._keep(event, "")
        self._schedule()

    def began(self, version: str) -> None:
        """An engine begins: from here on the events tell all that it knows."""
        self._silently("", NodesKnown(version=version), "engine")

    def _silently(self, node: str, payload: Payload, source: str = "journal") -> None:
        """For the journal alone."""
        self._keep(Event(node, source, payload, time.time(), time.monotonic()), "")

    def _keep(self, event: Event, text: str) -> EventLine:
        """For the journal; without a text it is told to nobody else."""
        line = EventLine(self._next_event, event.wall, event.node, event.source, event.kind, text)
        self._next_event += 1
        self._on_line(line, event)
        self._kept_since += 1
        if self._kept_since >= STATES_EVERY:
            self._kept_since = 0
            services, groups = tuple(self.services.values()), self.groups
            known = NodesKnown(tuple(self.states.values()), services=services, groups=groups)
            self._silently("", known)
        return line

    def operation(self, record: OperationRecord) -> None:
        """An operation began or changed."""
        self.operations[record.number] = record
        while len(self.operations) > KEPT_OPERATIONS:
            ended = next((number for number, each in self.operations.items() if each.state.ended), None)
            if ended is None:
                break
            del self.operations[ended]
        self._batch.operations[record.number] = record
        self._schedule()
        self.on_operation(record)

    def audit(
        self,
        by: str,
        node: str,
        text: str,
        result: str = "",
        *,
        origin: Origin = NOWHERE,
        operation: int = 0,
        before: str = "",
        after: str = "",
    ) -> None:
        """Who ordered what and from where, each command that left the engine, and what was changed."""
        line = AuditLine(
            self._next_audit,
            time.time(),
            clean_line(by),
            node,
            clean_line(text),
            clean_line(result),
            origin.uid,
            clean_line(origin.client),
            operation,
            clean_line(before),
            clean_line(after),
        )
        self._next_audit += 1
        self._batch.audit.append(line)
        self._on_audit(line)
        self._schedule()

    def notice(self, key: str, text: str) -> None:
        """Set the standing notice `key` ("journal", "inventory 3"), or take it away with ""."""
        text = clean_line(text)
        if self.notices.get(key, "") == text:
            return
        if not text:
            del self.notices[key]
            return
        self.notices[key] = text
        self._batch.notices[text] = None
        self._schedule()

    def source(self, state: SourceState) -> None:
        """How a log source stands."""
        if self.sources.get(state.name) != state:
            self.sources[state.name] = self._batch.sources[state.name] = state
            self._schedule()

    def forget_sources(self, names: Iterable[str]) -> None:
        """The inventory names these sources no more. Who watches learns it from the snapshot after a reload."""
        for name in names:
            self.sources.pop(name, None)
            self._batch.sources.pop(name, None)

    def unknown_clients(self, clients: tuple[UnknownClient, ...]) -> None:
        """The machines that ask and that the inventory does not name."""
        if clients != self.unknown:
            self.unknown = self._batch.unknown = clients
            self._schedule()

    def timeline(self, timeline: BootTimeline) -> None:
        """A boot went on."""
        self._batch.timelines[timeline.node, timeline.number] = timeline
        self._schedule()

    def node_services(self, services: NodeServices) -> None:
        """How the services of a node stand."""
        before = self.services.get(services.node, NodeServices(services.node))
        if before != services:
            self.services[services.node] = self._batch.services[services.node] = services
            if standing(before) != standing(services):
                self._silently(services.node, ServicesSeen(services))
            self._schedule()

    def raft_groups(self, groups: tuple[GroupState, ...]) -> None:
        """How the raft groups stand."""
        if groups != self.groups:
            self.groups = self._batch.groups = groups
            self._silently("", GroupsSeen(groups))
            self._schedule()

    def node_system(self, system: NodeSystem) -> None:
        """What the system of a node says of itself."""
        if self.systems.get(system.node) != system:
            self.systems[system.node] = self._batch.systems[system.node] = system
            self._schedule()

    def health_look(self, look: HealthLook) -> None:
        """How and when services were looked at."""
        if look != self.look:
            self.look = self._batch.look = look
            self._schedule()

    def attached(self, clients: tuple[wire.ClientInfo, ...]) -> None:
        """Who is attached now."""
        if clients != self.clients:
            self.clients = self._batch.clients = clients
            self._schedule()

    def replace_nodes(self, nodes: Iterable[Node]) -> None:
        """The inventory was read again: states of nodes that stay are kept."""
        self.nodes = {node.name: node for node in nodes}
        self.states = {name: self.states.get(name) or NodeState(name) for name in self.nodes}
        self.services = {name: each for name, each in self.services.items() if name in self.nodes}
        self.systems = {name: each for name, each in self.systems.items() if name in self.nodes}
        self._batch.nodes = tuple(self.nodes.values())
        self._batch.states = dict(self.states)
        self._schedule()

    def cordoned(self) -> frozenset[str]:
        """Nodes that are out of service, or on the way there: they get no VMs."""
        return frozenset(name for name, state in self.states.items() if "cordoned" in state.flags)

    # --- out ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> wire.Snapshot:
        """All that change sets are changes of. Whoever subscribes in the same turn of the loop misses nothing."""
        return wire.Snapshot(
            self.seq,
            tuple(self.nodes.values()),
            tuple(self.states.values()),
            tuple(reversed(self.operations.values())),
            tuple(self.events),
            tuple(self.notices.values()),
            tuple(self.sources.values()),
            self.unknown,
            tuple(self.services.values()),
            self.groups,
            self.look,
            self.clients,
            tuple(self.systems.values()),
        )

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Be told of each change set from now on; the returned function ends it."""
        self.flush()
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def flush(self) -> None:
        """Send what has gathered, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flushed = time.monotonic()
        if not self._batch:
            return
        batch, self._batch = self._batch, Batch()
        self.seq += 1
        if not self._subscribers:
            return
        changes = batch.changes(self.seq)
        frame = wire.encode(changes)
        for subscriber in tuple(self._subscribers):
            subscriber(changes, frame)

    def _schedule(self) -> None:
        if self._timer is None:
            delay = max(0.0, self._flushed + INTERVAL - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self.flush)
