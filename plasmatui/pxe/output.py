"""Which files a site has, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from plasmatui.inventory.inventory import Inventory
from plasmatui.pxe import (
    dhcpd,
    dnsmasq,
    firewall,
    firstboot,
    ipxe,
    kea,
    nginx,
    nixserver,
    nodeconfigs,
    squid,
    tftp,
    zones,
)
from plasmatui.pxe.netboot import Netboot
from plasmatui.pxe.site import SCRIPT, Site

SERVER = "server"
"""Place of files whose path below it is their path on the PXE server."""


@dataclass(frozen=True)
class File:
    """A rendered file.

    Attributes:
        name: of the output it belongs to, as `--only` takes it.
        place: first directory: `server`, or what stands for itself.
        path: below the place.
    """

    name: str
    place: str
    path: str
    text: str

    @property
    def relative(self) -> str:
        return f"{self.place}/{self.path}"


@dataclass(frozen=True)
class Request:
    """What is to be rendered.

    Attributes:
        images: by profile, where a `netboot.ipxe` was given.
        pending: machines that are to be installed.
    """

    inventory: Inventory
    site: Site
    images: Mapping[str, Netboot] = field(default_factory=dict)
    pending: Collection[str] = ()


Files = list[tuple[str, str, str]]
"""Place, path and text."""


def _kea(request: Request) -> Files:
    return [(SERVER, "etc/kea/kea-dhcp4.conf", kea.kea(request.site))]


def _dhcpd(request: Request) -> Files:
    return [
        (SERVER, "etc/dhcp/dhcpd.conf", dhcpd.dhcpd(request.site)),
        (SERVER, "etc/default/isc-dhcp-server", dhcpd.defaults(request.site)),
    ]


def _dnsmasq(request: Request) -> Files:
    return [
        (SERVER, "etc/dnsmasq.d/pxe.conf", dnsmasq.dnsmasq(request.site)),
        (SERVER, dnsmasq.HOSTS.lstrip("/"), dnsmasq.hosts(request.site)),
    ]


def _dnsmasq_proxy(request: Request) -> Files:
    return [(SERVER, "etc/dnsmasq.d/pxe.conf", dnsmasq.dnsmasq_proxy(request.site))]


def _tftp(request: Request) -> Files:
    if request.site.tftp == "dnsmasq":
        beside = not request.site.dhcp.startswith("dnsmasq")
        return [(SERVER, "etc/dnsmasq.d/pxe.conf", dnsmasq.dnsmasq_tftp(request.site))] if beside else []
    return [
        (SERVER, f"etc/default/{request.site.tftp}", tftp.defaults(request.site)),
        (SERVER, "etc/systemd/system/pxe-tftp.service", tftp.unit(request.site)),
    ]


def _nginx(request: Request) -> Files:
    return [(SERVER, "etc/nginx/sites-available/pxe", nginx.nginx(request.site))]


def _ipxe(request: Request) -> Files:
    site, root = request.site, request.site.http_root.lstrip("/")
    return [
        (SERVER, f"{root}/{SCRIPT}", ipxe.boot_script(site, request.images, request.pending)),
        (SERVER, f"{root}/ipxe/mac-mappings.txt", ipxe.mac_mappings(site)),
    ]


def _dns(request: Request) -> Files:
    found = zones.zones(request.inventory, request.site)
    directory = zones.DIRECTORY.lstrip("/")
    files = [(SERVER, f"{directory}/db.{name}", text) for name, text in found.items()]
    return [*files, (SERVER, "etc/bind/named.conf.pxe", zones.named_conf(request.site, tuple(found)))] if found else []


def _firewall(request: Request) -> Files:
    return [
        (SERVER, "etc/nftables.d/pxe.nft", firewall.nftables(request.site)),
        (SERVER, "etc/iptables/rules.v4", firewall.iptables(request.site)),
    ]


def _squid(request: Request) -> Files:
    return [(SERVER, "etc/squid/squid.conf", squid.squid(request.site))]


def _nixos(request: Request) -> Files:
    return [("nixos", "pxe-server.nix", nixserver.module(request.site))]


def _flake(request: Request) -> Files:
    return [("flake", path, text) for path, text in nodeconfigs.flake(request.inventory, request.site).items()]


def _secrets(request: Request) -> Files:
    """What an installation takes along beside certificates and keys, in the form of the inventory's `secrets`."""
    found = {node.name: firstboot.cluster_config(request.inventory, node) for node in request.inventory.nodes.values()}
    return [("secrets", f"{name}/cluster-config.json", text) for name, text in found.items() if text]


DHCP: dict[str, Callable[[Request], Files]] = {
    "kea": _kea,
    "dhcpd": _dhcpd,
    "dnsmasq": _dnsmasq,
    "dnsmasq-proxy": _dnsmasq_proxy,
}
OUTPUTS: dict[str, Callable[[Request], Files]] = {
    "dhcp": lambda request: DHCP[request.site.dhcp](request),
    "tftp": _tftp,
    "nginx": _nginx,
    "ipxe": _ipxe,
    "dns": _dns,
    "firewall": _firewall,
    "squid": _squid,
    "nixos": _nixos,
    "flake": _flake,
    "first-boot": _secrets,
}


def render(request: Request, only: Collection[str] = ()) -> tuple[File, ...]:
    """Render every output, or those named. The same request gives the same bytes.

    Raises:
        RefusedError: a text of the inventory cannot be written in a file's language.
    """
    return tuple(
        File(name, place, path, text)
        for name, output in OUTPUTS.items()
        if not only or name in only
        for place, path, text in output(request)
    )
