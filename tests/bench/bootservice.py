"""The boot service: scripts per second beside the number of machines, and an initrd to many clients beside nginx."""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.report import Figure, Report
from tests.support.terminal import cpu_seconds

MACHINES = (10, 1000, 10_000)
CLIENTS = (1, 16, 64)
INITRD = 300_000_000
REQUESTS = 8000
_NGINX = """{2}daemon off; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx.err;
events {{ worker_connections 512; }}
http {{ access_log {0}/nginx.log; sendfile on; tcp_nopush on; client_body_temp_path {0}/t1; proxy_temp_path {0}/t2;
fastcgi_temp_path {0}/t3; uwsgi_temp_path {0}/t4; scgi_temp_path {0}/t5;
server {{ listen 127.0.0.1:{1}; location /images/ {{ alias {0}/images/; }} }} }}
"""


async def scripts(report: Report) -> None:
    """`/ipxe` of matchbox groups, one for each machine; 16 connections ask without a pause."""
    first: float | None = None
    for machines in MACHINES:
        with tempfile.TemporaryDirectory(prefix="pt-") as directory:
            root = Path(directory)
            _make_store(root / "data", machines)
            async with _service(root) as (port, pid):
                await asyncio.to_thread(_ask, port, 500, machines)
                before, began = cpu_seconds(pid), time.perf_counter()
                await asyncio.to_thread(_ask, port, REQUESTS, machines)
                cpu, seconds = cpu_seconds(pid) - before, time.perf_counter() - began
        each = cpu / REQUESTS * 1e6
        figure = Figure(
            f"boot script of one of {machines} machines: service's CPU",
            each,
            "µs",
            reference=first,
            beside=f"{MACHINES[0]} machines",
            goal=1.5 if first is not None else None,
            of_ratio=True,
            note=f"{REQUESTS / seconds:.0f} requests/s",
        )
        report.add(figure)
        first = first or each


async def initrds(report: Report) -> None:
    """An initrd of 300 MB to 1, 16 and 64 clients at once, by the service and by nginx, one after the other."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    with tempfile.TemporaryDirectory(prefix="pt-") as directory:
        root = Path(directory)
        _make_store(root / "data", 1)
        (root / "images").mkdir()
        block = os.urandom(1_000_000)
        with (root / "images" / "initrd").open("wb") as file:
            for _ in range(INITRD // len(block)):
                file.write(block)
        async with _service(root) as (port, pid):
            for clients in CLIENTS:
                before = cpu_seconds(pid)
                seconds = await _fetch(port, clients)
                cpu = cpu_seconds(pid) - before
                beside = await _by_nginx(nginx, root, clients) if nginx is not None else None
                rate = clients * INITRD / seconds / 1e6
                report.add(
                    Figure(
                        f"300 MB to {clients} clients",
                        seconds,
                        "s",
                        reference=beside,
                        beside="nginx",
                        goal=4.0 if beside is not None else None,
                        of_ratio=True,
                        note=f"{rate:.0f} MB/s, CPU {cpu / (clients * INITRD / 1e9):.2f} s/GB",
                    )
                )


async def _by_nginx(nginx: str, root: Path, clients: int) -> float:
    port = _free_port()
    (root / "nginx.conf").write_text(_NGINX.format(root, port, "" if os.getuid() else "user root; "))
    server = await asyncio.create_subprocess_exec(nginx, "-c", str(root / "nginx.conf"), stderr=subprocess.DEVNULL)
    try:
        await _listening(port)
        return await _fetch(port, clients)
    finally:
        server.terminate()
        await server.wait()


@asynccontextmanager
async def _service(root: Path) -> AsyncIterator[tuple[int, int]]:
    """A service in a process of its own: its port and process id."""
    port = _free_port()
    (root / "images").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "plasmatui", "serve", "--address", f"127.0.0.1:{port}"]
    command += ["--data-path", str(root / "data"), "--images-path", str(root / "images")]
    command += ["--log-file", str(root / "access.log")]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    try:
        await _listening(port)
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _make_store(root: Path, machines: int) -> None:
    for name in ("groups", "profiles"):
        (root / name).mkdir(parents=True)
    profile = {"id": "p", "boot": {"kernel": "/k", "initrd": ["/i"], "args": ["console=ttyS0"]}}
    (root / "profiles" / "p.json").write_text(json.dumps(profile))
    for number in range(machines):
        group = {"profile": "p", "selector": {"mac": _mac(number)}}
        (root / "groups" / f"{number}.json").write_text(json.dumps(group))


def _mac(number: int) -> str:
    return f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def _ask(port: int, count: int, machines: int) -> None:
    """Ask for scripts over 16 connections, each time for another machine."""
    ready = selectors.DefaultSelector()
    asked = done = 0

    def ask(endpoint: socket.socket) -> None:
        nonlocal asked
        query = f"uuid=1&mac={_mac(asked % machines).replace(':', '-')}"
        endpoint.sendall(f"GET /ipxe?{query} HTTP/1.1\r\nHost: x\r\nUser-Agent: iPXE/1.21.1\r\n\r\n".encode())
        asked += 1

    for _ in range(16):
        endpoint = socket.create_connection(("127.0.0.1", port))
        ready.register(endpoint, selectors.EVENT_READ, bytearray())
        ask(endpoint)
    while done < count:
        for key, _ in ready.select():
            assert isinstance(key.fileobj, socket.socket)
            key.data.extend(key.fileobj.recv(65_536))
            if key.data.endswith(b"\nboot\n"):
                assert key.data.startswith(b"HTTP/1.1 200")
                key.data.clear()
                done += 1
                ask(key.fileobj)
    for key in list(ready.get_map().values()):
        assert isinstance(key.fileobj, socket.socket)
        key.fileobj.close()


async def _fetch(port: int, clients: int) -> float:
    """Seconds in which so many clients, in a process of their own, have the initrd."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CLIENTS, str(port), str(clients), str(INITRD), stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    return time.perf_counter() - began


_CLIENTS = """
import selectors, socket, sys
port, clients, size = map(int, sys.argv[1:])
ready, buffer, got = selectors.DefaultSelector(), bytearray(1 << 20), {}
for _ in range(clients):
    endpoint = socket.create_connection(("127.0.0.1", port))
    endpoint.sendall(b"GET /images/initrd HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    ready.register(endpoint, selectors.EVENT_READ)
while ready.get_map():
    for key, _ in ready.select():
        count = key.fileobj.recv_into(buffer)
        got[key.fd] = got.get(key.fd, 0) + count
        if not count:
            assert size < got[key.fd] < size + 1000, got[key.fd]
            ready.unregister(key.fileobj)
"""
