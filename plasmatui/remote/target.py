"""Where and how a node is reached, worked out from the inventory."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from plasmatui.inventory.catalogue import DEFAULT_SSH_PORT
from plasmatui.inventory.inventory import Inventory, SshEntry
from plasmatui.model.command import CommandError


class Role(enum.StrEnum):
    """Which system of a node is meant: both may answer at one address, with different keys."""

    INSTALLER = "installer"
    SYSTEM = "system"


@dataclass(frozen=True)
class Target:
    """One system of one node. `key` and `jump` as in the inventory; `sudo` only when the user is not root."""

    node: str
    role: Role
    address: str
    port: int
    user: str
    key: str = ""
    jump: str = ""
    sudo: bool = False

    @property
    def known_as(self) -> str:
        """The name in the engine's file of host keys: a key belongs to a system, whatever its address is now."""
        return known_as(self.node, self.role)

    @property
    def place(self) -> str:
        """Address as known_hosts writes it."""
        return self.address if self.port == DEFAULT_SSH_PORT else f"[{self.address}]:{self.port}"

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_SSH_PORT else f" port {self.port}"
        what = "installer, " if self.role is Role.INSTALLER else ""
        return f"{self.node} ({what}{self.address}{port})"


def known_as(node: str, role: Role) -> str:
    """See `Target.known_as`."""
    return node if role is Role.SYSTEM else f"{node}.installer"


def target_of(inventory: Inventory, node: str, role: Role) -> Target:
    """An installer is reached by provisioning_ip, a system by production_ip, else by provisioning_ip; the node's own
    `ssh` wins in both.

    Raises:
        CommandError: id "ssh-refused": the inventory does not know the node, or no address of it.
    """
    entry = inventory.nodes.get(node)
    if entry is None:
        raise CommandError("ssh-refused", f"{node} is not in the inventory (any more)", lasting=True)
    own = inventory.ssh_entries.get(node, SshEntry())
    at_home = entry.provisioning_ip if role is Role.INSTALLER else entry.production_ip or entry.provisioning_ip
    address = own.address or at_home
    if not address:
        wanted = "provisioning_ip" if role is Role.INSTALLER else "production_ip"
        raise CommandError(
            "ssh-refused", f"{node} has no {wanted} and no ssh.address in the inventory; add one of them", lasting=True
        )
    ssh = inventory.ssh
    return Target(
        node=node,
        role=role,
        address=address,
        port=own.port or ssh.port or DEFAULT_SSH_PORT,
        user=ssh.user,
        key=ssh.key,
        jump=ssh.jump,
        sudo=ssh.sudo and ssh.user != "root",
    )
