"""Streams of data between this host and a node: ended by a cancel, and when nothing has moved for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.work import NodeWork

STALL: Final = 300.0
"""Seconds without a byte after which a stream has failed."""


class Stalls:
    """Ends what is inside when nothing has moved for a while."""

    def __init__(self, work: NodeWork, what: str) -> None:
        self._work = work
        self._what = what
        self._limit = asyncio.timeout(STALL)

    async def __aenter__(self) -> Stalls:
        await self._limit.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._limit.__aexit__(*error)  # type: ignore[arg-type]
        except TimeoutError:
            text = f"{self._work.node}: {self._what}: not a byte for {STALL:g} s"
            raise NodeFailedError("stalled", text) from None

    def moved(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time() + STALL)


class Copying:
    """The copying of a service's data, which a cancel of the operation ends in the middle.

    Args:
        copy: does it.
        remark: what is true of the node when it was ended so, "" when there is nothing to be said.
    """

    def __init__(self, work: NodeWork, service: str, copy: Callable[[], Awaitable[None]], remark: str = "") -> None:
        self._work = work
        self._service = service
        self._copy = copy
        self._remark = remark
        self._task: asyncio.Task[None] | None = None
        self._left = False

    def stop(self) -> None:
        """The operation was cancelled."""
        self._left = True
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> None:
        """Copy.

        Raises:
            NodeLeftError: it was cancelled.
        """
        self._task = asyncio.create_task(self._do(), name=f"copy {self._service} of {self._work.node}")
        try:
            await self._task
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            if not self._left or self._work.suspended:
                raise
            reason = self._work.left or "cancelled"
            raise NodeLeftError(f"{reason} while {self._service} was copied{self._remark}") from None

    async def _do(self) -> None:
        await self._copy()
