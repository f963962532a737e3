"""`plasmatui console` and confirmations in a real terminal: keys, pen, modes put back, leaving in every way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plasmatui.model import wire
from plasmatui.model.node import PenHolder
from plasmatui.model.words import ConsoleStatus
from tests.support.terminal import Terminal
from tests.unit.cli.fake_engine import FakeEngine
from tests.unit.cli.program import ROOT, command, environment

pytestmark = pytest.mark.pty

LIMIT = 15.0
PREFIX = b"\x05"


@pytest.fixture
def inventory(private_directories: Path) -> Path:
    path = private_directories / "inventory.yaml"
    path.write_text("version: 1\ncluster: {name: lab}\nnodes: {}\n")
    return path


@pytest.fixture
def engine(inventory: Path) -> Iterator[FakeEngine]:
    with FakeEngine(inventory) as fake:
        fake.console_history = b"earlier line\r\nlogin: "
        yield fake


def terminal(inventory: Path, *arguments: str) -> Terminal:
    return Terminal(command("-i", str(inventory), *arguments), environment={"PYTHONPATH": str(ROOT)})


def modes(term: Terminal) -> list[object]:
    """The terminal's modes without its speed; the same descriptor shows what the program set."""
    return termios.tcgetattr(term.fd)[:4]


def opened(term: Terminal) -> None:
    """Wait until the console is shown."""
    assert term.read(LIMIT, b"lists keys]"), bytes(term.output)


