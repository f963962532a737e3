"""A million log lines in memory, beside lnav; searched and filtered, beside `grep` on a file of the same lines."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path

from plasmatui.watch.linefilter import LineFilter, TextMatch
from plasmatui.watch.lines import CAP, LineStore
from plasmatui.watch.sources.base import LogLine
from tests.bench.racklogs import write_logs
from tests.bench.report import Figure, Report, child_cpu, own_cpu
from tests.support.terminal import resident_mb

LINES = 1_000_000
BATCH = 256
WHOLE = 1 << 30
"""A bound that a million lines do not reach."""

SEARCHES = (
    ("none has it", LineFilter(include=TextMatch("no line has this")), "no line has this"),
    ("one in 80 has it", LineFilter(include=TextMatch("/initrd ", ignore_case=False)), "/initrd "),
    ("a regular expression", LineFilter(include=TextMatch(r"tid=0x\w*ff: lease", regex=True)), r"tid=0x\w*ff: lease"),
    ("lines of one node", LineFilter(nodes=frozenset({"node0007"})), ""),
)


async def memory(report: Report) -> None:
    """What a million lines take: with the engine's bound, without one, and in lnav."""
    with tempfile.TemporaryDirectory(prefix="pt-") as name:
        path = _million(Path(name))
        size = path.stat().st_size
        bounded, kept = _child(path, CAP)
        whole, lines = _child(path, WHOLE)
        lnav = _lnav_mb(path)
    note = f"{kept} of {LINES} lines kept, {CAP >> 20} MB is the bound"
    report.add(Figure("a million lines, bounded: memory", bounded, "MB", goal=1.5 * CAP / 1e6, note=note))
    note = f"{whole * 1e6 / lines:.0f} bytes a line, {size / lines:.0f} of them text"
    report.add(Figure("a million lines, all kept: memory", whole, "MB", lnav or None, "lnav", note=note))


async def search(report: Report) -> None:
    """First and last hit among a million lines, and the longest turn of the loop meanwhile."""
    with tempfile.TemporaryDirectory(prefix="pt-") as name:
        path = _million(Path(name))
        store = filled(path, WHOLE)
        for what, wanted, text in SEARCHES:
            grep = child_cpu(["grep", "-c", "-E", text, str(path)]) if text else 0.0
            begin = time.perf_counter()
            await store.tail(1, wanted)
            first = time.perf_counter() - begin
            before = own_cpu()
            hits = await store.count(wanted)
            taken = own_cpu() - before
            longest = await _longest_turn(store.count(wanted))
            what = f"a million lines, {what}"
            report.add(
                Figure(f"{what}: last hit, all counted", taken, "s", grep or None, "grep -c", note=f"{hits.total}")
            )
            report.add(Figure(f"{what}: newest hit", first * 1000, "ms"))
            report.add(Figure(f"{what}: longest turn", longest, "ms", goal=20))


async def _longest_turn(work: Coroutine[object, object, object]) -> float:
    """Milliseconds of CPU time that the loop was held up at most while `work` was done."""
    task = asyncio.create_task(work, name="search")
    longest = 0.0
    while not task.done():
        before = time.process_time()
        await asyncio.sleep(0)
        longest = max(longest, time.process_time() - before)
    return longest * 1000


def _million(directory: Path) -> Path:
    """A file of a million lines of DHCP and HTTP."""
    path = directory / "million.log"
    with path.open("wb") as whole:
        for part in write_logs(directory, "everyday", 1000, LINES).values():
            whole.write(part.read_bytes())
            part.unlink()
    return path


def filled(path: Path, cap: int) -> LineStore:
    """A store that was given all lines of a file, as a source gives them."""
    store = LineStore(cap)
    store.add_source("log", "dhcp")
    lines: list[LogLine] = []
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            lines.append(LogLine("log", number, raw[:-1]))
            if len(lines) == BATCH:
                store.append("log", lines, float(number), nodes=[f"node{number // BATCH % 1000:04d}"] * BATCH)
                lines = []
    return store


def _child(path: Path, cap: int) -> tuple[float, int]:
    """Megabytes by which a fresh process grows when it takes all lines in, and how many it keeps."""
    command = [sys.executable, "-m", "tests.bench.linestore", str(path), str(cap)]
    megabytes, lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    return float(megabytes), int(lines)


def _lnav_mb(path: Path) -> float:
    """The most memory that lnav has when it has read the file; 0 when it is not there."""
    if shutil.which("lnav") is None:
        return 0.0
    code = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", code, "lnav", "-n", "-q", "-c", ":goto 0", str(path)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


if __name__ == "__main__":
    before = resident_mb(os.getpid())
    made = filled(Path(sys.argv[1]), int(sys.argv[2]))
    grown = resident_mb(os.getpid()) - before
    print(grown, sum(count.lines for count in made.counts().values()))  # noqa: T201 - for the parent process
