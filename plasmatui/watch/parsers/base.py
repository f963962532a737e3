"""What the parsers share: reading a line's prefix, whose line it is, evidence, addresses."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import ClassVar, Final

from plasmatui.model.boot import Evidence, Signal
from plasmatui.text import clean_line
from plasmatui.watch.parsers.prefix import Parts, PrefixReader, container_line, journal_parts

Signals = tuple[Signal, ...]

PROGRAMS_KEPT: Final = 512
LINE_LIMIT: Final = 65_536
"""Characters of a line that are looked at: no daemon writes longer ones."""

_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
"""What Kea and others write to a terminal, and what is in a log where one was recorded."""
_ARCHITECTURE: Final = re.compile(r"(?:PXE|HTTP)Client:Arch:(\d{5})", re.ASCII)


def architecture(vendor: str) -> int | None:
    """The client architecture (RFC 4578 section 2.1) that a vendor class names (section 3.1, in decimal)."""
    match = _ARCHITECTURE.match(vendor)
    return int(match[1]) if match is not None else None


def plain_address(text: str) -> str:
    """An IPv4 address that a dual-stack socket writes as `::ffff:10.0.0.1`, plain."""
    return text[7:] if text.startswith("::ffff:") and "." in text else text


def parts_of(line: str, prefix: PrefixReader) -> tuple[str, Parts]:
    """A line's text as it is shown (a journal's JSON reads like syslog without a time), and its parts."""
    if len(line) > LINE_LIMIT:
        line = line[:LINE_LIMIT]
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    if line[:1] != "{":
        return line, prefix.split(line)
    parts = journal_parts(line)
    if parts is None:
        logged = container_line(line)
        return (logged, prefix.split(logged)) if logged else (line, (None, "", "", line))
    _, program, pid, message = parts
    return f"{program}[{pid}]: {message}" if pid else f"{program}: {message}", parts


class LineParser(ABC):
    """A log whose lines are a prefix and a message. Subclasses say whose lines they read and what messages mean."""

    programs: ClassVar[tuple[str, ...]] = ()
    """Parts of the names that the daemon logs under (in lower case)."""
    strangers: ClassVar[tuple[str, ...]] = ()
    """Parts of names of other programs, which `programs` would match."""

    def __init__(self, source: str, reference: float | None = None) -> None:
        self.source = source
        self._prefix = PrefixReader(reference)
        self._mine: dict[str, bool] = {"": True}

    def feed(self, line: str, number: int) -> Signals:
        """See `LogParser.feed`."""
        line, (wall, program, pid, message) = parts_of(line, self._prefix)
        return self.read(message, wall, pid, line, number) if self.owns(program) else ()

    def repeats(self, line: str) -> bool:
        """See `LogParser.repeats`."""
        return False

    def owns(self, program: str) -> bool:
        """Whether a program's lines are this parser's; a line without a program's name is."""
        mine = self._mine.get(program)
        if mine is None:
            name = program.lower()
            mine = any(part in name for part in self.programs) and not any(part in name for part in self.strangers)
            if len(self._mine) >= PROGRAMS_KEPT:
                self._mine = {"": True}
            self._mine[program] = mine
        return mine

    @abstractmethod
    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """The signals of a message, whose prefix has been read. `line` is the evidence's text, not yet clean."""

    def evidence(self, line: str, number: int) -> Evidence:
        """Where a signal was read."""
        return Evidence(self.source, number, clean_line(line))
