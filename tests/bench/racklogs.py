"""Logs of a rack's DHCP and web servers, made in bulk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from plasmatui.model.node import Node

Line = tuple[str, str]
"""Format of its log, and the line."""

_KEA = "{stamp} INFO  [kea-dhcp4.{logger}/31833.140505323282944] {what} [hwtype=1 {mac}], cid=[no info], tid=0x{tid:x}"
_FILES = (
    ("/boot/ipxe/boot.ipxe", 755),
    ("/boot/nixos/worker/bzImage", 14186432),
    ("/boot/nixos/worker/initrd", 3407420),
)
_IPXE, _NIX, _PROBE = "iPXE/1.21.1+git", "curl/8.9.1 Nix/2.24.9", "Prometheus/2.53.1"
_SPAN = 600.0  # seconds that the lines of one run are spread over


def rack_nodes(count: int) -> list[Node]:
    """The machines that the lines are about."""
    return [Node(f"node{i:04d}", "worker", (_mac(i),), provisioning_ip=_ip(i)) for i in range(count)]


def _mac(node: int) -> str:
    return f"52:54:00:01:{node >> 8:02x}:{node & 255:02x}"


def _ip(node: int) -> str:
    return f"10.100.{node >> 8}.{node & 255}"


def _kea(now: float, logger: str, what: str, node: int, tid: int, text: str = "") -> Line:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1000):03d}"
    line = _KEA.format(stamp=stamp, logger=logger, what=what, mac=_mac(node), tid=tid)
    return "kea", f"{line}: {text}" if text else line


def _http(now: float, ip: str, path: str, size: int, agent: str) -> Line:
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now))
    return "nginx-access", f'{ip} - - [{stamp}] "GET {path} HTTP/1.1" 200 {size} "-" "{agent}"'


def _boot(now: float, node: int, tid: int) -> Iterator[Line]:
    """What a boot leaves at the usual levels of Kea 2.2: nothing but signals."""
    for turn in range(2):
        what = "DHCP4_LEASE_ADVERT", f"lease {_ip(node)} will be advertised"
        yield _kea(now, "leases", what[0], node, tid + turn, what[1])
        what = "DHCP4_LEASE_ALLOC", f"lease {_ip(node)} has been allocated for 600 seconds"
        yield _kea(now, "leases", what[0], node, tid + turn, what[1])
    for path, size in _FILES:
        yield _http(now, _ip(node), path, size, _IPXE)


def _renewal(now: float, node: int, tid: int) -> Iterator[Line]:
    """A lease that is renewed, as Kea 2.6 tells it."""
    sent = f"from {_ip(node)} to 10.100.255.254 on interface eth0"
    yield _kea(now, "dhcp4", "DHCP4_QUERY_LABEL received query:", node, tid)
    yield _kea(now, "dhcpsrv", "EVAL_RESULT", node, tid, "Expression efi64 evaluated to false")
    yield _kea(now, "packets", "DHCP4_PACKET_RECEIVED", node, tid, f"DHCPREQUEST (type 3) received {sent}")
    yield _kea(now, "leases", "DHCP4_LEASE_ALLOC", node, tid, f"lease {_ip(node)} has been allocated for 600 seconds")
    yield _kea(now, "packets", "DHCP4_PACKET_SEND", node, tid, f"trying to send packet DHCPACK (type 5) {sent}")


def _everyday(now: float, node: int, tid: int) -> Iterator[Line]:
    """One boot in twenty things that happen: leases renewed, packages fetched, the web server watched."""
    what = random.Random(tid).random()
    if what < 0.05:
        yield from _boot(now, node, tid)
    elif what < 0.35:
        yield from _renewal(now, node, tid)
    elif what < 0.8:
        for part in range(4):
            yield _http(now, _ip(node), f"/nix/{tid:032x}{part}.narinfo", 1024 + part, _NIX)
    else:
        yield _http(now, "10.100.255.1", "/metrics", 6120, _PROBE)


MIXES: dict[str, Callable[[float, int, int], Iterator[Line]]] = {"all signals": _boot, "everyday": _everyday}
"""Nothing but boots: every line is a signal; and what a rack writes on most days."""


def write_logs(directory: Path, mix: str, nodes: int, lines: int) -> dict[str, Path]:
    """Logs of about `lines` lines together, of the last minutes, by their formats."""
    logs: dict[str, list[str]] = {"kea": [], "nginx-access": []}
    begin, count, turn = time.time() - _SPAN, 0, 0
    while count < lines:
        now = begin + _SPAN * count / lines
        for format_, line in MIXES[mix](now, turn % nodes, 2 * turn):
            logs[format_].append(line)
            count += 1
        turn += 1
    paths = {format_: directory / f"{format_}-{nodes}.log" for format_ in logs}
    for format_, path in paths.items():
        path.write_text("\n".join(logs[format_]) + "\n")
    return paths
