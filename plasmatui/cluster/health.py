"""What each service on each node says of itself (runbook, section 6.1). Silence is unknown, never ok.

A dead node must not delay the others: what found no connection the last time waits for one behind a gate of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from plasmatui.cluster import dns
from plasmatui.cluster.clients import Answer, ClusterClients
from plasmatui.cluster.errors import REJECTED, SILENT, ServiceError
from plasmatui.cluster.shapes import flat, mapping, text
from plasmatui.inventory.inventory import Service
from plasmatui.model.words import Health

AT_ONCE: Final = 32
"""Requests under way at once; more only makes the event loop late."""
AT_ONCE_SILENT: Final = 256
"""The same for nodes that gave no connection; they only wait."""
DNS_LIMIT: Final = 3.0
DNS_SERVICE: Final = "flashdns"

_WORDS: Final = {
    **dict.fromkeys(("healthy", "ok", "up", "running", "pass", "passing", "active"), Health.OK),
    **dict.fromkeys(("degraded", "warning", "warn", "starting", "draining", "maintenance"), Health.DEGRADED),
    **dict.fromkeys(("unhealthy", "failed", "fail", "error", "down", "critical", "stopped"), Health.FAILED),
}
# What a service says besides its status, and what is as it should be (runbook, section 6.1).
_SOUND: Final[Mapping[str, frozenset[str]]] = {
    "raft": frozenset({"leader", "follower", "learner"}),
    "chainfire": frozenset({"connected"}),
    "database": frozenset({"connected"}),
}
_WORSE: Final = {Health.UNKNOWN: 0, Health.OK: 1, Health.DEGRADED: 2, Health.FAILED: 3}


@dataclass(frozen=True)
class ServiceHealth:
    """The health of one service on one node.

    Attributes:
        status: what it says; `unknown` when it says nothing.
        message: one line for people: what it says, or why it is not known.
        latency: seconds of the answer, None without one.
        since: Unix seconds since when `status` holds; `at`: of this look.
        details: the fields of its answer as clean text, in its order.
        verified: False when TLS was not verified by the inventory's own setting; None without an answer.
        finding: "certificate-expired", "certificate-untrusted", "service-silent" or "".
        remedy: what to do about it, "" for nothing.
        askable: False for what cannot be asked from here; it does not count for the node's health.
        ends, skew: of its certificate and clock, see `clients.Answer`.
    """

    node: str
    service: str
    status: Health = Health.UNKNOWN
    message: str = ""
    latency: float | None = None
    since: float = 0.0
    at: float = 0.0
    details: Mapping[str, str] = field(default_factory=dict)
    verified: bool | None = None
    finding: str = ""
    remedy: str = ""
    askable: bool = True
    ends: float = 0.0
    skew: float | None = None


def node_health(found: Iterable[ServiceHealth]) -> Health:
    """A node's health out of its services': failed or degraded if one is, or if some are silent while others answer;
    unknown when all are silent or there is none to ask."""
    said = [each.status for each in found if each.askable]
    told = [status for status in said if status is not Health.UNKNOWN]
    if not told:
        return Health.UNKNOWN
    worst = max(told, key=_WORSE.__getitem__)
    return Health.DEGRADED if worst is Health.OK and len(told) < len(said) else worst


class HealthChecks:
    """Looks at services, and remembers since when each is as it is.

    Args:
        now: the clock, Unix seconds.
    """

    def __init__(self, clients: ClusterClients, now: Callable[[], float] = time.time) -> None:
        self._clients = clients
        self._now = now
        self._last: dict[tuple[str, str], ServiceHealth] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._silent_gate = asyncio.Semaphore(AT_ONCE_SILENT)
        self._silent: set[str] = set()

    async def cycle(
        self, nodes: Collection[str] | None = None, on_health: Callable[[ServiceHealth], None] | None = None
    ) -> dict[str, tuple[ServiceHealth, ...]]:
        """Look at every service of the nodes (of all when None); each result also goes to `on_health` at once."""
        inventory = self._clients.inventory
        wanted = list(inventory.nodes) if nodes is None else [node for node in nodes if node in inventory.nodes]
        self.forget(inventory.nodes.keys())
        results = await asyncio.gather(*(self.node(node, on_health) for node in wanted))
        return dict(zip(wanted, results, strict=True))

    async def check(self, node: str, service: str) -> ServiceHealth:
        """Look at one service now. Raises nothing: what goes wrong is in the result."""
        known = self._clients.inventory.services.get(service)
        if known is None:
            return ServiceHealth(node, service, message="the inventory has no such service", askable=False)
        return await self._gated(node, known, None)

    def forget(self, known: Collection[str]) -> None:
        """Remember nothing of nodes other than these."""
        for key in [key for key in self._last if key[0] not in known]:
            del self._last[key]
        self._silent.intersection_update(known)

    async def node(
        self, node: str, on_health: Callable[[ServiceHealth], None] | None = None
    ) -> tuple[ServiceHealth, ...]:
        """Look at every service of a node. The first one shows whether the node is there; the rest is asked at once."""
        services = self._clients.services_of(node)
        ordered = sorted(services, key=lambda service: service.health_port is None)
        if not ordered:
            return ()
        first = await self._gated(node, ordered[0], on_health)
        rest = await asyncio.gather(*(self._gated(node, service, on_health) for service in ordered[1:]))
        found = {each.service: each for each in (first, *rest)}
        return tuple(found[service.name] for service in services)

    async def _gated(
        self, node: str, service: Service, on_health: Callable[[ServiceHealth], None] | None
    ) -> ServiceHealth:
        async with self._silent_gate if node in self._silent else self._gate:
            seen = await self._look(node, service)
        held = self._last.get((node, service.name))
        at = self._now()
        since = held.since if held is not None and held.status is seen.status else at
        seen = replace(seen, since=since, at=at)
        self._last[node, service.name] = seen
        if on_health is not None:
            on_health(seen)
        return seen

    async def _look(self, node: str, service: Service) -> ServiceHealth:
        if service.health_port is None:
            return ServiceHealth(node, service.name, message=unaskable(service), askable=False)
        if service.name == DNS_SERVICE:
            seen, answer = await asyncio.gather(self._ask(node, service), self._dns(node, service))
            return with_dns(seen, answer)
        return await self._ask(node, service)

    async def _ask(self, node: str, service: Service) -> ServiceHealth:
        try:
            answer = await self._clients.ask("GET", node, service.name, "/health", port=service.health_port)
        except ServiceError as error:
            if error.unreached:
                self._silent.add(node)
            elif error.id != SILENT:
                self._silent.discard(node)
            finding = "" if error.id == REJECTED else error.id
            return ServiceHealth(node, service.name, message=error.cause, finding=finding, remedy=error.remedy)
        self._silent.discard(node)
        return said(answer)

    async def _dns(self, node: str, service: Service) -> str:
        """What is wrong with the DNS answer for the cluster's domain, "" when it has an ANSWER section."""
        name = self._clients.inventory.domain or self._clients.host_name(node)
        try:
            answer = await dns.ask(self._clients.address(node), service.port, name, DNS_LIMIT)
        except TimeoutError:
            return f"DNS at UDP port {service.port} does not answer"
        except (OSError, ValueError) as error:
            told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return f"DNS at UDP port {service.port} cannot be asked: {told}"
        if answer.code != "NOERROR" or not answer.answers:
            return f"DNS answers {answer.code} without an address for {name}"
        return ""


