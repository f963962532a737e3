"""Sessions of one BMC: opening them (RAKP), their slots, sequence numbers and end.

Facts are from "IPMI Specification v2.0, revision 1.1", sections 6.12 and 13.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from plasmatui.sim import rmcp

IDLE_LIMIT = 60.0
"""Seconds without a valid packet after which a session ends (section 6.12.15)."""

OPENING_LIMIT = 10.0
"""Seconds within which the four RAKP messages must have come."""

WINDOW = 32
"""How many sequence numbers below the highest one are remembered against replay."""


class Privilege(IntEnum):
    CALLBACK = 1
    USER = 2
    OPERATOR = 3
    ADMIN = 4


class Status(IntEnum):
    """RMCP+ status codes (table 13-15)."""

    OK = 0x00
    NO_RESOURCES = 0x01
    INVALID_SESSION = 0x02
    INVALID_AUTHENTICATION = 0x04
    INVALID_INTEGRITY = 0x05
    INVALID_ROLE = 0x09
    INVALID_NAME_LENGTH = 0x0C
    UNAUTHORIZED_NAME = 0x0D
    INVALID_CHECK_VALUE = 0x0F
    INVALID_CONFIDENTIALITY = 0x10
    NO_SUITE = 0x11


@dataclass(frozen=True, slots=True)
class User:
    """An account of the BMC. `limit` is the highest privilege that it may use."""

    password: bytes
    limit: Privilege = Privilege.ADMIN
    number: int = 2


class ReplayWindow:
    """Accepts each sequence number once (section 6.12.13); those too far behind never."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0

    @property
    def used(self) -> bool:
        return self._highest > 0

    def accept(self, sequence: int) -> bool:
        """Whether a packet with this number is new. Remembers it."""
        if sequence == 0:
            return False
        ahead = sequence - self._highest
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self._highest = sequence
            return True
        bit = 1 << -ahead
        if -ahead >= WINDOW or self._seen & bit:
            return False
        self._seen |= bit
        return True


@dataclass(slots=True, eq=False)
class Session:
    """A session, open or being opened.

    Attributes:
        remote: the client's id of it; id: ours.
        role: the byte of RAKP message 1: requested privilege and way of look-up.
        privilege: what commands may do now; limit: what Set Session Privilege Level may raise it to.
        last: time of the last valid packet.
    """

    id: int
    remote: int
    suite: rmcp.Suite
    address: tuple[str, int]
    last: float
    opened: bool = False
    remote_random: bytes = b""
    bmc_random: bytes = b""
    role: int = 0
    name: bytes = b""
    user: User | None = None
    keys: rmcp.SessionKeys | None = None
    privilege: Privilege = Privilege.USER
    limit: Privilege = Privilege.USER
    sent: int = 0
    window: ReplayWindow = field(default_factory=ReplayWindow)


Answer = tuple[int, bytes]
"""Payload type and payload of a packet outside of a session."""


