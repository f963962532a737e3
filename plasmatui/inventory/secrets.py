"""References to secrets, which redact themselves wherever they are printed."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

COMMAND_LIMIT = 10.0
"""Seconds that a secret's command may take."""


class SecretError(Exception):
    """A secret cannot be had: where it should come from and why it does not. Never the secret itself."""


@dataclass(frozen=True, repr=False)
class Secret:
    """A reference to a secret: exactly one of `env`, `file`, `command`, or a `literal`.

    Its text forms never contain the literal, so that it may stand in any log, plan or traceback.
    """

    env: str = ""
    file: str = ""
    command: tuple[str, ...] = ()
    literal: str | None = None

    def __repr__(self) -> str:
        return f"<secret {self.origin}>"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return repr(self)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled")

    @property
    def given(self) -> bool:
        return bool(self.env or self.file or self.command or self.literal is not None)

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        if self.env:
            return f"from environment variable {self.env}"
        if self.file:
            return f"from file {self.file}"
        if self.command:
            return f"from command {self.command[0]}"
        return "written in the inventory" if self.literal is not None else "not given"

    def reveal(self) -> str:
        """The secret itself, without a trailing newline. May block (a command): call it off the event loop.

        Raises:
            SecretError: the variable is not set, the file is missing or open to others, the command fails.
        """
        if self.literal is not None:
            return self.literal
        if self.env:
            value = os.environ.get(self.env)
            if value is None:
                raise SecretError(f"environment variable {self.env} is not set")
            return value
        if self.file:
            return _from_file(Path(os.path.expanduser(self.file)))
        if self.command:
            return _from_command(self.command)
        raise SecretError("no secret is given")


def reference(text: str) -> Secret:
    """A secret of `env:NAME` or `file:PATH`, so that none stands in a command line; "" for none.

    Raises:
        ValueError: it is neither. What was given is not repeated: it may be the secret itself.
    """
    kind, _, value = text.partition(":")
    if kind == "env" and value.isidentifier():
        return Secret(env=value)
    if kind == "file" and value:
        return Secret(file=value)
    if text:
        raise ValueError("found something else, expected env:NAME or file:PATH")
    return Secret()


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            if info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SecretError(f"{path} is open to others (mode {stat.S_IMODE(info.st_mode):04o}): chmod 600 {path}")
            text = file.read(65536).decode()
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not UTF-8 text") from None  # the error holds the bytes
    return text.rstrip("\r\n")


def _from_command(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise SecretError(f"command {command[0]} took longer than {COMMAND_LIMIT:.0f} s") from None
    except (OSError, ValueError) as error:
        raise SecretError(f"command {command[0]}: {error}") from None
    if done.returncode != 0:
        raise SecretError(f"command {command[0]} ended with code {done.returncode}")
    try:
        text = done.stdout.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretError(f"command {command[0]} printed something that is not UTF-8 text") from None
    if not text:
        raise SecretError(f"command {command[0]} printed nothing")
    return text
