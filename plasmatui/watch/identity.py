"""Which machine a signal is about: by MAC, by address with lease history, by UUID, by host name."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from plasmatui.model.boot import Signal, SignalKind, UnknownClient

LEASES_KEPT = 8
"""Owners that are remembered of one address."""

ADDRESSES_KEPT = 65_536
UNKNOWN_KEPT = 512

_SECOND = 1.0  # web servers log whole seconds: a line of 12:00:05 may be younger than a lease of 12:00:05.9
_MAC = re.compile(r"[?&/](?:mac=|)((?:[0-9a-f]{2}(?::|-|%3a)){5}[0-9a-f]{2})(?![0-9a-f])", re.I)

_ASKS = frozenset(
    {
        SignalKind.DHCP_DISCOVER,
        SignalKind.DHCP_REQUEST,
        SignalKind.DHCP_IGNORED,
        SignalKind.DHCP_PROXY,
    }
)
_OWN_ADDRESS = frozenset({SignalKind.PXE_ADDRESS, SignalKind.IPXE_ADDRESS})


class NodeIdentity(msgspec.Struct, frozen=True):
    """What a machine is known by. `macs` are lower case with colons; `ips` hold until a lease says otherwise."""

    name: str
    macs: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Lease:
    """From `wall` on (None: from when it was read) an address is `node`'s, or of a machine that nobody names ("")."""

    wall: float | None
    node: str
    mac: str


@dataclass(slots=True)
class _Unknown:
    mac: str
    first: float | None
    last: float | None
    ip: str = ""
    vendor: str = ""
    arch: int | None = None
    requests: int = 0
    hostname: str = ""


class Identity:
    """Names the node of each signal, and collects the machines that no inventory names. Bounded, O(1) per signal."""

    def __init__(self, nodes: Iterable[NodeIdentity]) -> None:
        self.nodes: dict[str, NodeIdentity] = {}
        self._macs: dict[str, str] = {}
        self._ips: dict[str, str] = {}
        self._uuids: dict[str, str] = {}
        self._hosts: dict[str, str] = {}
        self._leases: OrderedDict[str, list[_Lease]] = OrderedDict()
        self._unknown: OrderedDict[str, _Unknown] = OrderedDict()
        for node in nodes:
            self.nodes[node.name] = node
            self._macs.update(dict.fromkeys(node.macs, node.name))
            self._ips.update(dict.fromkeys(node.ips, node.name))
            self._uuids.update({uuid.lower(): node.name for uuid in node.uuids})
            self._hosts.update(dict.fromkeys((node.name, *node.hosts), node.name))

    def node_of(self, signal: Signal) -> str:
        """The node that a signal is about, "" when that is not known. Learns from what it sees."""
        if signal.node:
            self.learn(signal, signal.node)
            return signal.node
        if signal.mac and signal.kind is not SignalKind.HTTP_REQUEST:
            return self._by_mac(signal)
        if signal.ip:
            node = self.owner_at(signal.ip, signal.wall)
            if node:
                return node
        return self._by_name(signal)

    def learn(self, signal: Signal, node: str) -> None:
        """Take in a signal of which it is known whose it is. A machine that tells its own address on its console owns
        it, as if its lease had been seen."""
        if signal.mac and signal.mac not in self._macs and node in self.nodes:
            self._macs[signal.mac] = node
        if signal.kind in _OWN_ADDRESS and signal.ip:
            self._lease(signal.ip, node, signal.mac, signal.wall)

    def unknown_clients(self) -> tuple[UnknownClient, ...]:
        """The machines that asked and that no inventory names, the latest last."""
        return tuple(
            UnknownClient(c.mac, c.ip, c.vendor, c.arch, c.first, c.last, c.requests, c.hostname)
            for c in self._unknown.values()
        )

    def recall_unknown(self, former: Identity) -> None:
        """Know the machines that another knew as unknown, but for those that are named now."""
        self._unknown.update({mac: each for mac, each in former._unknown.items() if mac not in self._macs})

    def owners(self) -> dict[str, tuple[str, ...]]:
        """The nodes that each leased address belonged to, one after the other ("" for machines without a name)."""
        return {ip: tuple(lease.node for lease in leases) for ip, leases in self._leases.items()}

    def _by_mac(self, signal: Signal) -> str:
        node = self._macs.get(signal.mac, "")
        if not node and signal.ip:
            prior = self._ips.get(signal.ip, "")
            if prior and not self.nodes[prior].macs and signal.kind is SignalKind.DHCP_ACK:
                node = self._macs[signal.mac] = prior  # a node without MACs is who gets its address
                self._unknown.pop(signal.mac, None)
        if signal.kind is SignalKind.DHCP_ACK and signal.ip:
            self._lease(signal.ip, node, signal.mac, signal.wall)
        if not node:
            node = self._by_name(signal) if signal.uuid else ""
        if not node:
            self._note_unknown(signal)
        return node

    def owner_at(self, ip: str, wall: float | None) -> str:
        """Whose address it was at a time (None: is); "" when that is not known."""
        leases = self._leases.get(ip)
        if not leases:
            return self._ips.get(ip, "")
        if wall is None or leases[-1].wall is None:
            return leases[-1].node
        for lease in reversed(leases):
            if lease.wall is None or lease.wall < wall + _SECOND:
                return lease.node
        return leases[0].node

    def _by_name(self, signal: Signal) -> str:
        if signal.uuid:
            node = self._uuids.get(signal.uuid.lower(), "")
            if node:
                return node
        if signal.host:
            return self._hosts.get(signal.host, "") or self._hosts.get(signal.host.split(".", 1)[0], "")
        if signal.kind is SignalKind.HTTP_REQUEST and signal.ipxe is not False:
            found = None if signal.mac else _MAC.search(signal.file)
            mac = found[1].lower().replace("%3a", ":").replace("-", ":") if found else signal.mac
            return self._macs.get(mac, "")
        return ""

    def _lease(self, ip: str, node: str, mac: str, wall: float | None) -> None:
        leases = self._leases.get(ip)
        if leases is None:
            if len(self._leases) >= ADDRESSES_KEPT:
                self._leases.popitem(last=False)
            leases = self._leases[ip] = []
        same = leases and leases[-1].node == node and (bool(node) or leases[-1].mac == mac)
        if same:
            return
        leases.append(_Lease(wall, node, mac))
        if wall is not None and len(leases) > 1 and all(lease.wall is not None for lease in leases):
            leases.sort(key=lambda lease: lease.wall or 0.0)
        del leases[:-LEASES_KEPT]

    def _note_unknown(self, signal: Signal) -> None:
        client = self._unknown.get(signal.mac)
        if client is None:
            if len(self._unknown) >= UNKNOWN_KEPT:
                self._unknown.popitem(last=False)
            client = self._unknown[signal.mac] = _Unknown(signal.mac, signal.wall, signal.wall)
        else:
            self._unknown.move_to_end(signal.mac)
        if signal.wall is not None:
            client.first = signal.wall if client.first is None else min(client.first, signal.wall)
            client.last = signal.wall if client.last is None else max(client.last, signal.wall)
        client.ip = signal.ip or client.ip
        client.vendor = signal.vendor or client.vendor
        client.arch = signal.arch if signal.arch is not None else client.arch
        client.hostname = signal.host or client.hostname
        client.requests += signal.kind in _ASKS
