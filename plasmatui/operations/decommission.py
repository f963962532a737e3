"""Taking a node out for good (runbook, section 7.6): drained, out of the raft groups, off, out of the inventory."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from plasmatui.bmc.controller import BmcError
from plasmatui.inventory.edit import Editor
from plasmatui.inventory.inventory import Inventory
from plasmatui.model.event import LifecycleChanged
from plasmatui.model.operation import DecommissionOrder, DrainOrder, NodePlan, Order, Step
from plasmatui.model.words import Lifecycle, Power
from plasmatui.operations import drain
from plasmatui.operations.amending import amend, amend_step, previewed
from plasmatui.operations.members import leave_groups, leave_steps
from plasmatui.operations.membership import CHECK_LIMIT
from plasmatui.operations.provision import with_note
from plasmatui.operations.shutdown import off_steps, switch_off
from plasmatui.operations.site import Change, Site
from plasmatui.operations.work import NodeWork


def steps(order: DecommissionOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Drain, leave the groups, off, forget. The last is left of a node that an earlier run took out."""
    last = amend_step("Take it out of the inventory")
    if node not in site.inventory().nodes:
        return (last,)
    return (
        Step("see-state", "See whether there is anything to drain", f"power of {node}", CHECK_LIMIT),
        *drain.drain_steps(DrainOrder(), node, site),
        *leave_steps(node, site),
        *off_steps(node, site, soft=True),
        Step("forget-key", "Forget its SSH host key", "the engine's file of host keys", CHECK_LIMIT),
        Step("see-leftovers", "Name what is left of it elsewhere: DNS, monitoring, certificates", "-", CHECK_LIMIT),
        last,
    )


def command(order: DecommissionOrder) -> tuple[str, str]:
    return "decommission", ""


async def look(order: DecommissionOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say where VMs would go, how the inventory would change, and what is left to do elsewhere."""
    _, plans = await drain.look(DrainOrder(), plans, site)
    return order, tuple(await asyncio.gather(*(_look(plan, site) for plan in plans)))


async def _look(plan: NodePlan, site: Site) -> NodePlan:
    if plan.skipped:
        return plan
    for note in await asyncio.to_thread(leftovers, site.inventory(), plan.node):
        plan = with_note(plan, note)
    return await previewed(plan, _removal(plan.node), site)


def _removal(node: str) -> Change:
    def change(editor: Editor) -> None:
        if node in editor.nodes:
            editor.remove_node(node)

    return change


def leftovers(inventory: Inventory, node: str) -> tuple[str, ...]:
    """What names a node outside of the inventory and is for people to take away, as they would type it. Reads files."""
    entry = inventory.nodes[node]
    name = f"{node}.{inventory.domain}" if inventory.domain else node
    found = []
    if inventory.domain:
        found.append(f"DNS, nsupdate: update delete {name}. A")
    if entry.production_ip:
        found.append(f"DNS, nsupdate: update delete {ip_address(entry.production_ip).reverse_pointer}. PTR")
    profile = inventory.profiles.get(entry.profile)
    services = [inventory.services[each] for each in (profile.services if profile is not None else ())]
    targets = [f"{name}:{each.port}" for each in services if each.health_port is not None]
    if targets:
        found.append(f"monitoring: take out the targets {', '.join(targets)}")
    from plasmatui.certs.files import in_secrets  # cryptography takes too long for every engine's start

    for certificate in in_secrets(inventory, (node,)):
        if certificate.node == node and not certificate.problem:
            found.append(f"certificate to revoke: {certificate.place} (openssl x509 -noout -serial -in ...)")
    if inventory.secrets:
        found.append(f"its secrets stay in {inventory.secrets}/{node}; its key can be used until they are gone")
    return tuple(found)


async def decommission(work: NodeWork, order: DecommissionOrder) -> None:
    """Take the node out."""
    node, site = work.node, work.site
    if node in site.inventory().nodes:
        if await work.look("see-state", lambda: _is_off(work)):
            _skip_drain(work)
        else:
            await drain.take_out(work)
        await leave_groups(work)
        await switch_off(work, soft=True)
        await work.act("forget-key", lambda: site.hosts().keys.remove(node), seen=_may_be_repeated)
        told = await work.look("see-leftovers", lambda: asyncio.to_thread(leftovers, site.inventory(), node))
        for line in told:
            work.log(line)
        work.update(message="; ".join(told))
        work.tell(LifecycleChanged(Lifecycle.RETIRED))
    await amend(work, _removal(node))
    work.update(after="retired")


async def _is_off(work: NodeWork) -> bool:
    """Nothing runs on a machine that is off: neither services nor VMs can be asked to go."""
    try:
        off = await work.controller().power() is Power.OFF
    except BmcError as error:
        work.log(error.message)
        return False
    if off:
        work.log(f"{work.node} is off: there is nothing to drain")
    return off


def _skip_drain(work: NodeWork) -> None:
    for step in drain.drain_steps(DrainOrder(), work.node, work.site):
        work.skip(step.id, "the machine is off")


async def _may_be_repeated() -> bool:
    return False
