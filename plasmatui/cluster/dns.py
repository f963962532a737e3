"""One question to a DNS server over UDP, as `dig @SERVER NAME` asks it (RFC 1035, section 4.1)."""

from __future__ import annotations

import asyncio
import secrets
import struct
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("!6H")
_ANSWER, _RECURSION_WANTED, _CODE = 0x8000, 0x0100, 0x000F
_ADDRESS, _INTERNET = 1, 1
CODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


@dataclass(frozen=True)
class DnsAnswer:
    """What came back: the response code's name, and how many records the ANSWER section has."""

    code: str
    answers: int


def question(name: str, number: int) -> bytes:
    """A question for the addresses of a name.

    Raises:
        ValueError: the name cannot be asked for.
    """
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise ValueError(f"{name} is no DNS name")
    asked = b"".join(bytes([len(label)]) + label for label in labels)
    header = _HEADER.pack(number, _RECURSION_WANTED, 1, 0, 0, 0)
    return header + asked + b"\0" + struct.pack("!2H", _ADDRESS, _INTERNET)


def read_answer(data: bytes, asked: bytes) -> DnsAnswer | None:
    """The answer to a question; None for anything else."""
    if len(data) < _HEADER.size:
        return None
    number, flags, _, answers, _, _ = _HEADER.unpack_from(data)
    if number != _HEADER.unpack_from(asked)[0] or not flags & _ANSWER:
        return None
    code = flags & _CODE
    return DnsAnswer(CODES.get(code, f"code {code}"), answers)


async def ask(address: str, port: int, name: str, limit: float) -> DnsAnswer:
    """Ask a server once.

    Raises:
        TimeoutError: no answer within `limit` seconds.
        OSError: it cannot be asked (nothing listens, no route).
        ValueError: the name cannot be asked for.
    """
    asked = question(name, secrets.randbelow(65536))
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[DnsAnswer] = loop.create_future()
    async with asyncio.timeout(limit):
        transport, _ = await loop.create_datagram_endpoint(lambda: _Asker(asked, waiter), remote_addr=(address, port))
        try:
            transport.sendto(asked)
            return await waiter
        finally:
            transport.close()


class _Asker(asyncio.DatagramProtocol):
    def __init__(self, asked: bytes, waiter: asyncio.Future[DnsAnswer]) -> None:
        self._asked = asked
        self._waiter = waiter

    def datagram_received(self, data: bytes, addr: object) -> None:
        answer = read_answer(data, self._asked)
        if answer is not None and not self._waiter.done():
            self._waiter.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        if not self._waiter.done():
            self._waiter.set_exception(exc)
