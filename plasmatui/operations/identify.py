"""The chassis' identify light."""

from __future__ import annotations

import asyncio

from plasmatui.model.event import IdentifySeen
from plasmatui.model.operation import IdentifyOrder, OperationRecord, Step
from plasmatui.model.words import OperationState
from plasmatui.operations.limits import ASK_LIMIT
from plasmatui.operations.ports import Ledger
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork


def steps(order: IdentifyOrder, node: str, site: Site) -> tuple[Step, ...]:
    """One order."""
    text = {0: "Switch the identify light off", -1: "Switch the identify light on"}.get(
        order.seconds, f"Switch the identify light on for {order.seconds} s"
    )
    return (Step("identify", text, site.machines.describe(node, "identify"), ASK_LIMIT),)


def command(order: IdentifyOrder) -> tuple[str, str]:
    if order.seconds == IdentifyOrder().seconds:
        return "identify", ""
    return "identify", {0: " --off", -1: " --on"}.get(order.seconds, f" --seconds {order.seconds}")


async def identify(work: NodeWork, order: IdentifyOrder) -> None:
    """Switch the light; the BMC itself switches it off after the given seconds."""
    await work.act("identify", lambda: work.controller().identify(order.seconds))
    work.update(after="off" if order.seconds == 0 else "on")
    work.tell(IdentifySeen(order.seconds != 0))


class Lights:
    """Identify lights that go out by themselves: the BMC does not say so, and what is known follows the clock."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def follow(self, record: OperationRecord, order: IdentifyOrder) -> None:
        """An order to lights has ended."""
        for node in record.nodes:
            if node.state is not OperationState.DONE:
                continue
            earlier = self._timers.pop(node.node, None)
            if earlier is not None:
                earlier.cancel()
            if order.seconds > 0:
                loop = asyncio.get_running_loop()
                self._timers[node.node] = loop.call_later(order.seconds, self._out, node.node)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def _out(self, node: str) -> None:
        self._timers.pop(node, None)
        self._ledger.tell(node, "engine", IdentifySeen(False))
