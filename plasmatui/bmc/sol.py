"""The serial console over an IPMI session: Serial Over LAN (IPMI 2.0, section 15 and 24).

`SolLink` is the state machine of one connection, without I/O of its own; `SolConsole` activates it on a session,
watches who owns it, and takes it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from plasmatui.bmc.controller import BmcError, BmcTarget
from plasmatui.bmc.rmcp import Reply
from plasmatui.bmc.session import LoopSession

log = logging.getLogger(__name__)

RETRY_AFTER: Final = 0.6
TRIES: Final = 7
NACK_FIRST, NACK_LONGEST, NACK_LIMIT = 0.02, 0.5, 5.0
"""Seconds: first and longest pause after a refused packet; after the limit what waits to be written is dropped."""
OWNER_CHECK: Final = 10.0
"""Seconds without a packet after which the BMC is asked who owns the console."""
CLOSE_LIMIT: Final = 2.0
QUEUE_LIMIT: Final = 1024 * 1024

# Status and operation bits of a SOL packet, IPMI 2.0 table 15-2
_NACK, _DEACTIVATED, _BREAK = 0x40, 0x10, 0x10  # the same bit is "deactivated" from, and "break" to the BMC
_HEADER: Final = 4

_APP: Final = 6
_ACTIVATE, _DEACTIVATE, _INSTANCE_INFO = 0x48, 0x49, 0x4B
_SOL_INSTANCE: Final = b"\x01\x01"
_ENCRYPT_AND_SIGN: Final = b"\xc0\x00\x00\x00"
# Completion codes of Activate Payload, IPMI 2.0 table 24-2
_ACTIVE_ELSEWHERE, _DISABLED, _TOO_MANY = 0x80, 0x81, 0x82


class Timer(Protocol):
    def cancel(self) -> None: ...


CallLater = Callable[[float, Callable[[], None]], Timer]


@dataclass
class _Packet:
    """What was sent and is not acknowledged yet."""

    sequence: int
    data: bytes
    is_break: bool
    tries: int = 0


class SolLink:
    """Both directions of a SOL connection: numbering, acknowledging, retransmission.

    Each direction has one packet in flight. Late packets never come here: the session drops what is older than the
    newest it has seen, so an equal sequence number is always a retransmission.

    Attributes:
        send: puts a SOL payload on the wire.
        on_data: gets what the machine says, in order, nothing twice.
        on_end: called at most once: why the link is over.
        chunk: the most characters that the BMC takes in one packet.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        on_data: Callable[[bytes], None],
        on_end: Callable[[str], None],
        call_later: CallLater,
        chunk: int,
    ) -> None:
        self._send, self._on_data, self._on_end = send, on_data, on_end
        self._call_later = call_later
        self._chunk = chunk
        self._queue: deque[bytes | None] = deque()  # None is a break
        self._queued = 0
        self._in_flight: _Packet | None = None
        self._timer: Timer | None = None
        self._sequence = 0
        self._nacked = 0.0
        self._their_sequence = 0
        self._their_length = 0
        self.open = True

    @property
    def queued(self) -> int:
        """Characters that wait to be acknowledged or sent."""
        return self._queued

    def write(self, data: bytes) -> None:
        if data and self.open:
            self._queue.append(data)
            self._queued += len(data)
            self._pump()

    def send_break(self) -> None:
        if self.open:
            self._queue.append(None)
            self._pump()

    def stop(self) -> None:
        """End without telling anybody."""
        self.open = False
        self._cancel_timer()
        self._in_flight = None
        self._queue.clear()
        self._queued = 0

    def received(self, payload: bytes) -> None:
        """A SOL payload of the BMC."""
        if not self.open or len(payload) < _HEADER:
            return
        sequence, acknowledged, count, status = payload[0] & 0x0F, payload[1] & 0x0F, payload[2], payload[3]
        if sequence:
            self._data(sequence, payload[_HEADER:])
        if status & _DEACTIVATED:
            self._end("the BMC ended it, or another client took it over")
        elif acknowledged and self._in_flight is not None and acknowledged == self._in_flight.sequence:
            self._acknowledged(self._in_flight, count, bool(status & _NACK))

    def _data(self, sequence: int, data: bytes) -> None:
        length = len(data)
        if sequence == self._their_sequence:
            # Sent again because the acknowledgement got lost; it may have grown meanwhile.
            data = data[self._their_length :]
            length = max(length, self._their_length)
        self._their_sequence, self._their_length = sequence, length
        # First the acknowledgement, for the BMC waits with its next packet until it has it.
        self._send(bytes((0, sequence, min(length, 255), 0)))
        if data:
            self._on_data(data)

    def _acknowledged(self, packet: _Packet, count: int, nack: bool) -> None:
        self._cancel_timer()
        self._in_flight = None
        # Some BMCs leave the count at 0 when they have taken everything.
        taken = count if nack or count else len(packet.data)
        rest = packet.data[taken:]
        self._queued -= len(packet.data) - len(rest)
        if taken or not nack:
            self._nacked = 0.0
        if not rest and not (packet.is_break and nack):
            self._pump()
            return
        pause = min(max(NACK_FIRST, self._nacked), NACK_LONGEST)
        self._nacked += pause
        if self._nacked > NACK_LIMIT:
            log.debug("nobody takes what is written: %d characters dropped", self._queued)
            self._queue.clear()
            self._queued, self._nacked = 0, 0.0
            return
        self._queue.appendleft(None if packet.is_break else rest)
        self._timer = self._call_later(pause, self._resume)

    def _resume(self) -> None:
        self._timer = None
        self._pump()

    def _pump(self) -> None:
        if self._in_flight is not None or self._timer is not None or not self._queue:
            return
        data = self._next_chunk()
        self._sequence = self._sequence % 15 + 1
        self._in_flight = _Packet(self._sequence, data or b"", data is None)
        self._transmit()

    def _next_chunk(self) -> bytes | None:
        """As many characters as one packet takes; None for a break."""
        first = self._queue.popleft()
        if first is None:
            return None
        parts, size = [first], len(first)
        while size < self._chunk and self._queue and self._queue[0] is not None:
            part = self._queue.popleft() or b""
            parts.append(part)
            size += len(part)
        data = b"".join(parts)
        if len(data) > self._chunk:
            self._queue.appendleft(data[self._chunk :])
        return data[: self._chunk]

    def _transmit(self) -> None:
        self._timer = None
        packet = self._in_flight
        if packet is None:
            return
        if packet.tries == TRIES:
            self._end(f"what was written is not acknowledged after {TRIES} tries")
            return
        packet.tries += 1
        self._timer = self._call_later(RETRY_AFTER, self._transmit)
        self._send(bytes((packet.sequence, 0, 0, _BREAK if packet.is_break else 0)) + packet.data)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, why: str) -> None:
        self.stop()
        self._on_end(why)


