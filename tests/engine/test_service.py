"""Clients of an engine: handshake, requests, change sets, orders; the engine's life."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from plasmatui.client import EngineClient, EngineError, EngineUnreachableError
from plasmatui.engine.access import Peer
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.boot import LogFilter
from plasmatui.model.event import EventLine, Note
from plasmatui.model.node import NodeState
from plasmatui.model.operation import BootDeviceOrder, OperationRecord, PowerOrder
from plasmatui.model.words import OperationState, Power, PowerAction
from tests.engine.conftest import Start, until
from tests.engine.fakes import rack


class Seen:
    """What a watching client knows: the snapshot and all changes since, merged as a screen does."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self.states: dict[str, NodeState] = {}
        self.operations: dict[int, OperationRecord] = {}
        self.events: list[EventLine] = []
        self.batches: list[wire.Changes] = []
        client.on_changes = self.take

    async def watch(self) -> Seen:
        snapshot = await self.client.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        self.seq = snapshot.seq
        self.states = {state.name: state for state in snapshot.states}
        self.events = list(snapshot.events)
        return self

    def take(self, changes: wire.Changes) -> None:
        self.batches.append(changes)
        self.states.update((state.name, state) for state in changes.states)
        self.operations.update((record.number, record) for record in changes.operations)
        self.events.extend(changes.events)

    def ended(self, number: int) -> bool:
        return number in self.operations and self.operations[number].state.ended


async def order(client: EngineClient, what: PowerOrder | BootDeviceOrder, *nodes: str) -> OperationRecord:
    reply = await client.ask(wire.StartOrder(what, nodes))
    assert isinstance(reply, wire.OperationReply)
    return reply.operation


async def test_power_on_is_seen_by_every_client(start: Start) -> None:
    running = await start(8)
    async with await running.client() as one, await running.client() as two:
        assert (one.welcome.client, two.welcome.client) == (1, 2)
        mine, other = await Seen(one).watch(), await Seen(two).watch()
        nodes = tuple(f"n{i}" for i in range(1, 9))
        record = await order(one, PowerOrder(PowerAction.ON), *nodes)
        await until(lambda: mine.ended(record.number) and other.ended(record.number))
        assert mine.operations[record.number].state is OperationState.DONE
        for seen in (mine, other):
            await until(lambda seen=seen: all(state.power.value is Power.ON for state in seen.states.values()))
            assert all(state.operation == 0 for state in seen.states.values())
        assert all(state.power.by == record.by for state in mine.states.values())
        assert [node.before + node.after for node in mine.operations[record.number].nodes] == ["offon"] * 8


