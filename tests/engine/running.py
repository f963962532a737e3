"""An engine that a test runs, and waiting for what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from plasmatui.client import EngineClient
from plasmatui.engine.engine import Engine
from plasmatui.paths import EnginePaths
from tests.engine.fakes import FakeBackend


@dataclass
class Running:
    """An engine that serves."""

    engine: Engine
    backend: FakeBackend
    paths: EnginePaths
    closed: bool = False

    async def client(self, *, read_only: bool = False) -> EngineClient:
        return await EngineClient.connect(self.paths.socket, kind="cli", read_only=read_only)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.engine.stop("end of the test")
            await self.engine.close()


Start = Callable[..., Awaitable[Running]]


async def until(condition: Callable[[], object], limit: float = 15.0) -> None:
    """Wait until `condition` holds; a failure names it by its line."""
    end = asyncio.get_running_loop().time() + limit
    while not condition():
        assert asyncio.get_running_loop().time() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)
