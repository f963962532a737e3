"""A DHCP server and its clients in a network namespace of their own. Run as a program inside it:

    unshare --map-root-user --net python -m tests.support.dhcp_lab < job.json > answers.json

The job names the server's program, its configuration's network, and the clients; the answer is what each was offered.
With `misses`, the cable is plugged in when the server has said that.
Packets: RFC 2131 section 2, options: RFC 2132. Frames are made by hand, since a client has no address yet.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

SERVER_NIC, CLIENT_NIC = "eth0", "client0"
MACS = {SERVER_NIC: "52:54:00:00:00:0a", CLIENT_NIC: "52:54:00:00:00:0b"}
SERVER, BOOTING = "10.0.100.10", "10.0.100.77"
"""The server, and the address that a machine has of another DHCP server when it asks a proxy on port 4011."""

LIMIT = 20.0
"""Seconds for an answer of a server that has begun to answer; the first one has longer, for its start."""

HEADERS = {"type": "Content-Type", "length": "Content-Length", "ranges": "Accept-Ranges"}
REQUESTED = bytes((1, 3, 6, 12, 15, 17, 43, 54, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135, 175, 176, 177))


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def build(plugged: bool) -> None:
    """Two ends of one cable: the server's and the clients'. While that is not plugged in, there is no carrier."""
    ip("link", "set", "lo", "up")
    peer = ("peer", "name", CLIENT_NIC, "address", MACS[CLIENT_NIC])
    ip("link", "add", SERVER_NIC, "address", MACS[SERVER_NIC], "type", "veth", *peer)
    ip("addr", "add", f"{SERVER}/24", "dev", SERVER_NIC)
    for nic in (SERVER_NIC, CLIENT_NIC) if plugged else (SERVER_NIC,):
        ip("link", "set", nic, "up")
    ip("route", "add", "10.0.101.0/24", "dev", SERVER_NIC)
    for address in ("10.0.101.1", BOOTING):
        ip("neigh", "add", address, "lladdr", MACS[CLIENT_NIC], "dev", SERVER_NIC, "nud", "permanent")


def hardware(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(client: dict[str, Any], number: int) -> bytes:
    """A DISCOVER, broadcast by the machine itself or sent on by a relay; or the REQUEST to a proxy's port 4011."""
    mac, relay, menu = hardware(client["mac"]), client["relay"], client.get("menu")
    options = {
        53: b"\x01",
        55: REQUESTED,
        **{int(code): bytes.fromhex(data) for code, data in client["options"].items()},
    }
    source, own, to_port = relay or "0.0.0.0", "0.0.0.0", 67
    if menu is not None:
        options.update({53: b"\x03", **({43: bytes.fromhex(menu)} if menu else {})})
        source = own = BOOTING
        to_port = 4011
    message = (
        struct.pack("!BBBBIHH", 1, 1, 6, 1 if relay else 0, number, 0, 0 if menu is not None else 0x8000)
        + socket.inet_aton(own)
        + bytes(8)
        + socket.inet_aton(relay or "0.0.0.0")
        + mac.ljust(16, b"\0")
        + bytes(192)
        + b"\x63\x82\x53\x63"
        + b"".join(bytes((code, len(data))) + data for code, data in options.items())
        + b"\xff"
    )
    unicast = relay or menu is not None
    target = SERVER if unicast else "255.255.255.255"
    udp = struct.pack("!HHHH", 67 if relay else 68, to_port, 8 + len(message), 0) + message
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number & 0xFFFF, 0, 64, 17, 0,
                         socket.inet_aton(source), socket.inet_aton(target))  # fmt: skip
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    to = hardware(MACS[SERVER_NIC]) if unicast else b"\xff" * 6
    return to + (hardware(MACS[CLIENT_NIC]) if unicast else mac) + b"\x08\x00" + header + udp


def parse(data: bytes, number: int) -> dict[str, Any] | None:
    """An answer with our number, from a frame; None for any other frame."""
    if data[12:14] != b"\x08\x00" or data[23] != 17:
        return None
    at = 14 + (data[14] & 15) * 4
    message = data[at + 8 :]
    if (
        data[at : at + 2] not in (b"\x00\x43", b"\x0f\xab")
        or message[:1] != b"\x02"
        or message[4:8] != struct.pack("!I", number)
    ):
        return None
    options: dict[int, bytes] = {}
    rest = message[240:]
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        options[rest[0]] = options.get(rest[0], b"") + rest[2 : 2 + rest[1]]
        rest = rest[2 + rest[1] :]
    return {
        "address": socket.inet_ntoa(message[16:20]),
        "next_server": socket.inet_ntoa(message[20:24]),
        "file": message[108:236].split(b"\0")[0].decode("latin-1")
        or options.get(67, b"").rstrip(b"\0").decode("latin-1"),
        "options": {str(code): value.hex() for code, value in options.items()},
    }


def ask(client: dict[str, Any], number: int, limit: float) -> dict[str, Any] | None:
    """What a client is offered; it asks again every two seconds, as firmware does."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as wire:
        wire.bind((CLIENT_NIC, 0))
        end = time.monotonic() + limit
        while (now := time.monotonic()) < end:
            wire.send(frame(client, number))
            again = min(end, now + 2)
            while (left := again - time.monotonic()) > 0:
                wire.settimeout(left)
                try:
                    answer = parse(wire.recv(4096), number)
                except TimeoutError:
                    break
                if answer is not None:
                    return answer
    return None


def fetch(url: str) -> dict[str, Any]:
    """A page as it came; a server that does not listen yet is asked again until the limit."""
    end = time.monotonic() + LIMIT
    parts = urllib.parse.urlsplit(url)
    while True:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
        try:
            connection.request("GET", parts.path)
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
            continue
        finally:
            connection.close()
        headers = {key: answer.headers.get(name, "") for key, name in HEADERS.items()}
        return {"status": answer.status, "body": body.hex(), **headers}


def wait_for_line(log: str, words: str) -> None:
    """Until the server has said so. Raises TimeoutError when it does not."""
    end = time.monotonic() + LIMIT
    while words not in Path(log).read_text(errors="replace"):
        if time.monotonic() > end:
            raise TimeoutError(f"the server never said {words!r}")
        time.sleep(0.05)


def main() -> None:
    job = json.load(sys.stdin)
    misses = job.get("misses", "")
    build(plugged=not misses)
    with open(job["log"], "wb") as log:
        server = subprocess.Popen(job["server"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            if misses:
                wait_for_line(job["log"], misses)
                ip("link", "set", CLIENT_NIC, "up")
            answers: list[Any] = [fetch(url) for url in job.get("urls", [])]
            for number, client in enumerate(job.get("clients", []), 0x5000):
                limit = LIMIT if number == 0x5000 else job["limit"]
                answers.append(ask(client, number, limit) if server.poll() is None else None)
        finally:
            server.terminate()
            server.wait()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
