"""Follows one local log file through rotations. Every method is short and blocks on the file system only.

A file that was rotated is read to its end before the new one begins, and stays open for a while, as daemons go on
writing to it until they are told. Files are known by their inode and by the bytes before the place read up to.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from plasmatui.watch.sources.base import Mark, Position, Stamp, Start
from plasmatui.watch.sources.splitter import SPAN, LineSplitter, Piece, digest, whole_lines

READ: Final = 1 << 20
"""Bytes read at once."""
LINGER: Final = 30.0
"""Seconds without a new byte after which a rotated file is let go."""
HELD: Final = 8
"""Files open at once, the current one included."""
_PACKED: Final = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z")


@dataclass
class OpenFile:
    """A file that is read. `offset` counts what was read, the splitter what was handed out."""

    fd: int
    inode: int
    offset: int
    splitter: LineSplitter
    changed: float = field(default_factory=time.monotonic)

    def mark(self) -> Mark:
        before = self.splitter.before
        return Mark(self.inode, self.splitter.offset, digest(before), len(before))

    def behind(self) -> int:
        """Bytes to read; negative after a truncation."""
        return os.fstat(self.fd).st_size - self.offset


def is_rotation_of(name: str, candidate: str) -> bool:
    """Whether a file's name is one that logrotate or a daemon gives to an older `name`, not compressed."""
    stem, extension = os.path.splitext(name)
    number = r"(\.old|\.bak|[.-]\d[\d_.T-]*)"
    pattern = rf"{re.escape(name)}{number}"
    if extension:
        pattern += rf"|{re.escape(stem)}[.-]\d[\d_.T-]*{re.escape(extension)}"
    return not candidate.endswith(_PACKED) and re.fullmatch(pattern, candidate) is not None


