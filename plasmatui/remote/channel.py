"""One program on one channel: its input, its output as it comes, its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import asyncssh

from plasmatui.model.command import CommandError
from plasmatui.text import clean_line, clean_text, decode

Output = Callable[[bytes, bool], None]
"""Takes what a program wrote, untrusted, in the order in which it came; True for standard error."""

CLOSE_LIMIT: Final = 2.0
TAIL: Final = 8192
"""Bytes of output that are kept for messages."""
_LAST_LINES: Final = 20
_LINE: Final = 500


class Running(asyncssh.SSHClientSession[bytes]):
    """Takes bytes by callback, twelve times cheaper than asyncssh's streams."""

    def __init__(self, where: str, output: Output) -> None:
        self.channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._where = where
        self._output = output
        self._tail: deque[bytes] = deque()
        self._held = 0
        self._status: int | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._tail.append(data[-TAIL:])
        self._held += len(self._tail[-1])
        while self._held - len(self._tail[0]) >= TAIL:
            self._held -= len(self._tail.popleft())
        try:
            self._output(data, datatype == asyncssh.EXTENDED_DATA_STDERR)
        except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it; asyncssh would end the connection
            if not self._over.done():
                self._over.set_exception(error)

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def exit_signal_received(self, name: str, core_dumped: bool, msg: str, lang: str) -> None:
        number = getattr(signal, f"SIG{name}", signal.SIGKILL)
        self._status = -int(number)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        if self._over.done():
            return
        if exc is None and self._status is not None:
            self._over.set_result(None)
            return
        why = clean_line(str(exc), 200) if exc is not None else ""
        self._over.set_exception(
            CommandError(
                "ssh-lost",
                f"ssh to {self._where}: {why or 'the connection was lost'} while a program ran there, which may still "
                "run; look at the node before it is started again",
            )
        )

    async def ended(self) -> int:
        """The exit status; minus the signal's number when a signal ended it.

        Raises:
            CommandError: id "ssh-lost": the connection broke before.
        """
        await asyncio.shield(self._over)
        assert self._status is not None
        return self._status

    def tail(self) -> bytes:
        return b"".join(self._tail)[-TAIL:]

    def feed(self, data: bytes) -> None:
        """Give the program its whole input. One that has ended already does not want it."""
        assert self.channel is not None
        with contextlib.suppress(OSError):
            if data:
                self.channel.write(data)
            self.channel.write_eof()

    async def pour(self, source: AsyncIterator[bytes]) -> None:
        """Give the program its input piece by piece, as fast as it takes it. What `source` raises passes through."""
        assert self.channel is not None
        async for data in source:
            await self._writable.wait()
            if self._over.done() or self.channel.is_closing():
                return
            with contextlib.suppress(OSError):
                self.channel.write(data)
        with contextlib.suppress(OSError):
            self.channel.write_eof()

    def hold(self) -> None:
        """Take no more output for now: the window fills, and the program waits."""
        if self.channel is not None:
            self.channel.pause_reading()

    def release(self) -> None:
        if self.channel is not None:
            self.channel.resume_reading()

    def fail(self, error: Exception) -> None:
        """Who takes the output cannot: `ended` raises this."""
        if not self._over.done():
            self._over.set_exception(error)

    def terminate(self) -> None:
        """Ask the program to end. OpenSSH passes signals on only where it runs as another user than root (session.c,
        `session_signal_req`)."""
        if self.channel is not None and not self._over.done():
            with contextlib.suppress(OSError):
                self.channel.terminate()

    async def close(self) -> None:
        """Close the channel. OpenSSH lets a program whose channel is closed go on (session.c,
        `session_close_by_channel`)."""
        if not self._over.done():
            self._over.cancel()
        elif not self._over.cancelled():
            self._over.exception()  # it has been told, or nobody waits for it any more
        if self.channel is None:
            return
        self.channel.close()
        waiter = asyncio.create_task(self.channel.wait_closed(), name=f"close ssh channel to {self._where}")
        _, late = await asyncio.wait({waiter}, timeout=CLOSE_LIMIT)
        for task in late:
            task.cancel()


def last_lines(data: bytes) -> tuple[str, ...]:
    """The last lines of untrusted output, clean."""
    lines = clean_text(decode(data[-TAIL:]), _LINE).split("\n")
    return tuple(line for line in lines if line.strip())[-_LAST_LINES:]


class Collected:
    """Keeps the beginning of standard output and the end of standard error, and counts what is left out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._out = bytearray()
        self._err = bytearray()
        self.left_out = 0

    def __call__(self, data: bytes, error: bool) -> None:
        if error:
            self._err += data
            over = len(self._err) - TAIL * 8
            if over > 0:
                del self._err[:over]
        else:
            room = self._most - len(self._out)
            self._out += data[:room]
            over = len(data) - room
        self.left_out += max(0, over)

    @property
    def out(self) -> bytes:
        return bytes(self._out)

    @property
    def err(self) -> bytes:
        return bytes(self._err)
