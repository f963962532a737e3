"""Gives orders to a site's engine over its socket, and waits for what they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from plasmatui.client import EngineClient, EngineError, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline
from plasmatui.model.node import NodeState
from plasmatui.model.operation import NodeRecord, OperationRecord, Order, Pace, Plan
from tests.support.site import Site

LIMIT = 120.0


class Operator:
    """Asks the engine of a site; each question has a connection of its own, so that the engine may come and go."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def ask(self, body: wire.RequestBody) -> wire.ReplyBody:
        async def ask() -> wire.ReplyBody:
            async with await EngineClient.connect(self._site.socket, kind="cli") as client:
                return await client.ask(body)

        return asyncio.run(ask())

    def plan(self, order: Order, *nodes: str, pace: Pace | None = None) -> Plan:
        reply = self.ask(wire.PlanOrder(order, nodes, pace))
        assert isinstance(reply, wire.PlanReply)
        return reply.plan

    def start(self, order: Order, *nodes: str, pace: Pace | None = None, override: str = "") -> int:
        """Plan, and start what was planned; the operation's number."""
        plan = self.plan(order, *nodes, pace=pace)
        left_out = [node for node in plan.nodes if node.skipped]
        assert not left_out, left_out
        reply = self.ask(wire.StartOrder(plan.order, nodes, plan.pace, override))
        assert isinstance(reply, wire.OperationReply)
        return reply.operation.number

    def run(self, order: Order, *nodes: str, pace: Pace | None = None, override: str = "") -> OperationRecord:
        """Start, and wait for the end."""
        return self.ended(self.start(order, *nodes, pace=pace, override=override))

    def record(self, number: int) -> OperationRecord:
        reply = self.ask(wire.ListOperations(1, number))
        assert isinstance(reply, wire.Operations)
        return reply.operations[0]

    def wait(
        self, number: int, what: str, met: Callable[[OperationRecord], bool], limit: float = LIMIT
    ) -> OperationRecord:
        """Wait until the operation's record is so; one that ends otherwise fails the test."""
        deadline = time.monotonic() + limit
        record = None
        while time.monotonic() < deadline:
            try:
                record = self.record(number)
            except (EngineUnreachableError, EngineError):
                record = None
            if record is not None and met(record):
                return record
            assert record is None or not record.state.ended, f"{what}: {told(record)}"
            time.sleep(0.05)
        raise AssertionError(f"waited {limit:g} s in vain for {what}: {told(record) if record else 'no engine'}")

    def ended(self, number: int, limit: float = LIMIT) -> OperationRecord:
        return self.wait(number, f"the end of operation {number}", lambda record: record.state.ended, limit)

    def boots(self, node: str) -> tuple[BootTimeline, ...]:
        reply = self.ask(wire.AskTimeline(node))
        assert isinstance(reply, wire.Timelines)
        return reply.timelines

    def states(self) -> dict[str, NodeState]:
        reply = self.ask(wire.Watch())
        assert isinstance(reply, wire.Snapshot)
        return {state.name: state for state in reply.states}


def node_of(record: OperationRecord, name: str) -> NodeRecord:
    return next(node for node in record.nodes if node.node == name)


def step_of(node: NodeRecord, name: str):  # type: ignore[no-untyped-def]
    """The last record of a step; None when it was not begun."""
    return next((step for step in reversed(node.steps) if step.id == name), None)


def told(record: OperationRecord) -> str:
    """An operation in words, for a test that fails."""
    return "; ".join(
        f"{node.node} {node.state} at {node.steps[-1].id if node.steps else '-'}: {node.message or node.question}"
        for node in record.nodes
    )
