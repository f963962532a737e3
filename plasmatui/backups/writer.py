"""Writing an archive as it comes over the network: hashed on the way, marked as partial until it is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

from plasmatui.backups.manifest import HEAD, MANIFEST, Head, Part, read_json, synchronise, write_json

PARTIAL: Final = ".part"


class ArchiveWriter:
    """One archive in a node's directory. `write`, then `finish` or `discard`.

    Attributes:
        bytes: written so far.
    """

    def __init__(self, directory: Path, file: str) -> None:
        self._path = directory / file
        self._partial = directory / f"{file}{PARTIAL}"
        self._digest = hashlib.sha256()
        self._file = open(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)  # noqa: SIM115 - closed by `finish` or `discard`
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def write(self, data: bytes) -> None:
        """Raises OSError: the disk is full, for one."""
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._digest.update(data)
        self.bytes += len(data)

    def finish(self) -> None:
        """It is whole, and is given its name. Raises OSError."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)
        synchronise(self._path.parent)

    def discard(self) -> None:
        """It will not become whole: remove it. Nothing happens after `finish`."""
        if not self._file.closed:
            self._file.close()
            self._partial.unlink(missing_ok=True)


def begin(directory: Path, head: Head, node: str) -> Path:
    """Make the directories for a node of a backup, and remove what was left half; the node's.

    Raises:
        OSError: they cannot be made.
    """
    place = directory / node
    for each in (directory, place):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (directory / HEAD).exists():
        write_json(directory / HEAD, head)
    for left in place.glob(f"*{PARTIAL}"):
        left.unlink()
    return place


def entry(place: Path, service: str) -> Part | None:
    """What was written of a service that is whole. Raises BackupError when its entry cannot be read."""
    path = place / f"{service}.json"
    part = read_json(path, Part) if path.exists() else None
    if part is None or not (place / part.file).exists() or (place / part.file).stat().st_size != part.bytes:
        return None
    return part


def remove_entries(place: Path) -> None:
    """The manifest holds them now."""
    for path in place.glob("*.json"):
        if path.name != MANIFEST:
            path.unlink()


def free_bytes(directory: Path) -> int:
    """What fits on the file system that a directory is or will be on. Raises OSError."""
    there = directory
    while not there.exists() and there != there.parent:
        there = there.parent
    return shutil.disk_usage(there).free