def unaskable(service: Service) -> str:
    """Why the health of a service without a health port is not known."""
    if service.name == "k8shost":
        return "asked with `kubectl get nodes` on a control-plane node, not from here"
    return "no health address is known; give `health_port` under services in the inventory"


def said(answer: Answer) -> ServiceHealth:
    """What an answer of `/health` says. A status of HTTP that is an error is never ok."""
    record = mapping(answer.body)
    word = text(record, "status", "health", "state")
    status = _WORDS.get(word.lower(), Health.UNKNOWN)
    details = flat(record)
    if answer.status >= 500:
        status = Health.DEGRADED if status is Health.DEGRADED else Health.FAILED
    elif answer.status >= 300:
        status = Health.UNKNOWN
    unsound = [
        f"{key} {details[key]}" for key, sound in _SOUND.items() if key in details and details[key].lower() not in sound
    ]
    if unsound and status is Health.OK:
        status = Health.DEGRADED
    return ServiceHealth(
        answer.node,
        answer.service,
        status,
        message=_message(answer, word, details, status, unsound),
        latency=answer.latency,
        details=details,
        verified=answer.verified,
        ends=answer.ends,
        skew=answer.skew,
    )


def _message(answer: Answer, word: str, details: Mapping[str, str], status: Health, unsound: list[str]) -> str:
    parts = [word] if word else []
    if answer.status >= 300:
        parts.append(f"HTTP {answer.status}")
    if not word:
        parts.append("its answer gives no status" if isinstance(answer.body, dict) else "its answer is no JSON object")
    elif status is Health.UNKNOWN and answer.status < 300:
        parts[0] = f"it says {word}, which is no known status"
    parts += unsound or [f"{key} {value}" for key, value in details.items() if key not in _STATUS][:4]
    return ", ".join(parts)[:200]


_STATUS: Final = ("status", "health", "state")


def with_dns(seen: ServiceHealth, trouble: str) -> ServiceHealth:
    """The health of a DNS server: it must be well and answer questions (runbook, section 6.1)."""
    if not trouble:
        return seen
    status = Health.DEGRADED if seen.status is Health.OK else seen.status
    return replace(seen, status=status, message=f"{trouble}; {seen.message}" if seen.message else trouble)
