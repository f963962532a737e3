"""The engine's socket: greetings, frames and requests of a client that means ill, and a healthy one beside it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Final, get_args

import msgspec

from plasmatui.client import EngineClient
from plasmatui.engine.engine import Engine
from plasmatui.engine.process import make_directories
from plasmatui.model import wire
from plasmatui.paths import EnginePaths
from plasmatui.text import is_clean
from tests.engine.fakes import FakeBackend, rack
from tests.fuzz.target import Target
from tests.fuzz.targets import hostile

LIMIT: Final = 60.0
"""Seconds for the healthy client's answer."""
PATIENCE: Final = 0.3
"""Seconds in which answers to what was asked are awaited; some look at a network that is not there."""

_HELLO: Final = wire.Hello(wire.PROTOCOL, "1", "cli", "anna", "pts/1")
_BODIES: Final = tuple(body for body in get_args(wire.RequestBody) if body is not wire.StopEngine)


@dataclass(frozen=True)
class _Paths(EnginePaths):
    """Places that do not follow the environment: an engine outlives the test that began it."""

    @property
    def socket(self) -> Path:
        return self.inventory.with_name("engine.sock")

    @property
    def lock(self) -> Path:
        return self.inventory.with_name("engine.lock")

    @property
    def shared(self) -> Path:
        return self.inventory.with_name("shared.sock")

    @property
    def state(self) -> Path:
        return self.inventory.with_name("state")


@cache
def _engine() -> Path:
    """The socket of an engine in this process, with machines in memory; it ends with the process."""
    base = Path(tempfile.mkdtemp(prefix="pt-fuzz-"))
    inventory = rack(3, base / "inventory.yaml")
    inventory.path.write_text("version: 1\ncluster: {name: lab}\nnodes:\n  n[1-3]: {}\n")
    inventory.path.chmod(0o600)
    paths = _Paths(inventory.path, "fuzz")
    make_directories(paths)
    world = hostile.world()
    world.keep(world.run(Engine.start(paths, inventory, FakeBackend)))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    return paths.socket


def stream(data: bytes) -> None:
    """Bytes from the greeting on: no fault of ours is told or logged, and the next client is answered."""
    socket, world = _engine(), hostile.world()
    world.run(_stream(socket, data))
    world.ear.silent("operation ")  # that one fails on machines without a network is told in the log


def requests(data: bytes) -> None:
    """Bytes after a right greeting."""
    stream(wire.encode(_HELLO) + data)


async def _stream(socket: Path, data: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                writer.write(data)
                writer.write_eof()
                await _read(reader)
    finally:
        writer.close()
    client = await EngineClient.connect(socket, kind="cli")
    async with client, asyncio.timeout(LIMIT):
        assert isinstance(await client.ask(wire.AskEngine()), wire.EngineStatus)


async def _read(reader: asyncio.StreamReader) -> None:
    """What the engine says, to its end."""
    first = True
    while True:
        size = int.from_bytes(await reader.readexactly(4), "big")
        frame = await reader.readexactly(size)
        message = wire.HELLO_ANSWER.decode(frame) if first else wire.ENGINE_MESSAGE.decode(frame)
        first = False
        if isinstance(message, wire.Reply) and message.problem is not None:
            assert message.problem.id != "internal", message.problem.message
            assert is_clean(message.problem.message.replace("\n", " ")), message.problem.message
        elif isinstance(message, wire.Goodbye):
            assert is_clean(message.message.replace("\n", " ")), message


def _greetings() -> list[bytes]:
    right = msgspec.to_builtins(_HELLO) | {"type": "hello"}
    others = [{**right, "protocol": number} for number in hostile.INTEGERS]
    others += [
        {**right, name: text} for name in ("user", "terminal", "kind", "version") for text in hostile.TEXTS[10:24]
    ]
    others.append({**right, "more": {"a": [1, 2, 3]}})
    return [
        wire.encode(_HELLO),
        *(hostile.frame(each) for each in others),
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ]


def _asked() -> list[bytes]:
    random = Random(1)
    return [_request(random, body) for body in _BODIES]


def _made(random: Random) -> bytes:
    return b"".join(_request(random, random.choice(_BODIES), number) for number in range(random.randint(1, 4)))


def _request(random: Random, body: type, number: int = 1) -> bytes:
    return hostile.frame({"type": "request", "id": number, "body": hostile.struct(random, body)})


def _bomb(random: Random) -> bytes:
    """A greeting or request with something deep, large or broken within."""
    inside = random.choice(
        (
            b"\x91" * random.choice((10, 1000, 20_000)) + b"\xc0",
            b"\x81\xa1a" * random.choice((10, 5000)) + b"\xc0",
            b"\xa3\xff\xfe\xfd",
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xd7\xff" + b"\xff" * 8,
            b"\xc9\xff\xff\xff\xff\x01",
            b"\xc1",
        )
    )
    name = random.choice((b"more", b"user", b"protocol", b"body", b"id"))
    kind = random.choice((b"hello", b"request", b"cancel"))
    data = b"\x82\xa4type" + bytes((0xA0 | len(kind),)) + kind + bytes((0xA0 | len(name),)) + name + inside
    size = random.choice((len(data), len(data), len(data) - 1, len(data) + 7, 2**31, 0))
    made = max(0, size).to_bytes(4, "big") + data
    return made if kind == b"hello" else wire.encode(_HELLO) + made


TARGETS: Final = (
    Target("engine-greeting", _greetings, stream, _bomb, quick=60),
    Target("engine-requests", _asked, requests, _made, quick=60),
)
