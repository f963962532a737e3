"""Every mistake that the servers' own checkers let through is an error or a warning here, at its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plasmatui.inventory.checks import cross_check
from plasmatui.inventory.loader import read
from plasmatui.pxe.lint import lint
from tests.support.pxe_clients import INVENTORY


def findings(text: str, engine: str = "") -> list[str]:
    """What is wrong, as `line:column: severity: message`."""
    reading = read(Path("inventory.yaml"), text)
    inventory = reading.inventory
    if engine:
        inventory = replace(inventory, pxe=replace(inventory.pxe, dhcp=engine))
    if reading.complete:
        cross_check(inventory, reading.places, reading.problems)
        lint(inventory, reading.places, reading.problems)
    return [str(each).removeprefix("inventory.yaml:") for each in reading.problems.diagnostics()]


def test_a_right_inventory_has_no_error() -> None:
    found = findings(INVENTORY)
    assert [line for line in found if ": error:" in line] == []
    assert len(found) == 1, found  # nodes without disks


NODE2 = "provisioning_ip: 10.0.100.51"
POOL = "pool: 10.0.100.100-10.0.100.200"

ERRORS = {
    "reservation inside the pool": (NODE2, "provisioning_ip: 10.0.100.150", "lies inside the DHCP pool"),
    "reservation inside a relayed pool": ("10.0.101.60", "10.0.101.150", "lies inside the DHCP pool"),
    "reservation outside every subnet": (NODE2, "provisioning_ip: 10.0.102.51", "lies outside the network"),
    "two machines, one MAC": ("52-54-00-12-34-57", "52:54:00:12:34:56", "which node01 has already"),
    "one MAC in two machines' lists": ("52-54-00-12-34-57", "52:54:00:ab:34:56", "which node01 has already"),
    "two machines, one address": (NODE2, "provisioning_ip: 10.0.100.50", "which is node01.provisioning_ip already"),
    "two machines, one name": ("  node02:", "  node01:", "the key a second time"),
    "two machines, one name but for case": ("  node02:", "  NODE01:", "a second time"),
    "MAC of five bytes": ("52-54-00-12-34-57", "52:54:00:12:34", "a MAC address of six bytes"),
    "MAC without separators": ("52-54-00-12-34-57", "525400123457", "a MAC address of six bytes"),
    "multicast MAC": ("52-54-00-12-34-57", "53:54:00:12:34:57", "multicast"),
    "pool that ends before it begins": (POOL, "pool: 10.0.100.200-10.0.100.100", "not after its last"),
    "pool outside its subnet": (POOL, "pool: 10.0.103.100-10.0.103.200", "lies outside 10.0.100.0/24"),
    "pool with the broadcast address": (POOL, "pool: 10.0.100.100-10.0.100.255", "the first or last address"),
    "pool with the network's address": (POOL, "pool: 10.0.100.0-10.0.100.9", "the first or last address"),
    "octet above 255": ("cidr: 10.0.101.0/24", "cidr: 10.0.300.0/24", "an IPv4 network"),
    "subnet with host bits": ("cidr: 10.0.101.0/24", "cidr: 10.0.101.5/24", "did you mean 10.0.101.0/24"),
    "overlapping subnets": ("cidr: 10.0.101.0/24", "cidr: 10.0.100.0/23", "overlaps with"),
    "broadcast address reserved": (NODE2, "provisioning_ip: 10.0.100.255", "first or last address"),
    "boot file longer than the field": (
        "ipxe-arm64.efi",
        "a" * 100 + ".efi",
        "longer than 127 bytes",
    ),
    "next server as a name": ("server: 10.0.100.10", "server: pxe.example.com", "an IPv4 address"),
    "host name with a blank": ("  node02:", '  "node 02":', "a host name"),
    "host name longer than 63": ("  node02:", f"  n{'o' * 63}:", "a host name"),
    "boot file with a comma": ("ipxe-arm64.efi", '"a,b.efi"', "a file name below the TFTP root"),
    "boot file without a dot": ("ipxe-arm64.efi", "pxelinux", "dnsmasq appends .0"),
    "boot file outside the root": ("ipxe-arm64.efi", "../ipxe.efi", "a file name below the TFTP root"),
    "server in the pool": ("server: 10.0.100.10", "server: 10.0.100.110", "contains the PXE server"),
    "gateway in the pool": ("gateway: 10.0.100.1,", "gateway: 10.0.100.111,", "contains the gateway"),
    "name server in the pool": ("8.8.8.8", "10.0.100.120", "the name server of provisioning"),
    "name server reserved for a machine": ("8.8.8.8", "10.0.100.51", "is the name server of provisioning"),
    "BMC in the pool": ("address: 10.0.10.70", "address: 10.0.100.170", "the BMC of spare"),
    "gateway reserved for a machine": (NODE2, "provisioning_ip: 10.0.100.1", "gateway already"),
    "server reserved for a machine": (NODE2, "provisioning_ip: 10.0.100.10", "pxe.server already"),
    "unknown profile": ("node02: {profile: control-plane", "node02: {profile: control-plain", "unknown profile"),
    "fewer addresses than machines": (
        f"{POOL}}}",
        "}",
        "the pool has 0 addresses for 1 machines without a reservation",
    ),
    "server outside its network": ("server: 10.0.100.10", "server: 10.0.104.10", "lies outside the network"),
    "no server": ("  server: 10.0.100.10\n", "", "pxe.server"),
    "no interface": ("  interface: eth0\n", "", "pxe.interface"),
    "lease of a second": ("  relayed:", "  lease: 30s\n  relayed:", "from 120s to"),
    "menu that waits for ever": ("  relayed:", "  menu_timeout: 0\n  relayed:", "from 1s to"),
    "TFTP root at home": ("  relayed:", "  tftp: {root: ~/tftp}\n  relayed:", "no home directory"),
    "TFTP root with a comma": ("  relayed:", '  tftp: {root: "/srv/a,b"}\n  relayed:', "no blanks, quotes, commas"),
    "assets that are everything": ("  relayed:", "  assets: /\n  relayed:", "a directory of its own"),
    "assets with an expansion": ("  relayed:", '  assets: "/srv/${x}"\n  relayed:', "no blanks, quotes"),
    "unknown relayed network": ("relayed: [row2]", "relayed: [row3]", "unknown network row3"),
    "own network relayed": ("relayed: [row2]", "relayed: [row2, provisioning]", "needs no relay"),
    "HTTP on SSH's port": ("  relayed:", "  http_port: 22\n  relayed:", "which is SSH's"),
    "HTTP on Squid's port": ("  relayed:", "  http_port: 3128\n  relayed:", "which is the Squid cache's"),
    "boot service on nginx's port": (
        "  relayed:",
        "  boot_service: 0.0.0.0:8080\n  relayed:",
        "is where nginx listens",
    ),
    "two services on one port": (
        "nodes:",
        "services: {plasmavmc: {port: 2379}}\nnodes:",
        "plasmavmc and chainfire both want port 2379",
    ),
    "a service on SSH's port": ("nodes:", "services: {iam: {port: 22}}\nnodes:", "iam and SSH both want port 22"),
    "mirror of one disk": (
        "nodes:",
        "profiles: {control-plane: {disk_layout: raid1}, worker: {}}\nnodes:",
        "needs two disks or more",
    ),
    "one disk of two": (
        "nodes:",
        "profiles: {control-plane: {disk_layout: lvm}, worker: {}}\nnodes:",
        "uses one disk, 2 are named",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), ERRORS.values(), ids=ERRORS.keys())
def test_a_mistake_is_an_error_at_its_place(old: str, new: str, message: str) -> None:
    assert old in INVENTORY
    wrong = INVENTORY.replace(old, new, 1)
    errors = [line for line in findings(wrong) if ": error:" in line and message in line]
    assert errors, findings(wrong)
    line, column = errors[0].split(":")[:2]
    assert int(line) > 1 or int(column) > 1 or message.startswith("pxe."), errors


WARNINGS = {
    "no pool": (f", {POOL}}}", "}", "unknown ones are not seen"),
    "machine with an address and no MAC": (
        'mac: "52-54-00-12-34-57", ',
        "",
        "no MAC address, so no reservation",
    ),
    "no file for the usual firmware": ("loaders: {", "loaders: {efi-x64: none, ", "no file for efi-x64"),
    "relayed network without a gateway": ("gateway: 10.0.101.1, ", "", "row2 has no gateway"),
    "all-in-one beside IAM": (
        "node02: {profile: control-plane",
        "node02: {profile: all-in-one",
        "8080 is also iam's",
    ),
    "a node with the server's name": ("  node02:", "  pxe:", "the PXE server has this name"),
    "no domain": (", domain: example.com", "", "no DNS zones"),
}


@pytest.mark.parametrize(("old", "new", "message"), WARNINGS.values(), ids=WARNINGS.keys())
def test_what_is_odd_is_a_warning(old: str, new: str, message: str) -> None:
    assert old in INVENTORY
    found = findings(INVENTORY.replace(old, new, 1))
    assert any(": warning:" in line and message in line for line in found), found


@pytest.mark.parametrize("name", ["ignore", "infinite", "7h", "12", "3600s"])
def test_a_name_that_dnsmasq_takes_for_something_else_is_an_error_there_alone(name: str) -> None:
    wrong = INVENTORY.replace("  node02:", f'  "{name}":', 1)
    assert any("dnsmasq would take this name" in line for line in findings(wrong, "dnsmasq"))
    assert [line for line in findings(wrong, "kea") if ": error:" in line] == []


def test_a_proxy_beside_a_relay_is_a_warning() -> None:
    assert any("a proxy hears no relayed requests" in line for line in findings(INVENTORY, "dnsmasq-proxy"))


def test_a_proxy_needs_no_pool() -> None:
    found = findings(INVENTORY.replace(f", {POOL}}}", "}", 1), "dnsmasq-proxy")
    assert [line for line in found if ": error:" in line or "pool" in line] == []


def test_a_mac_with_hyphens_or_capitals_is_understood_everywhere() -> None:
    reading = read(Path("inventory.yaml"), INVENTORY)
    assert reading.inventory.nodes["node02"].macs == ("52:54:00:12:34:57",)
    assert reading.inventory.nodes["node01"].macs[1] == "52:54:00:ab:34:56"
