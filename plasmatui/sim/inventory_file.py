"""The inventory that a simulated rack writes for its users."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plasmatui.sim.addresses import networks
from plasmatui.sim.bootserver import DOCUMENT_ROOT
from plasmatui.sim.boottext import services as services_of
from plasmatui.sim.cluster_ports import DNS_PORT, SERVICES
from plasmatui.sim.dhcplogs import INTERFACE
from plasmatui.sim.identity import BOOT_SERVER, GATEWAY, POOL, PROVISIONING, Identity
from plasmatui.sim.services import BootServices
from plasmatui.sim.siteconfig import CLUSTER, DOMAIN
from plasmatui.sim.tftplogs import ROOT

_UNITS_PER_RACK = 40


@dataclass(frozen=True)
class Entry:
    """One machine as the inventory tells it."""

    identity: Identity
    profile: str
    address: str
    port: int
    driver: str


@dataclass(frozen=True)
class Account:
    """How BMCs and services are reached: user, files with the BMCs' password and IAM's token, CA of those with TLS."""

    username: str
    password_file: Path
    token_file: Path
    ca_file: Path


@dataclass(frozen=True)
class Provisioning:
    """How nodes are reached, private key, port and known host keys, and what they are installed from."""

    key_file: Path
    port: int
    known_hosts: Path
    flake: Path
    tools: Path
    secrets: Path


def voters(count: int) -> int:
    """How many of the first machines are voters: three, so that their number is odd; of fewer than three one."""
    return 3 if count >= 3 else 1


def profile_of(index: int, voters: int) -> str:
    return "control-plane" if index < voters else "worker"


def rack_of(index: int, count: int) -> tuple[str, int]:
    """Rack and unit. Two racks, filled from the bottom, or as many as it takes."""
    racks = max(2, -(-count // _UNITS_PER_RACK))
    per_rack = -(-count // racks)
    return f"r{index // per_rack + 1}", index % per_rack + 1


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, at no moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def render(
    entries: list[Entry], account: Account, services: BootServices, ports: Mapping[str, int], host: Provisioning
) -> str:
    """The inventory's text. `ports` are those of the cluster's services."""
    management, production = networks(entries[0].address)
    count = len(entries)
    lines = [
        "# A simulated rack. Written by `plasmatui sim`; valid while it runs.",
        "version: 1",
        "cluster:",
        f"  name: {CLUSTER}",
        f"  domain: {DOMAIN}",
        "  environment: lab",
        f"  ca: {_quoted(str(account.ca_file))}",
        f"  token: {{file: {_quoted(str(account.token_file))}}}",
        "networks:",
        f"  management:   {{cidr: {management}}}",
        f"  provisioning: {{cidr: {PROVISIONING}, vlan: 100, gateway: {GATEWAY}, pool: {POOL[0]}-{POOL[1]}}}",
        f"  production:   {{cidr: {production}, vlan: 200, gateway: {production[1]}}}",
        "pxe:",
        f"  server: {BOOT_SERVER}",
        f"  interface: {INTERFACE}",
        f"  http_port: {services.http.address[1]}",
        f"  dhcp: {services.options.dhcp}",
        f"  tftp: {{engine: {services.options.tftp}, root: {ROOT}}}",
        f"  assets: {DOCUMENT_ROOT}",
        "logs:",
        *(f"  - {{kind: {kind}, format: {form}, file: {_quoted(str(file))}}}" for kind, form, file in services.logs),
        "bmc_defaults:",
        "  driver: ipmi",
        f"  username: {account.username}",
        f"  password: {{file: {_quoted(str(account.password_file))}}}",
        f"  verify_tls: {_quoted(str(account.ca_file))}",
        "ssh:",
        "  user: root",
        f"  key: {_quoted(str(host.key_file))}",
        f"  port: {host.port}",
        f"  known_hosts: {_quoted(str(host.known_hosts))}",
        f"flake: {_quoted(str(host.flake))}",
        f"tools: {_quoted(str(host.tools))}",
        f"secrets: {_quoted(str(host.secrets))}",
        "policy: {parallel: 16, stagger: 0s}",
        "profiles:",
        f"  control-plane: {{voter: true, services: [{', '.join(services_of('control-plane'))}]}}",
        f"  worker: {{services: [{', '.join(services_of('worker'))}]}}",
        "services:",
        *(_service(name, port) for name, port in ports.items() if name == "flashdns" or port != SERVICES[name]),
        "nodes:",
    ]
    for entry in entries:
        lines += _node(entry, count)
    return "\n".join(lines) + "\n"


def _service(name: str, port: int) -> str:
    if name == "flashdns":
        return f"  flashdns: {{port: {DNS_PORT}, health_port: {port}}}"
    return f"  {name}: {{port: {port}}}"


def _node(entry: Entry, count: int) -> list[str]:
    identity = entry.identity
    rack, unit = rack_of(identity.index, count)
    macs = ", ".join(f'"{mac}"' for mac in identity.macs)
    driver = f", driver: {entry.driver}" if entry.driver != "ipmi" else ""
    return [
        f"  {identity.name}:",
        f"    profile: {entry.profile}",
        f"    mac: [{macs}]",
        f"    bmc: {{address: {entry.address}, port: {entry.port}{driver}}}",
        f"    provisioning_ip: {identity.provisioning}",
        f"    production_ip: {identity.production}",
        f"    ssh: {{address: {identity.production}}}",
        f"    disks: [{identity.disk}]",
        f"    rack: {rack}",
        f"    unit: {unit}",
        f"    tags: [{'uefi' if identity.uefi else 'bios'}]",
    ]


def _quoted(text: str) -> str:
    """A YAML double-quoted scalar."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