def test_history_then_live_then_leave(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "console", "node01") as term:
        before = modes(term)
        opened(term)
        assert b"earlier line\r\nlogin: " in term.output
        assert b"writing" in term.output
        assert modes(term) != before
        engine.send_console(b"hello from the machine\r\n")
        assert term.read(LIMIT, b"hello from the machine")
        term.send(PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
        assert modes(term) == before
        assert term.output.endswith(b"\x1b[0m\r\n")


def test_keys_reach_the_machine_byte_for_byte(inventory: Path, engine: FakeEngine) -> None:
    typed = b"root\r\x03\x1a\x1b[A\x00\x7f" + "ü".encode() + PREFIX + b"x" + PREFIX + PREFIX + b"!"
    with terminal(inventory, "console", "node01") as term:
        opened(term)
        for byte in typed:
            term.send(bytes((byte,)))
        term.send(PREFIX + b".")
        assert term.wait(LIMIT) == 0
    assert bytes(engine.written) == typed.replace(PREFIX + PREFIX, PREFIX)


def test_prefix_commands(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "console", "node01") as term:
        opened(term)
        term.send(PREFIX + b"cb")
        assert term.read(LIMIT, b"break sent]")
        term.send(PREFIX + b"co")
        assert term.read(LIMIT, b"console open]")
        term.send(PREFIX + b"c?")
        assert term.read(LIMIT, b"send a serial break]")
        term.send(PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
    assert engine.asked(wire.ConsoleBreak) == [wire.ConsoleBreak("node01")]
    assert engine.asked(wire.ConsoleReopen) == [wire.ConsoleReopen("node01", False)]
    assert engine.written == b""


def test_read_only_takes_no_pen_and_sends_nothing(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "console", "node01", "--read-only") as term:
        opened(term)
        term.send(b"reboot\r")
        assert term.read(LIMIT, b"keys are not sent")
        term.send(b"\x03")
        assert term.wait(LIMIT) == 130
    assert engine.asked(wire.ConsolePen) == []
    assert engine.written == b""
    assert engine.hellos[0].read_only


def test_held_pen_is_named_and_respected(inventory: Path, engine: FakeEngine) -> None:
    engine.pen = PenHolder(9, "berta", "pts/7", time.time())
    with terminal(inventory, "console", "node01") as term:
        opened(term)
        assert b"berta on pts/7" in term.output
        assert b"read-only" in term.output
        term.send(b"x" + PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
    assert engine.written == b""


def test_steal_takes_the_pen_and_the_session(inventory: Path, engine: FakeEngine) -> None:
    engine.pen = PenHolder(9, "berta", "pts/7", time.time())
    engine.console_status = ConsoleStatus.HELD
    with terminal(inventory, "console", "node01", "--steal") as term:
        opened(term)
        term.send(b"x" + PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
    assert engine.asked(wire.ConsolePen)[0].steal
    assert engine.asked(wire.ConsoleReopen) == [wire.ConsoleReopen("node01", True)]
    assert engine.written == b"x"


def test_pen_lost_while_writing(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "console", "node01") as term:
        opened(term)
        engine.take_pen(PenHolder(9, "berta", "pts/7", time.time()))
        assert term.read(LIMIT, b"took the pen"), bytes(term.output)
        term.send(b"x" + PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
    assert engine.written == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_terminal_is_restored_after_a_signal(inventory: Path, engine: FakeEngine, number: signal.Signals) -> None:
    with terminal(inventory, "console", "node01") as term:
        before = modes(term)
        opened(term)
        assert modes(term) != before
        os.kill(term.pid, number)
        assert term.wait(LIMIT) == 130
        assert modes(term) == before


def test_terminal_is_restored_when_the_engine_dies(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "console", "node01") as term:
        before = modes(term)
        opened(term)
        engine.drop_clients()
        assert term.wait(LIMIT) == 5
        assert modes(term) == before
        assert b"Traceback" not in term.output


def test_stopped_terminal_does_not_keep_it_from_leaving(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "console", "node01") as term:
        before = modes(term)
        opened(term)
        engine.send_console(b"y" * 2_000_000)  # far more than a terminal buffers, and nobody reads it
        os.kill(term.pid, signal.SIGTERM)
        assert term.process.wait(LIMIT) == 130
        assert modes(term) == before


def test_slow_terminal_misses_nothing_without_saying(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "console", "node01") as term:
        opened(term)
        engine.send_console(b"y" * 1_500_000 + b"the end\r\n")
        assert term.read(LIMIT, b"the end")
        shown = term.output.count(b"y") + term.output.count(b"h")
        assert shown > 1_400_000 or b"bytes are not shown here" in term.output
        term.send(PREFIX + b"c.")
        assert term.wait(LIMIT) == 0


def test_pipe_prints_and_leaves_at_the_end_of_input(inventory: Path, engine: FakeEngine) -> None:
    engine.console_live = b"live\r\n"
    for source in (subprocess.DEVNULL, subprocess.PIPE):
        done = subprocess.Popen(
            command("-i", str(inventory), "console", "node01"),
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        out, err = done.communicate(timeout=LIMIT)
        assert done.returncode == 0, err
        assert out.startswith(b"earlier line\r\nlogin: ")
        assert b"read-only" in err
    assert engine.asked(wire.ConsolePen) == []


def test_output_into_a_file(inventory: Path, engine: FakeEngine) -> None:
    target = inventory.with_name("console.txt")
    with target.open("wb") as file:
        done = subprocess.run(
            command("-i", str(inventory), "console", "node01"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=LIMIT,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == b"earlier line\r\nlogin: "


def test_pipe_ends_with_ctrl_c(inventory: Path, engine: FakeEngine) -> None:
    process = subprocess.Popen(
        command("-i", str(inventory), "console", "node01"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 4096).startswith(b"earlier line")
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == 130  # before its input ends, which would end it as well
    _, err = process.communicate(timeout=LIMIT)
    assert b"Traceback" not in err


# --- confirmation -----------------------------------------------------------------------------------------------------


def test_confirmation_names_targets_and_enter_means_no(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "power", "off", "node[01-03]") as term:
        assert term.read(LIMIT, b"[y/N]")
        assert b"node[01-03]" in term.output
        assert b"node01 node02 node03" in term.output  # disruptive: every target by name
        term.send(b"\r")
        assert term.wait(LIMIT) == 1
        assert b"nothing was done" in term.output
    assert engine.asked(wire.StartOrder) == []


def test_confirmation_yes(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "power", "on", "node[01-02]") as term:
        assert term.read(LIMIT, b"[y/N]")
        assert b"node01 node02" not in term.output  # reversible: folded names are enough
        term.send(b"y\r")
        assert term.wait(LIMIT) == 0
        assert b"node[01-02]: off -> on" in term.output
    assert len(engine.asked(wire.StartOrder)) == 1


def test_confirmation_ctrl_c(inventory: Path, engine: FakeEngine) -> None:
    with terminal(inventory, "power", "on", "node01") as term:
        assert term.read(LIMIT, b"[y/N]")
        # Python may begin to read just after it looked for signals; a person presses the key again.
        code = None
        for _ in range(10):
            term.send(b"\x03")
            code = term.wait(1.0)
            if code is not None:
                break
        assert code == 130
        assert b"Traceback" not in term.output
    assert engine.asked(wire.StartOrder) == []


def test_ctrl_c_while_following_says_that_it_goes_on(inventory: Path, engine: FakeEngine) -> None:
    engine.hold = True
    with terminal(inventory, "power", "on", "node01", "--yes") as term:
        assert term.read(LIMIT, b": order it")
        assert re.search(rb"operation 1, \d+s: 0 of 1 done, node01 \[1/2\] [^\r]*: order it", term.output)
        term.send(b"\x03")
        assert term.wait(LIMIT) == 130
        assert b"operation 1 goes on" in term.output
    engine.release()
    assert engine.operations[1].state.ended
