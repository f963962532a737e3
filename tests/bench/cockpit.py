"""A cockpit of a thousand nodes: a real engine and a real screen as processes, a simulated rack with real protocols.

`python -m tests.bench cockpit`, with PLASMATUI_BENCH_NODES for another number of nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from plasmatui.client import EngineClient, EngineUnreachableError, connect_or_start
from plasmatui.model import wire
from plasmatui.model.node import NodeState
from plasmatui.model.operation import BootOrder, OperationRecord, Order, Pace, PowerOrder
from plasmatui.model.words import BmcStatus, ConsoleStatus, Health, OperationState, Power, PowerAction
from plasmatui.paths import EnginePaths, engine_paths
from tests.bench.rack import BenchRack, rack_process
from tests.bench.report import Figure, Report, percentile
from tests.support.terminal import Terminal, cpu_seconds, resident_mb

PLAIN = """
from textual.app import App
from textual.widgets import Static
class Plain(App):
    count = 0
    def compose(self):
        yield Static("key 0000")
    def on_key(self, event):
        self.count += 1
        self.query_one(Static).update(f"key {self.count:04d}")
Plain().run()
"""
"""The plainest Textual app that answers a key: what a key costs on this machine at this moment."""

NODES = int(os.environ.get("PLASMATUI_BENCH_NODES", "1000"))
BOOTING = NODES // 5
ROWS, COLUMNS = 50, 200
KNOWN_LIMIT = 180.0
SETTLE = 15.0
MEASURED = 20.0
KEY_GOAL = 10.0
"""Times a key of the plain app, which has one widget and is told nothing: 50 ms where that one takes 5."""


@dataclass(frozen=True)
class Cockpit:
    """What runs: the rack, the engine, a terminal with the screen, and one with the plain app of the same library."""

    rack: BenchRack
    paths: EnginePaths
    client: EngineClient
    engine: int
    terminal: Terminal
    plain: Terminal


@dataclass(frozen=True)
class Load:
    """What a stretch of time cost: percent of a core and bytes a second without keys, milliseconds of keys after."""

    engine: float
    screen: float
    sent: float
    keys: list[float]
    plain: list[float]

    @classmethod
    async def of(cls, cockpit: Cockpit) -> Load:
        terminal, begin = cockpit.terminal, time.perf_counter()
        engine, screen, sent = cpu_seconds(cockpit.engine), cpu_seconds(terminal.pid), terminal.received
        await asyncio.to_thread(terminal.read, MEASURED)
        passed = time.perf_counter() - begin
        found = (
            (cpu_seconds(cockpit.engine) - engine) / passed * 100,
            (cpu_seconds(terminal.pid) - screen) / passed * 100,
            (terminal.received - sent) / passed,
        )
        return cls(*found, *await asyncio.to_thread(type_keys, terminal, cockpit.plain, MEASURED))


def type_keys(terminal: Terminal, plain: Terminal, seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds from a cursor key to the first output that paints the row it goes to, and of a key of the plain
    app, by turns."""
    chance, row, step = random.Random(1), 1, 1
    times: list[float] = []
    beside: list[float] = []
    terminal.send(b"g")
    terminal.read(1.0)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        terminal.read(chance.uniform(0.06, 0.2))
        begin = time.perf_counter()
        plain.send(b"x")
        assert plain.read(20.0, until=b"key "), "the plain app does not answer"
        beside.append((time.perf_counter() - begin) * 1000)
        terminal.read(chance.uniform(0.06, 0.1))
        step = {1: 1, NODES: -1}.get(row, step)
        row += step
        begin = time.perf_counter()
        terminal.send(b"\x1b[B" if step > 0 else b"\x1b[A")
        assert terminal.read(20.0, until=name_of(row)), f"no row {row} within 20 s of its key"
        times.append((time.perf_counter() - begin) * 1000)
    return times, beside


def name_of(number: int) -> bytes:
    return b"node%0*d" % (max(2, len(str(NODES))), number)


class Watcher:
    """A client that keeps what the engine tells, and says when something holds."""

    def __init__(self, client: EngineClient) -> None:
        self.states: dict[str, NodeState] = {}
        self.operations: dict[int, OperationRecord] = {}
        self.client = client
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        self.client.on_changes = self._take
        snapshot = await self.client.ask(wire.Watch())
        assert isinstance(snapshot, wire.Snapshot)
        self.states.update((each.name, each) for each in snapshot.states)

    def _take(self, changes: wire.Changes) -> None:
        self.states.update((each.name, each) for each in changes.states)
        self.operations.update((each.number, each) for each in changes.operations)
        self._changed.set()

    async def until(self, holds: Callable[[], bool], limit: float) -> float:
        """Seconds until it holds."""
        begin = time.perf_counter()
        async with asyncio.timeout(limit):
            while not holds():
                self._changed.clear()
                await self._changed.wait()
        return time.perf_counter() - begin

    def count(self, holds: Callable[[NodeState], bool]) -> int:
        return sum(1 for each in self.states.values() if holds(each))