async def raw(path: str, *frames: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    for frame in frames:
        writer.write(frame)
    return reader, writer


def hello(protocol: int = wire.PROTOCOL) -> bytes:
    return wire.encode(wire.Hello(protocol, "9.9", "cli", "eve", "pts/9"))


async def message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


# --- handshake -------------------------------------------------------------------------------------------------------


async def test_welcome_names_everything(start: Start) -> None:
    running = await start(3)
    async with await running.client() as client:
        welcome = client.welcome
        assert [node.name for node in welcome.nodes] == ["n1", "n2", "n3"]
        assert (welcome.cluster, welcome.environment, welcome.read_only) == ("lab", "test", False)
        assert welcome.inventory == str(running.paths.inventory)


async def test_another_version_is_told_what_to_do(start: Start) -> None:
    running = await start(1)
    reader, writer = await raw(str(running.paths.socket), hello(protocol=99))
    answer = wire.HELLO_ANSWER.decode(await message(reader))
    assert isinstance(answer, wire.Goodbye)
    assert answer.id == "version"
    assert f"`kill {os.getpid()}`" in answer.message
    assert "`engine stop` of the plasmatui that started it" in answer.message
    assert await reader.read() == b""
    writer.close()


async def test_a_greeting_of_a_later_protocol_is_still_understood(start: Start) -> None:
    running = await start(1)
    body = msgspec.msgpack.encode({"type": "hello", "protocol": wire.PROTOCOL + 1, "something": "new"})
    reader, writer = await raw(str(running.paths.socket), len(body).to_bytes(4, "big") + body)
    answer = wire.HELLO_ANSWER.decode(await message(reader))
    assert isinstance(answer, wire.Goodbye)
    assert answer.id == "version"
    writer.close()


@pytest.mark.parametrize("frame", [b"\0\0\0\5GET /", b"\xff\xff\xff\xff", b"\0\0\0\0"])
async def test_who_speaks_something_else_is_put_out(start: Start, frame: bytes) -> None:
    running = await start(1)
    reader, writer = await raw(str(running.paths.socket), frame)
    answer = wire.HELLO_ANSWER.decode(await message(reader))
    assert isinstance(answer, wire.Goodbye)
    assert answer.id == "protocol"
    writer.close()
    async with await running.client() as client:
        await client.ask(wire.AskEngine())


async def test_a_malformed_frame_ends_that_client_alone(start: Start) -> None:
    running = await start(1)
    async with await running.client() as good:
        for bad in (b"\0\0\0\3abc", b"\xff\xff\xff\xff", wire.encode(wire.Cancel(1))[:4] + b"\x80" * 40):
            reader, writer = await raw(str(running.paths.socket), hello(), bad)
            assert isinstance(wire.HELLO_ANSWER.decode(await message(reader)), wire.Welcome)
            answer = wire.ENGINE_MESSAGE.decode(await message(reader))
            assert isinstance(answer, wire.Goodbye)
            assert answer.id == "protocol"
            assert await reader.read() == b""
            writer.close()
        await good.ask(wire.AskEngine())


async def test_the_socket_is_private(start: Start) -> None:
    running = await start(1)
    assert running.paths.socket.stat().st_mode & 0o777 == 0o600
    assert running.paths.socket.parent.stat().st_mode & 0o777 == 0o700


async def test_other_users_are_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(1)
    monkeypatch.setattr("plasmatui.engine.server.peer_of", lambda _: Peer(1, 4711, frozenset()))
    with pytest.raises(EngineUnreachableError, match="not to user 4711"):
        await running.client()


# --- requests --------------------------------------------------------------------------------------------------------


async def test_every_request_is_answered(start: Start, tmp_path: Path) -> None:
    """Each word of the wire has a handler; none fails inside."""
    running = await start(2)
    node = ("n1",)
    pxe = BootDeviceOrder(BootDevice(Device.PXE))
    bodies: list[wire.RequestBody] = [
        wire.Watch(),
        wire.Query("power", node),
        wire.PlanOrder(pxe, node),
        wire.StartOrder(pxe, node),
        wire.CancelOperation(99),
        wire.HoldOperation(99),
        wire.ReleaseOperation(99),
        wire.RetryOperation(99),
        wire.AskOperationLog(1, "n1"),
        wire.ListOperations(),
        wire.ListEvents(),
        wire.ListAudit(),
        wire.ConsoleOpen("n1"),
        wire.ConsolePen("n1"),
        wire.ConsoleWrite("n1", b"x"),
        wire.ConsoleBreak("n1"),
        wire.ConsoleReopen("n1", takeover=True),
        wire.ConsoleHistory("n1", 0, 100),
        wire.ConsoleClose("n1"),
        wire.AskEngine(),
        wire.AskTimeline("n1"),
        wire.ListLogs(),
        wire.FollowLogs(LogFilter()),
        wire.SearchLogs("x"),
        wire.MakeBundle(node, str(tmp_path / "bundle")),
        wire.EnrolNode("n9", "52:54:00:00:00:09"),
        wire.AskChecks(("journal", "quorum-voters")),
        wire.AskCertificates(),
        wire.LookHealth(),
        wire.AskTrend("n1"),
        wire.LookSystems(),
        wire.AskJournal("n1", "none"),
        wire.CheckReplication(),
        wire.Here("nodes"),
        wire.PutNote("n1", "a note"),
        wire.LockNodes(node, "a reason"),
        wire.UnlockNodes(node),
        wire.AskPxeServices(),
        wire.AskImages(),
        wire.VerifyImage("none"),
        wire.ActivateImage("none"),
        wire.RollBackImage("worker", "none"),
        wire.AskDrift(),
        wire.AskDriftDiff("none"),
        wire.AskPast(time.time()),
        wire.AskTimelineAt("n1", time.time()),
        wire.ConsoleAt("n1", time.time()),
        wire.Reload(),
        wire.StopEngine(),
    ]
    assert {type(body) for body in bodies} == set(get_args(wire.RequestBody))
    async with await running.client() as client:
        problems = {}
        for body in bodies:
            try:
                await client.ask(body)
            except EngineError as error:
                problems[type(body)] = error.problem.id
    refused = (
        *(wire.CancelOperation, wire.HoldOperation, wire.ReleaseOperation, wire.RetryOperation),
        *(wire.ActivateImage, wire.RollBackImage),
    )
    unsupported = (wire.VerifyImage, wire.AskDriftDiff, wire.AskJournal)
    inventory = (wire.Reload, wire.EnrolNode)
    assert problems == {
        **dict.fromkeys(refused, "refused"),
        **dict.fromkeys(unsupported, "unsupported"),
        **dict.fromkeys(inventory, "inventory"),
    }
    assert running.engine.stopped.is_set()
    assert running.backend.keeper.written == [("n1", b"x")]
    assert running.backend.keeper.breaks == ["n1"]
    assert running.backend.keeper.reopened == [("n1", True)]


async def test_a_read_only_client_changes_nothing(start: Start) -> None:
    running = await start(1)
    async with await running.client(read_only=True) as client:
        assert client.welcome.read_only
        for body in (
            wire.StartOrder(PowerOrder(PowerAction.ON), ("n1",)),
            wire.CancelOperation(1),
            wire.ConsolePen("n1"),
            wire.ConsoleWrite("n1", b"x"),
            wire.ConsoleBreak("n1"),
            wire.ConsoleReopen("n1"),
            wire.StopEngine(),
            wire.Reload(),
            wire.ActivateImage("worker"),
            wire.RollBackImage("worker", "worker"),
        ):
            with pytest.raises(EngineError) as refused:
                await client.ask(body)
            assert refused.value.problem.id == "read-only"
        await client.ask(wire.PlanOrder(PowerOrder(PowerAction.ON), ("n1",)))
        await client.ask(wire.ConsoleOpen("n1"))
    assert running.backend.machines["n1"].calls == []


@pytest.mark.parametrize("nodes", [(), ("n1", "nobody")])
async def test_unknown_and_empty_sets_are_errors(start: Start, nodes: tuple[str, ...]) -> None:
    running = await start(1)
    async with await running.client() as client:
        for body in (wire.Query("power", nodes), wire.StartOrder(PowerOrder(PowerAction.OFF), nodes)):
            with pytest.raises(EngineError) as refused:
                await client.ask(body)
            assert refused.value.problem.id == "unknown-node"
    assert running.backend.machines["n1"].calls == []


async def test_answers_come_node_by_node(start: Start) -> None:
    running = await start(3)
    running.backend.machines["n1"].delay = 0.1
    async with await running.client() as client:
        order_seen = [answer.node async for answer in client.stream(wire.Query("power", ("n1", "n2", "n3")))]
    assert order_seen[-1] == "n1"
    assert sorted(order_seen) == ["n1", "n2", "n3"]


async def test_a_cancelled_request_ends_in_the_engine(start: Start) -> None:
    running = await start(1)
    running.backend.machines["n1"].delay = 60
    async with await running.client() as client:
        task = asyncio.create_task(client.ask(wire.Query("power", ("n1",))))
        await until(lambda: running.backend.machines["n1"].calls)
        assert [each for each in asyncio.all_tasks() if "request 1 query" in each.get_name()]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: not [each for each in asyncio.all_tasks() if "query" in each.get_name()])
        assert isinstance(await client.ask(wire.AskEngine()), wire.EngineStatus)


