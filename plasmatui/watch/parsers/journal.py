"""Lines of several services in one log: `journalctl -o json`, `-o export` or `-o short...`, or a whole syslog."""

from __future__ import annotations

from typing import Final

from plasmatui.watch.parsers.atftpd import AtftpdParser
from plasmatui.watch.parsers.base import PROGRAMS_KEPT, LineParser, Signals, parts_of
from plasmatui.watch.parsers.dhcpd import DhcpdParser
from plasmatui.watch.parsers.dnsmasq import DnsmasqParser
from plasmatui.watch.parsers.kea import KeaParser
from plasmatui.watch.parsers.nginx_access import NginxAccessParser
from plasmatui.watch.parsers.nginx_error import NginxErrorParser
from plasmatui.watch.parsers.prefix import ExportedEntry, PrefixReader
from plasmatui.watch.parsers.tftpd_hpa import TftpdHpaParser

_PARSERS: Final[tuple[type[LineParser], ...]] = (
    KeaParser,
    DnsmasqParser,
    DhcpdParser,
    AtftpdParser,
    TftpdHpaParser,
    NginxAccessParser,
    NginxErrorParser,
)


class JournalParser:
    """Hands each line to the parser of the program that wrote it; a line without a name to whoever understands it."""

    def __init__(self, source: str, reference: float | None = None) -> None:
        self._prefix = PrefixReader(reference)
        self._parsers = tuple(parser(source, reference) for parser in _PARSERS)
        self._owners: dict[str, tuple[LineParser, ...]] = {}

        self._exported = ExportedEntry()

    def feed(self, line: str, number: int) -> Signals:
        """See `LogParser.feed`."""
        if (line[:2] == "__" or self._exported.begun) and (entry := self._exported.feed(line, number)) is not None:
            line, number = entry
        line, (wall, program, pid, message) = parts_of(line, self._prefix)
        owners = self._owners.get(program)
        if owners is None:
            owners = tuple(parser for parser in self._parsers if parser.owns(program))
            if len(self._owners) >= PROGRAMS_KEPT:
                self._owners.clear()
            self._owners[program] = owners
        for parser in owners:
            signals = parser.read(message, wall, pid, line, number)
            if signals:
                return signals
        return ()

    def repeats(self, line: str) -> bool:
        """See `LogParser.repeats`."""
        return False
