"""A cluster for tests: HTTPS servers on loopback with certificates of a CA of their own, and scripted answers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, settings

from plasmatui.cluster.clients import ClusterClients
from plasmatui.inventory.inventory import Inventory, Profile, Service
from plasmatui.inventory.secrets import Secret
from plasmatui.model.node import Node

DOMAIN = "example.com"
steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For property tests: how fast this machine happens to be is no property."""

CONTROL = ("chainfire", "flaredb", "iam", "plasmavmc", "fiberlb")


@dataclass(frozen=True)
class Issuer:
    """A CA whose file clients are given."""

    directory: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, directory: Path, name: str = "cluster-ca") -> Issuer:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, None, key, ca=True, days=30)
        issuer = cls(directory, name, key, certificate)
        issuer.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return issuer

    @property
    def file(self) -> Path:
        return self.directory / f"{self.name}.pem"

    def context(self, name: str, *, days: int = 30, alternative: bool = True) -> ssl.SSLContext:
        """A server's context with such a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file(name, days=days, alternative=alternative))
        return context

    def server_file(self, name: str, *, days: int = 30, alternative: bool = True) -> Path:
        """A file with certificate and key for a host name; expired when `days` is negative.

        Without `alternative` the name stands in the subject only, as the runbook's certificates have it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, self.certificate, self.key, ca=False, days=days, alternative=alternative)
        file = self.directory / f"{name}-{days}-{alternative}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return file


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
    days: int,
    alternative: bool = True,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    elif alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(signer, hashes.SHA256())


@dataclass(frozen=True)
class Asked:
    """A request as it came in. `sni`: the name that the client named in the handshake."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    sni: str


@dataclass(frozen=True)
class Reply:
    """`raw`: these bytes as the body; `wait`: answer after that; `hang`: never; `drop`: end the connection instead."""

    status: int = 200
    body: object = None
    raw: bytes | None = None
    wait: asyncio.Event | None = None
    hang: bool = False
    drop: bool = False
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Asked], Reply]


@dataclass
class Server:
    """One service of one node. `answers` by "METHOD PATH"; what is not there is 404."""

    address: str = "127.0.0.1"
    port: int = 0
    answers: dict[str, Reply | Handler] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    _sni: str = ""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, context: ssl.SSLContext) -> None:
        context.sni_callback = self._named
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def _named(self, _: object, name: str | None, __: object) -> None:
        self._sni = name or ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError, ssl.SSLError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:-2])}
        data = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, path, headers, json.loads(data) if data else None, self._sni)
        self.asked.append(asked)
        found = self.answers.get(f"{method} {path}", Reply(404, {"error": "not found"}))
        reply = found(asked) if callable(found) else found
        if reply.hang:
            await asyncio.Event().wait()
        if reply.wait is not None:
            await reply.wait.wait()
        if reply.drop:
            return False
        body = reply.raw if reply.raw is not None else b"" if reply.body is None else json.dumps(reply.body).encode()
        more = "".join(f"{key}: {value}\r\n" for key, value in reply.headers.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)
        await writer.drain()
        return True


def inventory(
    nodes: dict[str, str],
    services: dict[str, int],
    ca: Path | str,
    *,
    profile: tuple[str, ...] = CONTROL,
    domain: str = DOMAIN,
    verify: bool | str = True,
    token: Secret | None = None,
) -> Inventory:
    """An inventory of control-plane nodes (name to address) with services at the given ports."""
    return Inventory(
        path=Path("inventory.yaml"),
        cluster="test",
        domain=domain,
        environment="",
        nodes={
            name: Node(name=name, profile="control-plane", production_ip=address, voter=True)
            for name, address in nodes.items()
        },
        bmcs={},
        profiles={"control-plane": Profile("control-plane", voter=True, services=profile)},
        services={
            name: Service(
                name, port, raft_port=2380 if name in ("chainfire", "flaredb") else None,
                health_port=None if name == "k8shost" else port, verify_tls=verify,
            )
            for name, port in services.items()
        },
        ca=str(ca),
        token=token or Secret(),
    )  # fmt: skip


@dataclass
class Rig:
    """Servers by node and service, and clients of them."""

    issuer: Issuer
    inventory: Inventory
    clients: ClusterClients
    servers: dict[tuple[str, str], Server]

    def answer(self, service: str, request: str, reply: Reply | Handler | object, *nodes: str) -> None:
        """Let a service answer a request ("GET /health") on the nodes, on all when none is named."""
        scripted = reply if isinstance(reply, Reply) or callable(reply) else Reply(200, reply)
        for (node, name), server in self.servers.items():
            if name == service and (not nodes or node in nodes):
                server.answers[request] = scripted

    def asked(self, node: str, service: str) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.servers[node, service].asked]

    async def kill(self, node: str, *services: str) -> None:
        """The services (all when none is named) of a node no longer listen."""
        for (name, service), server in self.servers.items():
            if name == node and (not services or service in services):
                await server.stop()


@contextlib.asynccontextmanager
async def rig(
    issuer: Issuer, services: tuple[str, ...], names: tuple[str, ...] = ("node01", "node02", "node03"), **more: Any
) -> AsyncIterator[Rig]:
    """Every service on every node; nodes have addresses of their own, so that a service has one port on all."""
    addresses = {name: f"127.88.7.{number}" for number, name in enumerate(names, 1)}
    ports: dict[str, int] = {}
    servers: dict[tuple[str, str], Server] = {}
    try:
        for name, address in addresses.items():
            context = issuer.context(f"{name}.{DOMAIN}")
            for service in services:
                server = servers[name, service] = Server(address, ports.get(service, 0))
                await server.start(context)
                ports[service] = server.port
        found = inventory(addresses, ports, issuer.file, profile=services, **more)
        clients = ClusterClients(found)
        try:
            yield Rig(issuer, found, clients, servers)
        finally:
            await clients.close()
    finally:
        for server in servers.values():
            await server.stop()


@contextlib.asynccontextmanager
async def serving(server: Server, context: ssl.SSLContext) -> AsyncIterator[Server]:
    await server.start(context)
    try:
        yield server
    finally:
        await server.stop()
