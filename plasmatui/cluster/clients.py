"""Requests to the services' HTTPS APIs: TLS contexts shared by all nodes, every exchange bounded.

Each service of a node has a connection pool of its own, for httpcore looks at every connection of a pool at each
request. Requests go to the node's production address while name and certificate are those of NODE.DOMAIN, so that no
DNS is needed, which may itself be down. They go straight to httpx's transport: what its client adds (cookies,
redirects, logins, proxies) is not wanted and costs as much again.

Nothing is tried again by itself. The services are not trusted: answers are bounded in size and time, compressed ones
are refused, redirects are not followed, and texts are cleaned.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import msgspec

from plasmatui.cluster import certificate
from plasmatui.cluster.connecting import Connecting
from plasmatui.cluster.errors import REJECTED, UNTRUSTED, ServiceError, from_network
from plasmatui.cluster.shapes import Json, cleaned, mapping, text
from plasmatui.cluster.trust import Trust, TrustError
from plasmatui.inventory.inventory import Inventory, Service
from plasmatui.inventory.secrets import SecretError

CONNECT_LIMIT: Final = 3.0
REQUEST_LIMIT: Final = 5.0
"""Seconds for a connection with its handshake, and for a whole exchange."""
BODY_LIMIT: Final = 64 * 1024
LIST_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of an answer; of one that lists what may be thousands."""
_READS_KEPT: Final = 64
_LIMITS: Final = httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=600.0)
_TIMEOUT: Final = httpx.Timeout(REQUEST_LIMIT, connect=CONNECT_LIMIT, pool=CONNECT_LIMIT)
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "plasmatui"}

# Its debug lines hold request headers, and with them tokens.
logging.getLogger("httpcore").setLevel(logging.INFO)
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Answer:
    """What a service answered.

    Attributes:
        status: of HTTP.
        body: JSON with clean text (see `shapes`); None when there was none.
        verified: False when the certificate was not verified, by the inventory's own setting: to be shown.
        latency: seconds of the exchange.
        ends: Unix seconds of the certificate's end, 0 when it is not known.
        skew: seconds that the service's clock is ahead of ours by its `Date`, which has whole seconds; None without
            one, and 0 when it agrees as far as that and the latency can tell.
    """

    node: str
    service: str
    status: int
    body: Json
    verified: bool
    latency: float
    ends: float = 0.0
    skew: float | None = None


@dataclass
class _Held:
    """Connections to one service of a node; `retired` closes them when the last request has ended."""

    transport: httpx.AsyncHTTPTransport
    address: str
    name: str
    trust: Trust
    context: object
    connecting: Connecting
    busy: int = 0
    retired: bool = False
    _reads: dict[tuple[int, str], httpx.Request] = field(default_factory=dict)
    _stream: object = None
    _ends: float = 0.0

    def ends(self, response: httpx.Response) -> float:
        """Unix seconds of the end of the certificate that came with an answer, read once per connection."""
        stream = response.extensions.get("network_stream")
        if stream is not None and stream is not self._stream:
            self._stream, self._ends = stream, certificate.end(stream.get_extra_info("ssl_object"))
        return self._ends

    def request(
        self, method: str, port: int, path: str, body: Mapping[str, object] | None, token: str
    ) -> httpx.Request:
        """A request to the node; those that only read are asked again and again, and built once."""
        plain = method == "GET" and body is None and not token and self._stream is not None
        known = self._reads.get((port, path)) if plain else None
        if known is not None:
            return known
        headers = {"Host": f"{self.name}:{port}", **_HEADERS}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        host = f"[{self.address}]" if ":" in self.address else self.address
        extensions: dict[str, object] = {"sni_hostname": self.name, "timeout": _TIMEOUT.as_dict()}
        if self._stream is None:  # never connected
            extensions["trace"] = self.connecting.trace()
        made = httpx.Request(method, f"https://{host}:{port}{path}", headers=headers, json=body, extensions=extensions)
        if plain and len(self._reads) < _READS_KEPT:
            self._reads[port, path] = made
        return made

    async def release(self) -> None:
        self.busy -= 1
        if self.retired and not self.busy:
            await self.transport.aclose()