class Follower:
    """`look` finds files, `read` gives their next bytes, oldest file first; `gap` says what may have been missed."""

    def __init__(self, path: Path, stamp: Stamp | None = None) -> None:
        self.path = path
        self.files: list[OpenFile] = []
        self.missing = ""
        """Why the path could not be opened at the last look."""
        self.denied = False
        self.gap = ""
        self.looked = time.time()
        """Unix seconds before which every rotation is known."""
        self._stamp = stamp
        self._known: dict[int, Mark] = {}

    def begin(self, start: Start | float, position: Position) -> None:
        """Open what is to be read first. `start` (a float: Unix seconds) counts when the position has no marks.

        Raises:
            OSError: the directory or file cannot be read, but for those that `look` tries again.
        """
        if position.marks:
            self._resume(position)
        else:
            self._remember_siblings()
            self._open_first(start)

    def look(self) -> None:
        """Find out whether the path names another file now, and let go of old ones."""
        looked = time.time()
        try:
            info = self.path.stat()
        except OSError as error:
            self._miss(error)
            return
        if not self.files or info.st_ino != self.files[-1].inode:
            current = self._open(self.path, 0)
            if current is None:
                return
            self._adopt_between(current.inode)
            self.files.append(self._held_already(current))
        self.missing, self.denied, self.looked = "", False, looked
        self._let_go()

    def _held_already(self, current: OpenFile) -> OpenFile:
        """The file itself, or what is known of it when it was renamed back."""
        for file in self.files:
            if file.inode == current.inode:
                os.close(current.fd)
                self.files.remove(file)
                return file
        return current

    def behind(self) -> int:
        """Bytes that can be read now, or -1 when a file was truncated. Cheap."""
        total = 0
        for file in self.files:
            ahead = file.behind()
            if ahead < 0:
                return -1
            total += ahead
        return total

    def read(self) -> tuple[OpenFile, bytes] | None:
        """The next bytes of the oldest file that has some; None when all are read.

        Raises:
            OSError: reading failed.
        """
        for file in list(self.files):
            ahead = file.behind()
            if ahead == 0:
                continue
            span = min(SPAN, file.offset, len(file.splitter.before) + file.splitter.pending)
            data = os.pread(file.fd, span + READ, file.offset - span) if ahead > 0 else b""
            if ahead < 0 or data[:span] != file.splitter.last(span):
                self._truncated(file)
                return self.read()
            if len(data) > span:
                file.offset += len(data) - span
                file.changed = time.monotonic()
                return file, data[span:]
        return None

    def marks(self) -> tuple[Mark, ...]:
        return tuple(file.mark() for file in self.files)

    def close(self) -> None:
        for file in self.files:
            os.close(file.fd)
        self.files.clear()

    def _miss(self, error: OSError) -> None:
        self.denied = isinstance(error, PermissionError)
        if self.denied:
            self.missing = (
                f"{self.path}: permission denied; let user {os.getuid()} read it "
                f"(group of the file, usually adm, or: setfacl -m u:{os.getuid()}:r {self.path})"
            )
        elif isinstance(error, FileNotFoundError):
            self.missing = f"{self.path} does not exist yet"
        else:
            self.missing = f"{self.path}: {error.strerror or error}"

    def _open(self, path: Path, offset: int) -> OpenFile | None:
        """A regular file, opened at an offset; None with `missing` set when that fails."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            self._miss(error)
            return None
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            os.close(fd)
            self.missing, self.denied = f"{path} is not a regular file; name the log file itself", True
            return None
        before = os.pread(fd, SPAN, max(0, offset - SPAN))[: min(SPAN, offset)]
        return OpenFile(fd, info.st_ino, offset, LineSplitter(offset, before))

    def _open_first(self, start: Start | float) -> None:
        current = self._open(self.path, 0)
        if current is None:
            return
        size = os.fstat(current.fd).st_size
        if start is Start.END:
            current.offset = self._line_begin(current.fd, size)
        elif isinstance(start, float):
            current.offset = self._find_time(current.fd, size, start)
        before = os.pread(current.fd, SPAN, max(0, current.offset - SPAN))[: min(SPAN, current.offset)]
        current.splitter = LineSplitter(current.offset, before)
        self.files.append(current)

    @staticmethod
    def _line_begin(fd: int, size: int) -> int:
        """Where the file's unfinished last line begins, so that it is not torn; the size when it is finished."""
        tail = os.pread(fd, SPAN * 16, max(0, size - SPAN * 16))
        return size - len(tail) + tail.rfind(b"\n") + 1 if b"\n" in tail else size

    def _find_time(self, fd: int, size: int, wall: float) -> int:
        """The first line that is not before `wall`; lines without a time belong to the one before them."""
        if os.fstat(fd).st_mtime < wall:
            return self._line_begin(fd, size)
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            found = self._next_stamp(fd, middle)
            if found is None or found[1] >= wall:
                high = middle
            else:
                low = max(middle, found[0]) + 1
        found = self._next_stamp(fd, low)
        return 0 if found is None else found[0]

    def _next_stamp(self, fd: int, offset: int) -> tuple[int, float] | None:
        """The first line that begins at or after an offset and has a time: where, and when."""
        if self._stamp is None:
            return None
        data = os.pread(fd, 1 << 16, max(0, offset - 1))
        begin = 0 if offset == 0 else data.find(b"\n") + 1
        if offset and not begin:
            return None
        for line in data[begin:].split(b"\n"):
            wall = self._stamp(line)
            if wall is not None:
                return max(0, offset - 1) + begin, wall
            begin += len(line) + 1
        return None

    def _siblings(self) -> list[tuple[Path, os.stat_result]]:
        """Older files of this log, the oldest first."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.path.parent) as entries:
            for entry in entries:
                if is_rotation_of(self.path.name, entry.name):
                    with contextlib.suppress(OSError):
                        found.append((Path(entry.path), entry.stat()))
        return sorted(found, key=lambda item: item[1].st_mtime_ns)

    def places(self) -> list[tuple[Path, int]]:
        """Files of this log with their inodes, the oldest first, the one under its name last."""
        places = [(path, info.st_ino) for path, info in self._siblings()]
        with contextlib.suppress(OSError):
            places.append((self.path, self.path.stat().st_ino))
        return places

    def _remember_siblings(self) -> None:
        """What is there before the first read is old, up to its present end."""
        for path, info in self._siblings():
            file = self._open(path, info.st_size)
            if file is not None:
                self._known[file.inode] = file.mark()
                os.close(file.fd)
        self.missing, self.denied = "", False

    def _adopt_between(self, current: int) -> None:
        """Files that came and were rotated away between two looks, and copies of what was not read to its end."""
        held = {file.inode for file in self.files} | {current}
        for path, info in self._siblings():
            if info.st_ino not in held:
                self._adopt(path, info.st_ino, info.st_size)

    def _adopt(self, path: Path, inode: int, size: int) -> None:
        marks = [file.mark() for file in self.files] + list(self._known.values())
        same = self._known.get(inode)
        if same is not None and self.matches(path, same):
            offset = same.offset
        else:
            offset = max((mark.offset for mark in marks if mark.span and self.matches(path, mark)), default=0)
        file = self._open(path, offset)
        if file is None:
            return
        self._known[inode] = file.mark()
        if size > offset:
            self.files.append(file)
        else:
            os.close(file.fd)

    @staticmethod
    def matches(path: Path, mark: Mark) -> bool:
        """Whether a file has the bytes that stood before the mark."""
        try:
            with open(path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), mark.span, mark.offset - mark.span)
        except OSError:
            return False
        return len(data) == mark.span and digest(data) == mark.check

    def _truncated(self, file: OpenFile) -> None:
        """Begin the file again; what a copy of it (logrotate's copytruncate) still holds is read before."""
        self.gap = f"{self.path} was truncated: lines written shortly before may be missing"
        mark = file.mark()
        held = {other.inode for other in self.files} | self._known.keys()
        for path, info in self._siblings() if mark.span else ():
            if info.st_ino not in held and self.matches(path, mark):
                copy = self._open(path, mark.offset)
                if copy is not None:
                    self._known[copy.inode] = copy.mark()
                    self.files.insert(self.files.index(file), copy)
                    break
        file.offset = 0
        with contextlib.suppress(OSError):  # a writer without O_APPEND leaves a hole of zeros before its lines
            hole = os.lseek(file.fd, 0, os.SEEK_DATA)
            data = os.pread(file.fd, 1 << 16, hole)
            file.offset = hole + len(data) - len(data.lstrip(b"\0"))
        file.splitter = LineSplitter(file.offset)

    def _let_go(self) -> None:
        """Close rotated files that nobody writes to."""
        now = time.monotonic()
        for file in self.files[:-1]:
            read = file.behind() == 0 and file.splitter.pending == 0
            if read and (now - file.changed > LINGER or len(self.files) > HELD):
                self.files.remove(file)
                self._known[file.inode] = file.mark()
                os.close(file.fd)

    def _resume(self, position: Position) -> None:
        """Open again what the marks name, then what came after them."""
        places = self.places()
        last = position.marks[-1]
        for mark in position.marks:
            path = self._place(mark, places)
            file = None if path is None else self._open(path, mark.offset)
            if file is not None:
                self.files.append(file)
            elif mark is last:
                self.gap = f"{self.path} was rotated or truncated meanwhile: lines before these may be missing"
        held = {file.inode for file in self.files}
        unrotated = bool(places) and places[-1][0] == self.path and places[-1][1] in held
        for path, info in self._siblings():
            if info.st_ino in held:
                continue
            newer = info.st_mtime > position.wall and not unrotated
            file = self._open(path, 0 if newer else info.st_size)
            if file is not None and newer:
                self.files.append(file)
            elif file is not None:
                self._known[file.inode] = file.mark()
                os.close(file.fd)
        self.missing, self.denied = "", False

    def _place(self, mark: Mark, places: list[tuple[Path, int]]) -> Path | None:
        """The file that a mark is of: the same inode and the same bytes before; else a copy of it."""
        fitting = [(path, inode) for path, inode in places if self.matches(path, mark)]
        for path, inode in fitting:
            if inode == mark.inode:
                return path
        return fitting[-1][0] if fitting and mark.span else None


def last_before(path: Path, marks: tuple[Mark, ...], limit: int) -> list[Piece]:
    """The last whole lines, about `limit` bytes of them, of what a position says was read of a log: of the file under
    this name and of its rotated ones."""
    places = Follower(path).places()
    found: list[Piece] = []
    for mark in reversed(marks):
        name = next((name for name, inode in places if inode == mark.inode and Follower.matches(name, mark)), None)
        if name is None or limit <= 0:
            continue
        begin = max(0, mark.offset - limit)
        with open(name, "rb") as file:
            file.seek(begin)
            data = file.read(mark.offset - begin)
        found[:0] = whole_lines(data, begin)
        limit -= len(data)
    return found
