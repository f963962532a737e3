"""Answers that cost something and that several clients ask for: worked out once at a time, good for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from plasmatui.engine.ports import ProblemError

T = TypeVar("T")


class Shared(Generic[T]):
    """See the module.

    Args:
        name: of the task, and what messages call it.
        age: seconds that an answer is good for.
        limit: seconds that somebody waits for one; what is worked out then goes on, and is not begun twice.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[T]], age: float, limit: float) -> None:
        self._name = name
        self._work = work
        self._age = age
        self._limit = limit
        self._task: asyncio.Task[T] | None = None
        self._at = float("-inf")

    async def get(self, *, fresh: bool = False) -> T:
        """The answer; with `fresh` one that was begun now.

        Raises:
            ProblemError: it takes longer than the limit, or what `work` raises.
        """
        task = self._task
        if task is None or (task.done() and (fresh or self._is_old(task))):
            task = self._task = asyncio.create_task(self._worked(), name=self._name)
        try:
            async with asyncio.timeout(self._limit):
                return await asyncio.shield(task)
        except TimeoutError:
            text = f"{self._name} was not looked at within {self._limit:g} s; the look goes on, ask again"
            raise ProblemError("timeout", text) from None

    def forget(self) -> None:
        """What is known is not so any more."""
        self._at = float("-inf")

    async def close(self) -> None:
        """Leave it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _worked(self) -> T:
        result = await self._work()
        self._at = time.monotonic()
        return result

    def _is_old(self, task: asyncio.Task[T]) -> bool:
        failed = task.cancelled() or task.exception() is not None
        return failed or time.monotonic() - self._at > self._age
