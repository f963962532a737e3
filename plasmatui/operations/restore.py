"""Restoring nodes' data from a backup: the plan. What is done stands in `restoring`.

Runbook, sections 9.3 and 9.4, which deletes the data first and unpacks then, whatever the archive is. Here the backup
is read and its sums are compared before anything is touched; what it holds is laid beside the data and looked at there;
and the data are moved aside, not deleted, so that they can be moved back.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from plasmatui.backups.manifest import CONFIGURATION, BackupError, NodeManifest, Part, find_backups, read_backup
from plasmatui.inventory.inventory import Service
from plasmatui.model.operation import NodePlan, Order, RestoreOrder, Step
from plasmatui.operations.gauges import size_words
from plasmatui.operations.nodedata import usual_directory
from plasmatui.operations.rollout import Waves
from plasmatui.operations.serviceturn import SERVICE_LIMIT, START_LIMIT, STOP_LIMIT
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

VERIFY_LIMIT: Final = 86400.0
COPY_LIMIT: Final = 86400.0
FILES_LIMIT: Final = 3600.0
TURN_LIMIT: Final = 7 * 86400.0
LOOK_LIMIT: Final = 600.0
BACK_LIMIT: Final = 1800.0


def manifest_of(backup: str, node: str, site: Site) -> NodeManifest:
    """What a backup holds of a node.

    Raises:
        BackupError: it is no backup, of another cluster, or has nothing whole of the node.
    """
    found = read_backup(Path(backup))
    if found.head.cluster != site.inventory().cluster:
        raise BackupError(f"{backup}: it is of the cluster {found.head.cluster}")
    if node not in found.nodes:
        why = "its part is not whole" if node in found.missing else "it is not in it"
        raise BackupError(f"{backup}: {node}: {why}")
    return found.nodes[node]


def parts_of(manifest: NodeManifest, services: tuple[str, ...]) -> tuple[Part, ...]:
    """The archives that are restored: those that were named, else all of services."""
    data = tuple(part for part in manifest.parts if part.service != CONFIGURATION)
    return tuple(part for part in data if not services or part.service in services)


def service_of(part: Part, site: Site) -> Service:
    """The service as the inventory has it now. Raises BackupError when it does not know it."""
    found = site.inventory().services.get(part.service)
    if found is None:
        raise BackupError(f"{part.service}: the inventory has no such service")
    return found


def steps(order: RestoreOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Verify, look, wait for the turn; for each service: beside, swap, well; else back."""
    ssh = f"ssh {node} "
    return (
        *first_steps(order.backup, node),
        Step("wait-turn", "Wait for its turn: one node at a time", "-", TURN_LIMIT),
        *(
            step
            for part in _known(order.backup, node, order.services, site)
            for step in _service_steps(part, ssh, site)
        ),
    )


def first_steps(backup: str, node: str) -> tuple[Step, ...]:
    """What is looked at before anything is touched."""
    return (
        Step(
            "verify-backup",
            "Read the node's part of the backup: sums, archives, where their members would lie",
            f"sha256sum, tar --list {backup}/{node}/*.tar.*",
            VERIFY_LIMIT,
        ),
        Step(
            "check-node",
            "See where the data go, and that they fit beside what is there",
            f"ssh {node} realpath, df",
            LOOK_LIMIT,
        ),
    )


def _known(backup: str, node: str, services: tuple[str, ...], site: Site) -> tuple[Part, ...]:
    """For a plan; a backup that cannot be read is said by `look`."""
    try:
        return parts_of(manifest_of(backup, node, site), services)
    except BackupError:
        return ()


def copy_steps(part: Part, ssh: str) -> tuple[Step, ...]:
    """The archive beside the data."""
    name = part.service
    beside = f"{part.path}.restoring-OPERATION"
    return (
        Step(
            f"copy-{name}",
            f"Unpack {name} beside its data, which are left alone",
            f"{ssh}tar --extract --directory={beside} < {part.file}",
            COPY_LIMIT,
        ),
        Step(
            f"verify-files-{name}",
            "See every file there with the sum, owner and mode that it was backed up with",
            f"{ssh}sha256sum --check; find {beside}",
            FILES_LIMIT,
        ),
    )


