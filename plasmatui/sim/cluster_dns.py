"""The DNS answers of simulated FlashDNS over UDP (RFC 1035, section 4): the nodes' addresses, and their names."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address

Lookup = Callable[[str], tuple[str, ...] | None]
"""Addresses of a name in lower case, or names of one in the reverse zone; None when there is no such name."""

_HEADER = struct.Struct(">6H")
_A, _PTR, _IN = 1, 12, 1
_REVERSE = ".in-addr.arpa"
_TTL = 60


class DnsServer:
    """Answers on a loopback address between `start` and `stop`.

    Args:
        silent: it gives no answer now.
    """

    def __init__(self, address: tuple[str, int], lookup: Lookup, silent: Callable[[], bool]) -> None:
        self._address = address
        self._lookup = lookup
        self._silent = silent
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Raises OSError: the address is in use."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.bind(self._address)
        except OSError:
            bound.close()
            raise
        self._socket = bound
        asyncio.get_running_loop().add_reader(bound, self._receive, bound)

    def stop(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _receive(self, bound: socket.socket) -> None:
        try:
            query, peer = bound.recvfrom(512)
            reply = respond(query, self._lookup)
            if reply is not None and not self._silent():
                bound.sendto(reply, peer)
        except OSError:  # what UDP cannot send is lost
            pass


def respond(query: bytes, lookup: Lookup) -> bytes | None:
    """The reply to a query; None for what is none."""
    if len(query) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(query)
    if flags & 0x8000 or questions != 1:
        return None
    labels, place = [], _HEADER.size
    while place < len(query) and query[place]:
        end = place + 1 + query[place]
        if query[place] > 63:
            return None
        labels.append(query[place + 1 : end].decode("ascii", "replace").lower())
        place = end
    question = query[_HEADER.size : place + 5]
    if len(question) < place + 5 - _HEADER.size:
        return None
    kind, family = struct.unpack_from(">2H", question, len(question) - 4)
    name = ".".join(labels)
    found = lookup(name)
    asked = _PTR if name.endswith(_REVERSE) else _A
    values = [_value(asked, each) for each in found or ()] if (kind, family) == (asked, _IN) else []
    code = 3 if found is None else 0  # NXDOMAIN
    records = b"".join(struct.pack(">3HIH", 0xC00C, asked, _IN, _TTL, len(value)) + value for value in values)
    return _HEADER.pack(number, 0x8400 | (flags & 0x0100) | code, 1, len(values), 0, 0) + question + records


def _value(kind: int, text: str) -> bytes:
    if kind == _A:
        return IPv4Address(text).packed
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
