"""Operations: what a step costs beside the write that it must wait for, and the loop while 64 installations print."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from plasmatui.engine.ledger import JournalLedger
from plasmatui.engine.oplogs import OperationLogs
from plasmatui.engine.store import Store
from plasmatui.journal.locks import MemoryLocks
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model.operation import OperationRecord, Pace, RollbackOrder, Step
from plasmatui.model.words import OperationState
from plasmatui.nix.lines import LineSplitter, shown
from plasmatui.nix.progress import AnywhereProgress
from plasmatui.operations import kinds
from plasmatui.operations.kinds import Kind
from plasmatui.operations.local import JobRun
from plasmatui.operations.runner import Runner
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork
from tests.bench.report import Figure, LagProbe, Report, median, own_cpu, percentile
from tests.engine.fakes import FakeBackend, make_site, rack

NODES, STEPS = 64, 12
LINES, SECONDS = 50, 6
"""Lines a second that each installation prints, and for how long: nix copying paths prints fewer."""

STEP_GOAL = 2.0
"""Times the journal's own write that a step may take."""

LAG_GOAL, CPU_GOAL = 50.0, 60.0

_PRINTER = """
import sys, time
begin = time.monotonic()
for number in range({lines} * {seconds}):
    print("copying path '/nix/store/%032d-package-%d' to 'ssh://root@node'..." % (number, number), flush=True)
    time.sleep(max(0.0, begin + (number + 1) / {lines} - time.monotonic()))
"""


class _Engine:
    """The parts of an engine that operations write to: journal, store, logs, runner."""

    def __init__(self, directory: Path, kind: Kind) -> None:
        inventory = rack(NODES)
        self.journal = SqliteJournal(directory / "journal.db")
        self.store = Store(inventory.nodes.values(), on_line=self.journal.add_event, on_audit=self.journal.add_audit)
        self.logs = OperationLogs(directory / "operations")
        ledger = JournalLedger(self.store, self.journal, self.logs, lambda: None)
        site: Site = make_site(inventory, FakeBackend(inventory), ledger, directory / "jobs")
        kinds.KINDS[RollbackOrder] = kind
        self.runner = Runner(site, MemoryLocks(), pace=lambda: Pace(NODES))
        self.nodes = tuple(inventory.nodes)

    async def run(self) -> OperationRecord:
        """One operation on all nodes, from start to end."""
        ended = asyncio.Event()
        self.store.on_operation = lambda record: ended.set() if record.state.ended else None
        number = self.runner.start(RollbackOrder(), self.nodes, "bench").number
        await ended.wait()
        record = self.store.operations[number]
        assert record.state is OperationState.DONE, record.nodes[0]
        return record

    async def __aenter__(self) -> _Engine:
        await self.journal.open()
        self.logs.start()
        self.store.subscribe(lambda changes, frame: None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.close()
        await self.logs.close()
        await self.journal.close()


async def steps(report: Report) -> None:
    """Time of a step that does nothing, beside one write of such a record to the same kind of journal."""

    async def nothing() -> None:
        return None

    async def act(work: NodeWork, _: RollbackOrder) -> None:
        for number in range(STEPS):
            await work.look(f"step-{number}", nothing)

    planned = tuple(Step(f"step-{number}", "a step", "a command", 30.0) for number in range(STEPS))
    kind = Kind(act, lambda order, node, site: planned, lambda _: ("bench", ""), lambda _: 1, bmc=False)
    with tempfile.TemporaryDirectory(prefix="plasmatui-bench-") as directory:
        async with _Engine(Path(directory), kind) as engine:
            walls, cpus = [], []
            for _ in range(3):
                before, cpu = time.perf_counter(), own_cpu()
                await engine.run()
                walls.append((time.perf_counter() - before) / STEPS)
                cpus.append((own_cpu() - cpu) / STEPS / NODES)
            record = engine.store.operations[1]
            reference = []
            for _ in range(20):
                before = time.perf_counter()
                engine.journal.put_operation(record)
                await engine.journal.flush()
                reference.append(time.perf_counter() - before)
    beside = median(reference) * 1000
    report.add(
        Figure(
            f"a step of {NODES} nodes at once", median(walls) * 1000, "ms", beside, "one write", NODES * STEP_GOAL, True
        )
    )
    report.add(Figure("CPU of a step of one node", median(cpus) * 1000, "ms", goal=1.0))


async def streams(report: Report) -> None:
    """The loop's lag and the CPU of the process while 64 jobs print, as nixos-anywhere does while it copies."""
    script = _PRINTER.format(lines=LINES, seconds=SECONDS)

    async def act(work: NodeWork, _: RollbackOrder) -> None:
        progress, lines = AnywhereProgress(), LineSplitter()

        def take(data: bytes) -> None:
            state = progress.feed(data)
            for line in lines.feed(data):
                work.log(shown(line))
            work.progress(state.text, state.percent)

        job = JobRun(work, "install", take, stall=60.0, leaves="nothing")
        await work.act("install", lambda: job.start((sys.executable, "-S", "-c", script), {}))

    planned = (Step("install", "install", "a command", 600.0),)
    kind = Kind(act, lambda order, node, site: planned, lambda _: ("bench", ""), lambda _: 1, bmc=False)
    with tempfile.TemporaryDirectory(prefix="plasmatui-bench-") as directory:
        async with _Engine(Path(directory), kind) as engine, LagProbe() as probe:
            before, cpu = time.perf_counter(), own_cpu()
            await engine.run()
            percent = 100 * (own_cpu() - cpu) / (time.perf_counter() - before)
            offset, text = await engine.logs.read(1, "n1", 0)
    assert text.count("copying path") == LINES * SECONDS, "no line is lost"
    assert offset
    beside = await _lag_beside(script)
    name = f"loop lag p99, {NODES} installations x {LINES} lines/s"
    report.add(Figure(name, percentile(probe.samples, 0.99), "ms", beside, "unread printers", LAG_GOAL))
    report.add(Figure(f"CPU, {NODES} installations x {LINES} lines/s", percent, "%", goal=CPU_GOAL))


async def _lag_beside(script: str) -> float:
    """The lag of an idle loop while as many printers run that nobody reads: what the machine itself does."""
    quiet = asyncio.subprocess.DEVNULL
    async with LagProbe() as probe:
        printers = [
            await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", script, stdout=quiet) for _ in range(NODES)
        ]
        await asyncio.gather(*(printer.wait() for printer in printers))
    return percentile(probe.samples, 0.99)
