"""In which order a node's services are stopped and started around maintenance, and how each step shows in the cluster.

Runbook, section 7.5: plasmavmc, chainfire, flaredb are stopped in this order; they are looked at as chainfire,
flaredb, plasmavmc afterwards, which is the order to start them in: FlareDB connects to Chainfire. Units are stopped and
started elsewhere; here is only what the APIs show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from plasmatui.cluster.clients import ClusterClients
from plasmatui.cluster.errors import SILENT, ServiceError
from plasmatui.cluster.health import HealthChecks
from plasmatui.cluster.members import GROUPS, RaftGroup, read_group
from plasmatui.cluster.vms import SERVICE as PLASMAVMC
from plasmatui.cluster.vms import list_vms
from plasmatui.model.words import Health

STOP_ORDER: Final = ("plasmavmc", "chainfire", "flaredb")
START_ORDER: Final = ("chainfire", "flaredb", "plasmavmc")
RESTART_ORDER: Final = ("chainfire", "flaredb", "iam")
"""Those that take new certificates by a restart (runbook, section 10.2), one after the other."""


@dataclass(frozen=True)
class ServiceStep:
    """One service to stop or start: its unit, and in words what must hold afterwards."""

    service: str
    unit: str
    then: str


@dataclass(frozen=True)
class Shown:
    """Whether something can be seen in the cluster: True, False (look again, or it failed), None: not known."""

    ok: bool | None
    message: str


def unit(service: str) -> str:
    return f"{service}.service"


def stop_steps(services: Iterable[str]) -> tuple[ServiceStep, ...]:
    """How the services that a node runs are stopped for maintenance; those that the runbook leaves running stay."""
    return tuple(ServiceStep(name, unit(name), _after_stop(name)) for name in _in_order(STOP_ORDER, services))


def start_steps(services: Iterable[str]) -> tuple[ServiceStep, ...]:
    """How they are started again."""
    return tuple(ServiceStep(name, unit(name), _after_start(name)) for name in _in_order(START_ORDER, services))


def _in_order(order: tuple[str, ...], services: Iterable[str]) -> list[str]:
    there = set(services)
    return [name for name in order if name in there]


def _after_stop(service: str) -> str:
    if service == PLASMAVMC:
        return "it no longer answers, and no VM is left on the node"
    return "it no longer answers, and the other voters keep a leader"


def _after_start(service: str) -> str:
    if service in GROUPS:
        return "it is healthy, and the group lists it as healthy under a leader that its members agree on"
    return "it is healthy"


async def shown_stopped(clients: ClusterClients, node: str, service: str) -> Shown:
    """Whether a service that was stopped is seen to be, and the cluster to live without it. Raises nothing."""
    known = clients.inventory.services[service]
    try:
        answer = await clients.ask("GET", node, service, "/health", port=known.health_port)
        return Shown(False, f"{service} on {node} still answers (HTTP {answer.status})")
    except ServiceError as error:
        if error.id != SILENT:
            return Shown(False, f"{service} on {node} still answers: {error.cause}")
    if service == PLASMAVMC:
        return await _without_vms(clients, node)
    if service not in GROUPS:
        return Shown(True, f"{service} on {node} is stopped")
    group = await read_group(clients, service)
    return _led_without(group, node)


async def _without_vms(clients: ClusterClients, node: str) -> Shown:
    told = await list_vms(clients)
    if not told.asked:
        return Shown(None, f"plasmavmc on {node} is stopped; no other node tells whether VMs are left on it")
    left = told.on(node)
    if left:
        return Shown(False, f"VMs are left on {node}: {', '.join(vm.id for vm in left[:5])}")
    return Shown(True, f"plasmavmc on {node} is stopped, no VM is listed there")


def _led_without(group: RaftGroup, node: str) -> Shown:
    if not group.readable:
        return Shown(None, f"{group.name} on {node} is stopped; no other member tells how the group is")
    voters = group.voters
    healthy = sum(member.healthy for member in voters if member.node != node)
    counts = f"{healthy} of {len(voters)} voters healthy"
    if not group.leader:
        return Shown(False, f"{group.name}: no leader that a majority agrees on, {counts}")
    if group.leader_node == node:
        return Shown(False, f"{group.name}: {node} is still called the leader, {counts}")
    return Shown(True, f"{group.name} on {node} is stopped; {group.leader} leads, {counts}")


async def shown_started(clients: ClusterClients, checks: HealthChecks, node: str, service: str) -> Shown:
    """Whether a service that was started is well, and its group has it back. Raises nothing."""
    health = await checks.check(node, service)
    if health.status is not Health.OK:
        ok = None if not health.askable else False
        return Shown(ok, f"{service} on {node}: {health.status.value}: {health.message}")
    if service not in GROUPS:
        return Shown(True, f"{service} on {node} is healthy: {health.message}")
    return joined(await read_group(clients, service), node)


def joined(group: RaftGroup, node: str) -> Shown:
    """Whether a group has a node as a healthy member under a leader that its members agree on. Pure."""
    if not group.readable:
        return Shown(None, f"{group.name}: no member tells how the group is")
    member = group.member(node)
    if member is None:
        return Shown(False, f"{group.name}: {node} is not among its {len(group.members)} members")
    if not member.healthy:
        return Shown(False, f"{group.name}: {node} {member.condition}")
    if not group.leader:
        return Shown(False, f"{group.name}: no leader that a majority agrees on")
    kind = "voter" if member.voter else "member without a vote"
    return Shown(True, f"{group.name}: {node} is a healthy {kind}, {group.leader} leads {len(group.members)} members")
