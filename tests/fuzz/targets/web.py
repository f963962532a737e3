"""HTTP: the boot service and clients that mean ill; Redfish services and cluster services that lie."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import copy
import json
import shutil
import signal
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from plasmatui.bmc.controller import BmcError, BmcTarget
from plasmatui.bmc.redfish import RedfishController
from plasmatui.bmc.redfish_tls import TlsContexts
from plasmatui.cluster import clients, health
from plasmatui.cluster.errors import ServiceError
from plasmatui.inventory.secrets import Secret
from plasmatui.pxe.service.files import Images
from plasmatui.pxe.service.once import BootStates
from plasmatui.pxe.service.server import BootService, listen
from plasmatui.pxe.service.sources import open_directory
from plasmatui.text import is_clean
from tests.fuzz.target import Target
from tests.fuzz.targets import hostile
from tests.unit.bmc_redfish.stub import SYSTEM, Stub

LIMIT: Final = 60.0
"""Seconds for the healthy client's answer."""
PATIENCE: Final = 0.2
MARK: Final = b"outside-of-what-is-served"
MAC: Final = "52:54:00:00:00:01"
_ODD: Final = (
    b"..", b"%2e%2e", b"%252e%252e", b"%2f", b"%5c", b"\\", b"%00", b"%c0%af", b"%ff", b"%u002e", b"//", b"/./", b";",
    b"?", b"#", b"%0d%0aX:1", b"%0a", b"\xe2\x80\xae", b"%e2%80%ae", b"%1b]0;x%07", b"/etc/passwd", b"%2fetc%2fpasswd",
    b"secret", b"link", b"loop",
)  # fmt: skip


@dataclass
class _Boot:
    port: int
    log: Path
    told: list[str] = field(default_factory=list)


