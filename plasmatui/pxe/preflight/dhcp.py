"""Which DHCP servers answer on an interface: one DISCOVER of a made-up machine, and every OFFER to it.

RFC 2131, RFC 2132. Nothing is requested: what a server offers it takes back by itself. Needs root (port 68, and an
interface that need not have an address).
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from plasmatui.text import clean_line

LISTEN: Final = 6.0
"""Seconds in which offers are awaited: servers may look first whether an address is free, for a second or two."""
RESEND: Final = 2.0
MOST: Final = 256
"""Servers that are told of; whoever invents more is seen well enough."""

_HEADER: Final = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE: Final = b"\x63\x82\x53\x63"
_TYPE, _SERVER, _VENDOR, _BOOT_FILE, _END = 53, 54, 60, 67, 255
_DISCOVER, _OFFER = 1, 2
_CLIENT: Final = b"PXEClient:Arch:00007:UNDI:003016"


@dataclass(frozen=True)
class Offer:
    """What a server offers. `address` is 0.0.0.0 for a proxyDHCP server, which gives boot data only."""

    server: IPv4Address
    address: IPv4Address
    next_server: IPv4Address
    boot_file: str


def discover(mac: bytes, transaction: int) -> bytes:
    """A DISCOVER as UEFI x86-64 firmware sends it, to be answered by broadcast."""
    header = _HEADER.pack(
        1, 1, 6, 0, transaction, 0, 0x8000, bytes(4), bytes(4), bytes(4), bytes(4), mac.ljust(16, b"\0"), b"", b""
    )
    options = (
        _option(_TYPE, bytes([_DISCOVER])),
        _option(55, bytes([1, 3, 6, 43, _SERVER, _VENDOR, 66, _BOOT_FILE])),
        _option(_VENDOR, _CLIENT),
        _option(93, b"\0\x07"),
        _option(94, b"\x01\x03\x10"),
        _option(97, b"\0" + secrets.token_bytes(16)),
    )
    return header + _COOKIE + b"".join(options) + bytes([_END])


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


def read_offer(data: bytes, mac: bytes, transaction: int) -> Offer | None:
    """The offer to our DISCOVER; None for anything else. Never raises."""
    if len(data) < _HEADER.size + 4 or data[_HEADER.size : _HEADER.size + 4] != _COOKIE:
        return None
    op, _, _, _, number, _, _, _, yours, following, _, hardware, _, file = _HEADER.unpack_from(data)
    if op != 2 or number != transaction or hardware[:6] != mac:
        return None
    options = _options(data[_HEADER.size + 4 :])
    server = options.get(_SERVER, b"")
    if options.get(_TYPE) != bytes([_OFFER]) or len(server) != 4:
        return None
    name = options.get(_BOOT_FILE, b"") or file
    return Offer(
        IPv4Address(server),
        IPv4Address(yours),
        IPv4Address(following),
        clean_line(name.partition(b"\0")[0].decode("utf-8", "replace"), 200),
    )


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while place < len(data) and data[place] != _END:
        if data[place] == 0:
            place += 1
            continue
        length = data[place + 1] if place + 1 < len(data) else 0
        found.setdefault(data[place], data[place + 2 : place + 2 + length])
        place += 2 + length
    return found


async def probe(interface: str, *, listen: float = LISTEN) -> tuple[Offer, ...]:
    """Every server that answers on an interface within `listen` seconds, each once.

    Raises:
        PermissionError: only root may.
        OSError: there is no such interface, or it is down.
    """
    mac = bytes([0x02, *secrets.token_bytes(5)])  # locally administered: no machine's own
    transaction = secrets.randbits(32)
    packet = discover(mac, transaction)
    loop = asyncio.get_running_loop()
    found: dict[IPv4Address, Offer] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.bind(("0.0.0.0", 68))  # noqa: S104 - of one interface: answers come to no address of ours
        end = time.monotonic() + listen
        while (left := end - time.monotonic()) > 0 and len(found) < MOST:
            await loop.sock_sendto(sock, packet, ("255.255.255.255", 67))
            try:
                async with asyncio.timeout(min(RESEND, left)):
                    while len(found) < MOST:
                        await asyncio.sleep(0)  # what came already is given without a wait: a flood would keep the loop
                        data, _ = await loop.sock_recvfrom(sock, 65535)
                        offer = read_offer(data, mac, transaction)
                        if offer is not None:
                            found.setdefault(offer.server, offer)
            except TimeoutError:
                continue
    return tuple(found.values())
