"""A simulated rack, the real engine and the real program: what end-to-end tests run against.

The rack runs in a thread of the test's process, so that a test can look into its machines. Engine, screens and commands
are processes with directories of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import plasmatui
from plasmatui.paths import EnginePaths, engine_paths
from plasmatui.sim.rack import Rack, RackOptions
from tests.support.output import Picture
from tests.support.terminal import Terminal

T = TypeVar("T")

ROOT = Path(plasmatui.__file__).parent.parent
LIMIT = 40.0
"""Seconds within which what is waited for must have come; generous, because the machine may be busy."""

_DIRECTORIES = {
    "XDG_CONFIG_HOME": "config",
    "XDG_STATE_HOME": "state",
    "XDG_CACHE_HOME": "cache",
    "XDG_RUNTIME_DIR": "run",
}
_DROPPED = (
    "PLASMATUI_INVENTORY", "NOTIFY_SOCKET", "TMUX", "SSH_CONNECTION", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE",
    "COLUMNS", "LINES",
)  # fmt: skip


def wait_for(what: str, condition: Callable[[], T], limit: float = LIMIT) -> T:
    """Wait until `condition` is true; returns what it gave. Fails the test, naming `what`, after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {limit:g} s in vain for: {what}"
        time.sleep(0.02)
    return value


def wait_for_end(pid: int, limit: float = LIMIT) -> bool:
    """Wait until a process, which need not be a child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], limit)[0])
    finally:
        os.close(descriptor)


class RackThread:
    """A rack in a thread. Its machines may be looked at from outside; whatever changes it goes through `run`."""

    def __init__(self, options: RackOptions) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rack", daemon=True)
        self._thread.start()
        self.rack = self.run(self._make(options))

    @staticmethod
    async def _make(options: RackOptions) -> Rack:
        return await Rack(options).__aenter__()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT)

    def fault(self, node: str, fault: str) -> None:
        self.run(self.rack.set_fault(node, fault))

    def clear(self, node: str) -> None:
        self.run(self.rack.clear_faults(node))

    def write(self, node: str, data: bytes) -> None:
        """Say something on a machine's serial line, no faster than its BMC takes it."""

        async def write() -> None:
            line = self.rack.machines[node].line
            for begin in range(0, len(data), 4096):
                while not line.clear_to_send:  # noqa: ASYNC110 - the line tells nobody
                    await asyncio.sleep(0.005)
                line.write(data[begin : begin + 4096])

        self.run(write())

    def powered(self) -> list[str]:
        """Names of the machines that are on."""
        return [name for name, machine in self.rack.machines.items() if machine.powered]

    def close(self) -> None:
        self.run(self.rack.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)
        self._loop.close()


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        value = json.loads(self.out)
        assert value["schema"] == 1
        assert isinstance(value, dict)
        return value


class Screen(Terminal):
    """`plasmatui` in a pseudo-terminal, with the picture that its output makes."""

    def __init__(self, command: list[str], *, rows: int = 30, columns: int = 110, **options: Any) -> None:
        super().__init__(command, rows=rows, columns=columns, **options)
        self.picture = Picture(rows, columns)
        self._drawn = 0

    def resize(self, rows: int, columns: int) -> None:
        self._draw()
        self.picture.resize(rows, columns)
        super().resize(rows, columns)

    def see(self, pattern: str, limit: float = LIMIT) -> str:
        """Read until the screen matches a regular expression; returns the whole screen."""
        deadline = time.perf_counter() + limit
        while not re.search(pattern, self.text):
            assert self.alive, f"the screen ended before it showed {pattern!r}:\n{self.text}"
            assert time.perf_counter() < deadline, f"no {pattern!r} on the screen within {limit:g} s:\n{self.text}"
            self.read(0.05)
        return self.text

    def press_until(self, keys: bytes, pattern: str, limit: float = LIMIT) -> str:
        """Press keys again and again until the screen matches: for a key that is ignored for a while on purpose."""
        deadline = time.perf_counter() + limit
        while not re.search(pattern, self.text):
            assert time.perf_counter() < deadline, f"no {pattern!r} after {keys!r} within {limit:g} s:\n{self.text}"
            self.send(keys)
            self.read(0.3)
        return self.text

    def escape(self, pattern: str, limit: float = LIMIT) -> None:
        """Press escape and read until the screen no longer matches. What is typed next is then no part of the key."""
        self.send(b"\x1b")
        deadline = time.perf_counter() + limit
        while re.search(pattern, self.text):
            assert time.perf_counter() < deadline, f"{pattern!r} stays on the screen after escape:\n{self.text}"
            self.read(0.05)

    def quiet(self, seconds: float = 0.5, limit: float = LIMIT) -> None:
        """Read until nothing is written for some seconds."""
        deadline = time.perf_counter() + limit
        while time.perf_counter() < deadline:
            before = self.received
            self.read(seconds)
            if self.received == before:
                return
        raise AssertionError(f"the screen was not quiet for {seconds:g} s within {limit:g} s")

    @property
    def text(self) -> str:
        self._draw()
        return self.picture.text

    def _draw(self) -> None:
        self.picture.feed(bytes(self.output[self._drawn :]))
        self._drawn = len(self.output)

    def hang_up(self) -> None:
        """The terminal goes away, as when a connection breaks: the kernel sends SIGHUP."""
        os.close(self.fd)
        self.fd = os.open(os.devnull, os.O_RDWR)
        self.alive = False


