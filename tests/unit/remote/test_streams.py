"""Streams that pass through: nothing is lost, nothing piles up, and either side may end them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from plasmatui.remote.taker import HIGH
from tests.unit.remote.rig import Rig

SIZE = 12_000_000
PRODUCE = ["sh", "-c", f"head -c {SIZE} /dev/zero; echo done >&2"]


async def test_a_slow_sink_gets_all_of_it_and_the_program_waits(rig: Rig) -> None:
    most = 0
    digest = hashlib.sha256()

    async def sink(data: bytes) -> None:
        nonlocal most
        most = max(most, len(data))
        digest.update(data)
        await asyncio.sleep(0.002)

    done = await rig.hosts.system("node01").receive(PRODUCE, sink, limit=60)
    assert (done.status, done.err) == (0, b"done\n")
    assert digest.digest() == hashlib.sha256(bytes(SIZE)).digest()
    assert most < HIGH + 5 * 1024 * 1024, "more than the window was taken while the sink worked"


async def test_a_sink_that_fails_ends_the_program(rig: Rig) -> None:
    host = rig.hosts.system("node01")

    async def sink(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await host.receive(["sh", "-c", "cat /dev/zero"], sink, limit=60)
    assert (await host.run(["echo", "on"], limit=10)).out == b"on\n"


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size


async def test_input_is_given_piece_by_piece(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    wanted = hashlib.sha256(b"".join([part async for part in pieces(50, 200_000)])).hexdigest()
    done = await host.send(["sha256sum"], pieces(50, 200_000), limit=60)
    assert done.out.split()[0].decode() == wanted
    early = await host.send(["sh", "-c", "head -c 5 >/dev/null; exit 3"], pieces(50, 200_000), limit=60)
    assert early.status == 3


async def test_input_that_fails_ends_the_program(rig: Rig) -> None:
    host = rig.hosts.system("node01")

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        await host.send(["cat"], broken(), limit=60)
    assert (await host.run(["echo", "on"], limit=10)).out == b"on\n"
