"""A log file on another host, read by `tail` and looked at by `stat` over one connection.

`tail -f` follows the file that it opened, not its name, so each byte's place in which file is known; rotations are
found by inode, and what was written to the old file is fetched from wherever it was moved. GNU tail tells of a
truncation among its output (coreutils manual, "tail invocation", --follow).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from plasmatui.model.command import CommandError, Commands, CommandStream
from plasmatui.text import decode
from plasmatui.watch.sources.base import LogLine, Mark, OnBatch, OnState, Position, SourceStatus, Start
from plasmatui.watch.sources.follower import LINGER, is_rotation_of
from plasmatui.watch.sources.process import RECALL_LIMIT, output_of
from plasmatui.watch.sources.splitter import SPAN, LineSplitter, Piece, digest, whole_lines
from plasmatui.watch.sources.supervised import Pauses, SourceTroubleError, Supervised

LIST: Final = (
    'stat -L -c "%i %s %Y %n" -- "$1" "$1".[0-9]* "$1"-[0-9]* "$1".old 2>/dev/null; [ -r "$1" ] || echo unreadable'
)
FETCH: Final = 'exec tail -c "+$1" -- "$2"'
PART: Final = 'tail -c "+$1" -- "$2" | head -c "$3"'
FOLLOW: Final = 'LC_ALL=C exec tail -c "+$1" -f -- "$2" 2>&1'
_LOOK: Final = 2.0
_PATIENCE: Final = 3.0
_BATCH: Final = 256
_ASK_LIMIT: Final = 30.0


class RemoteFile(NamedTuple):
    name: str
    inode: int
    size: int
    mtime: int


@dataclass
class Track:
    """One file that is read, its splitter, and what must stand before its offset when that was not read by us."""

    inode: int
    splitter: LineSplitter
    check: str = ""
    span: int = 0
    doubted: int = -1
    changed: float = field(default_factory=time.monotonic)

    def mark(self) -> Mark:
        before = self.splitter.before
        if before or not self.span:
            return Mark(self.inode, self.splitter.offset, digest(before), len(before))
        return Mark(self.inode, self.splitter.offset, self.check, self.span)

    def rewind(self) -> Mark:
        """Forget what was read and not delivered."""
        mark = self.mark()
        self.check, self.span = mark.check, mark.span
        self.splitter = LineSplitter(mark.offset, self.splitter.before)
        return mark


class _ReplacedError(Exception):
    """The file no longer holds what was read from it."""


class RemoteFileSource(Supervised):
    """`commands` starts programs on the host; see `model.command`."""

    def __init__(
        self,
        name: str,
        path: str,
        commands: Commands,
        on_batch: OnBatch,
        *,
        on_state: OnState | None = None,
        start: Start | float = Start.END,
        position: Position | None = None,
        look_every: float = _LOOK,
        patience: float = _PATIENCE,
        pauses: Pauses | None = None,
    ) -> None:
        super().__init__(name, on_batch, on_state, position, pauses)
        self.path = path
        self._commands = commands
        self._start = start
        self._look_every = look_every
        self._patience = patience
        self._gap = ""
        self._seen: set[int] = set()
        """Inodes of older files at the last look."""
        self._tracks = [
            Track(mark.inode, LineSplitter(mark.offset), mark.check, mark.span) for mark in self.position.marks
        ]

    async def recall(self, limit: int) -> tuple[LogLine, ...]:
        if not self.position.marks:
            return ()
        listing = {file.inode: file for file in await self._list()}
        pieces: list[Piece] = []
        for mark in reversed(self.position.marks):
            file = listing.get(mark.inode)
            if file is None or file.size < mark.offset or limit <= 0:
                continue
            begin = max(0, mark.offset - max(limit, mark.span))
            part = str(begin + 1), file.name, str(mark.offset - begin)
            data = await output_of(self._commands, ["sh", "-c", PART, "sh", *part], RECALL_LIMIT)
            if len(data) == mark.offset - begin and digest(data[len(data) - mark.span :]) == mark.check:
                pieces[:0] = whole_lines(data, begin)
            limit -= len(data)
        return self._numbered([(piece.raw, piece.offset, None) for piece in pieces])

    async def _follow(self) -> None:
        for track in self._tracks:
            track.rewind()
        while True:
            listing = await self._list()
            if listing and listing[0].name == self.path:
                await self._arrange(listing)
                self._say(SourceStatus.RUNNING)
                await self._stream(self._tracks[-1])
            else:
                self._start = Start.BEGINNING
                self._say(SourceStatus.WAITING, f"{self.path} on {self._commands.name} does not exist yet")
                await asyncio.sleep(self._look_every)

    async def _list(self) -> list[RemoteFile]:
        """The file, if it exists, then its older ones, the oldest first."""
        said = await self._ask("sh", "-c", LIST, "sh", self.path)
        files = []
        for line in said.splitlines():
            parts = line.split(" ", 3)
            if len(parts) == 4 and all(part.isdigit() for part in parts[:3]):
                files.append(RemoteFile(parts[3], int(parts[0]), int(parts[1]), int(parts[2])))
        current = [file for file in files if file.name == self.path]
        if current and "unreadable" in said.splitlines():
            raise SourceTroubleError(
                f"{self.path} on {self._commands.name}: permission denied; let the user of `ssh` in the inventory "
                "read it, usually by adding that user to group adm there",
                lasting=True,
            )
        base = PurePosixPath(self.path).name
        older = [file for file in files if is_rotation_of(base, PurePosixPath(file.name).name)]
        return current + sorted(older, key=lambda file: file.mtime)

    async def _ask(self, *argv: str) -> str:
        """All that a short program prints."""
        try:
            async with asyncio.timeout(_ASK_LIMIT):
                stream = await self._commands.run(argv)
                try:
                    said = b""
                    while data := await stream.read():
                        said += data
                finally:
                    await stream.close()
        except TimeoutError as error:
            raise CommandError("ssh-lost", f"{self._commands.name} does not answer; it is tried again") from error
        if stream.status not in (0, None):
            raise SourceTroubleError(f"{argv[0]} on {self._commands.name} failed: {stream.errors.strip()[-200:]}")
        return decode(said)

    async def _arrange(self, listing: list[RemoteFile]) -> None:
        """Make the last track that of the current file; read what older files still have."""
        current, older = listing[0], listing[1:]
        if not self._tracks:
            offset = current.size if self._start is Start.END else 0
            self._tracks.append(Track(current.inode, LineSplitter(offset)))
            self._pass([])
            return
        last = self._tracks[-1]
        if last.inode == current.inode:
            if current.size < last.splitter.offset:
                self._begin_again(last)
        else:
            old = next((file for file in older if file.inode == last.inode), None)
            if old is None:
                self._gap = (
                    f"{self.path} on {self._commands.name} was replaced and its old file is gone: "
                    "lines before these may be missing"
                )
            held = {track.inode for track in self._tracks} | {current.inode}
            between = [file for file in older if old and file.inode not in held and self._is_new(file, old)]
            self._tracks += [Track(file.inode, LineSplitter()) for file in between]
            self._tracks.append(Track(current.inode, LineSplitter()))
        self._seen = {file.inode for file in older}
        await self._read_older(older)

    def _is_new(self, file: RemoteFile, old: RemoteFile) -> bool:
        """Whether a rotated file came after the one that was read; times are whole seconds, so they may be the same."""
        return file.mtime > old.mtime or (file.mtime == old.mtime and bool(self._seen) and file.inode not in self._seen)

    def _begin_again(self, track: Track) -> None:
        self._gap = f"{self.path} on {self._commands.name} was truncated: lines written shortly before may be missing"
        track.splitter, track.check, track.span = LineSplitter(), "", 0
        self._pass([])

    async def _read_older(self, older: list[RemoteFile]) -> None:
        by_inode = {file.inode: file for file in older}
        for track in self._tracks[:-1]:
            file = by_inode.get(track.inode)
            if file is not None and file.size > track.splitter.offset:
                track.rewind()
                try:
                    await self._read(track, await self._open(FETCH, track, file.name), follow=False)
                except _ReplacedError:
                    file = None
                track.changed = time.monotonic()
            if file is None or time.monotonic() - track.changed > LINGER:
                self._flush(track)
                self._tracks.remove(track)

    async def _open(self, script: str, track: Track, name: str) -> CommandStream:
        mark = track.rewind()
        return await self._commands.run(["sh", "-c", script, "sh", str(mark.offset - mark.span + 1), name])

    async def _stream(self, track: Track) -> None:
        """Follow the current file until it is another one, or no longer what it was."""
        try:
            await self._read(track, await self._open(FOLLOW, track, self.path), follow=True)
        except _ReplacedError:
            self._begin_again(track)

    async def _read(self, track: Track, stream: CommandStream, *, follow: bool) -> None:
        head, mark, looked = b"", track.mark(), time.monotonic()
        verified = mark.span == 0
        try:
            while True:
                try:
                    data = await asyncio.wait_for(stream.read(), self._look_every if follow else _ASK_LIMIT)
                except TimeoutError:
                    data = None
                if data == b"":
                    self._finish(stream, follow)
                    return
                if data:
                    track.changed = time.monotonic()
                    if not verified:
                        head += data
                        if len(head) < mark.span:
                            continue
                        if digest(head[: mark.span]) != mark.check:
                            raise _ReplacedError
                        track.splitter.before, data = head[: mark.span], head[mark.span :]
                        verified = True
                    if not await self._hand_on(track, data):
                        return
                elif time.monotonic() - track.changed > self._patience:
                    self._flush(track)
                if follow and time.monotonic() - looked >= self._look_every:
                    if await self._moved(track, quiet=data is None):
                        return
                    looked = time.monotonic()
        finally:
            await stream.close()

    def _finish(self, stream: CommandStream, follow: bool) -> None:
        if follow or stream.status not in (0, None):
            raise SourceTroubleError(
                f"tail on {self._commands.name} ended with status {stream.status}: {stream.errors.strip()[-200:]}"
            )

    async def _moved(self, track: Track, *, quiet: bool) -> bool:
        """Whether the stream must end: the name is another file's, or the file is shorter than what was read."""
        listing = await self._list()
        if not listing or listing[0].name != self.path:
            return False  # renamed, and nothing new yet: the old file may still grow
        current, older = listing[0], listing[1:]
        reached = track.splitter.offset + track.splitter.pending
        self._lag(max(0, current.size - reached) if current.inode == track.inode else current.size)
        if current.inode == track.inode:
            self._seen = {file.inode for file in older}
            if len(self._tracks) > 1:
                await self._read_older(older)
            return current.size < reached
        return quiet or any(file.inode == track.inode for file in older)

    async def _hand_on(self, track: Track, data: bytes) -> bool:
        """Split and deliver; False when tail says that the file was truncated."""
        said = f"tail: {self.path}: file truncated".encode()
        track.splitter.feed(data)
        while True:
            offset, before = track.splitter.offset, track.splitter.before
            pieces = track.splitter.take(_BATCH)
            for place, piece in enumerate(pieces):
                if piece.raw.endswith(said) and track.doubted != piece.offset:
                    # Perhaps a line of the log: the next stream begins here and compares what stands before.
                    track.doubted = piece.offset
                    kept = b"".join(earlier.raw + b"\n" for earlier in pieces[:place])
                    exact = len(kept) == piece.offset - offset  # no line ended in CR LF
                    before = (before + kept)[-SPAN:] if exact else b""
                    track.splitter = LineSplitter(piece.offset, before)
                    track.check, track.span = digest(before), len(before)
                    self._pass(pieces[:place])
                    return False
            if pieces:
                self._pass(pieces)
            await self._breathe()
            if len(pieces) < _BATCH:
                return True

    def _flush(self, track: Track) -> None:
        pieces = track.splitter.flush()
        if pieces:
            self._pass(pieces)

    def _pass(self, pieces: list[Piece]) -> None:
        number = self.position.number
        lines = [
            LogLine(self.name, count, raw, offset, None, cut)
            for count, (raw, offset, cut) in enumerate(pieces, number + 1)
        ]
        gap, self._gap = self._gap, ""
        marks = tuple(track.mark() for track in self._tracks)
        self._deliver(lines, Position(number + len(lines), time.time(), marks), gap)
