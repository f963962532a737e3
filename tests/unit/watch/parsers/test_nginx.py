# ruff: noqa: E501  (log lines are as long as they are)
"""Access and error logs of web servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.model.boot import Signal
from plasmatui.watch.facts import is_aside
from plasmatui.watch.parsers import make_parser
from tests.unit.watch.parsers.reading import MIDNIGHT, one, read

_AT = "[21/Nov/2026:00:39:11 +0000]"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f'10.0.0.5 - - {_AT} "GET /x HTTP/1.1" 200 12 "-" "-"', "ip=10.0.0.5 file=/x bytes=12 status=200"),
        (f'10.0.0.5 - - {_AT} "GET /x HTTP/1.0" 200 12', "ip=10.0.0.5 file=/x bytes=12 status=200"),  # common, no agent
        (f'10.0.0.5 - - {_AT} "GET /x" 200 -', "ip=10.0.0.5 file=/x status=200"),  # HTTP/0.9, no size
        (
            f'fe80::5054:ff - ann lee {_AT} "GET /x HTTP/1.1" 206 500 "-" "curl/8"',
            "ip=fe80::5054:ff file=/x bytes=500 status=206 text=curl/8 ipxe=False",
        ),
        (f'::ffff:10.0.0.5 - - {_AT} "GET /x HTTP/1.1" 499 0 "-" "-"', "ip=10.0.0.5 file=/x bytes=0 status=499"),
        (
            f'10.0.0.1 - - {_AT} "GET /x HTTP/1.1" 200 12 "-" "curl/8" "10.0.0.5, 10.0.0.2"',
            "ip=10.0.0.5 file=/x bytes=12 status=200 text=curl/8 ipxe=False",
        ),
        (f'10.0.0.5 - - {_AT} "GET /x HTTP/1.1" 200 12 "-" "-" "-"', "ip=10.0.0.5 file=/x bytes=12 status=200"),
        (f'10.0.0.5 - - {_AT} "GET /x HTTP/1.1" 200 12 "-" "-" "evil"', "ip=10.0.0.5 file=/x bytes=12 status=200"),
        (f'10.0.0.5 - - {_AT} "GET /x HTTP/1.1" 200 12 "-" "-" 0.123 0.100', "ip=10.0.0.5 file=/x bytes=12 status=200"),
        (
            f'10.0.0.5 - - {_AT} "GET /a\\x22b HTTP/1.1" 404 12 "-" "say \\x22hi\\x22 \\x5C"',
            'ip=10.0.0.5 file=/a"b bytes=12 status=404 text=say "hi" \\ ipxe=False',
        ),
        (
            f'10.0.0.5 - - {_AT} "GET /a\\"b HTTP/1.1" 404 12 "-" "\\\\"',
            'ip=10.0.0.5 file=/a"b bytes=12 status=404 text=\\ ipxe=False',
        ),
        (f'10.0.0.5 - - {_AT} "GET /a b HTTP/1.1" 404 12 "-" "-"', "ip=10.0.0.5 file=/a b bytes=12 status=404"),
        (
            f'10.0.0.5 - - {_AT} "GET /ipxe?uuid=4C4C4544-0042-3510-8052-B4C04F4A3732&mac=52-54-00-AB-CD-EF&hostname=n1 '
            'HTTP/1.1" 200 12 "-" "iPXE/1.21"',
            "mac=52:54:00:ab:cd:ef ip=10.0.0.5 uuid=4c4c4544-0042-3510-8052-b4c04f4a3732 host=n1 "
            "file=/ipxe?uuid=4C4C4544-0042-3510-8052-B4C04F4A3732&mac=52-54-00-AB-CD-EF&hostname=n1 "
            "bytes=12 status=200 text=iPXE/1.21 ipxe=True",
        ),
        (
            f'10.0.0.5 - - {_AT} "GET /b?mac=52%3A54%3A00%3a12%3A34%3A56&uuid=x HTTP/1.1" 200 1 "-" "-"',
            "mac=52:54:00:12:34:56 ip=10.0.0.5 file=/b?mac=52%3A54%3A00%3a12%3A34%3A56&uuid=x bytes=1 status=200",
        ),
        (
            f'boot.example:8080 10.0.0.5 - - {_AT} "POST /done HTTP/1.1" 204 0 "-" "-"',
            "ip=10.0.0.5 file=/done bytes=0 status=204 code=POST",
        ),
        (f'10.0.0.5 - - {_AT} "\\x16\\x03\\x01\\x02" 400 157 "-" "-"', ""),
        (f'10.0.0.5 - - {_AT} "-" 408 0 "-" "-"', ""),
        (f'10.0.0.5 - - {_AT} "GET /x HTTP/1.1', ""),
        ("", ""),
    ],
)
def test_access(line: str, told: str) -> None:
    assert read("nginx-access", line) == ([f"1 http-request {told}"] if told else [])


def test_the_time_of_an_access_has_its_own_zone() -> None:
    line = '10.0.0.5 - - [21/Nov/2026:01:39:11 +0100] "GET /x HTTP/1.1" 200 12 "-" "-"'
    assert one("nginx-access", line).wall == MIDNIGHT + 39 * 60 + 11
    assert one("nginx-access", line.replace("21/Nov", "41/Nov")).wall is None


def test_access_through_syslog() -> None:
    line = f'<190>Nov 21 00:39:12 web nginx: 10.0.0.5 - - {_AT} "GET /x HTTP/1.1" 200 12 "-" "-"'
    for format_ in ("nginx-access", "journal"):
        signal = one(format_, line)
        assert (signal.ip, signal.file, signal.wall) == ("10.0.0.5", "/x", MIDNIGHT + 39 * 60 + 11)


_WHO = 'client: 10.0.0.5, server: _, request: "GET /x HTTP/1.1", host: "10.0.100.10:8080"'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            f'[error] 1#1: *7 open() "/srv/x" failed (2: No such file or directory), {_WHO}',
            'http-error ip=10.0.0.5 file=/x code=not-found text=open() "/srv/x" failed (2: No such file or directory)',
        ),
        (
            f'[error] 1#1: *7 open() "/srv/x" failed (13: Permission denied), {_WHO}',
            'http-error ip=10.0.0.5 file=/x code=denied text=open() "/srv/x" failed (13: Permission denied)',
        ),
        (
            f"[error] 1#1: *7 access forbidden by rule, {_WHO}",
            "http-error ip=10.0.0.5 file=/x code=denied text=access forbidden by rule",
        ),
        (
            f'[error] 1#1: *7 directory index of "/srv/" is forbidden, {_WHO}',
            'http-error ip=10.0.0.5 file=/x code=denied text=directory index of "/srv/" is forbidden',
        ),
        (
            f'[error] 1#1: *7 "/srv/index.html" is not found (2: No such file or directory), {_WHO}',
            "http-error ip=10.0.0.5 file=/x code=not-found "
            'text="/srv/index.html" is not found (2: No such file or directory)',
        ),
        (
            "[error] 1#1: *7 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.5, "
            'server: _, request: "GET /x HTTP/1.1", upstream: "http://127.0.0.1:9/x", host: "h"',
            "http-error ip=10.0.0.5 file=/x text=connect() failed (111: Connection refused) while connecting to upstream",
        ),
        (
            "[info] 1#1: *7 client prematurely closed connection while sending response to client, client: 10.0.0.5, "
            'server: _, request: "GET /x HTTP/1.1", host: "h"',
            "http-error ip=10.0.0.5 file=/x text=client prematurely closed connection while sending response to client",
        ),
        (
            "[crit] 1#1: *7 SSL_do_handshake() failed, client: fe80::1, server: 0.0.0.0:443",
            "http-error ip=fe80::1 text=SSL_do_handshake() failed",
        ),
        ("[info] 1#1: *7 client 10.0.0.5 closed keepalive connection", ""),
        ("[notice] 1#1: nginx/1.22.1", "server-up text=nginx/1.22.1"),
        (
            "[notice] 1#1: signal 15 (SIGTERM) received from 1, exiting",
            "server-down text=signal 15 (SIGTERM) received from 1, exiting",
        ),
        (
            "[emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address already in use)",
            "server-down text=bind() to 0.0.0.0:80 failed (98: Address already in use)",
        ),
        ('[notice] 1#1: using the "epoll" event method', ""),
    ],
)
def test_error(line: str, told: str) -> None:
    wanted = [f"1 {told}"] if told else []
    assert read("nginx-error", f"2026/11/21 00:39:11 {line}") == wanted
    assert read("nginx-error", f"Nov 21 00:39:11 web nginx: 2026/11/21 00:39:11 {line}") == wanted


_TARGETS = (
    "/nix/store/a.narinfo",
    "/nix/b.nar",
    "/metrics",
    "/x%20y",
    "/b?mac=52:54:00:12:34:56",
    "/a/bzImage",
    "/initrd",
)
_AGENTS = ("curl/8.9.1 Nix/2.24.9", "iPXE/1.21.1", "UefiHttpBoot/1.0", "-", "")
_ACCESSES = st.builds(
    '{}10.0.0.{} - - [21/Nov/2026:00:39:1{} +0000] "{} {} HTTP/1.{}" {} {} "-" "{}"{}'.format,
    st.sampled_from(("", "", "", "<190>Nov 21 00:39:12 web nginx: ")),
    st.integers(5, 6),
    st.integers(1, 2),
    st.sampled_from(("GET", "GET", "GET", "HEAD")),
    st.sampled_from(_TARGETS),
    st.integers(0, 1),
    st.sampled_from((200, 200, 206, 304, 404)),
    st.sampled_from((0, 12, "-")),
    st.sampled_from(_AGENTS),
    st.sampled_from(("", "", ' "10.0.0.9"')),
)


@given(st.lists(_ACCESSES, min_size=2, max_size=12))
def test_what_repeats_a_line_tells_the_same(lines: list[str]) -> None:
    parser = make_parser("nginx-access", "web")
    before: Signal | None = None
    for number, line in enumerate(lines, 1):
        fresh = make_parser("nginx-access", "web").feed(line, number)
        if before is not None and is_aside(before) and parser.repeats(line):
            assert [(each.ip, each.wall, is_aside(each)) for each in fresh] == [(before.ip, before.wall, True)]
            continue
        assert parser.feed(line, number) == fresh
        before = fresh[0] if fresh else before


def test_packages_that_a_system_fetches_repeat_each_other() -> None:
    parser = make_parser("nginx-access", "web")
    line = '10.0.0.5 - - [21/Nov/2026:00:39:11 +0000] "GET /{}.narinfo HTTP/1.1" 200 {} "-" "curl/8.9.1 Nix/2.24.9"'
    assert not parser.repeats(line.format("a", 12))
    parser.feed(line.format("a", 12), 1)
    assert parser.repeats(line.format("b", 13))
    assert not parser.repeats(line.format("bzImage", 13))
    assert not parser.repeats(line.format("b", 13).replace(":11 ", ":12 "))
