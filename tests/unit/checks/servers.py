"""Small servers of the tests' own on loopback: TFTP, DNS and HTTP that can misbehave."""

from __future__ import annotations

import asyncio
import http.server
import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram with what `reply` gives, from the same port."""

    def __init__(self, reply: Callable[[bytes], list[bytes]]) -> None:
        self.reply = reply
        self.received: list[bytes] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.append(data)
        assert self.transport is not None
        for answer in self.reply(data):
            self.transport.sendto(answer, addr)


async def datagrams(reply: Callable[[bytes], list[bytes]], port: int = 0) -> tuple[Datagrams, int]:
    """A server and its port."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Datagrams(reply), local_addr=("127.0.0.1", port))
    return server, int(transport.get_extra_info("sockname")[1])


class Tftp:
    """A TFTP server as RFC 1350 has it: every transfer from a port of its own.

    Args:
        files: contents by name. options: whether it knows options. lose: how many first packets it does not answer.
    """

    def __init__(self, files: dict[str, bytes], *, options: bool = True, lose: int = 0) -> None:
        self.files = files
        self.options = options
        self.lose = lose
        self.port = 0
        self.ended: list[bytes] = []
        self._open: list[asyncio.DatagramTransport] = []

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> Tftp:
        self.host = host
        loop = asyncio.get_running_loop()
        listener, _ = await loop.create_datagram_endpoint(lambda: _Listener(self), local_addr=(host, port))
        self._open.append(listener)
        self.port = int(listener.get_extra_info("sockname")[1])
        return self

    def stop(self) -> None:
        for transport in self._open:
            transport.close()

    async def serve(self, request: bytes, addr: Any) -> None:
        name, _, *options = request[2:].split(b"\0")
        data = self.files.get(name.decode())
        loop = asyncio.get_running_loop()
        transport, sender = await loop.create_datagram_endpoint(
            lambda: _Sender(self, data, options if self.options else []), local_addr=(self.host, 0)
        )
        self._open.append(transport)
        sender.begin(addr)


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, server: Tftp) -> None:
        self.server = server
        self.tasks: set[asyncio.Task[None]] = set()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.server.lose:
            self.server.lose -= 1
            return
        task = asyncio.get_running_loop().create_task(self.server.serve(data, addr))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class _Sender(asyncio.DatagramProtocol):
    def __init__(self, server: Tftp, data: bytes | None, options: list[bytes]) -> None:
        self.server, self.data = server, data
        wanted = dict(zip(options[0::2], options[1::2], strict=False))
        self.size = int(wanted.get(b"blksize", b"512"))
        self.wanted = wanted
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def begin(self, addr: Any) -> None:
        if self.data is None:
            self.transport.sendto(struct.pack("!HH", 5, 1) + b"File not found\0", addr)
        elif self.wanted:
            told = b"blksize\0%d\0tsize\0%d\0" % (self.size, len(self.data))
            self.transport.sendto(struct.pack("!H", 6) + told, addr)
        else:
            self.block(1, addr)

    def block(self, number: int, addr: Any) -> None:
        assert self.data is not None
        part = self.data[(number - 1) * self.size : number * self.size]
        self.transport.sendto(struct.pack("!HH", 3, number & 0xFFFF) + part, addr)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        kind, number = struct.unpack_from("!HH", data)
        if kind == 5:
            self.server.ended.append(data)
        elif kind == 4 and self.data is not None and number * self.size <= len(self.data):
            self.block(number + 1, addr)


class _Files(http.server.BaseHTTPRequestHandler):
    """HEAD, GET and the first kind of range (RFC 9110, section 14.1.2), as nginx answers them."""

    root: Path
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.root / self.path.lstrip("/")
        data = path.read_bytes() if path.is_file() else None
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if data is None:
            self.send_error(404)
            return
        part = data
        if wanted is not None:
            part = data[int(wanted[1]) : int(wanted[2]) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {wanted[1]}-{int(wanted[1]) + len(part) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if body:
            self.wfile.write(part)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass


def serve_files(root: Path, host: str) -> http.server.ThreadingHTTPServer:
    """An HTTP server of a directory, in a thread; `shutdown` and `server_close` end it."""
    handler = type("Files", (_Files,), {"root": root})
    server = http.server.ThreadingHTTPServer((host, 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), name="files", daemon=True).start()
    return server


def pe(machine: int, subsystem: int = 10) -> bytes:
    """The headers of a PE program."""
    header = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    optional = struct.pack("<H", 0x20B).ljust(68, b"\0") + struct.pack("<H", subsystem)
    coff = struct.pack("<H", machine).ljust(20, b"\0")
    return header.ljust(0x80, b"\0") + b"PE\0\0" + coff + optional.ljust(240, b"\0")


BIOS = b"\xea\x05\x00\xc0\x07".ljust(2048, b"\0")
"""How undionly.kpxe begins."""
KERNEL = bytes(0x202) + b"HdrS".ljust(4000, b"\0")
"""How a Linux kernel for x86 begins."""
NETBOOT = (
    "#!ipxe\nkernel bzImage init=/nix/store/00000000000000000000000000000000-nixos/init initrd=initrd loglevel=4\n"
    "initrd initrd\nboot\n"
)
"""`netboot.ipxe` as nixpkgs writes it."""
