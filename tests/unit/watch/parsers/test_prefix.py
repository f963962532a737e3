"""Every way in which a line can begin."""

from __future__ import annotations

import calendar
import json
import time

import pytest

from plasmatui.watch.parsers.prefix import PrefixReader, journal_parts
from tests.unit.watch.parsers.reading import MIDNIGHT, REFERENCE, one, signals

MESSAGE = "DHCPACK on 10.0.100.50 to 52:54:00:12:34:56 via eth0"
AT = 38 * 60 + 35

LAYOUTS = {
    "syslog": (f"Nov 21 00:38:35 vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "syslog, two blanks before the day": (f"Nov  1 00:38:35 vm dhcpd[812]: {MESSAGE}", AT - 20 * 86400, "dhcpd", "812"),
    "syslog with priority": (f"<30>Nov 21 00:38:35 vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "syslog without host": (f"<29>Nov 21 00:38:35 dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "syslog without process": (f"Nov 21 00:38:35 vm dhcpd: {MESSAGE}", AT, "dhcpd", ""),
    "syslog with a year": (f"Nov 21 2026 00:38:35 vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "journalctl short-precise": (f"Nov 21 00:38:35.250000 vm dhcpd[812]: {MESSAGE}", AT + 0.25, "dhcpd", "812"),
    "journalctl short-iso": (f"2026-11-21T01:38:35+0100 vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "journalctl short-iso, colon": (f"2026-11-20T19:38:35-05:00 vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "rsyslog": (f"2026-11-21T00:38:35.500000+00:00 vm dhcpd[812]: {MESSAGE}", AT + 0.5, "dhcpd", "812"),
    "ISO, Zulu": (f"2026-11-21T00:38:35Z vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "ISO, local": (f"2026-11-21 00:38:35,250 vm dhcpd[812]: {MESSAGE}", AT + 0.25, "dhcpd", "812"),
    "journalctl short-full": (f"Sat 2026-11-21 00:38:35 UTC vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "journalctl short-unix": (f"{MIDNIGHT + AT:.6f} vm dhcpd[812]: {MESSAGE}", AT, "dhcpd", "812"),
    "journalctl short-monotonic": (f"[ 4711.000815] vm dhcpd[812]: {MESSAGE}", None, "dhcpd", "812"),
    "slashes": (f"2026/11/21 00:38:35 {MESSAGE}", AT, "", ""),
    "RFC 5424": (f"<30>1 2026-11-21T00:38:35.003Z vm dhcpd 812 - - {MESSAGE}", AT + 0.003, "dhcpd", "812"),
    "RFC 5424 with data": (
        f'<134>1 2026-11-21T00:38:35+00:00 fw.example dhcpd 812 - [meta sequenceId="17" x="a\\"]b"] {MESSAGE}',
        AT,
        "dhcpd",
        "812",
    ),
    "RFC 5424 with a byte order mark": (f"<30>1 - vm dhcpd - - - \ufeff{MESSAGE}", None, "dhcpd", ""),
    "program in the foreground": (f"dhcpd[812]: {MESSAGE}", None, "dhcpd", "812"),
    "program without process": (f"dhcpd: {MESSAGE}", None, "dhcpd", ""),
    "nothing": (MESSAGE, None, "", ""),
    "docker compose": (f"dhcp-1  | dhcpd[812]: {MESSAGE}", None, "dhcpd", "812"),
    "docker compose with a time": (f"dhcp-1  | 2026-11-21T00:38:35.25Z dhcpd: {MESSAGE}", AT + 0.25, "dhcpd", ""),
    "docker logs -t": (f"2026-11-21T00:38:35.250000000Z dhcpd[812]: {MESSAGE}", AT + 0.25, "dhcpd", "812"),
    "docker logs -t, and syslog": (
        f"2026-11-21T00:38:35.25Z Nov 21 01:38:35 vm dhcpd[812]: {MESSAGE}",
        AT + 0.25,
        "dhcpd",
        "812",
    ),
    "CRI": (f"2026-11-21T00:38:35.25+00:00 stderr F dhcpd[812]: {MESSAGE}", AT + 0.25, "dhcpd", "812"),
    "a time alone": (f"Nov 21 00:38:35 {MESSAGE}", AT, "", ""),
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_layout_is_taken_apart(layout: str) -> None:
    line, seconds, program, pid = LAYOUTS[layout]
    wall, found, process, message = PrefixReader(REFERENCE).split(line)
    assert (found, process, message) == (program, pid, MESSAGE)
    if seconds is None:
        assert wall is None
    else:
        assert wall == pytest.approx(MIDNIGHT + seconds, abs=1e-5)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_parser_reads_each_layout(layout: str) -> None:
    line = LAYOUTS[layout][0]
    for format_ in ("dhcpd", "journal"):
        signal = one(format_, line)
        assert (signal.kind, signal.mac, signal.ip) == ("dhcp-ack", "52:54:00:12:34:56", "10.0.100.50")


def _entry(**fields: object) -> str:
    return json.dumps({"__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1795221515250000", **fields})


def test_the_journals_json() -> None:
    line = _entry(SYSLOG_IDENTIFIER="dhcpd", _PID="812", MESSAGE=MESSAGE)
    assert journal_parts(line) == (1795221515.25, "dhcpd", "812", MESSAGE)
    signal = one("dhcpd", line)
    assert signal.wall == 1795221515.25
    assert signal.evidence.text == f"dhcpd[812]: {MESSAGE}"
    assert one("journal", line).kind == "dhcp-ack"


def test_a_journal_entry_that_is_bytes_or_named_otherwise() -> None:
    line = _entry(_COMM="dhcpd", MESSAGE=list(MESSAGE.encode()))
    assert journal_parts(line) == (1795221515.25, "dhcpd", "", MESSAGE)
    assert journal_parts(_entry(_SYSTEMD_UNIT="dhcpd.service", MESSAGE="x")) == (
        1795221515.25,
        "dhcpd.service",
        "",
        "x",
    )


@pytest.mark.parametrize(
    "line", ["{", "{}", '{"MESSAGE":null}', '{"MESSAGE":{}}', "{" * 10_000, '{"MESSAGE":"\ud800"}']
)
def test_json_that_is_no_entry_tells_nothing(line: str) -> None:
    for format_ in ("dhcpd", "kea", "journal"):
        assert signals(format_, [line]) == []


def test_another_programs_line_tells_nothing() -> None:
    for program in ("sshd", "dhclient", "dnsmasq-dhcp", "dhcpcd"):
        assert signals("dhcpd", [f"Nov 21 00:38:35 vm {program}[1]: {MESSAGE}"]) == []
    assert signals("journal", [f"Nov 21 00:38:35 vm sshd[1]: {MESSAGE}"]) == []


@pytest.mark.parametrize(
    ("reference", "stamp", "expected"),
    [
        ((2026, 11, 21), "Nov 20 10:00:00", (2026, 11, 20)),
        ((2027, 1, 1), "Dec 31 10:00:00", (2026, 12, 31)),
        ((2027, 1, 1), "Jan  1 10:00:00", (2027, 1, 1)),  # ten hours ahead: a clock that is wrong, not a year ago
        ((2026, 12, 31), "Jan  1 00:00:00", (2027, 1, 1)),
        ((2026, 11, 21), "Nov 23 10:00:00", (2025, 11, 23)),
        ((2026, 11, 21), "Feb 29 10:00:00", (2024, 2, 29)),
    ],
)
def test_the_year_that_syslog_leaves_out(
    reference: tuple[int, int, int], stamp: str, expected: tuple[int, int, int]
) -> None:
    reader = PrefixReader(float(calendar.timegm((*reference, 0, 0, 0))))
    wall = reader.wall(f"{stamp} vm dhcpd: x")
    assert wall is not None
    assert time.gmtime(wall)[:3] == expected


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    assert PrefixReader(REFERENCE).wall("Nov 21 01:38:35 vm x: y") == MIDNIGHT + AT
    assert PrefixReader(REFERENCE).wall("2026-11-21 01:38:35.000 INFO") == MIDNIGHT + AT
    assert PrefixReader(REFERENCE).wall("2026-11-21T00:38:35Z vm") == MIDNIGHT + AT


@pytest.mark.parametrize("stamp", ["Nov 31 00:00:00", "Nov 21 24:00:00", "Xyz 21 00:00:00", "2026-13-01 00:00:00 x"])
def test_a_time_that_cannot_be_is_none(stamp: str) -> None:
    assert PrefixReader(REFERENCE).wall(f"{stamp} vm dhcpd: x") is None


def test_the_present_is_the_reference_when_none_is_given() -> None:
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime(time.time() - 60))
    wall = PrefixReader().wall(f"{stamp} vm dhcpd: x")
    assert wall is not None
    assert abs(time.time() - 60 - wall) < 30


def test_docker_keeps_lines_as_json() -> None:
    line = json.dumps({"log": f"dhcpd: {MESSAGE}\n", "stream": "stderr", "time": "2026-11-21T00:38:35.25Z"})
    signal = one("dhcpd", line)
    assert (signal.ip, signal.wall) == ("10.0.100.50", MIDNIGHT + AT + 0.25)
    assert signal.evidence.text.endswith(MESSAGE)


def test_an_exported_journal() -> None:
    entry = (
        "__CURSOR=s=1",
        f"__REALTIME_TIMESTAMP={int((MIDNIGHT + AT) * 1e6)}",
        "SYSLOG_IDENTIFIER=dhcpd",
        f"MESSAGE={MESSAGE}",
        "_PID=812",
        "",
    )
    found = signals("journal", entry * 2)
    assert [(signal.ip, signal.wall, signal.evidence.line) for signal in found] == [
        ("10.0.100.50", MIDNIGHT + AT, 4),
        ("10.0.100.50", MIDNIGHT + AT, 10),
    ]


def test_colours_of_a_terminal() -> None:
    assert one("dhcpd", f"\x1b[36mdhcp-1  | \x1b[0mdhcpd: {MESSAGE}").ip == "10.0.100.50"
    kea = (
        "2026-11-21 00:46:04.469 \x1b[32mINFO \x1b[0m [\x1b[34mkea-dhcp4.leases/1.1\x1b[0m] \x1b[33mDHCP4_LEASE_ALLOC"
        "\x1b[0m [hwtype=1 52:54:00:12:34:56], cid=[no info], tid=0x1: "
        "lease 10.0.100.50 has been allocated for 600 seconds"
    )
    assert one("kea", kea).ip == "10.0.100.50"
