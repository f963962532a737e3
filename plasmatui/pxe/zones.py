"""DNS zones of the nodes, forward and reverse, for BIND and what reads its files (RFC 1035 section 5)."""

from __future__ import annotations

import zlib
from collections import defaultdict
from ipaddress import IPv4Address

from plasmatui.inventory.inventory import Inventory
from plasmatui.pxe.quoting import NAMED, ZONE, Quoted, fill, header
from plasmatui.pxe.site import Site

DIRECTORY = "/etc/bind/zones"
SERVER_NAME = "pxe"
"""The PXE server's own name in the zone."""

Record = tuple[str, str, str]
"""Name, type, value."""


def zones(inventory: Inventory, site: Site) -> dict[str, str]:
    """Zone files by zone name; none without a domain.

    An installed node has the name, its production address; one without has its provisioning address.
    """
    if not site.domain:
        return {}
    hosts: list[tuple[str, IPv4Address]] = [(SERVER_NAME, site.server)]
    for node in inventory.nodes.values():
        address = node.production_ip or node.provisioning_ip
        if address and node.name.lower() != SERVER_NAME:
            hosts.append((node.name, IPv4Address(address)))
    forward = [(name, "A", str(address)) for name, address in hosts]
    reverse: dict[str, list[Record]] = defaultdict(list)
    for name, number in sorted(hosts, key=lambda host: host[1]):
        zone, label = _reverse(number)
        reverse[zone].append((label, "PTR", f"{name}.{site.domain}."))
    return {
        site.domain: _zone(site, site.domain, forward),
        **{zone: _zone(site, zone, records) for zone, records in sorted(reverse.items())},
    }


def named_conf(site: Site, names: tuple[str, ...]) -> str:
    """The stanzas that make BIND serve the zones; to be included from `named.conf.local`."""
    stanzas = "".join(
        f"zone {NAMED.quote(name)} {{ type master; file {NAMED.quote(f'{DIRECTORY}/db.{name}')}; }};\n"
        for name in names
    )
    return header(NAMED, site.source, "cluster.domain and nodes") + stanzas


def _reverse(address: IPv4Address) -> tuple[str, str]:
    """The zone of the address's /24, and its label there."""
    first, second, third, last = str(address).split(".")
    return f"{third}.{second}.{first}.in-addr.arpa", last


def _zone(site: Site, zone: str, records: list[Record]) -> str:
    """The serial follows from the content, so that it changes whenever the content does, and only then."""
    content = "\n".join(" ".join(record) for record in records)
    return fill(
        ZONE,
        "zone.j2",
        header=header(ZONE, site.source, "cluster.domain and nodes"),
        serial=zlib.crc32(f"{zone}\n{site.server}\n{content}".encode()) or 1,
        server=Quoted(f"{SERVER_NAME}.{ZONE.quote(site.domain)}."),
        contact=Quoted(f"hostmaster.{ZONE.quote(site.domain)}."),
        records=records,
    )