async def cockpit(report: Report) -> None:
    """From the start to a storm of all BMCs; see the module."""
    async with _running(report) as (running, watcher):
        await _rest(report, running)
        await _boots(report, running, watcher)
        await _power(report, running, watcher)
        await _storm(report, running, watcher)


@contextlib.asynccontextmanager
async def _running(report: Report) -> AsyncIterator[tuple[Cockpit, Watcher]]:
    """Rack, engine and screen, from nothing to everything known."""
    with tempfile.TemporaryDirectory(prefix="pt-") as state:
        os.environ.update(XDG_STATE_HOME=f"{state}/state", XDG_RUNTIME_DIR=state, XDG_CONFIG_HOME=f"{state}/config")
        async with rack_process(nodes=NODES, on=NODES - BOOTING, speed=4.0) as rack:
            command = [sys.executable, "-m", "plasmatui", "-i", str(rack.inventory)]
            with (
                Terminal([sys.executable, "-c", PLAIN], rows=ROWS, columns=COLUMNS) as plain,
                Terminal(command, rows=ROWS, columns=COLUMNS) as terminal,
            ):
                begin = terminal.started
                assert await asyncio.to_thread(terminal.read, 60.0, name_of(1)), terminal.output[-2000:]
                frame = time.perf_counter() - begin
                terminal.keep = False
                reading = asyncio.create_task(asyncio.to_thread(terminal.read, KNOWN_LIMIT), name="terminal")
                async with await connect_or_start(rack.inventory, kind="cli") as client:
                    watcher = Watcher(client)
                    await watcher.begin()
                    await watcher.until(lambda: watcher.count(_known) == NODES, KNOWN_LIMIT)
                    known = time.perf_counter() - begin
                    await watcher.until(lambda: watcher.count(_open) == NODES, KNOWN_LIMIT)
                    opened = time.perf_counter() - begin
                    await watcher.until(lambda: watcher.count(_looked_at) == NODES - BOOTING, KNOWN_LIMIT)
                    looked = time.perf_counter() - begin
                    terminal.interrupt()
                    await reading
                    assert await asyncio.to_thread(plain.read, 20.0, b"key "), "the plain app does not start"
                    pid = client.welcome.pid
                    what = f"cockpit of {NODES} nodes"
                    report.add(Figure(f"{what}: start of engine and screen to first frame", frame, "s"))
                    report.add(Figure(f"{what}: to the power of all nodes", known, "s"))
                    report.add(Figure(f"{what}: to all consoles open", opened, "s"))
                    report.add(Figure(f"{what}: to the health of all nodes that run", looked, "s"))
                    report.add(Figure(f"{what}: CPU of the engine so far", cpu_seconds(pid), "s"))
                    report.add(Figure(f"{what}: CPU of the screen so far", cpu_seconds(terminal.pid), "s"))
                    try:
                        yield Cockpit(rack, engine_paths(rack.inventory), client, pid, terminal, plain), watcher
                    finally:
                        terminal.send(b"\x03\x03")
                        await asyncio.to_thread(terminal.wait, 20.0)
                        with contextlib.suppress(EngineUnreachableError):  # when it has ended before it answers
                            await client.ask(wire.StopEngine(force=True))


def _known(state: NodeState) -> bool:
    return state.bmc.status is BmcStatus.UP and state.power.value is not Power.UNKNOWN


def _looked_at(state: NodeState) -> bool:
    return state.health is not Health.UNKNOWN


def _open(state: NodeState) -> bool:
    return state.console.status is ConsoleStatus.OPEN


def _tell(report: Report, what: str, load: Load, cockpit: Cockpit, **goals: float) -> None:
    what = f"cockpit of {NODES} nodes, {what}"
    engine, screen = resident_mb(cockpit.engine), resident_mb(cockpit.terminal.pid)
    report.add(Figure(f"{what}: engine", load.engine, "%", goal=goals.get("engine"), note=f"{engine:.0f} MB"))
    report.add(Figure(f"{what}: screen", load.screen, "%", goal=goals.get("screen"), note=f"{screen:.0f} MB"))
    report.add(Figure(f"{what}: to the terminal", load.sent, "B/s", goal=goals.get("sent")))
    for share in (0.5, 0.99):
        name = f"{what}: key to paint p{share * 100:g}"
        beside = percentile(load.plain, share)
        report.add(Figure(name, percentile(load.keys, share), "ms", beside, "plain app", KEY_GOAL, True))


