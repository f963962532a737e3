"""Serial over LAN, the BMC's end (IPMI 2.0, section 15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from plasmatui.sim.machine import Machine

PAYLOAD_SIZE = 224
HEADER = 4
ACCUMULATE = 0.01
"""Seconds to wait for more characters before a packet is sent (SOL parameter 3)."""
RETRY_INTERVAL = 0.5
RETRIES = 7
BUFFER_SIZE = 65536

# status bits of a packet to the client, operation bits of one from it (table 15-2)
NACK, UNAVAILABLE, DEACTIVATED, OVERRUN = 0x40, 0x20, 0x10, 0x08
CLIENT_NACK, CLIENT_BREAK = 0x40, 0x10


class SolPort:
    """The serial line of a machine while a client has it activated. One packet is in flight at most.

    Args:
        send: sends a SOL payload to the client.

    Attributes:
        lost: characters of the machine that never reached the client: the buffer was full or retries ran out.
    """

    def __init__(self, machine: Machine, send: Callable[[bytes], None]) -> None:
        self._machine = machine
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._queue = bytearray()
        self._flight = b""
        self._sequence = 0
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._overrun = False
        self._peer_sequence = 0
        self._peer_accepted = 0
        self.lost = 0
        machine.line.attach(self._feed, lambda: len(self._queue))

    def close(self) -> None:
        self._machine.line.detach(self._feed)
        self._stop_timer()

    def receive(self, payload: bytes) -> None:
        """A SOL payload of the client: characters, a break, an acknowledgement, or several of these."""
        if len(payload) < HEADER:
            return
        sequence, acknowledged, accepted, operation = payload[0] & 15, payload[1] & 15, payload[2], payload[3]
        if sequence:
            self._characters(sequence, payload[HEADER:], operation)
        elif operation & CLIENT_BREAK:
            self._machine.send_break()
        if acknowledged and self._flight and acknowledged == self._sequence:
            self._acknowledge(accepted, bool(operation & CLIENT_NACK))

    def deactivated(self) -> None:
        """Tell the client that somebody else deactivated its payload."""
        self._send(bytes([0, 0, 0, DEACTIVATED | NACK]))

    def _characters(self, sequence: int, data: bytes, operation: int) -> None:
        new = sequence != self._peer_sequence
        if new:
            self._peer_sequence = sequence
            self._peer_accepted = len(data) if self._machine.powered else 0
        if not self._machine.powered:
            self._send(bytes([0, sequence, 0, NACK | UNAVAILABLE]))
            return
        self._send(bytes([0, sequence, self._peer_accepted, 0]))
        if new:
            if operation & CLIENT_BREAK:
                self._machine.send_break()
            self._machine.type(data)

    def _feed(self, data: bytes) -> None:
        room = BUFFER_SIZE - len(self._queue)
        if len(data) > room:
            self.lost += len(data) - room
            self._overrun = True
        self._queue += data[:room]
        if not self._flight and self._timer is None:
            self._timer = self._loop.call_later(ACCUMULATE, self._next)

    def _next(self) -> None:
        """Put the next characters into flight."""
        self._stop_timer()
        if not self._queue:
            return
        size = PAYLOAD_SIZE - HEADER
        self._flight = bytes(self._queue[:size])
        del self._queue[:size]
        self._sequence = self._sequence % 15 + 1
        self._tries = 0
        self._transmit()

    def _transmit(self) -> None:
        self._timer = None
        if self._tries > RETRIES:
            self.lost += len(self._flight)
            self._flight = b""
            self._next()
            return
        self._tries += 1
        self._send(bytes([self._sequence, 0, 0, OVERRUN if self._overrun else 0]) + self._flight)
        self._timer = self._loop.call_later(RETRY_INTERVAL, self._transmit)

    def _acknowledge(self, accepted: int, refused: bool) -> None:
        self._stop_timer()
        # Some clients acknowledge without a count: without a NACK that means all of it.
        rest = self._flight[accepted:] if refused or accepted else b""
        self._flight = b""
        self._overrun = False
        self._queue[:0] = rest
        if refused:
            self._timer = self._loop.call_later(RETRY_INTERVAL, self._next)
        else:
            self._next()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
