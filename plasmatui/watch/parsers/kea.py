"""Kea DHCPv4, its text log (message files dhcp4_messages.mes and alloc_engine_messages.mes of 2.0 to 3.0).

A line is `TIME LEVEL [kea-dhcp4.LOGGER/PID.THREAD] MESSAGE_ID text`; through syslog it has no time of its own and
`[kea-dhcp4.LOGGER.THREAD]`. Most texts begin with the client: `[hwtype=1 MAC], cid=[...], tid=0x...`. At debug levels
a packet's options follow on lines of their own.

One thing that happens is told by several messages, more of them in newer versions. The signals are made from those
that all versions have, or from the first of several: an offer from DHCP4_LEASE_ADVERT or _OFFER and not from
DHCP4_PACKET_SEND, a failed allocation from ALLOC_ENGINE_V4_ALLOC_FAIL or _NO_POOLS, of which there is always one.
"""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.parsers.base import LineParser, Signals, architecture

_LOGGER: Final = "[kea-dhcp4."
_CLIENT: Final = re.compile(
    r"\[hwtype=\d{1,3} ([0-9a-fA-F:]{11,59})\](?:, cid=\[[^\]]{0,800}\])?(?:, tid=0x([0-9a-fA-F]{1,8}))?", re.ASCII
)
_ADDRESS: Final = re.compile(r"(?<![\d.])(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?![\d.])", re.ASCII)
_EVALUATED: Final = re.compile(r"Expression '?([^' ]{1,128})'? evaluated to (1|0|true|false)", re.ASCII)
_SENT_NAK: Final = re.compile(r"trying to send packet DHCPNAK \(type 6\) from ([0-9.]{7,15}):", re.ASCII)
_NETWORK_LEFT: Final = re.compile(r": (\d{1,9}) subnets have no available addresses", re.ASCII)
_OPTION: Final = re.compile(r"\s*type=(\d{3})(?:\([^)]{0,64}\))?, len=\d{3}: (.{1,1024})", re.ASCII)
_CLASSES_OF_IPXE: Final = frozenset({"ipxe", "isipxe", "ipxeclient", "clientipxe", "xclientipxe"})
_QUERIES_KEPT: Final = 4096
_THREADS_KEPT: Final = 256

