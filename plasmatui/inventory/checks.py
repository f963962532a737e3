"""What no single value can show: checks over the whole inventory.

Each check has an id and a title, so that `plasmatui check` can print the pre-deployment checklist (operator runbook,
section 4) with what was found under each. `CHECKS` look at the inventory alone; the secrets are looked at only by
`credentials`, since the engine may run as another user, who has them.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from plasmatui.inventory.catalogue import DEFAULT_BMC_PORTS, DEFAULT_SSH_PORT, VENDOR_LOGINS
from plasmatui.inventory.fields import Problems, close_to
from plasmatui.inventory.inventory import BmcEntry, Inventory, Network
from plasmatui.inventory.nodes import Places
from plasmatui.inventory.nodesets import RESERVED_GROUPS
from plasmatui.inventory.ranges import fold
from plasmatui.inventory.secrets import Secret, SecretError

STABLE_DISKS = ("/dev/disk/by-id/", "/dev/disk/by-path/", "/dev/disk/by-diskseq/", "/dev/mapper/", "/dev/md/")
"""Names that stay with a disk over reboots; /dev/sda does not."""

HOMES = (("provisioning_ip", "provisioning"), ("production_ip", "production"))
"""Which network each address of a node belongs to."""


@dataclass(frozen=True)
class Check:
    """A check: `run` adds what it finds to the problems. `title` says what is true when it finds nothing."""

    id: str
    title: str
    run: Callable[[Inventory, Places, Problems], None]


def cross_check(inventory: Inventory, places: Places, problems: Problems) -> None:
    """Add every error and warning that concerns several values to `problems`. Reads no secret."""
    for check in CHECKS:
        check.run(inventory, places, problems)


def place_of(places: Places, *key: str) -> tuple[int, int]:
    """The place of a thing, or of the nearest thing around it."""
    for length in range(len(key), 0, -1):
        if key[:length] in places:
            return places[key[:length]]
    return (1, 1)


class Gathered:
    """Complaints about many nodes of one range, told once: by place and kind, with the nodes folded."""

    def __init__(self, problems: Problems, severity: str) -> None:
        self.problems = problems
        self.severity = severity
        self.found: dict[tuple[tuple[int, int], str], list[str]] = {}

    def add(self, at: tuple[int, int], message: str, node: str) -> None:
        self.found.setdefault((at, message), []).append(node)

    def report(self) -> None:
        for (at, message), nodes in self.found.items():
            self.problems.add(at, self.severity, f"{fold(nodes)}: {message}")


def _homes(inventory: Inventory, home: str) -> list[Network]:
    """The networks in which an address of that home may lie: machines behind a relay boot in networks of their own."""
    names = (home, *inventory.pxe.relayed) if home == "provisioning" else (home,)
    return [inventory.networks[name] for name in dict.fromkeys(names) if name in inventory.networks]


def _duplicate_macs(inventory: Inventory, places: Places, problems: Problems) -> None:
    owners: dict[str, str] = {}
    for name, node in inventory.nodes.items():
        for mac in node.macs:
            owner = owners.setdefault(mac, name)
            if owner != name:
                at = place_of(places, "nodes", name, "mac", mac)
                problems.error(at, f"{name}: found the MAC {mac}, which {owner} has already, expected another")


def _duplicate_addresses(inventory: Inventory, places: Places, problems: Problems) -> None:
    owners: dict[str, str] = {}
    if inventory.pxe.server is not None:
        owners[str(inventory.pxe.server)] = "pxe.server"
    for network in inventory.networks.values():
        if network.gateway is not None:
            owners.setdefault(str(network.gateway), f"networks.{network.name}.gateway")
    sockets: dict[str, str] = {}
    for name, node in inventory.nodes.items():
        bmc = inventory.bmcs.get(name)
        for key, address in (
            ("provisioning_ip", node.provisioning_ip),
            ("production_ip", node.production_ip),
            ("bmc", bmc.address if bmc else ""),
        ):
            mine = f"{name}.{key}"
            owner = owners.setdefault(address, mine) if address else mine
            if key == "bmc" and bmc is not None and owner.endswith(".bmc"):
                # Several BMCs may answer at one address (a gateway, a simulator) when their ports or systems differ.
                owner = sockets.setdefault(_socket(bmc), mine)
                address = _socket(bmc)
            if owner != mine:
                at = place_of(places, "nodes", name, key)
                problems.error(at, f"{name}: found {key} {address}, which is {owner} already, expected another")


def _socket(bmc: BmcEntry) -> str:
    return f"{bmc.address} port {bmc.port or DEFAULT_BMC_PORTS[bmc.driver]}{bmc.system and ' system ' + bmc.system}"


def _addresses_in_networks(inventory: Inventory, places: Places, problems: Problems) -> None:
    for key, home in HOMES:
        networks = _homes(inventory, home)
        if home not in inventory.networks:
            continue
        outside = Gathered(problems, "error")
        for name, node in inventory.nodes.items():
            address = node.provisioning_ip if key == "provisioning_ip" else node.production_ip
            if not address:
                continue
            where = place_of(places, "nodes", name, key)
            number = IPv4Address(address)
            cidr = next((network.cidr for network in networks if number in network.cidr), None)
            if cidr is None:
                outside.add(where, f"{key} lies outside the network {home} ({networks[0].cidr})", name)
            elif number in (cidr.network_address, cidr.broadcast_address) and cidr.prefixlen < 31:
                outside.add(where, f"{key} is the first or last address of {cidr}, which no host can have", name)
        outside.report()
    management = inventory.networks.get("management")
    if management is not None:
        elsewhere = Gathered(problems, "warning")
        for name, bmc in inventory.bmcs.items():
            if bmc.address.replace(".", "").isdigit() and IPv4Address(bmc.address) not in management.cidr:
                where = place_of(places, "nodes", name, "bmc")
                elsewhere.add(where, f"the BMC lies outside the network management ({management.cidr})", name)
        elsewhere.report()


def _reservations(inventory: Inventory, places: Places, problems: Problems) -> None:
    inside = Gathered(problems, "error")
    for key, network in [(key, network) for key, home in HOMES for network in _homes(inventory, home)]:
        if network.pool is None:
            continue
        low, high = network.pool
        for name, node in inventory.nodes.items():
            address = node.provisioning_ip if key == "provisioning_ip" else node.production_ip
            if address and low <= IPv4Address(address) <= high:
                message = (
                    f"{key} lies inside the DHCP pool {low}-{high} of {network.name}, expected an address outside it"
                )
                inside.add(place_of(places, "nodes", name, key), message, name)
    inside.report()


def _ssh(inventory: Inventory, places: Places, problems: Problems) -> None:
    owners: dict[tuple[str, int], str] = {}
    for name, entry in inventory.ssh_entries.items():
        if not entry.address:
            continue
        port = entry.port or inventory.ssh.port or DEFAULT_SSH_PORT
        owner = owners.setdefault((entry.address, port), name)
        if owner != name:
            message = (
                f"{name}: found ssh.address {entry.address} port {port}, which {owner} has already, expected another"
            )
            problems.error(place_of(places, "nodes", name, "ssh"), message)
    if inventory.ssh.host_keys == "accept-new":
        problems.warning(
            place_of(places, "ssh", "host_keys"),
            "ssh.host_keys: accept-new believes whoever answers at an installer's address, expected strict and an "
            "image that prints its host key's fingerprint on the serial console",
        )


def _networks(inventory: Inventory, places: Places, problems: Problems) -> None:
    networks = list(inventory.networks.values())
    for index, network in enumerate(networks):
        label, cidr = f"networks.{network.name}", network.cidr
        if network.gateway is not None and network.gateway not in cidr:
            problems.error(
                place_of(places, "networks", network.name, "gateway"),
                f"{label}: the gateway {network.gateway} lies outside {cidr}",
            )
        if network.pool is not None:
            at = place_of(places, "networks", network.name, "pool")
            low, high = network.pool
            if low not in cidr or high not in cidr:
                problems.error(at, f"{label}: the pool {low}-{high} lies outside {cidr}")
            for what, address in (("gateway", network.gateway), ("PXE server", inventory.pxe.server)):
                if address is not None and low <= address <= high:
                    problems.error(at, f"{label}: the pool {low}-{high} contains the {what} {address}")
        for other in networks[:index]:
            at = place_of(places, "networks", network.name, "cidr")
            if cidr.overlaps(other.cidr):
                problems.error(at, f"{label}: {cidr} overlaps with {other.name} ({other.cidr})")
            if network.vlan is not None and network.vlan == other.vlan:
                problems.warning(at, f"{label}: the VLAN {network.vlan} is that of {other.name} too")
    provisioning, server = inventory.networks.get("provisioning"), inventory.pxe.server
    if provisioning is not None and server is not None and server not in provisioning.cidr:
        problems.error(
            place_of(places, "pxe", "server"),
            f"pxe.server: {server} lies outside the network provisioning ({provisioning.cidr})",
        )


def _profiles(inventory: Inventory, places: Places, problems: Problems) -> None:
    if not inventory.profiles:  # they could not be read, which is told already
        return
    unknown = Gathered(problems, "error")
    for name, node in inventory.nodes.items():
        if node.profile and node.profile not in inventory.profiles:
            expected = (
                close_to(node.profile, inventory.profiles) or f", expected one of: {', '.join(inventory.profiles)}"
            )
            at = place_of(places, "nodes", name, "profile")
            unknown.add(at, f"found the unknown profile {node.profile}{expected}", name)
    unknown.report()


def _services(inventory: Inventory, places: Places, problems: Problems) -> None:
    for profile in inventory.profiles.values():
        for service in profile.services:
            if service not in inventory.services:
                expected = close_to(service, inventory.services) or "; define it under services with its port"
                at = place_of(places, "profiles", profile.name, "services", service)
                problems.error(at, f"profiles.{profile.name}: found the unknown service {service}{expected}")


def _voters(inventory: Inventory, places: Places, problems: Problems) -> None:
    voters = [name for name, node in inventory.nodes.items() if node.voter]
    if voters and len(voters) % 2 == 0:
        survives = (len(voters) - 1) // 2
        problems.warning(
            place_of(places, "nodes", voters[-1]),
            f"found {len(voters)} voters ({fold(voters)}), expected an odd number: "
            f"like {len(voters) - 1} they survive the loss of {survives}",
        )


def _names(inventory: Inventory, places: Places, problems: Problems) -> None:
    for profile in inventory.profiles:
        if profile in RESERVED_GROUPS:
            at = place_of(places, "profiles", profile)
            problems.error(at, f"profiles.{profile}: @{profile} is a group of its own, expected another name")
    clashes = {*RESERVED_GROUPS, *inventory.profiles} & inventory.nodes.keys()
    for name in sorted(clashes):
        problems.warning(place_of(places, "nodes", name), f"{name}: the node has the name of the group @{name}")


def _rack_units(inventory: Inventory, places: Places, problems: Problems) -> None:
    owners: dict[tuple[str, int], str] = {}
    for name, node in inventory.nodes.items():
        if node.rack and node.unit is not None:
            owner = owners.setdefault((node.rack, node.unit), name)
            if owner != name:
                at = place_of(places, "nodes", name, "unit")
                problems.warning(at, f"{name}: found rack {node.rack} unit {node.unit}, where {owner} is already")


def _disks(inventory: Inventory, places: Places, problems: Problems) -> None:
    unstable = Gathered(problems, "warning")
    for name, node in inventory.nodes.items():
        for disk in node.disks:
            if not disk.startswith(STABLE_DISKS):
                at = place_of(places, "nodes", name, "disk", disk)
                unstable.add(at, f"the disk {disk} may be another after a reboot, expected /dev/disk/by-id/...", name)
    unstable.report()


def _secrets(inventory: Inventory, places: Places, problems: Problems) -> None:
    flake = inventory.flake_directory
    if not inventory.secrets or flake is None:
        return
    secrets = Path(inventory.secrets).resolve()
    if secrets.is_relative_to(flake):
        problems.error(
            place_of(places, "secrets"),
            f"secrets: found {secrets}, which lies in the flake {flake}, expected a directory outside it: "
            "nix copies a flake into its store, where everybody can read it",
        )


def credentials(inventory: Inventory, places: Places, problems: Problems) -> None:
    """Add what is wrong with the BMCs' logins. Reads variables and files, runs no command, prints no secret."""
    known: dict[int, tuple[str | None, str]] = {}  # by identity: most nodes share one reference
    gathered = Gathered(problems, "warning")
    for name, bmc in inventory.bmcs.items():
        if id(bmc.password) not in known:
            known[id(bmc.password)] = _peek(bmc.password)
        password, trouble = known[id(bmc.password)]
        own = places.get(("nodes", name, "password"))
        at = own or places.get(("bmc_defaults", "password")) or place_of(places, "nodes", name, "bmc")
        if trouble:
            gathered.add(at, f"the BMC's password cannot be had here: {trouble}", name)
        elif not bmc.username:
            gathered.add(at, "the BMC's user is not given, expected username: here or in bmc_defaults", name)
        elif password is not None and (bmc.username.lower(), password) in VENDOR_LOGINS:
            gathered.add(at, f"the BMC's user {bmc.username} still has the vendor's default password", name)
        if bmc.driver == "redfish" and not bmc.tls:
            gathered.add(at, "the BMC's password goes over HTTP without TLS, readable on the way (tls: false)", name)
    gathered.report()


