"""Moving a node's virtual machines to others with room, one migration after the other, each seen to arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.cluster.vms import Move, Placement, VmList

MOVE_LIMIT = 3600.0
ONE_LIMIT = 900.0
"""Seconds for one VM."""

PACE = 1.0


async def placement_notes(nodes: list[str], together: frozenset[str], site: Site) -> dict[str, tuple[str, ...]]:
    """Where the VMs of each node would go, for its plan.

    Args:
        together: all nodes that are drained at once; none of them takes VMs.
    """
    from plasmatui.cluster.vms import list_vms

    told = await list_vms(site.cluster(), nodes)
    notes: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        if node in told.unknown:
            notes[node] = (f"{node}: its VMs are not known: {told.unknown[node]}",)
            continue
        placement = await _place(node, told, together, site)
        moves = tuple(f"VM {_name(move)} goes to {move.target}" for move in placement.moves)
        homeless = tuple(f"VM {vm.id} has no place: {why}" for vm, why in placement.homeless)
        notes[node] = moves + homeless or (f"{node} has no VM",)
    return notes


async def move_vms(work: NodeWork, together: frozenset[str] | None = None) -> None:
    """Move all VMs of the node. Where each goes is decided when its turn comes: others may drain at the same time.

    Args:
        together: nodes that are emptied at once, so that none of them takes VMs; None: all of the operation.

    Raises:
        NodeFailedError: "no-capacity" when one has no place, "migration-failed" when one does not arrive.
    """
    from plasmatui.cluster.vms import list_vms

    clients = work.site.cluster()
    moved = 0
    while True:
        told = await list_vms(clients, (work.node,))
        if work.node in told.unknown and work.again and work.node in work.site.cordoned():
            work.log("its VMs were moved by an earlier try, and its plasmavmc was stopped")
            return
        if work.node in told.unknown:
            raise NodeFailedError("migration-failed", f"{work.node}: its VMs are not known: {told.unknown[work.node]}")
        left = told.on(work.node)
        if not left:
            break
        if work.left:
            raise NodeLeftError(f"{work.left} with {moved} VMs moved and {len(left)} left on {work.node}")
        work.progress(f"{moved} of {moved + len(left)} VMs moved", 100.0 * moved / (moved + len(left)))
        async with work.site.placing:
            told = await list_vms(clients, (work.node,))  # others may have filled the room while we waited
            if not told.on(work.node):
                continue
            move = await _next(work, told, work.peers if together is None else together)
            await _ask(work, move)
        await _arrives(work, move)
        moved += 1
    work.log(f"{moved} VMs moved; none is left on {work.node}")


async def _next(work: NodeWork, told: VmList, together: frozenset[str]) -> Move:
    placement = await _place(work.node, told, together, work.site)
    if placement.homeless:
        vm, why = placement.homeless[0]
        raise NodeFailedError(
            "no-capacity",
            f"{work.node}: VM {vm.id} has no place: {why}; make room, or stop the VM",
            tuple(f"{each.id}: {reason}" for each, reason in placement.homeless),
        )
    return placement.moves[0]


async def _place(node: str, told: VmList, together: frozenset[str], site: Site) -> Placement:
    from plasmatui.cluster.vms import SERVICE, choose_targets, read_capacities

    clients = site.cluster()
    closed = site.cordoned() | together | {node}
    takers = [each for each in clients.nodes_of(SERVICE) if each not in closed]
    return choose_targets(told.on(node), await read_capacities(clients, takers), told.vms, closed)


async def _ask(work: NodeWork, move: Move) -> None:
    from plasmatui.cluster.errors import ServiceError
    from plasmatui.cluster.vms import migrate

    work.log(f"VM {_name(move)} goes to {move.target}")
    try:
        await migrate(work.site.cluster(), move.vm.id, move.target, (work.node, move.target))
    except ServiceError as error:
        if not error.uncertain:
            raise NodeFailedError(
                "migration-failed", f"{work.node}: VM {move.vm.id}: {error.cause}. {error.remedy}"
            ) from error
        work.log(f"{error.message}; it may go on all the same")


async def _arrives(work: NodeWork, move: Move) -> None:
    from plasmatui.cluster.vms import Migration, migration

    end = asyncio.get_running_loop().time() + ONE_LIMIT
    while True:
        seen = await migration(work.site.cluster(), move.vm.id, work.node, move.target)
        work.progress(seen.message)
        if seen.state is Migration.DONE:
            work.log(seen.message)
            return
        if work.left:
            raise NodeLeftError(f"{work.left}; the migration goes on: {seen.message}")
        if seen.state is Migration.FAILED or asyncio.get_running_loop().time() >= end:
            raise NodeFailedError("migration-failed", f"{work.node}: {seen.message}", (seen.message,))
        await asyncio.sleep(PACE)


def _name(move: Move) -> str:
    return f"{move.vm.id} ({move.vm.name})" if move.vm.name else move.vm.id