_QUESTIONS: Final = {
    "DHCPDISCOVER": SignalKind.DHCP_DISCOVER,
    "DHCPREQUEST": SignalKind.DHCP_REQUEST,
}
_ANSWERS: Final = {
    "DHCP4_LEASE_ADVERT": SignalKind.DHCP_OFFER,
    "DHCP4_LEASE_OFFER": SignalKind.DHCP_OFFER,
    "DHCP4_LEASE_ALLOC": SignalKind.DHCP_ACK,
    "DHCP4_LEASE_REUSE": SignalKind.DHCP_ACK,
    "DHCP4_PACKET_NAK_0002": SignalKind.DHCP_NAK,
    "DHCP4_PACKET_NAK_0004": SignalKind.DHCP_NAK,
    "DHCP4_PACKET_NAK_0005": SignalKind.DHCP_NAK,
    "DHCP4_RELEASE": SignalKind.DHCP_RELEASE,
    "DHCP4_RELEASE_DELETED": SignalKind.DHCP_RELEASE,
    "DHCP4_RELEASE_EXPIRED": SignalKind.DHCP_RELEASE,
    "DHCP4_DECLINE_LEASE": SignalKind.DHCP_RELEASE,
    "DHCP4_SERVER_INITIATED_DECLINE": SignalKind.DHCP_RELEASE,
    "ALLOC_ENGINE_V4_LEASE_RECLAIM": SignalKind.DHCP_RELEASE,
}
_RELEASE_CODES: Final = {
    "DHCP4_DECLINE_LEASE": "declined",
    "DHCP4_SERVER_INITIATED_DECLINE": "declined",
    "ALLOC_ENGINE_V4_LEASE_RECLAIM": "expired",
}
_REFUSALS: Final = {
    "ALLOC_ENGINE_V4_ALLOC_FAIL": "pool-exhausted",
    "ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS": "unknown-mac",  # no pool is open to this client and nothing is reserved
    "ALLOC_ENGINE_V4_ALLOC_ERROR": "",
    "DHCP4_PACKET_DROP_0002": "no-subnet",
    "DHCP4_SUBNET_SELECTION_FAILED": "no-subnet",
    "DHCP4_PACKET_NAK_0001": "no-subnet",
    "DHCP4_PACKET_DROP_0007": "",
    "DHCP4_PACKET_DROP_0008": "",  # the service is disabled
    "DHCP4_PACKET_DROP_0010": "",  # class DROP by an expression
    "DHCP4_PACKET_DROP_0013": "unknown-mac",  # class DROP after reservations were looked up
    "DHCP4_PACKET_DROP_0014": "unknown-mac",
    "DHCP4_NO_LEASE_INIT_REBOOT": "",
}
_SERVER: Final = {
    "DHCP4_STARTED": SignalKind.SERVER_UP,
    "DHCP4_SHUTDOWN": SignalKind.SERVER_DOWN,
    "DHCP4_INIT_FAIL": SignalKind.SERVER_DOWN,
    "DHCP4_OPEN_SOCKETS_FAILED": SignalKind.SERVER_DOWN,
}
_CONTEXT: Final = frozenset(
    {
        "EVAL_RESULT",
        "DHCP4_ADDITIONAL_CLASS_EVAL_RESULT",
        "DHCP4_CLASS_ASSIGNED",
        "DHCP4_CLASSES_ASSIGNED",
        "DHCP4_CLASSES_ASSIGNED_AFTER_SUBNET_SELECTION",
        "ALLOC_ENGINE_V4_ALLOC_FAIL_CLASSES",
        "ALLOC_ENGINE_V4_ALLOC_FAIL_SHARED_NETWORK",
        "DHCP4_QUERY_DATA",
        "DHCP4_RESPONSE_DATA",
    }
)
_OTHERS: Final = frozenset({"DHCP4_PACKET_RECEIVED", "DHCP4_PACKET_SEND", "DHCP4_INIT_REBOOT"})
_KNOWN: Final = frozenset({*_ANSWERS, *_REFUSALS, *_SERVER, *_CONTEXT, *_OTHERS})


@dataclass(slots=True)
class _Query:
    """What is known of one client's transaction."""

    mac: str
    xid: str
    vendor: str = ""
    arch: int | None = None
    ipxe: bool | None = None
    host: str = ""
    uuid: str = ""
    file: str = ""
    asked: bool = False  # its DHCPREQUEST was told
    refused: bool = False  # that no subnet fits was told
    nak: bool = False  # its DHCPNAK was told
    exhausted: bool = False  # a pool of its shared network is full


