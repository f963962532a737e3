"""An IPMI 2.0 BMC on a UDP port: packets, sessions and who has the serial console. Commands stand elsewhere."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from plasmatui.sim import rmcp
from plasmatui.sim.machine import Machine
from plasmatui.sim.session import Answer, Privilege, Session, SessionTable, User
from plasmatui.sim.sol import SolPort

Address = tuple[str, int]

COLD_RESET_SECONDS = 1.0


class CommandError(Exception):
    """A command that ends with a completion code other than 0 (IPMI 2.0, section 5.2)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"completion code {code:#04x}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """A command that arrived: `session` is None before a session."""

    bmc: IpmiBmc
    session: Session | None
    request: rmcp.Request

    @property
    def data(self) -> bytes:
        return self.request.data

    @property
    def machine(self) -> Machine:
        return self.bmc.machine

    def byte(self, index: int) -> int:
        """A byte of the request.

        Raises:
            CommandError: 0xC7, the request is too short.
        """
        if index >= len(self.data):
            raise CommandError(0xC7)
        return self.data[index]


Handler = Callable[[Call], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """What answers a command. `privilege` None: allowed outside of a session too."""

    handler: Handler
    privilege: Privilege | None = Privilege.USER


class IpmiBmc(asyncio.DatagramProtocol):
    """One BMC.

    Args:
        commands: by network function and command number.
        changed: called when a session opens or ends.

    Attributes:
        owner: the session that has the serial console, with its port in `sol`.
        held: a client that we do not see has the console (the fault `sol-held`).
    """

    def __init__(
        self,
        machine: Machine,
        users: dict[bytes, User],
        slots: int,
        commands: dict[tuple[int, int], Command],
        changed: Callable[[], None],
    ) -> None:
        faults = machine.faults
        self.machine = machine
        self.owner: Session | None = None
        self.sol: SolPort | None = None
        self.held = False
        self.address, self.port = "", 0
        self.parameters: dict[tuple[int, int], bytes] = {}
        self.sessions = SessionTable(
            machine.identity.guid.bytes_le,
            users,
            slots,
            time.monotonic,
            self._session_closed,
            lambda: "bmc-slots" in faults,
            lambda: "bmc-auth" in faults,
        )
        self._commands = commands
        self._changed = changed
        self._transport: asyncio.DatagramTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._dead_until = 0.0
        self._lottery = random.Random(f"{machine.identity.seed}/{machine.name}/loss")  # noqa: S311 - no secret

    # Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.address, self.port = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if "bmc-dead" in self.machine.faults or self._unlucky() or time.monotonic() < self._dead_until:
            return
        try:
            packet = rmcp.parse(data)
        except rmcp.PacketError:
            return
        if isinstance(packet, rmcp.Ping):
            self._transmit(rmcp.pong(packet.tag), addr)
        elif isinstance(packet, rmcp.Packet15):
            self._plain(packet.message, addr, rmcp.frame15)
        else:
            self._packet20(packet, addr)

    def close(self) -> None:
        self.sessions.clear()
        if self._transport is not None:
            self._transport.close()

    def send(self, session: Session, payload_type: int, payload: bytes) -> None:
        """Send a payload in a session."""
        assert session.keys is not None
        session.sent += 1
        self._transmit(
            rmcp.seal(session.keys, payload_type, session.remote, session.sent, payload),
            session.address,
        )

    def _transmit(self, data: bytes, address: Address) -> None:
        if self._transport is None or self._transport.is_closing() or self._unlucky():
            return
        latency = self.machine.faults.number("bmc-latency")
        if latency:
            self._loop.call_later(latency / 1000, self._send_late, data, address)
        else:
            self._transport.sendto(data, address)

    def _send_late(self, data: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)

    def _unlucky(self) -> bool:
        share = self.machine.faults.number("bmc-loss")
        return share > 0 and self._lottery.random() < share

    # Packets

    def _packet20(self, packet: rmcp.Packet20, address: Address) -> None:
        opening: dict[int, Callable[[], Answer | None]] = {
            rmcp.PAYLOAD_OPEN_REQUEST: lambda: self.sessions.open(packet.payload, address),
            rmcp.PAYLOAD_RAKP1: lambda: self.sessions.rakp1(packet.payload),
            rmcp.PAYLOAD_RAKP3: lambda: self._opened(self.sessions.rakp3(packet.payload)),
        }
        if packet.payload_type in opening:
            answer = opening[packet.payload_type]()
            if answer is not None:
                self._transmit(rmcp.frame20(*answer), address)
            return
        if packet.session == 0:
            if packet.payload_type == rmcp.PAYLOAD_IPMI:
                self._plain(packet.payload, address, lambda message: rmcp.frame20(rmcp.PAYLOAD_IPMI, message))
            return
        session = self.sessions.get(packet.session)
        if session is None:
            return
        payload = self.sessions.receive(session, packet, address)
        if payload is None:
            return
        if packet.payload_type == rmcp.PAYLOAD_IPMI:
            self._message(session, payload)
        elif packet.payload_type == rmcp.PAYLOAD_SOL and session is self.owner and self.sol is not None:
            self.sol.receive(payload)

    def _plain(self, message: bytes, address: Address, frame: Callable[[bytes], bytes]) -> None:
        """A message outside of a session."""
        try:
            request = rmcp.parse_request(message)
        except rmcp.PacketError:
            return
        self._transmit(frame(request.response(*self._execute(Call(self, None, request)))), address)

    def _message(self, session: Session, payload: bytes) -> None:
        try:
            request = rmcp.parse_request(payload)
        except rmcp.PacketError:
            return
        code, data = self._execute(Call(self, session, request))
        self.send(session, rmcp.PAYLOAD_IPMI, request.response(code, data))
        if code:
            return
        if (request.netfn, request.command) == (0x06, 0x3C):  # Close Session: answered first, then obeyed
            if int.from_bytes(request.data[:4], "little") in (0, session.id):
                self.sessions.drop(session)
        elif (request.netfn, request.command) == (0x06, 0x02) and session.privilege >= Privilege.ADMIN:
            self.cold_reset()

    def _execute(self, call: Call) -> tuple[int, bytes]:
        """Completion code and data of a command."""
        command = self._commands.get((call.request.netfn, call.request.command))
        if command is None:
            return 0xC1, b""
        if command.privilege is not None and (call.session is None or call.session.privilege < command.privilege):
            return 0xD4, b""
        try:
            return 0, command.handler(call)
        except CommandError as error:
            return error.code, b""

    # Sessions and the console

    def _opened(self, answer: Answer | None) -> Answer | None:
        self._changed()
        return answer

    def _session_closed(self, session: Session) -> None:
        if session is self.owner:
            self.deactivate()
        self._changed()

    def activate(self, session: Session) -> None:
        """Give the serial console to a session."""
        self.owner = session
        self.sol = SolPort(self.machine, lambda payload: self.send(session, rmcp.PAYLOAD_SOL, payload))

    def deactivate(self) -> None:
        """Take the serial console from whoever has it."""
        if self.sol is not None:
            self.sol.close()
        self.owner, self.sol, self.held = None, None, False

    def cold_reset(self, *, pause: bool = True) -> None:
        """Restart the BMC: all sessions are gone, and for a moment it does not answer."""
        self.sessions.clear()
        self.held = False
        if pause:
            self._dead_until = time.monotonic() + COLD_RESET_SECONDS / self.machine.clock.speed
