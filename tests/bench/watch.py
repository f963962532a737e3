"""Lines per second through boot watch, as an engine runs it, beside `grep -c` and lnav on the same files."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from plasmatui.engine.boots import identity_of
from plasmatui.engine.main import settle_memory
from plasmatui.engine.store import Store
from plasmatui.engine.watch import WatchHub
from plasmatui.inventory.inventory import Inventory, LogSource
from plasmatui.journal.boots import BootJournal
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model.boot import Signal
from plasmatui.model.node import Node
from plasmatui.watch.parsers import make_parser
from plasmatui.watch.timeline import Correlator
from tests.bench.racklogs import MIXES, rack_nodes, write_logs
from tests.bench.report import Figure, Report, child_cpu, median, own_cpu
from tests.engine.conftest import until

LINES = 100_000
LIMIT = 600.0
ROUNDS = 3
GOAL = 100_000
KINDS = {"kea": "dhcp", "nginx-access": "http"}


async def lines_per_second(report: Report) -> None:
    """Files that are followed, parsed, kept, ordered, correlated and journaled: CPU time of all threads."""
    settle_memory()
    for mix in MIXES:
        for nodes in (1, 100, 1000):
            with tempfile.TemporaryDirectory(prefix="pt-") as name:
                logs = write_logs(Path(name), mix, nodes, LINES)
                grep = median([_grep(list(logs.values())) for _ in range(ROUNDS)])
                lnav = _lnav(list(logs.values()))
                taken = [await _followed(Path(name), logs, rack_nodes(nodes)) for _ in range(ROUNDS)]
                alone = [_parsed(logs, rack_nodes(nodes)) for _ in range(ROUNDS)]
            what = f"{LINES // 1000} k lines, {mix}, {nodes} nodes"
            for text, value in ((f"{what}: followed", median(taken)), (f"{what}: parse, correlate", median(alone))):
                note = f"{LINES / value:.0f} lines/s" + (f", lnav {LINES / lnav:.0f}" if lnav else ", no lnav here")
                report.add(Figure(text, value, "s", grep, "grep -c", goal=LINES / GOAL, note=note))


async def _followed(directory: Path, logs: dict[str, Path], nodes: list[Node]) -> float:
    """CPU seconds of this process until boot watch has taken in everything that is appended to the logs."""
    texts = {format_: path.read_bytes() for format_, path in logs.items()}
    live = {format_: directory / f"live-{path.name}" for format_, path in logs.items()}
    for path in live.values():
        path.write_bytes(b"")
    async with _hub(directory, live, nodes) as (hub, journal):
        await until(lambda: all(feed.source.state.status == "running" for feed in hub.logs.feeds), LIMIT)
        before = own_cpu()
        for format_, path in live.items():
            path.write_bytes(texts[format_])
        wanted = sum(text.count(b"\n") for text in texts.values())
        await until(lambda: _read(hub) == wanted and _settled(hub), LIMIT)
        hub.boots.keep(hub.logs.positions())
        await journal.flush()
        return own_cpu() - before


@asynccontextmanager
async def _hub(
    directory: Path, logs: dict[str, Path], nodes: list[Node]
) -> AsyncIterator[tuple[WatchHub, SqliteJournal]]:
    """The part of an engine that boot watch is."""
    entries = tuple(LogSource(KINDS[format_], format_, str(path)) for format_, path in logs.items())
    named = {node.name: node for node in nodes}
    inventory = Inventory(directory / "inventory.yaml", "bench", "example.com", "lab", named, {}, logs=entries)
    (directory / "journal.db").unlink(missing_ok=True)
    journal = SqliteJournal(directory / "journal.db")
    await journal.open()
    hub = WatchHub(inventory, Store(nodes, on_line=journal.add_event, on_audit=journal.add_audit), BootJournal(journal))
    await hub.start()
    try:
        yield hub, journal
    finally:
        await hub.close()
        await journal.close()


def _read(hub: WatchHub) -> int:
    return sum(feed.source.position.number for feed in hub.logs.feeds)


def _settled(hub: WatchHub) -> bool:
    """Whether no signal waits for its turn and no node for being looked at."""
    return not hub.boots._ordering._heap and not hub.boots._dirty


def _parsed(logs: dict[str, Path], nodes: list[Node]) -> float:
    """CPU seconds of parsers and correlation alone."""
    correlator = Correlator(identity_of(node) for node in nodes)
    signals: list[Signal] = []
    begin = own_cpu()
    for format_, path in logs.items():
        parser = make_parser(format_, path.name, reference=time.time())
        with path.open() as file:
            for number, line in enumerate(file, 1):
                signals.extend(parser.feed(line.rstrip("\n"), number))
    signals.sort(key=lambda signal: signal.wall or 0.0)
    now = time.time()
    for signal in signals:
        correlator.feed(signal, now)
    return own_cpu() - begin


def _grep(paths: list[Path]) -> float:
    """CPU seconds of `grep -c`."""
    return child_cpu(["grep", "-c", "-E", "LEASE_ALLOC|initrd", *map(str, paths)])


def _lnav(paths: list[Path]) -> float | None:
    """CPU seconds of lnav reading the files without a screen; None when it is not there."""
    if shutil.which("lnav") is None:
        return None
    return child_cpu(["lnav", "-n", "-q", "-c", ":goto 0", *map(str, paths)])
