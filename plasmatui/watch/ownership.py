"""Whose each line of a bundle's logs is: what the live watch learns in time is known here before the first line.

A log without times decides by its own order; where its leases must explain lines of another log, an address that had
several owners goes on to the next one at each new boot that the lines show. What nobody owns goes to the only node that
can have said it: a bundle is made of a machine's evidence, and a machine may ask with a card that the inventory does
not name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.watch.facts import DHCP, LOGS, is_boot_client
from plasmatui.watch.identity import Identity, NodeIdentity
from plasmatui.watch.names import Role, role_of
from plasmatui.watch.weave import moments

K = SignalKind
Recording = tuple[str, Sequence[Signal]]
"""The node whose console it is ("" for a server's log), and what was read of it."""

_FETCHES = frozenset({K.TFTP_REQUEST, K.TFTP_DONE, K.TFTP_ERROR, K.HTTP_REQUEST, K.HTTP_PROGRESS, K.HTTP_ERROR})
_OWN_ADDRESS = frozenset({K.PXE_ADDRESS, K.IPXE_ADDRESS})


class Owners:
    """Names the node of each signal of the recordings that it was made of."""

    def __init__(self, nodes: Sequence[NodeIdentity], recordings: Iterable[Recording]) -> None:
        recordings = list(recordings)
        consoles = [(node, signals) for node, signals in recordings if node]
        logs = [signals for node, signals in recordings if not node]
        self._nodes: dict[int, str] = {}
        identity = Identity(_with_cards(nodes, consoles))
        self._untimed(identity, logs)
        self._timed(identity, logs)
        known = {ip for node in nodes for ip in node.ips} | set(identity.owners())
        self._spoken = _by_console(consoles, known)
        self._only = nodes[0].name if len(nodes) == 1 else ""
        self._strangers: dict[str, str] = {}
        self._leased: set[str] = set()
        self._find_strangers(nodes, logs)
        lost = {s.ip for signals in logs for s in signals if not self._nodes.get(id(s)) and self._is_lost(s)}
        seen = any(self._nodes.get(id(s)) and not s.mac for signals in logs for s in signals)
        if self._strangers or len(lost - {""}) > 1 or (seen and lost != {""}):
            self._only = ""  # they may be of another machine

    def of(self, signal: Signal) -> str:
        """The node that a line of a log is about, "" when that is not known."""
        node = self._nodes.get(id(signal), "")
        if node or signal.kind not in LOGS:
            return node
        if signal.mac and signal.kind in DHCP:
            return self._strangers.get(signal.mac, "")
        return self._spoken.get(signal.ip, "") or (self._only if self._is_lost(signal) else "")

    def _is_lost(self, signal: Signal) -> bool:
        """Whether a line is of a boot client and names nobody that leases or the inventory know."""
        return not signal.mac and signal.ip not in self._leased and is_boot_client(signal) and signal.kind in _FETCHES

    def _untimed(self, identity: Identity, logs: list[Sequence[Signal]]) -> None:
        for signals in logs:
            for signal in signals:
                if signal.wall is None:
                    self._nodes[id(signal)] = identity.node_of(signal)

    def _timed(self, identity: Identity, logs: list[Sequence[Signal]]) -> None:
        history = identity.owners()
        timed = sorted((item for signals in logs for item in moments(signals)), key=lambda item: item[0])
        chunk: dict[str, int] = {}
        deep: dict[str, bool] = {}
        for _, signal in timed:
            owners = history.get(signal.ip, ())
            node = identity.node_of(signal)
            if len(owners) > 1 and not signal.mac:
                role = role_of(signal.file)
                if deep.get(signal.ip) and role in (Role.LOADER, Role.SCRIPT):
                    chunk[signal.ip] = chunk.get(signal.ip, 0) + 1
                    deep[signal.ip] = False
                deep[signal.ip] = deep.get(signal.ip, False) or role in (Role.KERNEL, Role.INITRD)
                node = owners[min(chunk.get(signal.ip, 0), len(owners) - 1)]
            self._nodes[id(signal)] = node

    def _find_strangers(self, nodes: Sequence[NodeIdentity], logs: list[Sequence[Signal]]) -> None:
        """The cards that nobody owns. When there is one, which no server serves, and one node that nothing is heard
        of, then it is that node's."""
        served: set[str] = set()
        heard: set[str] = set()
        for signal in (s for signals in logs for s in signals if s.mac and s.kind in DHCP):
            node = self._nodes.get(id(signal), "")
            heard.add(node)
            if not node:
                self._strangers[signal.mac] = ""
            if signal.kind is K.DHCP_ACK:
                served.add(signal.mac)
                self._leased.add(signal.ip)
        silent = [node.name for node in nodes if node.name not in heard]
        if len(silent) == 1 and len(self._strangers) == 1 and not served & self._strangers.keys():
            self._strangers = dict.fromkeys(self._strangers, silent[0])


def _with_cards(nodes: Sequence[NodeIdentity], consoles: Iterable[Recording]) -> list[NodeIdentity]:
    """The nodes, each with the cards that its own console tells of."""
    taken = {mac for node in nodes for mac in node.macs}
    told: dict[str, set[str]] = {}
    for node, signals in consoles:
        told.setdefault(node, set()).update(s.mac for s in signals if s.mac and s.mac not in taken)
    return [
        msgspec.structs.replace(node, macs=(*node.macs, *sorted(told[node.name]))) if told.get(node.name) else node
        for node in nodes
    ]


def _by_console(consoles: Iterable[Recording], known: set[str]) -> dict[str, str]:
    """Addresses that only a console tells."""
    return {
        signal.ip: node
        for node, signals in consoles
        for signal in signals
        if signal.kind in _OWN_ADDRESS and signal.ip not in known
    }
