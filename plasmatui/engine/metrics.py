"""What the engine tells Prometheus: counted from the same change sets that clients are sent, and read when asked for.

Labels are words of ours, profiles and services of the inventory; no node, no address, no path, nothing that came from
outside. Counters begin with the engine: what a former one saw is not counted again.
"""

from __future__ import annotations

from collections import Counter as Count
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from plasmatui import __version__
from plasmatui.engine.store import Store
from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline
from plasmatui.model.findings import FAILURES, FINDINGS
from plasmatui.model.node import NodeState
from plasmatui.model.operation import OperationRecord
from plasmatui.model.words import BmcStatus, ConsoleStatus, Health, OperationState, Power, Stage

OUTCOMES: Final = ("installer-up", "healthy", "stopped")
LAST_STAGES: Final = (Stage.FIRST_BOOT, Stage.SERVICES_UP, Stage.JOINING, Stage.VOTER, Stage.HEALTHY)
"""Stages that are also seen of a system that has run for long."""

OTHER: Final = "other"

BUCKETS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 480.0, 900.0, 1800.0)
"""Seconds: a loader takes one, a server's firmware minutes."""

REMEMBERED: Final = 4096
"""Operations whose end was counted that are remembered, so that none is counted twice."""


class EngineMetrics:
    """See the module. `text` is what is answered; to be called on the engine's loop.

    Args:
        status: the engine as a whole. started: Unix seconds from which on things are counted.
    """

    def __init__(self, store: Store, status: Callable[[], wire.EngineStatus], started: float) -> None:
        self._store = store
        self._started = started
        self._findings = {name: _finding_ids(state) for name, state in store.states.items()}
        self._bmcs = {name: state.bmc.finding for name, state in store.states.items()}
        self._boots: dict[str, tuple[int, set[str]]] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()
        registry = self._registry = CollectorRegistry()
        self._begun = Counter("plasmatui_boots_begun_total", "Boots that began.", ["profile"], registry=registry)
        self._outcomes = Counter(
            "plasmatui_boots_total",
            "Boots that came to an outcome: installer-up, healthy, stopped. A boot may come to several.",
            ["profile", "outcome"],
            registry=registry,
        )
        self._stages = Histogram(
            "plasmatui_boot_stage_seconds",
            "How long stages of boots and installations took.",
            ["stage", "profile"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._raised = Counter("plasmatui_findings_raised_total", "Findings raised.", ["finding"], registry=registry)
        self._bmc_errors = Counter(
            "plasmatui_bmc_errors_total", "Times that a BMC ceased to be usable, by why.", ["kind"], registry=registry
        )
        self._operations = Counter(
            "plasmatui_operations_total", "Operations that ended.", ["kind", "state"], registry=registry
        )
        self._parts = Counter(
            "plasmatui_operation_nodes_total", "Nodes of operations that ended.", ["kind", "state"], registry=registry
        )
        self._failures = Counter(
            "plasmatui_operation_failures_total",
            "Nodes that failed in operations that ended, by why.",
            ["kind", "error"],
            registry=registry,
        )
        registry.register(_Standing(store, status))

    def text(self) -> bytes:
        """Everything in the exposition format."""
        return generate_latest(self._registry)

    def on_changes(self, changes: wire.Changes, _frame: bytes) -> None:
        """A subscriber of the store."""
        for state in changes.states:
            self._state(state)
        for timeline in changes.timelines:
            self._timeline(timeline)
        for record in changes.operations:
            self._operation(record)

    def _state(self, state: NodeState) -> None:
        before, now = self._findings.get(state.name, frozenset()), _finding_ids(state)
        for finding in now - before:
            self._raised.labels(_known(finding)).inc()
        self._findings[state.name] = now
        if state.bmc.finding and state.bmc.finding != self._bmcs.get(state.name):
            self._bmc_errors.labels(_known(state.bmc.finding)).inc()
        self._bmcs[state.name] = state.bmc.finding

    def _timeline(self, timeline: BootTimeline) -> None:
        """Each stage and each outcome of a boot counts once, when it is first seen. A system that was up before, of
        which only the end of a boot is seen, did not boot."""
        number, seen = self._boots.get(timeline.node, (0, set()))
        if timeline.number < number:
            return
        seen = set() if timeline.number > number else seen
        self._boots[timeline.node] = timeline.number, seen
        if all(span.stage in LAST_STAGES for span in timeline.stages):
            return
        node = self._store.nodes.get(timeline.node)
        profile = node.profile if node is not None else ""
        if self._first(seen, "begun", timeline.begin):
            self._begun.labels(profile).inc()
        last = 0.0
        for span in timeline.stages:
            last = max(last, span.end or span.begin or 0.0)
            done = span.state == "done" and not span.inferred and span.begin is not None
            if done and span.end is not None and self._first(seen, f"stage {span.stage}", span.end):
                self._stages.labels(span.stage, profile).observe(max(0.0, span.end - (span.begin or 0.0)))
        if timeline.outcome in OUTCOMES and self._first(seen, f"outcome {timeline.outcome}", last):
            self._outcomes.labels(profile, timeline.outcome).inc()

    def _first(self, seen: set[str], what: str, at: float | None) -> bool:
        """Whether something is seen for the first time, and by this engine."""
        if what in seen:
            return False
        seen.add(what)
        return at is not None and at >= self._started

    def _operation(self, record: OperationRecord) -> None:
        if not record.state.ended or record.end < self._started or record.number in self._ended:
            return
        self._ended[record.number] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        kind = str(record.order.__struct_config__.tag)
        self._operations.labels(kind, record.state).inc()
        for state, count in Count(node.state for node in record.nodes).items():
            self._parts.labels(kind, state).inc(count)
        for node in record.nodes:
            if node.state is OperationState.FAILED:
                self._failures.labels(kind, _known(node.error)).inc()


class _Standing(Collector):
    """How things are now, read from the store when it is asked for."""

    def __init__(self, store: Store, status: Callable[[], wire.EngineStatus]) -> None:
        self._store = store
        self._status = status

    def collect(self) -> Iterator[Metric]:
        yield from self._engine()
        yield from self._nodes()
        yield from self._cluster()
        yield from self._logs()
        operations = self._store.operations.values()
        running = Count(str(record.order.__struct_config__.tag) for record in operations if not record.state.ended)
        yield _family("plasmatui_operations_running", "Operations that have not ended.", "kind", running)
        held = sum(record.state is OperationState.HELD for record in operations)
        yield GaugeMetricFamily("plasmatui_operations_held", "Operations that wait for a person.", value=held)

    def _engine(self) -> Iterator[Metric]:
        status = self._status()
        yield InfoMetricFamily("plasmatui_engine", "The engine.", value={"version": __version__})
        for name, text, value in (
            ("start_time_seconds", "When it began, Unix seconds.", status.started),
            ("clients", "Screens and commands that are attached.", len(self._store.clients)),
            (
                "loop_lag_p99_seconds",
                "Lag of its loop over the last minute, 99th percentile.",
                status.lag_p99_ms / 1000,
            ),
            ("cpu_ratio", "Share of one core over the last minute.", status.cpu_percent / 100),
            ("journal_ok", "Whether everything is kept in the journal.", float(not status.journal)),
            ("notices", "Standing warnings about inventory and engine.", len(self._store.notices)),
        ):
            yield GaugeMetricFamily(f"plasmatui_engine_{name}", text, value=value)

    def _nodes(self) -> Iterator[Metric]:
        states = self._store.states.values()
        power = Count(str(state.power.value) for state in states)
        yield _family("plasmatui_nodes_power", "Nodes by power.", "power", power, Power)
        health = Count(str(state.health) for state in states)
        yield _family("plasmatui_nodes_health", "Nodes by health of their services.", "health", health, Health)
        bmcs = Count(str(state.bmc.status) for state in states)
        yield _family("plasmatui_bmcs", "BMCs by how we stand with them.", "status", bmcs, BmcStatus)
        consoles = Count(str(state.console.status) for state in states)
        yield _family("plasmatui_consoles", "Serial consoles by state.", "status", consoles, ConsoleStatus)
        findings = Count(_known(finding.id) for state in states for finding in state.findings)
        yield _family("plasmatui_findings", "Findings that stand now.", "finding", findings)

    def _cluster(self) -> Iterator[Metric]:
        services = Count(
            (service.service, str(service.status))
            for node in self._store.services.values()
            for service in node.services
            if service.askable
        )
        family = GaugeMetricFamily("plasmatui_services", "Services on nodes by health.", labels=("service", "health"))
        for name in sorted({name for name, _ in services}):
            for health in Health:
                family.add_metric((name, health), services[name, health])
        yield family
        groups = self._store.groups
        for word, text in (
            ("healthy", "Voters of a raft group that are known to be healthy."),
            ("voters", "Voters of a raft group."),
            ("needed", "How many voters are a majority."),
        ):
            counts = {group.name: getattr(group, word) for group in groups}
            yield _family(f"plasmatui_raft_{word}", text, "group", counts)
        leaders = {group.name: int(bool(group.leader)) for group in groups}
        yield _family("plasmatui_raft_has_leader", "Whether a majority names a leader.", "group", leaders)

    def _logs(self) -> Iterator[Metric]:
        """Of several sources of one kind and format the worst is told: their names hold paths."""
        labels = ("kind", "format")
        lag = GaugeMetricFamily("plasmatui_log_lag_seconds", "How far a log is read behind.", labels=labels)
        stuck = GaugeMetricFamily("plasmatui_log_sources_failed", "Log sources that cannot be read.", labels=labels)
        dropped = GaugeMetricFamily("plasmatui_log_dropped_lines", "Lines that did not fit.", labels=labels)
        sources = self._store.sources.values()
        for key in sorted({(source.kind, source.format) for source in sources}):
            each = [source for source in sources if (source.kind, source.format) == key]
            lag.add_metric(key, max(source.lag for source in each))
            stuck.add_metric(key, sum(source.status == "failed" for source in each))
            dropped.add_metric(key, sum(source.dropped for source in each))
        yield from (lag, stuck, dropped)


def _family(
    name: str, text: str, label: str, counts: Count[str] | dict[str, int], words: type | None = None
) -> GaugeMetricFamily:
    """A gauge by one label. `words`: all values of the label, so that what is not there is told as 0."""
    family = GaugeMetricFamily(name, text, labels=(label,))
    values = [str(word) for word in words] if words is not None else []  # type: ignore[attr-defined]
    for value in dict.fromkeys((*values, *sorted(counts))):
        family.add_metric((value,), counts.get(value, 0))
    return family


def _finding_ids(state: NodeState) -> frozenset[str]:
    return frozenset(finding.id for finding in state.findings)


def _known(finding: str) -> str:
    return finding if finding in FINDINGS or finding in FAILURES else OTHER
