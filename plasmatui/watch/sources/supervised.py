"""What all sources share: one named task that is held, tries again with growing pauses, and says how it is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from plasmatui.model.command import CommandError
from plasmatui.text import clean_line
from plasmatui.watch.sources.base import (
    Batch,
    LogLine,
    OnBatch,
    OnState,
    Position,
    SourceState,
    SourceStatus,
)

log = logging.getLogger(__name__)

STEADY: Final = 30.0
"""Seconds of work after which earlier failures are forgotten."""


@dataclass(frozen=True)
class Pauses:
    """Seconds between tries: `first`, doubled up to `longest`, each with up to `jitter` of itself added."""

    first: float = 0.5
    longest: float = 60.0
    jitter: float = 0.25

    def after(self, failures: int) -> float:
        """The pause after so many failures in a row, counted from 1."""
        pause: float = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return pause * (1 + self.jitter * random.random())  # noqa: S311 - spreads tries, hides nothing


class SourceTroubleError(Exception):
    """A try ended. `lasting`: a person must do something. The message is one line, with what to do."""

    def __init__(self, message: str, *, lasting: bool = False, problem: str = "") -> None:
        super().__init__(message)
        self.lasting = lasting
        self.problem = problem


class Supervised:
    """Base of the sources. A subclass has `_follow`, which runs until it raises `SourceTroubleError`, `OSError` or
    `CommandError`, and hands lines to `_deliver`."""

    def __init__(
        self,
        name: str,
        on_batch: OnBatch,
        on_state: OnState | None,
        position: Position | None,
        pauses: Pauses | None = None,
    ) -> None:
        self.name = name
        self.position = position or Position()
        self.room = asyncio.Event()
        self.room.set()
        self._on_batch = on_batch
        self._on_state = on_state
        self._pauses = pauses or Pauses()
        self._state = SourceState(since=time.time())
        self._task: asyncio.Task[None] | None = None
        self._behind_since: float | None = None

    @property
    def state(self) -> SourceState:
        return self._state

    def start(self) -> None:
        if self._task is None or self._task.done():
            self._say(SourceStatus.STARTING)
            self._task = asyncio.create_task(self._supervise(), name=f"log source {self.name}")
            self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._say(SourceStatus.STOPPED)

    async def close(self) -> None:
        await self.stop()

    async def _follow(self) -> None:
        raise AssertionError("a source follows something")

    async def _supervise(self) -> None:
        failures = 0
        while True:
            begun = time.monotonic()
            try:
                await self._follow()
            except CommandError as error:
                trouble = SourceTroubleError(error.message, lasting=error.lasting, problem=error.id)
            except SourceTroubleError as error:
                trouble = error
            except OSError as error:
                trouble = SourceTroubleError(f"{self.name}: {error.strerror or error}")
            else:
                trouble = SourceTroubleError(f"{self.name} ended")
            failures = 1 if time.monotonic() - begun > STEADY else failures + 1
            status = SourceStatus.FAILED if trouble.lasting else SourceStatus.WAITING
            self._say(status, str(trouble), trouble.problem)
            await asyncio.sleep(self._pauses.after(failures))

    def _numbered(self, raws: Sequence[tuple[bytes, int, float | None]]) -> tuple[LogLine, ...]:
        """Lines that end at the position, from each one's bytes, offset and time; never more than were counted."""
        raws = raws[max(0, len(raws) - self.position.number) :]
        first = self.position.number - len(raws) + 1
        return tuple(
            LogLine(self.name, number, raw, offset, wall) for number, (raw, offset, wall) in enumerate(raws, first)
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that ends by itself met an error that nobody foresaw: it is shown and handed to the loop."""
        if task.cancelled():
            return
        error = task.exception()
        self._say(SourceStatus.FAILED, f"stopped by an unforeseen {type(error).__name__}; restart the engine")
        task.get_loop().call_exception_handler({"message": f"log source {self.name}", "exception": error})

    def _say(self, status: SourceStatus, reason: str = "", problem: str = "") -> None:
        """Change the state and tell it, once per change."""
        reason = clean_line(reason, 500)
        if (status, reason) != (self._state.status, self._state.reason):
            self._state = msgspec.structs.replace(
                self._state, status=status, reason=reason, problem=problem, since=time.time()
            )
            if self._on_state is not None:
                self._on_state(self.name, self._state)

    def _lag(self, behind: int, seconds: float | None = None) -> None:
        """Note how many bytes wait; without `seconds` the time since it was up to date counts."""
        if behind == 0:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = time.monotonic()
        since = self._behind_since
        age = seconds if seconds is not None else 0.0 if since is None else time.monotonic() - since
        if (behind, age) != (self._state.lag_bytes, self._state.lag_seconds):
            self._state = msgspec.structs.replace(self._state, lag_bytes=behind, lag_seconds=age)

    async def _breathe(self) -> None:
        """Give way after a batch, until there is room for the next one."""
        await asyncio.sleep(0)
        await self.room.wait()

    def _deliver(self, lines: Sequence[LogLine], position: Position, gap: str = "") -> None:
        """Hand lines on; the position counts as reached before the callback runs, so that it can store both."""
        self.position = position
        self._state = msgspec.structs.replace(
            self._state, lines=self._state.lines + len(lines), gaps=self._state.gaps + bool(gap)
        )
        if gap:
            log.warning("%s: %s", self.name, gap)
        self._on_batch(Batch(self.name, tuple(lines), position, time.time(), gap))
