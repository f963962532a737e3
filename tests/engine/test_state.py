"""The reducer, the store and the merging of change sets."""

from __future__ import annotations

import asyncio

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.engine.state import reduce
from plasmatui.engine.store import KEPT_EVENTS, Batch, Store
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import (
    AuditLine,
    BmcChanged,
    BootDeviceSeen,
    ConsoleChanged,
    Event,
    EventLine,
    FindingCleared,
    FindingRaised,
    IdentifySeen,
    Note,
    OperationTouched,
    Payload,
    PowerSeen,
)
from plasmatui.model.findings import FINDINGS
from plasmatui.model.node import BmcState, ConsoleState, Finding, Node, NodeState
from plasmatui.model.operation import NodeRecord
from plasmatui.model.words import BmcStatus, ConsoleStatus, OperationState, Power, Severity
from plasmatui.text import is_clean

texts = st.text(max_size=40)
times = st.floats(0, 2e9)
finding_ids = st.sampled_from(["", "bmc-auth", "bmc-unreachable", "sol-in-use", "console-silent"])
bmc_states = st.builds(BmcState, status=st.sampled_from(BmcStatus), since=times, finding=finding_ids, message=texts)
console_states = st.builds(
    ConsoleState, status=st.sampled_from(ConsoleStatus), finding=finding_ids, message=texts, recording=st.booleans(),
    end=st.integers(0, 10**9),
)  # fmt: skip
boots = st.none() | st.builds(
    BootDevice, device=st.sampled_from(Device), persistent=st.booleans(), uefi=st.none() | st.booleans()
)
findings = st.builds(
    Finding, id=st.sampled_from(sorted(FINDINGS)), severity=st.sampled_from(Severity), cause=texts, remedy=texts,
    since=times, evidence=st.tuples(texts),
)  # fmt: skip
records = st.builds(NodeRecord, node=st.just("n1"), state=st.sampled_from(OperationState), message=texts)
payloads: st.SearchStrategy[Payload] = st.one_of(
    st.builds(PowerSeen, value=st.sampled_from(Power), by=texts),
    st.builds(BmcChanged, state=bmc_states),
    st.builds(ConsoleChanged, state=console_states),
    st.builds(BootDeviceSeen, boot=boots, verified=st.none() | st.booleans()),
    st.builds(IdentifySeen, on=st.booleans()),
    st.builds(FindingRaised, finding=findings),
    st.builds(FindingCleared, id=st.sampled_from(sorted(FINDINGS))),
    st.builds(OperationTouched, number=st.integers(1, 3), record=records),
    st.builds(Note, text=texts),
)
events = st.builds(Event, node=st.just("n1"), source=st.just("test"), payload=payloads, wall=times, mono=times)


def event(payload: Payload, wall: float = 1.0) -> Event:
    return Event("n1", "test", payload, wall, wall)


def run(*payloads: Payload) -> NodeState:
    state = NodeState("n1")
    for wall, payload in enumerate(payloads, 1):
        state = reduce(state, event(payload, float(wall)))
    return state


@given(st.lists(events, max_size=12))
def test_any_history_gives_one_sound_state(history: list[Event]) -> None:
    state = NodeState("n1")
    for each in history:
        before = msgspec.msgpack.encode(state)
        after = reduce(state, each)
        assert msgspec.msgpack.encode(state) == before, "the old state is never changed in place"
        assert reduce(state, each) == after, "the same input gives the same state"
        state = after
    assert state.name == "n1"
    assert is_clean(state.last_event)
    ids = [finding.id for finding in state.findings]
    assert ids == sorted(set(ids)), "each finding once, in a fixed order"
    if state.bmc.status in (BmcStatus.NONE, BmcStatus.WAITING, BmcStatus.REFUSED) and isinstance(
        history[-1].payload, BmcChanged
    ):
        assert state.power.value is Power.UNKNOWN
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=NodeState) == state


