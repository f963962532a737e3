"""IPMI BMCs over UDP: commands, rights, faults and the serial console, seen by a client that shares no code."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from plasmatui.model.bmc import Device
from plasmatui.sim.rack import Node, Rack, RackOptions

from .client import Client, RefusedError, message

CHASSIS_STATUS = (0, 1)


@pytest.fixture
async def rack() -> AsyncIterator[Rack]:
    async with Rack(RackOptions(nodes=2, on=1, speed=200, port=0, password="password", slots=2)) as running:
        yield running


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    clients: list[Client] = []

    async def opened(node: Node, **options: object) -> Client:
        client = Client(node.entry.address, node.ipmi.port, **options)  # type: ignore[arg-type]
        clients.append(client)
        return await client.open()

    yield opened
    for client in clients:
        client.close()


Connect = Callable[..., Awaitable[Client]]


async def until(condition: Callable[[], bool], limit: float = 5.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - state without an event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("suite", [3, 17])
async def test_power_on_and_off(rack: Rack, connect: Connect, suite: int) -> None:
    node = rack.nodes["node02"]
    client = await connect(node, suite=suite)
    assert (await client.good(*CHASSIS_STATUS))[0] & 1 == 0
    await client.good(6, 0x3B, b"\x04")
    await client.good(0, 2, b"\x01")
    await until(lambda: node.machine.powered)
    assert (await client.good(*CHASSIS_STATUS))[0] & 1 == 1
    await client.good(0, 2, b"\x00")
    await until(lambda: not node.machine.powered)


async def test_refusals_have_their_codes(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node01"]
    with pytest.raises(RefusedError, match="0x0d"):
        await connect(node, user=b"nobody")
    with pytest.raises(RefusedError, match="0x0f"):
        await connect(node, password=b"wrong")
    await connect(node)
    await connect(node)
    with pytest.raises(RefusedError, match="0x01"):
        await connect(node)


async def test_rights(rack: Rack, connect: Connect) -> None:
    client = await connect(rack.nodes["node01"], user=b"operator")
    assert (await client.command(0, 2, b"\x03"))[0] == 0xD4  # a new session has user rights
    assert (await client.command(6, 0x3B, b"\x04"))[0] == 0x81
    await client.good(6, 0x3B, b"\x03")
    assert (await client.command(6, 0x02))[0] == 0xD4  # a cold reset is for administrators
    await client.good(0, 2, b"\x03")


async def test_orders_that_need_power_are_refused_without_it(rack: Rack, connect: Connect) -> None:
    client = await connect(rack.nodes["node02"])
    await client.good(6, 0x3B, b"\x04")
    for order in (2, 3, 4, 5):
        assert (await client.command(0, 2, bytes([order])))[0] == 0xD5
    assert (await client.command(0, 2, b"\x09"))[0] == 0xCC


async def test_unknown_and_short_commands(rack: Rack, connect: Connect) -> None:
    client = await connect(rack.nodes["node01"])
    await client.good(6, 0x3B, b"\x04")
    assert (await client.command(0x30, 0x70))[0] == 0xC1
    for netfn, command in ((0, 2), (0, 8), (0, 9), (4, 0x2D), (0xA, 0x23), (0xA, 0x43), (0xA, 0x11), (6, 0x48)):
        assert (await client.command(netfn, command))[0] == 0xC7, f"{netfn:#x} {command:#x}"


async def test_commands_before_a_session(rack: Rack) -> None:
    node = rack.nodes["node01"]
    client = Client(node.entry.address, node.ipmi.port)
    await client.connect()
    client.raw(bytes.fromhex("0600ff06000011be80070000"))
    assert (await client.receive())[8:10] == b"\x40\x07"
    for request in (message(6, 0x38, b"\x8e\x04"), message(0, 1)):
        client.raw(b"\x06\x00\xff\x07" + bytes(9) + bytes([len(request)]) + request)
    assert (await client.receive())[14 + 6] == 0
    assert (await client.receive())[14 + 6] == 0xD4
    client.close()


async def test_replayed_packets_act_once(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node01"]
    client = await connect(node)
    await client.good(6, 0x3B, b"\x04")
    packet = client.packet(0, message(0, 2, b"\x03"))
    for _ in range(3):
        client.raw(packet)
    await client.answer()
    await client.good(*CHASSIS_STATUS)
    assert node.machine.counters.orders == 1


async def test_boot_flags_read_back_and_are_used_once(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node02"]
    client = await connect(node)
    await client.good(6, 0x3B, b"\x04")
    await client.good(0, 8, bytes([5, 0xA0, 0x04, 0, 0, 0]))
    assert await client.good(0, 9, bytes([5, 0, 0])) == bytes([1, 5, 0xA0, 0x04, 0, 0, 0])
    await client.good(0, 2, b"\x01")
    await until(lambda: node.machine.counters.boots == 1)
    assert node.machine.booted is Device.PXE
    assert (await client.good(0, 9, bytes([5, 0, 0])))[2] & 0x80 == 0


async def test_identify_light(rack: Rack, connect: Connect) -> None:
    client = await connect(rack.nodes["node01"])
    await client.good(6, 0x3B, b"\x04")
    for data, state in ((b"", 1), (b"\x00", 0), (b"\x00\x01", 2), (b"\x00\x00", 0), (b"\xf0", 1)):
        await client.good(0, 4, data)
        assert (await client.good(*CHASSIS_STATUS))[2] >> 4 & 3 == state


async def test_cold_reset_forgets_sessions(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node01"]
    client = await connect(node)
    await client.good(6, 0x3B, b"\x04")
    await client.good(6, 0x02)
    client.raw(client.packet(0, message(*CHASSIS_STATUS)))
    with pytest.raises(TimeoutError):
        await client.receive(0.2)
    assert len(node.ipmi.sessions) == 0
    await connect(node)


async def test_closed_session_frees_its_slot(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node01"]
    client = await connect(node)
    await client.good(6, 0x3C, client.session.to_bytes(4, "little"))
    assert len(node.ipmi.sessions) == 0


@pytest.mark.parametrize("fault", ["bmc-dead", "bmc-slots", "bmc-auth", "power-stuck", "override-ignored"])
async def test_faults_of_the_bmc(rack: Rack, connect: Connect, fault: str) -> None:
    node = rack.nodes["node02"]
    await rack.set_fault("node02", fault)
    if fault == "bmc-dead":
        client = Client(node.entry.address, node.ipmi.port)
        await client.connect()
        client.raw(bytes.fromhex("0600ff06000011be80070000"))
        with pytest.raises(TimeoutError):
            await client.receive(0.2)
        await rack.clear_faults("node02")
        client.raw(bytes.fromhex("0600ff06000011be80070000"))
        await client.receive()
        client.close()
    elif fault in ("bmc-slots", "bmc-auth"):
        with pytest.raises(RefusedError, match="0x01" if fault == "bmc-slots" else "0x0f"):
            await connect(node)
        await rack.clear_faults("node02", fault)
        await connect(node)
    else:
        client = await connect(node)
        await client.good(6, 0x3B, b"\x04")
        await client.good(0, 8, bytes([5, 0xE0, 0x04, 0, 0, 0]))
        flags = await client.good(0, 9, bytes([5, 0, 0]))
        assert bool(flags[2] & 0x80) is (fault != "override-ignored")
        await client.good(0, 2, b"\x01")
        if fault == "power-stuck":
            assert node.machine.counters.orders == 1
            await asyncio.sleep(0.05)  # longer than a power-on takes at this speed
            assert not node.machine.powered


async def test_latency(rack: Rack, connect: Connect) -> None:
    client = await connect(rack.nodes["node01"])
    await rack.set_fault("node01", "bmc-latency=80")
    begin = asyncio.get_running_loop().time()
    await client.good(*CHASSIS_STATUS)
    assert asyncio.get_running_loop().time() - begin >= 0.075


async def test_console_shows_a_boot_and_takes_input(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node02"]
    client = await connect(node)
    await client.good(6, 0x3B, b"\x04")
    await client.activate()
    await client.good(0, 2, b"\x01")
    text = await client.console(b" login: ")
    wanted = (b"iPXE", b"node02", b"bzImage", b"Linux version", b"NixOS Stage 1", b"NixOS Stage 2", b"SSH Daemon")
    positions = [text.find(word) for word in wanted]
    assert -1 not in positions
    assert positions == sorted(positions)
    client.send_sol(bytes([1, 0, 0, 0]) + b"root\r")
    assert b"root\r\n" in await client.console(b"Password: ")
    client.send_sol(bytes([2, 0, 0, 0]) + b"x\r")
    await client.console(b"$\x1b[0m ")
    client.send_sol(bytes([3, 0, 0, 0]) + b"echo hello\r")
    assert b"\r\nhello\r\n" in await client.console(b"$\x1b[0m ")
    client.send_sol(bytes([4, 0, 0, 0x10]))
    assert b"sysrq: HELP" in await client.console(b"show-blocked")
    assert node.machine.counters.breaks == 1


async def test_repeated_input_is_typed_once(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node01"]
    await until(lambda: node.machine.phase == "up")
    client = await connect(node)
    await client.activate()
    for _ in range(3):
        client.send_sol(bytes([5, 0, 0, 0]) + b"abc")
    client.send_sol(bytes([6, 0, 0, 0]) + b"def")
    text = await client.console(b"def")
    assert text.endswith(b"abcdef")


async def test_console_has_one_owner_who_can_be_replaced(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node01"]
    first, second = await connect(node), await connect(node)
    await first.activate()
    assert (await second.command(6, 0x48, bytes([1, 1, 0xC0, 0, 0, 0])))[0] == 0x80
    assert (await second.good(6, 0x4B, b"\x01\x01"))[:4] == first.session.to_bytes(4, "little")
    await second.good(6, 0x49, bytes([1, 1, 0, 0, 0, 0]))
    while (packet := await first.sol_packet())[0]:
        pass
    assert packet[3] & 0x10
    await second.activate()
    assert node.ipmi.owner is not None
    assert node.ipmi.owner.id == second.session


async def test_held_and_disabled_consoles(rack: Rack, connect: Connect) -> None:
    client = await connect(rack.nodes["node01"])
    request = bytes([1, 1, 0xC0, 0, 0, 0])
    await rack.set_fault("node01", "sol-held")
    assert (await client.command(6, 0x48, request))[0] == 0x80
    assert (await client.good(6, 0x4A, b"\x01"))[1] == 1
    await client.good(6, 0x49, request)
    assert (await client.command(6, 0x48, request))[0] == 0
    await rack.set_fault("node01", "sol-disabled")
    assert (await client.command(6, 0x48, request))[0] == 0x81
    assert await client.good(0xC, 0x22, bytes([1, 1, 0, 0])) == b"\x11\x00"


async def test_nothing_is_typed_into_a_machine_without_power(rack: Rack, connect: Connect) -> None:
    client = await connect(rack.nodes["node02"])
    await client.activate()
    client.send_sol(bytes([1, 0, 0, 0]) + b"abc")
    packet = await client.sol_packet()
    assert packet[:4] == bytes([0, 1, 0, 0x60])


async def test_unacknowledged_output_is_repeated_and_refused_output_comes_again(rack: Rack, connect: Connect) -> None:
    node = rack.nodes["node02"]
    client = await connect(node)
    await client.activate()
    node.machine.line.write(b"0123456789")
    first = await client.sol_packet()
    assert first[4:] == b"0123456789"
    assert await client.sol_packet() == first
    client.send_sol(bytes([0, first[0], 4, 0x40]))  # four characters taken, then no more for now
    rest = await client.sol_packet()
    assert rest[0] != first[0]
    assert rest[4:] == b"456789"


async def test_no_output_is_lost_on_a_lossy_network(connect: Connect) -> None:
    options = RackOptions(nodes=1, on=0, port=0, password="password", faults={"node01": "bmc-loss=0.05"}, seed=3)
    async with Rack(options) as rack:
        node = rack.nodes["node01"]
        for _ in range(10):
            try:
                client = await connect(node)
                await client.activate()
                break
            except TimeoutError:
                continue
        numbers = random.Random(5)
        sent = b"".join(b"line %05d %s\r\n" % (n, b"x" * numbers.randrange(60)) for n in range(100)) + b"the end"
        node.machine.line.write(sent)
        assert await client.console(b"the end", 30.0) == sent
        assert node.ipmi.sol is not None
        assert node.ipmi.sol.lost == 0


async def test_numbered_lines_come_at_their_rate(connect: Connect) -> None:
    async with Rack(RackOptions(nodes=1, on=1, port=0, password="password", console_rate=20_000)) as rack:
        node = rack.nodes["node01"]
        client = await connect(node)
        await client.activate()
        begin, produced = asyncio.get_running_loop().time(), node.machine.line.produced
        text = b""
        while len(text) < 10_000:
            text += await client.console(b"\n")
        spent = asyncio.get_running_loop().time() - begin
        assert (node.machine.line.produced - produced) / spent == pytest.approx(20_000, rel=0.25)
        numbers = [int(found) for found in re.findall(rb"(?m)^(\d{12}) the quick", text)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_hostile_console(connect: Connect) -> None:
    options = RackOptions(nodes=1, on=0, port=0, speed=500, password="password", faults=("node01=hostile-console",))
    async with Rack(options) as rack:
        client = await connect(rack.nodes["node01"])
        await client.good(6, 0x3B, b"\x04")
        await client.activate()
        await client.good(0, 2, b"\x01")
        text = await client.console(b"A" * 5000)
        for word in (b"\x1b]52;", b"\x1b]0;", b"[@click=", b"\x00", b"\x9b", b"\xff\xfe"):
            assert word in text
