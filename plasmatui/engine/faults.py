"""Unforeseen errors: written down without secrets, never the end of the engine where that can be helped."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from plasmatui import __version__
from plasmatui.paths import UnsafeDirectoryError, crash_dir, make_private

log = logging.getLogger(__name__)


def write_crash_file(error: BaseException, where: str) -> Path | None:
    """Write down an unforeseen error: the frames, never locals, and not its text, which may quote a secret."""
    try:
        make_private(crash_dir())
        path = (
            crash_dir() / f"engine-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6:06d}.txt"
        )
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except (OSError, UnsafeDirectoryError):
        return None
    with open(fd, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"plasmatui {__version__}, python {sys.version.split()[0]}, {where}\n{type(error).__name__}\n")
        file.writelines(traceback.format_tb(error.__traceback__))
        cause = error.__cause__ or error.__context__
        while cause is not None:
            file.write(f"caused by {type(cause).__name__}\n")
            file.writelines(traceback.format_tb(cause.__traceback__))
            cause = cause.__cause__ or cause.__context__
    return path


def handle_faults(loop: asyncio.AbstractEventLoop) -> None:
    """An unforeseen error in a callback, task or thread is written down; the engine goes on."""

    def in_loop(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        where = str(context.get("message", ""))
        if isinstance(error, Exception):
            _report(error, where)
        else:
            log.error("%s", where)

    def in_thread(what: threading.ExceptHookArgs) -> None:
        if isinstance(what.exc_value, Exception):
            _report(what.exc_value, f"thread {what.thread.name if what.thread else ''}")

    loop.set_exception_handler(in_loop)
    threading.excepthook = in_thread


def _report(error: Exception, where: str) -> None:
    path = write_crash_file(error, where)
    log.error("unforeseen %s: %s; see %s", type(error).__name__, where, path)


def log_stacks() -> None:
    """Write down where every task waits."""
    for task in asyncio.all_tasks():
        frames = "; ".join(f"{frame.f_code.co_name}:{frame.f_lineno}" for frame in task.get_stack())
        log.info("task %s: %s", task.get_name(), frames or "no frame")
