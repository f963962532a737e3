"""`plasmatui sim` and `--sim`: racks that really run, found again by the next command, ended by their process id."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plasmatui.cli.main import _with_sim_number, run
from plasmatui.cli.rack import is_served, rack_directory
from tests.unit.cli.program import command, environment


@pytest.fixture
def started(private_directories: Path) -> Iterator[Callable[[int], None]]:
    """Racks (by size) to end with the test; engines of their inventories are asked to stop first."""
    sizes: list[int] = []
    yield sizes.append
    for size in sizes:
        subprocess.run(
            command("--sim", str(size), "engine", "stop", "--force"), env=environment(), timeout=60, check=True
        )
        directory = rack_directory(size)
        os.kill(int((directory / "rack.lock").read_text()), signal.SIGTERM)
        deadline = time.monotonic() + 20
        while is_served(directory) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_served(directory)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--sim"], ["--sim=12"]),
        (["--sim", "nodes"], ["--sim=12", "nodes"]),
        (["--sim", "3", "nodes"], ["--sim", "3", "nodes"]),
        (["--sim", "--ascii"], ["--sim=12", "--ascii"]),
        (["--sim=5"], ["--sim=5"]),
    ],
)
def test_number_of_sim_is_optional(given: list[str], meant: list[str]) -> None:
    assert _with_sim_number(given) == meant


def test_second_command_finds_the_same_rack_and_engine(started: Callable[[int], None]) -> None:
    started(2)
    answers = [
        subprocess.run(
            command("--sim", "2", *arguments), env=environment(), capture_output=True, timeout=90, check=False
        )
        for arguments in (("power", "on", "node02", "--yes"), ("power", "status", "@all"), ("engine", "status"))
    ]
    assert [answer.returncode for answer in answers] == [0, 0, 0], answers
    assert answers[0].stdout == b"node02: off -> on\n"
    assert b"starting a simulated rack of 2 nodes" in answers[0].stderr
    assert answers[1].stdout.splitlines()[-1].endswith(b": on")
    assert answers[1].stderr == b""
    assert b"2 up" in answers[2].stdout


def test_looking_at_the_engine_starts_no_rack(private_directories: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--sim", "3", "engine", "status"]) == 5
    assert run(["--sim", "3", "engine", "stop"]) == 0
    assert run(["--sim", "3", "info"]) == 0
    assert not rack_directory(3).exists()
    assert "starting" not in capfd.readouterr().err


def test_rack_in_the_foreground(private_directories: Path) -> None:
    directory = private_directories / "rack"
    process = subprocess.Popen(
        command("sim", "--nodes", "2", "-o", str(directory), "--fault", "node02=bmc-auth"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 30)
        assert ready
        assert process.stdout.readline().decode().strip() == str(directory / "inventory.yaml")
        second = subprocess.run(
            command("sim", "-o", str(directory)), env=environment(), capture_output=True, timeout=30, check=False
        )
        assert second.returncode == 2
        assert b"already serves" in second.stderr
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"plasmatui -i" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nodes", "0"), b"nodes"),
        (("--nodes", "2", "--redfish", "3"), b"Redfish"),
        (("--fault", "node01=sunspots"), b"sunspots"),
        (("--fault", "node99=bmc-dead"), b"node99"),
        (("--fault", "nonsense"), b"NODE=FAULT"),
        (("-o", "/proc/nowhere"), b"/proc/nowhere"),
    ],
)
def test_bad_racks(arguments: tuple[str, ...], says: bytes, private_directories: Path) -> None:
    done = subprocess.run(command("sim", *arguments), env=environment(), capture_output=True, timeout=30, check=False)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert b"Traceback" not in done.stderr
