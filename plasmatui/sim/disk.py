"""The disks of a simulated machine and what lies on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plasmatui.sim.identity import Identity

if TYPE_CHECKING:
    from plasmatui.sim.system import InstalledSystem

GIB = 1 << 30
BOOT_SIZE = GIB


@dataclass
class Partition:
    """A partition. `label` is the GPT's name for it, `mountpoint` where it is mounted now ("" nowhere)."""

    number: int
    label: str
    filesystem: str
    size: int
    mountpoint: str = ""


@dataclass
class Disk:
    """A disk.

    Attributes:
        by_id: its lasting name, `/dev/disk/by-id/...`.
        kernel: what this boot's kernel calls it, `nvme0n1`.
        size: bytes.
        partitions: empty for a blank disk.
        system: what is installed on it.
        wipes: how often it was wiped.
    """

    by_id: str
    kernel: str
    model: str
    serial: str
    size: int
    transport: str
    partitions: list[Partition] = field(default_factory=list)
    system: InstalledSystem | None = None
    wipes: int = 0

    @property
    def path(self) -> str:
        return f"/dev/{self.kernel}"

    @property
    def contents(self) -> str:
        """In a word: `empty`, `data` or `system`."""
        if self.system is not None:
            return "system"
        return "data" if self.partitions else "empty"

    def partition_path(self, partition: Partition) -> str:
        return f"{self.path}{'p' if self.kernel[-1].isdigit() else ''}{partition.number}"

    def wipe(self) -> None:
        """Lose everything."""
        self.partitions.clear()
        self.system = None
        self.wipes += 1

    def lay_out(self, name: str = "main") -> None:
        """What the flake's disko configuration makes of a disk: a boot partition and one for the root.

        Args:
            name: of the disk in that configuration.
        """
        self.partitions = [
            Partition(1, f"disk-{name}-ESP", "vfat", BOOT_SIZE),
            Partition(2, f"disk-{name}-root", "ext4", self.size - BOOT_SIZE - (2 << 20)),
        ]


def make_disks(identity: Identity) -> list[Disk]:
    """The machine's disks: the one that the inventory names, blank, and one that holds somebody's data."""
    numbers = identity.random("disks")
    hardware = identity.hardware
    names = ("nvme0n1", "nvme1n1") if identity.uefi else ("sda", "sdb")
    transport = "nvme" if identity.uefi else "sata"
    serial = identity.disk.rpartition("_")[2]
    main = Disk(identity.disk, names[0], hardware.disk, serial, 1_920_383_410_176, transport)
    model = "WDC_WUS4BB096D7P3E3" if identity.uefi else "TOSHIBA_MG08ACA16TE"
    other = f"A0{numbers.randrange(36**6):08X}"
    bus = "nvme" if identity.uefi else "ata"
    data = Disk(f"/dev/disk/by-id/{bus}-{model}_{other}", names[1], model, other, 960_197_124_096, transport)
    data.partitions = [Partition(1, "data", "xfs", data.size - (2 << 20))]
    return [main, data]


def name_disks(disks: list[Disk], *, swapped: bool) -> None:
    """Give the disks the names of a kernel that finds them in order, or in the opposite one."""
    names = sorted(disk.kernel for disk in disks)
    for disk, name in zip(disks, reversed(names) if swapped else names, strict=True):
        disk.kernel = name


def mount(disks: list[Disk], system: InstalledSystem | None) -> None:
    """Mount what a system mounts when it starts: its own two partitions, nothing in an installer."""
    for disk in disks:
        own = system is not None and disk.system is system
        for partition in disk.partitions:
            partition.mountpoint = {"vfat": "/boot", "ext4": "/"}.get(partition.filesystem, "") if own else ""
