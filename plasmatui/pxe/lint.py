"""What would make a PXE server fail though every syntax checker is content, each at its place in the inventory.

The checks of a plain inventory (duplicate MAC or address, address outside its network, reservation inside the pool) are
in `inventory.checks`; these are about what is rendered from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

from plasmatui.inventory.checks import Check, place_of
from plasmatui.inventory.fields import Problems
from plasmatui.inventory.inventory import Inventory, Network
from plasmatui.inventory.nodes import Places
from plasmatui.inventory.ranges import fold
from plasmatui.pxe.dnsmasq import misread
from plasmatui.pxe.firstboot import bootstrap_voters
from plasmatui.pxe.layouts import layout_of, misfit
from plasmatui.pxe.site import Site, SiteError, make_site
from plasmatui.pxe.zones import SERVER_NAME

LONGEST_FILE = 127
"""Bytes of a boot file's name in a DHCP answer's fixed field (RFC 2131 section 2)."""

SYSTEM_PORTS = {
    22: "SSH",
    53: "DNS",
    67: "DHCP",
    69: "TFTP",
    3128: "the Squid cache",
    3129: "the Squid cache",
    4011: "proxyDHCP",
}


def lint(inventory: Inventory, places: Places, problems: Problems) -> Site | None:
    """Add what is wrong to `problems`; the site, or None when the inventory does not say enough for one."""
    try:
        site = make_site(inventory)
    except SiteError as error:
        problems.error(places.get(("pxe",), (1, 1)), str(error))
        return None
    pool_networks = [inventory.networks[subnet.name] for subnet in site.subnets]
    for network in pool_networks:
        _pool(inventory, network, places, problems)
    if site.dhcp != "dnsmasq-proxy":  # which leaves addresses to another server
        _without_pool(pool_networks, places, problems)
        _free_addresses(inventory, site, places, problems)
    _relayed(inventory, places, problems)
    _reservations(inventory, site, places, problems)
    _nodes(inventory, places, problems)
    _names(inventory, site, places, problems)
    _paths(inventory, places, problems)
    _ports(inventory, site, places, problems)
    return site


def _renderable(inventory: Inventory, places: Places, problems: Problems) -> None:
    """What keeps the PXE side from being rendered; a warning, since the inventory can be used for everything else."""
    if inventory.pxe.server is None:
        return
    found = Problems(problems.file)
    lint(inventory, places, found)
    for each in found.diagnostics("error"):
        problems.warning((each.place.line, each.place.column), f"render: {each.message}")


RENDERABLE = Check("pxe", "the PXE side can be rendered", _renderable)


def _fixed(inventory: Inventory) -> Iterator[tuple[str, IPv4Address]]:
    """Addresses that belong to something, by what it is."""
    for network in inventory.networks.values():
        for address in network.dns:
            yield f"the name server of {network.name}", address
        if network.gateway is not None:
            yield f"the gateway of {network.name}", network.gateway
    for name, bmc in inventory.bmcs.items():
        if bmc.address.replace(".", "").isdigit():
            yield f"the BMC of {name}", IPv4Address(bmc.address)
    for name, node in inventory.nodes.items():
        if node.production_ip:
            yield f"{name}.production_ip", IPv4Address(node.production_ip)


def _pool(inventory: Inventory, network: Network, places: Places, problems: Problems) -> None:
    label, cidr = f"networks.{network.name}", network.cidr
    if cidr.prefixlen > 30:
        problems.error(place_of(places, "networks", network.name, "cidr"), f"{label}: {cidr} has no room for machines")
    for address in network.dns:
        if address in cidr and address in (cidr.network_address, cidr.broadcast_address):
            at = place_of(places, "networks", network.name, "dns")
            problems.error(at, f"{label}: the name server {address} is the first or last address of {cidr}")
    if network.pool is None:
        return
    low, high = network.pool
    at = place_of(places, "networks", network.name, "pool")
    if cidr.network_address in (low, high) or cidr.broadcast_address in (low, high):
        problems.error(at, f"{label}: the pool {low}-{high} contains the first or last address of {cidr}")
    for what, address in _fixed(inventory):
        if low <= address <= high and not what.startswith("the gateway"):
            problems.error(at, f"{label}: the pool {low}-{high} contains {address}, {what}")


def _without_pool(networks: list[Network], places: Places, problems: Problems) -> None:
    for network in networks:
        if network.pool is None:
            problems.warning(
                place_of(places, "networks", network.name),
                f"networks.{network.name}: found no pool: only machines with a reservation get an address, "
                "unknown ones are not seen",
            )


def _relayed(inventory: Inventory, places: Places, problems: Problems) -> None:
    for name in inventory.pxe.relayed:
        at = place_of(places, "pxe", "relayed", name)
        if name not in inventory.networks:
            known = ", ".join(inventory.networks)
            problems.error(at, f"pxe.relayed: found the unknown network {name}, expected one of: {known}")
        elif name == "provisioning":
            problems.error(at, "pxe.relayed: provisioning is the server's own network, it needs no relay")
        elif inventory.networks[name].gateway is None:
            problems.warning(
                at, f"pxe.relayed: {name} has no gateway: its machines cannot reach the PXE server, or the relay"
            )


def _reservations(inventory: Inventory, site: Site, places: Places, problems: Problems) -> None:
    without: dict[tuple[int, int], list[str]] = {}
    nameservers = {address: network.name for network in inventory.networks.values() for address in network.dns}
    for machine in site.machines:
        at = place_of(places, "nodes", machine.name, "provisioning_ip")
        if machine.address in nameservers:
            owner = nameservers[machine.address]
            problems.error(at, f"{machine.name}: provisioning_ip {machine.address} is the name server of {owner}")
        if machine.address is not None and not machine.macs:
            without.setdefault(at, []).append(machine.name)
    for at, names in without.items():
        problems.warning(at, f"{fold(names)}: no MAC address, so no reservation, and no profile at boot")


def _free_addresses(inventory: Inventory, site: Site, places: Places, problems: Problems) -> None:
    waiting = [machine.name for machine in site.machines if machine.macs and machine.address is None]
    pool = site.subnets[0].pool
    size = 0 if pool is None else int(pool[1]) - int(pool[0]) + 1
    if len(waiting) > size:
        problems.error(
            place_of(places, "networks", "provisioning", "pool"),
            f"networks.provisioning: the pool has {size} addresses for {len(waiting)} machines without a reservation "
            f"({fold(waiting)})",
        )


def _nodes(inventory: Inventory, places: Places, problems: Problems) -> None:
    """What keeps a node from having a configuration, or its first boot from finding the cluster."""
    diskless = [node.name for node in inventory.nodes.values() if not node.disks]
    if diskless:
        problems.warning(
            place_of(places, "nodes"), f"{fold(diskless)}: no disks, so no NixOS configuration is rendered"
        )
    for node in inventory.nodes.values():
        layout = layout_of(inventory, node)
        if why := misfit(layout, len(node.disks)):
            problems.error(place_of(places, "nodes", node.name, "disk", *node.disks[:1]), f"{node.name}: {why}")
        if node.disks and not node.macs:
            at = place_of(places, "nodes", node.name)
            problems.warning(at, f"{node.name}: no MAC address, so its configuration names no network interface")
    if any(node.voter for node in inventory.nodes.values()) and not bootstrap_voters(inventory):
        problems.warning(
            place_of(places, "nodes"), "no voter has a production_ip, so no cluster-config.json can be rendered"
        )


def _names(inventory: Inventory, site: Site, places: Places, problems: Problems) -> None:
    if len(site.script_url) > LONGEST_FILE:
        problems.error(
            place_of(places, "pxe", "server"), f"pxe: the boot script's URL is longer than {LONGEST_FILE} bytes"
        )
    for loader in site.loaders:
        urls = [loader.file, *([site.loader_url(loader)] if loader.architecture.http else [])]
        longest = max(urls, key=len)
        if len(longest) > LONGEST_FILE:
            problems.error(
                place_of(places, "pxe", "loaders", loader.architecture.name),
                f"pxe.loaders.{loader.architecture.name}: {longest} is longer than {LONGEST_FILE} bytes, "
                "the room that a DHCP answer has",
            )
    for machine in site.machines:
        at = place_of(places, "nodes", machine.name)
        if site.dhcp == "dnsmasq" and misread(machine.name):
            problems.error(at, f"{machine.name}: dnsmasq would take this name for a lease time or a keyword")
        if machine.name.lower() == SERVER_NAME:
            problems.warning(
                at, f"{machine.name}: the PXE server has this name in the DNS zone, so the node is not in it"
            )
    if "efi-x64" not in inventory.pxe.loaders:
        problems.warning(
            place_of(places, "pxe", "loaders"), "pxe.loaders: no file for efi-x64, the usual server's firmware"
        )
    if not site.domain:
        problems.warning(place_of(places, "cluster"), "cluster.domain: not given, so no DNS zones can be rendered")


def _paths(inventory: Inventory, places: Places, problems: Problems) -> None:
    for key, path in ((("tftp", "root"), inventory.pxe.tftp.root), (("assets",), inventory.pxe.assets)):
        at, label = place_of(places, "pxe", *key), f"pxe.{'.'.join(key)}"
        if not path.startswith("/"):
            problems.error(at, f"{label}: found {path!a}, expected a path from /: servers have no home directory")
        elif path.rstrip("/") == "" or ".." in path.split("/"):
            problems.error(at, f"{label}: found {path!a}, expected a directory of its own")
        elif not path.isascii() or any(c in path for c in "\"'\\$`{};,# \t"):
            problems.error(at, f"{label}: found {path!a}, expected no blanks, quotes, commas or other special signs")
    if inventory.pxe.dhcp == "dnsmasq-proxy" and inventory.pxe.relayed:
        at = place_of(places, "pxe", "relayed")
        problems.warning(
            at, "pxe.relayed: a proxy hears no relayed requests; machines there boot with kea, dhcpd or dnsmasq only"
        )


def _ports(inventory: Inventory, site: Site, places: Places, problems: Problems) -> None:
    """One port for two services of one host."""
    at = place_of(places, "pxe", "http_port")
    if site.http_port in SYSTEM_PORTS:
        what = SYSTEM_PORTS[site.http_port]
        problems.error(at, f"pxe.http_port: found {site.http_port}, which is {what}'s, expected another")
    if site.boot_service:
        host, _, port = site.boot_service.rpartition(":")
        if int(port) == site.http_port and host in (str(site.server), "0.0.0.0"):  # noqa: S104 - compared, not bound
            problems.error(
                place_of(places, "pxe", "boot_service"),
                f"pxe.boot_service: {site.boot_service} is where nginx listens, expected another port",
            )
    _node_ports(inventory, places, problems)
    _shared_host(inventory, site, places, problems)


def _node_ports(inventory: Inventory, places: Places, problems: Problems) -> None:
    for profile in inventory.profiles.values():
        ports: dict[int, str] = {22: "SSH"}
        for name in profile.services:
            service = inventory.services.get(name)
            if service is None:
                continue
            own = {p for p in (service.port, service.raft_port, service.gossip_port, service.health_port) if p}
            for number in sorted(own):
                other = ports.setdefault(number, name)
                if other != name:
                    own_place = place_of(places, "profiles", profile.name, "services", name)
                    moved = [places[key] for each in (name, other) if (key := ("services", each)) in places]
                    where = moved[0] if moved else own_place
                    message = f"profiles.{profile.name}: {name} and {other} both want port {number} of a node"
                    problems.error(where, message)


def _shared_host(inventory: Inventory, site: Site, places: Places, problems: Problems) -> None:
    """The documents give port 8080 to both the boot server and IAM: on one host they exclude each other."""
    used = Counter(machine.profile for machine in site.machines)
    clashing = sorted(
        {
            name
            for profile in inventory.profiles.values()
            if used[profile.name] and profile.name == "all-in-one"
            for name in profile.services
            if (service := inventory.services.get(name)) is not None and service.port == site.http_port
        }
    )
    if clashing:
        problems.warning(
            place_of(places, "pxe", "http_port"),
            f"pxe.http_port: {site.http_port} is also {', '.join(clashing)}'s: a node of the profile all-in-one "
            "cannot be the PXE server, unless one of them moves",
        )
