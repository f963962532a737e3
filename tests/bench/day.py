"""A day of a thousand nodes through a real engine: memory, descriptors, tasks, what it leaves on the disk, CPU.

So that a day shows what months do, the journal keeps fewer events and the recordings are shorter than they really are.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from plasmatui.engine import recording
from plasmatui.engine.engine import Engine
from plasmatui.engine.process import make_directories
from plasmatui.inventory.inventory import Inventory
from plasmatui.journal import schema
from plasmatui.model.event import FindingCleared, FindingRaised, HealthSeen, Payload, PowerSeen, StageSeen
from plasmatui.model.findings import FINDINGS
from plasmatui.model.node import Finding, StageState
from plasmatui.model.words import Health, Power, Stage
from plasmatui.paths import EnginePaths, engine_paths
from tests.bench.report import Figure, LagProbe, Report, own_cpu, percentile
from tests.engine.fakes import FakeBackend, rack
from tests.support.terminal import resident_mb

NODES = 1000
HOURS = 24
STAGES = (Stage.FIRMWARE, Stage.DHCP_LOADER, Stage.TFTP_LOADER, Stage.HTTP_KERNEL, Stage.HTTP_INITRD, Stage.DISK_BOOT)
BURST = 250
"""Events between two turns of the loop."""
KEPT = 40_000
SEGMENT = 4 * 1024
"""A third of the day's events, and bytes of a segment of a recording; really 200 000 and 8 MB."""
SPEAKING, SAID = 10, 20
"""One console in so many says so many lines in an hour."""


def _hour(node: str, hour: int) -> list[Payload]:
    """What one node tells in an hour: a service that limps and recovers, and every eighth hour a boot."""
    finding = FINDINGS["service-unhealthy"]
    told: list[Payload] = [
        HealthSeen(Health.DEGRADED, f"iam degraded in hour {hour}"),
        FindingRaised(Finding(finding.id, finding.severity, finding.cause, finding.remedy, time.time())),
        FindingCleared(finding.id),
        HealthSeen(Health.OK),
    ]
    if (hour + int(node[1:])) % 8 == 0:
        told += [PowerSeen(Power.OFF), PowerSeen(Power.ON)]
        told += [StageSeen(StageState(stage, time.time(), state="running")) for stage in STAGES]
    return told


@dataclass(frozen=True)
class Held:
    """What this process and its directories hold at a moment: megabytes, counts."""

    memory: float
    descriptors: int
    tasks: int
    journal: float
    recordings: float

    @classmethod
    def now(cls, paths: EnginePaths) -> Held:
        gc.collect()
        return cls(
            resident_mb(os.getpid()),
            len(os.listdir("/proc/self/fd")),
            len(asyncio.all_tasks()),
            sum(each.stat().st_size for each in paths.state.glob("journal*")) / 1e6,
            sum(each.stat().st_size for each in paths.consoles.rglob("*.raw")) / 1e6,
        )


async def memory(report: Report) -> None:
    """Events come as fast as the engine takes them; what a day leaves behind is what counts."""
    with (
        tempfile.TemporaryDirectory(prefix="pt-") as name,
        mock.patch.dict(os.environ, _places(name)),
        mock.patch.object(schema, "KEPT_EVENTS", KEPT),
        mock.patch.dict(recording.SegmentFiles.__init__.__kwdefaults__, size=SEGMENT),
    ):
        inventory = rack(NODES, Path(name) / "inventory.yaml")
        paths = engine_paths(inventory.path)
        make_directories(paths)
        made: list[FakeBackend] = []
        engine = await Engine.start(paths, inventory, _maker(made))
        try:
            await asyncio.sleep(1.0)
            begin, cpu, count = Held.now(paths), own_cpu(), 0
            async with LagProbe() as probe:
                for hour in range(HOURS):
                    count += await _tell(made[0], inventory, hour)
                    if hour == HOURS // 2 - 1:
                        half = Held.now(paths)
            cpu = own_cpu() - cpu
            await asyncio.sleep(2.0)
            end = Held.now(paths)
        finally:
            engine.stop("end of the bench")
            await engine.close()
    what = f"a day of {NODES} nodes, {count} events"
    report.add(Figure(f"{what}: memory", end.memory, "MB", begin.memory, "before it", goal=250.0))
    grown = end.memory - half.memory
    report.add(
        Figure(f"{what}: growth in the second half", grown, "MB", half.memory - begin.memory, "in the first", 10.0)
    )
    for name_, unit, goal in (
        ("descriptors", "", 1.0),
        ("tasks", "", 1.0),
        ("journal", "MB", 1.25),
        ("recordings", "MB", 1.25),
    ):
        value, before = getattr(end, name_), getattr(begin if unit == "" else half, name_)
        report.add(
            Figure(f"{what}: {name_}", value, unit, before, "before it" if unit == "" else "at noon", goal, True)
        )
    report.add(Figure(f"{what}: CPU per event", cpu / count * 1e6, "us", note=f"{cpu / 864:.3f} % of a core for a day"))
    report.add(Figure(f"{what}: loop lag p99 in the flood", percentile(probe.samples, 0.99), "ms"))


def _places(name: str) -> dict[str, str]:
    return {f"XDG_{what}": f"{name}/{what}" for what in ("CONFIG_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR")}


def _maker(made: list[FakeBackend]):  # type: ignore[no-untyped-def]
    def backend(*arguments: object) -> FakeBackend:
        made.append(FakeBackend(*arguments))  # type: ignore[arg-type]
        return made[-1]

    return backend


async def _tell(backend: FakeBackend, inventory: Inventory, hour: int) -> int:
    count = 0
    for node in inventory.nodes:
        if int(node[1:]) % SPEAKING == 0:
            said = f"[{hour:5}.000000] {node}: what a machine says of itself in this hour of the day"
            backend.on_console(node, f"{said}\r\n".encode() * SAID)
        for payload in _hour(node, hour):
            backend.tell(node, payload)
            count += 1
            if count % BURST == 0:
                await asyncio.sleep(0.02)
    return count
