"""The access log of our own boot service: ended answers like any web server's, and transfers while they run."""

from __future__ import annotations

import pytest

from plasmatui.model.boot import SignalKind
from plasmatui.model.words import Stage
from plasmatui.watch.identity import NodeIdentity
from plasmatui.watch.parsers import make_parser
from plasmatui.watch.timeline import Correlator

STAMP = "[21/Nov/2026:00:14:1%d +0000]"
AGENT = '"iPXE/1.21.1+git"'
INITRD = "GET /boot/nixos/worker/initrd"


def transfer(second: int, taken: int, total: int = 1000, status: int = 200, agent: str = AGENT) -> str:
    return f'transfer 10.0.100.50 {STAMP % second} {taken}/{total} {status} "{INITRD}" {agent}'


def access(second: int, request: str, size: int, agent: str = AGENT) -> str:
    return f'10.0.100.50 - - {STAMP % second} "{request} HTTP/1.1" 200 {size} "-" {agent} 0.013'


def test_a_running_transfer_tells_how_far_it_is() -> None:
    (signal,) = make_parser("plasmatui-serve", "http").feed(transfer(3, 250), 7)
    assert (signal.kind, signal.ip, signal.file) == (
        SignalKind.HTTP_PROGRESS,
        "10.0.100.50",
        "/boot/nixos/worker/initrd",
    )
    assert (signal.bytes, signal.total, signal.percent, signal.ipxe) == (250, 1000, 25.0, True)
    assert (signal.evidence.line, signal.wall) == (7, 1795220053.0)


def test_lines_of_a_journal_are_read_too() -> None:
    line = f"Nov 21 00:14:13 pxe01 plasmatui[77]: {transfer(3, 250)}"
    assert [s.percent for s in make_parser("plasmatui-serve", "http").feed(line, 1)] == [25.0]


@pytest.mark.parametrize(
    "line",
    [
        transfer(3, 250, status=206),  # how far the whole is, a part does not tell
        "transfer nonsense",
        transfer(3, 250)[:60],
        "transfer " + "x" * 100_000,
    ],
)
def test_what_tells_nothing(line: str) -> None:
    assert make_parser("plasmatui-serve", "http").feed(line, 1) == ()


def test_a_web_servers_parser_overlooks_transfers() -> None:
    parser = make_parser("nginx-access", "http")
    assert parser.feed(transfer(3, 250), 1) == ()
    assert [s.bytes for s in parser.feed(access(9, INITRD, 1000), 2)] == [1000]


def test_the_timeline_has_bytes_and_percent_while_it_runs() -> None:
    parser = make_parser("plasmatui-serve", "http")
    correlator = Correlator([NodeIdentity("node01", ips=("10.0.100.50",))])
    lines = [
        access(0, "GET /boot.ipxe", 132),
        access(0, "GET /ipxe?uuid=1&mac=52-54-00-12-34-56", 300),
        access(1, "GET /boot/nixos/worker/bzImage", 500),
        transfer(2, 250),
        transfer(3, 500),
        transfer(4, 900, agent='"curl/8.0"'),  # somebody else on the machine
    ]
    for number, line in enumerate(lines, 1):
        for signal in parser.feed(line, number):
            correlator.feed(signal, signal.wall or 0.0)
    boot = correlator.timeline("node01", now=1795220054.0)
    assert boot is not None
    span = boot.stages[-1]
    assert (span.stage, span.state, span.bytes, span.total, span.percent) == (
        Stage.HTTP_INITRD,
        "running",
        500,
        1000,
        50.0,
    )
    assert span.begin == 1795220052.0
    for signal in parser.feed(access(6, INITRD, 1000), 7):
        correlator.feed(signal, signal.wall or 0.0)
    boot = correlator.timeline("node01", now=1795220056.0)
    assert boot is not None
    span = boot.stages[-1]
    assert (span.state, span.bytes, span.percent, span.tries) == ("done", 1000, None, 1)
