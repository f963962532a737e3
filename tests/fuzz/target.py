"""What is fuzzed, and how: inputs until the budget is spent, and what was found."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.fuzz.mutate import damaged

SLOW: Final = 2.0
"""CPU seconds for one input of at most 16 KiB that are a find of their own: such a reader hangs on a longer one."""

FINDS: Final = 5
"""Finds after which a target is left."""


@dataclass(frozen=True)
class Target:
    """One reader of foreign input.

    Attributes:
        name: as it is asked for ("log-kea").
        corpus: makes inputs that are right, from which wrong ones are made.
        feed: gives the reader one input; an exception is a find. It catches what the reader documents to raise.
    """

    name: str
    corpus: Callable[[], Sequence[bytes]]
    feed: Callable[[bytes], None]


@dataclass(frozen=True)
class Find:
    """An input that should not have done what it did."""

    target: str
    input: bytes
    what: str


@dataclass
class Run:
    """What became of one target."""

    target: str
    executions: int = 0
    cpu: float = 0.0
    finds: list[Find] = field(default_factory=list)


def run(target: Target, *, seed: int, seconds: float, executions: int | None = None) -> Run:
    """Feed inputs until `seconds` of CPU time, or so many `executions`, are spent, or enough was found."""
    random = Random(f"{target.name} {seed}")
    result = Run(target.name)
    corpus = target.corpus()
    assert corpus, f"{target.name} has nothing to begin with"
    for data in corpus:
        _feed(target, data, result)
    begin = time.process_time()
    while len(result.finds) < FINDS and time.process_time() - begin < seconds:
        if executions is not None and result.executions >= executions:
            break
        _feed(target, damaged(random, corpus), result)
    result.cpu = time.process_time() - begin
    return result


def _feed(target: Target, data: bytes, result: Run) -> None:
    result.executions += 1
    begin = time.process_time()
    try:
        target.feed(data)
    except Exception:
        result.finds.append(Find(target.name, data, traceback.format_exc()))
        return
    taken = time.process_time() - begin
    if taken > SLOW:
        result.finds.append(Find(target.name, data, f"{taken:.1f} s of CPU for {len(data)} bytes"))
