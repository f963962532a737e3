"""A TFTP client that reads the beginning of a file: RFC 1350, with blksize (RFC 2348) and tsize (RFC 2349).

Written here because no kept library does it on an event loop, and asks as firmware asks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

from plasmatui.text import clean_line

PORT: Final = 69
BLOCK_SIZE: Final = 1468
"""Bytes asked for; what fits an Ethernet frame. A server may answer with less, or ignore the option: 512."""
ENOUGH: Final = 64 * 1024
"""Bytes after which a transfer is ended, when the server has told the size."""
MOST: Final = 16 << 20
"""Bytes of a file whose size the server does not tell: it is read to its end to know it."""
LIMIT: Final = 10.0
RESEND: Final = 1.0
"""Seconds for a whole look, and until a packet is sent again."""

_READ, _DATA, _ACK, _ERROR, _OACK = 1, 3, 4, 5, 6
_DEFAULT_BLOCK: Final = 512
# RFC 1350, appendix I; RFC 2347 for 8.
_CODES: Final = {
    0: "error", 1: "file not found", 2: "access violation", 3: "disk full", 4: "illegal operation",
    5: "unknown transfer", 6: "file exists", 7: "no such user", 8: "option refused",
}  # fmt: skip


class TftpError(Exception):
    """The server refuses, or what it sends is no TFTP. `code`: of its error packet, -1 when it sent none."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Fetched:
    """The beginning of a file.

    Attributes:
        data: what came.
        size: bytes of the whole file; None when it is longer than was read and the server does not tell.
        block_size: bytes of a block, as agreed.
        told: whether the server told the size beforehand (tsize).
        seconds: until the last byte that was read.
    """

    data: bytes
    size: int | None
    block_size: int
    told: bool
    seconds: float


async def fetch(host: str, name: str, *, port: int = PORT, limit: float = LIMIT, resend: float = RESEND) -> Fetched:
    """Read the beginning of a file. `host`: an IPv4 or IPv6 address.

    Raises:
        TftpError: the server refuses, or breaks the protocol.
        TimeoutError: it did not answer, or stopped to, within `limit` seconds.
        OSError: it cannot be asked (no route).
        ValueError: the name cannot be asked for, or `host` is no address.
    """
    if not name or "\0" in name:
        raise ValueError(f"found the file name {name!r}, expected one without NUL")
    version = ipaddress.ip_address(host).version
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("", 0))
        transfer = _Transfer(sock, host, port, name, resend)
        async with asyncio.timeout(limit):
            return await transfer.run()


class _Transfer:
    """One transfer. The server answers from a port of its own choice, which then names the transfer (its TID)."""

    def __init__(self, sock: socket.socket, host: str, port: int, name: str, resend: float) -> None:
        self._sock = sock
        self._host = host
        self._peer: tuple[str, int] | None = None
        self._well_known = (host, port)
        self._name = name
        self._resend = resend
        self._data = bytearray()
        self._size: int | None = None
        self._block_size = _DEFAULT_BLOCK

    async def run(self) -> Fetched:
        begin = time.monotonic()
        options = b"".join(
            part + b"\0" for part in (b"octet", b"blksize", b"%d" % BLOCK_SIZE, b"tsize", b"0")
        )  # fmt: skip
        answer = await self._ask(struct.pack("!H", _READ) + self._name.encode() + b"\0" + options, 1, first=True)
        if answer[:2] == struct.pack("!H", _OACK):
            self._agree(answer[2:])
            answer = await self._ask(_ack(0), 1)
        number, done = 1, False
        while True:
            block = answer[4:]
            if len(block) > self._block_size:
                self._refuse(f"block {number} has {len(block)} bytes, {self._block_size} were agreed")
            self._data += block
            done = len(block) < self._block_size
            if done or self._enough():
                break
            answer = await self._ask(_ack(number), number + 1)
            number += 1
        self._end(number, done)
        size = len(self._data) if done else self._size
        return Fetched(bytes(self._data), size, self._block_size, self._size is not None, time.monotonic() - begin)

    def _enough(self) -> bool:
        return len(self._data) >= (MOST if self._size is None else ENOUGH)

    async def _ask(self, packet: bytes, number: int, *, first: bool = False) -> bytes:
        """Send a packet until the block with `number` (or, `first`, an answer to the options) comes."""
        while True:
            await self._send(packet)
            try:
                async with asyncio.timeout(self._resend):
                    return await self._next(number, first)
            except TimeoutError:
                continue

    async def _next(self, number: int, first: bool) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)  # what has come already is given without a wait: a flood would keep the loop
            data, address = await loop.sock_recvfrom(self._sock, 65535)
            peer = (str(address[0]), int(address[1]))
            if peer[0] != self._host or (self._peer is not None and peer != self._peer) or len(data) < 4:
                continue
            kind, block = struct.unpack_from("!HH", data)
            if kind == _ERROR:
                text = clean_line(data[4:].partition(b"\0")[0].decode("utf-8", "replace"), 120)
                known = _CODES.get(block, f"error {block}")
                raise TftpError(block, f"{known}: {text}" if text and text.lower() != known else known)
            if (kind == _DATA and block == number & 0xFFFF) or (kind == _OACK and first):
                self._peer = peer
                return data

    def _agree(self, options: bytes) -> None:
        words = options.split(b"\0")
        for name, value in zip(words[0::2], words[1::2], strict=False):
            if name.lower() not in (b"blksize", b"tsize"):
                continue
            if not value.isdigit() or len(value) > 15:
                self._refuse(f"it answers the option {clean_line(name.decode('ascii', 'replace'), 20)} with no number")
            if name.lower() == b"tsize":
                self._size = int(value)
            elif 8 <= int(value) <= BLOCK_SIZE:
                self._block_size = int(value)
            else:
                self._refuse(f"it wants blocks of {int(value)} bytes, {BLOCK_SIZE} were asked for")

    def _refuse(self, why: str) -> None:
        self._tell(struct.pack("!HH", _ERROR, 8) + b"not as agreed\0")
        raise TftpError(-1, why)

    def _end(self, number: int, done: bool) -> None:
        """The last block is acknowledged; a transfer that goes on is ended, as iPXE does after it asked for a size."""
        self._tell(_ack(number) if done else struct.pack("!HH", _ERROR, 0) + b"enough was read\0")

    async def _send(self, packet: bytes) -> None:
        await asyncio.get_running_loop().sock_sendto(self._sock, packet, self._peer or self._well_known)

    def _tell(self, packet: bytes) -> None:
        """Send what nobody waits for: a lost one costs the server a few tries."""
        try:
            self._sock.sendto(packet, self._peer or self._well_known)
        except OSError:
            return


def _ack(number: int) -> bytes:
    return struct.pack("!HH", _ACK, number & 0xFFFF)
