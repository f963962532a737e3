"""A stage while it is made up of what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from plasmatui.model.boot import Evidence, Signal
from plasmatui.model.words import Stage
from plasmatui.watch.facts import LOGS, Mark

EVIDENCE_KEPT = 6


@dataclass(slots=True)
class Span:
    """A stage while it is made up. `proof`: the order of what showed that it succeeded."""

    stage: Stage
    begin: float | None = None
    by_log: bool = False  # a server's log told when it began
    end: float | None = None
    first: int | None = None
    proof: int | None = None
    done: bool = False
    failed: bool = False
    inferred: bool = False
    tries: int = 0
    bytes: int | None = None
    total: int | None = None
    percent: float | None = None
    evidence: list[Evidence] = field(default_factory=list)

    def see(self, signal: Signal, order: int) -> None:
        """Something of the stage was seen."""
        if self.first is None or order < self.first:
            self.first = order
        if signal.wall is not None:
            self._begin(signal.wall, by_log=signal.kind in LOGS)
        add_evidence(self.evidence, signal.evidence)

    def _begin(self, wall: float, *, by_log: bool) -> None:
        """The earliest time is taken, but for a server's clock of whole seconds in whose second the console saw it: the
        console knows better."""
        known = self.begin
        if known is not None and by_log != self.by_log:
            log, console = (wall, known) if by_log else (known, wall)
            if log == int(log) and log <= console < log + 1.0:
                self.begin, self.by_log = console, False
                return
        if known is None or wall < known:
            self.begin, self.by_log = wall, by_log

    def finish(self, signal: Signal, order: int) -> None:
        """Something showed that the stage succeeded."""
        self.see(signal, order)
        self.proof = max(self.proof or 0, order)
        self.done = True
        if signal.wall is not None:
            self.end = signal.wall if self.end is None else max(self.end, signal.wall)

    def measure(self, mark: Mark) -> None:
        """Sizes that a sighting tells."""
        last = mark.last
        size = max(mark.bytes, last.bytes or 0)
        if size or last.bytes is not None:
            self.bytes = max(self.bytes or 0, size)
        if last.total is not None:
            self.total = last.total
        if last.percent is not None:
            self.percent = last.percent


def add_evidence(kept: list[Evidence], evidence: Evidence) -> None:
    """Keep a line once: of a line that was read while it grew, what it said last."""
    for index, other in enumerate(kept):
        if other is evidence:
            return
        if other.line == evidence.line and other.file == evidence.file:
            kept[index] = max(other, evidence, key=lambda e: len(e.text))
            return
    if len(kept) < EVIDENCE_KEPT:
        kept.append(evidence)
