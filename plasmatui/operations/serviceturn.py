"""One service of a node stopped while something is done to its data, and started again whatever comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from plasmatui.inventory.inventory import Service
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.nodedata import is_active
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork
from plasmatui.text import clean_line

STOP_LIMIT: Final = 300.0
START_LIMIT: Final = 300.0
SERVICE_LIMIT: Final = 600.0
"""Seconds for a service to be well again, and its raft group with it."""

PACE: Final = 0.5


async def stop(work: NodeWork, service: Service, first: Callable[[], Awaitable[None]]) -> None:
    """Do the step `stop-NAME`, after a last look by `first`. The guard is asked each time: another service of the node
    has only just come back.

    Raises: as `NodeWork.act`.
    """
    unit = service.unit_name

    async def do() -> None:
        await first()
        host = system(work)
        await host.run(("systemctl", "stop", "--", unit), limit=STOP_LIMIT, check=True)
        if await is_active(host, unit):
            raise NodeFailedError("service-unhealthy", f"{work.node}: {unit} does not stop")

    async def stopped() -> bool:
        return not await is_active(system(work), unit)

    await work.act(f"stop-{service.name}", do, seen=stopped, afresh=True)


async def start(work: NodeWork, service: Service) -> None:
    """Do the steps `start-NAME` and `see-NAME`; they are not cancelled.

    Raises:
        NodeFailedError: "service-unhealthy": it does not come back.
    """
    unit = service.unit_name

    async def do() -> None:
        host = system(work)
        await host.run(("systemctl", "reset-failed", "--", unit), limit=START_LIMIT)
        ran = await host.run(("systemctl", "start", "--", unit), limit=START_LIMIT)
        if ran.status != 0:
            raise await _does_not_start(work, unit)

    async def started() -> bool:
        return await is_active(system(work), unit)

    with work.uncancelled():
        await work.act(f"start-{service.name}", do, seen=started)
        await work.look(f"see-{service.name}", lambda: see_well(work, service))


async def see_well(work: NodeWork, service: Service) -> None:
    """Wait until a service is well, and its group has it back. One that cannot be asked must be active.

    Raises:
        NodeFailedError: "service-unhealthy".
    """
    from plasmatui.cluster.health import HealthChecks
    from plasmatui.cluster.services import shown_started

    clients = work.site.cluster()
    checks = HealthChecks(clients)
    end = asyncio.get_running_loop().time() + SERVICE_LIMIT * 0.95
    while True:
        shown = await shown_started(clients, checks, work.node, service.name)
        if shown.ok is not False:
            work.log(shown.message)
            return
        work.progress(shown.message)
        state = await system(work).run(("systemctl", "is-active", "--", service.unit_name), limit=START_LIMIT)
        if state.out.strip() == b"failed":
            raise await _does_not_start(work, service.unit_name)
        if asyncio.get_running_loop().time() >= end:
            raise NodeFailedError("service-unhealthy", f"{work.node}: {shown.message}", (shown.message,))
        await asyncio.sleep(PACE)


async def _does_not_start(work: NodeWork, unit: str) -> NodeFailedError:
    argv = ("journalctl", "--output=cat", "--lines=6", "--no-pager", f"--unit={unit}")
    said = (await system(work).run(argv, limit=START_LIMIT)).out.decode(errors="replace").splitlines()
    lines = tuple(clean_line(line, 300) for line in said if line.strip())
    return NodeFailedError("service-unhealthy", f"{work.node}: {unit} does not start", lines)
