"""The IPMI driver through a relay that stands for port forwards, IPv6, and whoever sends packets in a BMC's name."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from plasmatui.bmc import session
from plasmatui.bmc.controller import BmcError
from plasmatui.model.words import Power
from plasmatui.sim.rack import RackOptions
from tests.unit.bmc.conftest import LabRack, until


class Relay(asyncio.DatagramProtocol):
    """Passes datagrams between one client and a BMC; `spoil` makes packets to the client out of each that passes."""

    def __init__(self, bmc: tuple[str, int]) -> None:
        self.bmc = bmc
        self.client: tuple[object, ...] | None = None
        self.spoil: Callable[[bytes], list[bytes]] = lambda data: [data]
        self.front: asyncio.DatagramTransport | None = None
        self.back: asyncio.DatagramTransport | None = None

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self.client = addr
        assert self.back is not None
        self.back.sendto(data)

    def answered(self, data: bytes) -> None:
        assert self.front is not None
        for packet in self.spoil(data):
            self.front.sendto(packet, self.client)


class Back(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay) -> None:
        self.relay = relay

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self.relay.answered(data)


@asynccontextmanager
async def relayed(rack: LabRack, host: str) -> AsyncIterator[tuple[Relay, int]]:
    """A relay to node01, and the port on which it listens at `host`."""
    entry = rack.nodes["node01"].entry
    loop = asyncio.get_running_loop()
    relay = Relay((entry.address, entry.port))
    front, _ = await loop.create_datagram_endpoint(lambda: relay, local_addr=(host, 0))
    relay.front = front
    relay.back, _ = await loop.create_datagram_endpoint(lambda: Back(relay), remote_addr=relay.bmc)
    try:
        yield relay, front.get_extra_info("sockname")[1]
    finally:
        front.close()
        relay.back.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_port_forward_and_ipv6_work_with_the_console(host: str) -> None:
    async with LabRack(RackOptions(nodes=1, on=1)) as rack, relayed(rack, host) as (_, port):
        bmc = rack.controller(address=host, port=port)
        assert await bmc.power() is Power.ON
        heard = bytearray()
        console = await bmc.open_console(heard.extend, lambda *_end: None, takeover=False)
        console.write(b"\r")
        await until(lambda: b"login: " in heard)
        await bmc.close()


async def test_forged_and_broken_packets_do_no_harm() -> None:
    dice = random.Random(7)

    def forge(data: bytes) -> list[bytes]:
        """The packet itself between others in its BMC's name: cut, with bits flipped, of any kind, at random."""
        flipped = bytearray(data)
        flipped[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        kind = bytearray(data)
        kind[dice.randrange(4, 8)] = dice.randrange(256)
        return [
            data[: dice.randrange(len(data))],
            bytes(kind),
            dice.randbytes(dice.randrange(1, 120)),
            data,
            bytes(flipped),
            b"\x06\x00\xff\x07" + dice.randbytes(40),
            b"\x06\x00\xff\x07\x06\xc0" + data[6:10] + b"\xff\xff\xff\xff" + dice.randbytes(40),
        ]

    async with (
        LabRack(RackOptions(nodes=2, on=2, console_rate=3000)) as rack,
        relayed(rack, "127.0.0.1") as (relay, port),
    ):
        bmc, neighbour = rack.controller(address="127.0.0.1", port=port), rack.controller("node02")
        heard = bytearray()
        ends: list[tuple[str, str]] = []
        await bmc.open_console(heard.extend, lambda *end: ends.append(end), takeover=False)
        relay.spoil = forge
        for _ in range(100):
            assert await asyncio.gather(bmc.power(), neighbour.power()) == [Power.ON] * 2
        await until(lambda: len(heard) > 3000)
        numbers = [int(line[:12]) for line in heard.decode("ascii").split("\r\n")[1:-1]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert not ends
        assert rack.sessions == 2
        relay.spoil = lambda data: [data]
        await bmc.close()


async def test_packets_that_come_twice_and_late_are_taken_once() -> None:
    async with (
        LabRack(RackOptions(nodes=1, on=1, console_rate=3000)) as rack,
        relayed(rack, "127.0.0.1") as (relay, port),
    ):
        before: list[bytes] = [b""]

        def repeat(data: bytes) -> list[bytes]:
            earlier, before[0] = before[0], data
            return [earlier, data, data] if earlier else [data, data]

        bmc = rack.controller(address="127.0.0.1", port=port)
        relay.spoil = repeat
        heard = bytearray()
        await bmc.open_console(heard.extend, lambda *_end: None, takeover=False)
        for _ in range(20):
            assert await bmc.power() is Power.ON
        await until(lambda: len(heard) > 3000)
        numbers = [int(line[:12]) for line in heard.decode("ascii").split("\r\n")[1:-1]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        await bmc.close()


async def test_a_host_that_answers_nonsense_only_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SILENCE_LIMIT", 0.6)
    async with LabRack(RackOptions(nodes=1)) as rack, relayed(rack, "127.0.0.1") as (relay, port):
        relay.spoil = lambda data: [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x06\x00\xff\x07" + bytes(2), bytes(64)]
        with pytest.raises(BmcError) as caught:
            await rack.controller(address="127.0.0.1", port=port).connect()
        assert caught.value.id == "bmc-unreachable"
