"""The engine as a process: one per inventory, its log, crash files, systemd, limits."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import resource
import socket
import sys
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from plasmatui.paths import EnginePaths, UnsafeDirectoryError, crash_dir, make_private

LOG_SIZE = 2 * 1024 * 1024
LOG_FILES = 4
PROBE_LIMIT = 0.2
"""Seconds within which somebody who only looks has let go of the lock again."""

OPEN_FILES = 8192
"""Wanted limit of open files: a socket for each BMC, and room."""


class EngineStartError(Exception):
    """The engine cannot be started; the message is for people."""


class EngineRunsError(EngineStartError):
    """Another engine for the same inventory and user runs already."""


class EngineLock:
    """Held while the engine runs, so that there is one at most for an inventory and user; contains its process id."""

    def __init__(self, path: Path) -> None:
        """Raises `EngineRunsError` when another engine holds it."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if not self._take():
            holder = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise EngineRunsError(
                f"an engine for this inventory runs already (process {holder}): attach to it with plasmatui, "
                "or end it with plasmatui engine stop"
            )
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def _take(self) -> bool:
        """Take the lock. A client that looks whether an engine lives holds it for a moment: that is waited out."""
        deadline = time.monotonic() + PROBE_LIMIT
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.01)
            else:
                return True

    def release(self) -> None:
        # The file stays: removing it would let two engines hold two locks of the same name.
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def make_directories(paths: EnginePaths) -> None:
    """Make the private places of an engine.

    Raises:
        EngineStartError: one cannot be made or is not private.
    """
    try:
        for directory in (paths.socket.parent, paths.state.parent, paths.state, paths.consoles, crash_dir()):
            make_private(directory)
    except (OSError, UnsafeDirectoryError) as error:
        raise EngineStartError(f"the engine's directories cannot be used: {error}") from error


class _PrivateLog(RotatingFileHandler):
    """A log that nobody else may read, and that says once on stderr when it cannot be written."""

    def _open(self) -> object:  # type: ignore[override]
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return open(fd, "a", encoding="utf-8", errors="replace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """A full disk costs log lines, never the engine."""


def set_up_log(path: Path) -> None:
    """Log to `path`; to stderr as well when a person or systemd listens there."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    handlers: list[logging.Handler] = []
    with contextlib.suppress(OSError):
        handlers.append(_PrivateLog(path, maxBytes=LOG_SIZE, backupCount=LOG_FILES - 1))
    if not handlers or sys.stderr.isatty() or os.environ.get("NOTIFY_SOCKET"):
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    # Their chatter names addresses and headers at every request.
    for name in ("httpx", "httpcore", "asyncssh", "pyghmi"):
        logging.getLogger(name).setLevel(logging.WARNING)


def raise_file_limit() -> None:
    """As many open files as are wanted or allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def notify(state: str) -> None:
    """Tell systemd (sd_notify(3)); nothing happens when it did not start us."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or address[0] not in "/@":
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1.0)
        channel.sendto(state.encode(), address)


def watchdog_interval() -> float:
    """Seconds between two signs of life that systemd wants, 0 when it wants none (WatchdogSec=)."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    except ValueError:
        return 0.0
