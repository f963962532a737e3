"""Taking a node out of service and bringing it back: balancer, VMs, services in order, each seen in the cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plasmatui.model.event import LifecycleChanged
from plasmatui.model.operation import DrainOrder, NodePlan, Order, Step, UndrainOrder
from plasmatui.model.words import Lifecycle
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.vms import MOVE_LIMIT, move_vms, placement_notes
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.cluster.balancer import BackendChange
    from plasmatui.cluster.services import ServiceStep, Shown

BALANCER_LIMIT = 60.0
SERVICE_LIMIT = 300.0
"""Seconds for one service to stop or start, as seen in the cluster."""

SYSTEMCTL_LIMIT = 180.0
PACE = 1.0

CORDONED = "cordoned"
"""Flag of a node that gets no VMs."""

BALANCER, VMS = "fiberlb", "plasmavmc"


def drain_steps(order: DrainOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Balancer, VMs, services."""
    from plasmatui.cluster.services import stop_steps

    services = services_of(node, site)
    found: list[Step] = []
    if balanced(site):
        # Disruptive, so that the guard speaks before anything is done.
        found.append(balancer_step(node, "drain", disruptive=True))
    if VMS in services:
        text = "Move its VMs to nodes with room"
        found.append(
            Step("move-vms", text, "POST /api/vms/ID/migrate for each", MOVE_LIMIT, proof="no VM is listed on it")
        )
    found += [_service_step(step, node, "stop", disruptive=True) for step in stop_steps(services)]
    return tuple(found)


def undrain_steps(order: UndrainOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Services, balancer."""
    from plasmatui.cluster.services import start_steps

    found = [_service_step(step, node, "start", disruptive=False) for step in start_steps(services_of(node, site))]
    if balanced(site):
        found.append(balancer_step(node, "active", disruptive=False))
    return tuple(found)


def balancer_step(node: str, wanted: str, *, disruptive: bool) -> Step:
    """Set a node to "drain" or "active" on the balancer."""
    text = f"Set the node to {wanted} on every FiberLB"
    call = f'POST /api/backend/{node} {{"status": "{wanted}"}}'
    return Step(
        f"balancer-{wanted}",
        text,
        call,
        BALANCER_LIMIT,
        disruptive,
        proof="every FiberLB says so, where it can be asked",
    )


def _service_step(step: ServiceStep, node: str, verb: str, *, disruptive: bool) -> Step:
    return Step(
        f"{verb}-{step.service}",
        f"{verb.capitalize()} {step.service}",
        f"ssh {node} systemctl {verb} {step.unit}",
        SERVICE_LIMIT,
        disruptive,
        proof=step.then,
    )


def services_of(node: str, site: Site) -> tuple[str, ...]:
    """The services that a node runs by its profile."""
    inventory = site.inventory()
    profile = inventory.profiles.get(inventory.nodes[node].profile)
    return profile.services if profile is not None else ()


def balanced(site: Site) -> bool:
    """Whether the cluster has a balancer."""
    return any(BALANCER in profile.services for profile in site.inventory().profiles.values())


def drain_command(order: DrainOrder) -> tuple[str, str]:
    return "drain", ""


def undrain_command(order: UndrainOrder) -> tuple[str, str]:
    return "undrain", ""


async def look(order: DrainOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say which VMs would go where."""
    together = frozenset(plan.node for plan in plans)
    with_vms = [plan.node for plan in plans if VMS in services_of(plan.node, site)]
    notes = await placement_notes(with_vms, together, site) if with_vms else {}
    return order, tuple(
        NodePlan(plan.node, plan.steps, plan.skipped, (*plan.notes, *notes.get(plan.node, ()))) for plan in plans
    )


async def drain(work: NodeWork, order: DrainOrder) -> None:
    """Take the node out of service."""
    await take_out(work)
    work.update(after="drained")


async def take_out(work: NodeWork) -> None:
    """Do the steps of `drain_steps`."""
    from plasmatui.cluster.services import stop_steps

    services = services_of(work.node, work.site)
    work.tell(LifecycleChanged(Lifecycle.DRAINING, (CORDONED,)))
    if balanced(work.site):
        await work.act("balancer-drain", lambda: balance(work, "drain"), seen=_again)
    if VMS in services:
        await work.act("move-vms", lambda: move_vms(work), seen=_again)
    for step in stop_steps(services):
        await _service(work, step, "stop")
    work.tell(LifecycleChanged(Lifecycle.DRAINED, (CORDONED,)))


async def undrain(work: NodeWork, order: UndrainOrder) -> None:
    """Bring the node back into service."""
    from plasmatui.cluster.services import start_steps

    for step in start_steps(services_of(work.node, work.site)):
        await _service(work, step, "start")
    if balanced(work.site):
        await work.act("balancer-active", lambda: balance(work, "active"), seen=_again)
    work.update(after="active")
    work.tell(LifecycleChanged(Lifecycle.ACTIVE))


async def _again() -> bool:
    """These calls have the same effect when they are made twice."""
    return False


async def balance(work: NodeWork, wanted: str) -> None:
    """Set the node to "drain" or "active".

    Raises:
        NodeFailedError: "balancer" when an instance does not take it, or says otherwise afterwards.
    """
    from plasmatui.cluster.balancer import set_backend

    assert wanted in ("drain", "active")
    changes = await set_backend(work.site.cluster(), work.node, "drain" if wanted == "drain" else "active")
    for change in changes:
        work.log(change.message)
    failed = [change for change in changes if not change.done]
    if failed and len(failed) == len(changes):
        raise _refused(work, failed)
    if failed:
        work.update(message=f"not every FiberLB took it: {failed[0].message}")


def _refused(work: NodeWork, failed: list[BackendChange]) -> NodeFailedError:
    return NodeFailedError("balancer", f"{work.node}: {failed[0].message}", tuple(change.message for change in failed))


async def _service(work: NodeWork, step: ServiceStep, verb: str) -> None:
    await work.act(f"{verb}-{step.service}", lambda: _systemctl(work, step, verb), seen=_again)


async def _systemctl(work: NodeWork, step: ServiceStep, verb: str) -> None:
    """Stop or start a unit, and wait until the cluster shows it.

    Raises:
        NodeFailedError: "service-unhealthy" with what is seen instead, when the step's limit nears.
    """
    await system(work).run(("systemctl", verb, step.unit), limit=SYSTEMCTL_LIMIT, check=True)
    end = asyncio.get_running_loop().time() + SERVICE_LIMIT * 0.9 - SYSTEMCTL_LIMIT * 0.1
    while True:
        seen = await _shown(work, step, verb)
        work.progress(seen.message)
        if seen.ok:
            work.log(seen.message)
            return
        if seen.ok is None:
            work.update(message=f"not verified: {seen.message}")
            return
        if work.left:
            raise NodeLeftError(f"{work.left} after systemctl {verb} {step.unit}; {seen.message}")
        if asyncio.get_running_loop().time() >= end:
            raise NodeFailedError("service-unhealthy", f"{work.node}: {seen.message}", (seen.message,))
        await asyncio.sleep(PACE)


async def _shown(work: NodeWork, step: ServiceStep, verb: str) -> Shown:
    from plasmatui.cluster.health import HealthChecks
    from plasmatui.cluster.services import shown_started, shown_stopped

    clients = work.site.cluster()
    if verb == "stop":
        return await shown_stopped(clients, work.node, step.service)
    return await shown_started(clients, HealthChecks(clients), work.node, step.service)
