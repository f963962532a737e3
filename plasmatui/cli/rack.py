"""`--sim`: one simulated rack per user and size, started beside the engine when it does not run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from plasmatui.cli.failure import FAILED, Failure
from plasmatui.cli.output import note
from plasmatui.paths import UnsafeDirectoryError, make_private, runtime_root

IDLE_EXIT = 900
"""Seconds without any BMC session after which such a rack leaves; an engine that runs keeps its sessions open."""

ENGINE_IDLE = 900.0
"""Seconds without clients and operations after which the engine of such a rack leaves, although it records consoles."""

START_LIMIT = 60.0
"""Seconds that a rack gets to answer; a thousand BMCs on a slow machine need some."""

_REDFISH_SHARE = 6
"""One node in so many has a Redfish BMC."""


def rack_directory(nodes: int) -> Path:
    """Where the rack of `nodes` machines keeps its inventory."""
    return runtime_root() / f"sim-{nodes}"


def ensure_rack(nodes: int) -> Path:
    """The inventory of this user's simulated rack of `nodes` machines, which is started when it does not run.

    Raises:
        Failure: it cannot be started, or does not answer in time.
    """
    try:
        make_private(runtime_root())
        directory = make_private(rack_directory(nodes))
        with _start_lock(directory):
            if not is_served(directory):
                note(f"starting a simulated rack of {nodes} nodes")
                _start(nodes, directory)
    except (OSError, UnsafeDirectoryError) as error:
        raise Failure(FAILED, f"the simulated rack cannot be started: {error}") from error
    return directory / "inventory.yaml"


def is_served(directory: Path) -> bool:
    """Whether a rack process serves this directory now."""
    try:
        with serving(directory):
            return False
    except BlockingIOError:
        return True


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, with our process id in it, as the rack that serves it does for its whole life.

    Raises:
        BlockingIOError: another rack serves it.
    """
    with open(directory / "rack.lock", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(b"%d\n" % os.getpid())
        file.flush()
        yield


@contextlib.contextmanager
def _start_lock(directory: Path) -> Iterator[None]:
    """One starter at a time; it keeps the lock until the rack answers, so whoever waits here finds it ready."""
    with open(directory / "start.lock", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(nodes: int, directory: Path) -> None:
    command = [
        sys.executable, "-m", "plasmatui", "sim", "--nodes", str(nodes), "--redfish", str(nodes // _REDFISH_SHARE),
        "-o", str(directory), "--idle-exit", str(IDLE_EXIT), "--detached",
    ]  # fmt: skip
    log = directory / "rack.log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, cwd="/"
        )
    assert process.stdout is not None
    with process.stdout as output:
        ready = _says_ready(output)
    if not ready:
        process.terminate()
        process.wait()
        said = log.read_text(errors="replace").strip() or f"it did not answer within {START_LIMIT:g} s; see {log}"
        raise Failure(FAILED, f"the simulated rack cannot be started: {said}")


def _says_ready(output: IO[bytes]) -> bool:
    """Whether the rack printed its line in time; the end of its output means that it ended."""
    deadline = time.monotonic() + START_LIMIT
    said = b""
    while b"\n" not in said:
        readable, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(output.fileno(), 4096) if readable else b""
        if not data:
            return False
        said += data
    return True
