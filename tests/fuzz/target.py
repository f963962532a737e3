"""What is fuzzed, and how: inputs until the budget is spent, and what was found."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.fuzz.mutate import damaged

SLOW: Final = 2.0
"""CPU seconds for one input of at most 16 KiB that are a find of their own: such a reader hangs on a longer one."""

HANG: Final = 30.0
"""CPU seconds after which an input is given up."""

SHRINKING: Final = 30.0
"""CPU seconds that a find is made smaller for."""

FINDS: Final = 5
"""Finds after which a target is left."""


class HangError(AssertionError):
    """An input that is read for ever."""


@dataclass(frozen=True)
class Target:
    """One reader of foreign input.

    Attributes:
        name: as it is asked for ("log-kea").
        corpus: makes inputs that are right, from which wrong ones are made.
        feed: gives the reader one input; an exception is a find. It catches what the reader documents to raise. What
            it draws by lot it draws from the input, so that an input alone repeats a find.
        make: makes an input from its grammar; every second one is made so, and damaged now and then.
        quick: inputs that the test suite feeds.
    """

    name: str
    corpus: Callable[[], Sequence[bytes]]
    feed: Callable[[bytes], None]
    make: Callable[[Random], bytes] | None = None
    quick: int = 150


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
    inputs = _inputs(target, corpus, random)
    begin = time.process_time()
    while len(result.finds) < FINDS and time.process_time() - begin < seconds:
        if executions is not None and result.executions >= executions:
            break
        data = next(inputs)
        result.executions += 1
        what = fault(target, data)
        if what is not None:
            result.finds.append(Find(target.name, data, what))
    result.cpu = time.process_time() - begin
    return result


def fault(target: Target, data: bytes) -> str | None:
    """What is wrong with what an input leads to, None where nothing is."""
    begin = time.process_time()
    try:
        with _given_up(HANG):
            target.feed(data)
    except Exception:
        return traceback.format_exc()
    taken = time.process_time() - begin
    return f"SlowError: {taken:.1f} s of CPU for {len(data)} bytes" if taken > SLOW else None


def shrunk(target: Target, find: Find) -> Find:
    """A find that fails alike with less input: lines, then bytes, are left out."""
    alike = _kind(find.what)
    deadline = time.process_time() + SHRINKING
    for lines in (True, False):
        parts = find.input.splitlines(keepends=True) if lines else [bytes((byte,)) for byte in find.input]
        size = max(1, len(parts) // 2)
        while size:
            place = 0
            while place < len(parts) and time.process_time() < deadline:
                fewer = parts[:place] + parts[place + size :]
                data = b"".join(fewer)
                what = fault(target, data)
                if what is not None and _kind(what) == alike:
                    parts, find = fewer, Find(find.target, data, what)
                else:
                    place += size
            size //= 2
    return find


def _inputs(target: Target, corpus: Sequence[bytes], random: Random) -> Iterator[bytes]:
    """The corpus as it is, then damaged inputs and such that are made, turn by turn."""
    yield from corpus if target.make is None else corpus[:3]
    while True:
        if target.make is not None:
            made = target.make(random)
            yield damaged(random, (made,)) if random.random() < 0.3 else made
        yield damaged(random, corpus)


@contextmanager
def _given_up(seconds: float) -> Iterator[None]:
    """Raises `HangError` in the body once it has used so much CPU."""

    def hang(*_: object) -> None:
        raise HangError(f"more than {seconds:g} s of CPU")

    former = signal.signal(signal.SIGVTALRM, hang)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)


def _kind(what: str) -> tuple[list[str], list[str]]:
    """The last place in a traceback, and the error's name."""
    lines = what.splitlines()
    places = [line for line in lines if line.startswith('  File "')]
    names = [line.split(":")[0] for line in lines if line and not line.startswith(" ")]
    return places[-1:], names[-1:]
