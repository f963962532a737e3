"""What Prometheus is told: counted once, without names of nodes, and the same as dashboard and alerts ask for."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from plasmatui.engine.metrics import EngineMetrics
from plasmatui.engine.store import Store
from plasmatui.inventory.inventory import Inventory, Policy
from plasmatui.inventory.loader import load
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, SourceState, StageSpan
from plasmatui.model.event import BmcChanged, FindingCleared, FindingRaised
from plasmatui.model.health import GroupState, NodeServices, ServiceState
from plasmatui.model.node import BmcState, Finding, Node
from plasmatui.model.operation import DrainOrder, NodeRecord, OperationRecord, Pace
from plasmatui.model.words import BmcStatus, Health, OperationState, Severity, Stage
from tests.engine.conftest import Running, Start
from tests.engine.fakes import rack

ROOT = Path(__file__).parents[2]
DASHBOARD, ALERTS = ROOT / "docs/grafana/plasmatui.json", ROOT / "docs/prometheus/plasmatui-alerts.yml"
BEGIN = 1000.0


def status() -> wire.EngineStatus:
    return wire.EngineStatus(
        version="0", pid=1, started=BEGIN, inventory="/i", clients=0, running=(), consoles_open=0, counts={}, paths={},
        lag_p99_ms=2.0, cpu_percent=5.0,
    )  # fmt: skip


class Rig:
    """A store with metrics that hear of each change at once."""

    def __init__(self) -> None:
        nodes = (Node("n1", profile="worker"), Node("n2", profile="worker"))
        self.store = Store(nodes, on_line=lambda *_: None, on_audit=lambda _: None)
        self.metrics = EngineMetrics(self.store, status, BEGIN)
        self.store.subscribe(self.metrics.on_changes)

    def samples(self) -> dict[str, float]:
        self.store.flush()
        found = {}
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found


@pytest.fixture
async def rig() -> Rig:
    return Rig()


def boot(number: int, outcome: str, *stages: StageSpan, node: str = "n1") -> BootTimeline:
    return BootTimeline(node, number, BEGIN + 1, None, outcome, stages)


async def test_boots_and_their_stages_count_once(rig: Rig) -> None:
    kernel = StageSpan(Stage.HTTP_KERNEL, BEGIN + 2, BEGIN + 5, "done")
    guess = StageSpan(Stage.FIRMWARE, BEGIN + 1, BEGIN + 2, "done", inferred=True)
    up = StageSpan(Stage.INSTALLER_UP, BEGIN + 6, BEGIN + 7, "done")  # a stage of the outcome's name
    for outcome in ("running", "running", "installer-up", "installer-up"):
        rig.store.timeline(boot(1, outcome, guess, kernel, up))
        rig.store.flush()
    rig.store.timeline(boot(2, "stopped", StageSpan(Stage.DHCP_LOADER, BEGIN + 9, None, "running")))
    rig.store.timeline(boot(1, "healthy", kernel))  # late news of a boot that is over
    running = StageSpan(Stage.HEALTHY, BEGIN + 3, BEGIN + 3, "done")
    rig.store.timeline(boot(1, "healthy", running, node="n2"))  # it ran before
    found = rig.samples()
    assert found["plasmatui_boots_begun_total{profile=worker}"] == 2
    assert "plasmatui_boots_total{outcome=healthy,profile=worker}" not in found
    assert found["plasmatui_boots_total{outcome=installer-up,profile=worker}"] == 1
    assert found["plasmatui_boots_total{outcome=stopped,profile=worker}"] == 1
    assert found["plasmatui_boot_stage_seconds_count{profile=worker,stage=http-kernel}"] == 1
    assert found["plasmatui_boot_stage_seconds_sum{profile=worker,stage=http-kernel}"] == 3
    assert not any("stage=firmware" in name for name in found)


async def test_what_a_former_engine_saw_is_not_counted_again(rig: Rig) -> None:
    old = StageSpan(Stage.HTTP_KERNEL, BEGIN - 9, BEGIN - 5, "done")
    rig.store.timeline(BootTimeline("n1", 7, BEGIN - 10, None, "healthy", (old,)))
    record = OperationRecord(3, DrainOrder(), "anna", "plasmatui drain n1", BEGIN - 9, OperationState.DONE,
                             (NodeRecord("n1", OperationState.DONE),), Pace(), end=BEGIN - 8)  # fmt: skip
    rig.store.operation(record)
    found = rig.samples()
    assert not any(
        name.startswith(("plasmatui_boots", "plasmatui_boot_", "plasmatui_operations_total")) for name in found
    )


async def test_findings_and_bmc_errors(rig: Rig) -> None:
    finding = Finding("no-dhcp-answer", Severity.ERROR, "cause", "remedy", BEGIN)
    for node in ("n1", "n2"):
        rig.store.tell(node, "watch", FindingRaised(finding))
    rig.store.tell("n1", "ipmi", BmcChanged(BmcState(BmcStatus.WAITING, BEGIN, "bmc-unreachable")))
    rig.samples()
    rig.store.tell("n1", "watch", FindingCleared("no-dhcp-answer"))
    rig.store.tell("n1", "ipmi", BmcChanged(BmcState(BmcStatus.WAITING, BEGIN + 1, "bmc-unreachable", failures=2)))
    rig.store.tell("n2", "ipmi", BmcChanged(BmcState(BmcStatus.REFUSED, BEGIN, "of-a-later-version")))
    found = rig.samples()
    assert found["plasmatui_findings_raised_total{finding=no-dhcp-answer}"] == 2
    assert found["plasmatui_findings{finding=no-dhcp-answer}"] == 1
    assert found["plasmatui_bmc_errors_total{kind=bmc-unreachable}"] == 1
    assert found["plasmatui_bmc_errors_total{kind=other}"] == 1, "no label that nobody knows"
    assert found["plasmatui_bmcs{status=waiting}"] == 1
    assert found["plasmatui_nodes_power{power=unknown}"] == 2


async def test_operations_services_and_logs(rig: Rig) -> None:
    nodes = (NodeRecord("n1", OperationState.DONE), NodeRecord("n2", OperationState.FAILED, error="timeout"))
    running = OperationRecord(1, DrainOrder(), "anna", "", BEGIN, OperationState.RUNNING, nodes, Pace())
    rig.store.operation(running)
    assert rig.samples()["plasmatui_operations_running{kind=drain}"] == 1
    for _ in range(2):
        rig.store.operation(dataclasses_replace(running))
        found = rig.samples()
    assert found["plasmatui_operations_total{kind=drain,state=failed}"] == 1
    assert found["plasmatui_operation_nodes_total{kind=drain,state=done}"] == 1
    assert found["plasmatui_operation_failures_total{error=timeout,kind=drain}"] == 1
    assert not any(name.startswith("plasmatui_operations_running") for name in found)
    rig.store.node_services(
        NodeServices("n1", (ServiceState("iam", Health.OK), ServiceState("k8shost", askable=False)))
    )
    rig.store.raft_groups((GroupState("chainfire", healthy=2, voters=3, needed=2, leader="n1", readable=True),))
    for path, lag in (("/a", 1.0), ("/b", 7.0)):
        rig.store.source(SourceState(path, "dhcp", "kea", "this host", "running", lag=lag))
    found = rig.samples()
    assert found["plasmatui_services{health=ok,service=iam}"] == 1
    assert found["plasmatui_services{health=failed,service=iam}"] == 0
    assert not any("k8shost" in name for name in found)
    assert found["plasmatui_raft_healthy{group=chainfire}"] == 2
    assert found["plasmatui_raft_has_leader{group=chainfire}"] == 1
    assert found["plasmatui_log_lag_seconds{format=kea,kind=dhcp}"] == 7.0
    assert not any("/a" in name or "n1" in name for name in found), "no path and no node in a label"


def dataclasses_replace(record: OperationRecord) -> OperationRecord:
    return OperationRecord(
        record.number, record.order, record.by, record.cli, record.begin, OperationState.FAILED, record.nodes,
        record.pace, end=BEGIN + 5,
    )  # fmt: skip


# --- the port --------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def measured(port: int) -> Inventory:
    return dataclasses.replace(rack(2), policy=Policy(consoles="watched", metrics=f"127.0.0.1:{port}" if port else ""))


def scrape(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


async def test_an_engine_is_read_at_its_port_and_only_where_it_was_asked_for(start: Start) -> None:
    port = free_port()
    running: Running = await start(inventory=measured(port))
    text = await asyncio.to_thread(scrape, port)
    assert "plasmatui_engine_info" in text
    assert "# TYPE plasmatui_boots_total counter" in text
    with pytest.raises(urllib.error.HTTPError, match="404"):
        await asyncio.to_thread(scrape, port, "/nowhere")
    await running.close()
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(scrape, port)


async def test_a_port_that_is_taken_is_said_and_costs_nothing_else(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        running: Running = await start(inventory=measured(taken.getsockname()[1]))
        async with await running.client() as client:
            assert any("no metrics" in notice for notice in client.welcome.notices)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("metrics: 127.0.0.1:9108", ""),
        ("metrics: 10.0.0.5:9108, metrics_remote: true", ""),
        ("metrics: 10.0.0.5:9108", "metrics_remote: true"),
        ("metrics: 0.0.0.0:9108", "loopback"),
        ("metrics: 9108", "such as 127.0.0.1"),
    ],
)
def test_other_hosts_are_let_in_only_when_it_is_said(tmp_path: Path, policy: str, words: str) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text(f"version: 1\ncluster: {{name: lab}}\npolicy: {{{policy}}}\nnodes:\n  n1: {{}}\n")
    if not words:
        assert load(path).policy.metrics.endswith(":9108")
        return
    with pytest.raises(Exception, match=re.escape(words)):
        load(path)


# --- dashboard and alerts --------------------------------------------------------------------------------------------


def expressions(value: object) -> Iterator[str]:
    """Every PromQL expression of a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("expr", "query", "definition") and isinstance(item, str):
                yield item
            else:
                yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


async def test_dashboard_and_alerts_ask_for_what_there_is(rig: Rig) -> None:
    families = {}
    for family in rig.metrics._registry.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
        for end in ends.get(family.type, ("",)):
            families[f"{family.name}{end}"] = family.type
    asked = [
        *expressions(json.loads(DASHBOARD.read_text())),
        *expressions(yaml.safe_load(ALERTS.read_text())),
    ]
    assert len(asked) > 20
    named = {name for text in asked for name in re.findall(r"\bplasmatui_[a-z0-9_]+", text)}
    assert sorted(named - set(families)) == []
    for text in asked:
        assert text.count("(") == text.count(")"), text
        for name in re.findall(r"rate\((plasmatui_[a-z0-9_]+)", text):
            assert families[name] in ("counter", "histogram"), text
    documented = (ROOT / "docs/metrics.md").read_text()
    bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in families}
    assert sorted(name for name in bases if f"`{name}`" not in documented) == []


def test_alerts_are_rules() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} <= set(rule["annotations"])
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
