"""Health by the services' APIs: what words mean, silence, dead nodes beside living ones, DNS, and since when."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cluster import dns, health
from plasmatui.cluster.clients import Answer
from plasmatui.cluster.errors import ServiceError
from plasmatui.cluster.health import HealthChecks, ServiceHealth, node_health, said
from plasmatui.cluster.shapes import cleaned
from plasmatui.model.words import Health
from plasmatui.text import is_clean
from tests.unit.cluster.stub import Issuer, Reply, rig, steady

OK, DEGRADED, FAILED, UNKNOWN = Health.OK, Health.DEGRADED, Health.FAILED, Health.UNKNOWN


def answer(body: object, status: int = 200, service: str = "chainfire") -> Answer:
    return Answer("node01", service, status, cleaned(body), verified=True, latency=0.01)


@pytest.mark.parametrize(
    ("body", "status", "expected", "message"),
    [
        # The runbook's, section 6.1.
        ({"status": "healthy", "raft": "leader", "cluster_size": 3}, 200, OK, "healthy, raft leader, cluster_size 3"),
        ({"status": "healthy", "chainfire": "connected"}, 200, OK, "healthy, chainfire connected"),
        ({"status": "healthy", "database": "connected"}, 200, OK, "healthy, database connected"),
        ({"status": "healthy", "vms_running": 0}, 200, OK, "healthy, vms_running 0"),
        # What they may say besides.
        ({"status": "healthy", "raft": "candidate"}, 200, DEGRADED, "healthy, raft candidate"),
        ({"status": "healthy", "chainfire": "disconnected"}, 200, DEGRADED, "healthy, chainfire disconnected"),
        ({"status": "degraded", "error": "slow"}, 200, DEGRADED, "degraded, error slow"),
        ({"status": "unhealthy", "error": "x"}, 503, FAILED, "unhealthy, HTTP 503, error x"),
        ({"status": "healthy"}, 500, FAILED, "healthy, HTTP 500"),
        ({"status": "HEALTHY"}, 200, OK, "HEALTHY"),
        ({"status": "purple"}, 200, UNKNOWN, "it says purple, which is no known status"),
        ({"uptime": 3}, 200, UNKNOWN, "its answer gives no status, uptime 3"),
        ({}, 200, UNKNOWN, "its answer gives no status"),
        ([1], 200, UNKNOWN, "its answer is no JSON object"),
        (None, 404, UNKNOWN, "HTTP 404, its answer is no JSON object"),
        ({"status": "healthy"}, 302, UNKNOWN, "healthy, HTTP 302"),
    ],
)  # fmt: skip
def test_what_answers_say(body: object, status: int, expected: Health, message: str) -> None:
    found = said(answer(body, status))
    assert (found.status, found.message) == (expected, message)
    assert found.verified
    assert found.latency == 0.01


@steady
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["status", "raft", "chainfire", "x"]) | st.text(), inner, max_size=4)
        ),
        max_leaves=15,
    ),
    st.integers(200, 599),
)
def test_any_answer_is_something_and_ok_only_by_its_own_word(body: object, status: int) -> None:
    found = said(answer(body, status))
    assert is_clean(found.message)
    assert all(is_clean(text) for pair in found.details.items() for text in pair)
    if found.status is OK:
        assert status < 300
        assert isinstance(body, dict)


def seen(*statuses: Health, askable: bool = True) -> list[ServiceHealth]:
    return [ServiceHealth("n", f"s{i}", status, askable=askable) for i, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (seen(OK, OK), OK),
        (seen(OK, DEGRADED), DEGRADED),
        (seen(DEGRADED, FAILED, UNKNOWN), FAILED),
        (seen(UNKNOWN, UNKNOWN), UNKNOWN),
        (seen(OK, UNKNOWN), DEGRADED),
        (seen(OK) + seen(UNKNOWN, askable=False), OK),
        (seen(UNKNOWN, askable=False), UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_a_nodes_health(found: list[ServiceHealth], expected: Health) -> None:
    assert node_health(found) is expected


async def test_a_cycle_tells_each_service_of_each_node_and_since_when(issuer: Issuer) -> None:
    clock = iter(range(100, 1000))
    async with rig(issuer, ("chainfire", "iam")) as it:
        checks = HealthChecks(it.clients, now=lambda: float(next(clock)))
        it.answer("chainfire", "GET /health", {"status": "healthy", "raft": "leader"})
        it.answer("iam", "GET /health", Reply(503, {"status": "unhealthy", "database": "down"}))
        await it.kill("node03")
        heard: list[ServiceHealth] = []
        first = await checks.cycle(on_health=heard.append)
        assert {node: [each.status for each in found] for node, found in first.items()} == {
            "node01": [OK, FAILED], "node02": [OK, FAILED], "node03": [UNKNOWN, UNKNOWN],
        }  # fmt: skip
        assert len(heard) == 6
        dead = first["node03"][0]
        assert (dead.finding, dead.latency, dead.verified) == ("service-silent", None, None)
        assert "Connection refused" in dead.message
        assert "node03" in dead.remedy
        it.answer("iam", "GET /health", {"status": "healthy", "database": "connected"}, "node01")
        second = await checks.cycle(["node01", "nobody"])
        assert list(second) == ["node01"]
        before, after = first["node01"], second["node01"]
        assert after[0].since == before[0].since < after[0].at
        assert after[1].since == after[1].at > before[1].since
        assert (await checks.check("node02", "iam")).status is FAILED


async def test_dead_nodes_do_not_delay_the_others(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that give no connection hold their gate; those that are there are told meanwhile."""
    monkeypatch.setattr(health, "AT_ONCE", 2)
    monkeypatch.setattr(health, "AT_ONCE_SILENT", 2)
    names = tuple(f"node{n:02}" for n in range(1, 9))
    async with rig(issuer, ("chainfire", "iam"), names) as it:
        for service in ("chainfire", "iam"):
            it.answer(service, "GET /health", {"status": "healthy"})
        checks = HealthChecks(it.clients)
        dead = set(names[:4])
        release = asyncio.Event()
        real = it.clients.ask

        async def ask(method: str, node: str, service: str, path: str, **more: object) -> Answer:
            if node in dead:
                if node in known_dead:
                    await release.wait()
                raise ServiceError("service-silent", node, service, "no connection", unreached=True)
            return await real(method, node, service, path, **more)  # type: ignore[arg-type]

        known_dead: set[str] = set()
        monkeypatch.setattr(it.clients, "ask", ask)
        await checks.cycle()
        known_dead |= dead
        heard: list[str] = []
        told = asyncio.Event()

        def hear(each: ServiceHealth) -> None:
            heard.append(each.node)
            if len(heard) == 8:
                told.set()

        cycle = asyncio.create_task(checks.cycle(on_health=hear))
        await told.wait()  # all four living nodes, while the dead ones still wait
        assert not dead & set(heard)
        release.set()
        found = await cycle
        assert all(each.finding == "service-silent" for node in dead for each in found[node])
        dead.clear()
        assert node_health((await checks.cycle())["node01"]) is OK  # it came back


