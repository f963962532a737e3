"""Virtual machines: where they run, where they fit, how they move (runbook, section 7.5, step 2).

PlasmaVMC's `GET /api/vms` and `POST /api/vms/ID/migrate` are described, their fields are not: what misses is unknown.
Memory is MiB throughout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from plasmatui.cluster.clients import LIST_LIMIT, Answer, ClusterClients
from plasmatui.cluster.errors import REJECTED, ServiceError
from plasmatui.cluster.members import node_of
from plasmatui.cluster.shapes import Json, flat, mapping, number, records, text, usable_id
from plasmatui.inventory.inventory import Inventory

SERVICE: Final = "plasmavmc"
MIGRATE_LIMIT: Final = 30.0
"""Seconds until a migration is accepted; it goes on after that."""
_ASKED_BESIDES: Final = 3
_GONE: Final = frozenset({"stopped", "deleted", "terminated", "shutoff"})
_MOVING: Final = frozenset({"migrating", "moving", "migration"})
_BROKEN: Final = frozenset({"error", "failed", "crashed"})


@dataclass(frozen=True)
class Vm:
    """A virtual machine.

    Attributes:
        node: inventory name of where it runs, "" when that is not told.
        target: where it migrates to, "" when it does not.
        memory: MiB; cores: virtual CPUs; None when not told.
        error: why its last migration failed, "" for nothing.
    """

    id: str
    node: str = ""
    name: str = ""
    status: str = ""
    target: str = ""
    memory: float | None = None
    cores: float | None = None
    error: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def present(self) -> bool:
        """Whether it occupies its node: what is stopped need not be moved."""
        return self.status.lower() not in _GONE


@dataclass(frozen=True)
class VmList:
    """All that was told of VMs.

    Attributes:
        places: nodes on which lists place a VM, by its id; more than one when they disagree.
        asked: nodes that answered. unknown: nodes that did not, with why.
    """

    vms: tuple[Vm, ...] = ()
    places: Mapping[str, frozenset[str]] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    verified: bool = True

    def on(self, node: str) -> tuple[Vm, ...]:
        """Those that occupy a node, or may do so."""
        return tuple(vm for vm in self.vms if node in self.places.get(vm.id, ()) and vm.present)

    def find(self, vm: str) -> Vm | None:
        return next((each for each in self.vms if each.id == vm), None)


@dataclass(frozen=True)
class Capacity:
    """Room for VMs on a node. `memory` (MiB) and `cores` are totals, None when not told; `running` counts VMs."""

    node: str
    memory: float | None = None
    cores: float | None = None
    running: int | None = None


@dataclass(frozen=True)
class Move:
    vm: Vm
    target: str


@dataclass(frozen=True)
class Placement:
    """Where VMs are to go; `homeless`: those without a place, each with why."""

    moves: tuple[Move, ...] = ()
    homeless: tuple[tuple[Vm, str], ...] = ()


class Migration(StrEnum):
    """How far the migration of a VM is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class MigrationState:
    state: Migration
    message: str
    vm: Vm | None = None


async def list_vms(clients: ClusterClients, nodes: Collection[str] = ()) -> VmList:
    """The VMs as told by the given nodes and by some others: a list may be of one node or of the whole cluster.

    Raises nothing: who does not answer is in `unknown`.
    """
    all_nodes = clients.nodes_of(SERVICE)
    named = [node for node in all_nodes if node in nodes]
    others = [node for node in all_nodes if node not in nodes]
    asked = named + others[:_ASKED_BESIDES]
    found = await asyncio.gather(*(_told(clients, node) for node in asked), return_exceptions=True)
    told: dict[str, tuple[Vm, ...]] = {}
    unknown: dict[str, str] = {}
    verified = True
    for node, each in zip(asked, found, strict=True):
        if isinstance(each, ServiceError):
            unknown[node] = each.cause
        elif isinstance(each, BaseException):
            raise each
        else:
            told[node], sound = each
            verified = verified and sound
    return merged(told, unknown, verified)


async def _told(clients: ClusterClients, node: str) -> tuple[tuple[Vm, ...], bool]:
    answer = await clients.get(node, SERVICE, "/api/vms", body_limit=LIST_LIMIT)
    vms = parse_vms(answer.body, clients.inventory)
    if vms is None:
        raise ServiceError(REJECTED, node, SERVICE, "its answer to /api/vms lists no VMs")
    return vms, answer.verified


