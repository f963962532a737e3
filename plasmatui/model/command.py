"""Programs that are started somewhere else: here, or on a host behind SSH. Who offers it and who uses it meet here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

_SHOWN: Final = 200


class CommandError(Exception):
    """A program could not be started, or its output ended early because the way to it broke.

    Attributes:
        id: "ssh-refused", "ssh-hostkey-changed" (ids of findings), "ssh-lost", "ssh-timeout", "sudo-refused",
            "command-failed" or "program-missing".
        message: one line: what happened, on which host, why, what to do. Never a secret.
        lasting: whether a person must do something before another try can succeed.
    """

    def __init__(self, id: str, message: str, *, lasting: bool = False) -> None:  # noqa: A002 - a finding's id
        super().__init__(message)
        self.id = id
        self.message = message
        self.lasting = lasting


class Completed(msgspec.Struct, frozen=True):
    """What a program that has ended leaves: untrusted bytes.

    Attributes:
        status: exit status; minus the signal's number when a signal ended it.
        out, err: what it wrote to standard output and standard error.
        left_out: bytes of either that were too many to be kept.
    """

    status: int
    out: bytes = b""
    err: bytes = b""
    left_out: int = 0


class CommandFailedError(CommandError):
    """A program ended with another status than 0.

    Attributes:
        node: where. argv: what ran. status: as in `Completed`.
        lines: the last of what it wrote, clean, in the order in which it came.
    """

    def __init__(self, node: str, argv: Sequence[str], status: int, lines: Sequence[str] = ()) -> None:
        ended = f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
        said = f": {lines[-1]}" if lines else ""
        super().__init__("command-failed", f"{node}: {shown(argv)} {ended}{said}")
        self.node = node
        self.argv = tuple(argv)
        self.status = status
        self.lines = tuple(lines)


def shown(argv: Sequence[str]) -> str:
    """A program and its arguments as one line for people, cut where it is long."""
    line = shlex.join(argv)
    line = line if line.isprintable() else ascii(line)[1:-1]
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


class CommandStream(Protocol):
    """A running program and what it prints. Its input is empty."""

    async def read(self) -> bytes:
        """What has come since the last call, at least one byte; b"" once it has ended. May be cancelled safely.

        Raises:
            CommandError: the way to the program broke.
        """

    @property
    def errors(self) -> str:
        """The last of what it wrote to its standard error so far; untrusted."""

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs, or when it is not known."""

    async def close(self) -> None:
        """End the program if it still runs. Never raises."""


class Commands(Protocol):
    """Starts programs on one host. `name` says where, for messages ("this host", "pxe01")."""

    @property
    def name(self) -> str: ...

    async def run(self, argv: Sequence[str]) -> CommandStream:
        """Start a program; the vector is never read by a shell unquoted.

        Raises:
            CommandError: it did not start.
        """
