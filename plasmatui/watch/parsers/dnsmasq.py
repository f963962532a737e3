"""dnsmasq 2.80 to 2.90: DHCP with and without `log-dhcp`, proxy-DHCP, TFTP (src/rfc2131.c, src/tftp.c, src/log.c).

With `log-dhcp` a transaction's lines begin with its id, and each packet with `available DHCP ...`; vendor and user
class come before the packet's own line, the boot file after the answer's. A boot file is therefore told by the signals
that follow in the same transaction. TFTP is logged at the end of a transfer only. After a client's error the transfer
that it broke off is told as `failed sending` or, when its last block was short, even as `sent`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.parsers.base import LineParser, Signals, architecture, plain_address

_PACKET: Final = re.compile(
    r"(DHCP[A-Z]{3,8}|PXE|NOANSWER)\([^)]{0,64}\) (?:([0-9.]{7,15}) )?"
    r"(?:[0-9a-f]{2}-)?((?:[0-9a-f]{2}:){5,15}[0-9a-f]{2})(?: (.*))?",
    re.ASCII,
)
_SENT: Final = re.compile(
    r"sent size: {0,2}\d{1,3} option: (?:67 bootfile-name|(54) server-identifier)  (.+)", re.ASCII
)
_ABANDONED: Final = re.compile(
    r"abandoning lease to (?:[0-9a-f]{2}-)?((?:[0-9a-f]{2}:){5,15}[0-9a-f]{2}) of ([0-9.]{7,15})", re.ASCII
)
_BROKEN: Final = re.compile(r"error (\d{1,5}) (.*) received from ([0-9a-fA-F.:]{2,45})", re.ASCII)
_TRANSACTIONS_KEPT: Final = 4096
_CLIENTS_KEPT: Final = 1024

_KINDS: Final = {
    "DHCPDISCOVER": SignalKind.DHCP_DISCOVER,
    "DHCPOFFER": SignalKind.DHCP_OFFER,
    "DHCPREQUEST": SignalKind.DHCP_REQUEST,
    "DHCPACK": SignalKind.DHCP_ACK,
    "DHCPNAK": SignalKind.DHCP_NAK,
    "DHCPRELEASE": SignalKind.DHCP_RELEASE,
    "DHCPDECLINE": SignalKind.DHCP_RELEASE,
    "NOANSWER": SignalKind.DHCP_IGNORED,
    "PXE": SignalKind.DHCP_PROXY,
}
# `ignored` is what dhcp-ignore makes, nearly always for clients that no dhcp-host names.
_REFUSALS: Final = {
    "ignored": "unknown-mac",
    "no address configured": "unknown-mac",
    "no address available": "pool-exhausted",
    "no leases left": "pool-exhausted",
    "address in use": "pool-exhausted",
    "wrong network": "no-subnet",
    "no unique-id": "",
    "disabled": "",
}


@dataclass(slots=True)
class _Transaction:
    vendor: str = ""
    ipxe: bool | None = None
    host: str = ""
    file: str = ""
    server: str = ""  # option 54: which server answered
    static: bool = False  # its network has no pool
    begun: bool = False  # lines before a packet's own have been seen


class DnsmasqParser(LineParser):
    """Signals of dnsmasq's log."""

    programs = ("dnsmasq",)
    strangers = ("dnsmasq-script",)

    def __init__(self, source: str, reference: float | None = None) -> None:
        super().__init__(source, reference)
        self._transactions: OrderedDict[str, _Transaction] = OrderedDict()
        self._informed: OrderedDict[str, None] = OrderedDict()  # MACs whose next DHCPACK gives no address
        self._broken: OrderedDict[str, None] = OrderedDict()  # addresses that broke a transfer off

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """See `LineParser.read`."""
        first = message[:1]
        if "0" <= first <= "9":
            xid, _, text = message.partition(" ")
            if xid.isdecimal() and len(xid) <= 10:
                if text[:4] in ("DHCP", "PXE(", "NOAN"):
                    return self._packet(text, xid, wall, line, number)
                self._detail(text, xid)
            return ()
        if first in ("D", "P", "N") and message[:4] in ("DHCP", "PXE(", "NOAN"):
            return self._packet(message, "", wall, line, number)
        return self._other(message, wall, line, number)

    def _detail(self, text: str, xid: str) -> None:
        """A line before or after a packet's own."""
        if text.startswith(("sent size:", "requested options:")):
            match = _SENT.match(text) if "67 boot" in text or " 54 s" in text else None
            if match is not None and match[1]:
                self._transaction(xid).server = clean_line(match[2], 15)
            elif match is not None:
                self._transaction(xid).file = clean_line(match[2])
            return
        name, _, value = text.partition(": ")
        if name in ("available DHCP range", "available DHCP subnet"):
            transaction = self._transaction(xid)
            if not transaction.begun:
                transaction.vendor, transaction.ipxe, transaction.begun = "", None, True
                transaction.static = True
            transaction.static = transaction.static and name == "available DHCP subnet"
        elif name == "vendor class":
            transaction = self._transaction(xid)
            transaction.vendor, transaction.ipxe = clean_line(value, 255), False
        elif name == "user class":
            self._transaction(xid).ipxe = "iPXE" in value
        elif name == "client provides name":
            self._transaction(xid).host = clean_line(value, 255)
        elif name == "bootfile name":
            self._transaction(xid).file = clean_line(value)

    def _transaction(self, xid: str) -> _Transaction:
        transaction = self._transactions.get(xid)
        if transaction is None:
            transaction = self._transactions[xid] = _Transaction()
            if len(self._transactions) > _TRANSACTIONS_KEPT:
                self._transactions.popitem(last=False)
        return transaction

    def _packet(self, text: str, xid: str, wall: float | None, line: str, number: int) -> Signals:
        match = _PACKET.fullmatch(text)
        if match is None:
            return self._other(text, wall, line, number)
        name, ip, mac, after = match.groups()
        after = clean_line((after or "").strip(" "))
        if name == "DHCPINFORM":
            _keep(self._informed, mac)
            return ()
        kind = _KINDS.get(name)
        if kind is None:
            return ()
        if self._informed and kind is SignalKind.DHCP_ACK and mac in self._informed:
            del self._informed[mac]
            return ()
        known = self._transaction(xid) if xid else _Transaction()
        known.begun = False
        signal = Signal(
            kind=kind,
            evidence=self.evidence(line, number),
            wall=wall,
            mac=mac,
            ip=ip or "",
            xid=xid,
            vendor=known.vendor,
            arch=architecture(known.vendor) if known.vendor else None,
            ipxe=known.ipxe,
            host=known.host,
            file="" if kind is SignalKind.DHCP_DISCOVER else known.file,
            server="" if kind is SignalKind.DHCP_DISCOVER else known.server,
        )
        return _completed(signal, after, known.static) if after or name == "DHCPDECLINE" else (signal,)

    def _other(self, message: str, wall: float | None, line: str, number: int) -> Signals:
        kind, ip, mac, file, code, text = None, "", "", "", "", ""
        if message.startswith("sent "):
            file, _, ip = message[5:].rpartition(" to ")
            kind = SignalKind.TFTP_DONE if file else None
            self._broken.pop(ip, None)
        elif message.startswith("failed sending "):
            file, _, ip = message[15:].rpartition(" to ")
            kind = SignalKind.TFTP_ERROR if file else None
            code = "aborted" if ip in self._broken else "timeout"
            self._broken.pop(ip, None)
        elif message.startswith("error "):
            match = _BROKEN.fullmatch(message)
            if match is not None:
                kind, code, text, ip = SignalKind.TFTP_ERROR, "aborted", f"error {match[1]} {match[2]}", match[3]
                _keep(self._broken, ip)
        elif message.startswith("file "):
            file, found, after = message[5:].rpartition(" not found")
            kind, code = SignalKind.TFTP_ERROR if found else None, "not-found"
            ip = after[5:] if after.startswith(" for ") else ""
        elif message.startswith(("cannot access ", "cannot read ")):
            file, _, text = message[message.index(" ", 7) + 1 :].rpartition(": ")
            kind, code = SignalKind.TFTP_ERROR, "denied" if "denied" in text else ""
        elif message.startswith("abandoning lease "):
            match = _ABANDONED.match(message)
            if match is not None:
                kind, mac, ip, code = SignalKind.DHCP_RELEASE, match[1], match[2], "abandoned"
        elif message.startswith("no address range available for DHCP request") or "which has no address" in message:
            kind, code, text = SignalKind.DHCP_IGNORED, "no-subnet", message
        elif message.startswith("started, version "):
            kind = SignalKind.SERVER_UP
        elif message.startswith(("exiting on receipt of SIG", "FAILED to start up")):
            kind = SignalKind.SERVER_DOWN
        if kind is None:
            return ()
        return (
            Signal(
                kind=kind,
                evidence=self.evidence(line, number),
                wall=wall,
                mac=mac,
                ip=plain_address(clean_line(ip, 45)),
                file=clean_line(file),
                code=code,
                text=clean_line(text),
            ),
        )


