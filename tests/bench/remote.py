"""`true` on many hosts over SSH, beside `ssh` processes and pdsh in the same run, on OpenSSH's server on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from plasmatui.inventory.inventory import Ssh, SshEntry
from plasmatui.remote.hosts import Hosts
from tests.bench.report import Figure, LagProbe, Report, median, own_cpu, percentile, timed
from tests.unit.remote.opensshd import OpenSshd
from tests.unit.remote.rig import inventory

SECONDS_GOAL = 1.5
RATIO_GOAL = 0.2
ROUNDS = 3
FANOUT = 32
"""What pdsh does at once unless told otherwise; the `ssh` processes are given the same."""


async def beside_ssh(report: Report, sizes: tuple[int, ...] = (64, 256)) -> None:
    """Cold (connect, log in, run, close) and warm (run on an open connection) for each size."""
    async with _node() as node:
        for size in sizes:
            await _one_size(report, node, size)


async def _one_size(report: Report, node: OpenSshd, size: int) -> None:
    addresses = [f"127.62.{n // 200}.{n % 200 + 1}" for n in range(size)]
    known_hosts = node.directory / "known_hosts"
    known_hosts.write_text("".join(f"[{address}]:{node.port} {node.public_key}\n" for address in addresses))
    entries = {f"n{n}": SshEntry(address, node.port) for n, address in enumerate(addresses)}
    of = inventory(entries, Ssh(node.user, str(node.key_file)))
    cold, warm, cpu, lags = [], [], [], []
    for _ in range(ROUNDS):
        hosts = Hosts(of, node.directory / "own", known_hosts=[known_hosts])
        before = own_cpu()
        async with LagProbe() as lag:
            cold.append(await _all(hosts, entries))
        cpu.append((own_cpu() - before) / size * 1000)
        lags.append(percentile(lag.samples, 0.99))
        warm.append(await _all(hosts, entries))
        await hosts.close()
    by_ssh = await timed(lambda: _ssh(node, addresses))
    by_pdsh = await timed(lambda: _pdsh(node, addresses))
    goal = SECONDS_GOAL if size == 64 else None
    note = f"CPU {median(cpu):.1f} ms per host"
    report.add(Figure(f"true on {size} hosts, cold", median(cold), "s", goal=goal, note=note))
    report.add(Figure(f"true on {size} hosts, cold", median(cold), "s", by_ssh, "ssh processes", RATIO_GOAL, True))
    report.add(Figure(f"true on {size} hosts, cold", median(cold), "s", by_pdsh, "pdsh"))
    report.add(Figure(f"true on {size} hosts, warm", median(warm), "s", by_ssh, "ssh processes"))
    async with LagProbe() as idle:
        await asyncio.sleep(1)
    quiet = percentile(idle.samples, 0.99)
    report.add(Figure(f"loop lag p99 while {size} connect", median(lags), "ms", quiet, "doing nothing"))


async def _all(hosts: Hosts, nodes: dict[str, SshEntry]) -> float:
    before = time.perf_counter()
    done = await asyncio.gather(*(hosts.system(node).run(["true"], limit=120) for node in nodes))
    assert all(each.status == 0 for each in done)
    return time.perf_counter() - before


def _options(node: OpenSshd) -> list[str]:
    return [
        *("-F", "none", "-p", str(node.port), "-i", str(node.key_file), "-o", "BatchMode=yes"),
        *("-o", f"UserKnownHostsFile={node.directory}/known_hosts", "-o", "StrictHostKeyChecking=yes"),
    ]


async def _ssh(node: OpenSshd, addresses: Sequence[str]) -> None:
    turns = asyncio.Semaphore(FANOUT)

    async def one(address: str) -> None:
        async with turns:
            argv = ["ssh", *_options(node), f"{node.user}@{address}", "true"]
            process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
            assert await process.wait() == 0

    await asyncio.gather(*(one(address) for address in addresses))


async def _pdsh(node: OpenSshd, addresses: Sequence[str]) -> None:
    program = shutil.which("pdsh")
    assert program is not None, "pdsh (Debian package pdsh) is needed"
    process = await asyncio.create_subprocess_exec(
        *(program, "-S", "-R", "ssh", "-f", str(FANOUT), "-l", node.user, "-w", ",".join(addresses), "true"),
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PDSH_SSH_ARGS_APPEND": " ".join(_options(node))},
    )
    assert await process.wait() == 0


@asynccontextmanager
async def _node() -> AsyncIterator[OpenSshd]:
    """One server that answers at every loopback address: for a client that is as many hosts."""
    with tempfile.TemporaryDirectory(prefix="pt-bench-") as name:
        node = OpenSshd(Path(name), ["MaxStartups 2000"], "0.0.0.0")
        await node.start()
        try:
            yield node
        finally:
            await node.close()
