"""How far nix is, from its internal-json.

With `--log-format internal-json` each line is `@nix {...}` on stderr; `json-log-path` writes the same without `@nix `.
Kinds and their fields: nix, `src/libutil/include/nix/util/logging.hh`; how its own bar counts: `progress-bar.cc`.
Seen with nix 2.8 (no `parent`), 2.26 and 2.34.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from plasmatui.nix.lines import LineSplitter, is_noise, shown
from plasmatui.text import clean_line, clean_text

COPY_PATH: Final = 100
FILE_TRANSFER: Final = 101
COPY_PATHS: Final = 103
BUILDS: Final = 104
BUILD: Final = 105
_COUNTED: Final = (COPY_PATH, FILE_TRANSFER, COPY_PATHS, BUILDS)
_BUILD_LOG_LINE: Final = 101
_SET_PHASE: Final = 104
_PROGRESS: Final = 105
_SET_EXPECTED: Final = 106
_INFO: Final = 3

MOST_ACTIVITIES: Final = 4096
_LARGEST: Final = (1 << 63) - 1  # what goes over the wire, whatever a record says
KEPT_ERRORS: Final = 20
KEPT_LINES: Final = 50


class BuildProgress(msgspec.Struct, frozen=True):
    """How far nix is.

    Attributes:
        builds, builds_expected, builds_running, builds_failed: derivations.
        paths, paths_expected: store paths copied or fetched. bytes, bytes_expected: of them.
        percent: None while nothing is to be counted (evaluation); never falls, although nix's own numbers do.
        text: what it does now. errors: what it said went wrong, oldest first.
    """

    builds: int = 0
    builds_expected: int = 0
    builds_running: int = 0
    builds_failed: int = 0
    paths: int = 0
    paths_expected: int = 0
    bytes: int = 0
    bytes_expected: int = 0
    percent: float | None = None
    text: str = ""
    errors: tuple[str, ...] = ()


class _Activity:
    __slots__ = ("done", "expected", "expected_by_kind", "failed", "kind", "running", "text")

    def __init__(self, kind: int, text: str) -> None:
        self.kind = kind
        self.text = text
        self.done = self.expected = self.running = self.failed = 0
        self.expected_by_kind: dict[int, int] = {}


class _Sum:
    """What ended activities of a kind leave, and what others expect of it."""

    __slots__ = ("done", "expected", "failed")

    def __init__(self) -> None:
        self.done = self.expected = self.failed = 0


class BuildLog:
    """Takes nix's stderr, or its JSON log, in chunks cut anywhere.

    Args:
        on_line: gets each line for a log file: what nix and the builders say, clean.
    """

    def __init__(self, on_line: Callable[[str], None] = lambda _: None) -> None:
        self._on_line = on_line
        self._lines = LineSplitter()
        self._activities: dict[int, _Activity] = {}
        self._sums = {kind: _Sum() for kind in _COUNTED}
        self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._text = ""
        self._percent: float | None = None

    def feed(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._take(line)

    def finish(self) -> None:
        """The output is over."""
        for line in self._lines.finish():
            self._take(line)

    @property
    def progress(self) -> BuildProgress:
        builds, paths = self._count(BUILDS), self._count(COPY_PATHS)
        fetched, copied = self._count(FILE_TRANSFER), self._count(COPY_PATH)
        size = copied if copied[1] else fetched
        self._advance(builds, paths, size)
        return BuildProgress(
            *builds,
            paths=paths[0],
            paths_expected=paths[1],
            bytes=size[0],
            bytes_expected=size[1],
            percent=self._percent,
            text=self._text,
            errors=tuple(self._errors),
        )

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines for a person: errors, output of builds, and what stood between the records."""
        return tuple(self._tail)

    def _advance(self, builds: tuple[int, ...], paths: tuple[int, ...], size: tuple[int, ...]) -> None:
        if builds[1]:
            done, expected = builds[0] + paths[0], builds[1] + paths[1]
        elif size[1]:
            done, expected = size[0], size[1]
        else:
            done, expected = paths[0], paths[1]
        if expected:
            self._percent = max(self._percent or 0.0, min(100.0, 100.0 * done / expected))

    def _count(self, kind: int) -> tuple[int, int, int, int]:
        """Done, expected, running, failed: as nix's progress bar sums them up."""
        total = self._sums[kind]
        done, expected, running, failed = total.done, total.done, 0, total.failed
        for activity in self._activities.values():
            if activity.kind == kind:
                done += activity.done
                expected += activity.expected
                running += activity.running
                failed += activity.failed
        counts = (done, max(expected, total.expected, done), running, failed)
        return min(counts[0], _LARGEST), min(counts[1], _LARGEST), min(counts[2], _LARGEST), min(counts[3], _LARGEST)

    def _take(self, line: bytes) -> None:
        record = line.removeprefix(b"@nix ")
        if record.startswith(b"{"):
            try:
                found = msgspec.json.decode(record)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = None
            if isinstance(found, dict) and "action" in found:
                self._record(found)
                return
        text = shown(line)
        if not is_noise(text):
            self._keep(text)

    def _record(self, record: dict[str, Any]) -> None:
        action, number, fields = record.get("action"), record.get("id"), record.get("fields")
        if action == "msg":
            self._message(record)
        elif not isinstance(number, int):
            return
        elif action == "start":
            self._start(number, record)
        elif action == "stop":
            self._stop(number)
        elif action == "result" and isinstance(fields, list):
            self._result(number, record.get("type"), fields)

    def _message(self, record: dict[str, Any]) -> None:
        text, level = record.get("msg"), record.get("level")
        if not isinstance(text, str) or not isinstance(level, int) or not 0 <= level <= _INFO:
            return
        cleaned = clean_text(text, 500, 100)
        keep = self._keep if level <= 1 else self._on_line
        for line in cleaned.split("\n"):
            if not is_noise(line):
                keep(line)
        if level == 0:
            self._errors.append(cleaned)

    def _keep(self, line: str) -> None:
        self._tail.append(line)
        self._on_line(line)

    def _start(self, number: int, record: dict[str, Any]) -> None:
        kind, text = record.get("type"), record.get("text")
        shown_text = clean_line(text, 200) if isinstance(text, str) else ""
        if len(self._activities) >= MOST_ACTIVITIES:
            self._stop(next(iter(self._activities)))
        self._activities[number] = _Activity(kind if isinstance(kind, int) else 0, shown_text)
        if shown_text and isinstance(level := record.get("level"), int) and level <= 4:
            self._text = shown_text
        if shown_text and kind in (BUILD, COPY_PATH, FILE_TRANSFER):
            self._on_line(shown_text)

    def _stop(self, number: int) -> None:
        activity = self._activities.pop(number, None)
        if activity is None:
            return
        for kind, expected in activity.expected_by_kind.items():
            self._sums[kind].expected -= expected
        if (total := self._sums.get(activity.kind)) is not None:
            total.done += activity.done
            total.failed += activity.failed

    def _result(self, number: int, kind: object, fields: list[Any]) -> None:
        activity = self._activities.get(number)
        if activity is None:
            return
        if kind == _PROGRESS and len(fields) >= 4 and all(_is_count(field) for field in fields[:4]):
            activity.done, activity.expected, activity.running, activity.failed = fields[:4]
        elif kind == _SET_EXPECTED and len(fields) >= 2 and all(_is_count(field) for field in fields[:2]):
            counted, expected = fields[:2]
            if counted in self._sums:
                self._sums[counted].expected += expected - activity.expected_by_kind.get(counted, 0)
                activity.expected_by_kind[counted] = expected
        elif kind == _BUILD_LOG_LINE and fields and isinstance(fields[0], str):
            self._keep(clean_line(fields[0], 500))
        elif kind == _SET_PHASE and fields and isinstance(fields[0], str):
            self._text = clean_line(f"{activity.text} ({fields[0]})", 200)


def _is_count(field: object) -> bool:
    return isinstance(field, int) and not isinstance(field, bool) and field >= 0
