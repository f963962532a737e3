"""The part of an inventory that describes machines: `bmc_defaults` and `nodes`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from plasmatui.inventory import fields, values
from plasmatui.inventory.catalogue import DEFAULT_BMC_PORTS
from plasmatui.inventory.fields import Problems, Section, WrongError, close_to, describe, text
from plasmatui.inventory.inventory import BmcEntry, Profile, SshEntry
from plasmatui.inventory.ranges import expand
from plasmatui.inventory.secrets import Secret
from plasmatui.inventory.ssh import NODE_SSH_KEYS, read_entry
from plasmatui.inventory.tree import Mapping, Node, Scalar, Sequence, shown
from plasmatui.model import node as words

T = TypeVar("T")

Places = dict[tuple[str, ...], tuple[int, int]]
"""Line and column of what checks may complain about: ("nodes", "node01", "mac", "52:...") and so on."""

DRIVERS = ("ipmi", "redfish")
BMC_KEYS = ("driver", "port", "username", "password", "cipher_suite", "verify_tls", "system", "tls")
NODE_KEYS = ("profile", "mac", "bmc", "provisioning_ip", "production_ip", "ssh", "disks", "rack", "unit", "tags")
SECRET_KEYS = ("env", "file", "command")
CIPHER_SUITES = (3, 17)
"""The IPMI cipher suites that the driver can speak (IPMI 2.0, table 22-20)."""


@dataclass(frozen=True)
class BmcDefaults:
    """What `bmc_defaults` says, and what a node's own `bmc` may override."""

    driver: str = "ipmi"
    port: int | None = None
    username: str = ""
    password: Secret = field(default_factory=Secret)
    cipher_suite: int | None = None
    verify_tls: bool | str = True
    system: str = ""
    tls: bool = True


def local_path(path: str, directory: Path) -> str:
    """A path of this machine as the inventory means it: relative to the inventory's directory, `~` is a home."""
    return str(directory / os.path.expanduser(path))


def read_secret(node: Node, label: str, directory: Path, problems: Problems) -> Secret:
    """A reference to a secret, or a literal, which is accepted with a warning. Never prints what may be one."""
    if isinstance(node, Mapping):
        section = Section(node, label, problems)
        given = [key for key in SECRET_KEYS if section.at(key) is not None]
        unknown = [key for key in section.entries if key not in SECRET_KEYS]
        if unknown or len(given) != 1:
            # An unknown key is not printed: in `password: {hunter2}` it is the password.
            hint = next(filter(None, (close_to(key, SECRET_KEYS) for key in unknown)), "")
            what = "an unknown key" if unknown else " and ".join(given) or "nothing"
            problems.error(node, f"{label}: found {what}, expected exactly one of: {', '.join(SECRET_KEYS)}{hint}")
            return Secret()
        command = section.at("command")
        if command is not None and not isinstance(command, Sequence):
            problems.error(command, f"{label}.command: found {describe(command)}, expected a list: program, arguments")
            return Secret()
        words_ = tuple(word for word, _ in section.each("command", text))
        file = section.get("file", text, "")
        return Secret(
            env=section.get("env", fields.as_text(_variable), ""),
            file=local_path(file, directory) if file else "",
            command=words_,
        )
    if isinstance(node, Sequence) or node.kind in ("boolean", "nothing", "tagged") or not node.text.isprintable():
        problems.error(
            node, f"{label}: found no usable secret, expected {{env: NAME}}, {{file: PATH}} or {{command: [...]}}"
        )
        return Secret()
    problems.warning(
        node,
        f"{label}: the secret is written here; better {{env: NAME}}, {{file: PATH}} or {{command: [...]}}",
    )
    return Secret(literal=node.text)


def _variable(name: str) -> str:
    if not name.isascii() or not name.isidentifier():
        raise ValueError("the name of an environment variable")
    return name


def read_bmc_settings(section: Section, base: BmcDefaults, directory: Path) -> BmcDefaults:
    """The keys that `bmc_defaults` and a node's `bmc` share."""
    password = section.at("password")
    return BmcDefaults(
        driver=section.get("driver", fields.one_of(DRIVERS), base.driver),
        port=section.get("port", fields.integer(1, 65535), base.port),
        username=section.get("username", text, base.username),
        password=base.password
        if password is None
        else read_secret(password, section.path("password"), directory, section.problems),
        cipher_suite=section.get("cipher_suite", _cipher_suite, base.cipher_suite),
        verify_tls=section.get("verify_tls", tls_reader(directory), base.verify_tls),
        system=section.get("system", text, base.system),
        tls=section.get("tls", fields.boolean, base.tls),
    )


def _cipher_suite(node: Node) -> int:
    if not isinstance(node, Scalar) or node.text not in [str(suite) for suite in CIPHER_SUITES]:
        raise WrongError(node, describe(node), "3 or 17")
    return int(node.text)