class ClusterClients:
    """The services of all nodes of an inventory. `close` in the end."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._trust = Trust(inventory.ca)
        self._held: dict[tuple[str, str], _Held] = {}
        self._connecting = Connecting()

    # --- what there is -----------------------------------------------------------------------------------------

    def services_of(self, node: str) -> tuple[Service, ...]:
        """The services that the node's profile runs, in the profile's order."""
        known = self.inventory.nodes.get(node)
        profile = self.inventory.profiles.get(known.profile) if known is not None else None
        names = profile.services if profile is not None else ()
        return tuple(self.inventory.services[name] for name in names if name in self.inventory.services)

    def nodes_of(self, service: str) -> tuple[str, ...]:
        """The nodes whose profile runs the service: voters first, then in the inventory's order."""
        profiles = {name for name, profile in self.inventory.profiles.items() if service in profile.services}
        found = [node for node in self.inventory.nodes.values() if node.profile in profiles]
        return tuple(node.name for node in sorted(found, key=lambda node: not node.voter))

    def host_name(self, node: str) -> str:
        """NODE.DOMAIN, which the certificate is issued to."""
        return f"{node}.{self.inventory.domain}" if self.inventory.domain else node

    def address(self, node: str) -> str:
        """Where requests to the node go: its production address, else its name."""
        known = self.inventory.nodes.get(node)
        return known.production_ip if known is not None and known.production_ip else self.host_name(node)

    # --- requests ----------------------------------------------------------------------------------------------

    async def get(self, node: str, service: str, path: str, *, body_limit: int = BODY_LIMIT) -> Answer:
        """Read something. See `call`."""
        return await self.call("GET", node, service, path, body_limit=body_limit)

    async def call(
        self,
        method: str,
        node: str,
        service: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        limit: float = REQUEST_LIMIT,
        body_limit: int = BODY_LIMIT,
        authorised: bool = False,
    ) -> Answer:
        """One exchange with the service's API that succeeded (2xx).

        Raises:
            ServiceError: as `ask`, and "rejected" for any other status of HTTP, with what the service said.
        """
        answer = await self.ask(
            method, node, service, path, body, limit=limit, body_limit=body_limit, authorised=authorised
        )
        if not 200 <= answer.status < 300:
            raise refusal(answer, f"{method} {path}")
        return answer

    async def ask(
        self,
        method: str,
        node: str,
        service: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        port: int | None = None,
        limit: float = REQUEST_LIMIT,
        body_limit: int = BODY_LIMIT,
        authorised: bool = False,
    ) -> Answer:
        """One exchange, whatever its status. `port`: another than the API's; `authorised`: with the cluster's token.

        Raises:
            ServiceError: "service-silent", "certificate-expired", "certificate-untrusted"; "rejected": no such
                service in the inventory, no token, or an answer that is too long or no JSON.
        """
        known = self.inventory.services.get(service)
        if known is None:
            raise ServiceError(REJECTED, node, service, "the inventory has no such service")
        token = await self._token(node, service) if authorised else ""
        held = await self._open(node, known)
        held.busy += 1
        begin = time.monotonic()
        try:
            request = held.request(method, port or known.port, path, body, token)
            async with asyncio.timeout(limit):
                response, data = await _exchange(held.transport, request, body_limit)
        except _UnfitError as unfit:
            raise ServiceError(REJECTED, node, service, str(unfit), uncertain=method != "GET") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            told = from_network(
                error,
                node,
                service,
                name=self.host_name(node),
                port=port or known.port,
                changing=method != "GET",
            )
            if told.id == UNTRUSTED:
                await held.trust.refresh(known.verify_tls)
            raise told from error
        finally:
            await held.release()
        latency = time.monotonic() - begin
        decoded = _decoded(data, node, service, response.status_code, method)
        return Answer(
            node,
            service,
            response.status_code,
            decoded,
            known.verify_tls is not False,
            latency,
            held.ends(response),
            clock_skew(response.headers.get("date", ""), time.time(), latency),
        )

    async def _open(self, node: str, service: Service) -> _Held:
        """The connections to a service, made anew when the CA's file or the way of trusting changed."""
        trust = self._trust
        try:
            context = await trust.get(service.verify_tls)
        except TrustError as error:
            remedy = "Correct `cluster.ca` or the service's `verify_tls` in the inventory."
            raise ServiceError(UNTRUSTED, node, service.name, f"the CA cannot be used: {error}", remedy) from None
        key = (node, service.name)
        held = self._held.get(key)
        if held is not None and held.context is context:
            return held
        transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=_LIMITS)
        fresh = _Held(transport, self.address(node), self.host_name(node), trust, context, self._connecting)
        self._held[key] = fresh
        if held is not None:
            await _retire(held)
        return fresh

    async def _token(self, node: str, service: str) -> str:
        try:
            return await asyncio.to_thread(self.inventory.token.reveal)
        except SecretError as error:
            remedy = "Give `cluster.token` in the inventory, and make it available to the engine."
            raise ServiceError(REJECTED, node, service, f"no token: {error}", remedy) from None

    # --- upkeep ------------------------------------------------------------------------------------------------

    async def retarget(self, inventory: Inventory) -> None:
        """Follow a changed inventory: connections to nodes that went, moved or are trusted otherwise are closed.

        Requests that are under way end as they began.
        """
        before, self.inventory = self.inventory, inventory
        if (inventory.ca, inventory.domain) != (before.ca, before.domain):
            self._trust = Trust(inventory.ca)
        for key, held in list(self._held.items()):
            gone = key[0] not in inventory.nodes or held.address != self.address(key[0])
            if gone or held.trust is not self._trust:
                del self._held[key]
                await _retire(held)

    async def close(self) -> None:
        """Close every connection."""
        transports, self._held = [held.transport for held in self._held.values()], {}
        for transport in transports:
            await transport.aclose()


