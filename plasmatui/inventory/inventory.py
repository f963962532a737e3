"""An inventory as it is after loading: everything resolved, ranges unfolded, nothing optional left open."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from plasmatui.inventory.secrets import Secret
from plasmatui.model.node import Node


@dataclass(frozen=True)
class Place:
    """A place in a file, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning. `message` names the key, what was found and what was expected; it holds no secret."""

    place: Place
    severity: str  # "error" | "warning"
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {self.message}"


class InventoryError(Exception):
    """The inventory cannot be used; `diagnostics` holds every error and warning, in the file's order."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = diagnostics


@dataclass(frozen=True)
class Network:
    name: str
    cidr: IPv4Network
    vlan: int | None = None
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    pool: tuple[IPv4Address, IPv4Address] | None = None


@dataclass(frozen=True)
class Tftp:
    engine: str = "tftpd-hpa"
    root: str = "/srv/tftp"


DEFAULT_LOADERS = {"bios": "undionly.kpxe", "efi-ia32": "ipxe-i386.efi", "efi-x64": "ipxe.efi"}
"""iPXE's own file names (ipxe.org, "download")."""


@dataclass(frozen=True)
class Pxe:
    """The PXE server.

    Attributes:
        loaders: boot file by architecture (`catalogue.LOADERS`); an architecture that is missing gets none.
        menu_timeout: seconds until the boot menu goes on by itself.
        lease: seconds of a DHCP lease.
        relayed: names of further networks whose DHCP requests come through a relay.
        boot_service: `HOST:PORT` that nginx passes on what is not a file; empty for none.
        deployed: directory in which rendered files are deployed, on this host; empty for `/`, on the PXE server.
    """

    server: IPv4Address | None = None
    interface: str = ""
    http_port: int = 8080
    dhcp: str = "kea"
    tftp: Tftp = Tftp()
    assets: str = "/var/lib/pxe-boot"
    loaders: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_LOADERS))
    menu_timeout: int = 10
    lease: int = 3600
    relayed: tuple[str, ...] = ()
    boot_service: str = ""
    deployed: str = ""


@dataclass(frozen=True)
class LogSource:
    """A log to read: `kind` dhcp, tftp or http; `format` as in bundles; a file or a unit; `ssh`: on that host."""

    kind: str
    format: str
    file: str = ""
    journal: str = ""
    ssh: str = ""


@dataclass(frozen=True)
class BmcEntry:
    """How to reach a node's BMC, defaults applied."""

    driver: str
    address: str
    port: int | None
    username: str
    password: Secret
    cipher_suite: int | None = None
    verify_tls: bool | str = True
    system: str = ""
    tls: bool = True


@dataclass(frozen=True)
class Ssh:
    """How to log in on nodes.

    Attributes:
        key: file of the private key; empty for the agent's and the user's own.
        port: None for 22.
        jump: `[user@]host[:port]` that nodes are reached through; empty for directly.
        sudo: whether commands run by sudo when the user is not root.
        host_keys: "strict", or "accept-new": an installer whose key nobody vouches for is believed for its boot.
        known_hosts: file of the site's host keys, read beside the system's and the user's; empty for none.
    """

    user: str = "root"
    key: str = ""
    port: int | None = None
    jump: str = ""
    sudo: bool = False
    host_keys: str = "strict"
    known_hosts: str = ""


@dataclass(frozen=True)
class SshEntry:
    """Where a node is reached by SSH if not at its own addresses; empty and None for what is not said."""

    address: str = ""
    port: int | None = None


@dataclass(frozen=True)
class Access:
    """Which Unix users may use the engine besides the one that runs it: names, and groups as `%group`."""

    admin: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    viewer: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """Limits that hold for all operations.

    Attributes:
        parallel: nodes at once. stagger: seconds between two starts.
        per_rack: nodes of one rack at once, 0 for no limit.
        bandwidth: bits per second that network boots may take together, 0 for no limit.
        consoles: "always" records every console; "watched" only while somebody reads it or an operation runs.
        access: who shares the engine; None: only its own user, who may do everything.
        metrics: `HOST:PORT` at which Prometheus reads the engine's metrics, empty for none; of the loopback, unless
            `metrics_remote` lets other hosts in.
    """

    parallel: int = 16
    stagger: float = 0.0
    per_rack: int = 0
    bandwidth: int = 0
    consoles: str = "always"
    access: Access | None = None
    metrics: str = ""
    metrics_remote: bool = False


@dataclass(frozen=True)
class Profile:
    """What nodes are for.

    Attributes:
        disk_layout: one of `catalogue.DISK_LAYOUTS`; empty for `single` on one disk and `raid1` on several.
    """

    name: str
    voter: bool = False
    services: tuple[str, ...] = ()
    disk_layout: str = ""


@dataclass(frozen=True)
class Service:
    """A service of the catalogue with the inventory's overrides.

    Attributes:
        port: API port; TCP, for `dns` also UDP.
        raft_port, gossip_port: None where the service has none.
        health_port: where `https://NODE.DOMAIN:PORT/health` answers; None when health is not asked over HTTPS.
        verify_tls: True: the cluster's CA; a path: that CA file; False: not verified, which shows on screen.
        data: directory on the node that holds its data; "" where none is known, so that it is not backed up.
        unit: systemd unit, "" for NAME.service.
    """

    name: str
    port: int
    raft_port: int | None = None
    gossip_port: int | None = None
    health_port: int | None = None
    verify_tls: bool | str = True
    data: str = ""
    unit: str = ""

    @property
    def unit_name(self) -> str:
        return self.unit or f"{self.name}.service"


@dataclass(frozen=True)
class Inventory:
    """A loaded inventory.

    Attributes:
        path: the file it was read from.
        nodes: by name, in the file's order, ranges unfolded.
        bmcs: by node name; a node without one is missing here.
        ssh_entries: by node name; only nodes with an `ssh` of their own.
        ca: file with the CA of the cluster's services, "" for the system's CAs.
        token: bearer token for IAM; not given when `token.given` is False.
        flake: what nix understands as a flake, empty for none.
        tools: directory that is searched before PATH for nix and the like; empty for none.
        secrets: directory with one directory of files per node, which an installation takes along; empty for none.
        warnings: what is suspicious but usable.
    """

    path: Path
    cluster: str
    domain: str
    environment: str
    nodes: dict[str, Node]
    bmcs: dict[str, BmcEntry]
    networks: dict[str, Network] = field(default_factory=dict)
    pxe: Pxe = Pxe()
    logs: tuple[LogSource, ...] = ()
    ssh: Ssh = Ssh()
    ssh_entries: dict[str, SshEntry] = field(default_factory=dict)
    flake: str = ""
    tools: str = ""
    secrets: str = ""
    policy: Policy = Policy()
    profiles: dict[str, Profile] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    ca: str = ""
    token: Secret = field(default_factory=Secret)
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def flake_directory(self) -> Path | None:
        """Where the flake's files lie on this host; None when it lies elsewhere, or there is none.

        A relative path is relative to the inventory's directory. Forms: nix manual, "Flake references".
        """
        uri = self.flake.partition("#")[0].partition("?")[0]
        for scheme in ("path:", "git+file:"):
            if uri.startswith(scheme):
                uri = uri.removeprefix(scheme).removeprefix("//")
                break
        else:
            if not uri.startswith(("/", ".", "~")):
                return None
        return (self.path.absolute().parent / Path(os.path.expanduser(uri))).resolve()