def tls_reader(directory: Path) -> Callable[[Node], bool | str]:
    """A reader of `verify_tls`: a boolean, a fingerprint, or a CA file's path."""

    def read(node: Node) -> bool | str:
        if isinstance(node, Scalar) and node.kind == "boolean":
            return fields.boolean(node)
        found = fields.as_text(values.verify_tls)(node)
        return found if found.startswith("sha256:") else local_path(found, directory)

    return read


@dataclass
class NodeReader:
    """Reads `nodes`; the results pile up in `nodes`, `bmcs`, `ssh_entries` and `places`."""

    problems: Problems
    directory: Path
    defaults: BmcDefaults
    profiles: dict[str, Profile]
    places: Places
    nodes: dict[str, words.Node]
    bmcs: dict[str, BmcEntry]
    ssh_entries: dict[str, SshEntry]

    def read(self, section: Section) -> None:
        taken: dict[str, Node] = {}  # by lower case: DNS and DHCP do not tell cases apart
        for key_text, (key, value) in section.entries.items():
            if isinstance(key, Scalar) and key.kind != "text":
                message = f"nodes: found {describe(key)} as a node's name, expected a name; put it in quotes"
                self.problems.error(key, message)
                continue
            try:
                names = [values.host_name(name) for name in expand(key_text)]
            except ValueError as error:
                self.problems.error(key, f'nodes: found the name "{shown(key_text)}", expected {error}')
                continue
            entry = Section(value, f"nodes.{key_text}", self.problems, NODE_KEYS)
            twice = [name for name in names if name.lower() in taken]
            for name in twice:
                line = taken[name.lower()].line
                self.problems.error(
                    key, f"nodes: found the node {name} a second time, it stands at line {line} already"
                )
            for name in names:
                taken.setdefault(name.lower(), key)
            if not twice:
                self._read_entry(names, entry, key)

    def _read_entry(self, names: list[str], entry: Section, key: Node) -> None:
        count = len(names)
        macs = self._macs(entry, count)
        provisioning = self._addresses(entry, "provisioning_ip", count)
        production = self._addresses(entry, "production_ip", count)
        units = self._units(entry, count)
        bmcs = self._bmcs(entry, count)
        ssh_entries = self._ssh_entries(entry, count)
        profile = entry.get("profile", fields.as_text(values.label), "")
        disks = entry.each("disks", fields.as_text(values.disk))
        rack = entry.get("rack", fields.as_text(values.label), "")
        tags = tuple(dict.fromkeys(tag for tag, _ in entry.each("tags", fields.as_text(values.label))))
        voter = profile in self.profiles and self.profiles[profile].voter
        for index, name in enumerate(names):
            bmc = bmcs[index]
            place = self.places
            place["nodes", name] = (key.line, key.column)
            for key_text in ("profile", "rack", "unit", "production_ip", "provisioning_ip", "bmc", "ssh"):
                value = entry.at(key_text)
                if value is not None:
                    at = value.items[index] if isinstance(value, Sequence) and len(value.items) == count else value
                    place["nodes", name, key_text] = (at.line, at.column)
            for mac, at in macs[index]:
                place["nodes", name, "mac", mac] = (at.line, at.column)
            for disk, at in disks:
                place["nodes", name, "disk", disk] = (at.line, at.column)
            if bmc is not None:
                self.bmcs[name] = bmc
                if bmc.password is not self.defaults.password:
                    place["nodes", name, "password"] = place["nodes", name, "bmc"]
            ssh_entry = ssh_entries[index]
            if ssh_entry is not None:
                self.ssh_entries[name] = ssh_entry
            self.nodes[name] = words.Node(
                name=name,
                profile=profile,
                macs=tuple(dict.fromkeys(mac for mac, _ in macs[index])),
                bmc_address=_bmc_label(bmc) if bmc else "",
                bmc_driver=bmc.driver if bmc else "",
                provisioning_ip=provisioning[index],
                production_ip=production[index],
                disks=tuple(disk for disk, _ in disks),
                rack=rack,
                unit=units[index],
                tags=tags,
                voter=voter,
            )

    def _spread(
        self, entry: Section, key: str, count: int, read: Callable[[Node, int], list[T]], nothing: T
    ) -> list[T]:
        """One value per node: a list with one for each, or what `read` makes of a single value."""
        node = entry.at(key)
        if node is None:
            return [nothing] * count
        try:
            if not isinstance(node, Sequence):
                return read(node, count)
            if len(node.items) != count:
                raise WrongError(node, f"a list of {len(node.items)}", f"one value, or one for each of {count} nodes")
            found: list[T] = []
            for item in node.items:
                try:
                    found.extend(read(item, 1))
                except WrongError as wrong:
                    self.problems.error(wrong.node, f"{entry.path(key)}: {wrong}")
                    found.append(nothing)
        except WrongError as wrong:
            self.problems.error(wrong.node, f"{entry.path(key)}: {wrong}")
            return [nothing] * count
        return found

    def _addresses(self, entry: Section, key: str, count: int) -> list[str]:
        return self._spread(entry, key, count, _count_addresses, "")

    def _units(self, entry: Section, count: int) -> list[int | None]:
        def read(node: Node, nodes: int) -> list[int | None]:
            if (
                isinstance(node, Scalar)
                and node.kind == "text"
                and node.text[:-1].isdigit()
                and node.text.endswith("+")
            ):
                first = int(node.text[:-1])
                if not 1 <= first <= 101 - nodes:
                    raise WrongError(node, describe(node), "units from 1 to 100")
                return [*range(first, first + nodes)]
            return [fields.integer(1, 100)(node)] * nodes

        return self._spread(entry, "unit", count, read, None)

    def _macs(self, entry: Section, count: int) -> list[list[tuple[str, Node]]]:
        """MACs with their places. For one node a list holds its MACs, for a range one entry per node."""
        read = fields.as_text(values.mac)
        node = entry.at("mac")
        if count == 1 or node is None:
            return [entry.each("mac", read) for _ in range(count)]
        if not isinstance(node, Sequence) or len(node.items) != count:
            found = f"a list of {len(node.items)}" if isinstance(node, Sequence) else describe(node)
            self.problems.error(
                node, f"{entry.path('mac')}: found {found}, expected a list of {count}, one for each node"
            )
            return [[] for _ in range(count)]
        result: list[list[tuple[str, Node]]] = []
        for item in node.items:
            part = Section(None, entry.label, self.problems)
            part.entries["mac"] = (item, item)
            result.append(part.each("mac", read))
        return result

    def _bmcs(self, entry: Section, count: int) -> list[BmcEntry | None]:
        def read(node: Node, nodes: int) -> list[BmcEntry | None]:
            settings = self.defaults
            at, own_port = node, False
            if isinstance(node, Mapping):
                section = Section(node, entry.path("bmc"), self.problems, ("address", *BMC_KEYS))
                settings = read_bmc_settings(section, settings, self.directory)
                address_node = section.at("address")
                if address_node is None:
                    raise WrongError(node, "no address", "address: HOST")
                at, own_port = address_node, section.at("port") is not None
            entries: list[BmcEntry | None] = []
            for address, port in _count_bmcs(at, nodes):
                if port is not None and own_port:
                    raise WrongError(at, "a port in the address and one at port", "one of them")
                entries.append(_entry(settings, address, port))
            return entries

        return self._spread(entry, "bmc", count, read, None)

    def _ssh_entries(self, entry: Section, count: int) -> list[SshEntry | None]:
        def read(node: Node, nodes: int) -> list[SshEntry | None]:
            section = Section(node, entry.path("ssh"), self.problems, NODE_SSH_KEYS)
            at = section.at("address")
            return [*read_entry(section, _count_hosts(at, nodes) if at is not None else [""] * nodes)]

        return self._spread(entry, "ssh", count, read, None)


