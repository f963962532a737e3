"""Log files that look like those of real daemons, and the forms of time in them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

Wall = Callable[[], float]
HOST = "pxe01"
"""The boot server's name in syslog lines."""


class LogFile:
    """A file that lines are appended to. It is opened for every write, so that it may be rotated at any time."""

    def __init__(self, path: Path, wall: Wall) -> None:
        self.path = path
        self.wall = wall

    def create(self) -> None:
        """Make the file where it is missing; what an earlier rack wrote stays."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600)

    def write(self, *lines: str) -> None:
        """Append lines. A file that cannot be written loses them, and the server goes on, as daemons do."""
        with contextlib.suppress(OSError), self.path.open("ab") as file:
            file.write("".join(line + "\n" for line in lines).encode())

    def syslog(self, program: str, *texts: str) -> None:
        """Lines as rsyslog writes them: `Nov 21 00:29:37 pxe01 in.tftpd[32351]: text`."""
        now = time.localtime(self.wall())
        stamp = f"{time.strftime('%b', now)} {now.tm_mday:2d} {time.strftime('%H:%M:%S', now)}"
        self.write(*(f"{stamp} {HOST} {program}: {text}" for text in texts))
