# ruff: noqa: E501  (log lines are as long as they are)
"""What holds for all parsers, whatever they are given."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.text import is_clean
from plasmatui.watch.parsers import FORMATS, UnknownFormatError, make_parser
from tests.unit.watch.parsers.reading import LOGS, REFERENCE, shown, signals
from tests.unit.watch.parsers.test_dhcpd import LINES as DHCPD_LINES
from tests.unit.watch.parsers.test_prefix import LAYOUTS

_REAL = sorted(
    {line for path in LOGS.glob("*.log") for line in path.read_text().splitlines()}
    | {line for line, _ in DHCPD_LINES.values()}
    | {line for line, *_ in LAYOUTS.values()}
    | {
        "Nov 21 00:00:00 vm in.tftpd[5]: sending NAK (1, File not found) to 10.0.100.50",
        "dnsmasq-tftp[7]: error 8 User aborted the transfer received from 10.0.100.50",
        '{"__REALTIME_TIMESTAMP":"1795221515250000","SYSLOG_IDENTIFIER":"atftpd","MESSAGE":"Serving a to 10.0.0.1:1"}',
        "  type=097, len=017: 00:78:56:34:12:bc:9a:f0:de:01:02:03:04:05:06:07:08",
        "2026-11-21 00:55:43.295 DEBUG [kea-dhcp4.packets/1.1] DHCP4_QUERY_DATA [hwtype=1 52:54:00:12:34:56], "
        "cid=[no info], tid=0x1, packet details: x",
    }
)
_CUTS = st.tuples(st.floats(0, 1), st.floats(0, 1), st.text(max_size=12))


def _mutated(line: str, cut: tuple[float, float, str]) -> str:
    """A piece of the line taken out and other text put there."""
    first, last = sorted(int(part * len(line)) for part in cut[:2])
    return line[:first] + cut[2] + line[last:]


_LINES = st.one_of(
    st.text(max_size=300),
    st.sampled_from(_REAL),
    st.builds(_mutated, st.sampled_from(_REAL), _CUTS),
    st.builds(lambda a, b: a + b, st.sampled_from(_REAL), st.sampled_from(_REAL)),
)


@pytest.mark.parametrize("format_", FORMATS)
@given(lines=st.lists(_LINES, max_size=12))
@settings(deadline=None)
def test_nothing_that_a_log_may_hold_raises_or_comes_out_unclean(format_: str, lines: list[str]) -> None:
    for signal in signals(format_, lines):
        for name in signal.__struct_fields__:
            value = getattr(signal, name)
            if isinstance(value, str):
                assert is_clean(value), name
        assert is_clean(signal.evidence.text)
        assert signal.mac == signal.mac.lower()
        assert signal.evidence.file == "log"


@pytest.mark.parametrize(
    ("format_", "line"),
    [
        ("dhcpd", "DHCPDISCOVER from 52:54:00:12:34:56 (\x1b]0;own\x07\x1b[2Jn\u202eo) via eth0"),
        ("dnsmasq", "DHCPACK(eth0) 10.0.0.1 52:54:00:12:34:56 \x1b]0;own\x07\x1b[2Jn\u202eo"),
        ("tftpd-hpa", "RRQ from 10.0.0.1 filename \x1b]0;own\x07\x1b[2Jn\u202eo"),
        ("atftpd", "Serving \x1b]0;own\x07\x1b[2Jn\u202eo to 10.0.0.1:1"),
        (
            "nginx-access",
            '10.0.0.5 - - [21/Nov/2026:00:39:11 +0000] "GET /\\x1B[2Jn\\xE2o HTTP/1.1" 200 1 "-" "\\x1B]0;own\\x07x"',
        ),
    ],
)
def test_what_a_machine_says_is_cleaned(format_: str, line: str) -> None:
    (signal,) = signals(format_, [line])
    assert is_clean(signal.host + signal.file + signal.text + signal.evidence.text)
    assert "\x1b" not in shown(signal)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_hostile_line_takes_no_longer_than_its_length(format_: str) -> None:
    pieces = (
        "DHCPDISCOVER from 52:54:00:12:34:56 (", "Nov 21 00:00:00 ", "a: ", "<30>1 - - - - - [a \"", '"\\', "[kea-dhcp4.", "52:",
        '10.0.0.5 - - [21/Nov/2026:00:39:11 +0000] "', " to ", "(", "1.", "[hwtype=1 ", "&mac=", ", client: ", "\x1b[",
    )  # fmt: skip
    parser = make_parser(format_, "log", reference=REFERENCE)
    heads = ("", *(line for line in _REAL if len(line) < 400))
    begun = time.process_time()
    for piece in pieces:
        for head in heads[::7]:
            parser.feed(head + piece * (60_000 // len(piece)), 1)
    spent = time.process_time() - begun
    assert spent < 0.02 * len(pieces) * len(heads[::7])


@pytest.mark.parametrize("format_", FORMATS)
def test_memory_is_bounded(format_: str) -> None:
    """Many clients, processes, hosts and programs leave no more behind than a fixed number of them."""
    parser = make_parser(format_, "log", reference=REFERENCE)
    for number in range(9000):
        mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        client = f"[hwtype=1 {mac}], cid=[no info], tid=0x{number:x}"
        for line in (
            f"Nov 21 00:00:00 h{number} dnsmasq-dhcp[{number}]: {number} vendor class: x",
            f"dnsmasq-dhcp[1]: DHCPINFORM(eth0) 10.0.0.1 {mac} ",
            f"dnsmasq-tftp[1]: error 8 x received from 10.0.{number >> 8}.{number & 255}",
            f"Nov 21 00:00:00 vm p{number}[{number}]: x",
            f"atftpd[{number}]: Serving a to 10.0.0.1:1",
            f"in.tftpd[{number}]: RRQ from 10.0.0.1 filename a",
            f"2026-11-21 00:00:00.000 INFO  [kea-dhcp4.x/1.{number}] DHCP4_LEASE_ALLOC {client}: lease 10.0.0.1 has been",
            f"2026-11-21 00:00:00.000 INFO  [kea-dhcp4.x/1.{number}] EVAL_RESULT Expression ipxe evaluated to 1",
        ):
            parser.feed(line, number)
    assert _entries(parser) <= 8 * 4100


def _entries(thing: object, depth: int = 0) -> int:
    """Entries of all tables below an object."""
    if isinstance(thing, dict):
        return len(thing)
    if isinstance(thing, tuple):
        return sum(_entries(item, depth + 1) for item in thing)
    return (
        sum(_entries(item, depth + 1) for item in vars(thing).values())
        if hasattr(thing, "__dict__") and depth < 5
        else 0
    )


def test_several_services_in_one_log() -> None:
    lines = [
        "Nov 21 00:28:01 vm dhcpd[1]: DHCPACK on 10.0.100.51 to 52:54:00:12:34:57 via br0",
        "Nov 21 00:28:02 vm atftpd[2.3]: Serving ipxe.efi to 10.0.100.51:1283",
        "Nov 21 00:28:02 vm sshd[4]: Server listening on 0.0.0.0 port 22.",
        "Nov 21 00:28:03 vm in.tftpd[5]: RRQ from 10.0.100.51 filename ipxe.efi",
        "Nov 21 00:28:03 vm dnsmasq-tftp[6]: sent /srv/tftp/ipxe.efi to 10.0.100.51",
        "Nov 21 00:28:04 vm kea-dhcp4[7]: INFO  [kea-dhcp4.dhcp4.0x1] DHCP4_STARTED Kea DHCPv4 server version 2.6.3 started",
        "Nov 21 00:28:05 vm kernel: DHCPACK on 10.0.100.51 to 52:54:00:12:34:57 via br0",
    ]
    assert [(signal.evidence.line, signal.kind.value) for signal in signals("journal", lines)] == [
        (1, "dhcp-ack"),
        (2, "tftp-request"),
        (4, "tftp-request"),
        (5, "tftp-done"),
        (6, "server-up"),
    ]


def test_a_whole_log_through_the_journal_is_as_through_its_own_parser() -> None:
    for format_, name in (
        ("dhcpd", "dhcpd-uefi.log"),
        ("kea", "kea-2.6-uefi.log"),
        ("dnsmasq", "dnsmasq-uefi-http.log"),
    ):
        lines = Path(LOGS / name).read_text().splitlines()
        assert signals("journal", lines) == signals(format_, lines)


def test_an_unknown_format_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownFormatError, match=r"dhcp log: unknown log format 'squid'; known are dhcpd, kea, "):
        make_parser("squid", "dhcp log")
