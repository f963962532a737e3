"""The virtual machines of the simulated cluster: where they run, what they need, how they move and get lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from plasmatui.sim.clock import Clock

COPY_RATE = 2048.0
"""MiB of a guest's memory that a migration copies per machine second."""
SWITCH_OVER = 0.5
"""Machine seconds for the rest of a migration."""
SIZES = ((2048, 1), (4096, 2), (8192, 4))
"""Memory in MiB and cores of guests."""


class VmError(Exception):
    """An order that is not obeyed. `status` is HTTP's."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Vm:
    """A virtual machine.

    Attributes:
        node: where it runs, or ran.
        memory: MiB.
        status: running, migrating, or stopped for one that was lost.
        target: where it migrates to, "" when it does not.
        error: why its last migration failed.
    """

    id: str
    node: str
    memory: int
    cores: int
    status: str = "running"
    target: str = ""
    error: str = ""


@dataclass(frozen=True)
class LostVm:
    """A guest that was killed at `at` machine seconds."""

    id: str
    node: str
    at: float
    reason: str


@dataclass
class Hypervisor:
    """A node that can run guests.

    Attributes:
        memory: MiB for guests.
        active: its plasmavmc runs.
        fails: migrations to and from it fail.
        place, displace: start and end the unit of a guest, by its id.
    """

    memory: int
    cores: int
    active: Callable[[], bool]
    fails: Callable[[], bool]
    place: Callable[[str], None]
    displace: Callable[[str], None]


@dataclass
class Vms:
    """All guests.

    Attributes:
        lost: every guest that was killed.
        moves: every finished migration, as id, source and target.
    """

    clock: Clock
    hypervisors: dict[str, Hypervisor] = field(default_factory=dict)
    vms: dict[str, Vm] = field(default_factory=dict)
    lost: list[LostVm] = field(default_factory=list)
    moves: list[tuple[str, str, str]] = field(default_factory=list)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def create(self, node: str, numbers: random.Random) -> list[Vm]:
        """A few guests that ran on a node before anybody looked: one to three, small beside the node."""
        made = []
        for memory, cores in numbers.choices(SIZES, weights=(3, 2, 1), k=numbers.randint(1, 3)):
            vm = Vm(f"vm-{len(self.vms) + 1:03d}", node, memory, cores)
            self.vms[vm.id] = vm
            made.append(vm)
        return made

    def on(self, node: str) -> list[Vm]:
        """The guests that run on a node."""
        return [vm for vm in self.vms.values() if vm.node == node and vm.status != "stopped"]

    def free(self, node: str) -> tuple[int, int]:
        """Memory in MiB and cores that a node has left; guests on their way to it count."""
        hypervisor = self.hypervisors[node]
        there = [vm for vm in self.vms.values() if vm.status != "stopped" and node in (vm.node, vm.target)]
        return hypervisor.memory - sum(vm.memory for vm in there), hypervisor.cores - sum(vm.cores for vm in there)

    def kill(self, node: str, reason: str, only: str | None = None) -> None:
        """Guests of a node die, all of them or one."""
        for vm in self.on(node):
            if only in (None, vm.id):
                task = self._tasks.pop(vm.id, None)
                if task is not None:
                    task.cancel()
                vm.status, vm.target = "stopped", ""
                self.lost.append(LostVm(vm.id, node, self.clock.now(), reason))
                self.hypervisors[node].displace(vm.id)

    def migrate(self, vm_id: str, target: str) -> Vm:
        """Begin to move a guest; it takes time.

        Raises:
            VmError: it cannot be moved there.
        """
        vm = self.vms.get(vm_id)
        if vm is None:
            raise VmError(404, f"no VM {vm_id}")
        if vm.status != "running":
            raise VmError(409, f"{vm_id} is {vm.status}")
        if target == vm.node:
            raise VmError(409, f"{vm_id} runs on {target} already")
        hypervisor = self.hypervisors.get(target)
        if hypervisor is None:
            raise VmError(404, f"no node {target}")
        if not hypervisor.active():
            raise VmError(409, f"plasmavmc does not run on {target}")
        memory, cores = self.free(target)
        if vm.memory > memory:
            raise VmError(409, f"not enough memory on {target}: {memory} MiB free, {vm.memory} needed")
        if vm.cores > cores:
            raise VmError(409, f"not enough cores on {target}: {cores} free, {vm.cores} needed")
        vm.status, vm.target, vm.error = "migrating", target, ""
        self._tasks[vm_id] = asyncio.create_task(self._move(vm), name=f"sim-migrate-{vm_id}")
        return vm

    async def _move(self, vm: Vm) -> None:
        source, target = vm.node, vm.target
        await self.clock.sleep(vm.memory / COPY_RATE + SWITCH_OVER)
        del self._tasks[vm.id]
        vm.status, vm.target = "running", ""
        ends = self.hypervisors[source], self.hypervisors[target]
        if not ends[1].active():
            vm.error = f"migration to {target} failed: connection to {target} lost"
        elif any(end.fails() for end in ends):
            vm.error = f"migration to {target} failed: guest memory did not converge"
        else:
            vm.node = target
            ends[1].place(vm.id)
            ends[0].displace(vm.id)
            self.moves.append((vm.id, source, target))

    async def stop(self) -> None:
        """End migrations that are under way."""
        tasks = tuple(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
