"""The Logs view following a flood in a real pseudo-terminal, beside `tail -f` and lnav in the same one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.report import Figure, Report, median, percentile
from tests.bench.screen import cockpit, fake_engine
from tests.support.terminal import Terminal, cpu_seconds

RATES = (1_000, 10_000)
SECONDS = 8
KEYS = 60
SLOW_KEYS = 30
ROWS, COLUMNS = 50, 200
FIRST_LETTER = 0x0410  # Cyrillic
WRITER = """
import sys, time
path, rate = sys.argv[1], float(sys.argv[2])
with open(path, "a", buffering=1 << 20) as file:
    begin, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begin) * rate)
        for number in range(sent, due):
            file.write(f"2026-11-21 00:30:06.919 INFO  [kea-dhcp4.leases/31833.140505323282944] DHCP4_LEASE_ALLOC "
                       f"[hwtype=1 52:54:00:12:34:57], cid=[no info], tid=0x{number:x}: lease has been allocated\\n")
        file.flush()
        sent = due
        time.sleep(0.1)
"""
"""Appends lines to a file at a rate, as a busy server does."""


@dataclass(frozen=True)
class Cost:
    """Of a program that shows a flood: share of a core in percent, and bytes a second to the terminal."""

    cpu: float
    bytes: float


async def follow(report: Report) -> None:
    """CPU, bytes and keys while 1,000 and 10,000 lines a second come into sight; keys on a slow link as well."""
    await asyncio.to_thread(_follow, report)


def _follow(report: Report) -> None:
    for rate in RATES:
        tail, lnav = _beside(["tail", "-f"], rate), _beside(["lnav", "-q"], rate, keys=b"G")
        what = f"Logs view, {rate} lines/s"
        with _logs(rate) as terminal:
            cost, keys = _cost(terminal), _keys(terminal, KEYS)
        note = f"lnav {lnav.cpu:.1f} %, {lnav.bytes:.0f} B/s" if lnav else "no lnav here"
        reference = tail or Cost(0, 0)
        report.add(Figure(f"{what}: CPU", cost.cpu, "%", reference.cpu, "tail -f", goal=15, note=note))
        report.add(Figure(f"{what}: bytes", cost.bytes, "B/s", reference.bytes, "tail -f", goal=120_000))
        report.add(Figure(f"{what}: key to paint p50", median(keys), "ms"))
        report.add(Figure(f"{what}: key to paint p99", percentile(keys, 0.99), "ms", goal=60))
        with _logs(rate, link=250_000, delay=0.06) as terminal:
            keys = _keys(terminal, SLOW_KEYS)
        report.add(Figure(f"{what}, 250 kB/s, 60 ms: key to paint p50", median(keys), "ms"))
        report.add(Figure(f"{what}, 250 kB/s, 60 ms: key to paint p99", percentile(keys, 0.99), "ms", goal=400))


@contextlib.contextmanager
def _logs(rate: float, link: float | None = None, delay: float = 0.0) -> Iterator[Terminal]:
    """The screen in its Logs view, following."""
    with (
        fake_engine(100, 0, log_rate=rate) as inventory,
        Terminal(cockpit(inventory), rows=ROWS, columns=COLUMNS, rate=link, delay=delay) as terminal,
    ):
        assert terminal.read(20, until=b"node0001"), terminal.output[-2000:]
        terminal.keep = False
        terminal.send(b"3")
        assert terminal.read(20, until=b"LEASE_ALLOC"), "the Logs view shows no line"
        terminal.read(3)
        yield terminal


def _cost(terminal: Terminal) -> Cost:
    cpu, count, begin = cpu_seconds(terminal.pid), terminal.received, time.perf_counter()
    terminal.read(SECONDS)
    seconds = time.perf_counter() - begin
    used = cpu_seconds(terminal.pid) - cpu
    return Cost(used / seconds * 100, (terminal.received - count) / seconds)


def _keys(terminal: Terminal, count: int) -> list[float]:
    """Milliseconds from a key, at random moments, to its letter in the prompt of the search, while the log goes on."""
    chance = random.Random(1)
    times = []
    terminal.send(b"/")
    for turn in range(count):
        terminal.read(chance.uniform(0.3, 0.6))
        letter = chr(FIRST_LETTER + turn).encode()  # each once: nothing else on the screen is written with it
        begin = time.perf_counter()
        terminal.send(letter)
        assert terminal.read(10, until=letter), f"key {turn} was not painted in 10 s"
        times.append((time.perf_counter() - begin) * 1000)
    return times


def _beside(command: list[str], rate: float, keys: bytes = b"") -> Cost | None:
    """What another program costs that follows a file which grows as fast; None when it is not there."""
    if shutil.which(command[0]) is None:
        return None
    with tempfile.TemporaryDirectory(prefix="pt-") as name:
        path = Path(name) / "server.log"
        path.write_text("the first line\n" * ROWS)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(rate)])
        try:
            with Terminal([*command, str(path)], rows=ROWS, columns=COLUMNS) as terminal:
                terminal.keep = False
                terminal.read(2)
                terminal.send(keys)
                terminal.read(2)
                return _cost(terminal)
        finally:
            writer.terminate()
            writer.wait()
