"""Leaving when the terminal goes away or somebody ends us: at once, also when the terminal takes nothing any more.

A loop's own signal handlers would not do: while a stalled terminal takes no bytes, the loop may wait for the writer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

PATIENCE = 1.0
"""Seconds for an orderly farewell."""

_FAREWELL = b"".join(
    (
        b"\x1b[<u",
        *(b"\x1b[?%dl" % mode for mode in (2026, 1000, 1002, 1003, 1006, 1016, 2004, 2048, 1049)),
        b"\x1b[?25h\x1b[0m",
    )
)
"""What Textual switched on is switched off: keyboard protocol, mouse, paste, in-band resize, other screen, cursor."""


def leave_on_signals(leave: Callable[[int], None]) -> None:
    """On SIGHUP and SIGTERM call `leave` with the exit code on the loop; end the process when it takes too long."""
    loop = asyncio.get_running_loop()
    attributes = _attributes()

    def handle(number: int, frame: FrameType | None) -> None:
        code = 128 + number
        timer = threading.Timer(PATIENCE, _end, (code, attributes))
        timer.daemon = True
        timer.start()
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving already
            loop.call_soon_threadsafe(leave, code)

    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, handle)


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(sys.__stdin__.fileno()) if sys.__stdin__ else None
    except (termios.error, OSError, ValueError):
        return None


def _end(code: int, attributes: list[Any] | None) -> None:
    """Give the terminal back as far as it listens, and end without further ado."""
    with contextlib.suppress(OSError):
        os.set_blocking(2, False)
        os.write(2, _FAREWELL)
    if attributes is not None:
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(0, termios.TCSANOW, attributes)
    os._exit(code)
