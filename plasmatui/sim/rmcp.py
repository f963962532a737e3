"""RMCP, IPMI 1.5 and IPMI 2.0 packets, messages and their cryptography, seen from the BMC.

Facts are from "IPMI Specification v2.0, revision 1.1" (section numbers below) and ASF 2.0 for the presence ping.
Everything here is pure: bytes in, values out.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RMCP_IPMI = b"\x06\x00\xff\x07"
RMCP_ASF = b"\x06\x00\xff\x06"
_ASF_IANA = b"\x00\x00\x11\xbe"

AUTH_NONE = 0x00
AUTH_RMCPP = 0x06

PAYLOAD_IPMI = 0x00
PAYLOAD_SOL = 0x01
PAYLOAD_OPEN_REQUEST = 0x10
PAYLOAD_OPEN_RESPONSE = 0x11
PAYLOAD_RAKP1 = 0x12
PAYLOAD_RAKP2 = 0x13
PAYLOAD_RAKP3 = 0x14
PAYLOAD_RAKP4 = 0x15


class PacketError(ValueError):
    """Bytes that are no valid packet or message; a BMC drops them silently."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite (table 22-20). `icv` is the length of integrity codes in bytes; all use AES-CBC-128."""

    number: int
    auth: int
    integrity: int
    digest: str
    icv: int

    @property
    def digest_size(self) -> int:
        return hashlib.new(self.digest).digest_size

    def mac(self, key: bytes, *parts: bytes) -> bytes:
        return hmac.digest(key, b"".join(parts), self.digest)


SUITE_3 = Suite(number=3, auth=1, integrity=1, digest="sha1", icv=12)
SUITE_17 = Suite(number=17, auth=3, integrity=4, digest="sha256", icv=16)
SUITES = (SUITE_3, SUITE_17)
CONFIDENTIALITY_AES = 1


@dataclass(frozen=True, slots=True)
class Ping:
    """An ASF presence ping (section 13.2.3)."""

    tag: int


@dataclass(frozen=True, slots=True)
class Packet15:
    """An IPMI 1.5 packet without authentication: what comes before a session."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Packet20:
    """An IPMI 2.0 packet (section 13.6). `body` are the bytes that an integrity code covers, when there is one."""

    payload_type: int
    encrypted: bool
    authenticated: bool
    session: int
    sequence: int
    payload: bytes
    body: bytes = b""


def parse(data: bytes) -> Ping | Packet15 | Packet20:
    """Read a datagram.

    Raises:
        PacketError: it is too short, of another class, or its lengths lie.
    """
    if len(data) < 4 or data[0] != 6:
        raise PacketError("no RMCP packet")
    if data[3] == 6:
        if len(data) < 12 or data[4:8] != _ASF_IANA or data[8] != 0x80:
            raise PacketError("no ASF ping")
        return Ping(data[9])
    if data[3] != 7 or len(data) < 5:
        raise PacketError("no IPMI packet")
    if data[4] == AUTH_NONE:
        return _parse15(data)
    if data[4] == AUTH_RMCPP:
        return _parse20(data)
    raise PacketError(f"authentication type {data[4]} is not offered")


def _parse15(data: bytes) -> Packet15:
    if len(data) < 14 or len(data) < 14 + data[13]:
        raise PacketError("short IPMI 1.5 packet")
    return Packet15(data[14 : 14 + data[13]])


def _parse20(data: bytes) -> Packet20:
    if len(data) < 16:
        raise PacketError("short IPMI 2.0 packet")
    kind = data[5]
    if kind & 0x3F == 2:
        raise PacketError("OEM payloads are not known")
    session, sequence, length = struct.unpack_from("<IIH", data, 6)
    if len(data) < 16 + length:
        raise PacketError("payload shorter than its length")
    return Packet20(
        payload_type=kind & 0x3F,
        encrypted=bool(kind & 0x80),
        authenticated=bool(kind & 0x40),
        session=session,
        sequence=sequence,
        payload=data[16 : 16 + length],
        body=data[4:],
    )


def pong(tag: int) -> bytes:
    """The answer to an ASF presence ping: IPMI is supported."""
    return RMCP_ASF + _ASF_IANA + bytes([0x40, tag, 0, 16]) + _ASF_IANA + bytes(4) + bytes([0x81, 0]) + bytes(6)


def frame15(message: bytes) -> bytes:
    """An IPMI 1.5 packet without authentication."""
    return RMCP_IPMI + bytes(9) + bytes([len(message)]) + message


def frame20(payload_type: int, payload: bytes) -> bytes:
    """An IPMI 2.0 packet outside of a session: no integrity, no encryption."""
    return RMCP_IPMI + struct.pack("<BBIIH", AUTH_RMCPP, payload_type, 0, 0, len(payload)) + payload


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """Keys of an open session (section 13.31, 13.32): K1 for integrity, the first 16 bytes of K2 for AES."""

    suite: Suite
    sik: bytes
    k1: bytes
    aes: bytes


def session_keys(
    suite: Suite, key: bytes, remote_random: bytes, bmc_random: bytes, role: int, user: bytes
) -> SessionKeys:
    """The session's keys; `key` is K_G, or the user's key where K_G is not set."""
    sik = suite.mac(key, remote_random, bmc_random, bytes([role, len(user)]), user)
    return SessionKeys(suite, sik, suite.mac(sik, b"\x01" * 20), suite.mac(sik, b"\x02" * 20)[:16])


def rakp2_code(
    suite: Suite,
    key: bytes,
    remote: int,
    bmc: int,
    remote_random: bytes,
    bmc_random: bytes,
    guid: bytes,
    role: int,
    user: bytes,
) -> bytes:
    """Key exchange authentication code of RAKP message 2 (section 13.21)."""
    ids = struct.pack("<II", remote, bmc)
    return suite.mac(key, ids, remote_random, bmc_random, guid, bytes([role, len(user)]), user)


def rakp3_code(suite: Suite, key: bytes, bmc_random: bytes, remote: int, role: int, user: bytes) -> bytes:
    """Key exchange authentication code of RAKP message 3 (section 13.22)."""
    return suite.mac(key, bmc_random, struct.pack("<I", remote), bytes([role, len(user)]), user)


def rakp4_code(suite: Suite, sik: bytes, remote_random: bytes, bmc: int, guid: bytes) -> bytes:
    """Integrity check value of RAKP message 4 (section 13.23)."""
    return suite.mac(sik, remote_random, struct.pack("<I", bmc), guid)[: suite.icv]


def seal(keys: SessionKeys, payload_type: int, session: int, sequence: int, payload: bytes) -> bytes:
    """An encrypted and authenticated packet. `session` is the receiver's id."""
    vector = os.urandom(16)
    padding = -(len(payload) + 1) % 16
    plain = payload + bytes(range(1, padding + 1)) + bytes([padding])
    encryptor = Cipher(algorithms.AES(keys.aes), modes.CBC(vector)).encryptor()
    secret = vector + encryptor.update(plain) + encryptor.finalize()
    body = struct.pack("<BBIIH", AUTH_RMCPP, payload_type | 0xC0, session, sequence, len(secret)) + secret
    filler = -(len(body) + 2) % 4
    body += b"\xff" * filler + bytes([filler, 7])
    return RMCP_IPMI + body + keys.suite.mac(keys.k1, body)[: keys.suite.icv]


