"""What every log parser offers."""

from __future__ import annotations

from typing import Protocol

from plasmatui.model.boot import Signal


class LogParser(Protocol):
    """Reads one log, line by line, in order. Keeps what a transaction's lines share; never raises.

    Lines that it does not know give no signals; they are kept and shown by whoever feeds it.
    """

    def feed(self, line: str, number: int) -> tuple[Signal, ...]:
        """The signals of a line (without its end; untrusted). `number` counts from 1 and goes into the evidence."""
