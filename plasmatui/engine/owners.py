"""Whose a line of a log is, as far as that is known when it comes: by MAC, or by the address that a lease has given."""

from __future__ import annotations

import re
from collections.abc import Iterable

from plasmatui.model.boot import Signal
from plasmatui.watch.identity import ADDRESSES_KEPT, Identity, NodeIdentity

_MAC = re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])")

_SECOND = 1.0  # web servers log whole seconds


class Owners:
    """Knows the nodes' MACs, and the last lease of each address at once; older leases are the identity's."""

    def __init__(self, nodes: Iterable[NodeIdentity], identity: Identity) -> None:
        nodes = tuple(nodes)
        self._identity = identity
        self._macs = {mac: node.name for node in nodes for mac in node.macs}
        self._leases = {ip: (node.name, 0.0) for node in nodes for ip in node.ips}

    def of(self, signal: Signal) -> str:
        """The node that a signal seems to be about; "" for none."""
        node = signal.node or self._macs.get(signal.mac, "")
        if node or not signal.ip:
            return node
        node, since = self._leases.get(signal.ip, ("", 0.0))
        if signal.wall is not None and signal.wall < since - _SECOND:
            return self._identity.owner_at(signal.ip, signal.wall)
        return node

    def lease(self, signal: Signal, heard: float, node: str = "") -> None:
        """A server gave a machine an address; nothing when another has got it later. `node` is whose it is when its MAC
        does not say so; a stranger's address is nobody's."""
        wall, node = signal.wall or heard, node or self._macs.get(signal.mac, "")
        if signal.ip and wall >= self._leases.get(signal.ip, ("", 0.0))[1]:
            self._leases[signal.ip] = (node, wall)
            if len(self._leases) > ADDRESSES_KEPT:
                del self._leases[next(iter(self._leases))]

    def named_in(self, text: str) -> str:
        """The node whose MAC a line names first; "" for none."""
        if text.count(":") < 5:
            return ""
        found = _MAC.search(text)
        return self._macs.get(found[0].lower(), "") if found is not None else ""
