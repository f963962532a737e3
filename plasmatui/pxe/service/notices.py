"""Notices of the kernel that something in a directory changed (inotify(7)); on other systems none come."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_MASK: Final = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
# modify, attributes, written, moved from, moved to, created, deleted, itself deleted, itself moved: <sys/inotify.h>
_BUFFER: Final = 65_536


class DirectoryNotices:
    """Watches directories for changes of and to their files. A missing directory is watched once it is there."""

    def __init__(self) -> None:
        self._descriptor = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    def watch(self, directories: Iterable[Path]) -> None:
        """Watch these; a directory that was replaced by another one of its name is found again."""
        if self._descriptor < 0:
            return
        for directory in directories:
            self._libc.inotify_add_watch(self._descriptor, os.fsencode(directory), ctypes.c_uint32(_MASK))

    def changed(self) -> bool:
        """Whether something happened since the last call."""
        if self._descriptor < 0:
            return False
        seen = False
        try:
            while os.read(self._descriptor, _BUFFER):
                seen = True
        except OSError:  # nothing more to read
            pass
        return seen

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