@given(events, events)
def test_a_repeated_fact_changes_nothing(first: Event, second: Event) -> None:
    if isinstance(first.payload, Note | OperationTouched):
        return  # notes are told each time; of operations only the holder counts
    once = reduce(NodeState("n1"), first)
    again = reduce(once, msgspec.structs.replace(first, wall=second.wall))
    assert again is once


def test_power_keeps_since_source_and_by() -> None:
    state = run(PowerSeen(Power.ON, "anna"), PowerSeen(Power.ON), IdentifySeen(True))
    assert (state.power.value, state.power.since, state.power.by) == (Power.ON, 1.0, "anna")
    assert (state.last_event, state.last_event_at) == ("identify light on", 3.0)


def test_silence_is_neither_on_nor_off() -> None:
    waiting = BmcState(BmcStatus.WAITING, 2.0, "bmc-unreachable", "no answer from 10.0.0.1")
    state = run(PowerSeen(Power.ON), BmcChanged(waiting))
    assert state.power.value is Power.UNKNOWN
    assert [finding.id for finding in state.findings] == ["bmc-unreachable"]
    assert state.findings[0].evidence == ("no answer from 10.0.0.1",)
    assert "no answer" in state.last_event


def test_findings_follow_the_bmc_and_keep_their_begin() -> None:
    down = BmcChanged(BmcState(BmcStatus.WAITING, 1.0, "bmc-unreachable", "first"))
    still = BmcChanged(BmcState(BmcStatus.WAITING, 1.0, "bmc-unreachable", "second", failures=2))
    refused = BmcChanged(BmcState(BmcStatus.REFUSED, 3.0, "bmc-auth", "refused"))
    up = BmcChanged(BmcState(BmcStatus.UP, 4.0))
    assert run(down, still).findings[0].since == 1.0
    assert [finding.id for finding in run(down, still, refused).findings] == ["bmc-auth"]
    assert run(down, still, refused, up).findings == ()


def test_only_the_holder_releases_a_node() -> None:
    running = OperationTouched(1, NodeRecord("n1", OperationState.RUNNING))
    busy = OperationTouched(2, NodeRecord("n1", OperationState.FAILED, error="busy", message="held by operation 1"))
    done = OperationTouched(1, NodeRecord("n1", OperationState.DONE))
    assert run(running, busy).operation == 1
    assert "held by operation 1" in run(running, busy).last_event
    assert run(running, busy, done).operation == 0


def test_hostile_text_is_clean_in_events() -> None:
    evil = "\x1b]52;c;AAAA\x07[bold red]\u202eevil\x00"
    state = run(BmcChanged(BmcState(BmcStatus.WAITING, 1.0, "bmc-unreachable", evil)))
    assert is_clean(state.last_event)
    assert "\x1b" not in state.last_event


# --- merging ---------------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c"])
states = st.builds(NodeState, name=names, last_event=texts)
lines = st.builds(EventLine, number=st.integers(1), wall=times, node=names, source=texts, kind=texts, text=texts)
change_sets = st.builds(
    wire.Changes, seq=st.integers(1), states=st.lists(states, max_size=4).map(tuple),
    events=st.lists(lines, max_size=4).map(tuple),
)  # fmt: skip


@given(st.lists(change_sets, max_size=8))
def test_merged_changes_leave_a_reader_with_the_same_knowledge(sets: list[wire.Changes]) -> None:
    one: dict[str, NodeState] = {}
    told: list[EventLine] = []
    batch = Batch()
    for changes in sets:
        one.update((state.name, state) for state in changes.states)
        told.extend(changes.events)
        batch.merge(changes)
    merged = batch.changes(9)
    assert {state.name: state for state in merged.states} == one
    assert list(merged.events) == told[-KEPT_EVENTS:]
    assert len(merged.states) == len(one)


def test_a_new_inventory_drops_merged_states_of_gone_nodes() -> None:
    batch = Batch()
    batch.merge(wire.Changes(1, (NodeState("a"), NodeState("gone"))))
    batch.merge(wire.Changes(2, (NodeState("a", identify=True),), nodes=(Node("a"),)))
    assert batch.changes(2).states == (NodeState("a", identify=True),)


