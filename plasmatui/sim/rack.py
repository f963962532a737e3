"""A whole simulated rack in one process: machines, their BMCs, the inventory that describes them."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType

from plasmatui.model.words import PowerAction
from plasmatui.sim import addresses, inventory_file, siteconfig
from plasmatui.sim.bootfiles import Client
from plasmatui.sim.clock import Clock
from plasmatui.sim.cluster import Cluster
from plasmatui.sim.cluster_ports import choose
from plasmatui.sim.control import ControlSocket
from plasmatui.sim.faults import UEFI_ONLY, FaultError, NodeFaults, group, parse_fault
from plasmatui.sim.identity import Identity, make_identity, node_name
from plasmatui.sim.ipmi_commands import COMMANDS
from plasmatui.sim.ipmi_server import IpmiBmc
from plasmatui.sim.machine import Machine
from plasmatui.sim.provisioning import Member, ProvisioningHost
from plasmatui.sim.redfish import RedfishBmc
from plasmatui.sim.services import BootServices, ServiceOptions
from plasmatui.sim.session import Privilege, User
from plasmatui.sim.sshd import Sshd, free_port
from plasmatui.sim.tls import Authority

HOUSEKEEPING = 1.0
SOCKET_PATH_LIMIT = 107  # bytes, unix(7)
MAX_NODES = 4000


@dataclass(frozen=True)
class RackOptions:
    """What a rack is made of.

    Attributes:
        nodes: how many machines, 1 to 4000.
        seed: the same seed gives the same machines, serial numbers and timing.
        speed: machine seconds per second. BMC protocol timers are not scaled.
        redfish: how many of them, counted from the last, have a Redfish BMC (and IPMI for the console).
        faults: by node, or as `NODE=FAULT` words.
        on: how many machines run already, counted from the first; None: a third.
        voters: how many of them, counted from the first, have the profile that votes; None: see `inventory_file`.
        address, port: see `addresses.reserve`.
        directory: where inventory, password and certificates are written; None: a temporary directory.
        username, password: of the account with administrator privilege; password None: a random one. The user
            `operator` has the same password and operator privilege.
        slots: sessions that an IPMI BMC holds at once.
        console_rate: bytes per second of numbered lines that running machines write instead of boot text, with flow
            control; 0: none.
        boot: the boot server that the machines find on their network.
        strangers: machines that no inventory knows, and that ask the boot server again and again from the start on.
        exit_when_idle: `serve` ends when for so many seconds no BMC session was open; None: never.
    """

    nodes: int = 12
    seed: int = 1
    speed: float = 1.0
    redfish: int = 0
    faults: Mapping[str, str | Iterable[str]] | tuple[str, ...] = field(default_factory=dict)
    on: int | None = None
    voters: int | None = None
    address: str | None = None
    port: int | None = None
    directory: Path | None = None
    username: str = "admin"
    password: str | None = None
    slots: int = 8
    console_rate: float = 0.0
    boot: ServiceOptions = field(default_factory=ServiceOptions)
    strangers: int = 0
    exit_when_idle: float | None = None


@dataclass
class Node:
    """A machine with its BMCs."""

    machine: Machine
    ipmi: IpmiBmc
    redfish: RedfishBmc | None
    sshd: Sshd
    entry: inventory_file.Entry


class Rack:
    """A running rack: `async with Rack(options) as rack`.

    Attributes:
        machines: by node name.
        inventory_path, password, token_path, ca_path, control_path: for those who connect.
        attached: set when somebody has asked a BMC.
        idle: set when `exit_when_idle` has passed.

    Raises:
        ValueError, FaultError: the options make no sense.
        addresses.AddressError: no free addresses.
        OSError: the directory cannot be written.
    """

    def __init__(self, options: RackOptions | None = None) -> None:
        self.options = options or RackOptions()
        if not 1 <= self.options.nodes <= MAX_NODES:
            raise ValueError(f"a rack has 1 to {MAX_NODES} nodes, not {self.options.nodes}")
        if not 0 <= self.options.redfish <= self.options.nodes:
            raise ValueError(f"{self.options.redfish} Redfish nodes of {self.options.nodes}")
        self._faults = group(self.options.faults)
        self._check_names(self._faults)
        self.clock = Clock(self.options.speed)
        self.password = self.options.password or secrets.token_hex(8)
        self.nodes: dict[str, Node] = {}
        self.attached = asyncio.Event()
        self.idle = asyncio.Event()
        self.ca_path = Path()
        self._services: BootServices | None = None
        self._cluster: Cluster | None = None
        self._strangers: list[Machine] = []
        self._addresses: addresses.NodeAddresses | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._directory = Path()
        self._ssh_port = 0
        self._provisioning: ProvisioningHost | None = None
        self._control: ControlSocket | None = None
        self._housekeeper: asyncio.Task[None] | None = None
        self._resets: dict[str, float] = {}
        self._busy_at = time.monotonic()

    @property
    def machines(self) -> dict[str, Machine]:
        return {name: node.machine for name, node in self.nodes.items()}

    @property
    def services(self) -> BootServices:
        """The boot server of a rack that was started."""
        assert self._services is not None
        return self._services

    @property
    def cluster(self) -> Cluster:
        """The cluster that the machines of a started rack form."""
        assert self._cluster is not None
        return self._cluster

    @property
    def inventory_path(self) -> Path:
        return self._directory / "inventory.yaml"

    @property
    def password_path(self) -> Path:
        return self._directory / "bmc-password"

    @property
    def token_path(self) -> Path:
        return self._directory / "iam-token"

    @property
    def provisioning(self) -> ProvisioningHost:
        """Flake, secrets, SSH key and tools of a rack that was started."""
        assert self._provisioning is not None
        return self._provisioning

    @property
    def control_path(self) -> Path:
        return self._directory / "control.sock"

    @property
    def sessions(self) -> int:
        """Sessions that are open now on all BMCs, IPMI and Redfish."""
        return sum(
            len(node.ipmi.sessions) + (node.redfish.sessions if node.redfish is not None else 0)
            for node in self.nodes.values()
        )

    async def __aenter__(self) -> Rack:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def set_fault(self, node: str, fault: str) -> None:
        """Give a node a fault now, as `name` or `name=number`.

        Raises:
            FaultError: no such node or fault.
        """
        self._check_names([node])
        machine = self.nodes[node].machine
        if parse_fault(fault)[0] in UEFI_ONLY and not machine.identity.uefi:
            able = ", ".join(name for name, other in self.machines.items() if other.identity.uefi)
            raise FaultError(f"fault {fault}: {node} is a BIOS machine; with UEFI there are: {able or 'none'}")
        name = machine.faults.set(fault)
        await self._apply(node, name)

    async def clear_faults(self, node: str, fault: str | None = None) -> None:
        """Take one fault, or all, from a node.

        Raises:
            FaultError: no such node.
        """
        self._check_names([node])
        self.nodes[node].machine.faults.clear(fault)
        await self._apply(node, "")

    async def _start(self) -> None:
        options = self.options
        if options.directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="plasmatui-sim-")
            self._directory = Path(self._temporary.name)
        else:
            self._directory = options.directory.resolve()
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(os.fsencode(self.control_path)) > SOCKET_PATH_LIMIT:
            raise ValueError(f"{self._directory} is too long a path for a Unix socket; choose a shorter directory")
        first_redfish = options.nodes - options.redfish
        redfish = frozenset(range(first_redfish, options.nodes))
        authority = Authority(self._directory / "tls")
        self.ca_path = authority.ca_path
        self._services = BootServices(options.boot, self._directory / "logs", self.clock)
        _, network = addresses.networks(options.address or "127.0.0.1")
        self._addresses = addresses.reserve_nodes(options.nodes, network)
        endpoints = addresses.reserve(options.nodes, redfish, options.address, options.port)
        ports = choose(self._addresses.addresses[0])
        self._cluster = Cluster(self.clock, authority, self._directory / "tls", seed=options.seed, ports=ports)
        users = self._users()
        self._provisioning = ProvisioningHost(self._directory, authority)
        self._ssh_port = free_port(self._addresses.addresses[0])
        while endpoints:
            try:
                await self._add(len(self.nodes), endpoints[0], users, authority)
            except BaseException:
                for endpoint in endpoints:
                    endpoint.close()
                raise
            endpoints.pop(0)
        await self.services.start()
        members = [self._member(node.entry.identity, node.entry.profile) for node in self.nodes.values()]
        self.provisioning.start(members, options.speed, self._running, self._ssh_port)
        self._write_inventory()
        for name, faults in self._faults.items():
            for fault in faults:
                await self.set_fault(name, fault)
        running = list(self.nodes)[: self._running]
        self.cluster.establish(running)
        await self.cluster.start()
        for name in running:
            self.nodes[name].machine.start_running()
        for number in range(options.strangers):
            self._strangers.append(self._stranger(number))
        self._control = ControlSocket(self, self.control_path)
        await self._control.start()
        self._housekeeper = asyncio.create_task(self._housekeeping(), name="sim-housekeeping")

    def _stranger(self, number: int) -> Machine:
        """A machine without a BMC that we know, switched on."""
        identity = make_identity(self.options.nodes + number, self.options.nodes + number + 1, self.options.seed)
        faults = NodeFaults()
        faults.set("unknown-mac")
        machine = Machine(identity, self.clock, faults, self.services, tireless=True)
        machine.order(PowerAction.ON)
        return machine

    def _users(self) -> dict[bytes, User]:
        secret = self.password.encode()
        return {
            self.options.username.encode(): User(secret, Privilege.ADMIN, 2),
            b"operator": User(secret, Privilege.OPERATOR, 3),
        }

    async def _add(
        self, index: int, endpoint: addresses.Endpoint, users: dict[bytes, User], authority: Authority
    ) -> None:
        options = self.options
        identity = make_identity(index, options.nodes, options.seed)
        if self._addresses is not None:
            identity = replace(identity, production=IPv4Address(self._addresses.addresses[index]))
        profile = inventory_file.profile_of(index, self._voters)
        machine = Machine(identity, self.clock, NodeFaults(), self.services, profile, options.console_rate)
        machine.address = str(identity.production)
        machine.furnish = lambda files: self.provisioning.furnish(self._member(identity, profile), files)
        self.services.clients[str(identity.provisioning)] = Client(
            identity.name, profile, identity.macs, machine.faults
        )
        loop = asyncio.get_running_loop()
        _, bmc = await loop.create_datagram_endpoint(
            lambda: IpmiBmc(machine, users, options.slots, COMMANDS, self._touched), sock=endpoint.ipmi
        )
        redfish = None
        port, driver = endpoint.ipmi_port, "ipmi"
        if endpoint.https is not None:
            port, driver = endpoint.https_port, "redfish"
            redfish = RedfishBmc(machine, users, authority, endpoint.address, endpoint.ipmi_port, self._touched)
            await redfish.start(endpoint.https)
        sshd = Sshd(machine.address, self._ssh_port, lambda: self.provisioning.configured_keys, machine.faults)
        machine.on_host(sshd.host_changed)
        entry = inventory_file.Entry(identity, profile, endpoint.address, port, driver)
        self.nodes[identity.name] = Node(machine, bmc, redfish, sshd, entry)
        self.cluster.add_node(identity.name, machine.address, identity.hardware, machine.faults, profile)
        machine.on_system(partial(self.cluster.system_changed, identity.name))

    def _member(self, identity: Identity, profile: str) -> Member:
        count = self.options.nodes
        voters = [node_name(index, count) for index in range(self._voters)]
        return Member(identity, profile, siteconfig.cluster_config(identity, profile, voters))

    @property
    def _voters(self) -> int:
        """How many machines have the profile that votes."""
        return inventory_file.voters(self.options.nodes) if self.options.voters is None else self.options.voters

    @property
    def _running(self) -> int:
        """How many machines run from the start."""
        return self.options.nodes // 3 if self.options.on is None else self.options.on

    def _write_inventory(self) -> None:
        inventory_file.write_private(self.password_path, self.password + "\n")
        entries = [node.entry for node in self.nodes.values()]
        inventory_file.write_private(self.token_path, self.cluster.token + "\n")
        account = inventory_file.Account(self.options.username, self.password_path, self.token_path, self.ca_path)
        provisioning = inventory_file.Provisioning(
            self.provisioning.ssh_key, self._ssh_port, self.provisioning.known_hosts, self.provisioning.flake,
            self.provisioning.tools, self.provisioning.secrets,
        )  # fmt: skip
        text = inventory_file.render(entries, account, self.services, self.cluster.ports, provisioning)
        inventory_file.write_private(self.inventory_path, text)

    async def _stop(self) -> None:
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        if self._control is not None:
            await self._control.stop()
        for node in self.nodes.values():
            await node.machine.stop()
            node.sshd.close()
            node.ipmi.close()
            if node.redfish is not None:
                await node.redfish.stop()
        for stranger in self._strangers:
            await stranger.stop()
        if self._cluster is not None:
            await self._cluster.stop()
        if self._provisioning is not None:
            await self._provisioning.stop()
        if self._services is not None:
            await self._services.stop()
        if self._addresses is not None:
            self._addresses.close()
        await asyncio.sleep(0)  # datagram transports close their sockets in the next turn of the loop
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _apply(self, name: str, fault: str) -> None:
        """Effects of a change of faults that nobody asks for later."""
        node = self.nodes[name]
        node.sshd.faults_changed()
        self.provisioning.faults_changed(name, node.machine.faults)
        if fault == "sol-held":
            if node.ipmi.sol is not None:
                node.ipmi.sol.deactivated()
            node.ipmi.deactivate()
            node.ipmi.held = True
        elif "sol-held" not in node.machine.faults:
            node.ipmi.held = False
        if fault == "sol-disabled":
            node.ipmi.deactivate()
        if "bmc-resets" in node.machine.faults:
            self._resets.setdefault(name, time.monotonic() + node.machine.faults.number("bmc-resets"))
        else:
            self._resets.pop(name, None)
        if node.redfish is not None:
            await node.redfish.faults_changed()
        self.cluster.faults_changed(name)

    def _touched(self) -> None:
        self._busy_at = time.monotonic()
        self.attached.set()

    async def _housekeeping(self) -> None:
        """Ends idle sessions, restarts BMCs that have to, and notices that nobody is connected."""
        limit = self.options.exit_when_idle
        while True:
            await asyncio.sleep(HOUSEKEEPING if limit is None else min(HOUSEKEEPING, limit / 4))
            now = time.monotonic()
            for node in self.nodes.values():
                node.ipmi.sessions.expire()
                if node.redfish is not None:
                    node.redfish.expire()
            for name, due in tuple(self._resets.items()):
                if now >= due:
                    node = self.nodes[name]
                    self._resets[name] = now + node.machine.faults.number("bmc-resets")
                    node.ipmi.cold_reset(pause=False)
                    if node.redfish is not None:
                        node.redfish.forget_sessions()
            if self.sessions:
                self._busy_at = now
            elif limit is not None and now - self._busy_at >= limit:
                self.idle.set()

    def _check_names(self, names: Iterable[str]) -> None:
        known = {node_name(index, self.options.nodes) for index in range(self.options.nodes)}
        unknown = sorted(set(names) - known)
        if unknown:
            raise FaultError(f"no node {', '.join(unknown)}; there are {min(known)} to {max(known)}")
