"""The cluster that the machines of a simulated rack form: raft groups, guests, balancer, and who runs what."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import partial
from pathlib import Path

from plasmatui.sim.clock import Clock
from plasmatui.sim.cluster_api import Api
from plasmatui.sim.cluster_data import DataDirectories
from plasmatui.sim.cluster_dns import DnsServer
from plasmatui.sim.cluster_join import Joins
from plasmatui.sim.cluster_node import Certificates, ClusterNode, System
from plasmatui.sim.cluster_ports import DNS_PORT, RAFT_PORTS, SERVICES
from plasmatui.sim.cluster_raft import Group, NoQuorumError
from plasmatui.sim.cluster_server import ServiceServer
from plasmatui.sim.cluster_vms import Hypervisor, Vms
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.identity import Hardware
from plasmatui.sim.siteconfig import DOMAIN
from plasmatui.sim.tls import Authority
from plasmatui.sim.units import Units

WRITE_LIMIT = 2.0
"""Machine seconds that a write waits for a leader and a majority."""
GUEST_SHARE = 0.9
"""Of a node's memory, what guests may have."""
_VM_UNIT = "plasmavmc-vm@"


class Cluster:
    """See the module. `start` before use, `stop` after it.

    Args:
        directory: for certificates.
        ports: of the services, where they differ from `SERVICES`.

    Attributes:
        groups: the raft groups, `chainfire` and `flaredb`.
        nodes: every machine of the rack, by name.
        backends: of the balancer, `active` or `drain` by node.
        token: which IAM takes.
    """

    def __init__(
        self,
        clock: Clock,
        authority: Authority,
        directory: Path,
        *,
        seed: int = 1,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self.clock = clock
        self.ports = dict(ports or SERVICES)
        self.groups = {
            name: Group(name, random.Random(f"{seed}/{name}"))  # noqa: S311 - delays, not secrets
            for name in RAFT_PORTS
        }
        self.nodes: dict[str, ClusterNode] = {}
        self.vms = Vms(clock)
        self.backends: dict[str, str] = {}
        self.token = secrets.token_hex(16)
        self._seed = seed
        self._certificates = Certificates(authority, directory)
        self._api = Api(self)
        self._joins = Joins(self)
        self._data = DataDirectories()
        self._destroyed: set[str] = set()
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._ticker = asyncio.create_task(self._keep_time(), name="sim-cluster")

    async def stop(self) -> None:
        """End everything that runs here."""
        for node in self.nodes.values():
            for service in tuple(node.servers):
                self._close(node, service)
        await self.vms.stop()
        await self._joins.stop()
        tasks = tuple(self._leaving)
        if self._ticker is not None:
            self._ticker.cancel()
            tasks = (*tasks, self._ticker)
        await asyncio.gather(*tasks, return_exceptions=True)

    # Nodes

    def add_node(self, name: str, address: str, hardware: Hardware, faults: NodeFaults, profile: str) -> None:
        """A machine of the rack, before it runs anything."""
        node = ClusterNode(name, f"{name}.{DOMAIN}", address, faults, profile != "worker")
        self.nodes[name] = node
        self.vms.hypervisors[name] = Hypervisor(
            math.floor(hardware.memory_gib * 1024 * GUEST_SHARE),
            hardware.cores * hardware.sockets,
            active=partial(node.runs, "plasmavmc"),
            fails=lambda: "migration-fails" in faults,
            place=partial(self._place, node),
            displace=partial(self._displace, node),
        )

    def establish(self, names: Iterable[str]) -> None:
        """These nodes have been a healthy cluster for long, with guests, when the rack is switched on."""
        names = tuple(names)
        voters = {name for name in names if self.nodes[name].voting}
        for group in self.groups.values():
            if voters:
                group.form({name: self.raft_addr(name, group.name) for name in names}, self.clock.now(), voters=voters)
        for name in names:
            self.backends[name] = "active"
            self.vms.create(name, random.Random(f"{self._seed}/{name}/vms"))  # noqa: S311 - sizes, not secrets

    def raft_addr(self, name: str, group: str) -> str:
        return f"{self.nodes[name].address}:{RAFT_PORTS[group]}"

    def system_changed(self, name: str, system: System | None) -> None:
        """A run of an installed system begins, its units defined and the services not active yet; None: it has ended.

        A system ends by the end of its units, which the cluster hears of from them.
        """
        if system is None:
            return
        node = self.nodes[name]
        reinstalled = node.system is not None and node.system is not system
        node.system, node.units = system, system.units
        self._joins.forget(name)
        if reinstalled:
            self.wiped(name)
        self.backends.setdefault(name, "active")
        system.on_look = partial(self._save, node)
        system.units.on_change(partial(self._unit_changed, node, system.units))
        system.units.on_reload(partial(self._unit_reloaded, node, system.units))

    def wiped(self, name: str) -> None:
        """A node's data are gone: its disk was wiped."""
        now = self.now()
        self._data.forget(name)
        for group in self.groups.values():
            group.wipe(name, now)
        self.poke()

    def faults_changed(self, name: str) -> None:
        """A node's faults are others now."""
        lagging = "raft-lagging" in self.nodes[name].faults
        now = self.now()
        for group in self.groups.values():
            group.lag(name, lagging, now)
        if "data-lost" not in self.nodes[name].faults:
            self._destroyed.discard(name)
        elif name not in self._destroyed:
            self._destroyed.add(name)
            for group in self.groups.values():
                self._data.destroy(self.nodes[name], group, now)
        self.poke()

    def _save(self, node: ClusterNode) -> None:
        """Let the disk show what a node's running services hold."""
        for group in self.groups.values():
            if node.runs(group.name):
                self._data.save(node, group)

    # Units

    def _unit_changed(self, node: ClusterNode, units: Units, unit: str, active: bool) -> None:
        if node.units is not units:
            return
        name = unit.removesuffix(".service")
        now = self.now()
        self.poke()
        if name in self.groups and not self._with_data(node, units, self.groups[name], active=active):
            return
        if name in self.ports:
            if active and not self._open(node, name):
                return
            if not active:
                self._close(node, name)
        for group in self.groups.values():
            if name == self.raft_unit(node, group.name):
                (group.start if active else group.stop)(node.name, now)
            if name == f"{group.name}-cluster-join" and active:
                self._joins.begin(node, units, group)
        if name == "plasmavmc":
            if active:
                for vm in self.vms.on(node.name):
                    self._place(node, vm.id)
            else:
                self.vms.kill(node.name, "plasmavmc stopped")
        elif name.startswith(_VM_UNIT) and not active:
            self.vms.kill(node.name, f"{unit} stopped", name.removeprefix(_VM_UNIT))

    def _with_data(self, node: ClusterNode, units: Units, group: Group, *, active: bool) -> bool:
        """A service starts from its directory, or leaves it whole; False: it cannot start."""
        if not active:
            self._data.save(node, group)
            return True
        problem = self._data.load(node, group, self.now())
        if problem:
            units.log(group.name, {"level": "ERROR", "message": problem}, priority=3)
            units.fail(group.name)
        return not problem

    def _unit_reloaded(self, node: ClusterNode, units: Units, unit: str) -> None:
        """A service reads its certificate again, and goes on with the old one when it cannot."""
        service = unit.removesuffix(".service")
        if node.units is not units or service not in node.servers:
            return
        try:
            self._certificates.started(node, service)
        except ssl.SSLError as error:
            message = f"certificate {node.name}-cert.pem: {error.reason or error}; the old one stays"
            units.log(service, {"level": "ERROR", "message": message}, priority=3)

    def raft_unit(self, node: ClusterNode, group: str) -> str:
        """The unit that keeps a node's membership: workers run no chainfire, and their plasmavmc does."""
        return group if node.units is not None and group in node.units else "plasmavmc"

    def _open(self, node: ClusterNode, service: str) -> bool:
        """Let a service listen; False: its unit has failed."""
        assert node.units is not None
        address = (node.address, self.ports[service])
        try:
            self._certificates.started(node, service)
            server = ServiceServer(
                address,
                partial(self._api.answer, node, service),
                partial(self._certificates.context, node, service),
                partial(self._headers, node),
            )
            server.start()
            node.servers[service] = server
            if service == "flashdns":
                self._open_dns(node)
        except ssl.SSLError as error:
            problem = f"certificate {node.name}-cert.pem: {error.reason or error}"
        except OSError as error:
            problem = f"bind {address[0]}:{address[1]}: {error.strerror or error}"
        else:
            message = f"Listening on {address[0]}:{address[1]}"
            node.units.log(service, {"level": "INFO", "message": message})
            return True
        self._close(node, service)
        node.units.log(service, {"level": "ERROR", "message": problem}, priority=3)
        node.units.fail(service)
        return False

    def _close(self, node: ClusterNode, service: str) -> None:
        server = node.servers.pop(service, None)
        if server is not None:
            for task in server.stop():
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

        if service == "flashdns" and node.dns is not None:
            node.dns.stop()
            node.dns = None

    def _open_dns(self, node: ClusterNode) -> None:
        dns = DnsServer((node.address, DNS_PORT), self._lookup, lambda: "service-silent" in node.faults)
        dns.start()
        node.dns = dns

    def _lookup(self, name: str) -> tuple[str, ...] | None:
        """Addresses of a node, or of all that vote for the name of the domain; the name of an address."""
        if name.endswith(".in-addr.arpa"):
            address = ".".join(reversed(name.split(".")[:-2]))
            return next(((f"{each}.{DOMAIN}",) for each, node in self.nodes.items() if node.address == address), None)
        if name == DOMAIN:
            return tuple(node.address for node in self.nodes.values() if node.voting)
        node = self.nodes.get(name.removesuffix(f".{DOMAIN}"))
        return (node.address,) if node is not None and name.endswith(f".{DOMAIN}") else None

    def _headers(self, node: ClusterNode) -> dict[str, str]:
        return {"Date": formatdate(time.time() + node.faults.number("clock-skew"), usegmt=True)}

    def _place(self, node: ClusterNode, vm: str) -> None:
        if node.units is not None:
            node.units.define(f"{_VM_UNIT}{vm}", f"Virtual machine {vm}", enabled=False)
            node.units.start(f"{_VM_UNIT}{vm}")

    def _displace(self, node: ClusterNode, vm: str) -> None:
        if node.units is not None and f"{_VM_UNIT}{vm}" in node.units:
            node.units.stop(f"{_VM_UNIT}{vm}")

    # Time

    def now(self) -> float:
        """The time, with everything done that was due."""
        now = self.clock.now()
        for group in self.groups.values():
            group.advance(now)
        return now

    def poke(self) -> None:
        """Something has changed: those who wait for it look again."""
        self._wake.set()

    async def changed(self) -> None:
        """Wait until something may have changed."""
        await self._news.wait()

    async def _keep_time(self) -> None:
        while True:
            self._wake.clear()
            self.now()
            news, self._news = self._news, asyncio.Event()
            news.set()
            due = min((due for group in self.groups.values() if (due := group.due()) is not None), default=None)
            wait = None if due is None else max(0.0, due - self.clock.now()) / self.clock.speed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def with_quorum(self, change: Callable[[float], object]) -> None:
        """Make a change to a group, waiting a short time for the leader and majority that it needs.

        Raises:
            NoQuorumError: there was none in time.
            RaftError: the change is refused.
        """
        deadline = self.clock.now() + WRITE_LIMIT
        while True:
            try:
                change(self.now())
            except NoQuorumError:
                left = (deadline - self.clock.now()) / self.clock.speed
                if left <= 0:
                    raise
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self.changed()
            else:
                self.poke()
                return
