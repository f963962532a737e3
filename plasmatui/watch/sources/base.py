"""What every log source offers: lines in batches, a position to go on from, a state that says what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec

from plasmatui.text import decode


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line, raw and untrusted.

    Attributes:
        source: the source's name.
        number: counted from 1 since the source was first followed; goes on after a restart from a position.
        raw: without its line end.
        offset: of its first byte in its file; 0 for journals.
        wall: Unix seconds when the source itself keeps times (journals), else None.
        cut: its end was not seen: it is longer than the limit, or nothing came after it for some seconds.
    """

    source: str
    number: int
    raw: bytes
    offset: int = 0
    wall: float | None = None
    cut: bool = False

    @property
    def text(self) -> str:
        """Decoded, not clean."""
        return decode(self.raw)


class Mark(msgspec.Struct, frozen=True):
    """How far one file was read.

    Attributes:
        inode: of the file. offset: bytes before it were delivered.
        check: hash of the `span` bytes before the offset, so that another file with the same number is noticed.
    """

    inode: int
    offset: int
    check: str = ""
    span: int = 0


class Position(msgspec.Struct, frozen=True):
    """From where a source goes on, without loss or doubling. Stored as JSON or msgpack.

    Attributes:
        number: of the last line delivered.
        wall: Unix seconds of the source's clock when it was taken.
        marks: of files, the current one last; more than one shortly after a rotation.
        cursor: of a journal.
    """

    number: int = 0
    wall: float = 0.0
    marks: tuple[Mark, ...] = ()
    cursor: str = ""


class Batch(msgspec.Struct, frozen=True):
    """Lines that came together.

    Attributes:
        position: after the last of them.
        arrived: Unix seconds.
        gap: why lines may be missing before these, "" when none are.
    """

    source: str
    lines: tuple[LogLine, ...]
    position: Position
    arrived: float
    gap: str = ""


class SourceStatus(StrEnum):
    """`waiting`: it comes back by itself; `failed`: a person must do something, meanwhile it is tried now and then."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"


class SourceState(msgspec.Struct, frozen=True):
    """How a source is.

    Attributes:
        reason: one clean line: what is wrong and what to do; "" while running.
        since: Unix seconds of the last change of status or reason.
        lag_bytes: known to exist and not yet delivered; lag_seconds: since when that is so, 0.0 when up to date.
        lines, gaps: delivered, and how often some were missed.
        problem: a finding's id where one fits.
    """

    status: SourceStatus = SourceStatus.STOPPED
    reason: str = ""
    since: float = 0.0
    lag_bytes: int = 0
    lag_seconds: float = 0.0
    lines: int = 0
    gaps: int = 0
    problem: str = ""


class Start(StrEnum):
    """Where to begin when there is no position to go on from."""

    BEGINNING = "beginning"
    END = "end"


OnBatch = Callable[[Batch], None]
OnState = Callable[[str, SourceState], None]
Stamp = Callable[[bytes], float | None]
"""Unix seconds of a raw line, None when it has no time."""


class LogSource(Protocol):
    """A source of lines. Batches go to the callback it was made with, on the loop.

    Attributes:
        room: while it is not set, the source reads no further.
    """

    room: asyncio.Event

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> SourceState:
        """As of now."""

    @property
    def position(self) -> Position:
        """After the last batch delivered."""

    async def recall(self, limit: int) -> tuple[LogLine, ...]:
        """The last lines before the position, about `limit` bytes of them, as far as they are still there: what was
        delivered before this source was made. To be called before `start`; delivers nothing.

        Raises:
            OSError, CommandError: they cannot be read.
        """

    def start(self) -> None:
        """Begin, or begin again after `stop`; nothing when it runs."""

    async def stop(self) -> None:
        """Pause; `start` goes on from the position."""

    async def close(self) -> None:
        """End, with everything that was opened."""
