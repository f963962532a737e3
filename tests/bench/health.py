"""One cycle of health over 8 services on 256 nodes, beside the plainest asyncio that asks the same."""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from plasmatui.cluster.clients import ClusterClients
from plasmatui.cluster.health import AT_ONCE, HealthChecks, ServiceHealth
from plasmatui.inventory.inventory import Inventory
from plasmatui.model.words import Health
from tests.bench.report import Figure, LagProbe, Report, median, own_cpu, percentile, timed
from tests.unit.cluster.stub import DOMAIN, Issuer, inventory

NODES, SERVICES, ROUNDS = 256, 8, 3
SILENT = 16
"""Nodes that accept connections and never say a word, in the rounds with silent ones."""
_LIVING, _SILENT = "127.90", "127.91"
_OPEN_FILES = 8192
_BODY = b'{"status":"healthy","raft":"follower","cluster_size":3}'


async def cycle(report: Report) -> None:
    _allow_files()
    with tempfile.TemporaryDirectory() as directory:
        issuer = Issuer.make(Path(directory))
        async with _servers(issuer.server_file(f"*.{DOMAIN}")) as ports:
            found = _inventory(issuer, ports)
            await _rounds(report, found)
            await _with_silent(report, found)


async def _rounds(report: Report, found: Inventory) -> None:
    clients = ClusterClients(found)
    checks = HealthChecks(clients)
    plain = _Plain(found)

    async def round_() -> None:
        told = await checks.cycle()
        assert all(each.status is Health.OK for node in told.values() for each in node)

    name = f"{SERVICES} services x {NODES} nodes"
    for label, count in (("cold", 1), ("warm", ROUNDS)):
        walls, cpus, plain_walls, plain_cpus, lags = [], [], [], [], list[float]()
        for _ in range(count):
            async with LagProbe() as probe:
                before = own_cpu()
                walls.append(await timed(round_))
                cpus.append((own_cpu() - before) / NODES / SERVICES * 1000)
            lags += probe.samples
            before = own_cpu()
            plain_walls.append(await timed(plain.round))
            plain_cpus.append((own_cpu() - before) / NODES / SERVICES * 1000)
        # A cold cycle is 2048 handshakes, whose cost is OpenSSL's on both sides: it is held against the plain one.
        cold = label == "cold"
        wall, plain_wall = median(walls), median(plain_walls)
        report.add(Figure(f"{name}, {label}", wall, "s", plain_wall, "plain", goal=2.0 if cold else 5.0, of_ratio=cold))
        report.add(Figure(f"{name}, {label}: our CPU per request", median(cpus), "ms", median(plain_cpus), "plain"))
        report.add(Figure(f"{name}, {label}: loop lag p99", percentile(lags, 0.99), "ms", goal=50.0))
    plain.close()
    await clients.close()


async def _with_silent(report: Report, found: Inventory) -> None:
    """How long until every living node is told, when some give no connection: in the first cycle and later."""
    silent = set(list(found.nodes)[:: NODES // SILENT])
    nodes = {
        name: msgspec.structs.replace(node, production_ip=node.production_ip.replace(_LIVING, _SILENT))
        if name in silent
        else node
        for name, node in found.nodes.items()
    }
    clients = ClusterClients(replace(found, nodes=nodes))
    checks = HealthChecks(clients)
    loop = asyncio.get_running_loop()
    for label in ("first cycle", "later"):
        last = begin = loop.time()

        def hear(each: ServiceHealth) -> None:
            nonlocal last
            if each.node not in silent:
                last = loop.time()
                assert each.status is Health.OK
            else:
                assert each.finding == "service-silent"

        await checks.cycle(on_health=hear)
        goal = 5.0 if label == "later" else None
        report.add(Figure(f"{SILENT} of {NODES} silent, {label}: all others told", last - begin, "s", goal=goal))
        report.add(Figure(f"{SILENT} of {NODES} silent, {label}: whole cycle", loop.time() - begin, "s"))
    await clients.close()


class _Plain:
    """The same questions over kept connections with streams alone: no HTTP library, no checks of the answer."""

    def __init__(self, found: Inventory) -> None:
        self._context = ssl.create_default_context(cafile=found.ca)
        self._found = found
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._streams: dict[tuple[str, str], tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def round(self) -> None:
        await asyncio.gather(*(self._ask(node, each) for node in self._found.nodes for each in self._found.services))

    async def _ask(self, node: str, service: str) -> None:
        async with self._gate:
            address, port = self._found.nodes[node].production_ip, self._found.services[service].port
            name = f"{node}.{DOMAIN}"
            if (node, service) not in self._streams:
                self._streams[node, service] = await asyncio.open_connection(
                    address, port, ssl=self._context, server_hostname=name
                )
            reader, writer = self._streams[node, service]
            writer.write(f"GET /health HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            assert msgspec.json.decode(await reader.readexactly(size))["status"] == "healthy"

    def close(self) -> None:
        for _, writer in self._streams.values():
            writer.transport.abort()


def _inventory(issuer: Issuer, ports: list[int]) -> Inventory:
    nodes = {f"node{number:03}": f"{_LIVING}.{number // 250}.{number % 250 + 1}" for number in range(NODES)}
    services = {f"service{number}": port for number, port in enumerate(ports)}
    return inventory(nodes, services, issuer.file, profile=tuple(services))


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


# --- the other side, in a process of its own -------------------------------------------------------------------------


@asynccontextmanager
async def _servers(certificate: Path) -> AsyncIterator[list[int]]:
    """A process that serves all nodes: every address of 127.0.0.0/8 is this machine."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.health", str(certificate), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


async def _serve(certificate: str) -> None:
    _allow_files()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    silence = asyncio.Event()
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if writer.get_extra_info("sockname")[0].startswith(_SILENT):
                await silence.wait()
            await writer.start_tls(context)
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(reply)
        except (OSError, EOFError, ssl.SSLError):
            writer.transport.abort()

    servers = [await asyncio.start_server(answer, "0.0.0.0", 0, backlog=4096) for _ in range(SERVICES)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)  # noqa: T201
    await silence.wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