class SessionTable:
    """The sessions of one BMC.

    Args:
        guid: 16 bytes, the BMC's identity in RAKP.
        users: accounts by name.
        slots: how many sessions may be open or opening.
        clock: monotonic seconds.
        closed: called with each session that ends, however it ends.
        full, wrong_password: faults, asked at each opening.
    """

    def __init__(
        self,
        guid: bytes,
        users: dict[bytes, User],
        slots: int,
        clock: Callable[[], float],
        closed: Callable[[Session], None],
        full: Callable[[], bool] = lambda: False,
        wrong_password: Callable[[], bool] = lambda: False,
    ) -> None:
        self.guid = guid
        self.users = users
        self.slots = slots
        self._clock = clock
        self._closed = closed
        self._full = full
        self._wrong_password = wrong_password
        self._sessions: dict[int, Session] = {}

    def __len__(self) -> int:
        """Sessions that are open; those being opened do not count."""
        return sum(session.opened for session in self._sessions.values())

    def get(self, number: int) -> Session | None:
        """The open session with this id."""
        session = self._sessions.get(number)
        return session if session is not None and session.opened else None

    def at(self, index: int) -> Session | None:
        """The index-th open session, counted from 1."""
        opened = [session for session in self._sessions.values() if session.opened]
        return opened[index - 1] if 0 < index <= len(opened) else None

    def drop(self, session: Session) -> None:
        if self._sessions.pop(session.id, None) is not None:
            self._closed(session)

    def clear(self) -> None:
        """Forget every session, as a BMC that restarts does."""
        for session in tuple(self._sessions.values()):
            self.drop(session)

    def expire(self) -> None:
        """End sessions that were idle for too long, and openings that were not finished."""
        if not self._sessions:
            return
        now = self._clock()
        for session in tuple(self._sessions.values()):
            if now - session.last > (IDLE_LIMIT if session.opened else OPENING_LIMIT):
                self.drop(session)

    def receive(self, session: Session, packet: rmcp.Packet20, address: tuple[str, int]) -> bytes | None:
        """The payload of a packet in an open session; None when it is forged or a replay."""
        if session.keys is None:
            return None
        try:
            payload = rmcp.unseal(session.keys, packet)
        except rmcp.PacketError:
            return None
        if not session.window.accept(packet.sequence):
            return None
        session.last = self._clock()
        session.address = address
        return payload

    def open(self, payload: bytes, address: tuple[str, int]) -> Answer | None:
        """Answer an RMCP+ Open Session Request (section 13.17)."""
        if len(payload) < 32:
            return None
        self.expire()
        tag, remote = payload[0], struct.unpack_from("<I", payload, 4)[0]
        suite, status = _choose_suite(payload)
        if status is Status.OK and (self._full() or len(self._sessions) >= self.slots):
            status = Status.NO_RESOURCES
        if status is not Status.OK or suite is None:
            return rmcp.PAYLOAD_OPEN_RESPONSE, bytes([tag, status, 0, 0]) + struct.pack("<I", remote)
        session = Session(self._new_id(), remote, suite, address, self._clock())
        self._sessions[session.id] = session
        algorithms = b"".join(
            bytes([kind, 0, 0, 8, number, 0, 0, 0])
            for kind, number in ((0, suite.auth), (1, suite.integrity), (2, rmcp.CONFIDENTIALITY_AES))
        )
        head = bytes([tag, Status.OK, Privilege.ADMIN, 0]) + struct.pack("<II", remote, session.id)
        return rmcp.PAYLOAD_OPEN_RESPONSE, head + algorithms

    def rakp1(self, payload: bytes) -> Answer | None:
        """Answer RAKP message 1 with message 2 (section 13.20, 13.21)."""
        if len(payload) < 28:
            return None
        session = self._opening(payload)
        if session is None:
            return None
        tag, role, length = payload[0], payload[24], payload[27]
        name = payload[28 : 28 + length]
        user = self.users.get(name)
        wanted = role & 0x0F
        if length > 16 or len(name) != length:
            return self._refuse(session, rmcp.PAYLOAD_RAKP2, tag, Status.INVALID_NAME_LENGTH)
        if not Privilege.CALLBACK <= wanted <= Privilege.ADMIN:
            return self._refuse(session, rmcp.PAYLOAD_RAKP2, tag, Status.INVALID_ROLE)
        by_name_only = bool(role & 0x10)
        if user is None or (not by_name_only and wanted > user.limit):
            return self._refuse(session, rmcp.PAYLOAD_RAKP2, tag, Status.UNAUTHORIZED_NAME)
        session.name, session.user, session.role = name, user, role
        if session.remote_random != payload[8:24]:  # a repeated message gets the same answer
            session.remote_random, session.bmc_random = payload[8:24], os.urandom(16)
        session.limit = Privilege(min(wanted, user.limit))
        session.privilege = Privilege(min(session.limit, Privilege.USER))
        code = rmcp.rakp2_code(
            session.suite,
            self._key(user),
            session.remote,
            session.id,
            session.remote_random,
            session.bmc_random,
            self.guid,
            role,
            name,
        )
        head = bytes([tag, Status.OK, 0, 0]) + struct.pack("<I", session.remote)
        return rmcp.PAYLOAD_RAKP2, head + session.bmc_random + self.guid + code

    def rakp3(self, payload: bytes) -> Answer | None:
        """Answer RAKP message 3 with message 4 (section 13.22, 13.23); then the session is open."""
        if len(payload) < 8:
            return None
        session = self._sessions.get(struct.unpack_from("<I", payload, 4)[0])
        if session is None or session.window.used:  # before the first packet it may be a repeated message
            return None
        tag = payload[0]
        if payload[1] != Status.OK:
            self.drop(session)
            return None
        if session.user is None:
            return self._refuse(session, rmcp.PAYLOAD_RAKP4, tag, Status.INVALID_SESSION)
        key = self._key(session.user)
        code = rmcp.rakp3_code(session.suite, key, session.bmc_random, session.remote, session.role, session.name)
        if not hmac.compare_digest(code, payload[8:]):
            return self._refuse(session, rmcp.PAYLOAD_RAKP4, tag, Status.INVALID_CHECK_VALUE)
        session.keys = rmcp.session_keys(
            session.suite, key, session.remote_random, session.bmc_random, session.role, session.name
        )
        session.opened = True
        session.last = self._clock()
        head = bytes([tag, Status.OK, 0, 0]) + struct.pack("<I", session.remote)
        check = rmcp.rakp4_code(session.suite, session.keys.sik, session.remote_random, session.id, self.guid)
        return rmcp.PAYLOAD_RAKP4, head + check

    def _key(self, user: User) -> bytes:
        return user.password + b"!" if self._wrong_password() else user.password

    def _opening(self, payload: bytes) -> Session | None:
        session = self._sessions.get(struct.unpack_from("<I", payload, 4)[0])
        if session is None:
            return None
        return None if session.opened else session

    def _refuse(self, session: Session, kind: int, tag: int, status: Status) -> Answer:
        self.drop(session)
        return kind, bytes([tag, status, 0, 0]) + struct.pack("<I", session.remote)

    def _new_id(self) -> int:
        while True:
            number = int.from_bytes(os.urandom(4), "little")
            if number and number not in self._sessions:
                return number


def _choose_suite(payload: bytes) -> tuple[rmcp.Suite | None, Status]:
    """The suite that an Open Session Request proposes. A record of length 0 leaves the choice to the BMC."""
    auth, integrity, confidentiality = (payload[offset + 4] if payload[offset + 3] else None for offset in (8, 16, 24))
    by_auth = [suite for suite in rmcp.SUITES if auth in (None, suite.auth)]
    if not by_auth:
        return None, Status.INVALID_AUTHENTICATION
    if confidentiality not in (None, rmcp.CONFIDENTIALITY_AES):
        return None, Status.INVALID_CONFIDENTIALITY
    if integrity not in (None, *(suite.integrity for suite in rmcp.SUITES)):
        return None, Status.INVALID_INTEGRITY
    by_integrity = [suite for suite in by_auth if integrity in (None, suite.integrity)]
    return (by_integrity[-1], Status.OK) if by_integrity else (None, Status.NO_SUITE)
