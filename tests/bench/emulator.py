"""Console text through the terminal emulator, beside pyte."""

from __future__ import annotations

from pathlib import Path

import pyte

from plasmatui.ui.vt import Vt
from tests.bench.report import Figure, Report, median, own_cpu

CONSOLES = Path(__file__).parents[1] / "data" / "consoles"
ROUNDS = 5
REPEATS = 8


async def throughput(report: Report) -> None:
    """CPU time for what real machines sent: firmware, loaders, kernels, installers."""
    data = b"".join(path.read_bytes() for path in sorted(CONSOLES.glob("*.raw"))) * REPEATS
    ours = median([_ours(data) for _ in range(ROUNDS)])
    theirs = median([_theirs(data) for _ in range(ROUNDS)])
    note = f"{len(data) / ours / 1e6:.1f} MB/s"
    report.add(Figure("console text emulated", ours, "s", theirs, "pyte", goal=0.5, of_ratio=True, note=note))


def _ours(data: bytes) -> float:
    begin = own_cpu()
    Vt().feed(data)
    return own_cpu() - begin


def _theirs(data: bytes) -> float:
    stream = pyte.ByteStream(pyte.Screen(80, 25))
    begin = own_cpu()
    stream.feed(data)
    return own_cpu() - begin
