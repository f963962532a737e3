"""Bytes of a console that wait until somebody looks: bounded, and emulated a moment at a time."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from plasmatui.ui.vt import Vt

RAW_LIMIT: Final = 256 * 1024
"""Bytes that are kept while nobody looks; older ones are dropped with a note."""

_MOMENT: Final = 0.03  # seconds of emulation between two looks at the keyboard
_BITE: Final = 4096  # bytes emulated at once


class Backlog:
    """What a console has said and its emulator has not seen."""

    def __init__(self) -> None:
        self.chunks: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0

    def __bool__(self) -> bool:
        return bool(self.chunks)

    def add(self, data: bytes) -> None:
        """Keep bytes, at least one."""
        if len(data) > RAW_LIMIT:
            self._dropped += len(data) - RAW_LIMIT
            data = data[-RAW_LIMIT:]
        self.chunks.append(data)
        self._size += len(data)
        while self._size - len(self.chunks[0]) >= RAW_LIMIT:
            lost = len(self.chunks.popleft())
            self._size -= lost
            self._dropped += lost

    def clear(self) -> None:
        """Forget everything."""
        self.chunks.clear()
        self._size = self._dropped = 0

    def emulate(self, vt: Vt) -> bool:
        """Give `vt` what is waiting, for a moment at most; whether some still waits.

        What a hostile machine makes expensive comes with later calls, or is dropped with a note.
        """
        if self._dropped:
            note = f"\x18\x1b[!p\r\n[{self._dropped} bytes not shown here]\r\n"
            self._dropped = 0
            vt.feed(note.encode())
        end = time.monotonic() + _MOMENT
        while self.chunks:
            data = self.chunks.popleft()
            if len(data) > _BITE:
                self.chunks.appendleft(data[_BITE:])
                data = data[:_BITE]
            self._size -= len(data)
            vt.feed(data)
            if time.monotonic() > end:
                return bool(self.chunks)
        return False
