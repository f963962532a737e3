"""The simulated services over real HTTPS: health, raft, guests, balancer, certificates, and faults."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.sim.cluster_dns import respond
from plasmatui.sim.cluster_ports import DNS_PORT
from plasmatui.sim.tls import Authority

from .cluster_site import CONTROL_PLANE, VOTERS, Site, site, until


async def test_health_of_every_service_with_verified_tls(tmp_path: Path) -> None:
    async with site(tmp_path) as rack:
        await rack.established((*VOTERS, "node04"))
        for service in CONTROL_PLANE:
            for name in VOTERS:
                assert (await rack.get(name, service))["status"] == "healthy", (name, service)
        leader = rack.cluster.groups["chainfire"].leader
        assert leader is not None
        assert await rack.get(leader, "chainfire") == {"status": "healthy", "raft": "leader", "cluster_size": 4}
        assert (await rack.get("node01", "flaredb"))["chainfire"] == "connected"
        assert (await rack.get("node01", "iam"))["database"] == "connected"
        assert (await rack.get("node04", "plasmavmc"))["vms_running"] == len(rack.cluster.vms.on("node04"))
        with pytest.raises(httpx.ConnectError):
            await rack.get("node04", "chainfire")
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            async with httpx.AsyncClient() as stranger:
                await stranger.get(f"https://{rack.cluster.nodes['node01'].address}:{rack.cluster.ports['iam']}/health")


async def test_members_leader_and_replication(tmp_path: Path) -> None:
    async with site(tmp_path) as rack:
        await rack.established((*VOTERS, "node04"))
        members = (await rack.get("node02", "chainfire", "/admin/cluster/members"))["members"]
        assert [member["id"] for member in members] == [*VOTERS, "node04"]
        assert [member["voter"] for member in members] == [True, True, True, False]
        assert members[0]["raft_addr"] == f"{rack.cluster.nodes['node01'].address}:2380"
        leader = (await rack.get("node03", "flaredb", "/admin/cluster/leader"))["id"]
        assert leader == rack.cluster.groups["flaredb"].leader
        put = await rack.ask("PUT", "node01", "chainfire", "/v1/kv/a/b", {"value": "hello"})
        assert (put.status_code, put.json()) == (200, {"key": "a/b", "value": "hello"})
        assert await rack.get("node03", "chainfire", "/v1/kv/a/b") == {"key": "a/b", "value": "hello"}
        assert (await rack.ask("GET", "node03", "chainfire", "/v1/kv/none")).status_code == 404
        for value in (1, 2.5):
            point = {"metric": "up", "value": value, "timestamp": "2025-12-10T10:30:00+00:00"}
            assert (await rack.ask("POST", "node01", "flaredb", "/v1/write", point)).status_code == 200
        newest = await rack.ask("POST", "node02", "flaredb", "/v1/query", {"query": 'up{job="node"}', "time": "now"})
        assert [point["value"] for point in newest.json()["result"]] == [2.5]
        span = await rack.ask("POST", "node02", "flaredb", "/v1/query", {"query": "up", "start": "1h", "end": "now"})
        assert [point["value"] for point in span.json()["result"]] == [1, 2.5]


@pytest.mark.parametrize(
    ("method", "service", "path", "body", "status"),
    [
        ("PUT", "chainfire", "/v1/kv/a", {"value": 1}, 400),
        ("POST", "chainfire", "/admin/member/add", {"id": "x"}, 400),
        ("POST", "chainfire", "/admin/member/add", {"id": "node01", "raft_addr": "a:1"}, 409),
        ("DELETE", "chainfire", "/admin/member/node09", None, 404),
        ("POST", "flaredb", "/v1/write", {"metric": "a", "value": "b"}, 400),
        ("POST", "flaredb", "/v1/query", {"query": "a"}, 400),
        ("GET", "plasmavmc", "/api/nothing", None, 404),
        ("POST", "plasmavmc", "/api/vms/vm-999/migrate", {"target_node": "node02"}, 404),
        ("POST", "plasmavmc", "/api/vms/vm-001/migrate", {}, 400),
        ("POST", "fiberlb", "/api/backend/node09", {"status": "drain"}, 404),
        ("POST", "fiberlb", "/api/backend/node01", {"status": "off"}, 400),
        ("GET", "iam", "/api/users", None, 401),
    ],
)
async def test_requests_that_are_refused(
    tmp_path: Path, method: str, service: str, path: str, body: object, status: int
) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        answer = await rack.ask(method, "node01", service, path, body)
        assert answer.status_code == status
        assert answer.json()["error"]


async def test_a_node_that_goes_is_gone_at_once_and_without_a_majority_nothing_is_written(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        group = rack.cluster.groups["chainfire"]
        old = group.leader
        assert old is not None
        others = [name for name in VOTERS if name != old]
        rack.halt(old)
        with pytest.raises(httpx.ConnectError):
            await rack.get(old, "chainfire")
        # the write waits for the election
        put = await rack.ask("PUT", others[0], "chainfire", "/v1/kv/a", {"value": "1"})
        assert put.status_code == 200
        assert group.losses == []
        rack.halt(others[1])
        put = await rack.ask("PUT", others[0], "chainfire", "/v1/kv/a", {"value": "2"})
        assert put.status_code == 503
        assert "1 of 3 voters healthy" in put.json()["error"]
        health = await rack.ask("GET", others[0], "chainfire", "/health")
        assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
        assert (await rack.ask("GET", others[0], "iam", "/health")).status_code == 503
        assert len(group.losses) == 1
        rack.boot(old, others[1])
        await until(lambda: all(map(rack.healthy, VOTERS)))
        assert group.losses[0].end is not None
        assert (await rack.get(old, "chainfire", "/v1/kv/a"))["value"] == "1"


async def test_a_guest_moves_with_its_unit(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        vms = rack.cluster.vms
        vm = vms.on("node02")[0]
        unit = f"plasmavmc-vm@{vm.id}"
        assert rack.systems["node02"].units.is_active(unit)
        answer = await rack.ask("POST", "node01", "plasmavmc", f"/api/vms/{vm.id}/migrate", {"target_node": "node03"})
        assert (answer.status_code, answer.json()["status"]) == (202, "migrating")
        again = await rack.ask("POST", "node01", "plasmavmc", f"/api/vms/{vm.id}/migrate", {"target_node": "node03"})
        assert again.status_code == 409
        await until(lambda: vm.node == "node03")
        listed = (await rack.get("node01", "plasmavmc", "/api/vms"))["vms"]
        assert {one["id"]: (one["node"], one["status"]) for one in listed}[vm.id] == ("node03", "running")
        assert rack.systems["node03"].units.is_active(unit)
        assert not rack.systems["node02"].units.is_active(unit)
        assert (vms.moves, vms.lost) == ([(vm.id, "node02", "node03")], [])


async def test_migrations_that_fail_or_are_refused_leave_the_guest_where_it_is(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        vms = rack.cluster.vms
        vm = vms.on("node01")[0]
        path = f"/api/vms/{vm.id}/migrate"
        vms.hypervisors["node03"].memory = 1024
        answer = await rack.ask("POST", "node01", "plasmavmc", path, {"target_node": "node03"})
        assert answer.status_code == 409
        assert "not enough memory on node03" in answer.json()["error"]
        rack.faults["node02"].set("migration-fails")
        answer = await rack.ask("POST", "node01", "plasmavmc", path, {"target_node": "node02"})
        assert answer.status_code == 202
        await until(lambda: vm.error)
        assert (vm.node, vm.status, vms.lost, vms.moves) == ("node01", "running", [], [])
        rack.halt("node02")
        answer = await rack.ask("POST", "node01", "plasmavmc", path, {"target_node": "node02"})
        assert answer.status_code == 409


async def test_guests_die_with_plasmavmc_and_stay_dead(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        vms = rack.cluster.vms
        guests = vms.on("node02")
        rack.systems["node02"].units.restart("plasmavmc")
        assert [lost.id for lost in vms.lost] == [vm.id for vm in guests]
        assert (await rack.get("node02", "plasmavmc"))["vms_running"] == 0
        one, *_ = vms.on("node03")
        rack.systems["node03"].units.stop(f"plasmavmc-vm@{one.id}")
        assert vms.lost[-1].id == one.id
        rack.halt("node03")
        assert {lost.node for lost in vms.lost} == {"node02", "node03"}


async def test_balancer_and_users(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        drained = await rack.ask("POST", "node01", "fiberlb", "/api/backend/node02", {"status": "drain"})
        assert drained.json() == {"id": "node02", "status": "drain"}
        assert (await rack.get("node03", "fiberlb"))["backends"] == 2
        backends = (await rack.get("node03", "fiberlb", "/api/backends"))["backends"]
        assert {one["id"]: one["status"] for one in backends}["node02"] == "drain"
        token = {"Authorization": f"Bearer {rack.cluster.token}"}
        assert (await rack.ask("GET", "node01", "iam", "/api/users", headers=token)).json()["users"]


async def test_certificates_that_are_bad(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        rack.faults["node01"].set("certificate-expired")
        rack.faults["node02"].set("certificate-untrusted")
        with pytest.raises(httpx.ConnectError, match="certificate has expired"):
            await rack.get("node01", "chainfire")
        with pytest.raises(httpx.ConnectError, match=r"unable to get local issuer|signature failure"):
            await rack.get("node02", "chainfire")
        rack.faults["node01"].clear()
        assert (await rack.get("node01", "chainfire"))["status"] == "healthy"


async def test_a_service_shows_the_certificate_that_it_read_when_it_started(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        units = rack.systems["node01"].units
        other = Authority(tmp_path / "operator")
        other.service_context(rack.cluster.nodes["node01"].address, rack.cluster.nodes["node01"].host)
        files = rack.systems["node01"].files
        certificate = tmp_path / "operator" / f"{rack.cluster.nodes['node01'].host}.pem"
        files.put("/etc/nixos/secrets/node01-cert.pem", certificate.read_bytes(), 0o644)
        files.put("/etc/nixos/secrets/node01-key.pem", (tmp_path / "operator" / "server.key").read_bytes(), 0o600)
        units.restart("iam")
        assert await _issuers(rack, other) == {"chainfire": False, "iam": True}
        files.put("/etc/nixos/secrets/node01-key.pem", b"no key", 0o600)
        units.restart("iam")
        assert units["iam"].state == "failed"
        assert "node01-cert.pem" in rack.journal("node01", "iam")[-1]


async def _issuers(rack: Site, authority: Authority) -> dict[str, bool]:
    """Which services show a certificate of this authority."""
    found = {}
    context = ssl.create_default_context(cafile=str(authority.ca_path))
    async with httpx.AsyncClient(verify=context) as client:
        for service in ("chainfire", "iam"):
            url = f"https://{rack.cluster.nodes['node01'].address}:{rack.cluster.ports[service]}/health"
            try:
                await client.get(url)
            except httpx.ConnectError:
                found[service] = False
            else:
                found[service] = True
    return found


def _query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, 1)


async def test_names_of_nodes_over_udp(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        inside = rack.cluster.nodes["node01"].address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            loop = asyncio.get_running_loop()
            for name, code, addresses in (
                ("node02.sim.example.com", 0, [rack.cluster.nodes["node02"].address]),
                ("SIM.example.com", 0, [rack.cluster.nodes[voter].address for voter in VOTERS]),
                ("node09.sim.example.com", 3, []),
            ):
                await loop.sock_sendto(asker, _query(name), (inside, DNS_PORT))
                reply = await loop.sock_recv(asker, 512)
                number, flags, _, count, *_ = struct.unpack_from(">6H", reply)
                assert (number, flags & 15, count) == (7, code, len(addresses))
                found = [socket.inet_ntoa(reply[len(reply) - 16 * (count - n) + 12 :][:4]) for n in range(count)]
                assert found == addresses


@given(st.binary(max_size=60))
def test_what_is_no_dns_query_breaks_nothing(data: bytes) -> None:
    for query in (data, _query("a.b")[:12] + data):
        reply = respond(query, lambda _name: ("127.0.0.1",))
        assert reply is None or reply[:2] == query[:2]


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_acknowledged_is_lost_while_nodes_come_and_go(tmp_path: Path, seed: int) -> None:
    numbers = random.Random(seed)
    async with site(tmp_path, 3, speed=400.0) as rack:
        await rack.established(VOTERS)
        group = rack.cluster.groups["flaredb"]
        acknowledged: list[int] = []
        down: set[str] = set()
        for value in range(25):
            name = numbers.choice(VOTERS)
            match numbers.randrange(5):
                case 0 if name not in down:
                    rack.halt(name)
                    down.add(name)
                case 1 if name not in down:
                    rack.systems[name].units.restart("flaredb")
                case 2 if down:
                    back = min(down)
                    down.remove(back)
                    rack.boot(back)
            asked = numbers.choice(VOTERS)
            try:
                point = {"metric": "m", "value": value}
                answer = await rack.ask("POST", asked, "flaredb", "/v1/write", point)
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                acknowledged.append(value)
        rack.boot(*down)
        await until(lambda: all(rack.healthy(name, "flaredb") for name in VOTERS))
        query = {"query": "m", "start": "0", "end": "now"}
        for name in VOTERS:
            answer = await rack.ask("POST", name, "flaredb", "/v1/query", query)
            assert [point["value"] for point in answer.json()["result"]] == acknowledged
        assert acknowledged
        assert [election.term for election in group.elections] == list(range(1, group.term + 1))
        assert all(loss.end is not None for loss in group.losses)


async def test_faults_of_services(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        rack.faults["node01"].set("service-silent")
        with pytest.raises(httpx.ReadTimeout):
            await rack.ask("GET", "node01", "iam", "/health", timeout=0.2)
        rack.faults["node02"].set("service-degraded")
        assert (await rack.get("node02", "iam"))["status"] == "degraded"
        rack.faults["node02"].set("clock-skew=86400")
        dates = [(await rack.ask("GET", name, "iam", "/health")).headers["date"] for name in ("node02", "node03")]
        assert dates[0].split()[1] != dates[1].split()[1]
        rack.faults["node03"].set("raft-lagging")
        rack.cluster.faults_changed("node03")
        assert (await rack.get("node03", "chainfire"))["status"] in ("degraded", "unhealthy")
        await until(lambda: rack.cluster.groups["chainfire"].leader in ("node01", "node02"))
        members = (await rack.get("node02", "chainfire", "/admin/cluster/members"))["members"]
        assert members[2]["status"] == "lagging"
        assert rack.cluster.groups["chainfire"].losses == []
