"""Requests to services: names, trust, limits, hostile answers, dead servers, and following the inventory."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cluster import clients as module
from plasmatui.cluster.clients import ClusterClients, clock_skew
from plasmatui.cluster.errors import ServiceError
from plasmatui.cluster.shapes import Altered, cleaned, flat, mapping, records, usable_id
from plasmatui.inventory.secrets import Secret
from plasmatui.text import is_clean
from tests.unit.cluster.stub import DOMAIN, Asked, Issuer, Reply, Server, inventory, rig, serving, steady

HEALTHY = Reply(200, {"status": "healthy"})


async def failure(clients: ClusterClients, path: str = "/health", **more: object) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await clients.call("GET", "node01", "iam", path, **more)  # type: ignore[arg-type]
    return caught.value


async def test_it_goes_to_the_address_while_names_are_the_nodes(issuer: Issuer) -> None:
    async with rig(issuer, ("iam",)) as it:
        it.answer("iam", "GET /health", HEALTHY)
        answer = await it.clients.get("node02", "iam", "/health")
        asked = it.servers["node02", "iam"].asked[0]
    assert (answer.status, answer.body, answer.verified) == (200, {"status": "healthy"}, True)
    assert answer.ends == pytest.approx(issuer.certificate.not_valid_after_utc.timestamp(), abs=3600)
    assert asked.sni == f"node02.{DOMAIN}"
    assert asked.headers["host"] == f"node02.{DOMAIN}:{it.inventory.services['iam'].port}"
    assert "authorization" not in asked.headers
    assert not it.servers["node01", "iam"].asked


async def test_a_connection_is_kept_and_nodes_have_clients_of_their_own(issuer: Issuer) -> None:
    async with rig(issuer, ("iam",)) as it:
        it.answer("iam", "GET /health", HEALTHY)
        for _ in range(3):
            await it.clients.get("node01", "iam", "/health")
        await it.clients.get("node02", "iam", "/health")
        assert [it.servers[node, "iam"].connections for node in ("node01", "node02")] == [1, 1]


async def test_a_certificate_with_its_name_in_the_subject_only_is_taken(issuer: Issuer) -> None:
    """As `openssl x509 -req` makes it in the runbook, section 4.5."""
    server = Server(answers={"GET /health": HEALTHY})
    async with serving(server, issuer.context(f"node01.{DOMAIN}", alternative=False)):
        clients = ClusterClients(inventory({"node01": "127.0.0.1"}, {"iam": server.port}, issuer.file))
        assert (await clients.get("node01", "iam", "/health")).verified
        await clients.close()


@pytest.mark.parametrize(
    ("name", "days", "id_", "words"),
    [
        (f"node01.{DOMAIN}", -3, "certificate-expired", "it has expired"),
        (f"node02.{DOMAIN}", 30, "certificate-untrusted", f"it was issued to another name, not node01.{DOMAIN}"),
    ],
)
async def test_expired_and_foreign_names_are_told_apart(
    issuer: Issuer, name: str, days: int, id_: str, words: str
) -> None:
    server = Server(answers={"GET /health": HEALTHY})
    async with serving(server, issuer.context(name, days=days)):
        clients = ClusterClients(inventory({"node01": "127.0.0.1"}, {"iam": server.port}, issuer.file))
        error = await failure(clients)
        await clients.close()
    assert error.id == id_
    assert words in error.cause
    assert f"node01.{DOMAIN}" in error.remedy
    assert error.message.startswith("node01: iam: ")
    assert not server.asked  # no request, and no token, was written


async def test_a_foreign_ca_is_not_trusted_until_the_file_holds_it(issuer: Issuer, tmp_path: Path) -> None:
    other = Issuer.make(tmp_path, "other")
    server = Server(answers={"GET /health": HEALTHY})
    async with serving(server, issuer.context(f"node01.{DOMAIN}")):
        clients = ClusterClients(inventory({"node01": "127.0.0.1"}, {"iam": server.port}, other.file))
        error = await failure(clients)
        assert error.id == "certificate-untrusted"
        assert "cluster.ca" in error.remedy
        other.file.write_bytes(issuer.file.read_bytes())  # the CA's file is corrected while it runs
        with pytest.raises(ServiceError):
            await clients.get("node01", "iam", "/health")
        assert (await clients.get("node01", "iam", "/health")).status == 200
        await clients.close()


async def test_not_verified_is_said_and_a_service_may_have_its_own_ca_or_pin(issuer: Issuer, tmp_path: Path) -> None:
    other = Issuer.make(tmp_path, "foreign")
    server = Server(answers={"GET /health": HEALTHY})
    async with serving(server, other.context(f"node01.{DOMAIN}")):
        for verify, verified in ((False, False), (str(other.file), True)):
            clients = ClusterClients(
                inventory({"node01": "127.0.0.1"}, {"iam": server.port}, issuer.file, verify=verify)
            )
            assert (await clients.get("node01", "iam", "/health")).verified is verified
            await clients.close()
        wrong = "sha256:" + "0" * 64
        clients = ClusterClients(inventory({"node01": "127.0.0.1"}, {"iam": server.port}, issuer.file, verify=wrong))
        error = await failure(clients)
        await clients.close()
    assert error.id == "certificate-untrusted"
    assert "it shows sha256:" in error.cause
    assert len(server.asked) == 2


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_unusable_ca_is_an_error_of_each_request_not_of_the_start(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    clients = ClusterClients(inventory({"node01": "127.0.0.1"}, {"iam": 1}, file))
    error = await failure(clients)
    assert error.id == "certificate-untrusted"
    assert str(file) in error.cause
    await clients.close()


async def test_dead_slow_and_dropping_servers_are_silent(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(issuer, ("iam",), ("node01",)) as it:
        it.answer("iam", "GET /health", Reply(hang=True))
        slow = await failure(it.clients, limit=0.05)
        assert (slow.id, slow.uncertain) == ("service-silent", False)
        it.answer("iam", "GET /health", Reply(drop=True))
        dropped = await failure(it.clients)
        assert (dropped.id, dropped.cause) == ("service-silent", "it ended the connection without a whole answer")
        await it.kill("node01")
        dead = await failure(it.clients)
        assert dead.id == "service-silent"
        assert "Connection refused" in dead.cause
        assert not dead.unreached  # the host is there
        assert "systemctl status iam.service" in dead.remedy
    monkeypatch.setattr(module, "CONNECT_LIMIT", 0.05)
    away = ClusterClients(inventory({"node01": "192.0.2.1"}, {"iam": 9}, issuer.file))  # RFC 5737: nobody is there
    found = await failure(away)
    assert found.id == "service-silent"
    await away.close()


async def test_a_change_that_was_cut_off_is_uncertain_and_not_repeated(issuer: Issuer) -> None:
    async with rig(issuer, ("iam",), ("node01",)) as it:
        for reply in (Reply(hang=True), Reply(drop=True), Reply(200, raw=b"x" * 70_000), Reply(500)):
            it.answer("iam", "POST /api/x", reply)
            with pytest.raises(ServiceError) as caught:
                await it.clients.call("POST", "node01", "iam", "/api/x", {"a": 1}, limit=0.2)
            assert caught.value.uncertain, reply
        assert len(it.asked("node01", "iam")) == 4
        await it.kill("node01")
        with pytest.raises(ServiceError) as caught:
            await it.clients.call("POST", "node01", "iam", "/api/x", {"a": 1})
        assert not caught.value.uncertain  # it was not sent


async def test_refusals_keep_the_services_words_without_its_escapes(issuer: Issuer) -> None:
    async with rig(issuer, ("iam",), ("node01",)) as it:
        it.answer("iam", "GET /api/users", Reply(403, {"error": "no\x1b]0;pwned\x07 way"}))
        error = await failure(it.clients, "/api/users")
    assert (error.id, error.status) == ("rejected", 403)
    assert error.cause == "GET /api/users: HTTP 403: no way"
    assert "cluster.token" in error.remedy


async def test_the_token_goes_with_what_asks_for_it_only(issuer: Issuer) -> None:
    async with rig(issuer, ("iam",), ("node01",), token=Secret(literal="t0ken")) as it:
        it.answer("iam", "GET /api/users", {"users": []})
        await it.clients.get("node01", "iam", "/api/users")
        await it.clients.call("GET", "node01", "iam", "/api/users", authorised=True)
        asked = it.servers["node01", "iam"].asked
        assert [each.headers.get("authorization") for each in asked] == [None, "Bearer t0ken"]
    bare = ClusterClients(inventory({"node01": "127.0.0.1"}, {"iam": 1}, issuer.file))
    assert "no token" in (await failure(bare, authorised=True)).cause


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(200, raw=b"<html>"), "no JSON"),
        (Reply(200, raw=b"[" * 60_000), "no JSON"),
        (Reply(200, raw=b'"\xff\xfe"'), "no JSON"),
        (Reply(200, raw=b" " * 70_000), "longer than 64 KiB"),
        (Reply(200, raw=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}), "compressed"),
        (Reply(302, {}, headers={"Location": "https://elsewhere.example/"}), "HTTP 302"),
    ],
)
async def test_answers_that_are_none_are_rejected(issuer: Issuer, reply: Reply, words: str) -> None:
    async with rig(issuer, ("iam",), ("node01",)) as it:
        it.answer("iam", "GET /health", reply)
        error = await failure(it.clients)
    assert error.id == "rejected"
    assert words in error.cause


async def test_it_follows_the_inventory_and_lets_requests_under_way_end(issuer: Issuer) -> None:
    async with rig(issuer, ("iam",)) as it:
        go_on, arrived = asyncio.Event(), asyncio.Event()

        def slow(_: Asked) -> Reply:
            arrived.set()
            return Reply(200, {"status": "healthy"}, wait=go_on)

        it.answer("iam", "GET /health", slow)
        under_way = asyncio.create_task(it.clients.get("node01", "iam", "/health"))
        await arrived.wait()
        moved = msgspec.structs.replace(it.inventory.nodes["node01"], production_ip="127.88.7.2")
        await it.clients.retarget(replace(it.inventory, nodes={**it.inventory.nodes, "node01": moved}))
        go_on.set()
        assert (await under_way).status == 200
        error = await failure(it.clients)  # node02 answers there, and cannot show node01's name
        assert error.id == "certificate-untrusted"
        await it.clients.retarget(replace(it.inventory, nodes={}))
        assert it.clients.nodes_of("iam") == ()


def test_addresses_and_names() -> None:
    found = inventory({"node01": "10.0.0.1", "node02": ""}, {"iam": 8080}, "")
    clients = ClusterClients(found)
    assert clients.address("node01") == "10.0.0.1"
    assert clients.address("node02") == f"node02.{DOMAIN}"
    assert ClusterClients(replace(found, domain="")).address("node02") == "node02"
    assert [service.name for service in clients.services_of("node01")] == ["iam"]
    assert clients.services_of("nobody") == ()


async def test_a_service_that_the_inventory_does_not_know(issuer: Issuer) -> None:
    clients = ClusterClients(inventory({"node01": "127.0.0.1"}, {}, issuer.file))
    assert (await failure(clients)).id == "rejected"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [found for item in value for found in texts(item)]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in (key, *texts(item))]
    return []


@steady
@given(json_values)
def test_any_json_becomes_clean(value: object) -> None:
    found = cleaned(value)
    assert all(is_clean(text) for text in texts(found))
    json.dumps(found, allow_nan=False)
    assert all(is_clean(text) for text in texts(flat(mapping(found))))
    records(found, "members")


def test_what_cleaning_changed_is_never_sent_back() -> None:
    told = mapping(cleaned({"a": "vm-1", "b": "vm\x1b[31m-1"}))
    assert told == {"a": "vm-1", "b": "vm-1"}
    assert usable_id(str.__str__(told["a"]))  # type: ignore[arg-type]
    assert isinstance(told["b"], Altered)
    assert not usable_id(told["b"])
    assert [usable_id(id_) for id_ in ("", "..", "a/b", "a b", "a?b", "x" * 201, "vm-001", "7f:a.b_c")] == [
        False, False, False, False, False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:21 GMT", 1.6),
        ("Tue, 14 Nov 2023 22:18:20 GMT", 300.6),
        ("Tue, 14 Nov 2023 22:08:20 GMT", -299.4),
        ("yesterday", None),
        ("", None),
    ],
)
def test_clock_skew(date: str, skew: float | None) -> None:
    assert clock_skew(date, 1_700_000_000.0, 0.2) == skew


@steady
@given(st.text(max_size=60))
def test_any_date_is_a_skew_or_none(date: str) -> None:
    assert clock_skew(date, 1_700_000_000.0, 0.2) is None or isinstance(clock_skew(date, 0.0, 0.2), float)