def unseal(keys: SessionKeys, packet: Packet20) -> bytes:
    """The payload of a packet in a session.

    Raises:
        PacketError: it is not both authenticated and encrypted, its integrity code is wrong, or its padding is.
    """
    icv = keys.suite.icv
    if not (packet.authenticated and packet.encrypted):
        raise PacketError("the session's suite demands integrity and encryption")
    if len(packet.body) <= icv:
        raise PacketError("no integrity code")
    expected = keys.suite.mac(keys.k1, packet.body[:-icv])[:icv]
    if not hmac.compare_digest(expected, packet.body[-icv:]):
        raise PacketError("wrong integrity code")
    secret = packet.payload
    if len(secret) < 32 or len(secret) % 16:
        raise PacketError("wrong length of an AES-CBC payload")
    decryptor = Cipher(algorithms.AES(keys.aes), modes.CBC(secret[:16])).decryptor()
    plain = decryptor.update(secret[16:]) + decryptor.finalize()
    if plain[-1] >= len(plain):
        raise PacketError("wrong padding")
    return plain[: -(plain[-1] + 1)]


def checksum(data: bytes) -> int:
    """Two's complement checksum of IPMI messages, SDRs and FRU areas (section 13.8)."""
    return -sum(data) & 0xFF


@dataclass(frozen=True, slots=True)
class Request:
    """An IPMI message to the BMC (section 13.8)."""

    netfn: int
    command: int
    data: bytes
    responder: int = 0x20
    requester: int = 0x81
    sequence: int = 0
    responder_lun: int = 0
    requester_lun: int = 0

    def encode(self) -> bytes:
        head = bytes([self.responder, self.netfn << 2 | self.responder_lun])
        tail = bytes([self.requester, self.sequence << 2 | self.requester_lun, self.command]) + self.data
        return head + bytes([checksum(head)]) + tail + bytes([checksum(tail)])

    def response(self, code: int, data: bytes = b"") -> bytes:
        """The message that answers this request with a completion code."""
        head = bytes([self.requester, (self.netfn | 1) << 2 | self.requester_lun])
        tail = bytes([self.responder, self.sequence << 2 | self.responder_lun, self.command, code]) + data
        return head + bytes([checksum(head)]) + tail + bytes([checksum(tail)])


def parse_request(message: bytes) -> Request:
    """Read a request.

    Raises:
        PacketError: it is too short or a checksum is wrong.
    """
    if len(message) < 7:
        raise PacketError("short message")
    if checksum(message[:2]) != message[2] or checksum(message[3:-1]) != message[-1]:
        raise PacketError("wrong checksum")
    return Request(
        netfn=message[1] >> 2,
        command=message[5],
        data=message[6:-1],
        responder=message[0],
        requester=message[3],
        sequence=message[4] >> 2,
        responder_lun=message[1] & 3,
        requester_lun=message[4] & 3,
    )
