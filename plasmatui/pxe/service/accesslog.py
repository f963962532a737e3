"""The access log: nginx's combined format with the duration behind it, and lines about transfers while they run.

10.0.100.50 - - [21/Nov/2026:00:14:10 +0000] "GET /boot/nixos/worker/initrd HTTP/1.1" 200 310378496 "-" "iPXE/1.21.1" 3.127
transfer 10.0.100.50 [21/Nov/2026:00:14:08 +0000] 97517568/310378496 200 "GET /boot/nixos/worker/initrd" "iPXE/1.21.1"
"""  # noqa: E501 - log lines are as long as they are

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

from plasmatui.pxe.service.exchange import Exchange

_ODD: Final = re.compile(r'["\\\x00-\x1f\x7f-\U0010ffff]')
_SECRET: Final = re.compile(r"(?i)([?&]token=)[^&]*")
_KEPT: Final = 100_000
"""Lines that wait for a disk that does not take them; older ones are dropped then."""


def stamp(wall: float) -> str:
    """A time as the combined format has it."""
    return time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(wall))


def escape(text: str) -> str:
    """Text of a client, its bytes as Latin-1, as nginx writes it: nothing of it can end a field or reach a terminal."""
    return _ODD.sub(lambda match: "".join(f"\\x{byte:02X}" for byte in match[0].encode("latin-1", "replace")), text)


def _target(target: str) -> str:
    return escape(_SECRET.sub(r"\1-", target))


def access_line(exchange: Exchange, wall: float) -> str:
    """The line of an exchange that has ended."""
    request = f"{escape(exchange.method)} {_target(exchange.target)} HTTP/{exchange.http}"
    agent = escape(exchange.agent) or "-"
    return (
        f'{escape(exchange.peer)} - - [{stamp(wall)}] "{request}" {exchange.status or 499} {exchange.taken} "-" '
        f'"{agent}" {exchange.duration:.3f}'
    )


def transfer_line(exchange: Exchange, wall: float) -> str:
    """How far an exchange is that still runs."""
    return (
        f"transfer {escape(exchange.peer)} [{stamp(wall)}] {exchange.taken}/{exchange.total} {exchange.status} "
        f'"{escape(exchange.method)} {_target(exchange.target)}" "{escape(exchange.agent) or "-"}"'
    )


class AccessLog:
    """Writes lines to a file, or to standard output, without waiting for the disk.

    A file that was renamed or removed (logrotate) is opened anew.
    """

    def __init__(self, path: Path | None) -> None:
        """Raises OSError: the file cannot be opened."""
        self._path = path
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._written = asyncio.Event()
        self._descriptor = self._open() if path is not None else sys.stdout.fileno()

    def write(self, line: str) -> None:
        """Take a line; it is written soon."""
        self._lines.append(line)
        self._written.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._written.wait()
            self._written.clear()
            await asyncio.to_thread(self._flush)

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        if self._path is not None and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        assert self._path is not None
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _flush(self) -> None:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        data = "".join(f"{line}\n" for line in lines).encode("ascii", "backslashreplace")
        try:
            if self._path is not None:
                self._follow_rotation()
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # a full disk must not stop boots
            pass

    def _follow_rotation(self) -> None:
        assert self._path is not None
        old = os.fstat(self._descriptor)
        try:
            new = os.stat(self._path)
        except FileNotFoundError:
            new = None
        if new is None or (new.st_dev, new.st_ino) != (old.st_dev, old.st_ino):
            fresh = self._open()
            os.close(self._descriptor)
            self._descriptor = fresh
