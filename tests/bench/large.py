"""Five thousand nodes on one screen, beside a hundred: start, scrolling, filter, order, the six views, memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from tests.bench.report import Figure, Report, percentile
from tests.bench.screen import cockpit, fake_engine, keys
from tests.support.site import Screen
from tests.support.terminal import cpu_seconds, resident_mb

NODES, FEW = 5000, 100
CHANGES = 1000.0
"""Changes a second, of all nodes together."""

VIEWS = {"2": "consoles 1-", "3": "logs ", "4": "operations 0", "5": "health ", "6": "boot  nothing", "1": "NODE"}


@dataclass
class Taken:
    """What one screen took: seconds, megabytes, percent, milliseconds."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    keys: list[float] = field(default_factory=list)
    memory: float = 0.0
    rest: float = 0.0


async def five_thousand(report: Report) -> None:
    """See the module."""
    many, few = await asyncio.to_thread(_screen, NODES), await asyncio.to_thread(_screen, FEW)
    what, beside = f"{NODES} nodes, {CHANGES:g} changes/s", f"{FEW} nodes"
    for name, seconds in many.seconds.items():
        report.add(Figure(f"{what}: {name}", seconds, "s", few.seconds[name], beside))
    for name, seconds in many.cpu.items():
        report.add(Figure(f"{what}: {name}, CPU", seconds * 1000, "ms", few.cpu[name] * 1000, beside, goal=1000.0))
    report.add(Figure(f"{what}: CPU while nobody types", many.rest, "%", few.rest, beside, goal=12.0))
    report.add(Figure(f"{what}: memory", many.memory, "MB", few.memory, beside, 3.0, True))
    for share, goal in ((0.5, None), (0.99, 2.0)):
        name = f"{what}: key to paint p{share * 100:g}"
        report.add(Figure(name, percentile(many.keys, share), "ms", percentile(few.keys, share), beside, goal, True))


def _screen(count: int) -> Taken:
    taken = Taken()
    with fake_engine(count, CHANGES) as inventory:
        begin = time.perf_counter()
        screen = Screen(cockpit(inventory), rows=50, columns=200)
        try:
            screen.see("node0001")
            taken.seconds["start to first frame"] = time.perf_counter() - begin
            for key, words in VIEWS.items():
                _timed(screen, taken, f"view {key}", key.encode(), words)
            last, row = f"node{count:04d}", f"node{count // 2:04d}"
            _timed(screen, taken, "to the last row", b"G", last)
            _timed(screen, taken, "to the first row", b"g", "node0001 ")
            _timed(screen, taken, "filter by an expression", b"/^%s$\r" % row.encode(), f"1/{count}|1 of {count}")
            screen.escape(f"1/{count}|1 of {count}")
            screen.send(b"g")
            screen.see("node0001 ")
            _timed(screen, taken, "order by power", b"o2", "POWER[▲▼]")
            screen.send(b"o1")
            screen.see("NODE[▲▼]")
            screen.keep = False
            screen.send(b"g")
            screen.read(2.0)
            begin, cpu = time.perf_counter(), cpu_seconds(screen.pid)
            screen.read(10.0)
            taken.rest = (cpu_seconds(screen.pid) - cpu) / (time.perf_counter() - begin) * 100
            taken.keys = keys(screen, 60)
            taken.memory = resident_mb(screen.pid)
        finally:
            screen.close()
    return taken


def _timed(screen: Screen, taken: Taken, name: str, typed: bytes, words: str) -> None:
    begin, cpu = time.perf_counter(), cpu_seconds(screen.pid)
    screen.send(typed)
    screen.see(words)
    taken.seconds[name] = time.perf_counter() - begin
    taken.cpu[name] = cpu_seconds(screen.pid) - cpu
