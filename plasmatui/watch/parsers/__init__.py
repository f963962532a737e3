"""Servers' logs as signals: one module per format, `make_parser` for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plasmatui.watch.parser import LogParser
from plasmatui.watch.parsers.atftpd import AtftpdParser
from plasmatui.watch.parsers.boot_service import BootServiceParser
from plasmatui.watch.parsers.dhcpd import DhcpdParser
from plasmatui.watch.parsers.dnsmasq import DnsmasqParser
from plasmatui.watch.parsers.journal import JournalParser
from plasmatui.watch.parsers.kea import KeaParser
from plasmatui.watch.parsers.nginx_access import NginxAccessParser
from plasmatui.watch.parsers.nginx_error import NginxErrorParser
from plasmatui.watch.parsers.tftpd_hpa import TftpdHpaParser

_FORMATS: Final[dict[str, Callable[[str, float | None], LogParser]]] = {
    "dhcpd": DhcpdParser,
    "kea": KeaParser,
    "dnsmasq": DnsmasqParser,
    "atftpd": AtftpdParser,
    "tftpd-hpa": TftpdHpaParser,
    "nginx-access": NginxAccessParser,
    "nginx-error": NginxErrorParser,
    "plasmatui-serve": BootServiceParser,
    "journal": JournalParser,
}

FORMATS: Final = tuple(_FORMATS)
"""The formats of server logs that can be read."""


class UnknownFormatError(ValueError):
    """A log format that no parser reads."""

    def __init__(self, name: str, source: str) -> None:
        super().__init__(f"{source}: unknown log format {name!r}; known are {', '.join(FORMATS)}")
        self.name = name
        self.source = source


def make_parser(format: str, source: str, *, reference: float | None = None) -> LogParser:  # noqa: A002
    """A parser for one log, which it reads from its beginning or from any line on.

    Args:
        format: one of `FORMATS`.
        source: name of the log, for the evidence.
        reference: Unix seconds when the log was written, to find the year of times without one; None for the present.

    Raises:
        UnknownFormatError: no parser reads this format.
    """
    make = _FORMATS.get(format)
    if make is None:
        raise UnknownFormatError(format, source)
    return make(source, reference)
