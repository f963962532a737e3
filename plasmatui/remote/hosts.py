"""The nodes of an inventory over SSH: one `Host` per system, shared by everything in the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.command import CommandError
from plasmatui.remote.connections import Connections
from plasmatui.remote.failures import ConnectError, Why
from plasmatui.remote.host import Host
from plasmatui.remote.hostkeys import Fingerprint
from plasmatui.remote.knownhosts import HostKeyFile
from plasmatui.remote.opener import CONNECT_LIMIT, Opener
from plasmatui.remote.target import Role, target_of
from plasmatui.remote.trust import AcceptNew, Strict, Trust


class Hosts:
    """Hosts by node and role. The connections of a node's installer and of its installed system are never mixed.

    Args:
        keys_file: the engine's own file of host keys.
        known_hosts: the system's files of host keys; None for the usual ones.
    """

    def __init__(
        self,
        inventory: Inventory,
        keys_file: Path,
        *,
        known_hosts: Sequence[Path] | None = None,
        connect_limit: float = CONNECT_LIMIT,
    ) -> None:
        self.keys = HostKeyFile(keys_file)
        self._inventory = inventory
        self._known_hosts = known_hosts
        self._opener = Opener(inventory.ssh, self.keys, known_hosts=known_hosts, connect_limit=connect_limit)
        self._hosts: dict[tuple[str, Role], Host] = {}

    def installer(self, node: str, trust: Trust) -> Host:
        """The installer that a node runs now. The same trust gives the same host; another one, as at the next boot, a
        new host, and the old one connects no more.

        Raises:
            CommandError: id "ssh-refused": the node or its address is not known, or `AcceptNew` is not allowed.
        """
        if isinstance(trust, AcceptNew) and self._inventory.ssh.host_keys != "accept-new":
            raise CommandError(
                "ssh-refused",
                f"{node}: the installer's host key was not seen on its serial console, and the inventory wants it: "
                "boot an image that prints its fingerprint there, or allow to do without by "
                "`ssh: {host_keys: accept-new}`",
                lasting=True,
            )
        return self._host(node, Role.INSTALLER, trust)

    async def offered(self, node: str, role: Role) -> Fingerprint:
        """The host key that a node shows now, believed by nobody yet: for a person to compare.

        Raises:
            CommandError: "ssh-refused": the node or its address is not known, or nothing answers.
        """
        return await self._opener.offered(target_of(self._inventory, node, role))

    def system(self, node: str) -> Host:
        """The system that is installed on a node; its host key must be known.

        Raises:
            CommandError: id "ssh-refused": the node or its address is not known.
        """
        return self._host(node, Role.SYSTEM, Strict())

    def by_key(self, node: str, key: str) -> Host:
        """The installed system over a connection of its own, logged in to with another private key and no other. Who
        asks for it ends it (`shut`).

        Args:
            key: file of the private key.

        Raises:
            CommandError: id "ssh-refused": the node or its address is not known.
        """
        return Host(replace(target_of(self._inventory, node, Role.SYSTEM), key=key), Strict(), self._opener)

    async def lets_in(self, host: str, key: str) -> bool:
        """Whether a host that is no node (`[user@]host[:port]`: a jump host, one with logs) lets a private key in.

        Raises:
            CommandError: it cannot be asked.
        """
        connections = Connections(replace(self._inventory.ssh, key=key), known_hosts=self._known_hosts)
        try:
            await connections.connection(host)
        except CommandError as error:
            if isinstance(error, ConnectError) and error.why is Why.DENIED:
                return False
            raise
        finally:
            await connections.close()
        return True

    def retarget(self, inventory: Inventory) -> None:
        """Use another inventory from now on. What runs goes on, and hosts that stay keep their connections."""
        self._inventory = inventory
        self._opener.log_in_by(inventory.ssh)
        for (node, role), host in list(self._hosts.items()):
            try:
                host.move(target_of(inventory, node, role))
            except CommandError as error:
                host.leave(error.message)
                del self._hosts[node, role]

    async def close(self) -> None:
        """End every connection."""
        hosts = list(self._hosts.values())
        self._hosts.clear()
        await asyncio.gather(*(host.shut("the engine ends") for host in hosts))
        await self._opener.close()

    def _host(self, node: str, role: Role, trust: Trust) -> Host:
        target = target_of(self._inventory, node, role)
        known = self._hosts.get((node, role))
        if known is not None and known.trust == trust:
            return known
        if known is not None:
            known.leave("the node was booted again since")
        host = self._hosts[node, role] = Host(target, trust, self._opener)
        return host
