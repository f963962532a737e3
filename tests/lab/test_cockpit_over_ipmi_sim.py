"""The whole cockpit (command line, engine, consoles) against OpenIPMI's ipmi_sim: BMCs that we did not write."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plasmatui.client import EngineClient, connect_or_start
from plasmatui.model import wire
from plasmatui.model.words import ConsoleStatus
from tests.lab.ipmi_sim_rig import BOOT_LINES, Rig, ipmi_sim_rig

pytestmark = [pytest.mark.lab, pytest.mark.needs("ipmi_sim")]


@dataclass
class Answer:
    code: int
    nodes: dict[str, Any]
    errors: str


@dataclass
class Cockpit:
    rig: Rig
    client: EngineClient
    received: dict[str, bytearray]

    async def run(self, *words: str) -> Answer:
        """A command of ours in a process of its own, with its answer as JSON."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "plasmatui", "-i", str(self.rig.inventory), *words, "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert output, errors.decode()
        return Answer(process.returncode or 0, json.loads(output)["nodes"], errors.decode())

    async def until(self, node: str, text: bytes, limit: float = 20.0) -> None:
        async with asyncio.timeout(limit):
            while text not in self.received[node]:  # noqa: ASYNC110 - the callback that fills it knows no event
                await asyncio.sleep(0.02)

    async def until_open(self, limit: float = 20.0) -> None:
        async with asyncio.timeout(limit):
            while True:
                snapshot = await self.client.ask(wire.Watch())
                assert isinstance(snapshot, wire.Snapshot)
                if all(state.console.status is ConsoleStatus.OPEN for state in snapshot.states):
                    return
                await asyncio.sleep(0.1)


@pytest.fixture
async def cockpit(tmp_path: Path) -> AsyncIterator[Cockpit]:
    async with ipmi_sim_rig(tmp_path, 3) as rig:
        client = await connect_or_start(rig.inventory, kind="cli")
        received = {node.name: bytearray() for node in rig.nodes}
        client.on_console = lambda data: received[data.node].extend(data.data)
        try:
            yield Cockpit(rig, client, received)
        finally:
            await client.ask(wire.StopEngine(force=True))
            await client.close()


async def test_power_is_told_and_changed(cockpit: Cockpit) -> None:
    answer = await cockpit.run("power", "status", "@all")
    assert answer.code == 0
    assert {node: entry["power"] for node, entry in answer.nodes.items()} == dict.fromkeys(answer.nodes, "off")

    answer = await cockpit.run("power", "on", "lab[01-02]", "--yes")
    assert answer.code == 0, answer
    assert {n: (e["before"], e["power"]) for n, e in answer.nodes.items()} == {
        "lab01": ("off", "on"),
        "lab02": ("off", "on"),
    }
    assert [node.power for node in cockpit.rig.nodes] == [True, True, False]

    answer = await cockpit.run("power", "cycle", "lab01", "--yes")
    assert answer.code == 0, answer
    assert cockpit.rig.node("lab01").power
    assert cockpit.rig.node("lab01").events.count("power 0") >= 1

    answer = await cockpit.run("power", "reset", "lab02", "--yes")
    assert answer.code == 0, answer
    assert "reset" in cockpit.rig.node("lab02").events

    answer = await cockpit.run("power", "soft", "lab02", "--yes")
    assert (answer.code, answer.nodes["lab02"]["power"]) == (0, "off"), answer
    assert "shutdown" in cockpit.rig.node("lab02").events


async def test_boot_device_is_set_and_said_to_be_unverified(cockpit: Cockpit) -> None:
    """ipmi_sim never sets the valid bit when it is asked, so that the override cannot be read back."""
    answer = await cockpit.run("bootdev", "pxe", "lab03", "--uefi", "--yes")
    assert answer.code == 0, answer
    assert cockpit.rig.node("lab03").boot == "pxe"
    snapshot = await cockpit.client.ask(wire.Watch())
    assert isinstance(snapshot, wire.Snapshot)
    state = next(state for state in snapshot.states if state.name == "lab03")
    assert state.boot_verified is None
    answer = await cockpit.run("bootdev", "none", "lab03", "--yes")
    assert answer.code == 0, answer
    assert cockpit.rig.node("lab03").boot in ("none", "default")


async def test_a_boot_is_seen_on_the_console_and_keys_reach_it(cockpit: Cockpit) -> None:
    await cockpit.until_open()
    for node in ("lab01", "lab02", "lab03"):
        await cockpit.client.ask(wire.ConsoleOpen(node))
    answer = await cockpit.run("power", "on", "@all", "--yes")
    assert answer.code == 0, answer
    for node in ("lab01", "lab02", "lab03"):
        await cockpit.until(node, f"{node} login: ".encode())
        text = bytes(cockpit.received[node])
        assert all(line.encode() in text for line in BOOT_LINES), f"{node} lost lines"
    await cockpit.client.ask(wire.ConsolePen("lab02"))
    await cockpit.client.ask(wire.ConsoleWrite("lab02", b"hello from the cockpit\r"))
    await cockpit.until("lab02", b"HELLO FROM THE COCKPIT")
    assert b"COCKPIT" not in cockpit.received["lab01"]


async def test_readings(cockpit: Cockpit) -> None:
    answer = await cockpit.run("inventory", "lab01")
    assert answer.code == 0, answer
    assert "lab-board" in json.dumps(answer.nodes["lab01"])
    answer = await cockpit.run("sel", "lab01")
    assert answer.code == 0, answer
    answer = await cockpit.run("identify", "lab01", "--yes")
    assert answer.code == 0, answer
    assert any(event.startswith("identify") for event in cockpit.rig.node("lab01").events)
