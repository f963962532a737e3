"""Rows of figures, with medians, the reference measured in the same run, and the goal."""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        value: the median, in `unit`.
        reference: the same measured with something else in the same run, with its name; None when there is none.
        goal: the largest value (`of_ratio`: the largest ratio to the reference) that is wanted; None for no goal.
    """

    name: str
    value: float
    unit: str
    reference: float | None = None
    beside: str = ""
    goal: float | None = None
    of_ratio: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.reference if self.reference else None

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        measured = self.ratio if self.of_ratio else self.value
        return measured is not None and measured <= self.goal


@dataclass
class Report:
    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        print(line(figure), flush=True)  # noqa: T201 - printing is what a bench is for


def line(figure: Figure) -> str:
    text = f"{figure.name:<58} {figure.value:>10.3f} {figure.unit:<6}"
    if figure.reference is not None:
        text += f" {figure.beside} {figure.reference:.3f}, ratio {figure.ratio:.2f}"
    if figure.goal is not None:
        text += f"  goal <= {figure.goal:g}{' x' if figure.of_ratio else ''}: {'met' if figure.met else 'MISSED'}"
    return f"{text}  {figure.note}".rstrip()


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def own_cpu() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def child_cpu(command: Sequence[str]) -> float:
    """CPU seconds that a command takes from its start to its end; its output is read, so that it does all its work."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class LagProbe:
    """How late a 5 ms timer of the running loop fires: milliseconds."""

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LagProbe:
        self._task = asyncio.create_task(self._probe(), name="lag probe")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _probe(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            self.samples.append((time.perf_counter() - before - 0.005) * 1000)


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that `work` takes."""
    before = time.perf_counter()
    await work()
    return time.perf_counter() - before