class Site:
    """See the module. A context manager; at its end nothing that it started is left."""

    def __init__(self, **options: Any) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="pt-")  # short: a socket's path has at most 107 bytes
        self.directory = Path(self._temporary.name)
        self.env = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        self.env |= {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
        for variable, part in _DIRECTORIES.items():
            (self.directory / part).mkdir(mode=0o700)
            self.env[variable] = str(self.directory / part)
        options.setdefault("directory", self.directory / "rack")
        self.rack = RackThread(RackOptions(**options))
        self.inventory = self.rack.rack.inventory_path
        self._running: list[subprocess.Popen[bytes]] = []
        self._screens: list[Screen] = []

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        for screen in self._screens:
            screen.close()
        try:
            self.stop_engine()
        finally:
            for process in self._running:
                if process.poll() is None:
                    process.kill()
                process.communicate()
            self.rack.close()
            self._temporary.cleanup()

    # Commands and screens

    def command(self, *arguments: str, inventory: Path | None = None) -> list[str]:
        return [sys.executable, "-m", "plasmatui", "-i", str(inventory or self.inventory), *arguments]

    def cli(self, *arguments: str, inventory: Path | None = None, limit: float = 60.0) -> Done:
        """Run a command to its end."""
        ended = subprocess.run(
            self.command(*arguments, inventory=inventory),
            env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False,
        )  # fmt: skip
        return Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command that the test ends, or the site at its own end."""
        process = subprocess.Popen(
            self.command(*arguments),
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._running.append(process)
        return process

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """End a process of the test's own at the site's end, when it still runs."""
        self._running.append(process)

    def screen(
        self, *options: str, environment: dict[str, str] | None = None, program: str = "", **terminal: Any
    ) -> Screen:
        """Open a screen, or run another Python program. An empty value takes a variable away."""
        changed = {"TERM": "xterm-256color", "COLORTERM": "truecolor", **self.env, **(environment or {})}
        words = ["env", "-i", *(f"{name}={value}" for name, value in changed.items() if value)]
        command = [sys.executable, "-c", program] if program else self.command(*options)
        screen = Screen([*words, *command], **terminal)
        self._screens.append(screen)
        return screen

    # Operations

    def operation(self, number: int) -> dict[str, Any]:
        """What a second client is told of an operation."""
        shown = self.cli("ops", "show", str(number), "--json")
        assert shown.code == 0, shown.err
        operation = shown.json()["operation"]
        assert isinstance(operation, dict)
        return operation

    def operation_ended(self, number: int, limit: float = 30.0) -> dict[str, Any]:
        """Wait with a second client until an operation has ended; returns it."""
        followed = self.cli("ops", "follow", str(number), limit=limit)
        assert followed.code in (0, 1, 3), followed.err
        return self.operation(number)

    # The engine

    @property
    def paths(self) -> EnginePaths:
        return engine_paths(self.inventory)

    @property
    def state(self) -> Path:
        """The engine's state directory."""
        return Path(self.env["XDG_STATE_HOME"]) / "plasmatui" / self.paths.key

    @property
    def socket(self) -> Path:
        return Path(self.env["XDG_RUNTIME_DIR"]) / "plasmatui" / f"{self.paths.key}.sock"

    def engine_pid(self) -> int | None:
        """The process id of the engine that runs; None when none does."""
        lock = self.socket.with_suffix(".lock")
        text = lock.read_text().strip() if lock.exists() else ""
        if not text:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(text), 0)
            return int(text)
        return None

    def engine(self) -> int:
        """Start the engine when it does not run, wait until every console is open; its process id."""
        started = self.cli("engine", "start")
        assert started.code == 0, started.err
        pid = self.engine_pid()
        assert pid is not None
        return pid

    def consoles_open(self, count: int) -> None:
        """Wait until the engine holds so many consoles."""

        def is_open() -> bool:
            status = self.cli("engine", "status", "--json")
            return status.code == 0 and status.json()["engine"]["consoles_open"] >= count

        wait_for(f"{count} open consoles", is_open)

    def stop_engine(self, number: signal.Signals = signal.SIGTERM, limit: float = LIMIT) -> None:
        """End the engine and wait for it. One that does not end in time is killed, and that is a failure."""
        pid = self.engine_pid()
        if pid is None:
            return
        os.kill(pid, number)
        if not wait_for_end(pid, limit):
            os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"the engine did not end within {limit:g} s after {number.name}")


@contextlib.contextmanager
def site(**options: Any) -> Iterator[Site]:
    """A site of a few fast machines, unless told otherwise (see `RackOptions`)."""
    with Site(**{"nodes": 8, "speed": 20.0, **options}) as made:
        yield made
