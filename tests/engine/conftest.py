"""An engine in this process, on its real socket, with machines in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from plasmatui.client import EngineClient
from plasmatui.engine.engine import Engine
from plasmatui.engine.process import make_directories
from plasmatui.inventory.inventory import Inventory
from plasmatui.paths import EnginePaths, engine_paths
from tests.engine.fakes import FakeBackend, rack


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


@pytest.fixture
async def start(private_directories: Path) -> AsyncIterator[Start]:
    """Starts engines, which end with the test."""
    async with AsyncExitStack() as stack:

        async def make(count: int = 3, *, inventory: Inventory | None = None, idle: float | None = None) -> Running:
            inventory = inventory or rack(count, private_directories / "inventory.yaml")
            paths = engine_paths(inventory.path)
            make_directories(paths)
            made: list[FakeBackend] = []

            def backend(*arguments: object) -> FakeBackend:
                made.append(FakeBackend(*arguments))  # type: ignore[arg-type]
                return made[-1]

            engine = await Engine.start(paths, inventory, backend, idle=idle)  # type: ignore[arg-type]
            running = Running(engine, made[0], paths)
            stack.push_async_callback(running.close)
            return running

        yield make


async def until(condition: Callable[[], object], limit: float = 5.0) -> None:
    """Wait until `condition` holds; a failure names it by its line."""
    end = asyncio.get_running_loop().time() + limit
    while not condition():
        assert asyncio.get_running_loop().time() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)