def _entry(settings: BmcDefaults, address: str, port: int | None) -> BmcEntry:
    return BmcEntry(
        driver=settings.driver,
        address=address,
        port=settings.port if port is None else port,
        username=settings.username,
        password=settings.password,
        cipher_suite=settings.cipher_suite,
        verify_tls=settings.verify_tls,
        system=settings.system,
        tls=settings.tls,
    )


def _bmc_label(bmc: BmcEntry) -> str:
    host = f"[{bmc.address}]" if ":" in bmc.address else bmc.address
    return f"{host}:{bmc.port or DEFAULT_BMC_PORTS[bmc.driver]}"


def _count_addresses(node: Node, count: int) -> list[str]:
    """The address, or `count` addresses from `A+`."""
    found = text(node)
    if not found.endswith("+"):
        if count > 1:
            raise WrongError(
                node, f"{describe(node)} for {count} nodes", "an address that counts up, such as 10.0.200.20+"
            )
        return [str(fields.as_text(values.ipv4)(node))]
    try:
        first = values.ipv4(found[:-1])
    except ValueError as error:
        raise WrongError(node, describe(node), f"{error}, with + after it to count up") from None
    if int(first) + count - 1 > 0xFFFFFFFF:
        raise WrongError(node, f"{describe(node)} for {count} nodes", "addresses that do not go beyond 255.255.255.255")
    return [str(first + step) for step in range(count)]


def _count_bmcs(node: Node, count: int) -> list[tuple[str, int | None]]:
    """Addresses of BMCs; only IPv4 addresses count up."""
    if isinstance(node, Scalar) and node.text.endswith("+"):
        return [(address, None) for address in _count_addresses(node, count)]
    address = fields.as_text(values.bmc_address)(node)
    if count > 1:
        raise WrongError(node, f"{describe(node)} for {count} nodes", "an address that counts up, such as 10.0.10.50+")
    return [address]


def _count_hosts(node: Node, count: int) -> list[str]:
    """Hosts without a port; only IPv4 addresses count up."""
    hosts = _count_bmcs(node, count)
    if any(port is not None for _, port in hosts):
        raise WrongError(node, describe(node), "an address without a port, and the port at port:")
    return [host for host, _ in hosts]