class KeaParser(LineParser):
    """Signals of kea-dhcp4's log."""

    programs = ("kea",)
    strangers = ("kea-dhcp6", "kea-ctrl", "kea-dhcp-ddns", "kea-netconf")

    def __init__(self, source: str, reference: float | None = None) -> None:
        super().__init__(source, reference)
        self._queries: OrderedDict[tuple[str, str], _Query] = OrderedDict()
        self._evaluated: dict[str, bool] = {}  # by thread: 2.2 does not name the client
        self._packet: _Query | None = None  # whose options the next lines list
        self._packet_is_answer = False
        self._second = ""  # "2026-11-21 00:46:04", as it was last met, and what it means
        self._second_wall: float | None = None

    def feed(self, line: str, number: int) -> Signals:
        """See `LogParser.feed`."""
        # Kea's own layout needs no look at the prefix before it is known that the line matters.
        if line[:1].isdigit() and len(line) <= 8192:
            at = line.find(_LOGGER, 0, 64)
            if at >= 0:
                return self._message(line, at, None, line, number)
        return super().feed(line, number)

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        """See `LineParser.read`."""
        at = message.find(_LOGGER, 0, 512)
        if at < 0:
            if self._packet is not None:
                self._option(message)
            return ()
        return self._message(message, at, wall, line, number)

    def _message(self, message: str, at: int, wall: float | None, line: str, number: int) -> Signals:
        self._packet = None
        end = message.find("] ", at, at + 256)
        space = message.find(" ", end + 2)
        name = message[end + 2 : space] if space > 0 else message[end + 2 :]
        if end < 0 or name not in _KNOWN:
            return ()
        text = message[space + 1 :] if space > 0 else ""
        if name == "EVAL_RESULT" and "pxe" not in text and "PXE" not in text:
            return ()
        own = self._own_time(message) if at > 20 else None
        wall = own if own is not None else wall
        kind = _SERVER.get(name)
        if kind is not None:
            return (Signal(kind=kind, evidence=self.evidence(line, number), wall=wall, text=clean_line(text)),)
        thread = message[at:end].rpartition(".")[2]
        match = _CLIENT.search(text, 0, 2048)
        if match is None:
            if name == "EVAL_RESULT":
                self._remember(thread, text)
            return ()
        query = self._query(match, thread)
        if name in _CONTEXT:
            self._learn(query, name, text)
            return ()
        return self._about(query, name, text, wall, line, number)

    def _own_time(self, message: str) -> float | None:
        """The time of Kea's own layout: local, with milliseconds."""
        second, fraction = message[:19], message[20:23]
        if second != self._second:
            self._second, self._second_wall = second, self._prefix.wall(f"{second} ")
        if self._second_wall is None or message[19:20] != "." or not (fraction.isascii() and fraction.isdigit()):
            return self._second_wall
        return self._second_wall + int(fraction) / 1000

    def _query(self, match: re.Match[str], thread: str) -> _Query:
        mac, xid = match[1].lower(), match[2] or ""
        query = self._queries.get((mac, xid))
        if query is None:
            query = self._queries[mac, xid] = _Query(mac, xid)
            if len(self._queries) > _QUERIES_KEPT:
                self._queries.popitem(last=False)
        if self._evaluated:
            ipxe = self._evaluated.pop(thread, None)
            query.ipxe = query.ipxe if ipxe is None else ipxe
        return query

    def _about(self, query: _Query, name: str, text: str, wall: float | None, line: str, number: int) -> Signals:
        code, note, ip, server = "", "", "", ""
        kind = _ANSWERS.get(name)
        if kind is not None:
            ip = _address(text)
            code = _RELEASE_CODES.get(name, "")
            query.nak = kind is SignalKind.DHCP_NAK
        elif name in _REFUSALS:
            kind, code = SignalKind.DHCP_IGNORED, _REFUSALS[name]
            if code == "no-subnet":
                if query.refused and name == "DHCP4_PACKET_NAK_0001":
                    return ()  # told by DHCP4_SUBNET_SELECTION_FAILED
                query.refused = True
            elif name == "ALLOC_ENGINE_V4_ALLOC_FAIL_NO_POOLS" and query.exhausted:
                code = "pool-exhausted"
            note = clean_line(text.rpartition(": ")[2])
        elif name == "DHCP4_PACKET_RECEIVED":
            kind = self._question(query, text)
        elif name == "DHCP4_INIT_REBOOT":
            kind = None if query.asked else SignalKind.DHCP_REQUEST
            query.asked = False
            ip = _address(text)
        else:  # DHCP4_PACKET_SEND: only a DHCPNAK is told by nothing else at the usual level
            match = _SENT_NAK.search(text)
            if match is not None and not query.nak:
                kind, server = SignalKind.DHCP_NAK, match[1]
            query.nak = False
        if kind is None:
            return ()
        return (
            Signal(
                kind=kind,
                evidence=self.evidence(line, number),
                wall=wall,
                mac=query.mac,
                ip=ip,
                xid=query.xid,
                code=code,
                text=note,
                vendor=query.vendor,
                arch=query.arch,
                ipxe=query.ipxe,
                host=query.host,
                uuid=query.uuid,
                file="" if kind is SignalKind.DHCP_DISCOVER else query.file,
                server=server,
            ),
        )

    def _question(self, query: _Query, text: str) -> SignalKind | None:
        begin = text.find(": ") + 2
        kind = _QUESTIONS.get(text[begin : text.find(" ", begin)])
        query.asked = kind is SignalKind.DHCP_REQUEST
        query.refused = query.nak = query.exhausted = False
        return kind

    def _remember(self, thread: str, text: str) -> None:
        ipxe = _ipxe_class(text)
        if ipxe is not None and (ipxe or thread not in self._evaluated):
            if len(self._evaluated) > _THREADS_KEPT:
                self._evaluated.clear()
            self._evaluated[thread] = ipxe

    def _learn(self, query: _Query, name: str, text: str) -> None:
        if name in ("DHCP4_QUERY_DATA", "DHCP4_RESPONSE_DATA"):
            self._packet, self._packet_is_answer = query, name == "DHCP4_RESPONSE_DATA"
            for part in text.split("\n")[1:]:  # a journal keeps them in one entry
                self._option(part)
        elif name.endswith("EVAL_RESULT"):
            ipxe = _ipxe_class(text)
            if ipxe is not None and query.ipxe is not True:
                query.ipxe = ipxe
        elif name == "ALLOC_ENGINE_V4_ALLOC_FAIL_SHARED_NETWORK":
            match = _NETWORK_LEFT.search(text)
            query.exhausted = match is not None and match[1].strip("0") != ""
        else:
            at = text.find("VENDOR_CLASS_")
            if at >= 0:
                self._vendor(query, text[at + 13 :].partition(",")[0])

    def _vendor(self, query: _Query, vendor: str) -> None:
        query.vendor = clean_line(vendor, 255)
        if query.arch is None:
            query.arch = architecture(vendor)

    def _option(self, text: str) -> None:
        query = self._packet
        match = _OPTION.match(text)
        if match is None or query is None:
            return
        code, value = int(match[1]), match[2]
        quoted = value.rpartition('"')[0][1:] if value.startswith('"') else ""
        if self._packet_is_answer:
            if code == 67:
                query.file = clean_line(quoted or _hex_text(value))
        elif code == 60:
            self._vendor(query, quoted or _hex_text(value))
        elif code == 12:
            query.host = clean_line(quoted or _hex_text(value), 255)
        elif code == 77:
            query.ipxe = "iPXE" in (quoted or _hex_text(value))
        elif code == 93:
            query.arch = _number(value)
        elif code == 97:
            query.uuid = _machine(value)


