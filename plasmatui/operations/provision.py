"""From a bare or retired machine to a healthy member: boot, install, first boot, join; and the same once more."""

from __future__ import annotations

import asyncio

import msgspec

from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.operation import DrainOrder, NodePlan, Order, ProvisionOrder, ReprovisionOrder, Step
from plasmatui.model.system import Disk
from plasmatui.operations.boot import power_steps, power_up, to_installer, watch_steps
from plasmatui.operations.drain import drain_steps, take_out
from plasmatui.operations.drain import look as look_at_vms
from plasmatui.operations.firstboot import join_note
from plasmatui.operations.install import Prepared, install_prepared, install_steps, prepare, prepare_steps
from plasmatui.operations.joining import groups_of, join_steps, see_join
from plasmatui.operations.members import leave_groups, leave_steps
from plasmatui.operations.site import Site
from plasmatui.operations.system import system_steps, wait_system
from plasmatui.operations.work import NodeWork


def provision_steps(order: ProvisionOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Build, boot, install, see the system, see it join."""
    return (*prepare_steps(node, site), *machine_steps(order, node, site))


def machine_steps(order: ProvisionOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Those of `provision_steps` that touch the machine."""
    return (
        *power_steps(BootDevice(Device.PXE, uefi=order.uefi), node, site),
        *watch_steps(node),
        *install_steps(node, site),
        *system_steps(node, site),
        *join_steps(node, site),
    )


def reprovision_steps(order: ReprovisionOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Drain, leave the groups, provision."""
    return (
        *drain_steps(DrainOrder(), node, site),
        *leave_steps(node, site),
        *provision_steps(ProvisionOrder(order.uefi), node, site),
    )


def provision_command(order: ProvisionOrder) -> tuple[str, str]:
    return "provision", mode_words(order.uefi)


def reprovision_command(order: ReprovisionOrder) -> tuple[str, str]:
    return "reprovision", mode_words(order.uefi)


def mode_words(uefi: bool | None) -> str:
    """The option for a firmware mode on the command line."""
    return {True: " --uefi", False: " --bios", None: ""}[uefi]


async def look(order: ProvisionOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Name the disks as far as the inventory does: a machine that is off cannot be asked."""
    return order, tuple(with_disks(plan, site) for plan in plans)


async def look_again(
    order: ReprovisionOrder, plans: tuple[NodePlan, ...], site: Site
) -> tuple[Order, tuple[NodePlan, ...]]:
    """As `look`, with where the VMs would go."""
    _, plans = await look_at_vms(DrainOrder(), plans, site)
    plans = tuple(with_disks(plan, site) for plan in plans)
    notes = await asyncio.gather(*(join_note(plan.node, site) for plan in plans))
    return order, tuple(
        plan if plan.skipped else with_note(plan, note) for plan, note in zip(plans, notes, strict=True)
    )


def with_disks(plan: NodePlan, site: Site) -> NodePlan:
    """The plan with the disks that would be wiped; left out where the inventory names none."""
    disks = _named(plan.node, site)
    if plan.skipped:
        return plan
    if not disks:
        return NodePlan(plan.node, skipped=f"{plan.node}: the inventory names no disk of it; add `disks: [...]`")
    note = "model, size and serial are read in the installer, and compared, before anything is wiped"
    return NodePlan(plan.node, plan.steps, "", (*plan.notes, note), disks)


def with_note(plan: NodePlan, note: str) -> NodePlan:
    """The plan with one more thing to know; "" adds nothing."""
    return msgspec.structs.replace(plan, notes=(*plan.notes, note)) if note else plan


def _named(node: str, site: Site) -> tuple[Disk, ...]:
    return tuple(Disk(name) for name in site.inventory().nodes[node].disks)


async def provision(work: NodeWork, order: ProvisionOrder) -> None:
    """Bring the node into the cluster."""
    await provision_machine(work, order, await prepare(work))


async def provision_machine(work: NodeWork, order: ProvisionOrder, prepared: Prepared) -> None:
    """Do the steps of `machine_steps`."""
    if work.history.was_begun("reboot"):
        for step in (*power_steps(BootDevice(Device.PXE), work.node, work.site), *watch_steps(work.node)):
            work.skip(step.id, "done before the engine was restarted")
    else:
        await power_up(work, BootDevice(Device.PXE, uefi=order.uefi))
        await to_installer(work)
    await install_prepared(work, prepared, _named(work.node, work.site))
    await wait_system(work, prepared.built.toplevel)
    await see_join(work)
    work.update(after="voter" if groups_of(work.node, work.site) else "active")


async def reprovision(work: NodeWork, order: ReprovisionOrder) -> None:
    """Take the node out, and bring it back as a new one."""
    await take_out(work)
    await leave_groups(work)
    await provision(work, ProvisionOrder(order.uefi))
