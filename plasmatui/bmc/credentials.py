"""Passwords for many BMCs at once: one that comes from a command or file is fetched once for all who ask together."""

from __future__ import annotations

import asyncio
import time
import weakref
from dataclasses import dataclass
from typing import Final

from plasmatui.inventory.secrets import Secret

LIMIT: Final = 12.0
"""Seconds that one may take; a little more than `Secret` gives a command."""
SHARED: Final = 3.0
"""Seconds for which an answer, or a failure, serves others too. Short, so that a corrected one is soon seen."""


@dataclass(frozen=True)
class _Fetch:
    task: asyncio.Task[str]
    begun: float


_fetches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Secret, _Fetch]] = weakref.WeakKeyDictionary()


async def reveal(secret: Secret) -> str:
    """The secret itself, without blocking the loop.

    Raises:
        SecretError: it cannot be had.
        TimeoutError: not within `LIMIT` seconds.
    """
    if secret.literal is not None:
        return secret.literal
    fetches = _fetches.setdefault(asyncio.get_running_loop(), {})
    now = time.monotonic()
    for old in [each for each, fetch in fetches.items() if fetch.task.done() and now - fetch.begun > SHARED]:
        del fetches[old]
    fetch = fetches.get(secret)
    if fetch is None:
        task = asyncio.create_task(asyncio.to_thread(secret.reveal), name=f"secret {secret.origin}")
        task.add_done_callback(_seen)
        fetch = fetches[secret] = _Fetch(task, now)
    # Shielded: who gives up must not take it from the others.
    async with asyncio.timeout(LIMIT):
        return await asyncio.shield(fetch.task)


def _seen(task: asyncio.Task[str]) -> None:
    """Whoever asked may be gone; the failure is not reported as lost then."""
    if not task.cancelled():
        task.exception()
