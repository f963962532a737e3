"""How a command ends: exit codes, expected failures, and what becomes of an unexpected one."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

DONE = 0
FAILED = 1
USAGE = 2
SOME_FAILED = 3
REFUSED = 4
UNREACHABLE = 5
INTERRUPTED = 130

_BY_PROBLEM = {
    "refused": REFUSED,
    "read-only": REFUSED,
    "role": REFUSED,
    "locked": REFUSED,
    "unknown-node": USAGE,
    "unknown-operation": USAGE,
    "inventory": USAGE,
    "cancelled": INTERRUPTED,
}


class Failure(Exception):  # noqa: N818 - it is how a command ends, not always an error of the program
    """A command cannot go on: `message` says what happened and why, `hint` what to do next; `code` is its exit code."""

    def __init__(self, code: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def code_of_problem(problem_id: str) -> int:
    """The exit code for a problem that the engine named."""
    return _BY_PROBLEM.get(problem_id, FAILED)


def code_of_results(failed: int, total: int) -> int:
    """0 when no node failed, 1 when all did, 3 when some did."""
    if failed == 0:
        return DONE
    return FAILED if failed == total else SOME_FAILED


def write_crash_file(error: BaseException) -> Path | None:
    """Keep an unexpected error for a report: kinds and places only, no messages' locals, no arguments of the command.

    Returns the file (mode 0600), or None when it cannot be written.
    """
    from plasmatui import __version__
    from plasmatui.paths import UnsafeDirectoryError, crash_dir, make_private

    try:
        directory = make_private(crash_dir())
        path = directory / f"cli-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"plasmatui {__version__}, Python {sys.version.split()[0]}\n\n")
            file.write(_redacted(error))
    except (OSError, UnsafeDirectoryError):
        return None
    return path


def _redacted(error: BaseException) -> str:
    """The traceback without messages and locals: either may hold what was read from a file or a machine."""
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None:
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}\n")
        lines += [
            f"  {frame.filename}:{frame.lineno} in {frame.name}\n"
            for frame in traceback.extract_tb(current.__traceback__)
        ]
        current = current.__cause__ or current.__context__
    return "".join(lines)
