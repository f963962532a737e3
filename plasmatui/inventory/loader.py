"""From a file to an `Inventory`, or to every error in it at once."""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from pathlib import Path

from plasmatui.inventory import catalogue, fields, values
from plasmatui.inventory.fields import Problems, Section, describe, text
from plasmatui.inventory.inventory import (
    Access,
    Diagnostic,
    Inventory,
    InventoryError,
    LogSource,
    Network,
    Place,
    Policy,
    Profile,
    Pxe,
    Service,
    Tftp,
)
from plasmatui.inventory.nodes import (
    BMC_KEYS,
    BmcDefaults,
    NodeReader,
    Places,
    local_path,
    read_bmc_settings,
    read_secret,
    tls_reader,
)
from plasmatui.inventory.secrets import Secret
from plasmatui.inventory.ssh import SSH_KEYS, read_ssh
from plasmatui.inventory.tree import Mapping, Node, Scalar, parse, position
from plasmatui.model.words import Role

VERSION = 1
LARGEST_FILE = 16 * 1024 * 1024
TOP_KEYS = (
    "version", "cluster", "networks", "pxe", "logs", "bmc_defaults", "ssh", "flake", "tools", "secrets", "policy",
    "profiles", "services", "nodes",
)  # fmt: skip
CLUSTER_KEYS = ("name", "domain", "environment", "ca", "token")
DHCP_SERVERS = ("kea", "dhcpd", "dnsmasq", "dnsmasq-proxy")
TFTP_SERVERS = ("tftpd-hpa", "atftpd", "dnsmasq")
LOG_FORMATS = {
    "dhcp": ("kea", "dhcpd", "dnsmasq"),
    "tftp": ("tftpd-hpa", "atftpd", "dnsmasq"),
    "http": ("nginx-access", "nginx-error", "plasmatui-serve"),
}


@dataclass(frozen=True)
class Reading:
    """What reading a file gave: the inventory as far as it could be understood, all places, and what is wrong."""

    inventory: Inventory
    places: Places
    problems: Problems
    complete: bool  # False after a syntax error: parts of the file are missing


def load(path: Path) -> Inventory:
    """Read, check and return an inventory. Warnings do not stop it, they are in its `warnings`.

    Raises:
        InventoryError: with every error and warning of the file, in its order.
    """
    from plasmatui.inventory.checks import cross_check

    reading = read(path, read_text(path))
    if reading.complete:
        cross_check(reading.inventory, reading.places, reading.problems)
    if reading.problems.failed:
        raise InventoryError(reading.problems.diagnostics())
    return replace(reading.inventory, warnings=reading.problems.diagnostics("warning"))


