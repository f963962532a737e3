"""Clients of an engine: handshake, requests, change sets, orders."""

from __future__ import annotations

from plasmatui.client import EngineClient
from plasmatui.model import wire
from plasmatui.model.event import EventLine
from plasmatui.model.node import NodeState
from plasmatui.model.operation import BootDeviceOrder, OperationRecord, PowerOrder
from plasmatui.model.words import OperationState, Power, PowerAction
from tests.engine.conftest import Start, until


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