def _address(text: str) -> str:
    """The address that a message tells of: behind the client, or before it (DHCP4_DECLINE_LEASE)."""
    match = _ADDRESS.search(text, max(0, text.find(", tid=0x"))) or _ADDRESS.search(text)
    if match is not None and match[1] == "0.0.0.0":  # noqa: S104  (no address: what it asked for comes next)
        match = _ADDRESS.search(text, match.end())
    return match[1] if match is not None else ""


def _ipxe_class(text: str) -> bool | None:
    """Whether the client is in the class for iPXE, None when another class was evaluated. Names are the site's own."""
    match = _EVALUATED.search(text, 0, 2048)
    if match is None or match[1].lower().replace("-", "").replace("_", "") not in _CLASSES_OF_IPXE:
        return None
    return match[2] in ("1", "true")


def _hex_bytes(value: str) -> bytes:
    head = value.partition(" ")[0]
    try:
        return bytes.fromhex(head.replace(":", ""))
    except ValueError:
        return b""


def _hex_text(value: str) -> str:
    return _hex_bytes(value).decode("utf-8", "replace")


def _number(value: str) -> int | None:
    """The first of a list of 16-bit numbers: `00:07` or `7 (uint16)`."""
    head = value.partition(" ")[0].partition("(")[0]
    if ":" in head:
        data = _hex_bytes(head)
        return int.from_bytes(data[:2], "big") if len(data) >= 2 else None
    return int(head) if head.isascii() and head.isdigit() and len(head) < 6 else None


def _machine(value: str) -> str:
    """Option 97 (RFC 4578 section 2.3): type 0 and a GUID, whose first three groups are little-endian."""
    data = _hex_bytes(value)
    return str(uuid.UUID(bytes_le=data[1:])) if len(data) == 17 and data[0] == 0 else ""
