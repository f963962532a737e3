"""Access logs in other formats than the combined one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.watch.parsers.access_forms import from_json, from_text
from plasmatui.watch.parsers.stamps import any_time
from tests.unit.watch.parsers.reading import MIDNIGHT, one, read

AT = 14 * 60 + 10
CADDY = {
    "level": "info",
    "ts": MIDNIGHT + AT,
    "logger": "http.log.access",
    "request": {
        "remote_ip": "10.0.100.50",
        "client_ip": "10.0.100.50",
        "method": "GET",
        "uri": "/nixos/bzImage",
        "headers": {"User-Agent": ["iPXE/1.21.1"]},
    },
    "bytes_read": 0,
    "size": 1000,
    "status": 200,
}
NGINX = {
    "time_local": "21/Nov/2026:00:14:10 +0000",
    "remote_addr": "10.0.100.50",
    "request": "GET /nixos/bzImage HTTP/1.1",
    "status": "200",
    "body_bytes_sent": "1000",
    "http_user_agent": "iPXE/1.21.1",
}
ELASTIC = {
    "@timestamp": "2026-11-21T01:14:10+01:00",
    "client": {"ip": "10.0.100.50"},
    "http": {"request": {"method": "GET"}, "response": {"status_code": 200, "body": {"bytes": 1000}}},
    "url": {"path": "/nixos/bzImage"},
    "user_agent": {"original": "iPXE/1.21.1"},
}
LINES = {
    "nginx, JSON": json.dumps(NGINX),
    "Caddy": json.dumps(CADDY),
    "Elastic Common Schema": json.dumps(ELASTIC),
    "JSON through syslog": f"Nov 21 00:14:10 vm nginx: {json.dumps(NGINX)}",
    "time first": '[21/Nov/2026:00:14:10 +0000] 10.0.100.50 "GET /nixos/bzImage HTTP/1.1" 200 1000 "iPXE/1.21.1"',
    "seconds in the middle": (
        '2026-11-21T00:14:10Z www 10.0.100.50:4711 0.012 "GET /nixos/bzImage HTTP/1.1" 200 1000 "-" "iPXE/1.21.1"'
    ),
}


@pytest.mark.parametrize("form", list(LINES))
def test_a_request_is_read(form: str) -> None:
    signal = one("nginx-access", LINES[form])
    assert (signal.ip, signal.file, signal.status, signal.bytes) == ("10.0.100.50", "/nixos/bzImage", 200, 1000)
    assert (signal.ipxe, signal.wall) == (True, MIDNIGHT + AT)


def test_pythons_server_tells_neither_size_nor_agent_nor_zone() -> None:
    signal = one("nginx-access", '10.0.100.50 - - [21/Nov/2026 00:14:10] "GET /boot.ipxe HTTP/1.1" 404 -')
    assert (signal.status, signal.bytes, signal.ipxe) == (404, None, None)
    assert signal.wall == any_time("2026-11-21T00:14:10"), "local time"


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "{",
        '{"remote_addr": "nobody", "request": "GET /x HTTP/1.1", "status": 200}',
        '{"remote_addr": "10.0.0.1", "request": "GET /x HTTP/1.1"}',
        'started "GET /x HTTP/1.1" 200 17',
        '10.0.0.1 said "nothing" 200 17',
        "[" * 5000,
    ],
)
def test_what_is_no_request(line: str) -> None:
    assert read("nginx-access", line) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.text(max_size=200), st.dictionaries(st.sampled_from([*NGINX, *CADDY, *ELASTIC]), VALUES, max_size=6))
def test_nothing_raises(text: str, fields: dict[str, object]) -> None:
    from_text(text)
    any_time(text)
    from_json(text)
    found = from_json(json.dumps(fields))
    assert found is None or 0 <= found.status <= 999