@cache
def _boot() -> _Boot:
    """A boot service of this process, over a directory with links out of it, and a file beside it."""
    base = Path(tempfile.mkdtemp(prefix="pt-fuzz-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    images = base / "data" / "images"
    (images / "sub").mkdir(parents=True)
    (base / "secret").write_bytes(MARK)
    (base / "data" / "secret").write_bytes(MARK)
    (images / "kernel").write_bytes(bytes(range(256)) * 40)
    (images / ".hidden").write_bytes(MARK)
    (images / "link").symlink_to(base / "secret")
    (images / "sub" / "up").symlink_to("../../..")
    (images / "loop").symlink_to("loop")
    store = base / "store"
    for name, content in (
        (
            "profiles/p.json",
            {"id": "p", "generic_id": "g", "boot": {"kernel": "/k", "initrd": ["/i"], "args": ["a=b"]}},
        ),
        ("groups/g.json", {"profile": "p", "selector": {"mac": MAC}}),
    ):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text(json.dumps(content))
    (store / "generic").mkdir()
    (store / "generic" / "g").write_text("{{.request.query.x}}")
    states = BootStates(base / "states" / "s.json")
    states.prepare()
    world = hostile.world()
    listener = listen("127.0.0.1", 0)
    boot = _Boot(listener.getsockname()[1], base / "access.log")
    service = BootService(open_directory(store), Images(images), states, listener, boot.told.append, boot.log)

    async def begin() -> None:
        ready = asyncio.Event()
        world.keep(asyncio.create_task(service.run(ready.set), name="boot service"))
        async with asyncio.timeout(LIMIT):
            await ready.wait()
        for number in (signal.SIGINT, signal.SIGTERM):  # they are the process's own
            world.loop.remove_signal_handler(number)

    world.run(begin())
    return boot


def boot_clients(data: bytes) -> None:
    """Bytes to the boot service: nothing of outside is sent, nothing is our fault, and the next machine boots."""
    boot, world = _boot(), hostile.world()
    world.run(_boot_client(boot, data))
    world.ear.silent()
    faults = [line for line in boot.told if "internal error" in line]
    boot.told.clear()
    assert not faults, faults


async def _boot_client(boot: _Boot, data: bytes) -> None:
    got = await _exchange(boot.port, data)
    assert MARK not in got
    script = await _exchange(boot.port, f"GET /ipxe?mac={MAC} HTTP/1.0\r\nHost: b\r\n\r\n".encode(), LIMIT)
    assert script.count(b"\n") == _lines(script), script
    assert b"kernel /k a=b" in script
    logged = boot.log.read_bytes() if boot.log.exists() else b""
    assert logged.isascii()
    assert all(line.decode().isprintable() for line in logged.split(b"\n"))
    if len(logged) > 1 << 20:
        boot.log.unlink()


def _lines(script: bytes) -> int:
    """Head and four lines of a script for a machine of the store."""
    head, _, _ = script.partition(b"\r\n\r\n")
    return head.count(b"\n") + 2 + 4


async def _exchange(port: int, data: bytes, limit: float = PATIENCE) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(limit):
            writer.write(data)
            while part := await reader.read(65536):
                got += part
    writer.close()
    return got


def _requests() -> list[bytes]:
    paths = (
        b"/ipxe?mac=52:54:00:00:00:01", b"/boot.ipxe", b"/grub?mac=52:54:00:00:00:01", b"/images/kernel",
        b"/images/link",
        b"/images/sub/up/secret", b"/images/loop", b"/images/.hidden", b"/generic?mac=52:54:00:00:00:01&x=%0a%1b",
        b"/metadata?mac=52:54:00:00:00:01", b"/installed?mac=52:54:00:00:00:01&token=a.b", b"/health", b"/metrics",
        b"/pixiecore/v1/boot/52:54:00:00:00:01", b"/images%2fkernel", b"//images//kernel",
    )  # fmt: skip
    return [b"GET " + path + b" HTTP/1.1\r\nHost: b\r\nUser-Agent: iPXE/1.21\r\n\r\n" for path in paths]


def _request(random: Random) -> bytes:
    path = b"/" + random.choice((b"images", b"assets", b"boot", b"ipxe", b"cloud", b"pixiecore/v1/boot", b"generic"))
    for _ in range(random.randint(0, 8)):
        path += random.choice((b"/", b"", b"%2f")) + random.choice((b"kernel", b"sub", b"up", *_ODD))
    path += random.choice(
        (b"", b"?mac=" + random.choice(_ODD), b"?x=" + random.choice(_ODD) * 3, b"?uuid=" + b"a" * 900)
    )
    method = random.choice((b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"TRACE", b"OPTIONS", b"CONNECT", b"PRI", b"get"))
    fields = [b"Host: " + random.choice((b"b", b"b:80", b"\x1b[2J", b"a b", b"${x}", b"'\"`"))]
    for _ in range(random.randint(0, 4)):
        fields.append(
            random.choice(
                (
                    b"Range: bytes="
                    + random.choice((b"0-", b"-1", b"5-2", b"0-0,1-1", b"99999999999999999999-", b"-", b"a-b")),
                    b'If-Range: "x"',
                    b"If-Modified-Since: Mon, 99 Foo 0000 99:99:99 GMT",
                    b"If-None-Match: *",
                    b"Content-Length: 5",
                    b"Content-Length: 6",
                    b"Content-Length: -1",
                    b"Transfer-Encoding: chunked",
                    b"Transfer-Encoding: identity, chunked",
                    b"Connection: upgrade",
                    b"Upgrade: websocket",
                    b"Expect: 100-continue",
                    b"X-Real-IP: 1.2.3.4\x1b",
                    b"User-Agent: " + random.choice(_ODD),
                    b"A: " + b"b" * 3000,
                    b"A:b\r\n c",
                    b": x",
                    b"",
                )
            )
        )
    version = random.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/9.9", b""))
    head = method + b" " + path + b" " + version + b"\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"
    body = random.choice(
        (b"", b"", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"hello", b"GET /images/link HTTP/1.1\r\n\r\n")
    )
    return (head + body) * random.choice((1, 1, 1, 2, 40))


# --- Redfish -------------------------------------------------------------------------------------------------------


@dataclass
class _Liar:
    """A Redfish service over HTTP, and another server, which nobody may ask: who is led there would tell it secrets."""

    port: int = 0
    other: int = 0
    led: int = 0
    random: Random = field(default_factory=Random)
    tree: dict[str, Any] = field(default_factory=dict)

    async def begin(self) -> None:
        world = hostile.world()
        for serve, name in ((self._serve, "port"), (self._other, "other")):
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            world.keep(server)
            setattr(self, name, server.sockets[0].getsockname()[1])

    async def _other(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.led += 1
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                writer.write(self._answer(head.split(b" ")[0], head.split(b" ")[1].decode()))
                await writer.drain()
                if self.random.random() < 0.05:
                    break
        writer.close()

    def _answer(self, method: bytes, path: str) -> bytes:
        random = self.random
        resource = self.tree.get(path.partition("?")[0], {})
        body = json.dumps(_lie(random, copy.deepcopy(resource), self.other)).encode()
        status = b"201 Created" if method == b"POST" else b"200 OK"
        extra = b"X-Auth-Token: t\r\nLocation: /redfish/v1/SessionService/Sessions/1\r\n" if method == b"POST" else b""
        chance = random.random()
        away = f"127.0.0.1:{self.other}".encode()
        if chance < 0.04:
            place = random.choice(
                (b"http://" + away + b"/", b"//" + away + b"/x", b"/redfish/v1/", b"http://[", b"\\\\" + away)
            )
            return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n"
        if chance < 0.07:
            status = random.choice((b"500 x", b"401 x", b"404 x", b"412 x", b"999 x"))
        if chance < 0.09:
            extra += random.choice(
                (
                    b"Content-Encoding: gzip\r\n",
                    b"ETag: \x1b\r\n",
                    b"Location: //" + away + b"\r\n",
                )
            )
        if chance < 0.11:
            body = random.choice(
                (b"[" * 100_000, b"1" * 5000, b'"\xff"', b"NaN", b"", b"{" + b'"a":1,' * 9, b"[]", b"null")
            )
        return b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n" % len(body) + extra + b"\r\n" + body


def _lie(random: Random, data: Any, other: int) -> Any:
    """The same with other types, values and links in some places."""
    if random.random() < 0.02:
        link = f"http://127.0.0.1:{other}/redfish"
        return random.choice(
            (None, True, -1, 1e300, 10**30, "", "\x1b[2J", "A" * 3000, [], {}, [[[]]], {"@odata.id": link}, "\ud800",
             f"@127.0.0.1:{other}/", {"@odata.id": f"//127.0.0.1:{other}/"}, {"@odata.id": SYSTEM}, "../..", link,
             [{"@odata.id": SYSTEM}] * 50)
        )  # fmt: skip
    if isinstance(data, dict):
        return {key: _lie(random, value, other) for key, value in data.items()}
    if isinstance(data, list):
        return [_lie(random, value, other) for value in data]
    return data


@cache
def _liar() -> _Liar:
    liar = _Liar(tree=Stub().resources)
    hostile.world().run(liar.begin())
    return liar


def redfish(data: bytes) -> None:
    """A service that lies: an answer or an error that names the node, and nobody is led elsewhere."""
    liar = _liar()
    liar.random = Random(data)
    hostile.world().run(_redfish(liar))
    hostile.world().ear.silent()
    assert not liar.led, "led to another server"


async def _redfish(liar: _Liar) -> None:
    target = BmcTarget("n1", "redfish", "127.0.0.1", liar.port, "admin", Secret(literal="s3cret-word"), tls=False)
    controller = RedfishController(target, tls=TlsContexts())
    reads = [controller.power, controller.boot_device, controller.sensors, controller.sel, controller.inventory]
    liar.random.shuffle(reads)
    try:
        for read in reads[:3]:
            try:
                async with asyncio.timeout(LIMIT):
                    await read()
            except BmcError as error:
                if not error.message.startswith("n1") or not is_clean(error.message) or "s3cret" in error.message:
                    raise
    finally:
        await controller.close()


# --- services ------------------------------------------------------------------------------------------------------

_HEALTH: Final = {
    "status": "healthy",
    "raft": "leader",
    "version": "1.2",
    "uptime_seconds": 5,
    "database": "connected",
    "peers": [1, 2],
}


def service(data: bytes) -> None:
    """What a service says of its health, whatever it is: short clean text, or an error that names node and service."""
    for status in (200, 503):
        try:
            body = clients._decoded(data, "n1", "iam", status, "GET")
        except ServiceError as error:
            if error.node != "n1":
                raise
            continue
        answer = clients.Answer("n1", "iam", status, body, True, 0.1)
        seen = health.said(answer)
        told = (seen.message, *seen.details, *seen.details.values(), str(clients.refusal(answer, "GET /x")))
        assert all(is_clean(text.replace("\n", " ")) and len(text) <= 2000 for text in told), told
        assert len(seen.details) <= 32


def _healths() -> list[bytes]:
    return [json.dumps(_HEALTH).encode(), b"[]", b'{"status":"ok","status":"failed"}', b'{"status":1e400}']


def _said(random: Random) -> bytes:
    made = {key: _lie(random, value, 9) if random.random() < 0.5 else value for key, value in _HEALTH.items()}
    made[random.choice(hostile.TEXTS)] = random.choice(
        (None, 10**18, -1e308, {"a": {"b": []}}, "\x1b]0;x\x07", "é" * 3000)
    )
    made[random.choice(tuple(_HEALTH))] = random.choice((*hostile.TEXTS, *hostile.INTEGERS, None, True, [], {}))
    text = json.dumps(made).encode()
    return random.choice(
        (text, text, b"[" * random.choice((10, 900, 5000)) + text, text * 2, text[: random.randrange(len(text))])
    )


TARGETS: Final = (
    Target("boot-service", _requests, boot_clients, _request, quick=40),
    Target(
        "redfish",
        lambda: [bytes((number,)) for number in range(10)],
        redfish,
        lambda random: random.randbytes(8),
        quick=40,
    ),
    Target("service-health", _healths, service, _said, quick=300),
)