async def test_what_cannot_be_asked_from_here_says_how(issuer: Issuer) -> None:
    async with rig(issuer, ("k8shost",), ("node01",)) as it:
        found = await HealthChecks(it.clients).check("node01", "k8shost")
        assert (found.status, found.askable) == (UNKNOWN, False)
        assert "kubectl get nodes" in found.message
        assert not (await HealthChecks(it.clients).check("node01", "nothing")).askable


class DnsServer(asyncio.DatagramProtocol):
    """Answers every question with `answers` records and `code`; not at all when `silent`."""

    def __init__(self) -> None:
        self.code, self.answers, self.silent = 0, 1, False
        self.asked: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        if not self.silent and self.transport is not None:
            self.transport.sendto(b"\0\0garbage", addr)  # what is no answer to it is passed over
            number = struct.unpack_from("!H", data)[0]
            self.transport.sendto(
                struct.pack("!6H", number, 0x8180 | self.code, 1, self.answers, 0, 0) + data[12:], addr
            )


@pytest_asyncio.fixture
async def dns_server() -> AsyncIterator[tuple[DnsServer, int]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(DnsServer, local_addr=("127.0.0.1", 0))
    server.transport = transport
    yield server, transport.get_extra_info("sockname")[1]
    transport.close()


async def test_dns_is_asked_as_dig_does(dns_server: tuple[DnsServer, int]) -> None:
    server, port = dns_server
    assert await dns.ask("127.0.0.1", port, "example.com", 5) == dns.DnsAnswer("NOERROR", 1)
    assert server.asked[0][12:] == b"\x07example\x03com\x00\x00\x01\x00\x01"
    server.code, server.answers = 3, 0
    assert await dns.ask("127.0.0.1", port, "example.com.", 5) == dns.DnsAnswer("NXDOMAIN", 0)
    server.silent = True
    with pytest.raises(TimeoutError):
        await dns.ask("127.0.0.1", port, "example.com", 0.02)
    for name in ("", "a..b", "x" * 64, "ä.example"):
        with pytest.raises(ValueError):
            await dns.ask("127.0.0.1", port, name, 0.02)


@steady
@given(st.binary(max_size=40))
def test_any_datagram_is_an_answer_or_none(data: bytes) -> None:
    found = dns.read_answer(data, dns.question("example.com", 7))
    assert found is None or data[:2] == b"\0\x07"


async def test_a_dns_service_must_be_well_and_answer(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[dns.DnsAnswer | Exception] = [
        dns.DnsAnswer("NOERROR", 1),
        dns.DnsAnswer("NXDOMAIN", 0),
        TimeoutError(),
        ConnectionRefusedError(111, "Connection refused"),
    ]

    async def ask(*_: object) -> dns.DnsAnswer:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(dns, "ask", ask)
    async with rig(issuer, ("flashdns",), ("node01",)) as it:
        it.answer("flashdns", "GET /health", {"status": "healthy"})
        checks = HealthChecks(it.clients)
        found = [await checks.check("node01", "flashdns") for _ in range(4)]
    assert [each.status for each in found] == [OK, DEGRADED, DEGRADED, DEGRADED]
    assert found[1].message == "DNS answers NXDOMAIN without an address for example.com; healthy"
    assert "does not answer" in found[2].message
    assert "Connection refused" in found[3].message
