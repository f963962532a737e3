"""What we did to a machine before its boot could be heard: the boot override, and switching it on."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.words import Stage

OVERRIDE_KEPT = 3600.0
"""Seconds after which an override that no boot followed is not told with the next one."""

NEAR = 30.0
"""Seconds that a BMC may tell of the power later than the machine was heard."""

EARLY = 1.0
"""Seconds that clocks may differ by: what was heard earlier than that before our order is no boot of that order."""

STAGES = (Stage.OVERRIDE_SET, Stage.POWERING_ON)


@dataclass
class _Prelude:
    """`after`: the number of the boot that was shown when it began; `ordered`: by us, so it was not heard before;
    `quiet`: the machine still runs, and its boot so far is what is to be shown."""

    after: int
    ordered: bool = False
    quiet: bool = False
    override: StageSpan | None = None
    power: StageSpan | None = None

    @property
    def spans(self) -> tuple[StageSpan, ...]:
        return tuple(span for span in (self.override, self.power) if span is not None)


class Preludes:
    """Joins what was done to a node with the boot that follows."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Prelude] = {}
        self._joined: dict[str, tuple[int, _Prelude]] = {}
        self._over: dict[str, int] = {}

    def override(self, node: str, wall: float, told: Evidence, shown: int, *, failed: bool) -> None:
        """A boot device was set and read back; `failed`: it is not what was set. `shown`: number of the last boot."""
        prelude = _Prelude(shown)
        end = None if failed else wall
        prelude.override = StageSpan(Stage.OVERRIDE_SET, wall, end, "failed" if failed else "done", (told,))
        self._waiting[node] = prelude

    def power(self, node: str, wall: float, told: Evidence, shown: int, *, on: bool, runs: bool = False) -> None:
        """The machine is being switched on, or (`on`) has power. `runs`: it is on and will be switched off before."""
        joined = self._joined.get(node)
        prelude = self._waiting.get(node)
        if prelude is None and joined is not None and _is_running(joined[1].power):
            prelude = joined[1]
        if prelude is None:
            prelude = self._waiting[node] = _Prelude(shown)
        if prelude.override is not None and wall - (prelude.override.begin or wall) > OVERRIDE_KEPT:
            prelude.override = None
        if not on:
            if prelude.power is None:  # else the boot that is shown is this one already
                prelude.after = shown
            prelude.ordered, prelude.quiet = True, runs
            prelude.power = StageSpan(Stage.POWERING_ON, wall, None, "running", (told,))
        elif prelude.power is not None and prelude.power.state != "done":
            power = prelude.power
            prelude.power = replace(power, end=wall, state="done", evidence=(*power.evidence, told))
        elif prelude.power is None:
            prelude.power = StageSpan(Stage.POWERING_ON, wall, wall, "done", (told,))

    def off(self, node: str, shown: int) -> None:
        """The machine has no power now: what it did before, up to the boot `shown`, is over."""
        self._over[node] = shown
        if node in self._waiting:
            self._waiting[node].quiet = False

    def failed(self, node: str, told: Evidence) -> None:
        """An order to switch the machine on failed. One that still runs goes on as it was."""
        prelude = self._waiting.get(node)
        if prelude is None or prelude.power is None or not _is_running(prelude.power):
            return
        if prelude.quiet:
            prelude.power = None
        else:
            prelude.power = replace(prelude.power, state="failed", evidence=(*prelude.power.evidence, told))
        prelude.quiet = False

    def recall(self, boot: BootTimeline) -> bool:
        """Take up what a former engine knew of a node's last boot; whether that is all that was known of it."""
        found = {span.stage: span for span in boot.stages if span.stage in STAGES}
        if not found:
            return False
        prelude = _Prelude(boot.number - 1, override=found.get(Stage.OVERRIDE_SET), power=found.get(Stage.POWERING_ON))
        alone = len(found) == len(boot.stages)
        if alone:
            self._waiting[boot.node] = prelude
        else:
            self._joined[boot.node] = (boot.number, prelude)
        return alone

    def forget(self, node: str) -> None:
        self._waiting.pop(node, None)
        self._joined.pop(node, None)
        self._over.pop(node, None)

    def ended(self, node: str, boot: BootTimeline) -> BootTimeline:
        """A boot that is over, with what was done before it."""
        number, prelude = self._joined.get(node, (0, None))
        return _with(boot, prelude) if prelude is not None and number == boot.number else boot

    def complete(self, node: str, boot: BootTimeline | None) -> BootTimeline | None:
        """A boot with what was done before it; a boot of that alone where nothing has been heard yet."""
        waiting = self._waiting.get(node)
        if waiting is not None:
            if boot is not None and _belongs(waiting, boot, self._over.get(node, 0)):
                self._join(node, boot.number, self._waiting.pop(node))
            elif waiting.power is not None and not waiting.quiet:
                return _alone(node, waiting)
        number, prelude = self._joined.get(node, (0, None))
        if boot is None or prelude is None or number != boot.number:
            return boot
        return _with(boot, prelude)

    def _join(self, node: str, number: int, prelude: _Prelude) -> None:
        joined, known = self._joined.get(node, (0, None))
        if known is not None and joined == number:
            prelude.override = prelude.override or known.override
            if known.power is not None:
                prelude.power = known.power
        self._joined[node] = (number, prelude)


def _is_running(span: StageSpan | None) -> bool:
    return span is not None and span.state == "running"


def _belongs(prelude: _Prelude, boot: BootTimeline, over: int) -> bool:
    if boot.number > prelude.after:
        return True
    begin = prelude.power.begin if prelude.power is not None else None
    if boot.number != prelude.after or boot.number <= over or begin is None or boot.begin is None:
        return False
    return -(EARLY if prelude.ordered else NEAR) < boot.begin - begin < NEAR


def _alone(node: str, prelude: _Prelude) -> BootTimeline:
    spans = prelude.spans
    done = [span.stage for span in spans if span.state == "done"]
    outcome = "stopped" if spans[-1].state == "failed" else "running"
    return BootTimeline(node, prelude.after + 1, spans[0].begin, done[-1] if done else None, outcome, spans)


def _with(boot: BootTimeline, prelude: _Prelude) -> BootTimeline:
    spans = tuple(
        replace(span, state="done", end=span.end if span.end is not None else boot.begin)
        if span.stage is Stage.POWERING_ON
        else span
        for span in prelude.spans
    )
    begins = [each for each in (boot.begin, *(span.begin for span in spans)) if each is not None]
    return replace(
        boot,
        begin=min(begins, default=None),
        reached=boot.reached or next((span.stage for span in reversed(spans) if span.state == "done"), None),
        stages=spans + boot.stages,
    )
