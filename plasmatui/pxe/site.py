"""The one structure that every rendered file is derived from. No file repeats a literal of another."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from plasmatui.inventory.inventory import Inventory, Network
from plasmatui.pxe.arch import ARCHITECTURES, Architecture

HTTP_PREFIX = "/boot/"
"""URL path of the HTTP root."""

SCRIPT = "ipxe/boot.ipxe"
IMAGES = "nixos"
"""Below the HTTP root: the boot script, and one directory per profile with `bzImage`, `initrd`, `netboot.ipxe`."""

TFTP_PORTS = (31000, 31999)
"""UDP ports that a TFTP server answers from, where it can be told; a firewall must let them through."""


class SiteError(ValueError):
    """The inventory does not say enough to render from it; the message names the key."""


@dataclass(frozen=True)
class Loader:
    """A boot file: its name below the TFTP root, and below `ipxe/` of the HTTP root for UEFI HTTP boot."""

    architecture: Architecture
    file: str


@dataclass(frozen=True)
class Lease:
    """Seconds. A client may ask for more than `default`, up to `longest`."""

    default: int

    @property
    def renew(self) -> int:
        return self.default // 2

    @property
    def rebind(self) -> int:
        return self.default * 7 // 8

    @property
    def longest(self) -> int:
        return self.default * 2


@dataclass(frozen=True)
class Machine:
    """A machine of the inventory as the PXE side knows it; `address` is its reservation."""

    name: str
    profile: str
    macs: tuple[str, ...]
    address: IPv4Address | None


@dataclass(frozen=True)
class Subnet:
    """A network in which machines boot. `number` is stable: its place in the inventory's list."""

    number: int
    name: str
    network: IPv4Network
    gateway: IPv4Address | None
    dns: tuple[IPv4Address, ...]
    pool: tuple[IPv4Address, IPv4Address] | None
    machines: tuple[Machine, ...]

    @property
    def reserved(self) -> tuple[Machine, ...]:
        """Those that a reservation can be made for."""
        return tuple(machine for machine in self.machines if machine.macs)


@dataclass(frozen=True)
class Site:
    """A PXE server and the machines that boot from it.

    Attributes:
        source: name of the inventory's file, for the headers of what is rendered.
        subnets: the server's own first, then those behind relays.
        machines: all, with or without reservation.
        kea_log: file that Kea logs to; empty for standard output, which is the journal.
        boot_service: `HOST:PORT`, empty for none.
        ssh_from: networks from which people log in on the server; empty for anywhere.
    """

    source: str
    cluster: str
    domain: str
    server: IPv4Address
    interface: str
    http_port: int
    http_root: str
    dhcp: str
    tftp: str
    tftp_root: str
    loaders: tuple[Loader, ...]
    subnets: tuple[Subnet, ...]
    machines: tuple[Machine, ...]
    profiles: tuple[str, ...]
    lease: Lease
    menu_timeout: int
    kea_log: str = ""
    boot_service: str = ""
    ssh_from: tuple[IPv4Network, ...] = ()

    @property
    def base_url(self) -> str:
        """URL of the HTTP root, without a slash at the end."""
        port = "" if self.http_port == 80 else f":{self.http_port}"
        return f"http://{self.server}{port}{HTTP_PREFIX.rstrip('/')}"

    @property
    def script_url(self) -> str:
        return f"{self.base_url}/{SCRIPT}"

    def loader_url(self, loader: Loader) -> str:
        """Where UEFI HTTP boot finds a boot file."""
        return f"{self.base_url}/ipxe/{loader.file}"


def make_site(inventory: Inventory) -> Site:
    """What the inventory says about the PXE side.

    Raises:
        SiteError: it names no server, no interface, or no network `provisioning`.
    """
    pxe = inventory.pxe
    if pxe.server is None:
        raise SiteError("pxe.server: the PXE server's address is not given, expected server: ADDRESS")
    if not pxe.interface:
        raise SiteError("pxe.interface: the interface that DHCP listens on is not given, expected interface: NAME")
    if "provisioning" not in inventory.networks:
        raise SiteError("networks.provisioning: the network in which machines boot is not given")
    machines = tuple(
        Machine(node.name, node.profile, node.macs, IPv4Address(node.provisioning_ip) if node.provisioning_ip else None)
        for node in inventory.nodes.values()
    )
    named = ("provisioning", *(name for name in pxe.relayed if name in inventory.networks and name != "provisioning"))
    used = {machine.profile for machine in machines}
    return Site(
        source=inventory.path.name,
        cluster=inventory.cluster,
        domain=inventory.domain,
        server=pxe.server,
        interface=pxe.interface,
        http_port=pxe.http_port,
        http_root=pxe.assets.rstrip("/"),
        dhcp=pxe.dhcp,
        tftp=pxe.tftp.engine,
        tftp_root=pxe.tftp.root.rstrip("/"),
        loaders=tuple(Loader(each, pxe.loaders[each.name]) for each in ARCHITECTURES if each.name in pxe.loaders),
        subnets=tuple(_subnet(n, inventory.networks[name], machines) for n, name in enumerate(named, 1)),
        machines=machines,
        profiles=tuple(profile for profile in inventory.profiles if profile in used) or tuple(inventory.profiles),
        lease=Lease(pxe.lease),
        menu_timeout=pxe.menu_timeout,
        kea_log=next((log.file for log in inventory.logs if log.format == "kea" and log.file), ""),
        boot_service=pxe.boot_service,
        ssh_from=tuple(network.cidr for network in inventory.networks.values()),
    )


def _subnet(number: int, network: Network, machines: tuple[Machine, ...]) -> Subnet:
    inside = tuple(each for each in machines if each.address is not None and each.address in network.cidr)
    return Subnet(number, network.name, network.cidr, network.gateway, network.dns, network.pool, inside)
