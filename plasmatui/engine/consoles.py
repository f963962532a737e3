"""The consoles between the BMCs and the clients: recorded always, read by many, written by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from plasmatui.engine.ports import ClientId, ConsoleSink, Keeper, ProblemError
from plasmatui.engine.recorder import Recorder
from plasmatui.engine.recording import SegmentFiles
from plasmatui.engine.store import Store
from plasmatui.model import wire
from plasmatui.model.event import ConsoleChanged
from plasmatui.model.node import ConsoleState, PenHolder
from plasmatui.model.operation import NOWHERE, Origin
from plasmatui.model.words import ConsoleStatus

LINGER = 600.0
"""Seconds that a console stays open under the policy "watched" after the last need of it."""

COALESCE = 0.015
"""Seconds: bytes that follow each other faster are sent to readers together."""

TALLY = 60.0
"""Seconds after which written bytes are audited while somebody goes on writing."""

MAX_HISTORY = 4 * 1024 * 1024
"""Bytes of a recording that one answer carries at most."""


@dataclass
class _Line:
    """One node's console."""

    keeper: ConsoleState = field(default_factory=ConsoleState)  # its standing as the keeper says
    readers: dict[int, ConsoleSink] = field(default_factory=dict)
    pen: PenHolder | None = None
    origin: Origin = NOWHERE  # where the pen's holder is
    written: int = 0  # bytes by the pen's holder that are not audited yet
    tally: asyncio.TimerHandle | None = None
    outgoing: bytearray = field(default_factory=bytearray)
    outgoing_offset: int = 0
    sender: asyncio.TimerHandle | None = None
    sent: float = 0.0
    needed: float = 0.0  # monotonic; last time that somebody needed it


