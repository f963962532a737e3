"""A small RMCP+ client for tests, written from the specification and sharing no code with the simulator."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

LIMIT = 2.0


class RefusedError(Exception):
    """An RMCP+ status other than 0."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status:#04x}")
        self.status = status


def _sum(data: bytes) -> int:
    return (0x100 - sum(data) % 0x100) % 0x100


def message(netfn: int, command: int, data: bytes = b"", sequence: int = 1) -> bytes:
    head = bytes([0x20, netfn << 2])
    body = bytes([0x81, sequence << 2, command]) + data
    return head + bytes([_sum(head)]) + body + bytes([_sum(body)])


@dataclass
class _Wire(asyncio.DatagramProtocol):
    packets: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.packets.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.packets.put_nowait(b"")


@dataclass
class Client:
    """One session, opened with suite 3 or 17."""

    address: str
    port: int
    user: bytes = b"admin"
    password: bytes = b"password"
    suite: int = 17
    role: int = 0x14
    transport: asyncio.DatagramTransport | None = None
    wire: _Wire = field(default_factory=_Wire)
    session: int = 0
    sequence: int = 0
    k1: bytes = b""
    k2: bytes = b""
    sol: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    @property
    def digest(self) -> str:
        return "sha256" if self.suite == 17 else "sha1"

    @property
    def icv(self) -> int:
        return 16 if self.suite == 17 else 12

    def _mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, getattr(hashlib, self.digest)).digest()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(
            lambda: self.wire, remote_addr=(self.address, self.port)
        )

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def raw(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.sendto(data)

    async def receive(self, limit: float = LIMIT) -> bytes:
        return await asyncio.wait_for(self.wire.packets.get(), limit)

    async def _exchange(self, kind: int, payload: bytes) -> bytes:
        self.raw(b"\x06\x00\xff\x07" + struct.pack("<BBIIH", 6, kind, 0, 0, len(payload)) + payload)
        answer = await self.receive()
        assert answer[5] == kind + 1
        payload = answer[16:]
        if payload[1]:
            raise RefusedError(payload[1])
        return payload

    async def open(self) -> Client:
        await self.connect()
        auth, integrity = (3, 4) if self.suite == 17 else (1, 1)
        mine = b"\x44\x33\x22\x11"
        proposal = b"".join(bytes([k, 0, 0, 8, v, 0, 0, 0]) for k, v in ((0, auth), (1, integrity), (2, 1)))
        answer = await self._exchange(0x10, bytes(4) + mine + proposal)
        theirs = answer[8:12]
        self.session = struct.unpack("<I", theirs)[0]
        random = os.urandom(16)
        name = bytes([self.role, len(self.user)]) + self.user
        start = bytes(4) + theirs + random + bytes([self.role, 0, 0, len(self.user)]) + self.user
        answer = await self._exchange(0x12, start)
        bmc_random, guid, code = answer[8:24], answer[24:40], answer[40:]
        key = self.password
        right = hmac.compare_digest(code, self._mac(key, mine + theirs + random + bmc_random + guid + name))
        answer = await self._exchange(0x14, bytes(4) + theirs + self._mac(key, bmc_random + mine + name))
        assert right
        sik = self._mac(key, random + bmc_random + name)
        assert answer[8:] == self._mac(sik, random + theirs + guid)[: self.icv]
        self.k1, self.k2 = self._mac(sik, b"\x01" * 20), self._mac(sik, b"\x02" * 20)[:16]
        return self

    def packet(self, kind: int, payload: bytes, sequence: int | None = None) -> bytes:
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        vector = os.urandom(16)
        count = (15 - len(payload) % 16) % 16
        plain = payload + bytes(i + 1 for i in range(count)) + bytes([count])
        cipher = Cipher(algorithms.AES(self.k2), modes.CBC(vector)).encryptor()
        secret = vector + cipher.update(plain) + cipher.finalize()
        body = struct.pack("<BBIIH", 6, 0xC0 | kind, self.session, sequence, len(secret)) + secret
        while (len(body) + 2) % 4:
            body += b"\xff"
        body += bytes([len(body) - 12 - len(secret), 7])
        return b"\x06\x00\xff\x07" + body + self._mac(self.k1, body)[: self.icv]

    def unpack(self, data: bytes) -> tuple[int, bytes]:
        body, code = data[4 : -self.icv], data[-self.icv :]
        assert code == self._mac(self.k1, body)[: self.icv]
        length = struct.unpack_from("<H", data, 14)[0]
        secret = data[16 : 16 + length]
        cipher = Cipher(algorithms.AES(self.k2), modes.CBC(secret[:16])).decryptor()
        plain = cipher.update(secret[16:]) + cipher.finalize()
        return data[5] & 0x3F, plain[: len(plain) - plain[-1] - 1]

    async def answer(self, limit: float = LIMIT) -> bytes:
        """The next IPMI message; SOL packets that come before it are put into `sol`."""
        while True:
            kind, payload = self.unpack(await self.receive(limit))
            if kind == 0:
                return payload
            self.sol.put_nowait(payload)

    async def command(self, netfn: int, command: int, data: bytes = b"") -> tuple[int, bytes]:
        """Completion code and data."""
        self.raw(self.packet(0, message(netfn, command, data)))
        answer = await self.answer()
        return answer[6], answer[7:-1]

    async def good(self, netfn: int, command: int, data: bytes = b"") -> bytes:
        code, answer = await self.command(netfn, command, data)
        assert code == 0, f"completion code {code:#04x}"
        return answer

    async def activate(self) -> None:
        await self.good(6, 0x48, bytes([1, 1, 0xC0, 0, 0, 0]))

    async def sol_packet(self, limit: float = LIMIT) -> bytes:
        """The next SOL payload."""
        if not self.sol.empty():
            return self.sol.get_nowait()
        while True:
            kind, payload = self.unpack(await self.receive(limit))
            if kind == 1:
                return payload

    def send_sol(self, payload: bytes) -> None:
        self.raw(self.packet(1, payload))

    async def console(self, until: bytes, limit: float = 10.0) -> bytes:
        """Console output up to and with `until`, acknowledged and without repetitions."""
        output, last = b"", 0
        async with asyncio.timeout(limit):
            while until not in output:
                packet = await self.sol_packet(limit)
                if packet[0] & 15:
                    self.send_sol(bytes([0, packet[0] & 15, len(packet) - 4, 0]))
                    if packet[0] & 15 != last:
                        output += packet[4:]
                    last = packet[0] & 15
        return output
