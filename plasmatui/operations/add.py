"""Adding a node of the inventory to the cluster that lives (runbook, section 7.1): provisioned, and seen to join."""

from __future__ import annotations

import asyncio

from plasmatui.model.operation import AddOrder, NodePlan, Order, ProvisionOrder, Step
from plasmatui.operations import provision
from plasmatui.operations.firstboot import join_note
from plasmatui.operations.membership import CHECK_LIMIT, check_join, groups_now, why_not_join
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork


def steps(order: AddOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Check that it can join, then provision."""
    check = Step(
        "check-join",
        "See that each raft group has a leader, and none a member of this name",
        "GET /admin/cluster/members, GET /admin/cluster/leader",
        CHECK_LIMIT,
    )
    return (check, *provision.provision_steps(ProvisionOrder(order.uefi), node, site))


def command(order: AddOrder) -> tuple[str, str]:
    return "add", provision.mode_words(order.uefi)


async def look(order: AddOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Leave out nodes that cannot join now, and say by whom the others would."""
    groups = await groups_now(site)
    looked = await asyncio.gather(*(_look(plan, site) for plan in plans))
    found = []
    for plan in looked:
        problem = None if plan.skipped else why_not_join(groups, plan.node)
        found.append(plan if problem is None else NodePlan(plan.node, skipped=problem[1]))
    return order, tuple(found)


async def _look(plan: NodePlan, site: Site) -> NodePlan:
    plan = provision.with_disks(plan, site)
    return plan if plan.skipped else provision.with_note(plan, await join_note(plan.node, site))


async def add(work: NodeWork, order: AddOrder) -> None:
    """Bring the node into the cluster."""
    if work.history.was_begun("power-up"):
        work.skip("check-join", "done before")
    else:
        await work.look("check-join", lambda: check_join(work))
    await provision.provision(work, ProvisionOrder(order.uefi))
