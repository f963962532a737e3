"""Serial consoles: a real engine that records many at line rate (CPU, loss), and the echo of a key over SOL."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from pathlib import Path

from plasmatui.bmc.ipmi import IpmiController
from plasmatui.client import EngineClient, connect_or_start
from plasmatui.model import wire
from plasmatui.model.words import ConsoleStatus
from plasmatui.paths import engine_paths
from plasmatui.sim.identity import node_name
from tests.bench.rack import BenchRack, rack_process
from tests.bench.report import Figure, Report, median, percentile
from tests.support.terminal import cpu_seconds

LINE_RATE = 11520
"""Bytes per second of a serial line at 115200 baud."""

SECONDS = 10.0
_LINE = re.compile(rb"(\d{12}) the quick brown fox jumps over the lazy dog 0123456789\r\n")


async def line_rate(report: Report) -> None:
    """1, 16 and 64 consoles at line rate, then 64 with 3 % of all packets lost."""
    for count, faults in ((1, ""), (16, ""), (64, ""), (64, "bmc-loss=0.03")):
        await _line_rate(report, count, faults)


async def _line_rate(report: Report, count: int, fault: str) -> None:
    names = [node_name(index, count) for index in range(count)]
    with tempfile.TemporaryDirectory(prefix="pt-") as state:
        os.environ.update(XDG_STATE_HOME=f"{state}/state", XDG_RUNTIME_DIR=state)
        async with rack_process(nodes=count, on=count, speed=1000, console_rate=LINE_RATE) as rack:
            if fault:
                await _set_faults(rack, names, fault)
            client = await connect_or_start(rack.inventory, kind="cli")
            try:
                cpu, seconds, taken = await _watch(client, count)
            finally:
                await _stop(client)
            lost, lines = _check(engine_paths(rack.inventory).consoles)
    what = f"{count} consoles at {LINE_RATE / 1000:.1f} kB/s{', 3 % loss' if fault else ''}"
    goal = 45.0 if count == 64 else None
    report.add(
        Figure(f"{what}: engine's CPU", cpu / seconds * 100, "%", goal=goal, note=f"{taken / seconds / 1e3:.0f} kB/s")
    )
    report.add(Figure(f"{what}: lines lost or garbled", lost, "lines", goal=0, note=f"of {lines}"))


async def _set_faults(rack: BenchRack, names: list[str], fault: str) -> None:
    reader, writer = await asyncio.open_unix_connection(str(rack.inventory.with_name("control.sock")))
    for name in names:
        writer.write(f"fault {name}={fault}\n".encode())
        answer = await reader.readline()
        assert answer, "the rack closed its control socket"
    writer.close()


async def _watch(client: EngineClient, count: int) -> tuple[float, float, int]:
    """The engine's CPU seconds while every console is open, over how many seconds, and the bytes that came."""
    async with asyncio.timeout(60):
        while True:
            snapshot = await client.ask(wire.Watch())
            assert isinstance(snapshot, wire.Snapshot)
            if sum(state.console.status is ConsoleStatus.OPEN for state in snapshot.states) == count:
                break
            await asyncio.sleep(0.2)
    begin, before, bytes_before = time.perf_counter(), cpu_seconds(client.welcome.pid), await _received(client)
    await asyncio.sleep(SECONDS)
    cpu = cpu_seconds(client.welcome.pid) - before
    return cpu, time.perf_counter() - begin, await _received(client) - bytes_before


async def _received(client: EngineClient) -> int:
    snapshot = await client.ask(wire.Watch())
    assert isinstance(snapshot, wire.Snapshot)
    return sum(state.console.end for state in snapshot.states)


async def _stop(client: EngineClient) -> None:
    pid = client.welcome.pid
    await client.ask(wire.StopEngine(force=True))
    await client.close()
    await asyncio.to_thread(_gone, pid, 15.0)


def _gone(pid: int, limit: float) -> None:
    """Wait until a process has ended; a zombie has."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return
        except OSError:
            return
        time.sleep(0.05)
    raise TimeoutError(f"process {pid} did not end within {limit:g} s")


def _check(consoles: Path) -> tuple[int, int]:
    """Lines that are missing or garbled between the first and the last whole line, and all lines, of all recordings."""
    lost = total = 0
    for directory in consoles.iterdir():
        data = b"".join(path.read_bytes() for path in sorted(directory.glob("*.raw")))
        data = data[data.index(b"\r\n") + 2 : data.rindex(b"\r\n") + 2]
        numbers = [int(match[1]) for match in _LINE.finditer(data)]
        expected = numbers[-1] - numbers[0] + 1
        lost += expected - len(numbers) + (len(data) - len(numbers) * len(_sample())) // len(_sample())
        total += expected
    return lost, total


def _sample() -> bytes:
    return b"%012d the quick brown fox jumps over the lazy dog 0123456789\r\n" % 0


async def echo(report: Report) -> None:
    """From writing one character to its echo, over SOL, at a round trip of 0 and of 10 ms."""
    for latency in (0, 10):
        faults = [f"{node_name(0, 1)}=bmc-latency={latency}"] if latency else []
        async with rack_process(nodes=1, on=1, speed=1000, faults=faults) as rack:
            times = await _echo(IpmiController(rack.targets[0]))
        report.add(Figure(f"key echo over SOL, round trip {latency} ms: p50", median(times), "ms", goal=latency + 20.0))
        report.add(Figure(f"key echo over SOL, round trip {latency} ms: p95", percentile(times, 0.95), "ms"))


async def _echo(controller: IpmiController) -> list[float]:
    heard = asyncio.Event()
    downs: list[str] = []
    console = await controller.open_console(
        lambda _: heard.set(), lambda _, message: downs.append(message), takeover=False
    )
    times = []
    for index in range(60):
        heard.clear()
        begin = time.perf_counter()
        console.write(b"abcdefghij"[index % 10 : index % 10 + 1])
        async with asyncio.timeout(5):
            await heard.wait()
        times.append((time.perf_counter() - begin) * 1000)
        await asyncio.sleep(0.02)
    assert not downs
    await controller.close()
    return times