def read_text(path: Path) -> str:
    """The text of an inventory file.

    Raises:
        InventoryError: it cannot be read, is no regular file, too large, or not UTF-8.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _failure(path, "found no regular file, expected an inventory in YAML")
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _failure(path, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise _failure(path, f"cannot be read: {error}") from error
    return decode(path, data)


def decode(path: Path, data: bytes) -> str:
    """The text of an inventory's bytes; a byte order mark is dropped.

    Raises:
        InventoryError: more than `LARGEST_FILE` bytes, or not UTF-8.
    """
    if len(data) > LARGEST_FILE:
        raise _failure(path, f"found more than {LARGEST_FILE >> 20} MiB, expected an inventory")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode()
        message = f"found the byte 0x{data[error.start]:02x}, expected UTF-8 text"
        raise _failure(path, message, position(good, len(good))) from None


def _failure(path: Path, message: str, at: tuple[int, int] = (1, 1)) -> InventoryError:
    return InventoryError((Diagnostic(Place(str(path), *at), "error", message),))


def read(path: Path, content: str) -> Reading:
    """Understand the text of an inventory at `path`. Raises nothing: all that is wrong is in `problems`."""
    problems = Problems(str(path))
    tree = parse(content)
    for problem in tree.problems:
        problems.error((problem.line, problem.column), problem.message)
    complete = not tree.problems
    if tree.root is None and complete:
        problems.error((1, 1), "found an empty file, expected an inventory with the keys version, cluster and nodes")
        complete = False
    reader = _Reader(problems, path.absolute().parent, {})
    inventory = reader.inventory(path, tree.root, complete)
    return Reading(inventory, reader.places, problems, complete)


@dataclass
class _Reader:
    problems: Problems
    directory: Path
    places: Places

    def inventory(self, path: Path, root: Node | None, complete: bool) -> Inventory:
        top = Section(root, "", self.problems, TOP_KEYS)
        if top.valid and complete:
            for key in ("version", "cluster", "nodes"):
                if key not in top.entries:
                    self.problems.error((1, 1), f"found no key {key}, expected one at the top level")
        self._version(top)
        cluster = self._cluster(top)
        defaults = self._section(top, "bmc_defaults", BMC_KEYS)
        self._place(defaults.at("password"), "bmc_defaults", "password")
        ssh = self._section(top, "ssh", SSH_KEYS)
        self._place(ssh.at("host_keys"), "ssh", "host_keys")
        self._place(ssh.at("key"), "ssh", "key")
        for key in ("cluster", "flake", "tools", "ssh"):
            self._place(top.at(key), key)
        profiles = self._profiles(top)
        reader = NodeReader(
            problems=self.problems,
            directory=self.directory,
            defaults=read_bmc_settings(defaults, BmcDefaults(), self.directory),
            profiles=profiles,
            places=self.places,
            nodes={},
            bmcs={},
            ssh_entries={},
        )
        reader.read(self._section(top, "nodes"))
        return Inventory(
            path=path,
            cluster=cluster.get("name", fields.as_text(values.label), ""),
            domain=cluster.get("domain", fields.as_text(values.domain), ""),
            environment=cluster.get("environment", fields.as_text(values.label), ""),
            nodes=reader.nodes,
            bmcs=reader.bmcs,
            networks=self._networks(top),
            pxe=self._pxe(top),
            logs=self._logs(top),
            ssh=read_ssh(ssh),
            ssh_entries=reader.ssh_entries,
            flake=top.get("flake", text, ""),
            tools=self._directory(top, "tools"),
            secrets=self._directory(top, "secrets"),
            policy=self._policy(top),
            profiles=profiles,
            services=self._services(top),
            ca=local_path(ca, self.directory) if (ca := cluster.get("ca", text, "")) else "",
            token=self._token(cluster),
        )

    def _directory(self, top: Section, key: str) -> str:
        """A directory's path, relative ones from the inventory's directory; it need not exist."""
        self._place(top.at(key), key)
        found = top.get(key, text, "")
        return local_path(found, self.directory) if found else ""

    def _section(self, parent: Section, key: str, known: tuple[str, ...] | None = None) -> Section:
        return Section(parent.at(key), parent.path(key), self.problems, known)

    def _place(self, node: Node | None, *key: str) -> None:
        if node is not None:
            self.places[key] = (node.line, node.column)

    def _named(self, top: Section, kind: str) -> list[tuple[str, Node]]:
        """The entries of a mapping from names to things, those whose names can be used."""
        found = []
        for name, (key, value) in self._section(top, kind).entries.items():
            try:
                if isinstance(key, Scalar) and key.kind != "text":
                    raise ValueError("a name; put it in quotes")
                values.label(name)
            except ValueError as error:
                self.problems.error(key, f"{kind}: found {describe(key)}, expected {error}")
                continue
            self._place(key, kind, name)
            found.append((name, value))
        return found

    def _version(self, top: Section) -> None:
        entry = top.entries.get("version")
        if entry is not None and not (isinstance(entry[1], Scalar) and entry[1].text == str(VERSION)):
            self.problems.error(entry[1], f"version: found {describe(entry[1])}, expected {VERSION}")

    def _cluster(self, top: Section) -> Section:
        cluster = self._section(top, "cluster", CLUSTER_KEYS)
        if cluster.valid and "cluster" in top.entries and cluster.at("name") is None:
            self.problems.error(top.entries["cluster"][0], "cluster: found no name, expected name: NAME")
        return cluster

    def _token(self, cluster: Section) -> Secret:
        node = cluster.at("token")
        self._place(cluster.at("ca"), "cluster", "ca")
        self._place(node, "cluster", "token")
        return Secret() if node is None else read_secret(node, "cluster.token", self.directory, self.problems)

    def _networks(self, top: Section) -> dict[str, Network]:
        networks: dict[str, Network] = {}
        for name, value in self._named(top, "networks"):
            entry = Section(value, f"networks.{name}", self.problems, ("cidr", "vlan", "gateway", "dns", "pool"))
            for key in ("cidr", "gateway", "dns", "pool"):
                self._place(entry.at(key), "networks", name, key)
            if entry.valid and entry.at("cidr") is None:
                message = f"networks.{name}: found no cidr, expected cidr: NETWORK/LENGTH"
                self.problems.error(self.places["networks", name], message)
            cidr = entry.get("cidr", fields.as_text(values.network), None)
            network = Network(
                name=name,
                cidr=cidr or values.network("0.0.0.0/0"),
                vlan=entry.get("vlan", fields.integer(1, 4094), None),
                gateway=entry.get("gateway", fields.as_text(values.ipv4), None),
                dns=tuple(address for address, _ in entry.each("dns", fields.as_text(values.ipv4))),
                pool=entry.get("pool", fields.as_text(values.pool), None),
            )
            if cidr is not None:
                networks[name] = network
        return networks

    def _pxe(self, top: Section) -> Pxe:
        section = self._section(top, "pxe", _PXE_KEYS)
        tftp = self._section(section, "tftp", ("engine", "root"))
        if "pxe" in top.entries:
            self._place(top.entries["pxe"][0], "pxe")
        for key in _PXE_KEYS:
            self._place(section.at(key), "pxe", key)
        self._place(tftp.at("root"), "pxe", "tftp", "root")
        default = Pxe()
        relayed = section.each("relayed", fields.as_text(values.label))
        for name, node in relayed:
            self._place(node, "pxe", "relayed", name)
        return Pxe(
            server=section.get("server", fields.as_text(values.ipv4), None),
            interface=section.get("interface", fields.as_text(values.label), default.interface),
            http_port=section.get("http_port", fields.integer(1, 65535), default.http_port),
            dhcp=section.get("dhcp", fields.one_of(DHCP_SERVERS), default.dhcp),
            tftp=Tftp(
                engine=tftp.get("engine", fields.one_of(TFTP_SERVERS), default.tftp.engine),
                root=tftp.get("root", fields.as_text(values.absolute_path), default.tftp.root),
            ),
            assets=section.get("assets", fields.as_text(values.absolute_path), default.assets),
            loaders=self._loaders(section, default.loaders),
            menu_timeout=section.get("menu_timeout", fields.as_text(values.seconds(1, 3600)), default.menu_timeout),
            lease=section.get("lease", fields.as_text(values.seconds(120, 604800)), default.lease),
            relayed=tuple(dict.fromkeys(name for name, _ in relayed)),
            boot_service=section.get("boot_service", fields.as_text(values.socket), default.boot_service),
            deployed=section.get("deployed", fields.as_text(values.absolute_path), default.deployed),
        )

    def _loaders(self, pxe: Section, default: dict[str, str]) -> dict[str, str]:
        section = self._section(pxe, "loaders", catalogue.LOADERS)
        found = {
            name: section.get(name, fields.as_text(values.boot_file), default.get(name, ""))
            for name in catalogue.LOADERS
        }
        for name in catalogue.LOADERS:
            self._place(section.at(name), "pxe", "loaders", name)
        return {name: file for name, file in found.items() if file}

    def _logs(self, top: Section) -> tuple[LogSource, ...]:
        sources: list[LogSource] = []
        for section, node in top.each("logs", lambda node: Section(node, "logs", self.problems, _LOG_KEYS)):
            kind = section.get("kind", fields.one_of(tuple(LOG_FORMATS)), "")
            if not kind:
                if section.valid and section.at("kind") is None:
                    self.problems.error(node, f"logs: found no kind, expected one of: {', '.join(LOG_FORMATS)}")
                continue
            form = section.get("format", fields.one_of(LOG_FORMATS[kind]), "")
            if section.at("format") is None:
                self.problems.error(node, f"logs: found no format, expected one of: {', '.join(LOG_FORMATS[kind])}")
            given = [key for key in ("file", "journal") if section.at(key) is not None]
            if len(given) != 1:
                what = "both file and journal" if given else "neither file nor journal"
                self.problems.error(node, f"logs: found {what}, expected one of them")
            source = LogSource(
                kind=kind,
                format=form,
                file=section.get("file", fields.as_text(values.absolute_path), ""),
                journal=section.get("journal", text, ""),
                ssh=section.get("ssh", text, ""),
            )
            sources.append(source)
        return tuple(sources)

    def _policy(self, top: Section) -> Policy:
        section = self._section(top, "policy", _POLICY_KEYS)
        default = Policy()
        remote = section.get("metrics_remote", fields.boolean, False)
        return Policy(
            parallel=section.get("parallel", fields.integer(1, 4096), default.parallel),
            stagger=section.get("stagger", fields.as_text(values.duration), default.stagger),
            per_rack=section.get("per_rack", fields.integer(0, 4096), default.per_rack),
            bandwidth=section.get("bandwidth", fields.as_text(values.bandwidth), default.bandwidth),
            consoles=section.get("consoles", fields.one_of(("always", "watched")), default.consoles),
            access=self._access(section),
            metrics=section.get("metrics", fields.as_text(values.socket if remote else values.loopback), ""),
            metrics_remote=remote,
        )

    def _access(self, policy: Section) -> Access | None:
        """A user or group that stands under two roles has the greater one."""
        if policy.at("access") is None:
            return None
        entry = self._section(policy, "access", tuple(Role))
        read = fields.as_text(values.account)
        return Access(*(tuple(name for name, _ in entry.each(role, read)) for role in reversed(Role)))

    def _profiles(self, top: Section) -> dict[str, Profile]:
        given = top.at("profiles")
        if given is None or (isinstance(given, Mapping) and not given.pairs):
            return dict(catalogue.PROFILES)
        profiles: dict[str, Profile] = {}
        for name, value in self._named(top, "profiles"):
            entry = Section(value, f"profiles.{name}", self.problems, ("voter", "services", "disk_layout"))
            services = entry.each("services", fields.as_text(values.label))
            for service, node in services:
                self._place(node, "profiles", name, "services", service)
            profiles[name] = Profile(
                name=name,
                voter=entry.get("voter", fields.boolean, False),
                services=tuple(dict.fromkeys(service for service, _ in services)),
                disk_layout=entry.get("disk_layout", fields.one_of(catalogue.DISK_LAYOUTS), ""),
            )
        return profiles

    def _services(self, top: Section) -> dict[str, Service]:
        services = dict(catalogue.SERVICES)
        port = fields.integer(1, 65535)
        known = ("port", "raft_port", "gossip_port", "health_port", "verify_tls", "data", "unit")
        for name, value in self._named(top, "services"):
            entry = Section(value, f"services.{name}", self.problems, known)
            base = services.get(name)
            if base is None:
                if entry.valid and entry.at("port") is None:
                    hint = fields.close_to(name, services) or ", or the name of a known service"
                    message = f"services.{name}: found no port for a service of your own, expected port: NUMBER{hint}"
                    self.problems.error(self.places["services", name], message)
                base = Service(name, 0)
            api = entry.get("port", port, base.port)
            # A service whose health is asked at its API port keeps doing so when the port is moved.
            health = api if base.health_port == base.port else base.health_port
            services[name] = Service(
                name=name,
                port=api,
                raft_port=entry.get("raft_port", port, base.raft_port),
                gossip_port=entry.get("gossip_port", port, base.gossip_port),
                health_port=entry.get("health_port", port, health),
                verify_tls=entry.get("verify_tls", tls_reader(self.directory), base.verify_tls),
                data=entry.get("data", fields.as_text(values.data_directory), base.data),
                unit=entry.get("unit", fields.as_text(values.unit_name), base.unit),
            )
        return services


_PXE_KEYS = (
    "server", "interface", "http_port", "dhcp", "tftp", "assets", "loaders", "menu_timeout", "lease", "relayed",
    "boot_service", "deployed",
)  # fmt: skip
_POLICY_KEYS = ("parallel", "stagger", "per_rack", "bandwidth", "consoles", "access", "metrics", "metrics_remote")
_LOG_KEYS = ("kind", "format", "file", "journal", "ssh")
