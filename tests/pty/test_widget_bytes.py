"""What tables and consoles really send to a terminal, and what they cost."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminal import Terminal, cpu_seconds

PROGRAM = Path(__file__).with_name("drawn_widgets.py")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.pty


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    environment = {"PYTHONPATH": str(ROOT)}
    with Terminal([sys.executable, str(PROGRAM)], rows=50, columns=120, environment=environment) as terminal:
        assert terminal.read(20, until=b"READY#")
        while terminal.read(0.3, until=b"\x1b"):  # until the screen is quiet
            pass
        yield terminal


def test_one_change_is_a_few_bytes_and_idleness_none(terminal: Terminal) -> None:
    before = terminal.received
    terminal.read(1.0)
    assert terminal.received == before
    terminal.send(b"u")
    assert terminal.read(2, until=b"C#000001")
    terminal.read(0.3)
    print(f"one change of a node: {terminal.received - before} bytes")  # noqa: T201
    assert terminal.received - before <= 300


def test_hostile_text_sends_nothing_that_a_terminal_obeys(terminal: Terminal) -> None:
    before = len(terminal.output)
    terminal.send(b"h")
    assert terminal.read(2, until=b"HOSTILE-SHOWN")
    terminal.read(0.3)
    sent = bytes(terminal.output[before:])
    for forbidden in (b"\x1b]", b"\x07", b"\x9b", "\u202e".encode(), "\x9b".encode(), b"\x7f", b"1049", b"[6n"):
        assert forbidden not in sent
    assert b"[@click=app.bell]x[/]" in sent


def test_a_thousand_changes_a_second_are_cheap(terminal: Terminal) -> None:
    terminal.send(b"f")
    terminal.read(1.0)
    cpu, clock, before = cpu_seconds(terminal.pid), time.perf_counter(), terminal.received
    terminal.read(4.0)
    seconds = time.perf_counter() - clock
    load = (cpu_seconds(terminal.pid) - cpu) / seconds
    rate = (terminal.received - before) / seconds
    print(f"1000 rows, 1000 changes/s: {load:.1%} of a core, {rate / 1000:.1f} kB/s")  # noqa: T201
    assert load <= 0.24  # the budget is 12 % on a quiet machine
    assert rate <= 40_000
