"""What was done of a node's steps: in this run, and in an earlier one that the engine's end or a failure cut short."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plasmatui.model.operation import StepRecord
from plasmatui.model.words import StepResult


class History:
    """The steps of one node's part that were begun.

    Args:
        prior: the last record of each step in an earlier run, by the step's id.
        now: the records of this run, as they are when asked.
    """

    def __init__(self, prior: Mapping[str, StepRecord], now: Callable[[], tuple[StepRecord, ...]]) -> None:
        self._prior = prior
        self._now = now

    def before(self, id_: str) -> StepRecord | None:
        """The last record of a step in an earlier run; None when it was not begun there, or does not count any more."""
        return self._prior.get(id_)

    def last(self, id_: str) -> StepRecord | None:
        """The last record of a step, of this run or an earlier one; None when it was never begun."""
        own = [step for step in self._now() if step.id == id_]
        return own[-1] if own else self._prior.get(id_)

    def begun(self, id_: str) -> float:
        """When a step was begun last, in this run or an earlier one: Unix seconds, 0 when it was not."""
        last = self.last(id_)
        return last.begin if last is not None else 0.0

    def was_begun(self, id_: str) -> bool:
        """Whether an earlier run began the step."""
        return id_ in self._prior

    def was_done(self, id_: str) -> bool:
        """Whether an earlier run finished the step."""
        prior = self._prior.get(id_)
        return prior is not None and prior.result in (StepResult.DONE, StepResult.SKIPPED)

    def forget(self, *ids: str) -> None:
        """What an earlier run did of these steps does not count any more: they are done again."""
        self._prior = {id_: step for id_, step in self._prior.items() if id_ not in ids}