# --- store -----------------------------------------------------------------------------------------------------------


class Kept:
    def __init__(self) -> None:
        self.lines: list[EventLine] = []
        self.audit: list[AuditLine] = []
        self.batches: list[wire.Changes] = []
        self.frames: list[bytes] = []

    def store(self, *names: str) -> Store:
        return Store(
            [Node(name) for name in names], on_line=lambda line, _: self.lines.append(line),
            on_audit=self.audit.append, first_event=41,
        )  # fmt: skip

    def take(self, changes: wire.Changes, frame: bytes) -> None:
        self.batches.append(changes)
        self.frames.append(frame)


async def test_changes_are_batched_and_encoded_once() -> None:
    kept = Kept()
    store = kept.store("a", "b")
    other = Kept()
    store.subscribe(kept.take)
    store.subscribe(other.take)
    begin = asyncio.get_running_loop().time()
    count = 0
    while asyncio.get_running_loop().time() - begin < 0.55:
        count += 1
        store.tell("a", "test", PowerSeen(Power.ON if count % 2 else Power.OFF))
        await asyncio.sleep(0.001)
    assert count > 50
    assert 3 <= len(kept.batches) <= 7, "at most ten a second"
    assert all(one is two for one, two in zip(kept.frames, other.frames, strict=True)), "the very same bytes"
    assert [batch.seq for batch in kept.batches] == list(range(1, len(kept.batches) + 1))
    assert all(len(batch.states) == 1 for batch in kept.batches), "the latest value of each key only"
    numbers = [line.number for line in kept.lines]
    assert numbers == list(range(41, 41 + count))


async def test_a_snapshot_and_the_changes_after_it_miss_nothing() -> None:
    kept = Kept()
    store = kept.store("a")
    store.tell("a", "test", PowerSeen(Power.ON))
    store.subscribe(kept.take)
    snapshot = store.snapshot()
    assert kept.batches == []
    assert snapshot.states[0].power.value is Power.ON
    store.tell("a", "test", PowerSeen(Power.OFF))
    store.flush()
    assert [batch.seq for batch in kept.batches] == [snapshot.seq + 1]
    assert kept.batches[0].states[0].power.value is Power.OFF
    assert [line.number for line in snapshot.events] + [line.number for line in kept.batches[0].events] == [41, 42]


async def test_audit_and_notices_are_clean_and_told() -> None:
    kept = Kept()
    store = kept.store("a")
    store.subscribe(kept.take)
    store.audit("eve\x1b[31m", "a", "power\non", "done")
    store.notice("journal", "the disk is full")
    store.notice("journal", "the disk is full")
    store.flush()
    assert is_clean(kept.audit[0].by)
    assert is_clean(kept.audit[0].text)
    assert kept.batches[0].notices == ("the disk is full",)
    assert store.snapshot().notices == ("the disk is full",)
    store.notice("journal", "")
    assert store.snapshot().notices == ()


async def test_an_event_of_an_unknown_node_is_told_but_changes_nothing() -> None:
    kept = Kept()
    store = kept.store("a")
    store.tell("ghost", "test", PowerSeen(Power.ON))
    assert [line.node for line in kept.lines] == ["ghost"]
    assert set(store.states) == {"a"}


def test_what_every_engine_says_hides_nothing() -> None:
    stopped, up = Note("boot stopped at tftp-loader"), BmcChanged(BmcState(BmcStatus.UP))
    lost = BmcChanged(BmcState(BmcStatus.WAITING, finding="bmc-unreachable"))
    assert run(stopped, up, PowerSeen(Power.ON)).last_event == "boot stopped at tftp-loader"
    assert run(PowerSeen(Power.ON)).last_event == "power is on"
    assert run(stopped, PowerSeen(Power.ON), PowerSeen(Power.OFF)).last_event == "power off"
    assert run(stopped, up, lost).last_event.startswith("BMC waiting")
    assert run(stopped, up, lost, up).last_event == "BMC answers"
