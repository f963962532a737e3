"""Replacing a dead node (runbook, section 7.2): off, out of the raft groups, installed anew under the same name.

The old machine is switched off first: one that comes back by itself would be a second node of the same name. What
tells that the removal was done is the groups' own lists of members, so that an engine which is killed in the middle
is followed by one that goes on where the cluster stands.
"""

from __future__ import annotations

import asyncio

from plasmatui.bmc.controller import BmcError
from plasmatui.inventory.edit import Editor
from plasmatui.model.operation import NodePlan, Order, ProvisionOrder, ReplaceOrder, Step
from plasmatui.operations import provision
from plasmatui.operations.amending import amend, amend_step, previewed
from plasmatui.operations.endings import AGAIN, STOP, NodeLeftError
from plasmatui.operations.firstboot import join_note
from plasmatui.operations.install import prepare, prepare_steps
from plasmatui.operations.joining import groups_of
from plasmatui.operations.members import leave_groups, leave_steps
from plasmatui.operations.membership import CHECK_LIMIT, alive_in, groups_now, see_out
from plasmatui.operations.shutdown import off_steps, switch_off
from plasmatui.operations.site import Change, Site
from plasmatui.operations.work import NodeWork

BMC_LIMIT = 90.0
PATIENCE = 5.0
"""Seconds that the BMC of the machine to be installed gets before a person is asked for it."""

PACE = 2.0


def steps(order: ReplaceOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Prepare, see that it is out, off, out of the groups, the new machine, provision."""
    rest = provision.machine_steps(ProvisionOrder(order.uefi), node, site)
    out = Step(
        "see-out",
        "See that the raft groups miss it; a person confirms it where they do not",
        "GET /admin/cluster/members",
        CHECK_LIMIT,
    )
    return (
        *prepare_steps(node, site),
        out,
        *off_steps(node, site, soft=False),
        *leave_steps(node, site),
        *([amend_step("Write the new machine's addresses into the inventory")] if _changes(order) else []),
        Step("forget-key", "Forget its SSH host key", "the engine's file of host keys", CHECK_LIMIT),
        Step("see-bmc", "See that the BMC of the machine answers", site.machines.describe(node, "power"), BMC_LIMIT),
        *rest,
    )


def command(order: ReplaceOrder) -> tuple[str, str]:
    mac = f" --mac {order.mac}" if order.mac else ""
    bmc = f" --bmc {order.bmc}" if order.bmc else ""
    return "replace", f"{provision.mode_words(order.uefi)}{mac}{bmc}"


async def look(order: ReplaceOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say what the groups hold of each node, by whom it would join, and how the inventory would change."""
    if _changes(order) and len(plans) > 1:
        text = "--mac and --bmc are one machine's: replace one node at a time with them"
        return order, tuple(NodePlan(plan.node, skipped=f"{plan.node}: {text}") for plan in plans)
    return order, tuple(await asyncio.gather(*(_look(order, plan, site) for plan in plans)))


async def _look(order: ReplaceOrder, plan: NodePlan, site: Site) -> NodePlan:
    node = plan.node
    plan = provision.with_disks(plan, site)
    if plan.skipped:
        return plan
    alive = alive_in(await groups_now(site), node)
    if alive:
        text = f"{node} is a healthy member of {' and '.join(alive)}: it is not out, and a person will be asked"
        plan = provision.with_note(plan, text)
    plan = provision.with_note(plan, await join_note(node, site))
    return await previewed(plan, _change(order, node), site) if _changes(order) else plan


async def replace(work: NodeWork, order: ReplaceOrder) -> None:
    """Put another machine, or the same one installed anew, in the place of the dead one."""
    prepared = await prepare(work)
    if work.history.was_begun("leave-chainfire") or work.history.was_begun("leave-flaredb"):
        for id_ in ("see-out", "power-off", "see-off"):
            work.skip(id_, "done before its removal was begun")
    else:
        await work.look("see-out", lambda: see_out(work))
        await switch_off(work, soft=False)
    await leave_groups(work)
    if _changes(order):
        await amend(work, _change(order, work.node))
    await work.act("forget-key", lambda: work.site.hosts().keys.remove(work.node), seen=_may_be_repeated)
    await work.look("see-bmc", lambda: _see_bmc(work))
    await provision.provision_machine(work, ProvisionOrder(order.uefi), prepared)
    work.update(after="replaced: voter" if groups_of(work.node, work.site) else "replaced")


def _changes(order: ReplaceOrder) -> bool:
    return bool(order.mac or order.bmc)


def _change(order: ReplaceOrder, node: str) -> Change:
    def change(editor: Editor) -> None:
        if order.mac:
            editor.set_field(node, "mac", order.mac)
        if order.bmc:
            editor.set_bmc_address(node, order.bmc)

    return change


async def _may_be_repeated() -> bool:
    return False


async def _see_bmc(work: NodeWork) -> None:
    """Wait for the BMC of the machine that is to be installed. One that does not answer in time is asked for: the
    machine may not be in the rack yet.

    Raises:
        NodeLeftError: a person gives up.
    """
    while True:
        said = await _bmc_says(work)
        if not said:
            return
        answer = await work.ask(
            f"{said}. Put the machine in place, with power, network and its BMC's address. Answer {AGAIN} when it "
            f"answers, {STOP} to leave {work.node} out of the cluster",
            (AGAIN, STOP),
        )
        if answer == STOP:
            raise NodeLeftError("left out of the cluster, as a person decided; plasmatui ops retry goes on")


async def _bmc_says(work: NodeWork) -> str:
    """Why the BMC cannot be used, "" when it answers."""
    end = asyncio.get_running_loop().time() + PATIENCE
    work.site.machines.retry(work.node)
    while True:
        try:
            await work.controller().power()
        except BmcError as error:
            if asyncio.get_running_loop().time() >= end:
                return error.message
            work.progress(error.message)
        else:
            return ""
        await asyncio.sleep(PACE)
