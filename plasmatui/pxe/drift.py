"""Rendered files held against those that are deployed."""

from __future__ import annotations

import difflib
import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plasmatui.model.pxe import DriftState
from plasmatui.pxe.files import MANIFEST
from plasmatui.pxe.output import SERVER, File
from plasmatui.text import clean_line

LARGEST: Final = 16 << 20
"""Bytes of a deployed file that is read; nothing that is rendered comes near."""


@dataclass(frozen=True)
class Compared:
    """A rendered file and the deployed one.

    Attributes:
        path: of the deployed file; there: its text, None when it is missing or cannot be read.
        error: why it cannot be read.
    """

    file: File
    path: Path
    there: str | None
    error: OSError | None = None

    @property
    def state(self) -> DriftState:
        if self.error is not None:
            return DriftState.UNREADABLE
        if self.there is None:
            return DriftState.MISSING
        return DriftState.SAME if self.there == self.file.text else DriftState.DIFFERS

    def diff(self) -> tuple[str, ...]:
        """Lines of a unified diff from the deployed file to the rendered one, safe for a terminal; none when equal."""
        lines = difflib.unified_diff(
            (self.there or "").splitlines(),
            self.file.text.splitlines(),
            f"{self.path}{'' if self.there is not None else ' (missing)'}",
            f"rendered {self.file.relative}",
            lineterm="",
        )
        return tuple(clean_line(line) for line in lines)


def compare(files: Iterable[File], deployed: Path) -> tuple[Compared, ...]:
    """Hold rendered files against deployed ones.

    Args:
        deployed: a directory that was rendered into, or the root of a PXE server's file system (`/`), of which only
            the server's files are looked at; for other files the directory that holds them.
    """
    rendered = is_rendered(deployed)
    files = list(files)
    places = {file.place for file in files}
    found = []
    for file in files:
        if not rendered and len(places) > 1 and file.place != SERVER:
            continue
        path = deployed / (file.relative if rendered else file.path)
        try:
            found.append(Compared(file, path, read_deployed(path)))
        except OSError as error:
            found.append(Compared(file, path, None, error))
    return tuple(found)


def drift(files: Iterable[File], deployed: Path) -> tuple[str, ...]:
    """How deployed files differ from the rendered ones, as lines of a unified diff; see `compare`.

    Raises:
        OSError: a file there cannot be read.
    """
    lines: list[str] = []
    for each in compare(files, deployed):
        if each.error is not None:
            raise each.error
        lines += each.diff()
    return tuple(lines)


def is_rendered(directory: Path) -> bool:
    """Whether a directory is one that was rendered into."""
    return (directory / MANIFEST).exists()


def read_deployed(path: Path) -> str | None:
    """Text of a deployed file; None when there is none.

    Raises:
        OSError: it cannot be read, or is no file of a configuration's size.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if stat.S_ISDIR(info.st_mode):
            return None
        if not stat.S_ISREG(info.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data.decode("utf-8", "surrogateescape")
