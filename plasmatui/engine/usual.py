"""How long stages usually take: medians of boots that went well, by profile and stage."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median

from plasmatui.journal.boots import Duration
from plasmatui.model.boot import BootTimeline
from plasmatui.model.words import Stage

SAMPLES = 64
"""Durations that a median is made of, the newest."""

ENOUGH = 3
"""Durations below which nothing counts as usual."""

GOOD = ("installer-up", "healthy")


class UsualTimes:
    """Collects durations; `profiles` tells the profile of each node."""

    def __init__(self) -> None:
        self.profiles: dict[str, str] = {}
        self._samples: dict[tuple[str, Stage], deque[float]] = {}
        self._medians: dict[tuple[str, Stage], float] = {}
        self._learned: dict[str, tuple[int, set[Stage]]] = {}

    def recall(self, durations: Iterable[Duration]) -> None:
        """What the journal knows, oldest first."""
        for each in durations:
            self._add(each)

    def of(self, node: str, stage: Stage) -> float | None:
        """Seconds that a stage usually takes on nodes of this one's profile, None when too few were seen."""
        key = (self.profiles.get(node, ""), stage)
        usual = self._medians.get(key)
        if usual is None:
            samples = self._samples.get(key)
            if samples is None or len(samples) < ENOUGH:
                return None
            usual = self._medians[key] = median(samples)
        return usual

    def learn(self, boot: BootTimeline) -> list[Duration]:
        """Take in what a boot that went well adds; each stage of a boot counts once."""
        if boot.outcome not in GOOD:
            return []
        number, stages = self._learned.get(boot.node, (0, set()))
        if number != boot.number:
            stages = set()
        new = [
            Duration(boot.node, boot.number, self.profiles.get(boot.node, ""), span.stage, span.end - span.begin)
            for span in boot.stages
            if span.state == "done"
            and not span.inferred
            and span.begin is not None
            and span.end is not None
            and span.stage not in stages
        ]
        for each in new:
            self._add(each)
        self._learned[boot.node] = (boot.number, stages | {each.stage for each in new})
        return new

    def _add(self, each: Duration) -> None:
        key = (each.profile, each.stage)
        self._samples.setdefault(key, deque(maxlen=SAMPLES)).append(each.seconds)
        self._medians.pop(key, None)
        number, stages = self._learned.get(each.node, (0, set()))
        self._learned[each.node] = (each.boot, stages | {each.stage} if number == each.boot else {each.stage})
