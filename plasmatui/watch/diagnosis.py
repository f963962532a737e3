"""Why a boot stopped: rules over its reading, in the order of causes; the first error is the root.

A rule is data: an id of the catalogue, the stage that it speaks of, and a question. Whatever the boot overcame later is
no finding, which is what keeps retries, size probes and refused options of good boots silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from plasmatui.model.boot import Evidence, Signal, SignalKind
from plasmatui.model.findings import FINDINGS
from plasmatui.model.node import Finding
from plasmatui.model.words import Severity, Stage
from plasmatui.watch.facts import LOGS, Mark
from plasmatui.watch.stages import Reading

EVIDENCE_KEPT = 6
STANDSTILL = "stalled"
"""The finding that is not told where an error explains it."""


@dataclass(slots=True)
class Hit:
    """What a rule found. `cause` says it with its facts; evidence is told servers first, then the console."""

    cause: str
    evidence: list[Signal] = field(default_factory=list)
    remedy: str = ""
    severity: Severity | None = None
    stage: Stage | None = None


@dataclass(slots=True)
class Case:
    """A boot to judge.

    Attributes:
        reading: its stages.
        at_end: no more will come (a replay), or nothing came for long.
        largest: size in bytes that a file was served with to anybody, by path.
        count_network_boots: how many boots before this one, in a row, brought the installer up from the network.
        waited: seconds since something was heard, in a live boot.
        macs: of the node's cards, as far as they are known beforehand.
        restarts: the last of each boot, in a row before this one, that broke off with the kernel running.
    """

    reading: Reading
    at_end: bool
    largest: dict[str, int]
    count_network_boots: Callable[[], int]
    waited: float = 0.0
    usual: Callable[[str, Stage], float | None] | None = None
    restarts: Callable[[], tuple[Signal, ...]] = tuple
    macs: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True, eq=False)
class Rule:
    """`ask` says whether, and with which facts, the finding `id` holds; `stage` is where it stops a boot. Of a boot
    that shows none of the kinds in `needs` it is not asked; empty: it always is."""

    id: str
    stage: Stage
    ask: Callable[[Case], Hit | None]
    needs: tuple[SignalKind, ...] = ()


def diagnose(case: Case, rules: tuple[Rule, ...]) -> tuple[Finding, ...]:
    """The findings of a boot: warnings, one root cause, and as information the panic that it led to."""
    findings: list[Finding] = []
    root = False
    for rule in _to_ask(rules, case.reading.facts.kinds()):
        if root and rule.id == STANDSTILL:
            continue
        hit = rule.ask(case)
        if hit is None:
            continue
        kind = FINDINGS[rule.id]
        severity = hit.severity or kind.severity
        if severity is Severity.ERROR and root:
            if not rule.id.startswith("kernel-panic"):
                continue
            severity = Severity.INFO
            hit.cause += " This follows from the finding before."
        elif severity is Severity.ERROR:
            root = True
            _mark_failed(case.reading, hit.stage or rule.stage)
        findings.append(
            Finding(
                id=rule.id,
                severity=severity,
                cause=hit.cause,
                remedy=hit.remedy or kind.remedy,
                since=next((s.wall for s in hit.evidence if s.wall is not None), 0.0),
                evidence=tuple(place(s.evidence) for s in witnesses(hit.evidence)),
            )
        )
    return tuple(findings)


@lru_cache(256)
def _to_ask(rules: tuple[Rule, ...], kinds: frozenset[SignalKind]) -> tuple[Rule, ...]:
    """The rules that may hold of a boot which shows these kinds of signals."""
    return tuple(rule for rule in rules if not rule.needs or not kinds.isdisjoint(rule.needs))


def witnesses(signals: list[Signal]) -> list[Signal]:
    """Each line once, what servers wrote before what the console showed."""
    by_line: dict[tuple[str, int], Signal] = {}
    for signal in signals:
        key = (signal.evidence.file, signal.evidence.line)
        other = by_line.get(key)
        if other is None or len(signal.evidence.text) > len(other.evidence.text):
            by_line[key] = signal
    unique = sorted(by_line.values(), key=lambda signal: signal.kind not in LOGS)
    return unique[:EVIDENCE_KEPT]


def place(evidence: Evidence) -> str:
    """Evidence as one line for people: `file:line: text`."""
    return f"{evidence.file}:{evidence.line}: {evidence.text}"


def open_marks(case: Case, stage: Stage, *kinds: SignalKind) -> list[Mark]:
    """The marks of these kinds that the boot has not overcome at `stage`."""
    return [m for m in case.reading.facts.find(*kinds) if not case.reading.overcome(m, stage)]


def _last_fetch(case: Case, before: int) -> str:
    marks = [
        m
        for m in case.reading.facts.find(SignalKind.IPXE_FETCH, SignalKind.IPXE_FETCHED)
        if m.first_order <= before and m.first.file
    ]
    return (
        max(marks, key=lambda m: m.last_order if m.last_order <= before else m.first_order).first.file if marks else ""
    )


def file_of(case: Case, mark: Mark) -> str:
    """The file that an error of iPXE speaks of: it names it, or it is what was fetched last."""
    return mark.first.file or _last_fetch(case, mark.last_order)


def _mark_failed(reading: Reading, stage: Stage) -> None:
    """A stage that stopped the boot; one that had succeeded before (a first script, a whole kernel) stays so."""
    span = reading.spans.get(stage)
    if span is not None and not span.done:
        span.failed = True
