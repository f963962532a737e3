"""What the PXE server lets in: a ruleset for nftables and one for iptables, of which one is used.

DHCP requests come to UDP 67, with proxyDHCP also to 4011 (PXE 2.1, section 2.2.3); TFTP answers from another port than
69; port 68 is the client's and need not be open on a server.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from plasmatui.pxe.quoting import IPTABLES, NFT, fill, header
from plasmatui.pxe.site import TFTP_PORTS, Site
from plasmatui.pxe.squid import ACCELERATOR, PROXY


@dataclass(frozen=True)
class Openings:
    """Attributes: machines: networks that machines boot in. nodes: those, and where installed nodes and people are."""

    broadcast: tuple[int, ...]
    machines: tuple[IPv4Network, ...]
    udp: tuple[int, ...]
    tftp_range: tuple[int, int] | None
    nodes: tuple[IPv4Network, ...]
    tcp: tuple[int, ...]


def openings(site: Site) -> Openings:
    """The ports of the server's services."""
    proxy = site.dhcp == "dnsmasq-proxy"
    return Openings(
        broadcast=(67, 4011) if proxy else (67,),
        machines=tuple(subnet.network for subnet in site.subnets),
        udp=(67, 69, 4011) if proxy else (67, 69),
        tftp_range=None if site.tftp == "atftpd" else TFTP_PORTS,
        nodes=site.ssh_from,
        tcp=tuple(sorted({site.http_port, PROXY, ACCELERATOR})),
    )


def nftables(site: Site) -> str:
    """A table of its own, which can be loaded again and again and leaves other tables alone."""
    return fill(NFT, "pxe.nft.j2", header=header(NFT, site.source, "pxe and networks"), site=site, open=openings(site))


def iptables(site: Site) -> str:
    """Rules for `iptables-restore`, as netfilter-persistent loads them."""
    marked = header(IPTABLES, site.source, "pxe and networks")
    return fill(IPTABLES, "rules.v4.j2", header=marked, site=site, open=openings(site))
