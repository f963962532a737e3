"""What is known of the checklist: the last answer of each check, when it came, and which are waited for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from plasmatui.model.checks import CHECKS, Check, CheckAnswer, CheckState

WORST_FIRST = (CheckState.FAILED, CheckState.UNKNOWN, CheckState.WARNING, CheckState.OK, CheckState.SKIPPED)


@dataclass(frozen=True)
class Seen:
    """An answer, and when it came (Unix seconds)."""

    answer: CheckAnswer
    at: float


@dataclass
class Checklist:
    """Answers stay when it is run again, until others take their places.

    Attributes:
        waiting: ids of the checks that the run has not answered yet.
        begin, end: of the last run, Unix seconds; 0 when there was none, or it goes on.
        problem: why the last run ended before its end, "" when it did not.
    """

    seen: dict[str, Seen] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    begin: float = 0.0
    end: float = 0.0
    problem: str = ""

    @property
    def running(self) -> bool:
        return self.begin > 0 and not self.end

    def start(self, now: float) -> None:
        """Everything is asked."""
        self.waiting = {check.id for check in CHECKS}
        self.begin, self.end, self.problem = now, 0.0, ""

    def take(self, answer: CheckAnswer, now: float) -> None:
        """A check is answered."""
        self.seen[answer.id] = Seen(answer, now)
        self.waiting.discard(answer.id)

    def stop(self, now: float, problem: str = "") -> None:
        """The run is over; nothing is waited for any more."""
        self.waiting.clear()
        self.end, self.problem = now, problem

    def worst(self, ids: Iterable[str]) -> Seen | None:
        """The gravest of these answers; None while there is none."""
        found = [self.seen[each] for each in ids if each in self.seen]
        return min(found, key=lambda each: WORST_FIRST.index(each.answer.state), default=None)


def rank(checklist: Checklist, check: Check) -> int:
    """Where a check stands in its group: what is wrong, what is waited for, what nobody asked, what is well."""
    if check.id in checklist.waiting:
        return 3
    seen = checklist.seen.get(check.id)
    if seen is None:
        return 4
    place = WORST_FIRST.index(seen.answer.state)
    return place if place < 3 else place + 2
