"""Signals by hand, as parsers and consoles give them."""

from __future__ import annotations

from itertools import count
from typing import Any

from plasmatui.model.boot import Evidence, Signal, SignalKind
from plasmatui.watch.identity import NodeIdentity

K = SignalKind
A = NodeIdentity("node01", ("52:54:00:00:00:01",), ("10.0.0.1",))
B = NodeIdentity("node02", ("52:54:00:00:00:02",), ("10.0.0.2",))
SERVER = "http://10.0.0.10"
_lines = count(1)


def signal(kind: SignalKind, wall: float | None = None, source: str = "log", **facts: Any) -> Signal:
    line = next(_lines)
    return Signal(kind=kind, wall=wall, evidence=Evidence(source, line, f"line {line} {kind}"), **facts)


def lease(node: NodeIdentity, wall: float | None = None, ip: str = "", **facts: Any) -> list[Signal]:
    """A whole DHCP exchange within a quarter of a second."""
    times = [None if wall is None else wall + step / 10 for step in range(4)]
    about = {"mac": node.macs[0], **facts}
    ip = ip or node.ips[0]
    return [
        signal(K.DHCP_DISCOVER, times[0], "dhcp", **about),
        signal(K.DHCP_OFFER, times[1], "dhcp", ip=ip, **about),
        signal(K.DHCP_REQUEST, times[2], "dhcp", ip=ip, **about),
        signal(K.DHCP_ACK, times[3], "dhcp", ip=ip, **about),
    ]


def tftp(
    ip: str, wall: float | None = None, file: str = "ipxe.efi", kind: SignalKind = K.TFTP_REQUEST, **facts: Any
) -> Signal:
    return signal(kind, wall, "tftp", ip=ip, file=file, **facts)


def http(ip: str, file: str, wall: float | None = None, status: int = 200, size: int = 1000, **facts: Any) -> Signal:
    facts = {"ipxe": True, "text": "iPXE/1.21.1", **facts}
    return signal(K.HTTP_REQUEST, wall, "http", ip=ip, file=file, status=status, bytes=size, **facts)


def console(kind: SignalKind, wall: float | None = None, node: str = "node01", **facts: Any) -> Signal:
    return signal(kind, wall, "console", node=node, **facts)


def net_boot(node: NodeIdentity, start: float = 1000.0, ip: str = "", *, flagged: bool = True) -> list[Signal]:
    """What the servers log of a UEFI machine that boots by TFTP and iPXE up to its installer's lease."""
    ip = ip or node.ips[0]
    firmware = {"arch": 7, "vendor": "PXEClient:Arch:00007:UNDI:003000"} if flagged else {}
    return [
        *lease(node, start, ip, **firmware),
        tftp(ip, start + 1),
        tftp(ip, start + 1.1),
        *lease(node, start + 5, ip, **({"ipxe": True} if flagged else {})),
        http(ip, "/boot.ipxe", start + 10),
        http(ip, "/bzImage", start + 11, size=14_000_000),
        http(ip, "/initrd", start + 20, size=300_000_000),
        *lease(node, start + 40, ip),
    ]


def console_boot(start: float | None = 1000.0, node: str = "node01", ip: str = "10.0.0.1") -> list[Signal]:
    """What the console of the same boot shows."""
    steps: list[tuple[SignalKind, float, dict[str, Any]]] = [
        (K.PXE_START, -1, {}),
        (K.PXE_ADDRESS, 0.5, {"ip": ip}),
        (K.PXE_FILE, 0.6, {"file": "ipxe.efi", "total": 850_528}),
        (K.PXE_LOADED, 3, {}),
        (K.IPXE_START, 4, {}),
        (K.IPXE_ADDRESS, 8, {"ip": ip}),
        (K.IPXE_FETCHED, 10.2, {"file": f"{SERVER}/boot.ipxe"}),
        (K.IPXE_FETCHED, 12, {"file": f"{SERVER}/bzImage"}),
        (K.IPXE_FETCHED, 20.5, {"file": f"{SERVER}/initrd"}),
        (K.KERNEL, 22, {}),
        (K.INITRD, 30, {}),
        (K.STAGE2, 35, {}),
        (K.LOGIN, 50, {"host": "nixos", "code": "installer"}),
    ]
    return [console(kind, None if start is None else start + at, node, **facts) for kind, at, facts in steps]