# --- change sets and slow clients ------------------------------------------------------------------------------------


async def test_a_slow_client_blocks_nobody_and_catches_up(start: Start) -> None:
    running = await start(40)
    noise = "x" * 400
    reader, writer = await raw(str(running.paths.socket), hello(), wire.encode(wire.Request(1, wire.Watch())))
    await message(reader)
    await message(reader)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with await running.client() as client:
        await client.ask(wire.ConsoleOpen("n1", 0))
        received = 0

        def count(data: wire.ConsoleData) -> None:
            nonlocal received
            received += len(data.data)

        client.on_console = count
        writer.write(wire.encode(wire.Request(2, wire.ConsoleOpen("n1", 0))))
        await until(lambda: running.engine._consoles.state("n1").readers == 2)
        sent = 0
        for turn in range(400):
            running.backend.on_console("n1", noise.encode() * 10)
            sent += 10 * len(noise)
            if turn % 10 == 0:
                for number in range(1, 41):
                    running.backend.tell(f"n{number}", Note(f"{turn} {noise}"))
                running.engine._store.flush()
                await asyncio.sleep(0.001)
        await until(lambda: received == sent)
        slow = next(s for s in running.engine._server._sessions.values() if s.id.user == "eve")
        assert slow.outbound.slow
        assert slow.outbound._queued < 2_000_000, "what waits is bounded"
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        states: dict[str, NodeState] = {}
        end = 0
        gaps = 0
        while len(states) < 40 or "390" not in states["n40"].last_event:
            each = wire.ENGINE_MESSAGE.decode(await asyncio.wait_for(message(reader), 5))
            if isinstance(each, wire.Changes):
                states.update((state.name, state) for state in each.states)
            elif isinstance(each, wire.ConsoleData):
                gaps += each.offset > end
                end = each.offset + len(each.data)
        assert all("390" in state.last_event for state in states.values())
        running.backend.on_console("n1", b"after")
        while end < sent + 5:
            each = wire.ENGINE_MESSAGE.decode(await asyncio.wait_for(message(reader), 5))
            if isinstance(each, wire.ConsoleData):
                gaps += each.offset > end
                end = each.offset + len(each.data)
        assert gaps, "dropped bytes show as a gap in the offsets"
        chunk = await client.ask(wire.ConsoleHistory("n1", 0, sent + 5))
        assert isinstance(chunk, wire.ConsoleChunk)
        assert len(chunk.data) + chunk.offset <= sent + 5
    writer.close()


