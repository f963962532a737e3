"""Backups of nodes: the plan. What is done stands in `backing`.

Runbook, section 9.4, which reads the directories of running services and looks at nothing afterwards; here a service is
stopped while its data are read, one node at a time, and what was written is summed and marked as whole at its end.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import msgspec

from plasmatui.backups.manifest import CONFIGURATION
from plasmatui.inventory.inventory import Service
from plasmatui.model.command import CommandError
from plasmatui.model.operation import BackupOrder, NodePlan, Order, Step
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.nodedata import AT_NIXOS, look_at, usual_directory
from plasmatui.operations.rollout import Waves
from plasmatui.operations.serviceturn import SERVICE_LIMIT, START_LIMIT, STOP_LIMIT
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

LOOK_LIMIT: Final = 600.0
STREAM_LIMIT: Final = 86400.0
TURN_LIMIT: Final = 7 * 86400.0
FILES_LIMIT: Final = 300.0


def services_of(order: BackupOrder, node: str, site: Site) -> tuple[Service, ...]:
    """The services of a node whose data are taken: those that were named, else all whose directory is known."""
    inventory = site.inventory()
    profile = inventory.profiles.get(inventory.nodes[node].profile)
    there = [inventory.services[name] for name in (profile.services if profile else ()) if name in inventory.services]
    return tuple(each for each in there if each.data and (not order.services or each.name in order.services))


def steps(order: BackupOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Look, wait for the turn, each service, the configuration, the manifest."""
    ssh = f"ssh {node} "
    place = f"{order.directory}/{order.name or 'BACKUP'}/{node}"
    services = services_of(order, node, site)
    data = " ".join(service.data for service in services)
    found = [
        Step(
            "check-node",
            "Read where its data lie and how large they are; see that they fit here",
            f"{ssh}realpath, du {data or AT_NIXOS}; free space of {order.directory}",
            LOOK_LIMIT,
        ),
        Step("wait-turn", "Wait for its turn: one node at a time, leaders last", "-", TURN_LIMIT),
    ]
    for service in services:
        found += _service_steps(order, service, ssh, place)
    excluded = "" if order.secrets else f" --exclude={AT_NIXOS.lstrip('/').partition('/')[2]}/secrets"
    found += [
        Step(
            "stream-configuration",
            f"Copy {AT_NIXOS}" + (" with its secrets" if order.secrets else " without its secrets"),
            f"{ssh}tar --create{excluded} {AT_NIXOS} > {place}/{CONFIGURATION}.tar",
            STREAM_LIMIT,
        ),
        Step(
            "write-manifest",
            "Write the manifest: the node's part of the backup is whole",
            f"write {place}/manifest.json",
            FILES_LIMIT,
            precondition="every archive is whole",
        ),
    ]
    return tuple(found)


def _service_steps(order: BackupOrder, service: Service, ssh: str, place: str) -> list[Step]:
    name, unit = service.name, service.unit_name
    stream = Step(
        f"stream-{name}",
        f"Copy the data of {name}" + (" while it runs: as after a power failure" if order.live else ""),
        f"{ssh}tar --create {service.data} > {place}/{name}.tar",
        STREAM_LIMIT,
        proof=f"{place}/{name}.json names its size and SHA-256",
    )
    if order.live:
        return [_group_step(name), stream]
    return [
        _group_step(name),
        Step(
            f"stop-{name}",
            f"Stop {name}, so that its data stand still",
            f"{ssh}systemctl stop {unit}",
            STOP_LIMIT,
            disruptive=True,
            precondition="it runs; its raft group keeps a majority without this node",
        ),
        stream,
        Step(f"start-{name}", f"Start {name} again", f"{ssh}systemctl start {unit}", START_LIMIT),
        Step(f"see-{name}", f"See {name} well, and its group with it", "GET /health, members", SERVICE_LIMIT),
    ]


def _group_step(name: str) -> Step:
    key = "; PUT /v1/kv/plasmatui-backup, by which the backup is known again" if name == "chainfire" else ""
    call = f"GET /admin/cluster/members{key}"
    return Step(f"read-group-{name}", f"Read what the group of {name} says", call, LOOK_LIMIT)


def command(order: BackupOrder) -> tuple[str, str]:
    words = f" -o {order.directory}" + "".join(f" --service {name}" for name in order.services)
    return "backup", words + " --live" * order.live + " --secrets" * order.secrets


def waves_of(order: BackupOrder, nodes: tuple[str, ...], site: Site) -> Waves:
    """One node at a time, those that lead a raft group last: a stop of theirs costs an election."""
    return tuple((node,) for node in sorted(nodes, key=lambda node: node in order.leaders))


async def look(order: BackupOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Name the backup; say of each node what it has; leave out what cannot be backed up."""
    from plasmatui.cluster.members import read_groups

    inventory = site.inventory()
    order = msgspec.structs.replace(order, directory=order.directory or usual_directory(inventory))
    problem = _problem(order, site)
    if problem:
        return order, tuple(NodePlan(plan.node, skipped=problem) for plan in plans)
    groups = await read_groups(site.cluster())
    leads = {group.leader_node: group.name for group in groups if group.leader_node}
    name = order.name or f"{inventory.cluster}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    order = msgspec.structs.replace(order, name=name, leaders=tuple(sorted(leads)))
    return order, tuple(await asyncio.gather(*(_look(order, plan, site, leads) for plan in plans)))


def _problem(order: BackupOrder, site: Site) -> str:
    """Why the order cannot be carried out on any node, "" when it can."""
    known = site.inventory().services
    if not Path(order.directory).is_absolute():
        return f"the directory {order.directory!r} is not absolute"
    for name in order.services:
        if name not in known:
            return f"--service {name}: the inventory has no such service; there are: {', '.join(known)}"
        if not known[name].data:
            return f"--service {name}: its data directory is not known: give it as services.{name}.data"
    return ""


async def _look(order: BackupOrder, plan: NodePlan, site: Site, leads: dict[str, str]) -> NodePlan:
    node, services = plan.node, services_of(order, plan.node, site)
    if plan.skipped:
        return plan
    if order.services and not services:
        return NodePlan(node, skipped=f"{node} runs none of {', '.join(order.services)}")
    try:
        found = await look_at(site.hosts().system(node), services)
    except (CommandError, NodeFailedError) as error:
        return NodePlan(node, skipped=error.message)
    from plasmatui.operations.gauges import size_words

    notes = [f"{node}: {each.service} {size_words(each.bytes)} in {each.path}" for each in found.data]
    notes += [f"{node}: {each.service} does not run, and is not started" for each in found.data if not each.active]
    if node in leads and not order.live:
        notes.append(f"{node} leads {leads[node]}, and comes last; another leader is elected meanwhile")
    if order.live:
        notes.append(f"{node}: --live: what is read is as after a power failure; the manifest says so")
    if order.secrets:
        notes.append(f"{node}: its secrets are copied: the backup must be kept as they are")
    return NodePlan(node, steps(order, node, site), "", (*plan.notes, *notes))


async def back_up(work: NodeWork, order: BackupOrder) -> None:
    """Back a node up."""
    from plasmatui.operations import backing

    await backing.back_up(work, order)
