"""A node as the simulated cluster sees it: who it is, what runs on it now, and its services' certificates."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plasmatui.sim.cluster_dns import DnsServer
from plasmatui.sim.cluster_server import ServiceServer
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.filetree import FileTree
from plasmatui.sim.tls import Authority
from plasmatui.sim.units import Units


class System(Protocol):
    """The part of an installed system that the cluster needs."""

    on_look: Callable[[], None]

    @property
    def files(self) -> FileTree: ...

    @property
    def units(self) -> Units: ...

    @property
    def cluster_config(self) -> dict[str, object] | None: ...

    @property
    def secrets(self) -> Mapping[str, tuple[bytes, int]]: ...


@dataclass
class ClusterNode:
    """A node.

    Attributes:
        host: its full name. address: of its services. voting: its profile votes.
        system: the installed system that runs, or ran last; units: of that run.
        servers: of the services that run, by service; dns: FlashDNS's second one.
    """

    name: str
    host: str
    address: str
    faults: NodeFaults
    voting: bool
    system: System | None = None
    units: Units | None = None
    servers: dict[str, ServiceServer] = field(default_factory=dict)
    dns: DnsServer | None = None

    def runs(self, service: str) -> bool:
        """A service's unit is active now."""
        return self.units is not None and self.units.is_active(service)


class Certificates:
    """TLS contexts of the nodes' services. They are made when somebody first connects.

    Args:
        directory: for the certificates of an authority that nobody trusts.
    """

    def __init__(self, authority: Authority, directory: Path) -> None:
        self._authority = authority
        self._directory = directory
        self._stranger: Authority | None = None
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._known: dict[tuple[str, str], bytes] = {}
        self._own: dict[tuple[str, str], ssl.SSLContext] = {}

    def started(self, node: ClusterNode, service: str) -> None:
        """A service starts, and reads its certificate from `NODE-cert.pem` and `NODE-key.pem` of the node's secrets,
        if they are there; otherwise it has one of the rack's authority.

        Raises:
            ssl.SSLError: they are no certificate and key that belong together, or the node's fault makes it so.
        """
        secrets = node.system.secrets if node.system is not None else {}
        pair = [secrets.get(f"{node.name}-{part}.pem") for part in ("cert", "key")]
        if pair[0] is None or pair[1] is None:
            self._own.pop((node.name, service), None)
        else:
            with tempfile.NamedTemporaryFile(dir=self._directory) as file:
                file.write(pair[0][0].rstrip() + b"\n" + pair[1][0])
                file.flush()
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(file.name)
            known = self._known.get((node.name, service))
            if known not in (None, pair[0][0]) and "certificate-refused" in node.faults:
                error = ssl.SSLError(1, "key values mismatch (fault certificate-refused)")
                error.reason = "KEY_VALUES_MISMATCH"
                raise error
            self._known[node.name, service] = pair[0][0]
            self._own[node.name, service] = context

    def context(self, node: ClusterNode, service: str) -> ssl.SSLContext:
        """What a service shows now."""
        kind = next((name for name in ("certificate-expired", "certificate-untrusted") if name in node.faults), "")
        own = self._own.get((node.name, service))
        if not kind and own is not None:
            return own
        if (node.name, kind) not in self._contexts:
            authority = self._authority
            if kind == "certificate-untrusted":
                self._stranger = authority = self._stranger or Authority(self._directory / "untrusted")
            days = -7.0 if kind == "certificate-expired" else 90.0
            self._contexts[node.name, kind] = authority.service_context(node.address, node.host, days=days)
        return self._contexts[node.name, kind]