class Commander(Protocol):
    """What is needed of the controller."""

    target: BmcTarget

    @property
    def session(self) -> LoopSession | None: ...

    async def command(self, netfn: int, command: int, data: bytes = b"", *, limit: float = ...) -> Reply: ...

    def error(self, id: str, what: str) -> BmcError: ...  # noqa: A002


class SolConsole:
    """A `Console` over IPMI. Made and opened by `IpmiController.open_console`."""

    def __init__(self, bmc: Commander, on_data: Callable[[bytes], None], on_down: Callable[[str, str], None]) -> None:
        self._bmc = bmc
        self._on_data, self._on_down = on_data, on_down
        self._session: LoopSession | None = None
        self._link: SolLink | None = None
        self._watch: asyncio.Task[None] | None = None
        self._heard = 0.0
        self._over = False

    async def open(self, *, takeover: bool) -> None:
        """Activate SOL.

        Raises:
            BmcError: "sol-in-use" (not with `takeover`), "unsupported" (SOL is disabled), "rejected", or what the
                session suffers.
        """
        data = await self._activate(takeover)
        session = self._bmc.session
        if session is None:
            raise self._bmc.error("bmc-reset", "lost the session while its console was opened")
        loop = asyncio.get_running_loop()
        self._session, self._heard = session, loop.time()
        self._link = SolLink(session.send_sol, self._on_data, self._ended, loop.call_later, _chunk_size(data))
        session.sol_handler = self._received
        self._watch = asyncio.create_task(self._watch_owner(), name=f"console {self._bmc.target.node}")

    def write(self, data: bytes) -> None:
        """Queue bytes.

        Raises:
            BmcError: "rejected" when more waits than `QUEUE_LIMIT`.
        """
        if self._link is None:
            return
        if self._link.queued + len(data) > QUEUE_LIMIT:
            raise self._bmc.error("rejected", "takes what is written too slowly; nothing of the last piece was sent")
        self._link.write(data)

    def send_break(self) -> None:
        if self._link is not None:
            self._link.send_break()

    async def close(self) -> None:
        if self._over:
            return
        session = self._session
        self._stop()
        if session is not None and self._bmc.session is session:
            with contextlib.suppress(BmcError):
                await self._bmc.command(_APP, _DEACTIVATE, _SOL_INSTANCE + bytes(4), limit=CLOSE_LIMIT)

    async def end(self, id: str, message: str) -> None:  # noqa: A002
        """Close, and tell it to who opened it: the session is going to be closed."""
        if not self._over:
            await self.close()
            self._on_down(id, message)

    def down(self, id: str, message: str) -> None:  # noqa: A002
        """The console is over; told once."""
        if not self._over:
            self._stop()
            self._on_down(id, message)

    def _stop(self) -> None:
        self._over = True
        if self._link is not None:
            self._link.stop()
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()
        if self._session is not None:
            self._session.sol_handler = None

    def _received(self, payload: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        if self._link is not None:
            self._link.received(bytes(payload))

    def _ended(self, why: str) -> None:
        # Whether another client has it now shows when it is opened again; some BMCs also end it with the power.
        self.down("bmc-reset", self._bmc.error("", f"closed its console: {why}").message)

    async def _activate(self, takeover: bool) -> bytes:
        for _ in range(3):
            reply = await self._bmc.command(_APP, _ACTIVATE, _SOL_INSTANCE + _ENCRYPT_AND_SIGN)
            if reply.code == 0:
                return reply.data
            if reply.code not in (_ACTIVE_ELSEWHERE, _TOO_MANY):
                raise self._refused(reply.code)
            # It is our own when the answer to an earlier try got lost.
            if not takeover and not await self._is_ours():
                raise self._bmc.error("sol-in-use", "has its serial console open for another client")
            await self._bmc.command(_APP, _DEACTIVATE, _SOL_INSTANCE + bytes(4))
        raise self._bmc.error("sol-in-use", "gives its serial console back to another client at once")

    def _refused(self, code: int) -> BmcError:
        if code == _DISABLED:
            return self._bmc.error(
                "unsupported", "has SOL disabled; enable it: ipmitool sol set enabled true; ipmitool sol payload enable"
            )
        return self._bmc.error("rejected", f"refuses the serial console: code 0x{code:02x}")

    async def _owner(self) -> int | None:
        """The session that owns the console, 0 for none; None when the BMC cannot tell."""
        reply = await self._bmc.command(_APP, _INSTANCE_INFO, _SOL_INSTANCE)
        if reply.code or len(reply.data) < 4:
            return None
        return int.from_bytes(reply.data[:4], "little")

    async def _is_ours(self) -> bool:
        owner, session = await self._owner(), self._bmc.session
        return session is not None and owner == session.id

    async def _watch_owner(self) -> None:
        """A BMC says nothing when another client takes the console over: ask while it is silent.

        Asking also keeps the session from being idle, where nothing else uses it.
        """
        loop = asyncio.get_running_loop()
        while True:
            idle = loop.time() - self._heard
            if idle < OWNER_CHECK:
                await asyncio.sleep(OWNER_CHECK - idle)
                continue
            try:
                owner = await self._owner()
            except BmcError as error:
                self.down(error.id, error.message)
                return
            if self._over:
                return
            if owner is not None and self._session is not None and owner != self._session.id:
                self._lost_to(owner)
                return
            self._heard = loop.time()

    def _lost_to(self, owner: int) -> None:
        if owner:
            self.down("sol-in-use", self._bmc.error("", "gave its serial console to another client").message)
        else:
            self.down("bmc-reset", self._bmc.error("", "closed its serial console").message)


def _chunk_size(data: bytes) -> int:
    """Characters per packet from the answer to Activate Payload: its inbound size, less the header, within reason.

    Some BMCs give nonsense (0, or bytes swapped); the count in an acknowledgement has eight bits.
    """
    size = int.from_bytes(data[4:6], "little") if len(data) >= 6 else 0
    if size == 0 or size > 1024:
        return 32
    return min(size - _HEADER if size > 2 * _HEADER else size, 240)
