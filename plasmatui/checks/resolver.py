"""Questions to DNS servers whose answers are read: addresses of names, names of addresses (RFC 1035, section 4).

`cluster.dns` only asks whether a server answers; here it counts what it says.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Final

A, PTR = 1, 12
LIMIT: Final = 4.0
RESEND: Final = 1.5
_HEADER: Final = struct.Struct("!6H")
_CODES: Final = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_JUMPS: Final = 32
_RECORDS: Final = 200


@dataclass(frozen=True)
class Answer:
    """The response code's name, and the values of the records that were asked for."""

    code: str
    values: tuple[str, ...]


def reverse_name(address: str) -> str:
    """The name under which an address stands in the reverse zone."""
    return ip_address(address).reverse_pointer


def question(name: str, kind: int, number: int) -> bytes:
    """Raises ValueError: the name cannot be asked for."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise ValueError(f"{name} is no DNS name")
    asked = b"".join(bytes([len(label)]) + label for label in labels)
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + asked + b"\0" + struct.pack("!2H", kind, 1)


def read(data: bytes, asked: bytes, kind: int) -> Answer | None:
    """The answer to a question; None for anything else. Never raises."""
    if len(data) < len(asked) or data[:2] != asked[:2] or not data[2] & 0x80:
        return None
    if data[_HEADER.size : len(asked)].lower() != asked[_HEADER.size :].lower():
        return None
    _, flags, _, count, _, _ = _HEADER.unpack_from(data)
    values: list[str] = []
    place = len(asked)
    try:
        for _ in range(min(count, _RECORDS)):
            _, place = _name(data, place)
            found, family, _, length = struct.unpack_from("!2HIH", data, place)
            place += 10
            if (found, family) == (kind, 1):
                if kind == A and length == 4:
                    values.append(str(IPv4Address(data[place : place + 4])))
                elif kind == PTR:
                    values.append(_name(data, place)[0])
            place += length
    except (struct.error, ValueError, IndexError):
        return Answer("an answer that cannot be read", ())
    code = flags & 0x000F
    return Answer(_CODES.get(code, f"code {code}"), tuple(values))


def _name(data: bytes, place: int) -> tuple[str, int]:
    """The name at a place, and where what follows it begins. Raises ValueError, IndexError."""
    labels: list[str] = []
    after: int | None = None
    for _ in range(_JUMPS + 128):
        length = data[place]
        if length == 0:
            return ".".join(labels).lower(), place + 1 if after is None else after
        if length >= 0xC0:
            after = place + 2 if after is None else after
            place = (length & 0x3F) << 8 | data[place + 1]
            continue
        label = data[place + 1 : place + 1 + length]
        if length > 63 or len(label) < length:
            raise ValueError("a label that is too long")
        labels.append(label.decode("ascii", "backslashreplace"))
        place += 1 + length
    raise ValueError("a name that never ends")


async def ask(address: str, port: int, name: str, kind: int, *, limit: float = LIMIT, resend: float = RESEND) -> Answer:
    """Ask a server.

    Raises:
        TimeoutError: no answer within `limit` seconds.
        OSError: it cannot be asked.
        ValueError: the name cannot be asked for.
    """
    asked = question(name, kind, secrets.randbelow(65536))
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        async with asyncio.timeout(limit):
            while True:
                await loop.sock_sendall(sock, asked)
                try:
                    async with asyncio.timeout(resend):
                        while True:
                            await asyncio.sleep(
                                0
                            )  # what came already is given without a wait: a flood would keep the loop
                            answer = read(await loop.sock_recv(sock, 65535), asked, kind)
                            if answer is not None:
                                return answer
                except TimeoutError:
                    continue
