"""What stands before a daemon's own words: time, host, program, process.

Layouts: syslog as files have it (RFC 3164, also with `<PRI>`, without host, with a year or with fractions), RFC 5424,
ISO 8601 (rsyslog, `journalctl -o short-iso`), journalctl's `short-full`, `short-unix`, `short-monotonic` and `json`
(systemd's "Journal JSON Format"), dates with slashes (nginx), `program[pid]:` alone (a daemon in the foreground), and
nothing at all. Before each of them may stand what a container's runtime adds: `service-1  | ` (docker compose), a time
(`docker logs -t`), `TIME stderr F ` (CRI), or JSON (docker's json-file).
"""

from __future__ import annotations

import re
import time
from typing import Final

import msgspec

from plasmatui.watch.parsers.stamps import MONTHS, unix_time, yearless_time, zone_seconds

Parts = tuple[float | None, str, str, str]
"""Unix seconds or None, program or "", what stands in its brackets or "", the message."""

_SYSLOG: Final = re.compile(
    r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: |$)", re.ASCII
)
_DATED: Final = re.compile(
    r"(?:[A-Z][a-z]{2} )?(\d{4})([-/])(\d\d)\2(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(Z|[+-]\d\d:?\d\d|)(?: |$)(?:(?<=[ ])([A-Z]{3,5}) (?=\S+ \S+: ))?",
    re.ASCII,
)
_UNIX: Final = re.compile(r"(\d{9,11}\.\d{1,9}) ", re.ASCII)
_MONOTONIC: Final = re.compile(r"\[ {0,8}\d{1,10}\.\d{1,9}\] ", re.ASCII)
_PRI: Final = re.compile(r"<\d{1,3}>(1 )?", re.ASCII)
_RFC5424: Final = re.compile(
    r"(\S+) (\S+) (\S+) (\S+) (\S+) (?:-|(?:\[(?:[^\]\"]++|\"(?:[^\"\\]++|\\.)*+\")*+\])++)(?: \ufeff?|$)"
)
_COMPOSE: Final = re.compile(r"[\w.-]{1,64} {1,40}\| ", re.ASCII)
_STREAM: Final = re.compile(r"std(?:out|err) [FP] ", re.ASCII)
_HEAD: Final = re.compile(r"(?:([^\s\[\]]{1,255}) )?([\w.@/+()-]{1,128})(?:\[([\w.-]{0,64})\])?", re.ASCII)
_HEAD_LIMIT: Final = 400
_HEADS_KEPT: Final = 1024
_NO_HEAD: Final = ("", "")


class _Entry(msgspec.Struct):
    """The fields of a journal entry that are used; a field is text, an array of bytes, of values, or null."""

    micros: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="")
    message: object = msgspec.field(name="MESSAGE", default=None)
    identifier: object = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)
    command: object = msgspec.field(name="_COMM", default=None)
    unit: object = msgspec.field(name="_SYSTEMD_UNIT", default=None)
    pid: object = msgspec.field(name="_PID", default=None)


_EXPORTED: Final = frozenset(field.encode_name for field in msgspec.structs.fields(_Entry))
_ENTRIES: Final = msgspec.json.Decoder(_Entry)


def _field_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if value and all(isinstance(item, int) and 0 <= item < 256 for item in value):
            return bytes(value).decode("utf-8", "replace")
        return "\n".join(item for item in value if isinstance(item, str))
    return ""


def journal_parts(line: str) -> Parts | None:
    """The parts of a line of `journalctl -o json`, None when it is none."""
    try:
        entry = _ENTRIES.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if entry.message is None:
        return None
    micros = entry.micros if len(entry.micros) < 20 and entry.micros.isdecimal() else ""
    program = _field_text(entry.identifier) or _field_text(entry.command) or _field_text(entry.unit)
    return int(micros) / 1e6 if micros else None, program, _field_text(entry.pid), _field_text(entry.message)


class ExportedEntry:
    """An entry of `journalctl -o export` (systemd, "Journal Export Format"): a field a line, an empty line at its end.
    Fields with line feeds in them, which are written in binary, are left out."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}
        self._number = 0

    @property
    def begun(self) -> bool:
        return bool(self._fields)

    def feed(self, line: str, number: int) -> tuple[str, int] | None:
        """Take a line in: with the last of an entry what it says, as JSON, and the number of its message's line; with
        the others nothing (""). None for what is no such entry."""
        if not line:
            entry, self._fields = self._fields, {}
            return (msgspec.json.encode(entry).decode(), self._number) if "MESSAGE" in entry else None
        if not self._fields and not line.startswith(("__CURSOR=", "__REALTIME_TIMESTAMP=")):
            return None
        name, given, value = line.partition("=")
        if given and name in _EXPORTED:
            self._fields[name] = value
            self._number = number if name == "MESSAGE" else self._number
        return "", number


class _Logged(msgspec.Struct):
    """A line in docker's json-file format."""

    log: str
    time: str


_LOGGED: Final = msgspec.json.Decoder(_Logged)


