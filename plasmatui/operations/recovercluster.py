"""A cluster whose voters have all lost their data, from a backup: the plan. What is done stands in `recovering`.

Runbook, section 9.3, which restores one member alone. The documents know no way to let one member begin with data that
name three, so each voter gets its own archive back, and they begin together: as after a power failure of all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plasmatui.backups.choose import choose
from plasmatui.backups.manifest import Backup, BackupError, Part
from plasmatui.model.operation import NodePlan, Order, RecoverClusterOrder, Step
from plasmatui.operations import restore
from plasmatui.operations.nodedata import usual_directory
from plasmatui.operations.rollout import Waves
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.cluster.members import RaftGroup

TOGETHER_LIMIT: Final = 86400.0
READ_LIMIT: Final = 120.0


def steps(order: RecoverClusterOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Everything beside the data; all stopped; all swapped; all begin."""
    try:
        parts = restore.parts_of(restore.manifest_of(order.backup, node, site), ())
    except BackupError:  # `look` says it
        parts = ()
    return _steps(order, node, parts, site)


def _steps(order: RecoverClusterOrder, node: str, parts: tuple[Part, ...], site: Site) -> tuple[Step, ...]:
    ssh = f"ssh {node} "
    units = {part.service: _unit(part, site) for part in parts}
    back = tuple(restore.back_step(part, units[part.service], ssh) for part in parts)
    return (
        *restore.first_steps(order.backup, node),
        Step(
            "check-cluster",
            "See that the raft groups are lost: none has a leader",
            "GET /admin/cluster/members of each voter",
            READ_LIMIT,
        ),
        *(step for part in parts for step in restore.copy_steps(part, ssh)),
        *(restore.stop_step(part, units[part.service], ssh, guarded=False) for part in reversed(parts)),
        *(restore.place_step(part, ssh) for part in parts),
        Step("wait-others", "Wait until all voters stand ready: they begin together", "-", TOGETHER_LIMIT),
        *(step for part in parts for step in restore.start_steps(part, units[part.service], ssh)),
        Step(
            "read-back",
            "Read the key that the backup left, and compare its SHA-256 with the manifest's",
            "GET /v1/kv/plasmatui-backup",
            READ_LIMIT,
        ),
        *(
            msgspec.structs.replace(step, precondition="something failed before the first service was started")
            for step in back
        ),
    )


def _unit(part: Part, site: Site) -> str:
    known = site.inventory().services.get(part.service)
    return known.unit_name if known is not None else part.unit


def command(order: RecoverClusterOrder) -> tuple[str, str]:
    return f"recover-cluster {order.backup}", ""


def waves_of(order: RecoverClusterOrder, nodes: tuple[str, ...], site: Site) -> Waves:
    """All together."""
    return (nodes,)


def chosen(order: RecoverClusterOrder, nodes: Collection[str], site: Site) -> Backup:
    """The backup that is used. Raises BackupError when none can be."""
    if not Path(order.backup).is_absolute():
        raise BackupError(f"the directory {order.backup!r} is not absolute")
    inventory = site.inventory()
    voters = tuple(node.name for node in inventory.nodes.values() if node.voter)
    return choose(Path(order.backup), inventory.cluster, nodes, voters)


async def look(
    order: RecoverClusterOrder, plans: tuple[NodePlan, ...], site: Site
) -> tuple[Order, tuple[NodePlan, ...]]:
    """Choose the backup; say what each node gets; leave out what the backup does not hold."""
    names = tuple(plan.node for plan in plans)
    order = RecoverClusterOrder(order.backup or usual_directory(site.inventory()))
    try:
        backup = await asyncio.to_thread(chosen, order, names, site)
    except BackupError as error:
        return order, tuple(NodePlan(plan.node, skipped=str(error)) for plan in plans)
    order = RecoverClusterOrder(backup.directory)
    return order, tuple(_look(order, plan, backup, site) for plan in plans)


def _look(order: RecoverClusterOrder, plan: NodePlan, backup: Backup, site: Site) -> NodePlan:
    node = plan.node
    manifest = backup.nodes.get(node)
    parts = restore.parts_of(manifest, ()) if manifest is not None else ()
    if manifest is None or not parts:
        return NodePlan(node, skipped=f"{node}: the backup has no data of its services")
    others = sorted({voter for part in parts if part.raft for voter in part.raft.voters} - set(backup.nodes))
    notes = [*plan.notes, *(note for note in restore.notes_of(node, manifest, parts) if "recover-cluster" not in note)]
    if others:
        notes.append(f"not in the backup: {', '.join(others)}; plasmatui replace makes new members of them afterwards")
    return NodePlan(node, _steps(order, node, parts, site), "", tuple(notes))


async def judge(site: Site) -> tuple[str, tuple[str, ...]]:
    """Why the cluster must not be recovered: it lives; "" when it is lost. And what was seen."""
    from plasmatui.cluster.members import read_groups

    groups = await read_groups(site.cluster())
    refused = why_alive(groups)
    override = "; --override-quorum CLUSTER goes on all the same, and what is in the groups now is moved aside"
    return f"{refused}{override}" if refused else "", tuple(_told(group) for group in groups)


def why_alive(groups: tuple[RaftGroup, ...]) -> str:
    """Which group has a leader, or could have one, in words; "" when all are lost. Pure."""
    for group in groups:
        healthy = [member.node for member in group.voters if member.healthy and member.answers]
        if group.leader:
            mends = "plasmatui restore, reprovision or replace mends single nodes"
            return f"{group.name} lives, led by {group.leader}: {mends}"
        if group.voters and len(healthy) * 2 > len(group.voters):
            return f"{group.name}: {', '.join(healthy)} are healthy and a majority: wait for their election"
    return ""


def _told(group: RaftGroup) -> str:
    if not group.readable:
        return f"{group.name}: no member answers"
    healthy = sum(member.healthy for member in group.voters)
    return f"{group.name}: {healthy} of {len(group.voters)} voters healthy, leader {group.leader or 'none'}"


async def recover_cluster(work: NodeWork, order: RecoverClusterOrder) -> None:
    """Do a node's part."""
    from plasmatui.operations import recovering

    await recovering.recover_cluster(work, order)
