"""An operation belongs to the engine: whatever becomes of the terminal that began it, it ends well and is seen."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import termios
import time
from collections.abc import Iterator

import pytest

from tests.support.output import modes_left, violations
from tests.support.site import Screen, Site, site, wait_for, wait_for_end
from tests.support.terminal import cpu_seconds, resident_mb

pytestmark = pytest.mark.pty

NODES = [f"node{number:02d}" for number in range(2, 10)]
"""The eight nodes that are switched on; node01 runs all the time and floods its console."""

STALL = 5.0
"""Seconds for which nobody reads the terminal."""


@pytest.fixture
def lab() -> Iterator[Site]:
    # A machine takes 0.4 s to switch on, and they are taken one by one: three seconds at least.
    with site(nodes=9, on=1, speed=0.75, console_rate=60_000.0) as made:
        made.engine()
        yield made


def begin(lab: Site) -> Screen:
    """Switch eight nodes on from the keyboard, one at a time, and see that it runs."""
    screen = lab.screen()
    screen.see("node09")
    screen.see("8 off")
    screen.send(b"j" + b" " * len(NODES))
    screen.see("8 marked")
    screen.send(b"P")
    screen.see("Power: 8 nodes")
    screen.send(b"oa")
    screen.see(r"at once: 1 ")
    screen.see("y accepts")
    screen.press_until(b"y", "operation 1 power on")
    screen.escape("Copy from")  # where a y too many, on a slow host, opened the copy menu
    screen.see(r"operation 1 power on [1-4]/8 done +\d+% .* node0[2-9]: ")
    return screen


def still_runs(lab: Site) -> None:
    operation = lab.operation(1)
    assert operation["state"] == "running"
    assert set(operation["nodes"]) == set(NODES)


def ended_well(lab: Site) -> None:
    """A second client sees it end, the machines are on, and a new screen in a new terminal shows it."""
    operation = lab.operation_ended(1)
    assert operation["state"] == "done"
    outcomes = {name: (node["ok"], node["before"], node["after"]) for name, node in operation["nodes"].items()}
    assert outcomes == dict.fromkeys(NODES, (True, "off", "on"))
    assert lab.rack.powered() == ["node01", *NODES]
    assert [lab.rack.rack.machines[name].counters.powered_on for name in NODES] == [1] * len(NODES)
    second = lab.screen()
    second.see("link ok")
    second.send(b"4")
    second.see(r"1 . done +power on node\[02-09\] +8/8 done")
    leave(second)


def leave(screen: Screen) -> None:
    """Quit with the keyboard; the terminal is as it was."""
    screen.press_until(b"q", "Leave the screen")
    screen.send(b"y")
    assert screen.wait() == 0, f"it did not leave:\n{screen.text}"
    restored(screen)


def restored(screen: Screen) -> None:
    left = modes_left(bytes(screen.output))
    assert left.pop("25") is True, "the cursor is hidden"
    assert left.pop("7") is True, "lines do not wrap"
    assert {"1049", "1000", "1003", "1006", "1004", "2004", "kitty"} <= left.keys(), "the screen was never set up"
    assert not any(left.values()), f"left on: {[mode for mode, on in left.items() if on]}"
    assert violations(bytes(screen.output)) == []


def unread(screen: Screen) -> int:
    """Bytes that wait in the terminal for somebody to read them."""
    return int(struct.unpack("i", fcntl.ioctl(screen.fd, termios.FIONREAD, b"\0\0\0\0"))[0])


def test_killed_screen(lab: Site) -> None:
    screen = begin(lab)
    os.kill(screen.pid, signal.SIGKILL)
    assert wait_for_end(screen.pid, 2)
    still_runs(lab)
    ended_well(lab)


def test_hung_up_terminal(lab: Site) -> None:
    screen = begin(lab)
    used = cpu_seconds(screen.pid)
    screen.hang_up()
    assert wait_for_end(screen.pid, 2), "the screen outlives its terminal by more than 2 s"
    _, status, usage = os.wait4(screen.pid, 0)
    screen.process.returncode = os.waitstatus_to_exitcode(status)
    assert screen.process.returncode == 128 + signal.SIGHUP
    assert usage.ru_utime + usage.ru_stime - used < 1.0, "it spun on the dead terminal"
    still_runs(lab)
    ended_well(lab)


def test_stalled_terminal(lab: Site) -> None:
    screen = begin(lab)
    screen.send(b"gp")
    screen.see("the quick brown fox")
    begun, memory = time.monotonic(), resident_mb(screen.pid)
    # Nobody reads from here on, while the shown console floods.
    full = wait_for("a full terminal", lambda: unread(screen) > 2000 and unread(screen))
    still_runs(lab)
    operation = lab.operation_ended(1)
    assert operation["state"] == "done"
    wait_for("the end of the stall", lambda: time.monotonic() - begun >= STALL)
    assert unread(screen) >= full, "somebody read the terminal"
    assert screen.process.poll() is None
    assert resident_mb(screen.pid) - memory < 60, "what nobody reads piles up in the screen"
    # Read again: the present comes, not the past.
    screen.see("9 on")
    screen.send(b"4")
    screen.see(r"1 . done +power on node\[02-09\] +8/8 done")
    leave(screen)
    ended_well(lab)


def test_stopped_screen(lab: Site) -> None:
    screen = begin(lab)
    os.kill(screen.pid, signal.SIGSTOP)
    still_runs(lab)
    assert lab.operation_ended(1)["state"] == "done"
    screen.read(0.2)
    assert not re.search("9 on", screen.text), "it was not stopped"
    os.kill(screen.pid, signal.SIGCONT)
    screen.see("9 on")
    leave(screen)
    ended_well(lab)


def test_stopped_screen_comes_back_whole(lab: Site) -> None:
    screen = lab.screen()
    before = termios.tcgetattr(screen.fd)
    screen.see("node09")
    for _ in range(3):
        screen.quiet()
        os.kill(screen.pid, signal.SIGSTOP)
        os.kill(screen.pid, signal.SIGCONT)
        assert screen.read(10, until=b"\x1b[?1049h"), "it does not set up the terminal again"
        screen.see("node09")
        screen.see("help")
        screen.send(b"jjjk" * 5)  # two readers of one keyboard would lose or swap some
    screen.see("link ok")
    leave(screen)
    assert termios.tcgetattr(screen.fd) == before
    assert bytes(screen.output).count(b"\x1b[>25u") == bytes(screen.output).count(b"\x1b[<u") == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_restores_the_terminal(lab: Site, number: signal.Signals) -> None:
    screen = lab.screen()
    screen.see("node09")
    os.kill(screen.pid, number)
    assert screen.wait(5) == 128 + number
    restored(screen)
    assert "engine" in lab.cli("engine", "status").out, "the engine went with its client"


def test_quit_restores_the_terminal_and_its_modes(lab: Site) -> None:
    screen = lab.screen()
    before = termios.tcgetattr(screen.fd)
    screen.see("node09")
    assert termios.tcgetattr(screen.fd) != before, "the modes do not show what this test looks for"
    leave(screen)
    assert termios.tcgetattr(screen.fd) == before
