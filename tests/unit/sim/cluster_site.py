"""A simulated cluster without machines: installed systems that tests boot and halt, and a client that verifies TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from plasmatui.sim import addresses
from plasmatui.sim.clock import Clock
from plasmatui.sim.cluster import Cluster
from plasmatui.sim.cluster_ports import choose
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.identity import MODELS
from plasmatui.sim.siteconfig import DOMAIN
from plasmatui.sim.system import CLUSTER_CONFIG, InstalledSystem, past_builds
from plasmatui.sim.tls import Authority

CONTROL_PLANE = ("chainfire", "flaredb", "iam", "plasmavmc", "prismnet", "flashdns", "fiberlb")
WORKER = ("plasmavmc", "prismnet")
VOTERS = ("node01", "node02", "node03")


async def until(condition: Callable[[], object], limit: float = 10.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - state without an event
            await asyncio.sleep(0.002)


class Site:
    """Nodes 1 to 3 are the control plane, the rest are workers."""

    def __init__(self, directory: Path, network: addresses.NodeAddresses, speed: float) -> None:
        self.clock = Clock(speed)
        self.authority = Authority(directory)
        self.faults: dict[str, NodeFaults] = {}
        self.systems: dict[str, InstalledSystem] = {}
        self.cluster = Cluster(self.clock, self.authority, directory, ports=choose(network.addresses[0]))
        for number, address in enumerate(network.addresses, 1):
            name = f"node{number:02d}"
            self.faults[name] = NodeFaults()
            profile = "control-plane" if name in VOTERS else "worker"
            self.cluster.add_node(name, address, MODELS[2], self.faults[name], profile)
        self.client = httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(self.authority.ca_path)))

    def install(self, name: str, *, config: dict[str, object] | None = None, blank: bool = False) -> InstalledSystem:
        """Put a fresh system on a node's disk, with the site's `cluster-config.json` unless told otherwise."""
        if name in self.systems:
            self.systems[name].units.stop_all()
        services = CONTROL_PLANE if name in VOTERS else WORKER
        system = self.systems[name] = InstalledSystem(past_builds(name, services)[-1], self.clock.wall)
        if not blank:
            text = json.dumps(self.config(name) if config is None else config)
            system.files.mkdir("/etc/nixos/secrets", parents=True)
            system.files.put(CLUSTER_CONFIG, text.encode(), 0o600)
        return system

    def config(self, name: str) -> dict[str, object]:
        voter = name in VOTERS
        config: dict[str, object] = {
            "node_id": name,
            "node_role": "control-plane" if voter else "worker",
            "bootstrap": voter,
            "cluster_name": "sim",
            "leader_url": f"https://node01.{DOMAIN}:2379",
            "raft_addr": f"{self.cluster.nodes[name].address}:2380",
        }
        if voter:
            config["initial_peers"] = [f"{peer}.{DOMAIN}:2380" for peer in VOTERS]
            config["flaredb_peers"] = [f"{peer}.{DOMAIN}:2480" for peer in VOTERS]
        return config

    def boot(self, *names: str) -> None:
        for name in names:
            system = self.systems[name]
            system.boot(1, f"boot of {name}")
            self.cluster.system_changed(name, system)
            system.start_units()

    def halt(self, *names: str) -> None:
        for name in names:
            self.systems[name].units.stop_all()
            self.cluster.system_changed(name, None)

    async def established(self, names: Sequence[str]) -> None:
        """These nodes run for long."""
        for name in names:
            self.install(name)
        self.cluster.establish(names)
        self.boot(*names)
        await until(lambda: all(self.healthy(name) for name in names))

    def healthy(self, name: str, group: str = "chainfire") -> bool:
        raft = self.cluster.groups[group]
        return raft.leader is not None and name in raft.members and raft.status(name) == "healthy"

    def journal(self, name: str, unit: str) -> list[str]:
        """The messages that a unit's process wrote."""
        entries = [entry for entry in self.systems[name].journal.entries if entry.unit == f"{unit}.service"]
        return [json.loads(entry.message)["message"] for entry in entries if entry.message.startswith("{")]

    async def ask(
        self, method: str, name: str, service: str, path: str, body: object = None, **more: Any
    ) -> httpx.Response:
        node = self.cluster.nodes[name]
        url = f"https://{node.address}:{self.cluster.ports[service]}{path}"
        return await self.client.request(method, url, json=body, extensions={"sni_hostname": node.host}, **more)

    async def get(self, name: str, service: str, path: str = "/health") -> Any:
        return (await self.ask("GET", name, service, path)).json()


@asynccontextmanager
async def site(directory: Path, count: int = 4, speed: float = 50.0) -> AsyncIterator[Site]:
    network = addresses.reserve_nodes(count, addresses.networks("127.0.0.1")[1])
    try:
        made = Site(directory, network, speed)
        await made.cluster.start()
        try:
            yield made
        finally:
            await made.client.aclose()
            await made.cluster.stop()
    finally:
        network.close()