def container_line(line: str) -> str:
    """A line of docker's json-file format as `docker logs -t` shows it; empty when it is none."""
    try:
        entry = _LOGGED.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return f"{entry.time} {entry.log.rstrip()}" if entry.log else ""


class PrefixReader:
    """Takes prefixes off the lines of one log. Remembers the last time and the programs that it has met, for speed.

    Args:
        reference: Unix seconds that year-less times are near to or before; None for the present.
    """

    def __init__(self, reference: float | None = None) -> None:
        self._reference = reference
        self._second = ""  # "Nov 21 00:38:35", as it was last met, and what it means
        self._second_wall: float | None = None
        self._date = ""
        self._date_wall: float | None = None
        self._heads: dict[str, tuple[str, str]] = {}

    def split(self, line: str) -> Parts:
        """The parts of a line of text (not of JSON). Without a recognised prefix the message is the whole line."""
        if line[:15] == self._second and line[15:16] == " ":
            return self._program(self._second_wall, line[16:], True)
        first = line[:1]
        if first == "<":
            return self._with_priority(line)
        wall, begin = self._time(line, first)
        if begin:
            return self._after_time(wall, line[begin:])
        compose = _COMPOSE.match(line)
        return self.split(line[compose.end() :]) if compose is not None else self._program(None, line, False)

    def _after_time(self, wall: float | None, rest: str) -> Parts:
        """A container's runtime wrote the first time of two; it names its zone, the second may not."""
        stream = _STREAM.match(rest)
        if stream is not None:
            rest = rest[stream.end() :]
        if rest[:1].isdigit() or (rest[3:4] == " " and rest[:1].isupper()):
            _, begin = self._time(rest, rest[:1])
            rest = rest[begin:]
        return self._program(wall, rest, True)

    def time(self, line: str) -> float | None:
        """The first of the parts."""
        if line[:15] == self._second and line[15:16] == " ":
            return self._second_wall
        return self.split(line)[0] if line[:1] == "<" else self.wall(line)

    def wall(self, line: str) -> float | None:
        """The time at the start of a line, if there is one."""
        return self._time(line, line[:1])[0]

    def _time(self, line: str, first: str) -> tuple[float | None, int]:
        """The time and where it ends, 0 where there is none."""
        if first.isdigit():
            match = _DATED.match(line)
            if match is not None:
                return self._dated(match), match.end()
            match = _UNIX.match(line)
            return (float(match[1]), match.end()) if match is not None else (None, 0)
        if first == "[":
            match = _MONOTONIC.match(line)
            return None, match.end() if match is not None else 0
        if line[3:4] == " " and first.isupper():
            match = _SYSLOG.match(line)
            if match is not None and match[1] in MONTHS:
                return self._syslog(match), match.end()
            match = _DATED.match(line)
            if match is not None:
                return self._dated(match), match.end()
        return None, 0

    def _syslog(self, match: re.Match[str]) -> float | None:
        month, day, year, hour, minute, second, fraction = match.groups()
        clock = (MONTHS[month], int(day), int(hour), int(minute), int(second))
        if year:
            wall = unix_time(int(year), *clock, None)
        else:
            wall = yearless_time(*clock, time.time() if self._reference is None else self._reference)
        if fraction:
            return None if wall is None else wall + float(f"0.{fraction}")
        if not year and match.end() == 16:
            self._second, self._second_wall = match.string[:15], wall
        return wall

    def _dated(self, match: re.Match[str]) -> float | None:
        year, _, month, day, hour, minute, second, fraction, zone, name = match.groups()
        key = f"{match.string[match.start(1) : match.end(7)]}{zone or name}"
        if key != self._date:
            self._date = key
            east = zone_seconds(zone or name or "")
            self._date_wall = unix_time(int(year), int(month), int(day), int(hour), int(minute), int(second), east)
        wall = self._date_wall
        return wall + float(f"0.{fraction}") if fraction and wall is not None else wall

    def _with_priority(self, line: str) -> Parts:
        match = _PRI.match(line)
        if match is None:
            return None, "", "", line
        rest = line[match.end() :]
        if match[1] is None:
            return self.split(rest) if not rest.startswith("<") else (None, "", "", rest)
        fields = _RFC5424.match(rest)
        if fields is None:
            return self.split(rest)
        wall = self.wall(fields[1])
        return wall, fields[3], "" if fields[4] == "-" else fields[4], rest[fields.end() :]

    def _program(self, wall: float | None, rest: str, timed: bool) -> Parts:
        """Take `host program[pid]: ` off; a host stands there only after a time."""
        end = rest.find(": ", 0, _HEAD_LIMIT)
        if end < 0:
            return wall, "", "", rest
        head = rest[:end]
        known = self._heads.get(head)
        if known is None:
            match = _HEAD.fullmatch(head)
            if match is None or (match[1] and not timed):
                return wall, "", "", rest
            known = (match[2], match[3] or "")
            if timed:
                if len(self._heads) >= _HEADS_KEPT:
                    self._heads.clear()
                self._heads[head] = known
        return wall, known[0], known[1], rest[end + 2 :]
