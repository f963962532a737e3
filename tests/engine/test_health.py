"""What the engine makes of a cluster that answers, falls silent and comes back. The cluster is in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from plasmatui.cluster.clients import Answer, ClusterClients
from plasmatui.cluster.errors import ServiceError
from plasmatui.cluster.health import ServiceHealth
from plasmatui.cluster.members import Member, RaftGroup
from plasmatui.engine import health
from plasmatui.engine.health import pace_of
from plasmatui.engine.healthfacts import group_state, service_findings, services_of, silence_is_wrong
from plasmatui.engine.trends import KEPT, Trends
from plasmatui.inventory.inventory import Inventory, Profile, Service
from plasmatui.model import wire
from plasmatui.model.event import PowerSeen
from plasmatui.model.node import NodeState, PowerState, StageState
from plasmatui.model.words import Health, Lifecycle, Power, Severity, Stage
from tests.engine.conftest import Running, Start, until
from tests.engine.fakes import rack

SERVICES = ("chainfire", "iam")


class FakeCluster(ClusterClients):
    """Every service is healthy; `silent` nodes do not answer, `says` is another answer of `/health`."""

    def __init__(self, inventory: Inventory) -> None:
        super().__init__(inventory)
        self.silent: set[str] = set()
        self.says: dict[tuple[str, str], dict[str, object]] = {}
        self.bad: dict[str, str] = {}
        self.leader = "n1"
        self.asked: list[tuple[str, str, str]] = []

    async def ask(  # type: ignore[override]
        self, method: str, node: str, service: str, path: str, body: Mapping[str, object] | None = None, **_: object
    ) -> Answer:
        self.asked.append((node, service, path))
        if node in self.silent:
            raise ServiceError("service-silent", node, service, "no answer within 3 s", unreached=True)
        if node in self.bad:
            raise ServiceError(self.bad[node], node, service, "the certificate expired yesterday")
        told: object = self.says.get((node, service), {"status": "healthy"})
        if path.endswith("members"):
            voters = self.nodes_of(service)
            told = {
                "members": [
                    {
                        "id": each,
                        "status": "unreachable" if each in self.silent else "healthy",
                        "role": "leader" if each == self.leader else "follower",
                    }
                    for each in voters
                ]
            }
        elif path.endswith("leader"):
            told = {"leader": self.leader}
        return Answer(node, service, 200, told, True, 0.004)  # type: ignore[arg-type]


@pytest.fixture
def inventory(private_directories: Path) -> Inventory:
    made = rack(4, private_directories / "inventory.yaml")
    nodes = {
        name: msgspec.structs.replace(node, profile="cp" if name != "n4" else "bare", voter=name != "n4")
        for name, node in made.nodes.items()
    }
    services = {name: Service(name, 1, health_port=1) for name in SERVICES}
    profiles = {"cp": Profile("cp", voter=True, services=SERVICES), "bare": Profile("bare")}
    return dataclasses.replace(made, nodes=nodes, services=services, profiles=profiles)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FAST", 0.02)
    monkeypatch.setattr(health, "NORMAL", 0.02)
    monkeypatch.setattr(health, "SLOW", 0.02)
    monkeypatch.setattr(health, "COST", 0.0)


def cluster_of(running: Running, inventory: Inventory) -> FakeCluster:
    made = FakeCluster(inventory)
    running.engine._systems._cluster = made
    return made


def findings(running: Running, node: str) -> dict[str, str]:
    state = running.engine._store.states[node]
    return {each.id: " ".join(each.evidence) for each in state.findings if each.id not in ("bmc-unreachable",)}


async def test_without_a_cluster_nothing_is_asked_until_somebody_wants_it(start: Start, inventory: Inventory) -> None:
    running = await start(inventory=inventory)
    cluster = cluster_of(running, inventory)
    async with await running.client() as client:
        snapshot = await client.ask(wire.Watch())
        assert not snapshot.look.active
        assert running.engine._health.active is False
        assert cluster.asked == []
        assert await client.ask(wire.LookHealth()) == wire.Done()
        snapshot = await client.ask(wire.Watch())
        assert {each.node for each in snapshot.services} == {"n1", "n2", "n3"}
        assert {node for node, _, _ in cluster.asked} == {"n1", "n2", "n3"}
        assert [(each.name, each.leader, each.healthy, each.margin) for each in snapshot.groups] == [
            ("chainfire", "n1", 3, 1)
        ]
        states = {state.name: state.health for state in snapshot.states}
        assert states == {"n1": Health.OK, "n2": Health.OK, "n3": Health.OK, "n4": Health.UNKNOWN}
    assert running.engine._health.active, "a service answered: from now on it is looked at"


async def test_what_changes_is_seen_and_is_over_again(start: Start, inventory: Inventory) -> None:
    running = await start(inventory=inventory)
    cluster = cluster_of(running, inventory)
    store = running.engine._store
    await running.engine._health.look()
    cluster.says["n2", "iam"] = {"status": "degraded", "database": "connected"}
    await until(lambda: store.states["n2"].health is Health.DEGRADED)
    assert findings(running, "n2") == {"service-unhealthy": "iam: degraded, database connected"}
    assert store.states["n2"].findings[0].severity is Severity.WARNING
    begun = store.states["n2"].findings[0].since
    cluster.says["n2", "iam"] = {"status": "failed"}
    await until(lambda: store.states["n2"].health is Health.FAILED)
    assert (store.states["n2"].findings[0].severity, store.states["n2"].findings[0].since) == (Severity.ERROR, begun)
    assert store.states["n2"].last_event == "health is failed: iam failed"
    cluster.says.clear()
    await until(lambda: store.states["n2"].health is Health.OK)
    assert findings(running, "n2") == {}
    cluster.leader = "n2"
    await until(lambda: store.groups[0].leader == "n2")
    assert any(line.text == "chainfire: n2 leads, before it was n1" for line in store.events)
    cluster.bad["n3"] = "certificate-expired"
    await until(lambda: "certificate-expired" in findings(running, "n3"))
    assert store.states["n3"].health is Health.UNKNOWN


async def test_silence_is_unknown_and_costs_the_quorum_its_margin(start: Start, inventory: Inventory) -> None:
    running = await start(inventory=inventory)
    cluster = cluster_of(running, inventory)
    store = running.engine._store
    for name, power in (("n1", Power.ON), ("n2", Power.ON), ("n3", Power.OFF)):
        store.tell(name, "test", PowerSeen(power))
    await running.engine._health.look()
    cluster.silent = {"n2"}
    await until(lambda: "service-silent" in findings(running, "n2"))
    assert store.states["n2"].health is Health.UNKNOWN
    await until(lambda: "quorum-at-risk" in findings(running, "n1"))
    assert store.groups[0].at_risk
    told = "chainfire: 2 of 3 voters healthy, 2 are needed; n2 no answer within 3 s"
    assert findings(running, "n1") == {"quorum-at-risk": told}
    before = len([each for each in cluster.asked if each[0] == "n2" and each[2] == "/health"])
    cluster.silent = {"n2", "n3"}
    await until(lambda: "quorum-lost" in findings(running, "n1"))
    assert "quorum-at-risk" not in findings(running, "n1")
    assert "service-silent" not in findings(running, "n3"), "it is off"
    assert store.services["n3"].services[0].message == "the node is off"
    after = len([each for each in cluster.asked if each[0] == "n2" and each[2] == "/health"])
    assert after == before, "a silent node is asked less often"
    cluster.silent.clear()
    await running.engine._health.look()
    assert [findings(running, node) for node in ("n1", "n2", "n3")] == [{}, {}, {}]
    assert store.groups[0].margin == 1


async def test_only_what_changed_goes_out(start: Start, inventory: Inventory) -> None:
    running = await start(inventory=inventory)
    cluster = cluster_of(running, inventory)
    seen: list[wire.Changes] = []
    async with await running.client() as client:
        client.on_changes = seen.append
        await client.ask(wire.Watch())
        await client.ask(wire.LookHealth())
        await until(lambda: any(each.groups for each in seen))
        seen.clear()
        cluster.asked.clear()
        await client.ask(wire.LookHealth())
        await until(lambda: any(each.look for each in seen))
        assert cluster.asked
        assert not any(each.services or each.groups or each.states for each in seen)
        cluster.says["n1", "iam"] = {"status": "degraded"}
        await until(lambda: any(each.services for each in seen))
        assert [told.node for each in seen for told in each.services] == ["n1"]


async def test_a_reload_forgets_what_is_gone(start: Start, inventory: Inventory) -> None:
    running = await start(inventory=inventory)
    cluster = cluster_of(running, inventory)
    await running.engine._health.look()
    fewer = dataclasses.replace(inventory, nodes={name: inventory.nodes[name] for name in ("n1", "n2")})
    engine = running.engine
    engine._inventory = fewer
    engine._store.replace_nodes(fewer.nodes.values())
    await engine._systems.retarget(fewer)
    engine._health.retarget()
    await engine._health.look()
    assert engine._store.services.keys() == {"n1", "n2"}
    assert engine._store.groups[0].voters == 2
    assert cluster.inventory is fewer


@pytest.mark.parametrize(
    ("facts", "pace"),
    [
        ({"changed": 1000.0, "running": False, "attached": True, "well": True, "asked": 8}, 10.0),
        ({"changed": 1000.0, "running": False, "attached": False, "well": True, "asked": 8}, 30.0),
        ({"changed": 1000.0, "running": False, "attached": False, "well": False, "asked": 8}, 10.0),
        ({"changed": 2.0, "running": False, "attached": False, "well": True, "asked": 8}, 3.0),
        ({"changed": 1000.0, "running": True, "attached": False, "well": True, "asked": 8}, 3.0),
        ({"changed": 1000.0, "running": True, "attached": False, "well": True, "asked": 2048}, 10.24),
    ],
)
def test_pace(facts: dict[str, object], pace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert pace_of(**facts) == pytest.approx(pace)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "answered", "wrong"),
    [
        (NodeState("n"), None, False),
        (NodeState("n"), 5.0, True),
        (NodeState("n", lifecycle=Lifecycle.ACTIVE), None, True),
        (NodeState("n", lifecycle=Lifecycle.DRAINED), 5.0, False),
        (NodeState("n", power=PowerState(Power.OFF)), 5.0, False),
        (NodeState("n", operation=3), 5.0, False),
        (NodeState("n", stage=StageState(Stage.HTTP_KERNEL, 9.0)), 5.0, False),
        (NodeState("n", stage=StageState(Stage.INSTALLER_UP, 9.0, outcome="installer-up")), 12.0, True),
        (NodeState("n", stage=StageState(Stage.HEALTHY, 9.0, outcome="healthy")), 5.0, True),
    ],
)
def test_whose_silence_is_wrong(state: NodeState, answered: float | None, wrong: bool) -> None:
    assert silence_is_wrong(state, answered) is wrong


def test_a_group_that_nobody_tells_of_is_unknown_not_lost() -> None:
    found = group_state(RaftGroup("chainfire", unknown={"n1": "no answer"}), None, 1.0)
    assert (found.health, found.lost, found.message) == (
        Health.UNKNOWN, False, "its members cannot be read: n1: no answer",
    )  # fmt: skip
    one = group_state(RaftGroup("chainfire", (Member("n1", "n1", status="ok"),), "n1", asked=("n1",)), found, 2.0)
    assert (one.health, one.at_risk, one.since) == (Health.OK, False, 2.0)


def test_certificates_that_end_soon_and_clocks_that_are_off_are_warnings() -> None:
    day = 86400.0
    found = (
        ServiceHealth("n1", "iam", Health.OK, ends=100 * day, skew=7.5),
        ServiceHealth("n1", "chainfire", Health.OK, ends=12.5 * day, skew=-6.0),
        ServiceHealth("n1", "old", Health.OK, ends=-day),
    )
    findings = service_findings(found, 0.0, silence_wrong=True)
    assert findings.keys() == {"certificate-ends-soon", "certificate-expired", "clock-skew"}
    assert findings["certificate-expired"].severity is Severity.ERROR
    assert findings["certificate-ends-soon"].severity is findings["clock-skew"].severity is Severity.WARNING
    assert findings["certificate-ends-soon"].evidence == ("chainfire: it ends in 12 days",)
    assert findings["clock-skew"].evidence == ("its clock is about 6 s behind this host's",)
    told = services_of("n1", found, None, False)
    assert (told.skew, told.ends) == (-6.0, -day)
    again = services_of("n1", (ServiceHealth("n1", "iam", Health.UNKNOWN),), told, False)
    assert again.skew == -6.0, "what is not told now is as it was told last"


def test_trends_are_kept_per_node_and_over_all() -> None:
    trends = Trends()
    for round_ in range(KEPT + 5):
        for number in range(20):
            bad = number == 3 and round_ == KEPT + 4
            status = Health.DEGRADED if bad else Health.OK
            trends.take(f"n{number}", (ServiceHealth(f"n{number}", "iam", status, latency=0.001 * (number + 1)),))
        trends.take("n99", (ServiceHealth("n99", "iam"), ServiceHealth("n99", "k8shost", askable=False)))
        over_all = trends.end_look()
    assert [trend.service for trend in over_all] == ["iam"]
    assert over_all[0].latencies == (19.0,) * KEPT
    assert over_all[0].unwell == (*(1,) * (KEPT - 1), 2)
    assert trends.of("n99")[0].latencies == (0.0,) * KEPT
    trends.forget(("n1",), ())
    assert trends.of("n99") == ()
    assert trends.end_look() == ()
