"""Network boot only once: which machines wait for an installation and which are installed, kept in one small file.

A machine of which nothing is known waits. Once it says that it is installed, or somebody else does, it is left to its
disk, so that a machine whose firmware tries the network first is not installed for ever. Who says so over HTTP proves
it with a token of the script that the machine booted with; a token is void when the machine's state changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

PENDING: Final = "pending"
INSTALLED: Final = "installed"


class StateFileError(Exception):
    """The file cannot be used; the message says why and what to do."""


class MachineState(msgspec.Struct, frozen=True):
    """What is known of a machine.

    Attributes:
        state: "pending" or "installed".
        changes: counts up; part of what tokens are made of.
        since: Unix seconds. by: who said so.
    """

    state: str
    changes: int
    since: float
    by: str


class _File(msgspec.Struct, frozen=True):
    version: int
    secret: str
    machines: dict[str, MachineState] = {}


@dataclass
class BootStates:
    """The states of machines by MAC. Several processes may use one file; each sees the others' changes.

    Args:
        path: the file; it and its directory are made when they are missing.
    """

    path: Path
    clock: Callable[[], float] = time.time
    _known: _File | None = field(default=None, repr=False)
    _signature: tuple[int, ...] = field(default=(), repr=False)

    def get(self, mac: str) -> MachineState | None:
        """What is known of a machine; None for nothing.

        Raises:
            StateFileError: the file is damaged or cannot be read.
        """
        return self._load().machines.get(mac)

    def all(self) -> dict[str, MachineState]:
        """All that is known. Raises StateFileError."""
        return dict(self._load().machines)

    def installed(self, mac: str) -> bool:
        """Whether a machine is to be left to its disk. Raises StateFileError."""
        state = self.get(mac)
        return state is not None and state.state == INSTALLED

    def set(self, macs: Iterable[str], state: str, by: str) -> tuple[str, ...]:
        """Say what machines are; gives the addresses for which that is new.

        Raises:
            StateFileError: the file cannot be read or written.
        """
        try:
            with self._locked():
                known = self._load()
                machines = dict(known.machines)
                fresh = []
                for mac in macs:
                    old = machines.get(mac)
                    if old is None or old.state != state:
                        changes = old.changes + 1 if old is not None else 1
                        machines[mac] = MachineState(state, changes, self.clock(), by)
                        fresh.append(mac)
                if fresh:
                    self._write(_File(1, known.secret, machines))
                return tuple(fresh)
        except OSError as error:
            raise StateFileError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def token(self, mac: str) -> str:
        """A token with which whoever booted the machine's script now can say that it is installed.

        Raises:
            StateFileError: the file cannot be read or made.
        """
        nonce = secrets.token_hex(8)
        return f"{nonce}.{self._proof(mac, nonce)}"

    def redeem(self, mac: str, token: str) -> bool:
        """Whether a token is one of the machine's, and its state has not changed since. Raises StateFileError."""
        nonce, _, proof = token.partition(".")
        return hmac.compare_digest(proof.encode(), self._proof(mac, nonce).encode())

    def prepare(self) -> None:
        """Make the file when it is missing, and see that it can be read.

        Raises:
            StateFileError: it cannot.
        """
        try:
            with self._locked():
                if not self.path.exists():
                    self._write(_File(1, secrets.token_hex(32)))
        except OSError as error:
            raise StateFileError(f"{self.path} cannot be made: {error.strerror or error}") from error
        self._load()

    def _proof(self, mac: str, nonce: str) -> str:
        known = self._load()
        machine = known.machines.get(mac)
        said = f"{mac} {machine.changes if machine is not None else 0} {nonce}"
        return hmac.new(bytes.fromhex(known.secret), said.encode(), hashlib.sha256).hexdigest()[:32]

    def _load(self) -> _File:
        try:
            info = os.stat(self.path)
            signature = (info.st_mtime_ns, info.st_size, info.st_ino)
            if self._known is not None and signature == self._signature:
                return self._known
            known = msgspec.json.decode(self.path.read_bytes(), type=_File)
            bytes.fromhex(known.secret)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise StateFileError(f"{self.path} is damaged ({error}); restore it, or remove it to begin anew") from error
        except OSError as error:
            raise StateFileError(f"{self.path} cannot be read: {error.strerror or error}") from error
        self._known, self._signature = known, signature
        return known

    def _write(self, content: _File) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".boot-states-", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            os.unlink(name)
            raise

    def _locked(self) -> _Lock:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _Lock(self.path.with_suffix(".lock"))


class _Lock:
    """Held while the file is changed, so that no two processes lose each other's changes."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
