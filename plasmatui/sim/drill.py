"""Fire drills: something breaks in the rack, and a person has to find where and what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from plasmatui.model.bmc import Device
from plasmatui.model.words import PowerAction
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.faults import UEFI_ONLY
from plasmatui.sim.machine import Phase
from plasmatui.sim.rack import Rack

BOOT_FAULTS = (
    "no-dhcp-answer", "no-boot-filename", "wrong-arch-loader", "pool-exhausted", "rogue-dhcp", "tftp-unreachable",
    "tftp-file-missing", "http-unreachable", "boot-script-missing", "boot-script-error", "ipxe-loop",
    "ipxe-unsupported", "kernel-missing", "kernel-not-executable", "initrd-missing", "initrd-truncated",
    "kernel-panic", "kernel-panic-rootfs", "out-of-memory", "emergency-shell", "secure-boot-refused",
    "installer-no-network",
)  # fmt: skip
"""Of a machine that boots from the network; each has the name of its finding."""

RUNNING_FAULTS = {
    "bmc-dead": "bmc-unreachable",
    "sol-held": "sol-in-use",
    "service-silent": "service-silent",
    "service-degraded": "service-unhealthy",
    "clock-skew": "clock-skew",
}
"""Of a machine that runs, with their findings."""

BOOTING = 3
"""Machines that are switched on together; one of them does not arrive."""


@dataclass(frozen=True)
class Drill:
    """What is to be found: `finding` on `node`, among `nodes`, which are all that did something."""

    node: str
    fault: str
    finding: str
    nodes: tuple[str, ...]

    @property
    def boots(self) -> bool:
        return self.fault in BOOT_FAULTS

    def hints(self) -> Iterator[str]:
        """From the weakest to the strongest."""
        what = "power, stage and the boot's timeline" if self.boots else "what BMC, console and services say"
        yield f"look at {what} of {', '.join(self.nodes)}"
        yield f"it is {self.node}"
        yield (
            f"`plasmatui timeline {self.node}`" if self.boots else f"`plasmatui nodes {self.node}` and the Health view"
        )


@dataclass
class Score:
    """How a drill goes."""

    wrong: list[str] = field(default_factory=list)
    hints: int = 0

    def judge(self, drill: Drill, answer: str) -> str:
        """What is not right in an answer of node and finding, in either order; "" when all of it is."""
        words = set(answer.split())
        if words == {drill.node, drill.finding}:
            return ""
        self.wrong.append(" ".join(answer.split()))
        if drill.node in words:
            return f"{drill.node} it is, but that is not its trouble"
        if drill.finding in words:
            return f"{drill.finding} it is, but on another node"
        return "neither the node nor the finding is right"


def choose(rack: Rack, random: Random) -> Drill | None:
    """A drill that the machines of this rack can have now; None when all of them are busy or broken."""
    free = {name: machine for name, machine in rack.machines.items() if not machine.faults.names()}
    off = [name for name, machine in free.items() if machine.phase is Phase.OFF]
    running = [name for name, machine in free.items() if machine.installed and machine.powered]
    faults: list[str] = [*BOOT_FAULTS] if off else []
    if running:
        faults += RUNNING_FAULTS
    if not faults:
        return None
    fault = random.choice(faults)
    if fault in RUNNING_FAULTS:
        return Drill(random.choice(running), fault, RUNNING_FAULTS[fault], tuple(running))
    nodes = random.sample(off, min(BOOTING, len(off)))
    able = [name for name in nodes if fault not in UEFI_ONLY or free[name].identity.uefi]
    if not able:
        return choose(rack, random)
    return Drill(random.choice(able), fault, fault, tuple(sorted(nodes)))


async def begin(rack: Rack, drill: Drill) -> None:
    """Break it, and switch on the machines that boot."""
    await rack.set_fault(drill.node, drill.fault)
    if drill.boots:
        for name in drill.nodes:
            machine = rack.machines[name]
            machine.flags = BootFlags.of(Device.PXE, efi=machine.identity.uefi)
            machine.order(PowerAction.ON)


async def finish(rack: Rack, drill: Drill) -> None:
    """Mend it, and switch off what was switched on for it."""
    await rack.clear_faults(drill.node)
    if drill.boots:
        for name in drill.nodes:
            rack.machines[name].order(PowerAction.OFF)
