"""A limit for streams: how long nothing may move."""

from __future__ import annotations

import asyncio
from typing import Final

from plasmatui.operations.endings import NodeFailedError
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
