"""Key presses on a link that is slower than the screen changes."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.support.terminal import Terminal

PROGRAM = Path(__file__).with_name("paced_flood.py")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.pty


def latencies(kind: str, rate: float, keys: int) -> list[float]:
    """Seconds from a key to its number on the screen; 3 for one that was not seen in that time."""
    environment = {"PYTHONPATH": str(ROOT)}
    took = []
    with Terminal(
        [sys.executable, str(PROGRAM), kind], rows=50, columns=160, environment=environment, rate=rate, delay=0.06
    ) as terminal:
        assert terminal.read(20, until=b"K#000000")
        terminal.read(2.0)
        for number in range(1, keys + 1):
            begin = time.perf_counter()
            terminal.send(b"x")
            seen = terminal.read(3, until=b"K#%06d" % number)
            took.append(time.perf_counter() - begin if seen else 3.0)
            terminal.read(0.1)
    return took


def test_a_key_does_not_wait_behind_stale_frames() -> None:
    paced = statistics.median(latencies("paced", rate=100_000, keys=8))
    stock = statistics.median(latencies("stock", rate=100_000, keys=2))
    print(f"key to screen on 100 kB/s: paced {paced * 1000:.0f} ms, clock {stock * 1000:.0f} ms")  # noqa: T201
    assert paced < 0.7
    assert paced < stock / 2


def test_a_terminal_that_never_answers_is_served_by_the_clock() -> None:
    with Terminal(
        [sys.executable, str(PROGRAM), "paced"], environment={"PYTHONPATH": str(ROOT)}, answer=False
    ) as terminal:
        assert terminal.read(20, until=b"K#000000")
        terminal.read(1.0)
        begin = time.perf_counter()
        terminal.send(b"x")
        assert terminal.read(3, until=b"K#000001")
        assert time.perf_counter() - begin < 0.5
        before = terminal.received
        terminal.read(1.0)
        assert terminal.received - before > 10 * 1500
        assert terminal.output.count(b"\x1b[?2026$p") < 20
