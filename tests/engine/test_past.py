"""Moments that are over: rebuilt states are those that were, and what was not known then is not told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from plasmatui.client import EngineClient, EngineError
from plasmatui.engine import store as stores
from plasmatui.engine.asof import boot_at, boots_at, operation_at
from plasmatui.engine.past import Known, replay
from plasmatui.engine.recording import Recording, SegmentFiles
from plasmatui.engine.state import lasting
from plasmatui.engine.store import Store
from plasmatui.journal.past import PastJournal
from plasmatui.model import event as events
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.boot import BootTimeline, StageSpan
from plasmatui.model.event import Event
from plasmatui.model.health import GroupState, NodeServices, ServiceState
from plasmatui.model.node import (
    BmcState,
    ConsoleState,
    Finding,
    Node,
    NodeLock,
    NodeNote,
    NodeState,
    PenHolder,
    PowerState,
    StageState,
)
from plasmatui.model.operation import NodeRecord, OperationRecord, Pace, PowerOrder, StepRecord
from plasmatui.model.words import (
    BmcStatus,
    ConsoleStatus,
    Health,
    Lifecycle,
    OperationState,
    Power,
    PowerAction,
    Severity,
    Stage,
    StepResult,
)
from tests.engine.conftest import Start

NODES = ("n1", "n2")
FINDINGS = ("bmc-auth", "bmc-unreachable", "sol-in-use", "kernel-missing")

_walls = st.floats(0, 100)
_findings = st.builds(
    Finding, st.sampled_from(FINDINGS), st.sampled_from(Severity), st.just("cause"), st.just("remedy"), _walls,
    st.lists(st.sampled_from(["a", "b"]), max_size=1).map(tuple),
)  # fmt: skip
_pens = st.none() | st.just(PenHolder(1, "anna", "pts/1", 1.0))
_payloads = st.one_of(
    st.builds(events.PowerSeen, st.sampled_from(Power), st.sampled_from(["", "anna"])),
    st.builds(
        BmcState, st.sampled_from(BmcStatus), _walls, st.sampled_from(["", *FINDINGS[:2]]), st.sampled_from(["", "x"]),
        _walls, st.integers(0, 9), _walls, st.booleans(),
    ).map(events.BmcChanged),
    st.builds(
        ConsoleState, st.sampled_from(ConsoleStatus), _walls, st.sampled_from(["", "sol-in-use"]), st.just(""), _walls,
        st.booleans(), st.integers(0, 3), _pens, st.integers(0, 99),
    ).map(events.ConsoleChanged),
    st.builds(
        events.BootDeviceSeen, st.none() | st.just(BootDevice(Device.PXE)), st.none() | st.booleans()
    ),
    st.builds(events.IdentifySeen, st.booleans()),
    st.builds(events.FindingRaised, _findings),
    st.builds(events.FindingCleared, st.sampled_from(FINDINGS)),
    st.builds(
        events.OperationTouched, st.integers(1, 3),
        st.builds(NodeRecord, st.just("n1"), st.sampled_from(OperationState)),
    ),
    st.builds(events.LifecycleChanged, st.sampled_from(Lifecycle), st.sampled_from([(), ("cordoned",)])),
    st.none().map(events.StageSeen)
    | st.builds(
        StageState, st.sampled_from(list(Stage)[:4]), _walls, st.none() | st.floats(0, 100), st.none(),
        st.sampled_from(["running", "done", "failed"]), st.sampled_from(["running", "stopped"]),
    ).map(events.StageSeen),
    st.builds(events.HealthSeen, st.sampled_from(Health), st.sampled_from(["", "iam failed"])),
    st.builds(events.Note, st.sampled_from(["", "a note"])),
    st.builds(events.LockChanged, st.none() | st.just(NodeLock("anna", 7, "mine", 1.0)), st.sampled_from(["", "anna"])),
    st.builds(
        events.NotesChanged, st.lists(st.just(NodeNote("anna", 1.0, "odd fan")), max_size=2).map(tuple),
        st.sampled_from(["", "anna"]),
    ),
)  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(NODES), _payloads), max_size=40),
    st.lists(_findings, max_size=2),
    st.integers(3, 12),
)
@settings(max_examples=150, deadline=None)
def test_rebuilt_states_are_those_that_were(told: list[tuple[str, Any]], recalled: list[Finding], every: int) -> None:
    """At every moment, from the events that were kept until then, also from the middle of a run on."""
    kept: list[tuple[int, Event]] = []
    moments: list[tuple[int, dict[str, Any]]] = []

    async def live() -> None:
        store = Store([Node(name) for name in NODES], on_line=lambda line, event: kept.append((line.number, event)),
                      on_audit=lambda _: None)  # fmt: skip
        store.began("1")
        store.recall_boot("n1", StageState(Stage.FIRMWARE, 5.0, state="done"), recalled)
        for wall, (node, payload) in enumerate(told):
            store.apply(Event(node, "test", payload, float(wall), float(wall)))
            states = {name: lasting(state) for name, state in store.states.items()}
            moments.append((kept[-1][0], states))

    before, stores.STATES_EVERY = stores.STATES_EVERY, every
    try:
        asyncio.run(live())
    finally:
        stores.STATES_EVERY = before
    for last, were in moments:
        known = [pair for pair in kept if pair[0] <= last]
        begins = [place for place, (_, each) in enumerate(known) if isinstance(each.payload, events.NodesKnown)]
        for begin in begins:
            rebuilt = Known()
            replay(rebuilt, tuple(known[begin:]))
            found = {name: lasting(rebuilt.states.get(name) or NodeState(name)) for name in NODES}
            assert found == were


FLEETING = {"name", "last_event", "last_event_at"}
"""Fields of a state that the journal does not keep as such."""


def test_no_field_of_a_state_is_forgotten() -> None:
    """A field that somebody adds is kept, or named above."""
    node = NodeState("n1")
    lock, finding = NodeLock("anna", 7, "mine", 1.0), Finding("bmc-auth", Severity.ERROR, "c", "r", 1.0)
    other = NodeState(
        "n1", PowerState(Power.ON), BmcState(BmcStatus.UP), ConsoleState(ConsoleStatus.OPEN), BootDevice(Device.PXE),
        True, True, StageState(Stage.FIRMWARE, 1.0), Lifecycle.ACTIVE, Health.OK, ("cordoned",), (finding,), 1,
        lock=lock, notes=(NodeNote("anna", 1.0, "odd fan"),),
    )  # fmt: skip
    for name in set(NodeState.__struct_fields__) - FLEETING:
        changed = replace(node, **{name: getattr(other, name)})
        assert changed != node, f"this test must give {name} another value"
        assert lasting(changed) != lasting(node), f"{name} is not kept"


async def _past(client: EngineClient, at: float, step: int = 0) -> wire.Past:
    reply = await client.ask(wire.AskPast(at, step))
    assert isinstance(reply, wire.Past)
    return reply


async def test_an_hour_is_told_through_the_engine_and_stepped_by_events(start: Start) -> None:
    running = await start(2)
    async with await running.client(read_only=True) as client:
        machine = running.backend.machines["n1"]
        walls = []
        for value in (Power.ON, Power.OFF, Power.ON):
            machine.turn(value)
            walls.append(time.time())
            await asyncio.sleep(0.02)
        powers = [(await _past(client, wall)).states[0].power.value for wall in walls]
        assert powers == [Power.ON, Power.OFF, Power.ON]
        told = await _past(client, walls[1])
        assert [line.text for line in told.events][-1] == "power off"
        assert told.silent == 0.0
        assert told.states[0].console.readers == 0
        back = await _past(client, told.at, -1)
        assert back.at < told.at
        assert back.states[0].power.value is Power.OFF, "the moment of the event itself holds it"
        back = await _past(client, back.at, -1)
        assert back.states[0].power.value is Power.ON
        assert (await _past(client, back.at, 1)).states[0].power.value is Power.OFF
        with pytest.raises(EngineError, match="nothing is kept of 1970-01-01 00:00:09 UTC: what is kept begins at 20"):
            await _past(client, 9.0)
        with pytest.raises(EngineError, match="no event after"):
            await _past(client, time.time() + 1000, 1)


async def test_no_engine_in_between_is_said_and_the_next_one_begins_anew(start: Start) -> None:
    first = await start(1)
    first.backend.machines["n1"].turn(Power.ON)
    seen = time.time()
    await first.close()
    between = time.time()
    await asyncio.sleep(0.01)
    second = await start(1)
    async with await second.client() as client:
        told = await _past(client, between)
        assert seen <= told.silent <= between
        assert told.states[0].power.value is Power.ON
        now = await _past(client, time.time())
        assert now.silent == 0.0
        assert now.states[0].power.value is Power.OFF, "as this engine has heard"
        assert now.oldest < seen


async def test_silent_changes_are_kept_and_not_shown(start: Start) -> None:
    running = await start(1)
    async with await running.client() as client:
        running.engine._store.tell("n1", "test", events.LifecycleChanged(Lifecycle.ENROLLED, ("cordoned",)))
        await asyncio.sleep(0.01)
        assert (await _past(client, time.time())).states[0].flags == ("cordoned",)
        listed = await client.ask(wire.ListEvents())
        assert isinstance(listed, wire.Events)
        assert all(line.text for line in listed.events)


async def test_services_and_raft_groups_are_told_as_they_stood(start: Start) -> None:
    running = await start(1)
    store = running.engine._store
    well = NodeServices("n1", (ServiceState("iam", Health.OK, "fine", 5.0, 3.0),))
    ill = NodeServices("n1", (ServiceState("iam", Health.FAILED, "no disk", 6.0),))
    group = GroupState("chainfire", leader="n1", healthy=1, voters=1, needed=1, readable=True)
    async with await running.client() as client:
        store.node_services(well)
        store.raft_groups((group,))
        await asyncio.sleep(0.01)
        at = time.time()
        await asyncio.sleep(0.01)
        slower = NodeServices("n1", (replace(well.services[0], latency_ms=900.0),))
        store.node_services(slower)
        store.node_services(ill)
        store.raft_groups(())
        assert ((await _past(client, at)).services, (await _past(client, at)).groups) == ((well,), (group,))
        now = await _past(client, time.time())
        assert (now.services, now.groups) == ((ill,), ())
        kept = await PastJournal(running.engine._journal).events(0, 1 << 40)
        assert [event.kind for _, event in kept].count("services") == 2, "a latency is no change"


async def test_a_console_is_told_as_it_was(start: Start) -> None:
    running = await start(1)
    async with await running.client() as client:
        await client.ask(wire.ConsoleOpen("n1"))
        running.backend.on_console("n1", b"firmware ")
        await asyncio.sleep(0.15)
        at = time.time()
        await asyncio.sleep(0.15)
        running.backend.on_console("n1", b"login: ")
        chunk = await client.ask(wire.ConsoleAt("n1", at))
        assert isinstance(chunk, wire.ConsoleChunk)
        assert chunk.data == b"firmware "
        chunk = await client.ask(wire.ConsoleAt("n1", time.time(), 7))
        assert chunk == wire.ConsoleChunk(9, b"login: ")
        with pytest.raises(EngineError, match="no node nobody"):
            await client.ask(wire.ConsoleAt("nobody", at))


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.integers(1, 3)), max_size=20),
    st.integers(0, 60),
    st.integers(1, 200),
    st.integers(20, 100),
)
@settings(max_examples=100, deadline=None)
def test_a_recording_is_cut_at_a_time(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[bytes, int]], at: int, limit: int, size: int
) -> None:
    files = SegmentFiles(tmp_path_factory.mktemp("tape"), size=size, segments=100)
    recording, wall, known, whole = Recording(files.load()), 0, b"", b""
    for data, step in parts:
        wall += step
        recording.append(data, float(wall))
        chunk = recording.take()
        assert chunk is not None
        recording.written(chunk, files.write(chunk))
        whole += data
        known = whole if wall <= at else known
    assert files.until(float(at), limit) == (max(0, len(known) - limit), known[-limit:])


def span(stage: Stage, begin: float | None, end: float | None, state: str = "done", **more: Any) -> StageSpan:
    return StageSpan(stage, begin, end, state, **more)


BOOT = BootTimeline(
    "n1", 3, 10.0, Stage.HTTP_KERNEL, "stopped",
    (
        span(Stage.POWERING_ON, 10.0, 12.0),
        span(Stage.FIRMWARE, None, None, inferred=True),
        span(Stage.HTTP_KERNEL, 20.0, 24.0, bytes=900, percent=100.0),
        span(Stage.HTTP_INITRD, 24.0, None, "failed"),
    ),
    (Finding("initrd-missing", Severity.ERROR, "c", "r", 26.0),),
)  # fmt: skip


def test_of_a_boot_only_what_was_known_is_told() -> None:
    at = {wall: boot_at(BOOT, wall) for wall in (11.0, 15.0, 22.0, 25.0, 30.0)}
    assert [each.stage for each in at[11.0].stages] == [Stage.POWERING_ON]
    assert (at[11.0].stages[0].state, at[11.0].stages[0].end, at[11.0].reached) == ("running", None, None)
    assert at[15.0].reached is Stage.POWERING_ON
    assert len(at[15.0].stages) == 1, "that the firmware ran is known from what follows"
    assert [each.stage for each in at[22.0].stages][1:] == [Stage.FIRMWARE, Stage.HTTP_KERNEL]
    assert (at[22.0].stages[2].bytes, at[22.0].stages[2].state, at[22.0].outcome) == (None, "running", "running")
    assert (at[25.0].outcome, at[25.0].findings) == ("running", ())
    assert at[30.0] == BOOT
    assert boots_at((BOOT,), 9.0) == ()


def test_of_an_operation_only_what_was_known_is_told() -> None:
    def step(name: str, begin: float, end: float) -> StepRecord:
        return StepRecord(name, name, name, begin, end, StepResult.DONE, "it is done")

    nodes = (
        NodeRecord("n1", OperationState.DONE, (step("a", 10, 12), step("b", 12, 20)), "off", "on"),
        NodeRecord("n2", OperationState.FAILED, (step("a", 18, 19),), error="bmc-auth"),
    )
    record = OperationRecord(
        7, PowerOrder(PowerAction.ON), "anna", "cli", 10.0, OperationState.FAILED, nodes, Pace(), 21.0
    )
    assert operation_at(record, 21.0) == record
    at = operation_at(record, 15.0)
    assert (at.state, at.end) == (OperationState.RUNNING, 0.0)
    first, second = at.nodes
    assert (first.state, first.after, len(first.steps)) == (OperationState.RUNNING, "", 2)
    assert (first.steps[0].result, first.steps[1].result, first.steps[1].end) == (StepResult.DONE, None, 0.0)
    assert (second.state, second.steps, second.error) == (OperationState.WAITING, (), "")
    assert operation_at(record, 20.5).nodes == nodes
