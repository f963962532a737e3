"""Nodes for tests: inventories whose nodes are servers on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from plasmatui.inventory.inventory import Inventory, Ssh, SshEntry
from plasmatui.model.node import Node
from plasmatui.remote.hosts import Hosts
from tests.unit.remote.opensshd import OpenSshd
from tests.unit.watch.sources.sshd import Sshd

Server = Sshd | OpenSshd


def inventory(nodes: dict[str, SshEntry], ssh: Ssh) -> Inventory:
    return Inventory(
        path=Path("i.yaml"),
        cluster="c",
        domain="",
        environment="",
        nodes={name: Node(name) for name in nodes},
        bmcs={},
        ssh=ssh,
        ssh_entries=nodes,
    )


def public_key(server: Server) -> str:
    return str(server.host_key.export_public_key().decode().strip())


@dataclass
class Rig:
    """A server and an engine's hosts, of which `node01` is that server. What the servers are sure of is known."""

    server: Server
    directory: Path
    ssh: Ssh
    hosts: Hosts = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = self.made()

    @property
    def entry(self) -> SshEntry:
        return SshEntry("127.0.0.1", self.server.port)

    @property
    def inventory(self) -> Inventory:
        return inventory({"node01": self.entry}, self.ssh)

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    def made(self, of: Inventory | None = None, limit: float = 10) -> Hosts:
        found = of or self.inventory
        return Hosts(found, self.directory / "own", known_hosts=[self.known_hosts], connect_limit=limit)

    def know(self, key: str = "") -> None:
        """Put a key, or the server's, into the system's known_hosts."""
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{self.server.port} {key or public_key(self.server)}\n")


def another_key(kind: str = "ssh-ed25519") -> str:
    return str(asyncssh.generate_private_key(kind).export_public_key().decode().strip())