def place_step(part: Part, ssh: str) -> Step:
    """The swap."""
    return Step(
        f"place-{part.service}",
        "Move the data aside and what was restored into their place",
        f"{ssh}mv {part.path} {part.path}.before-restore-TIME; mv {part.path}.restoring-OPERATION {part.path}",
        START_LIMIT,
        proof="it lies in the data's place, the old ones beside it",
    )


def start_steps(part: Part, unit: str, ssh: str) -> tuple[Step, ...]:
    """The service with the restored data."""
    name = part.service
    return (
        Step(f"start-{name}", f"Start {name}", f"{ssh}systemctl start {unit}", START_LIMIT),
        Step(f"see-{name}", f"See {name} well, and its group with it", "GET /health, members", SERVICE_LIMIT),
    )


def stop_step(part: Part, unit: str, ssh: str, *, guarded: bool) -> Step:
    """The end of the old data's use. `guarded`: its group must keep a majority."""
    name = part.service
    return Step(f"stop-{name}", f"Stop {name}", f"{ssh}systemctl stop {unit}", STOP_LIMIT, disruptive=guarded)


def back_step(part: Part, unit: str, ssh: str) -> Step:
    """The way back."""
    return Step(
        f"put-back-{part.service}",
        "Only if it does not come up: move the old data back and start with them",
        f"{ssh}mv {part.path}.before-restore-TIME {part.path}; {ssh}systemctl start {unit}",
        BACK_LIMIT,
        precondition="something above failed",
    )


def _service_steps(part: Part, ssh: str, site: Site) -> tuple[Step, ...]:
    known = site.inventory().services.get(part.service)
    unit = known.unit_name if known is not None else part.unit
    return (
        *copy_steps(part, ssh),
        stop_step(part, unit, ssh, guarded=True),
        place_step(part, ssh),
        *start_steps(part, unit, ssh),
        back_step(part, unit, ssh),
    )


def command(order: RestoreOrder) -> tuple[str, str]:
    return f"restore {order.backup}", "".join(f" --service {name}" for name in order.services)


def waves_of(order: RestoreOrder, nodes: tuple[str, ...], site: Site) -> Waves:
    """One node at a time."""
    return tuple((node,) for node in nodes)


async def look(order: RestoreOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say what would be restored on each node; leave out what the backup does not hold."""
    if not order.backup:
        usual = Path(usual_directory(site.inventory()))
        try:
            newest = await asyncio.to_thread(lambda: find_backups(usual)[-1:])
        except BackupError as error:
            return order, tuple(NodePlan(plan.node, skipped=str(error)) for plan in plans)
        order = RestoreOrder(str(newest[0]) if newest else str(usual), order.services)
    return order, tuple([await asyncio.to_thread(_look, order, plan, site) for plan in plans])


def _look(order: RestoreOrder, plan: NodePlan, site: Site) -> NodePlan:
    node = plan.node
    if plan.skipped:
        return plan
    try:
        if not Path(order.backup).is_absolute():
            raise BackupError(f"the directory {order.backup!r} is not absolute")
        manifest = manifest_of(order.backup, node, site)
        parts = parts_of(manifest, order.services)
        for part in parts:
            service_of(part, site)
    except BackupError as error:
        return NodePlan(node, skipped=str(error))
    missing = [name for name in order.services if manifest.part(name) is None]
    if missing or not parts:
        return NodePlan(node, skipped=f"{node}: the backup has no data of {', '.join(missing) or 'services'}")
    return NodePlan(node, steps(order, node, site), "", (*plan.notes, *notes_of(node, manifest, parts)))


def notes_of(node: str, manifest: NodeManifest, parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What a person should know of what is restored."""
    notes = [f"{node}: backed up {manifest.end}, generation {manifest.generation or 'not known'}"]
    for part in parts:
        how = "while it stood still" if part.quiesced else "while it ran: as after a power failure"
        notes.append(f"{node}: {part.service}, {size_words(part.bytes)}, read {how}")
        if part.raft is not None and part.raft.voters:
            notes.append(
                f"{node}: {part.service}: a member of a group that lives copies what it lacks from the others; where "
                "they are gone too: plasmatui recover-cluster"
            )
    return tuple(notes)


async def restore(work: NodeWork, order: RestoreOrder) -> None:
    """Restore a node."""
    from plasmatui.operations import restoring

    await restoring.restore(work, order)
