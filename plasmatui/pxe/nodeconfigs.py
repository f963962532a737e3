"""NixOS configurations of the nodes: a flake with one system per node, and the netboot images of the profiles.

What is rendered is only what the inventory knows. `hardware.nix` and `local.nix` beside a node's configuration, and
`modules/` of the flake, are the site's own and are taken in when they are there.
"""

from __future__ import annotations

from pathlib import Path

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.node import Node
from plasmatui.pxe.ipxe import CONSOLES, RESCUE
from plasmatui.pxe.layouts import ALL, host_id, layout_of, misfit
from plasmatui.pxe.nix import Value, to_nix
from plasmatui.pxe.quoting import NIX, Quoted, fill, header
from plasmatui.pxe.site import Site

RELEASE = "25.11"
SECRETS = "/etc/nixos/secrets"
IMAGES = ("control-plane", "worker", "all-in-one", RESCUE)
"""Profiles with an image of their own kind; others get the base image under their name."""

_TEMPLATES = Path(__file__).parent / "templates"


def nodes_of(inventory: Inventory) -> tuple[Node, ...]:
    """The nodes that can be configured: their disks are known and fit a layout."""
    return tuple(
        node
        for node in inventory.nodes.values()
        if node.disks and not misfit(layout_of(inventory, node), len(node.disks))
    )


def flake(inventory: Inventory, site: Site) -> dict[str, str]:
    """The flake's files by path."""
    nodes = nodes_of(inventory)
    profiles = tuple(dict.fromkeys((*site.profiles, RESCUE)))
    marked = header(NIX, site.source, "nodes, profiles, networks and services")
    files = {
        "flake.nix": fill(
            NIX,
            "flake.nix.j2",
            header=marked,
            release=RELEASE,
            nodes=to_nix([node.name for node in nodes], 6),
            profiles=to_nix(list(profiles), 6),
        ),
    }
    layouts = {layout_of(inventory, node) for node in nodes}
    for layout in ALL:
        if layout in layouts:
            files[f"disko/{layout}.nix"] = marked + (_TEMPLATES / "disko" / f"{layout}.nix").read_text("utf-8")
    for node in nodes:
        files[f"nodes/{node.name}/configuration.nix"] = _configuration(inventory, site, node)
        files[f"nodes/{node.name}/disko.nix"] = marked + (
            f"import ../../disko/{layout_of(inventory, node)}.nix {{ disks = {to_nix(list(node.disks))}; }}\n"
        )
    files["netboot/base.nix"] = fill(NIX, "netboot/base.nix.j2", header=marked, consoles=to_nix(list(CONSOLES), 6))
    for profile in profiles:
        template = f"netboot/{profile}.nix" if profile in IMAGES else "netboot/other.nix"
        files[f"netboot/{profile}.nix"] = marked + (_TEMPLATES / template).read_text("utf-8")
    return files


def _configuration(inventory: Inventory, site: Site, node: Node) -> str:
    return fill(
        NIX,
        "configuration.nix.j2",
        header=header(NIX, site.source, "nodes, profiles, networks and services"),
        node=node,
        domain=inventory.domain,
        networks=to_nix(_networks(inventory, node), 6),
        services=[(name, to_nix(_service(inventory, node, name), 6)) for name in _services(inventory, node)],
        rules=_rules(inventory, node),
        host_id=host_id(node.name) if layout_of(inventory, node) == "zfs" else "",
        consoles=to_nix(list(CONSOLES), 6),
        secrets=SECRETS,
        release=RELEASE,
    )


def _networks(inventory: Inventory, node: Node) -> dict[str, Value]:
    """systemd-networkd units by MAC address, since names of interfaces differ between installer and system.

    The first MAC address is the provisioning interface's, the second the production interface's; with one, both
    addresses are on it.
    """
    production = inventory.networks.get("production")
    address: dict[str, Value] = {}
    if node.production_ip and production is not None:
        address["address"] = [f"{node.production_ip}/{production.cidr.prefixlen}"]
        if production.gateway is not None:
            address["gateway"] = [str(production.gateway)]
        if production.dns:
            address["dns"] = [str(each) for each in production.dns]
    units: dict[str, Value] = {}
    if node.macs:
        shared = address if len(node.macs) == 1 else {}
        units["10-provisioning"] = {
            "matchConfig": {"PermanentMACAddress": node.macs[0]},
            "networkConfig": {"DHCP": "ipv4"},
            # The same identity as firmware and iPXE, hence the same lease.
            "dhcpV4Config": {"ClientIdentifier": "mac", "UseGateway": not address, "UseDNS": not address},
            "linkConfig": {"RequiredForOnline": "no"},
            **shared,
        }
    if len(node.macs) > 1 and address:
        units["20-production"] = {"matchConfig": {"PermanentMACAddress": node.macs[1]}, **address}
    return units


def _services(inventory: Inventory, node: Node) -> tuple[str, ...]:
    profile = inventory.profiles.get(node.profile)
    return () if profile is None else tuple(name for name in profile.services if name in inventory.services)


def _service(inventory: Inventory, node: Node, name: str) -> dict[str, Value]:
    """Options of a service's module, as the runbook's template sets them (section 5.3)."""
    service = inventory.services[name]
    own = f"{node.name}.{inventory.domain}" if inventory.domain else node.name
    settings: dict[str, Value] = {
        "node_id": node.name,
        "cluster_name": inventory.cluster,
        "tls": {
            "cert_path": f"{SECRETS}/{node.name}-cert.pem",
            "key_path": f"{SECRETS}/{node.name}-key.pem",
            "ca_path": f"{SECRETS}/ca-cert.pem",
        },
    }
    # By the name that is in the certificate: `localhost` is in none.
    if name == "flaredb":
        settings["chainfire_endpoint"] = f"https://{own}:{inventory.services['chainfire'].port}"
    if name == "iam":
        settings["flaredb_endpoint"] = f"https://{own}:{inventory.services['flaredb'].port}"
    found: dict[str, Value] = {"enable": True, "port": service.port}
    if service.raft_port is not None:
        found["raftPort"] = service.raft_port
    if service.gossip_port is not None:
        found["gossipPort"] = service.gossip_port
    return {**found, "settings": settings}


def _rules(inventory: Inventory, node: Node) -> tuple[Quoted, ...]:
    """nftables rules: the node's services for the inventory's networks, DNS for all of them over both protocols."""
    ports: set[int] = set()
    for name in _services(inventory, node):
        service = inventory.services[name]
        ports |= {p for p in (service.port, service.raft_port, service.gossip_port, service.health_port) if p}
    sources = ", ".join(str(network.cidr) for network in inventory.networks.values())
    if not ports or not sources:
        return ()
    rules = [f"ip saddr {{ {sources} }} tcp dport {{ {', '.join(str(port) for port in sorted(ports))} }} accept"]
    if "flashdns" in _services(inventory, node):
        rules.append(f"ip saddr {{ {sources} }} udp dport {inventory.services['flashdns'].port} accept")
    gossip = {s.gossip_port for name in _services(inventory, node) if (s := inventory.services[name]).gossip_port}
    if gossip:
        rules.append(
            f"ip saddr {{ {sources} }} udp dport {{ {', '.join(str(p) for p in sorted(gossip) if p)} }} accept"
        )
    return tuple(Quoted(rule) for rule in rules)
