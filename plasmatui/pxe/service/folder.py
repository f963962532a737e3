"""The files of a store in memory, kept up to date as they are edited; of a damaged one the last good version stays."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

from plasmatui.pxe.service.answers import Problem
from plasmatui.pxe.service.documents import WrongDocumentError
from plasmatui.pxe.service.notices import DirectoryNotices

LARGEST_FILE: Final = 16 * 1024 * 1024
_YOUNG: Final = 2.0
"""Seconds for which a file's times do not prove that it is unchanged: clocks of file systems tick coarsely."""

T = TypeVar("T")


@dataclass(frozen=True)
class StoredFile(Generic[T]):
    """A file: what it holds, or held when it was last good; None when it never was."""

    signature: tuple[int, ...]
    modified: float
    value: T | None
    problem: Problem | None


class StoreFolder(Generic[T]):
    """The regular files of some directories below a root, parsed, by path relative to the root.

    Args:
        directories: relative to the root; any may be missing. Not descended into.
        parse: makes a value of a file's relative path and bytes; raises WrongDocumentError.
        digest: called after a change, in the scanning thread, before the new files can be seen.

    Attributes:
        problems: the damaged files and unreadable directories, in order of their names.
    """

    def __init__(
        self,
        root: Path,
        directories: Sequence[str],
        parse: Callable[[str, bytes], T],
        digest: Callable[[dict[str, StoredFile[T]]], None],
    ) -> None:
        self.root = root
        self._directories = tuple(directories)
        self._parse = parse
        self._digest = digest
        self._notices = DirectoryNotices()
        self._lock = asyncio.Lock()
        self._due = False
        self.files: dict[str, StoredFile[T]] = {}
        self.problems: tuple[Problem, ...] = ()
        self._scan()

    def close(self) -> None:
        self._notices.close()

    async def refresh(self) -> bool:
        """See edits that were made before this call. Costs one system call when there were none."""
        if self._notices.changed():
            self._due = True
        if not self._due and not self._lock.locked():
            return False
        return await self._look()

    async def look(self) -> bool:
        """Look at every file's times."""
        self._due = True
        return await self._look()

    async def _look(self) -> bool:
        async with self._lock:
            if not self._due:
                return False
            self._due = False
            return await asyncio.to_thread(self._scan)

    def _scan(self) -> bool:
        self._notices.watch([self.root, *(self.root / name for name in self._directories)])
        found: dict[str, StoredFile[T]] = {}
        unreadable: list[Problem] = []
        for name in self._directories:
            try:
                entries = _entries(self.root / name)
            except OSError as error:  # not gone, but out of reach: what it held still holds
                unreadable.append(Problem(name, 0, f"cannot be read: {error.strerror or error}", kept=True))
                found |= {path: file for path, file in self.files.items() if path.rpartition("/")[0] == name}
                continue
            for entry in entries:
                path = f"{name}/{entry.name}"
                file = self._read(path, entry)
                if file is not None:
                    found[path] = file
        damaged = (file.problem for _, file in sorted(found.items()) if file.problem is not None)
        problems = (*unreadable, *damaged)
        changed = found != self.files or problems != self.problems
        if changed:
            self._digest(found)
            self.files, self.problems = found, problems
        return changed

    def _read(self, path: str, entry: os.DirEntry[str]) -> StoredFile[T] | None:
        """The file as it is now; None when it is no regular file, or gone."""
        known = self.files.get(path)
        try:
            info = entry.stat()
        except OSError:
            return None
        if not stat.S_ISREG(info.st_mode):
            return None
        signature = (info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino)
        young = time.time() - max(info.st_mtime, info.st_ctime) < _YOUNG
        if known is not None and known.signature == signature and not young:
            return known
        file = StoredFile[T](signature, info.st_mtime, None, None)
        try:
            if info.st_size > LARGEST_FILE:
                raise WrongDocumentError(0, f"larger than {LARGEST_FILE >> 20} MiB")
            return replace(file, value=self._parse(path, Path(entry.path).read_bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            line, message = 0, f"cannot be read: {error.strerror or error}"
        except WrongDocumentError as error:
            line, message = error.line, error.message
        good = known.value if known is not None else None
        return replace(file, value=good, problem=Problem(path, line, message, kept=good is not None))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """The files of a directory, but hidden ones: editors' and copiers' half-done files have such names.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