class _UnfitError(Exception):
    """An answer that is not read to its end."""


async def _exchange(
    transport: httpx.AsyncHTTPTransport, request: httpx.Request, body_limit: int
) -> tuple[httpx.Response, bytes]:
    response = await transport.handle_async_request(request)
    try:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _UnfitError("the answer is compressed although that was not asked for")
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > body_limit:
                raise _UnfitError(f"the answer is longer than {body_limit // 1024} KiB")
        return response, bytes(data)
    finally:
        await response.aclose()


def clock_skew(date: str, now: float, latency: float) -> float | None:
    """Seconds that another clock is ahead, by the `Date` of an answer (RFC 9110, section 6.6.1) that came at `now`.

    The header was written some time in the exchange and has whole seconds; what that may explain is no skew.
    """
    try:
        told = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    skew, doubt = told + 0.5 - (now - latency / 2), 0.5 + latency / 2
    return round(skew, 1) if abs(skew) > doubt else 0.0


async def _retire(held: _Held) -> None:
    held.retired = True
    if not held.busy:
        await held.transport.aclose()


def _decoded(data: bytes, node: str, service: str, status: int, method: str) -> Json:
    if not data:
        return None
    try:
        found: object = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        if status >= 400 or method != "GET":  # the status says enough
            return None
        told = f"HTTP {status}, but the answer is no JSON that can be read"
        remedy = f"Check that {service} and nothing else listens at its port: `services.{service}` in the inventory."
        raise ServiceError(REJECTED, node, service, told, remedy, status=status) from None
    return cleaned(found)


def refusal(answer: Answer, what: str) -> ServiceError:
    """The error for an answer that is none of success; `what` was asked for."""
    said = text(mapping(answer.body), "message", "error", "detail", "reason")
    told = f"{what}: HTTP {answer.status}{f': {said}' if said else ''}"
    remedy = ""
    if answer.status in (401, 403):
        remedy = "It wants a login: check `cluster.token` in the inventory."
    elif answer.status in (404, 405, 501):
        remedy = f"It does not offer this: check the port of `services.{answer.service}` in the inventory."
    elif answer.status >= 500:
        remedy = f"Look at `journalctl -u {answer.service}.service` on {answer.node}."
    uncertain = answer.status >= 500 and not what.startswith("GET")
    return ServiceError(REJECTED, answer.node, answer.service, told, remedy, status=answer.status, uncertain=uncertain)
