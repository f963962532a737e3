"""Files of host keys: the system's and the user's, which are read, and the engine's own, which is written too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import asyncssh

from plasmatui.inventory.inventory import Ssh
from plasmatui.model.command import CommandError
from plasmatui.remote.hostkeys import fingerprint_of
from plasmatui.text import clean_line

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def default_known_hosts(ssh: Ssh) -> tuple[Path, ...]:
    """The system's, the user's and the site's files of host keys."""
    site = (Path(os.path.expanduser(ssh.known_hosts)),) if ssh.known_hosts else ()
    return Path("/etc/ssh/ssh_known_hosts"), Path(os.path.expanduser("~/.ssh/known_hosts")), *site


class KnownHosts:
    """The system's files, parsed when first needed and again only when one of them has changed."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._stamp: tuple[tuple[int, int, int] | None, ...] | None = None
        self._keys = asyncssh.SSHKnownHosts()

    def read(self) -> asyncssh.SSHKnownHosts:
        """What the files say now.

        Raises:
            CommandError: id "ssh-refused": a file is there and cannot be read.
        """
        stamp = tuple(_stamp(path) for path in self._files)
        if self._stamp != stamp:
            there = [str(path) for path, seen in zip(self._files, stamp, strict=True) if seen is not None]
            try:
                keys = asyncssh.read_known_hosts(there) if there else asyncssh.SSHKnownHosts()
            except (OSError, ValueError) as error:
                raise CommandError(
                    "ssh-refused", f"{' and '.join(there)} cannot be read: {clean_line(str(error), 200)}", lasting=True
                ) from error
            self._stamp, self._keys = stamp, keys
        return self._keys


class HostKeyFile:
    """The engine's own file: keys that it knows of its own knowledge, such as those of systems that it installed.

    It is a known_hosts file whose hosts are names of systems (`Target.known_as`), not addresses, since an address may
    pass to another node: OpenSSH uses it with UserKnownHostsFile and HostKeyAlias. Mode 0600, replaced in one step.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = asyncio.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[str, tuple[str, ...]] = {}

    def keys(self, name: str) -> tuple[str, ...]:
        """The public keys of a system, `TYPE BASE64` each.

        Raises:
            CommandError: id "ssh-refused": the file cannot be read.
        """
        return self._read().get(name, ())

    async def add(self, name: str, public_key: str) -> None:
        """Know one more key of a system. Raises as `replace`."""
        key = _checked(public_key)
        await self._change(name, lambda keys: keys if key in keys else (*keys, key))

    async def replace(self, name: str, public_keys: Sequence[str]) -> None:
        """Know these keys of a system and no other, as when it has been installed.

        Raises:
            ValueError: a key is none, or the name is no name.
            CommandError: id "ssh-refused": the file cannot be read or written; it is as it was.
        """
        new = tuple(dict.fromkeys(_checked(key) for key in public_keys))
        await self._change(name, lambda _: new)

    async def remove(self, name: str) -> None:
        """Know no key of a system any more. Raises as `replace`."""
        await self._change(name, lambda _: ())

    async def _change(self, name: str, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError("a system's name is letters, digits, dots and hyphens")
        async with self._writing:
            keys = dict(self._read())
            before = keys.pop(name, ())
            after = change(before)
            if after == before:
                return
            if after:
                keys[name] = after
            try:
                await asyncio.to_thread(self._write, keys)
            except OSError as error:
                raise self._unusable("written", error) from error

    def _read(self) -> dict[str, tuple[str, ...]]:
        stamp = _stamp(self.path)
        if stamp is None:
            return {}
        if stamp != self._stamp:
            keys: dict[str, tuple[str, ...]] = {}
            try:
                for line in self.path.read_text("ascii").splitlines():
                    if line and not line.startswith("#"):
                        name, _, key = line.partition(" ")
                        keys[name] = (*keys.get(name, ()), _checked(key))
            except (OSError, ValueError) as error:
                raise self._unusable("read", error) from error
            self._stamp, self._keys = stamp, keys
        return self._keys

    def _write(self, keys: dict[str, tuple[str, ...]]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # made with mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write("# Host keys of systems that plasmatui installed; written by its engine.\n")
                file.writelines(f"{name} {key}\n" for name in sorted(keys) for key in keys[name])
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise

    def _unusable(self, done: str, error: Exception) -> CommandError:
        why = clean_line(str(error), 200)
        return CommandError("ssh-refused", f"{self.path} cannot be {done}: {why}; mend or remove it", lasting=True)


def _checked(public_key: str) -> str:
    """The key without its comment; a `ValueError` when it is none."""
    fingerprint_of(public_key)
    return " ".join(public_key.split()[:2])


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino
