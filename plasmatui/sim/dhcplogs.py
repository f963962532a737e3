"""What DHCP servers log about the clients that ask them: Kea 2.6, ISC dhcpd 4.4, dnsmasq 2.90 with `log-dhcp`.

The servers are not there; their lines are, as the simulated machines' exchanges make them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from plasmatui.sim.identity import BOOT_SERVER, GATEWAY, POOL, PROVISIONING
from plasmatui.sim.logfile import LogFile

INTERFACE = "eth0"
LEASE_SECONDS = 600
_SERVER_MAC = "52:54:00:00:00:10"


@dataclass(frozen=True)
class Query:
    """One transaction of a client.

    Attributes:
        vendor: vendor class (option 60).
        kind: the class that the server's configuration puts the client in: "bios", "efi64", "ipxe", or "" for a
            client that boots no file.
        filename: what it gets as boot file, "" for none.
        identified: whether it sends a client identifier, as iPXE and operating systems do and firmware does not.
        ipxe: whether it says that it is iPXE, seen by the configuration or not.
    """

    mac: str
    address: str
    vendor: str
    kind: str
    filename: str
    xid: int
    identified: bool
    ipxe: bool = False


class DhcpLog(Protocol):
    """The log of one kind of server."""

    def started(self) -> None: ...

    def stopped(self) -> None: ...

    def offered(self, query: Query) -> None:
        """A discover that was answered with an offer."""

    def acknowledged(self, query: Query) -> None:
        """A request that was answered with an acknowledgement."""

    def exhausted(self, query: Query) -> None:
        """A discover for which the pool has no address."""

    def unknown(self, query: Query) -> None:
        """A discover of a client that the configuration does not know."""

    def overheard(self, query: Query, server: str) -> None:
        """A request that the client addressed to another server."""


class KeaLog:
    """Kea 2.6, its text log at INFO."""

    def __init__(self, file: LogFile, pid: int) -> None:
        self._file = file
        self._pid = pid

    def _write(self, level: str, logger: str, text: str, thread: int = 0) -> None:
        wall = self._file.wall()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall)) + f".{int(wall * 1000) % 1000:03d}"
        number = 140628341270464 - thread * 8392704
        self._file.write(f"{stamp} {level:<5} [kea-dhcp4.{logger}/{self._pid}.{number}] {text}")

    def started(self) -> None:
        self._write("INFO", "dhcp4", "DHCP4_STARTING Kea DHCPv4 server version 2.6.3 (stable) starting")
        self._write("INFO", "dhcpsrv", f"DHCPSRV_CFGMGR_ADD_IFACE listening on interface {INTERFACE}")
        self._write(
            "INFO",
            "dhcpsrv",
            "DHCPSRV_CFGMGR_NEW_SUBNET4 a new subnet has been added to configuration: "
            f"{PROVISIONING} with params: valid-lifetime={LEASE_SECONDS}",
        )
        self._write("INFO", "dhcp4", "DHCP4_STARTED Kea DHCPv4 server version 2.6.3 started")

    def stopped(self) -> None:
        self._write("INFO", "dhcp4", "DHCP4_SHUTDOWN server shutdown")

    def _client(self, query: Query) -> str:
        identifier = f"01:{query.mac}" if query.identified else "no info"
        return f"[hwtype=1 {query.mac}], cid=[{identifier}], tid=0x{query.xid:x}"

    def _received(self, query: Query, packet: str) -> int:
        thread = 4 + query.xid % 2
        client = self._client(query)
        self._write("INFO", "dhcp4", f"DHCP4_QUERY_LABEL received query: {client}", thread)
        if query.kind:
            self._write("INFO", "dhcpsrv", f"EVAL_RESULT {client}: Expression {query.kind} evaluated to true", thread)
        self._write(
            "INFO",
            "packets",
            f"DHCP4_PACKET_RECEIVED {client}: {packet} received from 0.0.0.0 to 255.255.255.255 "
            f"on interface {INTERFACE}",
            thread,
        )
        return thread

    def _sent(self, query: Query, packet: str, thread: int) -> None:
        target = query.address if query.identified else "255.255.255.255"
        self._write(
            "INFO",
            "packets",
            f"DHCP4_PACKET_SEND {self._client(query)}: trying to send packet {packet} from {BOOT_SERVER}:67 "
            f"to {target}:68 on interface {INTERFACE}",
            thread,
        )

    def offered(self, query: Query) -> None:
        thread = self._received(query, "DHCPDISCOVER (type 1)")
        text = f"DHCP4_LEASE_OFFER {self._client(query)}: lease {query.address} will be offered"
        self._write("INFO", "leases", text, thread)
        self._sent(query, "DHCPOFFER (type 2)", thread)

    def acknowledged(self, query: Query) -> None:
        thread = self._received(query, "DHCPREQUEST (type 3)")
        lease = f"lease {query.address} has been allocated for {LEASE_SECONDS} seconds"
        self._write("INFO", "leases", f"DHCP4_LEASE_ALLOC {self._client(query)}: {lease}", thread)
        self._sent(query, "DHCPACK (type 5)", thread)

    def exhausted(self, query: Query) -> None:
        thread = self._received(query, "DHCPDISCOVER (type 1)")
        client = self._client(query)
        self._write(
            "WARN",
            "alloc-engine",
            f"ALLOC_ENGINE_V4_ALLOC_FAIL_SUBNET {client}: failed to allocate an IPv4 lease in the subnet "
            f"{PROVISIONING}, subnet-id 1, shared network (none)",
            thread,
        )
        self._write(
            "WARN",
            "alloc-engine",
            f"ALLOC_ENGINE_V4_ALLOC_FAIL {client}: failed to allocate an IPv4 address after 200 attempt(s)",
            thread,
        )
        self._failed_classes(query, "KNOWN", thread)

    def unknown(self, query: Query) -> None:
        """The pools are for known clients alone (`client-class: KNOWN`), so that there is none for this one."""
        thread = self._received(query, "DHCPDISCOVER (type 1)")
        self._write(
            "WARN",
            "alloc-engine",
            f"ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS {self._client(query)}: "
            "no pools were available for the address allocation",
            thread,
        )
        self._failed_classes(query, "UNKNOWN", thread)

    def _failed_classes(self, query: Query, known: str, thread: int) -> None:
        classes = ", ".join(name for name in ("ALL", f"VENDOR_CLASS_{query.vendor}", query.kind, known) if name)
        self._write(
            "WARN",
            "alloc-engine",
            f"ALLOC_ENGINE_V4_ALLOC_FAIL_CLASSES {self._client(query)}: "
            f"Failed to allocate an IPv4 address for client with classes: {classes}",
            thread,
        )

    def overheard(self, query: Query, server: str) -> None:
        """Nothing: Kea tells of requests to other servers at debug level only."""


class DhcpdLog:
    """ISC dhcpd 4.4.3-P1 through syslog. It tells neither architecture nor boot file."""

    def __init__(self, file: LogFile, pid: int) -> None:
        self._file = file
        self._program = f"dhcpd[{pid}]"

    def _write(self, *texts: str) -> None:
        self._file.syslog(self._program, *texts)

    def started(self) -> None:
        self._write(
            "Internet Systems Consortium DHCP Server 4.4.3-P1",
            f"Listening on LPF/{INTERFACE}/{_SERVER_MAC}/{PROVISIONING}",
            f"Sending on   LPF/{INTERFACE}/{_SERVER_MAC}/{PROVISIONING}",
            "Server starting service.",
        )

    def stopped(self) -> None:
        """Nothing: dhcpd ends without a word on SIGTERM."""

    def offered(self, query: Query) -> None:
        self._write(
            f"DHCPDISCOVER from {query.mac} via {INTERFACE}",
            f"DHCPOFFER on {query.address} to {query.mac} via {INTERFACE}",
        )

    def acknowledged(self, query: Query) -> None:
        self._write(
            f"DHCPREQUEST for {query.address} ({BOOT_SERVER}) from {query.mac} via {INTERFACE}",
            f"DHCPACK on {query.address} to {query.mac} via {INTERFACE}",
        )

    def exhausted(self, query: Query) -> None:
        self._write(f"DHCPDISCOVER from {query.mac} via {INTERFACE}: network {PROVISIONING}: no free leases")

    def unknown(self, query: Query) -> None:
        self._write(f"DHCPDISCOVER from {query.mac} via {INTERFACE}: unknown client")

    def overheard(self, query: Query, server: str) -> None:
        about = f"DHCPREQUEST for {query.address} ({server}) from {query.mac} via {INTERFACE}"
        self._write(f"{about}: ignored (not authoritative).")


_WANTED_BY_IPXE = (
    "1:netmask, 3:router, 6:dns-server, 7:log-server, ",
    "12:hostname, 15:domain-name, 17:root-path, ",
    "26:mtu, 43:vendor-encap, 60:vendor-class, ",
    "66:tftp-server, 67:bootfile-name, 119:domain-search, ",
    "128, 129, 130, 131, 132, 133, 134, 135, 175, ",
    "203",
)
_WANTED_BY_FIRMWARE = (
    "1:netmask, 2:time-offset, 3:router, 4, 5, ",
    "6:dns-server, 12:hostname, 13:boot-file-size, ",
    "15:domain-name, 17:root-path, 18:extension-path, ",
    "43:vendor-encap, 54:server-identifier, 60:vendor-class, ",
    "66:tftp-server, 67:bootfile-name, 97:client-machine-id",
)


class DnsmasqLog:
    """dnsmasq 2.90 with `log-dhcp`, through syslog."""

    def __init__(self, file: LogFile, pid: int) -> None:
        self._file = file
        self._pid = pid

    def _write(self, query: Query, *texts: str) -> None:
        self._file.syslog(f"dnsmasq-dhcp[{self._pid}]", *(f"{query.xid} {text}" for text in texts))

    def started(self) -> None:
        self._file.syslog(f"dnsmasq[{self._pid}]", "started, version 2.90 DNS disabled")
        self._file.syslog(
            f"dnsmasq-dhcp[{self._pid}]",
            f"DHCP, IP range {POOL[0]} -- {POOL[1]}, lease time {LEASE_SECONDS // 60}m",
            f"DHCP, sockets bound exclusively to interface {INTERFACE}",
        )

    def stopped(self) -> None:
        self._file.syslog(f"dnsmasq[{self._pid}]", "exiting on receipt of SIGTERM")

    def _head(self, query: Query) -> list[str]:
        head = [f"available DHCP range: {POOL[0]} -- {POOL[1]}", f"vendor class: {query.vendor}"]
        return [*head, "user class: iPXE"] if query.ipxe else head

    def _answer(self, query: Query, type_: int) -> list[str]:
        wanted = _WANTED_BY_IPXE if query.ipxe else _WANTED_BY_FIRMWARE
        lines = [f"requested options: {options}" for options in wanted]
        if query.filename:
            lines.append(f"bootfile name: {query.filename}")
        lines.append(f"next server: {BOOT_SERVER}")
        if not query.identified:
            lines.append("broadcast response")
        lines.append(f"sent size:  1 option: 53 message-type  {type_}")
        lines.append(f"sent size:  4 option: 54 server-identifier  {BOOT_SERVER}")
        lines.append(f"sent size:  4 option: 51 lease-time  {LEASE_SECONDS // 60}m")
        if query.filename:
            lines.append(f"sent size: {len(query.filename):2d} option: 67 bootfile-name  {query.filename}")
        lines.append("sent size:  4 option:  1 netmask  255.255.0.0")
        lines.append(f"sent size:  4 option:  3 router  {GATEWAY}")
        return lines

    def _tags(self, query: Query) -> str:
        return "tags: " + ", ".join(tag for tag in ("known", query.kind, INTERFACE) if tag)

    def offered(self, query: Query) -> None:
        self._write(
            query,
            *self._head(query),
            f"DHCPDISCOVER({INTERFACE}) {query.mac} ",
            self._tags(query),
            f"DHCPOFFER({INTERFACE}) {query.address} {query.mac} ",
            *self._answer(query, 2),
        )

    def acknowledged(self, query: Query) -> None:
        self._write(
            query,
            *self._head(query),
            f"DHCPREQUEST({INTERFACE}) {query.address} {query.mac} ",
            self._tags(query),
            f"DHCPACK({INTERFACE}) {query.address} {query.mac} ",
            *self._answer(query, 5),
        )

    def exhausted(self, query: Query) -> None:
        self._write(query, *self._head(query), f"DHCPDISCOVER({INTERFACE}) {query.mac} no address available")

    def unknown(self, query: Query) -> None:
        self._write(query, *self._head(query), f"DHCPDISCOVER({INTERFACE}) {query.mac} ignored")

    def overheard(self, query: Query, server: str) -> None:
        """Nothing: dnsmasq is silent about requests to other servers."""


DHCP_LOGS: dict[str, Callable[[LogFile, int], DhcpLog]] = {
    "kea": KeaLog,
    "dhcpd": DhcpdLog,
    "dnsmasq": DnsmasqLog,
}
