"""A unit's journal, here or on another host: `journalctl --follow --output=json`.

Fields and their encoding: systemd's JOURNAL_EXPORT_FORMATS, "Journal JSON Format" (binary values are arrays of
numbers, a field that occurs several times is an array of values, values over 4096 bytes are null without --all).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from plasmatui.model.command import Commands, CommandStream
from plasmatui.watch.sources.base import LogLine, OnBatch, OnState, Position, SourceStatus, Start
from plasmatui.watch.sources.process import RECALL_LIMIT, output_of
from plasmatui.watch.sources.splitter import LINE_LIMIT, LineSplitter
from plasmatui.watch.sources.supervised import Pauses, SourceTroubleError, Supervised

_FIELDS: Final = "MESSAGE,SYSLOG_IDENTIFIER,_COMM,_PID"
_ENTRY_LIMIT: Final = 4 << 20
"""Bytes of an entry: JSON of a binary message takes four bytes for one."""
_USUAL: Final = 100
"""Bytes of a usual message."""
_LOOK: Final = 2.0
_BATCH: Final = 256
_DENIED: Final = ("insufficient permissions", "not seeing messages from other users")


class Entry(msgspec.Struct):
    """The fields of an entry that are used."""

    cursor: str = msgspec.field(name="__CURSOR", default="")
    micros: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="")
    message: object = msgspec.field(name="MESSAGE", default=None)
    identifier: object = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)
    command: object = msgspec.field(name="_COMM", default=None)
    pid: object = msgspec.field(name="_PID", default=None)


_DECODER: Final = msgspec.json.Decoder(Entry)


def field_bytes(value: object) -> bytes:
    """A field's bytes: text, an array of numbers, or several values (one per line); b"" for null."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return _bytes_of(value) or b"\n".join(_bytes_of(item) for item in value)
    return b""


def _bytes_of(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, list) and value and all(isinstance(item, int) and 0 <= item < 256 for item in value):
        return bytes(value)
    return b""


def wall_of(entry: Entry) -> float | None:
    """When an entry was made, in Unix seconds; None when it does not say, or says nonsense."""
    micros = entry.micros
    return int(micros) / 1e6 if micros.isascii() and micros.isdecimal() and len(micros) < 20 else None


def entry_of(raw: bytes) -> Entry | None:
    """An entry of its JSON; None when it is none."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class JournalSource(Supervised):
    """Lines read like syslog's without its time: `in.tftpd[812]: RRQ from ...`; the time is `LogLine.wall`."""

    def __init__(
        self,
        name: str,
        unit: str,
        commands: Commands,
        on_batch: OnBatch,
        *,
        on_state: OnState | None = None,
        start: Start | float = Start.END,
        position: Position | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        super().__init__(name, on_batch, on_state, position, pauses)
        self.unit = unit
        self._commands = commands
        self._begin = time.time() if start is Start.END else 0.0 if start is Start.BEGINNING else float(start)
        self._gap = ""

    def argv(self) -> list[str]:
        """The command, from where the source is."""
        argv = ["journalctl", "--follow", "--output=json", "--all", "--no-pager", f"--output-fields={_FIELDS}"]
        argv += ["--no-tail", f"--unit={self.unit}"]
        if self.position.cursor:
            argv.append(f"--after-cursor={self.position.cursor}")
        elif self.position.wall or self._begin:
            argv.append(f"--since=@{self.position.wall or self._begin:.6f}")
        return argv

    async def recall(self, limit: int) -> tuple[LogLine, ...]:
        if not self.position.cursor or not self.position.wall:
            return ()
        argv = ["journalctl", "--output=json", "--all", "--no-pager", f"--output-fields={_FIELDS}"]
        argv += [f"--unit={self.unit}", f"--until=@{self.position.wall:.6f}", f"--lines={max(1, limit // _USUAL)}"]
        splitter = LineSplitter(limit=_ENTRY_LIMIT)
        splitter.feed(await output_of(self._commands, argv, RECALL_LIMIT))
        raws: list[tuple[bytes, int, float | None]] = []
        for piece in splitter.take(limit):
            entry = entry_of(piece.raw)
            if entry is None:
                continue
            wall = wall_of(entry)
            raws += [(text, 0, wall) for text in self._texts(entry)]
            if entry.cursor == self.position.cursor:
                break
            await asyncio.sleep(0)
        return self._numbered(raws)

    async def _follow(self) -> None:
        stream = await self._commands.run(self.argv())
        try:
            await self._read(stream)
        finally:
            await stream.close()
        self._explain(stream)

    async def _read(self, stream: CommandStream) -> None:
        splitter = LineSplitter(limit=_ENTRY_LIMIT)
        self._say(SourceStatus.RUNNING)
        while True:
            try:
                data = await asyncio.wait_for(stream.read(), _LOOK)
            except TimeoutError:
                self._complain(stream)
                continue
            if not data:
                return
            splitter.feed(data)
            while True:
                pieces = splitter.take(_BATCH)
                if pieces:
                    self._pass([piece.raw for piece in pieces], splitter.pending)
                await self._breathe()
                if len(pieces) < _BATCH:
                    break

    def _complain(self, stream: CommandStream) -> None:
        """A journal that shows nothing because it may not be read looks like a silent one."""
        if any(words in stream.errors for words in _DENIED):
            raise SourceTroubleError(self._denied(), lasting=True)

    def _denied(self) -> str:
        return (
            f"the journal of {self.unit} on {self._commands.name} may not be read by this user; "
            "add the user to group systemd-journal"
        )

    def _explain(self, stream: CommandStream) -> None:
        """Raise for a journalctl that has ended."""
        self._complain(stream)
        said = stream.errors.strip().splitlines()
        if self.position.cursor and any("cursor" in line for line in said):
            self.position = msgspec.structs.replace(self.position, cursor="")
            self._gap = (
                f"the journal of {self.unit} no longer has the place read up to: lines may be missing or repeated"
            )
        lasting = stream.status == 127
        if lasting:
            message = f"journalctl is not installed on {self._commands.name}; name a log file instead"
        else:
            message = f"journalctl on {self._commands.name} ended with status {stream.status}: {' '.join(said[-2:])}"
        raise SourceTroubleError(message.rstrip(": "), lasting=lasting)

    def _pass(self, entries: list[bytes], waiting: int) -> None:
        lines: list[LogLine] = []
        number, cursor, wall = self.position.number, self.position.cursor, self.position.wall
        for raw in entries:
            entry = entry_of(raw)
            if entry is None:
                self._gap = (
                    f"journalctl on {self._commands.name} printed something that is not an entry; it was left out"
                )
                continue
            cursor = entry.cursor or cursor
            made = wall_of(entry)
            wall = wall if made is None else made
            for text in self._texts(entry):
                number += 1
                lines.append(LogLine(self.name, number, text, 0, wall))
        late = time.time() - wall if waiting and wall else 0.0
        self._lag(waiting, late)
        gap, self._gap = self._gap, ""
        self._deliver(lines, Position(number, wall, (), cursor), gap)

    @staticmethod
    def _texts(entry: Entry) -> list[bytes]:
        who = field_bytes(entry.identifier) or field_bytes(entry.command)
        pid = field_bytes(entry.pid)
        prefix = who + (b"[" + pid + b"]" if pid else b"") + b": " if who else b""
        message = field_bytes(entry.message).rstrip(b"\r\n")
        return [(prefix + line.rstrip(b"\r"))[:LINE_LIMIT] for line in message.split(b"\n")]
