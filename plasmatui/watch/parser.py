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

    def repeats(self, line: str) -> bool:
        """Whether a line tells what the last one that was fed told, but for the name and size of a file of which only
        a running system has many: the same client, program, second and success. Such a line need not be fed."""