def cluster_access(inventory: Inventory, places: Places, problems: Problems) -> None:
    """Add why the cluster's CA or token cannot be had here. Reads variables and files, runs no command."""
    if inventory.ca and (trouble := _unusable_ca(inventory.ca)):
        problems.warning(place_of(places, "cluster", "ca"), f"cluster.ca: {inventory.ca}: {trouble}")
    if inventory.token.given:
        _, trouble = _peek(inventory.token)
        if trouble:
            problems.warning(place_of(places, "cluster", "token"), f"cluster.token: it cannot be had here: {trouble}")


def _unusable_ca(file: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError:
        return "found no certificate that can be used, expected CAs in PEM"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _peek(secret: Secret) -> tuple[str | None, str]:
    """The secret when it is cheap to have, and why it cannot be had. A command is not run."""
    if secret.command:
        return None, ""
    try:
        return secret.reveal(), ""
    except SecretError as error:
        return None, str(error)


CHECKS = (
    Check("macs", "no MAC address is used twice", _duplicate_macs),
    Check("addresses", "no address is used twice", _duplicate_addresses),
    Check("ssh", "no two nodes are reached by SSH at one place, and host keys are checked", _ssh),
    Check("networks", "networks, gateways, pools and the PXE server fit together", _networks),
    Check("address-in-network", "every address lies in its network", _addresses_in_networks),
    Check("reservations", "no reservation lies inside a DHCP pool", _reservations),
    Check("profiles", "every node's profile is known", _profiles),
    Check("services", "every profile's services are known", _services),
    Check("voters", "the number of voters is odd", _voters),
    Check("names", "no node or profile has the name of a group", _names),
    Check("rack-units", "no rack unit is used twice", _rack_units),
    Check("disks", "disks have names that last", _disks),
    Check("secrets", "the nodes' secrets lie outside the flake", _secrets),
)

CREDENTIALS = Check("credentials", "BMC passwords can be had and are not the vendor's", credentials)
CLUSTER_ACCESS = Check("cluster-access", "the cluster's CA and token can be had", cluster_access)
