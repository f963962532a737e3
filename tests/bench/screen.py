"""The screen in a real pseudo-terminal: start to first frame, the grid under load, keys on a slow link."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.report import Figure, Report, median, percentile
from tests.support.terminal import Terminal, cpu_seconds, resident_mb

HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("first frame")
Hello().run()
"""
STARTS = 7


@contextlib.contextmanager
def fake_engine(nodes: int, updates: float, console_rate: float = 0.0, log_rate: float = 0.0) -> Iterator[Path]:
    """An engine without devices in a process of its own; yields the inventory that leads to it."""
    with tempfile.TemporaryDirectory(prefix="pt-") as state:
        os.environ.update(XDG_STATE_HOME=f"{state}/state", XDG_RUNTIME_DIR=state, XDG_CONFIG_HOME=f"{state}/config")
        inventory = Path(state) / "inventory.yaml"
        inventory.write_text("version: 1\ncluster: {name: bench, domain: example.com}\nnodes: {node0001: {}}\n")
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.fake_engine",
                str(inventory),
                str(nodes),
                str(updates),
                str(console_rate),
                str(log_rate),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == b"ready"
            yield inventory
        finally:
            process.stdin.close()
            process.wait()


def cockpit(inventory: Path) -> list[str]:
    return [sys.executable, "-m", "plasmatui", "-i", str(inventory)]


async def first_frame(report: Report) -> None:
    """From exec to the first frame with nodes, an engine running, beside a hello-world Textual app."""
    await asyncio.to_thread(_first_frame, report)


def _first_frame(report: Report) -> None:
    ours, hello = [], []
    with fake_engine(64, 0) as inventory:
        for _ in range(STARTS):
            ours.append(_until(cockpit(inventory), b"node0001"))
            hello.append(_until([sys.executable, "-c", HELLO], b"first frame"))
    value, beside = median(ours), median(hello)
    report.add(Figure("start to first frame", value, "s", beside, "hello-world Textual", 2.0, True))
    report.add(Figure("start to first frame, absolute", value, "s", goal=0.5))


def _until(command: list[str], text: bytes) -> float:
    with Terminal(command, rows=45, columns=160) as terminal:
        found = terminal.read(20, until=text)
        seconds = time.perf_counter() - terminal.started
        assert found, terminal.output[-2000:]
    return seconds


async def grid(report: Report) -> None:
    """1000 nodes with 1000 changes a second: CPU, bytes, key to paint; and the same screen idle."""
    await asyncio.to_thread(_grid, report)


def _grid(report: Report) -> None:
    for updates, cpu_goal, byte_goal in ((0, 1.0, 0.0), (1000, 12.0, 40_000.0)):
        with fake_engine(1000, updates) as inventory, Terminal(cockpit(inventory), rows=50, columns=200) as terminal:
            assert terminal.read(20, until=b"node0001"), terminal.output[-2000:]
            terminal.keep = False
            terminal.read(3)
            cpu, count, begin = cpu_seconds(terminal.pid), terminal.received, time.perf_counter()
            terminal.read(8)
            seconds = time.perf_counter() - begin
            what = f"grid of 1000 nodes, {updates} changes/s"
            used = (cpu_seconds(terminal.pid) - cpu) / seconds * 100
            report.add(Figure(f"{what}: CPU", used, "%", goal=cpu_goal, note=f"{resident_mb(terminal.pid):.0f} MB"))
            report.add(Figure(f"{what}: bytes", (terminal.received - count) / seconds, "B/s", goal=byte_goal))
            times = keys(terminal, 60)
            report.add(Figure(f"{what}: key to paint p50", median(times), "ms"))
            report.add(Figure(f"{what}: key to paint p99", percentile(times, 0.99), "ms", goal=50))


def keys(terminal: Terminal, count: int, wait: float = 5.0) -> list[float]:
    """Milliseconds from a cursor key to the first output that moves the cursor's mark: its row's name is repainted."""
    chance = random.Random(1)
    times = []
    position = 1
    for _ in range(count):
        terminal.read(chance.uniform(0.12, 0.3))
        position += 1
        begin = time.perf_counter()
        terminal.send(b"\x1b[B")
        assert terminal.read(wait, until=b"node%04d" % position), f"key {position} was not painted in {wait} s"
        times.append((time.perf_counter() - begin) * 1000)
    return times


async def slow_link(report: Report) -> None:
    """A console that floods its tile while the link takes 250 kB/s and 60 ms: how long a key waits."""
    await asyncio.to_thread(_slow_link, report)


def _slow_link(report: Report) -> None:
    with (
        fake_engine(100, 0, console_rate=400_000) as inventory,
        Terminal(cockpit(inventory), rows=50, columns=200, rate=250_000, delay=0.06) as terminal,
    ):
        assert terminal.read(20, until=b"node0001"), terminal.output[-2000:]
        terminal.keep = False
        terminal.send(b"2")
        terminal.read(5)
        times = []
        for _ in range(20):
            terminal.read(0.5)
            for key, word in ((b"?", b"elp"), (b"\x1b", b"onsole")):
                begin = time.perf_counter()
                terminal.send(key)
                assert terminal.read(10, until=word)
                times.append((time.perf_counter() - begin) * 1000)
                terminal.read(0.3)
    report.add(Figure("key on a link of 250 kB/s, 60 ms, flooded: p50", median(times), "ms"))
    report.add(Figure("key on a link of 250 kB/s, 60 ms, flooded: p99", percentile(times, 0.99), "ms", goal=400))