async def _rest(report: Report, running: Cockpit) -> None:
    await asyncio.to_thread(running.terminal.read, SETTLE)
    _tell(report, "at rest", await Load.of(running), running)


async def _boots(report: Report, running: Cockpit, watcher: Watcher) -> None:
    """A fifth of the nodes boots from the network at once."""
    nodes = tuple(name_of(number).decode() for number in range(NODES - BOOTING + 1, NODES + 1))
    number = await _order(running, BootOrder(), nodes)
    _tell(report, f"{BOOTING} boot at once", await Load.of(running), running, screen=12.0, sent=40_000.0)
    await _ended(running, watcher, number)
    done = sum(node.state is OperationState.DONE for node in watcher.operations[number].nodes)
    report.add(Figure(f"cockpit of {NODES} nodes: boots that did not reach the installer", BOOTING - done, "", goal=0))


async def _power(report: Report, running: Cockpit, watcher: Watcher) -> None:
    """All are marked and the power dialog is opened; then an order to all of them."""
    begin = time.perf_counter()
    running.terminal.send(b"gvGvP")
    assert await asyncio.to_thread(running.terminal.read, 30.0, b"%d nodes" % NODES), "no power dialog"
    report.add(
        Figure(f"cockpit of {NODES} nodes: mark all and open the power dialog", time.perf_counter() - begin, "s")
    )
    running.terminal.send(b"\x1b")
    await asyncio.to_thread(running.terminal.read, 2.0)
    nodes = tuple(name_of(number).decode() for number in range(1, NODES + 1))
    number = await _order(running, PowerOrder(PowerAction.OFF), nodes, override=True)
    _tell(report, "power order to all", await Load.of(running), running, screen=12.0, sent=40_000.0)
    await _ended(running, watcher, number)
    record = watcher.operations[number]
    done = sum(node.state is OperationState.DONE for node in record.nodes)
    report.add(
        Figure(f"cockpit of {NODES} nodes: order to all took", record.end - record.begin, "s", note=f"{done} done")
    )


async def _order(running: Cockpit, order: Order, nodes: tuple[str, ...], *, override: bool = False) -> int:
    cluster = "sim" if override else ""
    reply = await running.client.ask(
        wire.StartOrder(order, nodes, Pace(len(nodes)), override_quorum=cluster),
    )
    assert isinstance(reply, wire.OperationReply), reply
    return reply.operation.number


async def _ended(running: Cockpit, watcher: Watcher, number: int) -> None:
    reading = asyncio.create_task(asyncio.to_thread(running.terminal.read, KNOWN_LIMIT), name="terminal")
    await watcher.until(lambda: number in watcher.operations and watcher.operations[number].state.ended, KNOWN_LIMIT)
    running.terminal.interrupt()
    await reading


async def _storm(report: Report, running: Cockpit, watcher: Watcher) -> None:
    """All BMCs fall silent, and answer again at once."""
    for verb, suffix, holds in (("fault", "=bmc-dead", _silent), ("clear", "", _known)):
        await asyncio.to_thread(_control, running.rack.inventory.parent, verb, suffix)
        begin = time.perf_counter()
        what = f"all BMCs {'die' if verb == 'fault' else 'come back'}"
        _tell(report, what, await Load.of(running), running, screen=12.0, sent=40_000.0)
        reading = asyncio.create_task(asyncio.to_thread(running.terminal.read, KNOWN_LIMIT), name="terminal")
        await watcher.until(lambda: watcher.count(holds) == NODES, KNOWN_LIMIT)  # noqa: B023
        passed = time.perf_counter() - begin
        running.terminal.interrupt()
        await reading
        report.add(Figure(f"cockpit of {NODES} nodes: until it is known of all", passed, "s", note=verb))


def _silent(state: NodeState) -> bool:
    return state.bmc.status is not BmcStatus.UP


def _control(directory: Path, verb: str, suffix: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(directory / "control.sock"))
        with connection.makefile("rw") as stream:
            for number in range(1, NODES + 1):
                stream.write(f"{verb} {name_of(number).decode()}{suffix}\n")
                stream.flush()
                assert stream.readline() == "ok\n"
