"""What a simulated machine has on its disks, and the operating system that runs on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

from plasmatui.sim import boottext
from plasmatui.sim.boot import Boot
from plasmatui.sim.clock import Clock
from plasmatui.sim.disk import Disk, make_disks, mount, name_disks
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.filetree import FileTree
from plasmatui.sim.host import HOST_KEY, Host
from plasmatui.sim.identity import Identity
from plasmatui.sim.system import BASE_UNITS, InstalledSystem, past_builds


class Hosting(ABC):
    """The part of a machine that software sees.

    Attributes:
        disks: the first is the one that the inventory names.
        host: the operating system that runs, from the kernel's start to its end.
        address: loopback address of its own, where it listens when its system is up.
        furnish: puts files on a disk that was installed before the rack was switched on.
    """

    def __init__(self, identity: Identity, clock: Clock, faults: NodeFaults, profile: str) -> None:
        self.identity = identity
        self.clock = clock
        self.faults = faults
        self.profile = profile
        self.disks: list[Disk] = make_disks(identity)
        self.host: Host | None = None
        self.address = "127.0.0.1"
        self.furnish: Callable[[FileTree], None] | None = None
        self._host_listeners: list[Callable[[Host | None], None]] = []

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def system(self) -> InstalledSystem | None:
        """The installed system that runs and answers; None in the installer, while booting, and when it is off."""
        return self.host.system if self.host is not None and self.host.up else None

    @property
    def system_disk(self) -> Disk | None:
        """The disk that firmware boots from: the first with a system on it."""
        return next((disk for disk in self.disks if disk.system is not None), None)

    @property
    def installed(self) -> bool:
        """There is a system on a disk; without one the machine boots from the network unless told otherwise."""
        return self.system_disk is not None

    @installed.setter
    def installed(self, wanted: bool) -> None:
        """Install the rack's own system at once, or blank the disks that have one."""
        if wanted and not self.installed:
            builds = past_builds(self.name, boottext.services(self.profile))
            self.disks[0].lay_out()
            self.disks[0].system = InstalledSystem.with_history(builds, self.clock.wall, self.furnish)
        elif not wanted:
            for disk in self.disks:
                if disk.system is not None:
                    disk.partitions.clear()
                    disk.system = None

    def on_host(self, callback: Callable[[Host | None], None]) -> None:
        """Call `callback` when an operating system is up, before its services start, and with None when it ends.

        At once for one that is up already.
        """
        self._host_listeners.append(callback)
        if self.host is not None and self.host.up:
            callback(self.host)

    def on_system(self, callback: Callable[[InstalledSystem | None], None]) -> None:
        """As `on_host`, with the installed system; None when it ends, and in the installer."""
        self.on_host(lambda host: callback(host.system if host is not None else None))

    def with_host(self, boot: Boot, system: InstalledSystem | None, number: int, *, key: bytes | None = None) -> Boot:
        """The boot with the operating system that it starts.

        Args:
            key: the SSH host key that it gets from the system before.
        """
        self.end_host()
        name_disks(self.disks, swapped=system is None and "disk-order-differs" in self.faults)
        self.host = Host(self.identity, self.clock, self.faults, self.disks, system, self.leave,
                         number=number)  # fmt: skip
        if key is not None:
            self.host.files.put(HOST_KEY, key, 0o600)
        mount(self.disks, system)
        if system is not None:
            number = system.next_boot()
            unbootable = int(self.faults.number("generation-unbootable")) or max(system.generations)
            self.host.broken = "generation-unbootable" in self.faults and number == unbootable
            system.boot(number, self.host.boot_id)
            if "first-boot-timeout" in self.faults and system.boots == 1 and system.booted is not None:
                for service in system.booted.services:
                    system.units[service].stuck = True
        return replace(boot, host=self.host, reached=self.reached)

    def reached(self, unit: str) -> None:
        """The system started a unit. With sshd it answers, and those who wait for it are told."""
        host = self.host
        if host is None:
            return
        if unit == "sshd.service":
            host.up = True
            for listener in tuple(self._host_listeners):
                listener(host)
            for name, _ in BASE_UNITS:
                host.units.start(name)
        elif unit in host.units:
            host.units.start(unit)

    def end_host(self) -> None:
        """What runs ends, orderly or not."""
        host, self.host = self.host, None
        if host is not None:
            host.down()
            for listener in tuple(self._host_listeners):
                listener(None)

    @abstractmethod
    def leave(self, how: str) -> None:
        """What the system does to the machine: reboot, poweroff, kexec; or power-lost, which is done to both."""
