"""Addresses of simulated machines: loopback, one for the BMC and one for the node, so that racks live side by side."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

IPMI_PORT = 6230
HTTPS_OFFSET = 213
"""Redfish listens on the IPMI port plus this: 6443 beside 6230."""

_LOW, _HIGH = IPv4Network("127.0.0.0/10"), IPv4Network("127.128.0.0/9")
"""One has the BMCs, the other the nodes; between them lies `identity.PROVISIONING`."""

_PER_BLOCK = 250
_CLAIM_HOST, _CLAIM_PORT = 254, 6229


class AddressError(Exception):
    """No free addresses, or the ones that were asked for are taken or not on this machine."""


@dataclass
class Endpoint:
    """The bound sockets of one BMC; `https` is None for a BMC without Redfish."""

    ipmi: socket.socket
    https: socket.socket | None

    @property
    def address(self) -> str:
        return str(self.ipmi.getsockname()[0])

    @property
    def ipmi_port(self) -> int:
        return int(self.ipmi.getsockname()[1])

    @property
    def https_port(self) -> int:
        assert self.https is not None
        return int(self.https.getsockname()[1])

    def close(self) -> None:
        self.ipmi.close()
        if self.https is not None:
            self.https.close()


def reserve(count: int, redfish: frozenset[int], base: str | None, port: int | None) -> list[Endpoint]:
    """Bind the sockets of `count` BMCs; those whose index is in `redfish` get an HTTPS socket too.

    Args:
        base: the first address; None: a free block of 127/8 is looked for.
        port: UDP port of all of them; None: 6230. 0: all on one address, each on a free port.

    Raises:
        AddressError: nothing free; or `base` is given and one of its addresses is taken.
    """
    if port == 0:
        return _bind_all([base or "127.0.0.1"] * count, redfish, 0)
    chosen = IPMI_PORT if port is None else port
    if base is not None:
        first = IPv4Address(base)
        return _bind_all([str(first + index) for index in range(count)], redfish, chosen)
    error: AddressError | None = None
    for block in _blocks(count, _LOW):
        try:
            return _bind_all(_in_blocks(block, count), redfish, chosen)
        except AddressError as failed:
            error = failed
    raise AddressError(f"no {count} free addresses in 127/8 on port {chosen}; the last try: {error}")


def networks(bmc: str) -> tuple[IPv4Network, IPv4Network]:
    """The part of 127/8 that a BMC's address is in, or the lower one, and the other one for nodes."""
    return (_HIGH, _LOW) if IPv4Address(bmc) in _HIGH else (_LOW, _HIGH)


@dataclass
class NodeAddresses:
    """Addresses of nodes, kept from other racks until `close`."""

    addresses: list[str]
    claims: list[socket.socket]

    def close(self) -> None:
        for claim in self.claims:
            claim.close()


def reserve_nodes(count: int, network: IPv4Network) -> NodeAddresses:
    """An address for each of `count` nodes, in a part of 127/8. Any port may be opened there.

    Raises:
        AddressError: nothing free.
    """
    error: AddressError | None = None
    for block in _blocks(count, network):
        claims: list[socket.socket] = []
        try:
            for number in range((count - 1) // _PER_BLOCK + 1):
                claims.append(_bind(socket.SOCK_DGRAM, str(block + number * 256 + _CLAIM_HOST), _CLAIM_PORT))
        except AddressError as failed:
            error = failed
            for claim in claims:
                claim.close()
        else:
            return NodeAddresses(_in_blocks(block, count), claims)
    raise AddressError(f"no {count} free addresses in {network}; the last try: {error}")


def _in_blocks(first: IPv4Address, count: int) -> list[str]:
    return [str(first + index // _PER_BLOCK * 256 + 1 + index % _PER_BLOCK) for index in range(count)]


def _blocks(count: int, network: IPv4Network) -> Iterator[IPv4Address]:
    """Where to look, in order: the same place first, then places that differ between processes."""
    size = (count - 1) // _PER_BLOCK + 1
    yield network[0x1700 * 256]
    last = network.num_addresses // 256 - 256 - size
    for attempt in range(64):
        block = 0x1800 + (os.getpid() * 61 + attempt * size * 7919) % (last - 0x1800)
        yield network[block * 256]


def _bind_all(addresses: list[str], redfish: frozenset[int], port: int) -> list[Endpoint]:
    endpoints: list[Endpoint] = []
    try:
        for index, address in enumerate(addresses):
            ipmi = _bind(socket.SOCK_DGRAM, address, port)
            endpoint = Endpoint(ipmi, None)
            endpoints.append(endpoint)
            if index in redfish:
                endpoint.https = _bind(socket.SOCK_STREAM, address, port + HTTPS_OFFSET if port else 0)
    except AddressError:
        for endpoint in endpoints:
            endpoint.close()
        raise
    return endpoints


def _bind(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    try:
        bound.setblocking(False)
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        if kind is socket.SOCK_STREAM:
            bound.listen(64)  # two binders with SO_REUSEADDR meet here
    except OSError as error:
        bound.close()
        raise AddressError(f"{address} port {port}: {error.strerror or error}") from error
    return bound
