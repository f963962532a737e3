"""The serial line between a machine and its BMC."""

from __future__ import annotations

from collections.abc import Callable

Reader = Callable[[bytes], None]
Backlog = Callable[[], int]

SEND_BELOW = 16 * 1024
"""Bytes that a reader may have waiting while the line still says "clear to send"."""


class Line:
    """What the machine writes reaches every reader that is attached at that moment, as on a real line.

    Attributes:
        produced: bytes written since the start, read by somebody or not.
        lines: numbered lines of the rate generator written since the start.
    """

    def __init__(self, silent: Callable[[], bool] = lambda: False) -> None:
        self._readers: dict[Reader, Backlog] = {}
        self._silent = silent
        self.produced = 0
        self.lines = 0

    def write(self, data: bytes) -> None:
        if not data or self._silent():
            return
        self.produced += len(data)
        for reader in tuple(self._readers):
            reader(data)

    @property
    def clear_to_send(self) -> bool:
        """Hardware flow control: whether every reader keeps up. Firmware and kernels mostly do not ask."""
        return all(backlog() < SEND_BELOW for backlog in self._readers.values())

    def attach(self, reader: Reader, backlog: Backlog = lambda: 0) -> None:
        """Add a reader; `backlog` tells how many bytes it has waiting."""
        self._readers[reader] = backlog

    def detach(self, reader: Reader) -> None:
        self._readers.pop(reader, None)
