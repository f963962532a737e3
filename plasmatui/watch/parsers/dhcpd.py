"""ISC dhcpd 4.x (server/dhcp.c, server/mdb.c, server/dhcpd.c of 4.4.3).

It logs neither architecture nor boot file, and one line for a question and its refusal:
`DHCPDISCOVER from MAC (name) via eth0: network 10.0.100.0/24: no free leases`.
"""

from __future__ import annotations

import re
from typing import Final

from plasmatui.model.boot import Signal, SignalKind
from plasmatui.text import clean_line
from plasmatui.watch.parsers.base import LineParser, Signals

_MAC: Final = r"((?:[0-9a-fA-F]{1,2}:){5,19}[0-9a-fA-F]{1,2})"
# A client's own name stands in the brackets and may hold anything printable, brackets too.
_PACKET: Final = re.compile(
    r"DHCP(DISCOVER|OFFER|REQUEST|ACK|NAK|RELEASE|DECLINE) "
    r"(?:(?:on|for|of) ([0-9.]{7,15}) )?(?:\(([0-9.]{7,15})\) )?(?:from|to) " + _MAC + r" "
    r"(?:\((.{0,255}?)\) )?via (\S+?)(?:: (.+)| \((not )?found\))?",
    re.ASCII,
)
_ABANDONED: Final = re.compile(r"Abandoning IP address ([0-9.]{7,15}): (.+)", re.ASCII)
_STOPPED: Final = ("exiting.", "Received signal 15, initiating shutdown.", "Received signal 2, initiating shutdown.")

_KINDS: Final = {
    "DISCOVER": SignalKind.DHCP_DISCOVER,
    "OFFER": SignalKind.DHCP_OFFER,
    "REQUEST": SignalKind.DHCP_REQUEST,
    "ACK": SignalKind.DHCP_ACK,
    "NAK": SignalKind.DHCP_NAK,
    "RELEASE": SignalKind.DHCP_RELEASE,
    "DECLINE": SignalKind.DHCP_RELEASE,
}
# What follows the question, and the code of the refusal. Not here: what another server answers (failover peers, "not
# our server id") and what a DHCPNAK on the next line says ("wrong network", "lease ... unavailable").
_REFUSALS: Final = (
    ("no free leases", "pool-exhausted"),
    ("peer holds all free leases", "pool-exhausted"),
    ("unknown client", "unknown-mac"),
    ("ignored (unknown subnet)", "no-subnet"),
    ("ignored (not authoritative)", ""),
    ("unknown lease", ""),
    ("booting disallowed", ""),
    ("no available billing", ""),
    ("not responding", ""),
    ("database update failed", ""),
    ("can't allocate", ""),
    ("message dropped", ""),
)


def _mac(text: str) -> str:
    if len(text) == 3 * text.count(":") + 2:
        return text.lower()
    return ":".join(part.zfill(2) for part in text.lower().split(":"))


class DhcpdParser(LineParser):
    """Signals of dhcpd's log."""

    programs = ("dhcp",)
    strangers = ("dnsmasq", "kea", "dhcpcd", "dhclient", "dhcrelay", "dhcp6", "dhcpd6")

    def __init__(self, source: str, reference: float | None = None) -> None:
        super().__init__(source, reference)
        self._unused = False  # since its start it has given out nothing, and there was nothing before

    def read(self, message: str, wall: float | None, pid: str, line: str, number: int) -> Signals:
        if message.startswith("DHCP"):
            match = _PACKET.fullmatch(message)
            return self._packet(match, wall, line, number) if match is not None else ()
        return self._other(message, wall, line, number)

    def _packet(self, match: re.Match[str], wall: float | None, line: str, number: int) -> Signals:
        name, ip, server, mac, host, _via, after, missing = match.groups()
        if missing and name == "RELEASE":
            return ()  # nothing was released
        evidence = self.evidence(line, number)
        mac = _mac(mac)
        signal = Signal(
            kind=_KINDS[name],
            evidence=evidence,
            wall=wall,
            mac=mac,
            ip=ip or "",
            host=clean_line(host) if host else "",
            server=server or "",
            code="declined" if name == "DECLINE" else "",
        )
        if name == "ACK":
            self._unused = False
        if not after or name not in ("DISCOVER", "REQUEST"):
            return (signal,)
        for words, code in _REFUSALS:
            if words in after:
                if self._unused and words == "no free leases":
                    code = "unknown-mac"  # pools without a single lease are not full: they are closed to this client
                return signal, Signal(
                    kind=SignalKind.DHCP_IGNORED,
                    evidence=evidence,
                    wall=wall,
                    mac=mac,
                    ip=ip or "",
                    host=signal.host,
                    server=server or "",
                    code=code,
                    text=clean_line(after),
                )
        return (signal,)

    def _other(self, message: str, wall: float | None, line: str, number: int) -> Signals:
        if message.startswith("Wrote ") and message.endswith(" leases to leases file."):
            self._unused = message == "Wrote 0 leases to leases file."
            return ()
        if message.startswith("Server starting service"):
            return (Signal(kind=SignalKind.SERVER_UP, evidence=self.evidence(line, number), wall=wall),)
        if message in _STOPPED or message.endswith("-- exiting"):
            return (Signal(kind=SignalKind.SERVER_DOWN, evidence=self.evidence(line, number), wall=wall),)
        if message.startswith("Packet from unknown subnet: "):
            return (
                Signal(
                    kind=SignalKind.DHCP_IGNORED,
                    evidence=self.evidence(line, number),
                    wall=wall,
                    code="no-subnet",
                    text=clean_line(message),
                ),
            )
        match = _ABANDONED.match(message) if message.startswith("Abandoning ") else None
        if match is None:
            return ()
        return (
            Signal(
                kind=SignalKind.DHCP_RELEASE,
                evidence=self.evidence(line, number),
                wall=wall,
                ip=match[1],
                code="abandoned",
                text=clean_line(match[2]),
            ),
        )
