"""One boot of one machine: who boots, from what, and what it meets on the network."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from plasmatui.model.bmc import Device
from plasmatui.sim.bootfiles import BIOS_LOADER, UEFI_LOADER
from plasmatui.sim.dhcplogs import Query
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.identity import Identity
from plasmatui.sim.services import BootServices
from plasmatui.sim.steps import KERNEL

if TYPE_CHECKING:
    from plasmatui.sim.host import Host


def _nobody_listens(_unit: str) -> None:
    pass


@dataclass(frozen=True)
class Boot:
    """One boot.

    Attributes:
        device: what the firmware boots from: pxe, disk or bios.
        profile: of the inventory; part of kernel paths and command line.
        numbers: jitter.
        services: the boot server on the provisioning network.
        faults: asked at the moment where they act.
        host: the operating system that is started; None before it is known which.
        reached: called with the name of each unit that the operating system has started.
    """

    identity: Identity
    device: Device
    profile: str
    numbers: random.Random
    services: BootServices
    faults: NodeFaults
    host: Host | None = None
    reached: Callable[[str], None] = _nobody_listens

    def around(self, seconds: float) -> float:
        return seconds * self.numbers.uniform(0.85, 1.2)

    @property
    def mac(self) -> str:
        """Of the network card that boots: another one than the inventory names with the fault `unknown-mac`."""
        return self.identity.stranger_mac if "unknown-mac" in self.faults else self.identity.macs[0]

    @property
    def address(self) -> IPv4Address:
        return self.identity.provisioning

    @property
    def loader(self) -> tuple[str, int]:
        """Name and size of the file that DHCP names to the firmware."""
        wrong = "wrong-arch-loader" in self.faults
        return UEFI_LOADER if self.identity.uefi is not wrong else BIOS_LOADER

    def loader_query(self) -> Query:
        """The firmware's DHCP transaction."""
        name = self.loader[0]
        known = "no-boot-filename" not in self.faults
        arch = "00007:UNDI:003000" if self.identity.uefi else "00000:UNDI:002001"
        kind = "efi64" if name == UEFI_LOADER[0] else "bios"
        return self._query(f"PXEClient:Arch:{arch}", kind if known else "", name if known else "", identified=False)

    def ipxe_query(self) -> Query:
        """iPXE's. With the fault `ipxe-loop` the server does not see that it is iPXE and names the loader again."""
        arch = "00007:UNDI:003010" if self.identity.uefi else "00000:UNDI:002001"
        vendor = f"PXEClient:Arch:{arch}"
        if "ipxe-loop" in self.faults:
            kind = "efi64" if self.identity.uefi else "bios"
            return self._query(vendor, kind, self.loader[0], identified=True, ipxe=True)
        return self._query(vendor, "ipxe", self.script_url, identified=True, ipxe=True)

    def system_query(self) -> Query:
        """The installer's."""
        return self._query(f"dhcpcd-10.1.0:Linux-{KERNEL}:x86_64:GenuineIntel", "", "", identified=True)

    def _query(self, vendor: str, kind: str, filename: str, *, identified: bool, ipxe: bool = False) -> Query:
        xid = self.numbers.getrandbits(32)
        return Query(self.mac, str(self.address), vendor, kind, filename, xid, identified, ipxe)

    @property
    def script_url(self) -> str:
        """What DHCP tells iPXE to fetch."""
        url = self.services.script_url
        return url.replace("http://", "https://", 1) if "ipxe-unsupported" in self.faults else url

    def happens(self, event: Callable[..., None], *details: object) -> Callable[[], None]:
        """An event of a step, with its details."""
        return partial(event, *details)
