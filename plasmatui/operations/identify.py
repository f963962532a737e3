"""The chassis' identify light."""

from __future__ import annotations

from plasmatui.model.event import IdentifySeen
from plasmatui.model.operation import IdentifyOrder
from plasmatui.operations.work import NodeWork


async def identify(work: NodeWork, order: IdentifyOrder) -> None:
    """Switch the light; the BMC itself switches it off after the given seconds."""
    await work.step("identify", lambda: work.controller().identify(order.seconds), acts=True)
    work.update(after="off" if order.seconds == 0 else "on")
    work.tell(IdentifySeen(order.seconds != 0))
