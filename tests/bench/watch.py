"""Lines per second through parsers and correlation, beside `grep -c` on the same file; filtering a million lines."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

from plasmatui.model.boot import Signal
from plasmatui.watch.identity import NodeIdentity
from plasmatui.watch.parsers import make_parser
from plasmatui.watch.timeline import Correlator
from tests.bench.report import Figure, Report, median

LINES = 200_000
ROUNDS = 3
GOAL = 100_000
_KEA = (
    "2026-11-21 00:29:{s:06.3f} INFO  [kea-dhcp4.leases/31833.140505323282944] DHCP4_LEASE_{what} "
    "[hwtype=1 {mac}], cid=[no info], tid=0x{tid:x}: lease {ip} {how}"
)
_NGINX = '{ip} - - [21/Nov/2026:00:{m:02d}:{s:02d} +0000] "GET {path} HTTP/1.1" 200 {size} "-" "iPXE/1.21.1+git"'
_FILES = (
    ("/boot/ipxe/boot.ipxe", 755),
    ("/boot/nixos/worker/bzImage", 14186432),
    ("/boot/nixos/worker/initrd", 3407420),
)


def _mac(node: int) -> str:
    return f"52:54:00:01:{node >> 8:02x}:{node & 255:02x}"


def _ip(node: int) -> str:
    return f"10.{100 + (node >> 16)}.{node >> 8 & 255}.{node & 255}"


def write_logs(directory: Path, nodes: int, lines: int) -> dict[str, Path]:
    """A DHCP and an HTTP log of `lines` lines together, of boots spread over all nodes."""
    dhcp, http = [], []
    boot = 0
    while len(dhcp) + len(http) < lines:
        node = boot % nodes + 1
        second = boot % 60
        for _ in range(2):
            for what, how in (("ADVERT", "will be advertised"), ("ALLOC", "has been allocated for 600 seconds")):
                dhcp.append(_KEA.format(s=second, what=what, mac=_mac(node), tid=boot, ip=_ip(node), how=how))
        http += [_NGINX.format(ip=_ip(node), m=30, s=second, path=path, size=size) for path, size in _FILES]
        boot += 1
    paths = {"kea": directory / f"kea-{nodes}.log", "nginx-access": directory / f"access-{nodes}.log"}
    paths["kea"].write_text("\n".join(dhcp) + "\n")
    paths["nginx-access"].write_text("\n".join(http) + "\n")
    return paths


async def lines_per_second(report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="pt-") as name:
        for nodes in (1, 100, 1000):
            logs = write_logs(Path(name), nodes, LINES)
            reference = median([await _grep(list(logs.values())) for _ in range(ROUNDS)])
            taken = [_once(logs, nodes) for _ in range(ROUNDS)]
            report.add(
                Figure(
                    f"{LINES // 1000} k log lines, {nodes} nodes: parse and correlate",
                    median(taken),
                    "s",
                    reference,
                    "grep -c",
                    goal=LINES / GOAL,
                    note=f"{LINES / median(taken):.0f} lines/s",
                )
            )


def _once(logs: dict[str, Path], nodes: int) -> float:
    correlator = Correlator([NodeIdentity(name=f"n{i}", macs=(_mac(i),), ips=(_ip(i),)) for i in range(1, nodes + 1)])
    signals: list[Signal] = []
    begin = time.perf_counter()
    for format_, path in logs.items():
        parser = make_parser(format_, path.name, reference=time.time())
        with path.open() as file:
            for number, line in enumerate(file, 1):
                signals.extend(parser.feed(line.rstrip("\n"), number))
    # As the engine does it: merged by time, for the sources are read side by side.
    signals.sort(key=lambda signal: signal.wall or 0.0)
    now = time.time()
    changed = 0
    for signal in signals:
        changed += len(correlator.feed(signal, now))
    seconds = time.perf_counter() - begin
    assert changed > len(signals) // 2
    return seconds


async def _grep(paths: list[Path]) -> float:
    program = shutil.which("grep")
    assert program is not None
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(program, "-c", "-E", "LEASE_ALLOC|initrd", *map(os.fspath, paths)), stdout=asyncio.subprocess.PIPE
    )
    await process.communicate()  # not /dev/null: grep stops at the first match then
    return time.perf_counter() - begin
