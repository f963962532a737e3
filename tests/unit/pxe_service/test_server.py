"""The service as it runs: real sockets, clients that misbehave, files that change under it, and its end."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from plasmatui.model.boot import SignalKind
from plasmatui.pxe.service import connection as connection_module
from plasmatui.pxe.service import server as server_module
from plasmatui.pxe.service import transfers as transfers_module
from plasmatui.pxe.service.files import Images
from plasmatui.pxe.service.server import BootService, listen
from plasmatui.pxe.service.sources import open_directory
from plasmatui.watch.parsers import make_parser

from .support import write

SIZE = 24 * 1024 * 1024
OLD = os.urandom(1024) * (SIZE // 1024)


@dataclass
class Running:
    url: str
    port: int
    images: Path
    log: Path
    told: list[str]
    task: asyncio.Task[None]

    async def logged(self, pattern: str) -> str:
        """The line of the log that comes to match."""
        async with asyncio.timeout(10):
            while True:
                for line in self.log.read_text().splitlines():
                    if re.search(pattern, line):
                        return line
                await asyncio.sleep(0.01)

    async def connect(self, *, small: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection; a small one takes little ahead, so that the server sees how far its client is."""
        endpoint = socket.socket()
        if small:
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        endpoint.setblocking(False)
        await asyncio.get_running_loop().sock_connect(endpoint, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=endpoint, limit=4096)

    async def ask(self, data: bytes, *, small: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.connect(small=small)
        writer.write(data)
        return reader, writer

    async def answer(self, data: bytes) -> bytes:
        """All that comes for some bytes, up to the connection's end."""
        reader, writer = await self.ask(data)
        async with asyncio.timeout(10):
            whole = await reader.read(-1)
        writer.close()
        return whole


@asynccontextmanager
async def serving(tmp_path: Path, *, limit: float = 5.0) -> AsyncIterator[Running]:
    data = write(tmp_path / "data", {"boot/default": {"kernel": "/k"}})
    images = write(tmp_path / "images", {"initrd": OLD, "small": b"0123456789"})
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    told: list[str] = []
    log = tmp_path / "access.log"
    service = BootService(open_directory(data), Images(images), None, listener, told.append, log, limit)
    ready = asyncio.Event()
    task = asyncio.create_task(service.run(ready.set))
    async with asyncio.timeout(10):
        await asyncio.wait([task, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield Running(f"http://127.0.0.1:{port}", port, images, log, told, task)
    finally:
        if not task.done():
            os.kill(os.getpid(), 15)
        async with asyncio.timeout(15):
            await task


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path) as service:
        yield service


REQUEST = b"GET /images/initrd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends or breaks."""
    got = bytearray()
    try:
        while data := await reader.read(65536):
            got += data
    except ConnectionError:
        pass
    return bytes(got)


async def test_files_over_the_wire(running: Running) -> None:
    async with httpx.AsyncClient(base_url=running.url) as client:
        whole = await client.get("/images/initrd")
        assert whole.content == OLD
        head = await client.head("/images/initrd")
        assert head.headers["content-length"] == str(SIZE)
        assert head.content == b""
        part = await client.get("/assets/small", headers={"range": "bytes=2-4", "if-range": "x"})
        assert (part.status_code, part.content) == (200, b"0123456789")
        part = await client.get("/assets/small", headers={"range": "bytes=2-4"})
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
        beyond = await client.get("/images/small", headers={"range": "bytes=10-"})
        assert (beyond.status_code, beyond.headers["content-range"], beyond.content) == (416, "bytes */10", b"")
        same = await client.get("/images/small", headers={"if-none-match": part.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        assert (await client.get("/images/small/")).status_code == 404
        assert (await client.get("/images/%2e%2e/access.log")).status_code == 404
        assert (await client.put("/images/small")).status_code == 405


async def test_names_of_header_fields_have_the_letters_that_grub_looks_for(running: Running) -> None:
    _, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    ask = b"GET //images/small HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(ask + ask.replace(b"//", b"/"))
    for _ in range(2):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nContent-Length: 10\r\n" in head
        assert b"\r\nContent-Type: " in head
        assert await reader.readexactly(10) == b"0123456789"
    writer.close()


async def test_a_file_that_is_replaced_is_sent_to_its_old_end(running: Running) -> None:
    reader, writer = await running.ask(REQUEST, small=True)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head
    (running.images / "new").write_bytes(b"new" * (SIZE // 3))
    (running.images / "new").rename(running.images / "initrd")
    assert await reader.read(-1) == OLD
    writer.close()


@pytest.mark.parametrize("how", ["cut", "overwritten", "grown"])
async def test_a_file_that_is_changed_in_place_is_broken_off(running: Running, how: str) -> None:
    reader, writer = await running.ask(REQUEST, small=True)
    await reader.readuntil(b"\r\n\r\n")
    with (running.images / "initrd").open("r+b") as file:
        if how == "cut":
            file.truncate(SIZE // 2)
        elif how == "grown":
            file.seek(0, os.SEEK_END)
            file.write(b"more")
        else:
            file.write(b"x" * SIZE)
    got = await rest_of(reader)
    writer.close()
    assert len(got) < SIZE
    assert OLD.startswith(got)
    assert len(running.told) == 2  # no internal error
    assert running.told[1].startswith("/images/initrd was changed while it was sent, transfers were broken off: ")
    line = await running.logged(r'"GET /images/initrd HTTP/1.1" 200')
    assert int(line.split()[9]) < SIZE


async def test_a_slow_client_does_not_delay_others(running: Running) -> None:
    slow = [await running.ask(REQUEST, small=True) for _ in range(8)]
    async with httpx.AsyncClient(base_url=running.url) as client:
        assert (await client.get("/images/initrd")).content == OLD
        assert (await client.get("/ipxe")).status_code == 200
    for reader, writer in slow:
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.transport.abort()
    line = await running.logged(r'"GET /images/initrd HTTP/1.1" 200 (?!25165824)')
    assert int(line.split()[9]) < SIZE


async def test_who_takes_nothing_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "IDLE_LIMIT", 0.3)
    monkeypatch.setattr(server_module, "_CHECK_EVERY", 0.05)
    async with serving(tmp_path) as running:
        reader, writer = await running.ask(REQUEST, small=True)
        await running.logged(r'"GET /images/initrd HTTP/1.1" 200')  # while it still does not read
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(SIZE)
        writer.close()


async def test_who_dawdles_with_a_head_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "HEAD_LIMIT", 0.3)
    monkeypatch.setattr(server_module, "_CHECK_EVERY", 0.05)
    async with serving(tmp_path) as running:
        silent, silent_writer = await running.connect()
        reader, writer = await running.ask(b"GET / HTTP/1.1\r\nHost: ")
        second, second_writer = await running.ask(b"GET /ipxe HTTP/1.1\r\nHost: x\r\n\r\n")
        await second.readuntil(b"boot\n")
        second_writer.write(b"GET /ipxe")
        async with asyncio.timeout(10):
            for each in (silent, reader, second):
                assert await rest_of(each) == b""
        for each_writer in (silent_writer, writer, second_writer):
            each_writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    ],
)
async def test_a_huge_head_is_refused(running: Running, head: bytes) -> None:
    reader, writer = await running.ask(head)
    assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_a_head_that_never_ends_is_refused_when_it_is_huge(running: Running) -> None:
    reader, writer = await running.ask(b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000)
    assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def test_what_is_asked_behind_a_long_answer_is_bounded(running: Running) -> None:
    reader, writer = await running.ask(b"GET /images/initrd HTTP/1.1\r\nHost: x\r\n\r\n", small=True)
    await reader.readuntil(b"\r\n\r\n")
    for more in (b"GET /ipxe HTTP/1.1\r\nHost: x\r\n\r\n" * 40, b"GET / HTTP/1.1\r\nX: " + b"a" * 80_000):
        other, other_writer = await running.ask(b"GET /images/initrd HTTP/1.1\r\nHost: x\r\n\r\n", small=True)
        await other.readuntil(b"\r\n\r\n")
        other_writer.write(more)
        assert len(await rest_of(other)) < SIZE  # broken off
        other_writer.close()
    async with httpx.AsyncClient(base_url=running.url) as client:
        assert (await client.get("/ipxe")).status_code == 200
    writer.transport.abort()


async def test_who_leaves_with_requests_behind_is_no_fault_of_ours(running: Running) -> None:
    reader, writer = await running.ask(b"GET /images/initrd HTTP/1.1\r\nHost: x\r\n\r\n" * 3, small=True)
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    await running.logged(r'"GET /images/initrd HTTP/1.1" 200')
    await running.answer(b"GET /ipxe HTTP/1.0\r\n\r\n")
    assert running.told == ["bootcfg: 1 rules, 0 problems"]


async def test_trailers_are_bounded(running: Running) -> None:
    head = b"POST /ipxe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
    reader, writer = await running.ask(head + b"A: b\r\n" * 20_000)
    async with asyncio.timeout(10):  # less than a connection is kept for a next request
        await rest_of(reader)
    writer.close()


async def test_a_long_body_is_no_long_head(running: Running) -> None:
    body = b"x" * 300_000
    head = b"POST /ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    whole = await running.answer(head + body + b"GET /images/small HTTP/1.0\r\n\r\n")
    assert whole.count(b"HTTP/1.1 200 OK") == 2
    assert whole.endswith(b"0123456789")


async def test_connections_have_a_limit(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [await running.connect() for _ in range(3)]
    await running.answer(b"GET / HTTP/1.0\r\n\r\n")  # those before were taken, too
    monkeypatch.setattr(connection_module, "MOST", 3)
    reader, writer = await running.connect()
    assert (await rest_of(reader)).startswith(b"HTTP/1.1 503 ")
    for _, each in (*kept, (reader, writer)):
        each.close()
    monkeypatch.undo()
    assert b"200 OK" in await running.answer(b"GET /ipxe HTTP/1.0\r\n\r\n")


async def test_an_encoded_slash_is_no_root(running: Running) -> None:
    for target in (b"/images%2Fsmall", b"/images%2f..%2f..%2fetc/passwd", b"/%69mages%2Fsmall"):
        assert (await running.answer(b"GET " + target + b" HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    assert running.told == ["bootcfg: 1 rules, 0 problems"]


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"nonsense\r\n\r\n", b"GET x y z\r\n\r\n"])
async def test_what_is_no_http_is_refused(running: Running, data: bytes) -> None:
    assert (await running.answer(data)).startswith(b"HTTP/1.1 400 ")
    assert running.told == ["bootcfg: 1 rules, 0 problems"]


async def test_requests_one_behind_the_other(running: Running) -> None:
    one = b"GET /ipxe HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /images/small HTTP/1.0\r\n\r\n"
    whole = await running.answer(one * 3 + last)
    assert whole.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert whole.endswith(b"0123456789")


async def test_the_log_is_read_by_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers_module, "TELL_EVERY", 0.02)
    async with serving(tmp_path) as running:
        async with httpx.AsyncClient(base_url=running.url, headers={"user-agent": 'iPXE/1.21.1 "\n'[:-1]}) as client:
            await client.get("/ipxe", params={"mac": "52-54-00-12-34-56", "token": "secret"})
        await running.logged("GET /ipxe")
        reader, writer = await running.ask(
            b"GET /images/initrd HTTP/1.1\r\nHost: x\r\nX-Real-IP: 10.0.100.50\r\nUser-Agent: iPXE/1.0\r\n"
            b"Connection: close\r\n\r\n",
            small=True,
        )
        await reader.readuntil(b"\r\n\r\n")
        line = await running.logged("^transfer ")
        assert re.fullmatch(
            r"transfer 10\.0\.100\.50 \[[^]]+\] \d+/25165824 200 \"GET /images/initrd\" \"iPXE/1\.0\"", line
        )
        await reader.read(-1)
        writer.close()
        await running.logged(r"^10\.0\.100\.50 ")
        text = running.log.read_text()
        assert "secret" not in text
        parser = make_parser("nginx-access", "http")
        signals = [s for number, line in enumerate(text.splitlines(), 1) for s in parser.feed(line, number)]
        assert [(s.kind, s.status, s.ip) for s in signals] == [
            (SignalKind.HTTP_REQUEST, 200, "127.0.0.1"),
            (SignalKind.HTTP_REQUEST, 200, "10.0.100.50"),
        ]
        assert signals[0].mac == "52:54:00:12:34:56"
        assert signals[0].text.startswith("iPXE/")
        assert (signals[1].bytes, signals[1].file) == (SIZE, "/images/initrd")


async def test_the_log_follows_rotation(running: Running) -> None:
    async with httpx.AsyncClient(base_url=running.url) as client:
        await client.get("/first")
        await running.logged("/first")
        running.log.rename(running.log.with_suffix(".1"))
        await client.get("/second")
        async with asyncio.timeout(10):
            while not running.log.exists() or "/second" not in running.log.read_text():  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)
    assert "/first" not in running.log.read_text()


async def test_transfers_may_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        reader, writer = await running.ask(REQUEST, small=True)
        idle, idle_writer = await running.connect()
        await reader.readuntil(b"\r\n\r\n")
        os.kill(os.getpid(), 15)
        async with asyncio.timeout(10):
            assert await idle.read(-1) == b""  # idle connections end at once
            assert await reader.read(-1) == OLD
            await running.task
        writer.close()
        idle_writer.close()
        with pytest.raises(ConnectionRefusedError):
            await running.connect()
        assert running.told[-1] == "ending; 1 transfers may end first"
        assert f'"GET /images/initrd HTTP/1.1" 200 {SIZE} ' in running.log.read_text()


async def test_the_end_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with serving(tmp_path, limit=0.3) as running:
        reader, writer = await running.ask(REQUEST, small=True)
        await reader.readuntil(b"\r\n\r\n")
        os.kill(os.getpid(), 15)
        async with asyncio.timeout(10):
            await running.task
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(SIZE)
        writer.close()
        assert re.search(r'"GET /images/initrd HTTP/1.1" 200 \d{1,7} ', running.log.read_text())


async def test_machines_that_get_nothing_are_told_once(running: Running, tmp_path: Path) -> None:
    (tmp_path / "data/boot/default").unlink()
    async with httpx.AsyncClient(base_url=running.url) as client:
        for _ in range(3):
            assert (await client.get("/ipxe?mac=52-54-00-12-34-56&uuid=u")).status_code == 404
        assert (await client.get("/ipxe")).status_code == 404
    assert running.told[1:] == [
        "a machine gets no script (mac=52:54:00:12:34:56 uuid=u): boot/default: not there",
        "a machine gets no script (it names neither mac nor uuid): boot/default: not there",
    ]


async def test_problems_are_told_as_they_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SHORT", 0.01)
    async with serving(tmp_path) as running:
        path = tmp_path / "data/boot/default"

        async def told(text: str) -> None:
            async with asyncio.timeout(10):
                while text not in running.told:  # noqa: ASYNC110 - the service's own pace
                    await asyncio.sleep(0.01)

        path.write_text('{\n"kernel": }')
        await told("boot/default:2: error: no JSON: Expecting value (column 11); its last good version is served")
        async with httpx.AsyncClient(base_url=running.url) as client:
            assert (await client.get("/ipxe")).status_code == 200
            health = (await client.get("/health")).json()
            assert (health["status"], health["services"]["http"], health["source"]) == (
                "degraded",
                "running",
                "bootcfg",
            )
            path.write_text('{"kernel": "/new"}')
            await told("boot/default: in order again")
            assert (await client.get("/health")).json()["status"] == "healthy"
            metrics = (await client.get("/metrics")).text
        assert "plasmatui_serve_problems 0.0" in metrics
        assert 'plasmatui_serve_requests_total{endpoint="ipxe",method="GET",status="200"} 1.0' in metrics
