"""Whatever is asked: an answer, never an internal error, and one line in the log that is one line."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plasmatui.pxe.service.accesslog import access_line, escape
from plasmatui.pxe.service.app import BootApp
from plasmatui.pxe.service.exchange import make_exchange
from plasmatui.pxe.service.files import Images
from plasmatui.pxe.service.once import BootStates
from plasmatui.pxe.service.sources import open_directory
from plasmatui.watch.parsers import make_parser

from .support import write

_PATHS = st.sampled_from(
    ["/ipxe", "/grub", "/pixiecore/v1/boot/", "/cloud", "/ignition", "/generic", "/metadata", "/images/", "/assets/a",
     "/boot.ipxe", "/installed", "/health", "/", "//", "/boot/ipxe/boot.ipxe", "/images/%2e%2e/x", "/images/%00"]
)  # fmt: skip
_NAMES = st.sampled_from(["mac", "MAC", "uuid", "token", "x", "os", ""])
_HEADERS = st.dictionaries(
    st.sampled_from(["range", "if-range", "if-none-match", "if-modified-since", "host", "user-agent", "x-real-ip"]),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
)


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> list[BootApp]:
    base = tmp_path_factory.mktemp("any")
    profile = {"id": "p", "boot": {}, "generic_id": "g", "cloud_id": "g", "ignition_id": "g"}
    files = {"profiles/p.json": profile, "groups/a.json": {"profile": "p"}, "generic/g": "{{.request.query.x}}",
             "cloud/g": "#cloud-config\n{{.request.raw_query}}", "ignition/g": "{{.request.query.x}}"}  # fmt: skip
    images = Images(write(base / "images", {"a": b"0123456789"}))
    states = BootStates(base / "state/s.json")
    states.prepare()
    stores = [write(base / "m", files), write(base / "b", {"boot/default": {}, "cloud/default": "#cloud-config\n"})]
    return [BootApp(open_directory(store), images, states) for store in stores]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]),
    _PATHS,
    st.text(max_size=12),
    st.lists(st.tuples(_NAMES, st.text(max_size=20)), max_size=4),
    _HEADERS,
)
def test_every_request_has_an_answer(
    apps: list[BootApp], method: str, path: str, more: str, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    async def ask() -> list[int]:
        found = []
        for app in apps:
            app.meters = type(app.meters)()
            transport = httpx.ASGITransport(app=app.make())
            async with httpx.AsyncClient(transport=transport, base_url="http://boot.test") as client:
                url = httpx.URL(path + "".join(c for c in more if c not in "?#"), params=query)
                found.append((await client.request(method, url, headers=headers)).status_code)
        return found

    try:
        statuses = asyncio.run(ask())
    except (httpx.InvalidURL, UnicodeEncodeError):  # no client could ask so
        return
    assert all(status < 500 for status in statuses)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=40))
def test_a_log_line_is_one_line_that_is_read_back(path: str, query: str, agent: str) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/" + path.encode("utf-8", "replace").replace(b" ", b"%20"),
        "query_string": query.encode("utf-8", "replace").replace(b" ", b"+"),
        "headers": [(b"user-agent", agent.encode("utf-8", "replace"))],
        "client": ("10.0.100.50", 4711),
    }
    exchange = make_exchange(scope)
    exchange.status = 200
    line = access_line(exchange, 1_700_000_000.0)
    assert line.isascii()
    assert line.isprintable()
    (signal,) = make_parser("plasmatui-serve", "http").feed(line, 1)
    assert (signal.ip, signal.status, signal.bytes) == ("10.0.100.50", 200, 0)


def test_escaping_is_nginxs() -> None:
    assert escape('a"b\\c\x1b\xff\n') == "a\\x22b\\x5Cc\\x1B\\xFF\\x0A"