class ConsoleHub:
    """All consoles of an engine.

    Args:
        directory: where recordings are kept, one directory per node.
        always: policy "always": every node with a BMC is recorded; else only those that are watched.
        busy: nodes that an operation holds now.
        tap: given all bytes of all consoles as they come.
        make_files: as `SegmentFiles`; tests give files that fail.
    """

    def __init__(
        self,
        directory: Path,
        store: Store,
        *,
        always: bool,
        busy: Callable[[], frozenset[str]],
        tap: Callable[[str, bytes], None] = lambda _, __: None,
        make_files: Callable[[Path], SegmentFiles] = SegmentFiles,
    ) -> None:
        self.keeper: Keeper | None = None
        self.always = always
        self._store = store
        self._busy = busy
        self._tap = tap
        self._recorder = Recorder(directory, self._publish, lambda text: store.notice("recordings", text), make_files)
        self._lines: dict[str, _Line] = {}
        self._wanted: frozenset[str] = frozenset()
        self._lingering: asyncio.TimerHandle | None = None
        self._refreshing: asyncio.Handle | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self, nodes: Iterable[str], keeper: Keeper) -> None:
        """Find the recordings of `nodes` (those with a BMC) and begin to want their consoles."""
        self.keeper = keeper
        await self.replace(nodes)

    async def replace(self, nodes: Iterable[str]) -> None:
        """The nodes with a BMC are these from now on."""
        names = set(nodes)
        # A console that is served has a recording: new ones first, old ones last.
        await self._recorder.replace(names | self._lines.keys())
        for name in self._lines.keys() - names:
            self._forget(name)
        for name in sorted(names - self._lines.keys()):
            self._lines[name] = _Line()
        await self._recorder.replace(names)
        self.refresh()

    async def close(self) -> None:
        """Write what is in memory; the consoles themselves are the keeper's to close."""
        for handle in (self._lingering, self._refreshing):
            if handle is not None:
                handle.cancel()
        for name, line in self._lines.items():
            self._audit_written(name, line)
            for timer in (line.sender, line.tally):
                if timer is not None:
                    timer.cancel()
        await self._recorder.close()

    @property
    def open(self) -> int:
        """Consoles that are open now."""
        return len(self.open_nodes)

    @property
    def open_nodes(self) -> frozenset[str]:
        """The nodes whose console is open now."""
        return frozenset(node for node, line in self._lines.items() if line.keeper.status is ConsoleStatus.OPEN)

    @property
    def holds_engine(self) -> bool:
        """Whether recording is a reason for the engine to stay."""
        return self.always and bool(self._lines)

    def refresh_soon(self) -> None:
        """Many nodes may change at once: work out once, when all have."""
        if self._refreshing is None:
            self._refreshing = asyncio.get_running_loop().call_soon(self.refresh)

    def refresh(self) -> None:
        """Work out which consoles are wanted, after readers or operations changed."""
        self._refreshing = None
        now = time.monotonic()
        busy = self._busy()
        wanted = set()
        soonest = 0.0
        for name, line in self._lines.items():
            if line.readers or name in busy:
                line.needed = now
            end = line.needed + LINGER
            if self.always or (line.needed and end > now):
                wanted.add(name)
                soonest = min(soonest or end, end)
        if not self.always and wanted:
            if self._lingering is not None:
                self._lingering.cancel()
            delay = max(1.0, soonest - now)
            self._lingering = asyncio.get_running_loop().call_later(delay, self.refresh)
        if wanted != self._wanted:
            self._wanted = frozenset(wanted)
            if self.keeper is not None:
                self.keeper.want(self._wanted)
            for name in self._lines:
                self._publish(name)

    # --- from the BMCs --------------------------------------------------------------------------------------------

    def on_data(self, node: str, data: bytes) -> None:
        """Bytes came from a machine."""
        line = self._lines.get(node)
        if line is None or not data:
            return
        offset = self._recorder.append(node, data)
        self._tap(node, data)
        if not line.readers:
            return
        if not line.outgoing:
            line.outgoing_offset = offset
        line.outgoing += data
        if line.sender is None:
            loop = asyncio.get_running_loop()
            delay = line.sent + COALESCE - loop.time()
            if delay <= 0 or len(line.outgoing) > 16384:
                self._send(node)
            else:
                line.sender = loop.call_later(delay, self._send, node)

    def on_state(self, node: str, state: ConsoleState) -> None:
        """The keeper says how it stands with a console."""
        line = self._lines.get(node)
        if line is not None:
            line.keeper = state
            self._publish(node)

    # --- for the clients ------------------------------------------------------------------------------------------

    async def read(self, node: str, client: int, sink: ConsoleSink, history: int) -> wire.ConsoleOpened:
        """Begin to read: the past up to now; whatever comes later goes to `sink`."""
        line = self._line(node)
        recording = self._recorder.recording(node)
        wanted = min(history, MAX_HISTORY)
        offset, data = await self.history(node, max(recording.start, recording.end - wanted), wanted)
        if offset + len(data) < recording.oldest_in_memory:
            offset, data = recording.oldest_in_memory, b""
        rest = recording.recent(offset + len(data), recording.end)
        data += rest[1] if rest is not None else b""
        # From here on nothing may wait, so that no byte comes between the past and the first push.
        self._send(node)
        line.readers[client] = sink
        self.refresh()
        self._publish(node)
        return wire.ConsoleOpened(self.state(node), offset, data)

    async def history(self, node: str, offset: int, length: int) -> tuple[int, bytes]:
        """At most `length` bytes of the recording from `offset` on; they may begin later than asked."""
        self._line(node)
        return await self._recorder.read(node, offset, max(0, min(length, MAX_HISTORY)))

    async def since(self, node: str, wall: float, limit: int) -> tuple[bytes, tuple[tuple[float, int], ...]]:
        """What was recorded since a time: the last `limit` bytes of it at most, and (Unix seconds, bytes) of them."""
        return await self._recorder.since(node, wall, limit) if node in self._lines else (b"", ())

    async def until(self, node: str, wall: float, limit: int) -> tuple[int, bytes]:
        """The last `limit` bytes of the recording as it was at a time, and the offset of the first of them."""
        return await self._recorder.until(node, wall, limit) if node in self._lines else (0, b"")

    def leave(self, node: str, client: int) -> None:
        """A client reads no more; the pen goes with it."""
        line = self._lines.get(node)
        if line is None:
            return
        line.readers.pop(client, None)
        self.give_back(node, client)
        line.needed = time.monotonic()
        self.refresh()
        self._publish(node)

    def leave_all(self, client: int) -> None:
        """A client is gone."""
        for node, line in self._lines.items():
            if client in line.readers or (line.pen is not None and line.pen.client == client):
                self.leave(node, client)

    def take_pen(self, node: str, client: ClientId, *, steal: bool) -> ConsoleState:
        """Give the right to write to `client`; from another only when it is to be stolen."""
        line = self._line(node)
        holder = line.pen
        if holder is not None and holder.client == client.number:
            return self.state(node)
        if holder is not None and not steal:
            raise ProblemError(
                "pen-held",
                f"{holder.user} on {holder.terminal} writes on the console of {node}; take it over with --steal "
                "or the steal key",
            )
        if holder is not None:
            self._audit_written(node, line)
            text = f"took the console from {holder.user} on {holder.terminal}"
            self._store.audit(client.user, node, text, origin=client.origin)
        else:
            self._store.audit(client.user, node, "took the console to write on it", origin=client.origin)
        line.pen = PenHolder(client.number, client.user, client.terminal, time.time())
        line.origin = client.origin
        self._publish(node)
        return self.state(node)

    def give_back(self, node: str, client: int) -> ConsoleState:
        """The client writes no more."""
        line = self._line(node)
        if line.pen is not None and line.pen.client == client:
            self._audit_written(node, line)
            line.pen = None
            self._publish(node)
        return self.state(node)

    def write(self, node: str, client: int, data: bytes) -> None:
        """Send bytes to the machine. What they are is nobody's business: they may be a password."""
        line = self._with_pen(node, client)
        self._keeper().write(node, data)
        line.written += len(data)
        if line.tally is None:
            line.tally = asyncio.get_running_loop().call_later(TALLY, self._audit_written, node, line)

    def send_break(self, node: str, client: ClientId) -> None:
        self._with_pen(node, client.number)
        self._keeper().send_break(node)
        self._store.audit(client.user, node, "sent a serial break", origin=client.origin)

    async def reopen(self, node: str, client: ClientId, *, takeover: bool) -> ConsoleState:
        """Close and open the console now."""
        self._line(node)
        text = "takes the console over" if takeover else "reopens the console"
        self._store.audit(client.user, node, text, origin=client.origin)
        self._lines[node].needed = time.monotonic()
        self.refresh()
        await self._keeper().reopen(node, takeover=takeover)
        return self.state(node)

    def state(self, node: str) -> ConsoleState:
        """The console as clients see it: the keeper's standing with ours."""
        line = self._line(node)
        recording = self._recorder.recording(node)
        problem = self._recorder.problem(node)
        return msgspec.structs.replace(
            line.keeper,
            message=line.keeper.message or problem,
            recording=node in self._wanted and not problem,
            readers=len(line.readers),
            pen=line.pen,
            end=recording.end,
            start=recording.start,
        )

    # --- inside ---------------------------------------------------------------------------------------------------

    def _line(self, node: str) -> _Line:
        line = self._lines.get(node)
        if line is None:
            raise ProblemError("no-bmc", f"{node} has no console: the inventory names no BMC for it")
        return line

    def _with_pen(self, node: str, client: int) -> _Line:
        line = self._line(node)
        if line.pen is None:
            raise ProblemError("pen-held", f"take the console of {node} before you write on it")
        if line.pen.client != client:
            raise ProblemError("pen-held", f"{line.pen.user} on {line.pen.terminal} writes on the console of {node}")
        return line

    def _keeper(self) -> Keeper:
        assert self.keeper is not None, "started before clients are served"
        return self.keeper

    def _forget(self, name: str) -> None:
        line = self._lines.pop(name)
        self._audit_written(name, line)
        if line.sender is not None:
            line.sender.cancel()

    def _publish(self, node: str) -> None:
        self._store.tell(node, "console", ConsoleChanged(self.state(node)))

    def _send(self, node: str) -> None:
        """Send to the readers what has gathered."""
        line = self._lines.get(node)
        if line is None:
            return
        if line.sender is not None:
            line.sender.cancel()
            line.sender = None
        if not line.outgoing:
            return
        line.sent = asyncio.get_running_loop().time()
        data = wire.ConsoleData(node, line.outgoing_offset, bytes(line.outgoing))
        line.outgoing.clear()
        frame = wire.encode(data)
        for sink in tuple(line.readers.values()):
            sink(data, frame)

    def _audit_written(self, node: str, line: _Line) -> None:
        if line.tally is not None:
            line.tally.cancel()
            line.tally = None
        if line.written and line.pen is not None:
            text = f"wrote {line.written} bytes to the console"
            self._store.audit(line.pen.user, node, text, origin=line.origin)
        line.written = 0
