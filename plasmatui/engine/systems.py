"""Installers and installed systems over SSH, and the cluster's services: made when first used, kept for the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasmatui.inventory.inventory import Inventory
from plasmatui.model import wire
from plasmatui.model.command import CommandError
from plasmatui.operations.endings import NodeFailedError
from plasmatui.paths import EnginePaths
from plasmatui.text import clean_line

if TYPE_CHECKING:  # asyncssh and httpx take a fifth of a second each
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.remote.hosts import Hosts


class Systems:
    """What operations reach beside the BMCs."""

    def __init__(self, inventory: Inventory, paths: EnginePaths) -> None:
        self._inventory = inventory
        self._paths = paths
        self._hosts: Hosts | None = None
        self._cluster: ClusterClients | None = None

    @property
    def hosts(self) -> Hosts:
        """SSH to the nodes."""
        if self._hosts is None:
            from plasmatui.remote.hosts import Hosts

            self._hosts = Hosts(self._inventory, self._paths.known_hosts)
        return self._hosts

    @property
    def cluster(self) -> ClusterClients:
        """The APIs of the cluster's services."""
        if self._cluster is None:
            from plasmatui.cluster.clients import ClusterClients

            self._cluster = ClusterClients(self._inventory)
        return self._cluster

    async def query(self, node: str, what: str) -> wire.NodeAnswer:
        """What an installed system says of itself; see `requests.SYSTEM_QUERIES`."""
        from plasmatui.operations.generations import read_generations

        assert what == "generations"
        try:
            return wire.NodeAnswer(node, generations=await read_generations(node, self.hosts.system(node)))
        except (CommandError, NodeFailedError) as error:
            return wire.NodeAnswer(node, wire.Problem(error.id, clean_line(error.message)))

    async def retarget(self, inventory: Inventory) -> None:
        """Use the nodes and addresses of `inventory` from now on."""
        self._inventory = inventory
        if self._hosts is not None:
            self._hosts.retarget(inventory)
        if self._cluster is not None:
            await self._cluster.retarget(inventory)

    async def close(self) -> None:
        """End every connection."""
        if self._hosts is not None:
            await self._hosts.close()
        if self._cluster is not None:
            await self._cluster.close()
