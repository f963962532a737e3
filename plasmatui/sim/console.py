"""The serial line between a machine and its BMC."""

from __future__ import annotations

from collections.abc import Callable

Reader = Callable[[bytes], None]


class Line:
    """What the machine writes reaches every reader that is attached at that moment, as on a real line.

    Attributes:
        produced: bytes written since the start, read by somebody or not.
        lines: numbered lines of the rate generator written since the start.
    """

    def __init__(self, silent: Callable[[], bool] = lambda: False) -> None:
        self._readers: list[Reader] = []
        self._silent = silent
        self.produced = 0
        self.lines = 0

    def write(self, data: bytes) -> None:
        if not data or self._silent():
            return
        self.produced += len(data)
        for reader in tuple(self._readers):
            reader(data)

    def attach(self, reader: Reader) -> None:
        self._readers.append(reader)

    def detach(self, reader: Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