async def test_who_reads_nothing_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(1)
    running.engine._server._stall = 0.2
    reader, writer = await raw(str(running.paths.socket), hello(), wire.encode(wire.Request(1, wire.Watch())))
    await message(reader)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: running.engine._server.clients)
    for turn in range(300):
        running.backend.tell("n1", Note(f"{turn} " + "x" * 5000))
        running.engine._store.flush()
    await until(lambda: not running.engine._server.clients)
    writer.transport.abort()
    async with await running.client() as client:
        await client.ask(wire.AskEngine())


# --- orders survive clients ------------------------------------------------------------------------------------------


async def test_the_death_of_a_client_changes_nothing(start: Start) -> None:
    running = await start(8)
    for machine in running.backend.machines.values():
        machine.settle = 0.3
    nodes = tuple(f"n{i}" for i in range(1, 9))
    body = wire.StartOrder(PowerOrder(PowerAction.ON), nodes)
    reader, writer = await raw(str(running.paths.socket), hello(), wire.encode(wire.Request(1, body)))
    await message(reader)
    reply = wire.ENGINE_MESSAGE.decode(await message(reader))
    assert isinstance(reply, wire.Reply)
    assert isinstance(reply.body, wire.OperationReply)
    writer.transport.abort()
    async with await running.client() as client:
        seen = await Seen(client).watch()
        snapshot = await client.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        assert [record.number for record in snapshot.operations] == [1]
        await until(lambda: seen.ended(1))
        assert seen.operations[1].state is OperationState.DONE
        listed = await client.ask(wire.ListOperations(number=1))
        assert isinstance(listed, wire.Operations)
        assert listed.operations[0].state is OperationState.DONE


async def test_a_stop_while_busy_needs_force(start: Start) -> None:
    running = await start(1)
    running.backend.machines["n1"].gate = asyncio.Event()
    async with await running.client() as client:
        await order(client, PowerOrder(PowerAction.ON), "n1")
        with pytest.raises(EngineError) as busy:
            await client.ask(wire.StopEngine())
        assert busy.value.problem.id == "busy"
        assert not running.engine.stopped.is_set()
        await client.ask(wire.StopEngine(force=True))
        assert running.engine.stopped.is_set()


# --- the engine's life -----------------------------------------------------------------------------------------------


async def test_orderly_shutdown(start: Start) -> None:
    running = await start(3)
    lost: list[str] = []
    client = await running.client()
    client.on_lost = lost.append
    await client.ask(wire.ConsoleOpen("n1"))
    running.backend.on_console("n1", b"last words")
    await running.close()
    await until(lambda: lost)
    assert "stopped" in lost[0]
    assert running.backend.closed
    assert all(machine.closed for machine in running.backend.machines.values())
    assert b"last words" in b"".join(path.read_bytes() for path in (running.paths.consoles / "n1").glob("*.raw"))
    assert not running.paths.socket.exists()
    again = await start(3)
    async with await again.client() as second:
        events = await second.ask(wire.ListEvents())
        assert isinstance(events, wire.Events)
        assert any("engine stops" in line.text for line in events.events)
        opened = await second.ask(wire.ConsoleOpen("n1"))
        assert isinstance(opened, wire.ConsoleOpened)
        assert opened.data == b"last words"
    await client.close()


class Frozen:
    """The files of a journal as they are at one moment, which is how a kill leaves them."""

    def __init__(self, journal: Path) -> None:
        self.files = {path: path.read_bytes() for path in (journal, journal.with_name(journal.name + "-wal"))}
        self.shared = journal.with_name(journal.name + "-shm")

    def restore(self) -> None:
        self.shared.unlink(missing_ok=True)
        for path, content in self.files.items():
            path.write_bytes(content)


