"""Run the benches: all, or those whose names are given.

python -m tests.bench [NAME ...]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from tests.bench import (
    bootservice,
    cockpit,
    consoles,
    day,
    emulator,
    health,
    large,
    linestore,
    logview,
    operations,
    power,
    redfish,
    remote,
    screen,
    watch,
)
from tests.bench.report import Report

BENCHES: dict[str, Callable[[Report], Awaitable[None]]] = {
    "boot-scripts": bootservice.scripts,
    "initrds": bootservice.initrds,
    "power": power.beside_ipmipower,
    "dead": power.with_dead_ones,
    "consoles": consoles.line_rate,
    "echo": consoles.echo,
    "emulator": emulator.throughput,
    "redfish": redfish.rounds,
    "health": health.cycle,
    "ssh": remote.beside_ssh,
    "steps": operations.steps,
    "installations": operations.streams,
    "start": screen.first_frame,
    "grid": screen.grid,
    "slow-link": screen.slow_link,
    "watch": watch.lines_per_second,
    "memory": linestore.memory,
    "day": day.memory,
    "search": linestore.search,
    "logs": logview.follow,
    "cockpit": cockpit.cockpit,
    "large": large.five_thousand,
}


async def run(names: list[str]) -> int:
    report = Report()
    for name in names or list(BENCHES):
        print(f"-- {name}", flush=True)  # noqa: T201 - printing is what a bench is for
        await BENCHES[name](report)
    missed = [figure for figure in report.figures if figure.met is False]
    print(f"{len(report.figures)} figures, {len(missed)} goals missed")  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1:])))
