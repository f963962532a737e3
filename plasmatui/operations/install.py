"""Installing NixOS on a node whose installer is up, with nixos-anywhere, one phase a step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plasmatui.model.command import CommandError
from plasmatui.model.event import LifecycleChanged
from plasmatui.model.operation import InstallOrder, NodeDisks, NodePlan, Order, Step
from plasmatui.model.system import Disk
from plasmatui.model.words import Lifecycle
from plasmatui.nix.flake import Built, DiskoDevice
from plasmatui.operations.anywhere import Calls, call_steps
from plasmatui.operations.disks import check_disks, check_installer, installer_disks
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.flake import Tools, build, check_flake, check_steps, find_tools
from plasmatui.operations.netboot import leave_to_disk
from plasmatui.operations.site import Site
from plasmatui.operations.system import system_steps, wait_system
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:  # it imports cryptography, which takes its time
    from plasmatui.nix.extrafiles import Source

LOOK_LIMIT = 60.0
"""Seconds for a look at the installer."""


def steps(order: InstallOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Check, build, wipe, install, reboot, see the new system."""
    return (*prepare_steps(node, site), *install_steps(node, site), *system_steps(node, site))


def prepare_steps(node: str, site: Site) -> tuple[Step, ...]:
    """Look at flake and secrets, build."""
    return (
        *check_steps(node, site),
        Step("check-secrets", "Look through the secrets that the node takes along", "local files", LOOK_LIMIT),
    )


def install_steps(node: str, site: Site) -> tuple[Step, ...]:
    """The steps from the look at the installer to its reboot."""
    return (
        Step(
            "check-installer",
            "See that the node runs a NixOS installer",
            f"ssh {node} (installer) cat /etc/os-release",
            LOOK_LIMIT,
            precondition="VARIANT_ID=installer: anything else may be a live system",
        ),
        Step(
            "check-disks",
            "Read the disks and compare them with inventory, flake and what was confirmed",
            f"ssh {node} (installer) lsblk --json ...",
            LOOK_LIMIT,
        ),
        *call_steps(node),
    )


def command(order: InstallOrder) -> tuple[str, str]:
    return "install", ""


async def look(order: InstallOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Read the disks of every installer, so that a person confirms what is there and not what a file says."""
    found = await asyncio.gather(*(_look(plan, site) for plan in plans))
    disks = tuple(NodeDisks(plan.node, plan.disks) for plan in found if plan.disks)
    return InstallOrder(disks), tuple(found)


async def _look(plan: NodePlan, site: Site) -> NodePlan:
    if plan.skipped:
        return plan
    try:
        disks = await installer_disks(plan.node, site)
    except (CommandError, NodeFailedError) as error:
        return NodePlan(plan.node, skipped=error.message)
    return NodePlan(plan.node, plan.steps, "", plan.notes, disks)


@dataclass(frozen=True)
class Prepared:
    """What an installation is made from; read and built anew when the engine was restarted."""

    tools: Tools
    layout: tuple[DiskoDevice, ...]
    built: Built
    source: Source


async def install(work: NodeWork, order: InstallOrder) -> None:
    """Install the node."""
    confirmed = next((each.disks for each in order.disks if each.node == work.node), None)
    if confirmed is None:
        raise NodeFailedError(
            "refused", f"{work.node}: its disks were not confirmed; plan the installation again: plasmatui install"
        )
    prepared = await prepare(work)
    await install_prepared(work, prepared, confirmed)
    await wait_system(work, prepared.built.toplevel)
    work.update(after="installed")
    work.tell(LifecycleChanged(Lifecycle.JOINING))


async def prepare(work: NodeWork) -> Prepared:
    """Everything that can go wrong before a machine is touched: programs, flake, build, secrets."""
    tools = await find_tools(work)
    layout = await work.look("check-flake", lambda: check_flake(work, tools.nix))
    built = await work.look("build", lambda: build(work, tools.nix, wipe=True))
    source = await work.look("check-secrets", lambda: _secrets(work))
    return Prepared(tools, layout, built, source)


async def install_prepared(work: NodeWork, prepared: Prepared, confirmed: tuple[Disk, ...]) -> None:
    """From the look at the installer to its reboot.

    Args:
        confirmed: the disks as a person confirmed them; with names alone, a name that does not last is asked about.
    """
    if work.history.was_begun("reboot"):
        for id_ in ("check-installer", "check-disks"):
            work.skip(id_, "done before the engine was restarted")
    else:
        wiped = work.history.was_done("disko")
        work.tell(LifecycleChanged(Lifecycle.DEPLOYING))
        await work.look("check-installer", lambda: check_installer(work))
        disks = await work.look("check-disks", lambda: check_disks(work, prepared.layout, confirmed, wiped=wiped))
        work.log("disks: " + "; ".join(disk.title for disk in disks))
    calls = Calls(work, prepared.tools, prepared.built, prepared.source)
    await calls.wipe()
    await calls.mount()
    await calls.install()
    await leave_to_disk(work)
    await calls.reboot()


async def _secrets(work: NodeWork) -> Source:
    """The node's secrets, with an SSH host key, so that the new system is known before it boots."""
    from plasmatui.nix.extrafiles import SecretsError, inspect, make_host_key

    inventory = work.site.inventory()
    try:
        source = await asyncio.to_thread(inspect, work.node, inventory)
        if source.directory and not source.host_key:
            await asyncio.to_thread(make_host_key, source)
            source = await asyncio.to_thread(inspect, work.node, inventory)
    except SecretsError as error:
        raise NodeFailedError("secrets", f"{work.node}: {'; '.join(error.problems)}", error.problems) from error
    for entry in source.manifest:
        work.log(f"takes along {entry}")
    return source
