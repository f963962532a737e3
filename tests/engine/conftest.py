"""An engine in this process, on its real socket, with machines in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from plasmatui.engine.engine import Engine
from plasmatui.engine.process import make_directories
from plasmatui.inventory.inventory import Inventory
from plasmatui.paths import engine_paths
from tests.engine.bootserver import IPS, MACS, Server
from tests.engine.fakes import FakeBackend, rack
from tests.engine.running import Running, Start, until

__all__ = ("Running", "Start", "until")


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


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.fixture
def inventory(server: Server, private_directories: Path) -> Inventory:
    made = rack(2, private_directories / "inventory.yaml")
    nodes = {
        name: replace(node, macs=(MACS[name],), provisioning_ip=IPS[name], profile="worker")
        for name, node in made.nodes.items()
    }
    return dataclasses.replace(made, nodes=nodes, logs=server.entries)