def parse_vms(body: Json, inventory: Inventory) -> tuple[Vm, ...] | None:
    """The VMs of an answer of `/api/vms`, None when it lists none. One without id cannot be named and is left out."""
    found = records(body, "vms", "items", "instances")
    if found is None:
        return None
    return tuple(_vm(record, inventory) for record in found if text(record, "id", "vm_id", "uuid", "name"))


def _vm(record: Mapping[str, Json], inventory: Inventory) -> Vm:
    host, target = text(record, "node", "host", "node_id", "hypervisor"), text(record, "target_node", "target")
    return Vm(
        id=text(record, "id", "vm_id", "uuid", "name"),
        node=node_of(inventory, host, raft_addr=host) if host else "",
        name=text(record, "name"),
        status=text(record, "status", "state"),
        target=node_of(inventory, target, raft_addr=target) or target if target else "",
        memory=number(record, "memory", "memory_mb", "memory_mib"),
        cores=number(record, "cores", "cpus", "vcpus"),
        error=text(record, "error"),
        details=flat(record),
    )


def merged(told: Mapping[str, Sequence[Vm]], unknown: Mapping[str, str], verified: bool = True) -> VmList:
    """Several nodes' lists as one. A VM without a node that only one of several lists holds is on the one that told it.

    Where lists disagree on a VM, the first one's words are kept and all places are.
    """
    tellers: dict[str, list[str]] = {}
    known: dict[str, Vm] = {}
    places: dict[str, set[str]] = {}
    for node, vms in told.items():
        for vm in vms:
            tellers.setdefault(vm.id, []).append(node)
            places.setdefault(vm.id, set()).update({vm.node} - {""})
            if vm.id not in known or (vm.node and not known[vm.id].node):
                known[vm.id] = vm
    for id_, vm in known.items():
        if not vm.node and len(tellers[id_]) == 1 and len(told) > 1:
            known[id_] = replace(vm, node=tellers[id_][0])
            places[id_] = {tellers[id_][0]}
    fixed = {id_: frozenset(nodes) for id_, nodes in places.items()}
    return VmList(tuple(known.values()), fixed, tuple(told), dict(unknown), verified)


async def read_capacities(clients: ClusterClients, nodes: Iterable[str]) -> tuple[Capacity, ...]:
    """Room on nodes whose PlasmaVMC is healthy; who does not answer or is not well has none and is left out."""
    found = await asyncio.gather(*(_capacity(clients, node) for node in nodes))
    return tuple(each for each in found if each is not None)


async def _capacity(clients: ClusterClients, node: str) -> Capacity | None:
    service = clients.inventory.services[SERVICE]
    try:
        answer = await clients.ask("GET", node, SERVICE, "/health", port=service.health_port)
    except ServiceError:
        return None
    record = mapping(answer.body)
    if answer.status != 200 or text(record, "status").lower() not in ("healthy", "ok"):
        return None
    room = {**record, **mapping(record.get("capacity"))}
    running = number(room, "vms_running")
    return Capacity(
        node,
        memory=number(room, "memory", "memory_mb", "memory_total"),
        cores=number(room, "cores", "cpus", "cpus_total"),
        running=None if running is None else int(running),
    )


def choose_targets(
    vms: Iterable[Vm], capacities: Iterable[Capacity], existing: Iterable[Vm], unavailable: Collection[str]
) -> Placement:
    """Where the given VMs go: the largest first, each to the node with the most memory left of those it fits on.

    The same question gets the same answer; without figures the number of VMs decides, so that they spread.

    Args:
        capacities: of the nodes that may take VMs.
        existing: all VMs that are known; those on a node or on their way to it take their room.
        unavailable: nodes that are cordoned, drained, away, or the source.
    """
    capacities = sorted(capacities, key=lambda each: each.node)
    rooms = {each.node: _Room(each) for each in capacities if each.node not in unavailable}
    for vm in existing:
        for node in {vm.node, vm.target} & rooms.keys() if vm.present else ():
            rooms[node].take(vm)
    for room in rooms.values():
        room.count = max(room.count, room.capacity.running or 0)
    moves: list[Move] = []
    homeless: list[tuple[Vm, str]] = []
    for vm in sorted(vms, key=lambda vm: (-(vm.memory or 0), -(vm.cores or 0), vm.id)):
        fitting = [room for room in rooms.values() if room.node != vm.node and not room.lacks(vm)]
        if not usable_id(vm.id):
            homeless.append((vm, "its id cannot stand in a request"))
        elif not fitting:
            homeless.append((vm, _why([room for room in rooms.values() if room.node != vm.node], vm)))
        else:
            best = min(fitting, key=_Room.order)
            best.take(vm)
            moves.append(Move(vm, best.node))
    return Placement(tuple(moves), tuple(homeless))