async def test_a_killed_engine_leaves_steps_uncertain(start: Start) -> None:
    """The journal as a kill -9 leaves it, and the next engine."""
    inventory = rack(2, Path(os.environ["XDG_CONFIG_HOME"]).parent / "inventory.yaml")
    first = await start(inventory=inventory)
    first.backend.machines["n1"].gate = asyncio.Event()
    async with await first.client() as client:
        await order(client, PowerOrder(PowerAction.ON), "n1")
        await until(lambda: "order on" in first.backend.machines["n1"].calls)
    await first.engine._journal.flush()
    frozen = Frozen(first.paths.journal)
    first.backend.machines["n1"].gate.set()
    await first.close()
    frozen.restore()

    second = await start(inventory=inventory)
    async with await second.client() as client:
        snapshot = await client.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        record = snapshot.operations[0]
        assert (record.number, record.state) == (1, OperationState.FAILED)
        assert record.nodes[0].error == "uncertain"
        assert record.nodes[0].steps[-1].result == "uncertain"
        assert "order on" not in second.backend.machines["n1"].calls, "nothing is done again by itself"
        assert (await order(client, PowerOrder(PowerAction.ON), "n2")).number == 2


async def test_idle_exit(start: Start) -> None:
    running = await start(1, idle=0.2)
    running.backend.machines["n1"].gate = asyncio.Event()
    async with await running.client() as client:
        await asyncio.sleep(0.4)
        assert not running.engine.stopped.is_set(), "somebody is attached"
        await order(client, PowerOrder(PowerAction.ON), "n1")
    await asyncio.sleep(0.4)
    assert not running.engine.stopped.is_set(), "an operation runs"
    running.backend.machines["n1"].gate.set()
    await asyncio.wait_for(running.engine.stopped.wait(), 5)
    assert "nobody" in running.engine.reason


@pytest.mark.parametrize(
    ("consoles", "idle", "systemd", "expected"),
    [
        ("always", None, False, 0.0),
        ("always", 5.0, False, 5.0),
        ("watched", None, False, 1800.0),
        ("watched", 0.0, False, 0.0),
        ("watched", 5.0, True, 0.0),
    ],
)
async def test_when_the_engine_leaves(
    start: Start, monkeypatch: pytest.MonkeyPatch, consoles: str, idle: float | None, systemd: bool, expected: float
) -> None:
    inventory = rack(1, consoles=consoles)
    running = await start(inventory=inventory, idle=idle)
    if systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    async with await running.client() as client:
        status = await client.ask(wire.AskEngine())
        assert isinstance(status, wire.EngineStatus)
        assert status.idle_exit == expected
        assert status.counts == {"up": 1}
        assert [each.kind for each in status.clients] == ["cli"]


async def test_reload(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(2)
    async with await running.client() as client:
        seen = await Seen(client).watch()
        monkeypatch.setattr("plasmatui.engine.engine.load", lambda path: rack(3, path, without_bmc=1))
        reply = await client.ask(wire.Reload())
        assert isinstance(reply, wire.Snapshot)
        assert [node.name for node in reply.nodes] == ["n1", "n2", "n3"]
        await until(lambda: any(batch.nodes is not None for batch in seen.batches))
        assert seen.states["n3"].bmc.status == "none"
        assert len(running.backend.retargeted) == 1


@pytest.mark.parametrize(
    "inside",
    [b"\x91" * 100_000 + b"\xc0", b"\xa3\xff\xfe\xfd", b"\xdd\xff\xff\xff\xff", b"\x81\x81\x01\x01\x01"],
    ids=["deep", "no-utf8", "long", "no-key"],
)
@pytest.mark.parametrize("kind", [b"hello", b"request"])
async def test_bytes_that_are_no_message_are_told_and_are_no_fault_of_ours(
    start: Start, caplog: pytest.LogCaptureFixture, kind: bytes, inside: bytes
) -> None:
    running = await start()
    frame = b"\x82\xa4type" + bytes((0xA0 | len(kind),)) + kind + b"\xa4more" + inside
    greeting = wire.encode(wire.Hello(wire.PROTOCOL, "1", "cli", "anna", "pts/1")) if kind == b"request" else b""
    reader, writer = await asyncio.open_unix_connection(str(running.paths.socket))
    writer.write(greeting + len(frame).to_bytes(4, "big") + frame)
    async with asyncio.timeout(30):
        said = await reader.read(-1)
    writer.close()
    assert b"goodbye" in said
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
