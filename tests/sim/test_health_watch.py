"""The engine's look at a simulated cluster: what goes wrong in it is told after one look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from plasmatui.cluster.clients import ClusterClients
from plasmatui.cluster.replication import check_replication
from plasmatui.engine.health import HealthWatch
from plasmatui.engine.store import Store
from plasmatui.journal.memory import Memory
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model.event import PowerSeen
from plasmatui.model.health import GroupState
from plasmatui.model.words import Health, Power, Severity
from tests.sim.test_cluster_clients import NAMES, inventory
from tests.unit.sim.cluster_site import VOTERS, Site, site, until


class Watched:
    """A simulated cluster, and what the engine's store says of it."""

    def __init__(self, rack: Site, store: Store, watch: HealthWatch, clients: ClusterClients) -> None:
        self.rack = rack
        self.clients = clients
        self.store = store
        self.look = watch.look

    def findings(self, node: str) -> dict[str, Severity]:
        return {each.id: each.severity for each in self.store.states[node].findings}

    def health(self) -> dict[str, Health]:
        return {name: state.health for name, state in self.store.states.items()}

    def group(self, name: str) -> GroupState:
        return next(group for group in self.store.groups if group.name == name)

    async def looks_until(self, condition: Callable[[], object]) -> None:
        """Look until the cluster has come to it in its own time, as with an election."""
        async with asyncio.timeout(30):
            while not condition():
                await self.look()


@pytest_asyncio.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with site(tmp_path, speed=200.0) as rack:
        await rack.established(NAMES)
        found = inventory(rack)
        clients = ClusterClients(found)
        journal = SqliteJournal(tmp_path / "journal", lambda _: None)
        await journal.open()
        store = Store(found.nodes.values(), on_line=lambda _, __: None, on_audit=lambda _: None)
        for name in NAMES:
            store.tell(name, "test", PowerSeen(Power.ON))
        memory = Memory(journal)
        watch = HealthWatch(store, lambda: found, lambda: clients, memory, lambda: False, lambda: True)
        task = asyncio.create_task(watch.run(), name="health")
        made = Watched(rack, store, watch, clients)
        await made.looks_until(lambda: set(made.health().values()) == {Health.OK})
        yield made
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await clients.close()
        await journal.close()


async def test_silent_and_degraded_services(watched: Watched) -> None:
    watched.rack.faults["node04"].set("service-degraded")
    await watched.look()
    assert watched.health()["node04"] is Health.DEGRADED
    assert watched.findings("node04") == {"service-unhealthy": Severity.WARNING}
    watched.rack.faults["node04"].clear("service-degraded")
    watched.rack.faults["node02"].set("service-silent")
    await watched.look()
    assert watched.health() == dict.fromkeys(NAMES, Health.OK) | {"node02": Health.UNKNOWN}
    assert watched.findings("node04") == {}
    assert watched.findings("node02")["service-silent"] is Severity.ERROR
    watched.rack.faults["node02"].clear("service-silent")
    await watched.looks_until(lambda: not any(watched.findings(name) for name in NAMES))


async def test_a_voter_that_is_off_and_the_next_one(watched: Watched) -> None:
    watched.rack.halt("node03")
    watched.store.tell("node03", "test", PowerSeen(Power.OFF))
    await watched.look()
    assert watched.health()["node03"] is Health.UNKNOWN
    assert watched.findings("node03") == {"quorum-at-risk": Severity.WARNING}, "off is not silent"
    assert {each.message for each in watched.store.services["node03"].services if each.askable} == {"the node is off"}
    watched.rack.halt("node02")
    await watched.look()
    assert watched.group("chainfire").lost
    assert watched.findings("node01")["quorum-lost"] is Severity.ERROR
    assert watched.findings("node02").keys() == {"quorum-lost", "service-silent"}
    watched.rack.boot("node02")
    await watched.looks_until(lambda: watched.group("chainfire").at_risk)
    await watched.looks_until(lambda: watched.findings("node01") == {"quorum-at-risk": Severity.WARNING})


async def test_a_clock_that_is_off_certificates_and_trends(watched: Watched) -> None:
    watched.rack.faults["node04"].set("clock-skew=300")
    await watched.look()
    assert watched.findings("node04") == {"clock-skew": Severity.WARNING}
    services = watched.store.services
    assert services["node04"].skew == pytest.approx(300, abs=2)
    assert services["node01"].skew == 0.0
    assert services["node01"].ends > time.time() + 80 * 86400
    trends = {trend.service: trend for trend in watched.store.look.trends}
    assert trends.keys() >= {"chainfire", "plasmavmc"}
    assert all(latency > 0 for latency in trends["chainfire"].latencies[-1:])
    assert trends["chainfire"].unwell[-1] == 0
    watched.rack.faults["node04"].clear("clock-skew")
    await watched.looks_until(lambda: watched.findings("node04") == {})


async def test_what_is_written_is_read_elsewhere(watched: Watched) -> None:
    found = {each.group: each for each in await check_replication(watched.clients)}
    for group in ("chainfire", "flaredb"):
        assert found[group].ok, found[group]
        assert {each.node for each in found[group].replicas} == {*VOTERS} - {found[group].writer}
    follower = next(name for name in ("node02", "node03") if name != found["chainfire"].writer)
    watched.rack.halt(follower)
    found = {each.group: each for each in await check_replication(watched.clients)}
    bad = [each for each in found["chainfire"].replicas if not each.ok]
    assert [each.node for each in bad] == [follower]
    assert bad[0].problem
    for name in ("node02", "node03"):
        watched.rack.halt(name)
    found = {each.group: each for each in await check_replication(watched.clients)}
    assert not found["chainfire"].ok
    assert found["chainfire"].problem


async def test_another_leader(watched: Watched) -> None:
    old = watched.group("chainfire").leader
    watched.rack.halt(old)
    raft = watched.rack.cluster.groups["chainfire"]
    await until(lambda: raft.leader not in (None, old))
    await watched.look()
    assert watched.group("chainfire").leader == raft.leader
    assert any(f"chainfire: {raft.leader} leads" in line.text for line in watched.store.events)