class _Room:
    """What a node has left while VMs are placed."""

    def __init__(self, capacity: Capacity) -> None:
        self.node = capacity.node
        self.capacity = capacity
        self.memory = capacity.memory
        self.cores = capacity.cores
        self.count = 0

    def take(self, vm: Vm) -> None:
        self.count += 1
        self.memory = None if self.memory is None else self.memory - (vm.memory or 0)
        self.cores = None if self.cores is None else self.cores - (vm.cores or 0)

    def lacks(self, vm: Vm) -> str:
        """What is missing for a VM, "" for nothing. What is not known is not missing."""
        for what, left, wanted in (("MiB", self.memory, vm.memory), ("cores", self.cores, vm.cores)):
            if left is not None and wanted is not None and wanted > left:
                return f"{self.node} has {max(0, left):g} {what} left"
        return ""

    def order(self) -> tuple[bool, float, int, str]:
        return (self.memory is None, -(self.memory or 0), self.count, self.node)


def _why(rooms: Sequence[_Room], vm: Vm) -> str:
    if not rooms:
        return "no other node can take VMs"
    wants = [f"{vm.memory:g} MiB"] if vm.memory is not None else []
    wants += [f"{vm.cores:g} cores"] if vm.cores is not None else []
    named = "; ".join(room.lacks(vm) for room in rooms[:3])
    return f"it needs {' and '.join(wants)}, but {named}{f' and {len(rooms) - 3} more' if len(rooms) > 3 else ''}"


async def migrate(clients: ClusterClients, vm: str, target: str, via: Iterable[str]) -> Answer:
    """Ask for a migration at the first of the `via` nodes that can be reached; see `migration` for its end.

    Raises:
        ServiceError: nobody took it; `uncertain` when it may go on all the same.
        ValueError: the id cannot be sent back as it came.
    """
    if not usable_id(vm):
        raise ValueError(f"the VM id {vm!r} cannot stand in a request")
    failure = ServiceError(REJECTED, target, SERVICE, "there is no node to ask for the migration")
    for node in via:
        try:
            path = f"/api/vms/{quote(vm, safe='')}/migrate"
            return await clients.call("POST", node, SERVICE, path, {"target_node": target}, limit=MIGRATE_LIMIT)
        except ServiceError as error:
            failure = error
            if error.uncertain or error.id == REJECTED:
                break
    raise failure


async def migration(clients: ClusterClients, vm: str, source: str, target: str) -> MigrationState:
    """How far a migration is, by the lists of source and target. Ask again while it runs. Raises nothing."""
    return judge_migration(await list_vms(clients, (target, source)), vm, source, target)


def judge_migration(told: VmList, vm: str, source: str, target: str) -> MigrationState:
    """How far a migration is by a list of VMs. Pure. Silence is never taken for success."""
    if not told.asked:
        return MigrationState(Migration.UNKNOWN, f"{vm}: nobody tells where it is")
    found = told.find(vm)
    if found is None:
        return MigrationState(Migration.UNKNOWN, f"{vm}: no node lists it")
    status = found.status.lower()
    places = told.places.get(vm, frozenset())
    if len(places) > 1:
        where = " and ".join(sorted(places))
        return MigrationState(Migration.RUNNING, f"{vm}: lists place it on {where}", found)
    if found.node == target and status not in _MOVING | _BROKEN and found.present:
        return MigrationState(Migration.DONE, f"{vm} runs on {target}", found)
    if not found.present or status in _BROKEN:
        why = f": {found.error}" if found.error else ""
        return MigrationState(
            Migration.FAILED, f"{vm} is {found.status} on {found.node or 'no known node'}{why}", found
        )
    if status in _MOVING or found.target:
        return MigrationState(Migration.RUNNING, f"{vm} is on its way from {source} to {target}", found)
    if found.error:
        return MigrationState(Migration.FAILED, f"{vm} stays on {found.node or source}: {found.error}", found)
    if found.node not in ("", source):
        return MigrationState(Migration.FAILED, f"{vm} runs on {found.node}, not on {target}", found)
    if not found.node:
        return MigrationState(Migration.UNKNOWN, f"{vm}: no list says where it runs", found)
    return MigrationState(Migration.RUNNING, f"{vm} still runs on {source}", found)
