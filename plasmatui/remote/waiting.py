"""Waiting for a node to come up or go down, by evidence: each try and its reason can be watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from plasmatui.model.command import CommandError, CommandFailedError
from plasmatui.remote.failures import ConnectError, Why

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_KIND_PAUSE: Final = 15.0
"""Seconds between tries that sshd counts against us (PerSourcePenalties)."""
_ASK_LIMIT: Final = 10.0
_DOWN: Final = (Why.REFUSED, Why.UNREACHABLE, Why.SILENT, Why.HOST_KEY)


@dataclass(frozen=True)
class Try:
    """One try that did not yet give what is waited for.

    Attributes:
        number: from 1. after: seconds since the wait began. reason: one clean line for people.
        pause: seconds to the next try. why: set when there was no connection.
    """

    number: int
    after: float
    reason: str
    pause: float
    why: Why | None = None


OnTry = Callable[[Try], None]


class Asked(Protocol):
    """What is waited for."""

    @property
    def node(self) -> str: ...

    async def boot_id(self, *, limit: float) -> str: ...

    async def drop(self) -> None: ...


async def wait_up(host: Asked, limit: float, other_than: str, on_try: OnTry | None) -> str:
    """Try until a command answers; its answer is the boot id.

    Every reason may pass (an old system that still answers with its key, a login that is not there yet), but for our
    own key that cannot be used. Where sshd counts failed tries they come more slowly.

    Args:
        limit: seconds for the whole wait. other_than: a boot id that does not count: that from before a reboot.

    Raises:
        CommandError: the limit was reached; id and reason are those of the last try.
    """
    tries = _Tries(limit, on_try)
    while True:
        try:
            async with asyncio.timeout(tries.left):
                found = await host.boot_id(limit=min(_ASK_LIMIT, tries.left))
            if found != other_than:
                return found
            failure = CommandError("ssh-timeout", f"{host.node} is still in the boot from before")
        except CommandError as error:
            failure = error
        except TimeoutError:
            failure = tries.last or CommandError("ssh-refused", f"ssh to {host.node}: no answer")
        if isinstance(failure, ConnectError) and failure.why is Why.OWN_KEY:
            raise failure
        if failure.id == "ssh-timeout":
            await host.drop()  # whether it still answers a new connection tells
        await tries.failed(failure, f"{host.node} did not come up")


async def wait_down(host: Asked, limit: float, on_try: OnTry | None) -> str:
    """Ask until nothing answers, or something else does: another boot, or a system with another host key.

    Returns:
        what shows it, one line.

    Raises:
        CommandError: id "ssh-timeout": it still answers at the limit.
    """
    tries = _Tries(limit, on_try)
    before = ""
    while True:
        try:
            async with asyncio.timeout(tries.left):
                found = await host.boot_id(limit=min(_ASK_LIMIT, tries.left))
            if before and found != before:
                return f"{host.node} was booted again meanwhile"
            before = found
            failure = CommandError("ssh-timeout", f"{host.node} still answers")
        except ConnectError as error:
            if error.why in _DOWN:
                return error.message
            failure = error
        except CommandError as error:
            failure = error
            if not isinstance(error, CommandFailedError):  # lost or silent: whether it is down a new connection tells
                await host.drop()
        except TimeoutError:
            failure = tries.last or CommandError("ssh-timeout", f"{host.node} still answers")
        await tries.failed(failure, f"{host.node} did not go down")


class _Tries:
    """Counts tries, paces them, and ends them at the limit."""

    def __init__(self, limit: float, on_try: OnTry | None) -> None:
        self.last: CommandError | None = None
        self._limit = limit
        self._on_try = on_try
        self._begun = time.monotonic()
        self._number = 0

    @property
    def left(self) -> float:
        return max(0.0, self._limit - (time.monotonic() - self._begun))

    async def failed(self, error: CommandError, what: str) -> None:
        """Note a try and pause before the next one; raises the error when there is no time for one."""
        self._number += 1
        self.last = error
        why = error.why if isinstance(error, ConnectError) else None
        pause = min(_FIRST_PAUSE * 1.5 ** min(self._number - 1, 20), _LONGEST_PAUSE)
        if why is Why.DENIED:
            pause = _KIND_PAUSE
        left = self.left
        pause = min(pause, left)
        if self._on_try is not None:
            self._on_try(Try(self._number, self._limit - left, error.message, pause, why))
        if left <= 0:
            message = f"{what} within {self._limit:g} s: {error.message}"
            if isinstance(error, ConnectError):
                raise ConnectError(error.id, message, error.why, lasting=error.lasting) from error
            raise CommandError(error.id, message, lasting=error.lasting) from error
        await asyncio.sleep(pause)
