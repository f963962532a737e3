"""What the PXE server serves, judged: right files, wrong ones, and servers that speak no HTTP that is of use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from plasmatui.checks import http, tftp, web
from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, SKIPPED, UNKNOWN, WARNING, Found, together
from plasmatui.inventory.loader import load
from tests.unit.checks.servers import BIOS, KERNEL, NETBOOT, Tftp, pe, serve_files

TEXT = """
version: 1
cluster: {name: lab}
networks: {provisioning: {cidr: 127.0.0.0/8}}
pxe: {server: 127.0.0.1, interface: lo, http_port: PORT, assets: ASSETS}
nodes:
  node01: {profile: worker, mac: "52:54:00:00:00:01"}
"""


def context(tmp_path: Path, port: int, tftp_port: int = 69) -> Context:
    path = tmp_path / "inventory.yaml"
    path.write_text(TEXT.replace("PORT", str(port)).replace("ASSETS", str(tmp_path / "www/boot")))
    nothing: Any = None
    return Context(load(path), {}, nothing, nothing, nothing, {}, "", tmp_path, tftp_port)


@pytest.fixture
async def raw() -> AsyncIterator[Any]:
    """A TCP server that says one thing to everybody, whatever they ask."""
    servers: list[asyncio.Server] = []

    async def start(answer: bytes) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()


async def test_right_files_and_then_each_wrong(tmp_path: Path) -> None:
    boot = tmp_path / "www/boot"
    (boot / "ipxe").mkdir(parents=True)
    place = boot / "nixos/worker"
    place.mkdir(parents=True)
    server = serve_files(tmp_path / "www", "127.0.0.1")
    try:
        made = context(tmp_path, server.server_port)
        assert (await http.script(made)).state is FAILED
        assert (await http.ranges(made)).state is SKIPPED
        (boot / "ipxe/boot.ipxe").write_text("#!ipxe\niseq ${mac} 52:54:00:00:00:01 && goto x ||\n")
        for name in ("ipxe.efi", "ipxe-i386.efi"):
            (boot / "ipxe" / name).write_bytes(pe(0x8664))
        (place / "bzImage").write_bytes(KERNEL)
        (place / "initrd").write_bytes(b"i" * 3000)
        (place / "netboot.ipxe").write_text(NETBOOT)
        made = context(tmp_path, server.server_port)
        works = (http.port, http.script, http.loaders, http.kernel, http.initrd, http.netboot, http.ranges, http.assets)
        for work in works:
            found = await work(made)
            assert found.state is OK, found
        assert (await http.clock(made)).state is OK
        (boot / "ipxe/boot.ipxe").write_text("<html>")
        (place / "bzImage").write_bytes(b"text")
        (place / "initrd").write_bytes(b"")
        (place / "netboot.ipxe").write_text("#!ipxe\nkernel bzImage init=/nix/store/*/init\n")
        made = context(tmp_path, server.server_port)
        for work in (http.script, http.kernel, http.initrd, http.netboot):
            found = await work(made)
            assert found.state is FAILED, found
            assert found.fix
        await made.close()
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 \x1b]0;owned\x07\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_odd_servers_fail_the_check_and_no_more(raw: Any, tmp_path: Path, answer: bytes) -> None:
    made = context(tmp_path, await raw(answer))
    for work in (http.script, http.kernel, http.initrd, http.ranges, http.clock):
        found = await work(made)
        assert found.state in (FAILED, WARNING, UNKNOWN, SKIPPED), found
        assert "\x1b" not in found.reason


async def test_a_server_that_sends_for_ever_is_cut_off(raw: Any) -> None:
    port = await raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000)
    async with web.make_client() as client:
        part = await web.first(client, f"http://127.0.0.1:{port}/")
    assert (len(part.data), part.ranged, part.total) == (web.FIRST, False, None)


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LIMIT", httpx.Timeout(0.1))

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with web.make_client() as client:
        with pytest.raises(web.WebError, match="no answer in time"):
            await web.head(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    server.close()


async def test_loaders_by_tftp(tmp_path: Path) -> None:
    server = await Tftp({"undionly.kpxe": BIOS, "ipxe-i386.efi": pe(0x14C), "ipxe.efi": b""}).start()
    made = context(tmp_path, 1, server.port)
    found = await tftp.loaders(made)
    assert found.state is FAILED
    assert found.reason == "ipxe.efi: the file is empty"
    assert (await tftp.architecture(made)).reason == "efi-x64: ipxe.efi is an empty file"
    server.stop()


def test_findings_of_many_are_one_line_with_the_worst_first() -> None:
    found = {
        "node01": Found(WARNING, "node01 is slow", "wait"),
        "node02": Found(FAILED, "node02 is dead", "revive node02"),
        "node03": Found(FAILED, "node03 is dead", "revive node03"),
        "node04": Found(OK),
        "node05": Found(SKIPPED, "nothing there"),
    }
    made = together(found, "{} nodes", "")
    assert made.state is FAILED
    assert made.reason == "node[02-03]: NODE is dead; node01: node01 is slow"
    assert made.fix == "revive node02"
    assert made.nodes == ("node01", "node02", "node03")
    assert together({"a": Found(OK), "b": Found(OK)}, "{} nodes", "").reason == "2 nodes"
    assert together({}, "", "no node").state is SKIPPED
    unknown = together({"a": Found(UNKNOWN, "x"), "b": Found(WARNING, "y")}, "", "")
    assert unknown.state is UNKNOWN