def _completed(signal: Signal, after: str, static: bool) -> Signals:
    """What stands behind the MAC: a name after DHCPACK, a reason after most others, a file after PXE."""
    kind = signal.kind
    if kind is SignalKind.DHCP_ACK:
        return (_with(signal, host=after),)
    if kind is SignalKind.DHCP_PROXY:
        if after == "proxy-ignored":
            return (_with(signal, kind=SignalKind.DHCP_IGNORED, code="unknown-mac", text=after),)
        return (signal,) if after == "proxy" else (_with(signal, file=after),)
    if kind is SignalKind.DHCP_RELEASE:
        if after == "unknown lease":
            return ()
        return (_with(signal, code="declined", text=after),) if "DHCPDECLINE(" in signal.evidence.text else (signal,)
    if kind in (SignalKind.DHCP_NAK, SignalKind.DHCP_IGNORED):
        return (_with(signal, text=after),)
    code = _REFUSALS.get(after)
    if code is None:
        return (signal,)
    if static and after == "no address available":
        code = "unknown-mac"  # a network without a pool serves those it names
    return signal, _with(signal, kind=SignalKind.DHCP_IGNORED, code=code, text=after)


def _with(
    signal: Signal, *, kind: SignalKind | None = None, host: str = "", file: str = "", code: str = "", text: str = ""
) -> Signal:
    return Signal(
        kind=kind or signal.kind,
        evidence=signal.evidence,
        wall=signal.wall,
        mac=signal.mac,
        ip=signal.ip,
        xid=signal.xid,
        vendor=signal.vendor,
        arch=signal.arch,
        ipxe=signal.ipxe,
        host=host or signal.host,
        file=file or signal.file,
        server=signal.server,
        code=code,
        text=text,
    )


def _keep(table: OrderedDict[str, None], key: str) -> None:
    table[key] = None
    if len(table) > _CLIENTS_KEPT:
        table.popitem(last=False)
