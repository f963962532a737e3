"""The two ends of `plasmatui console` in this process: typed bytes in, filtered bytes out; the terminal put back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
import termios
import tty
from collections.abc import Callable, Iterator

PIPE_PIECE = 4096
"""Bytes that a writable pipe takes without blocking (PIPE_BUF of Linux)."""

CLEAN_UP = b"\x1b[0m\r\n"
"""Undoes what the filter lets through and what outlives it: colours; and gives the shell's prompt its own line."""


@contextlib.contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Raw mode on a terminal, and back to what it was on every way out. Nothing for what is no terminal."""
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone: nothing to put back
            termios.tcsetattr(descriptor, termios.TCSANOW, before)


class Output:
    """Writes to stdout without ever blocking the event loop, even when the terminal is stopped or the pipe is full.

    A terminal is opened a second time, because O_NONBLOCK on the descriptor we were given would hit everybody who
    shares it, the operator's shell first.

    Attributes:
        terminal: stdout is a terminal.
    """

    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()
        self.terminal = os.isatty(self._descriptor)
        self._own = -1
        self._piece = PIPE_PIECE
        self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        if self.terminal:
            with contextlib.suppress(OSError):
                self._own = os.open(os.ttyname(self._descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
                self._descriptor = self._own
                self._piece = 65536
        if self._own < 0 and self.terminal:
            self._piece = 64  # a terminal that cannot be opened again: small pieces, so that a write hardly blocks

    async def write(self, data: bytes) -> None:
        """Write all of `data`; waits as long as the reader does.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: the terminal is gone.
        """
        view = memoryview(data)
        while view:
            if not self._regular:
                await self._writable()
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._descriptor, view[: self._piece]) :]

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        try:
            loop.add_writer(self._descriptor, wake)
        except PermissionError:  # what cannot be polled (/dev/null) does not block
            return
        try:
            await ready
        finally:
            loop.remove_writer(self._descriptor)

    def finish(self) -> None:
        """Leave the terminal without our colours, if it takes the bytes at once, and close what we opened."""
        if self.terminal:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, CLEAN_UP)
        if self._own >= 0:
            os.close(self._own)
            self._own = -1


class Input:
    """Reads stdin on the event loop. `on_data` gets what is typed, `on_end` is called once at its end."""

    def __init__(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._descriptor = sys.stdin.fileno()
        self._on_data = on_data
        self._on_end = on_end
        self._reading = False

    def start(self) -> None:
        """Begin to read. What cannot be polled (a file, /dev/null) is at its end at once."""
        try:
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        except PermissionError:
            self._on_end()
        else:
            self._reading = True

    def stop(self) -> None:
        """Read no more."""
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # the terminal is gone
            data = b""
        if data:
            self._on_data(data)
        else:
            self.stop()
            self._on_end()
