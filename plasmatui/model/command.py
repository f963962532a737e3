"""Programs that are started somewhere else: here, or on a host behind SSH. Who offers it and who uses it meet here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class CommandError(Exception):
    """A program could not be started, or its output ended early because the way to it broke.

    Attributes:
        id: "ssh-refused", "ssh-hostkey-changed" (ids of findings), "ssh-lost" or "program-missing".
        message: one line: what happened, on which host, why, what to do. Never a secret.
        lasting: whether a person must do something before another try can succeed.
    """

    def __init__(self, id: str, message: str, *, lasting: bool = False) -> None:  # noqa: A002 - a finding's id
        super().__init__(message)
        self.id = id
        self.message = message
        self.lasting = lasting


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
