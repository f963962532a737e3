"""The rack: what it writes, that racks live side by side, faults at run time, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path

import pytest
import yaml

from plasmatui.cli.failure import Failure
from plasmatui.cli.simcontrol import tell
from plasmatui.inventory.loader import load
from plasmatui.sim import inventory_file
from plasmatui.sim.addresses import AddressError, reserve
from plasmatui.sim.faults import CATALOGUE, FaultError, NodeFaults, group, parse_assignment, parse_fault
from plasmatui.sim.main import serve
from plasmatui.sim.rack import Rack, RackOptions

from .client import Client


async def test_inventory_is_complete_private_and_loads(tmp_path: Path) -> None:
    async with Rack(RackOptions(nodes=12, redfish=2, directory=tmp_path / "rack")) as rack:
        assert stat.S_IMODE(rack.inventory_path.stat().st_mode) == 0o600
        assert stat.S_IMODE(rack.password_path.stat().st_mode) == 0o600
        assert stat.S_IMODE(rack.control_path.stat().st_mode) == 0o600
        assert rack.password not in rack.inventory_path.read_text()
        data = yaml.safe_load(rack.inventory_path.read_text())
        assert list(data["nodes"]) == [f"node{n:02d}" for n in range(1, 13)]
        assert [n["profile"] for n in data["nodes"].values()] == ["control-plane"] * 3 + ["worker"] * 9
        assert {n["rack"] for n in data["nodes"].values()} == {"r1", "r2"}
        assert data["nodes"]["node12"]["bmc"]["driver"] == "redfish"
        inventory = load(rack.inventory_path)
        assert inventory.warnings == ()
        entry = inventory.bmcs["node12"]
        assert (entry.driver, entry.verify_tls) == ("redfish", str(rack.ca_path))
        assert sum(machine.powered for machine in rack.machines.values()) == 4


async def test_racks_live_side_by_side_and_clean_up() -> None:
    async with (
        Rack(RackOptions(nodes=3)) as one,
        Rack(RackOptions(nodes=300)) as two,
        Rack(RackOptions(nodes=3)) as three,
    ):
        addresses = [node.entry.address for rack in (one, two, three) for node in rack.nodes.values()]
        addresses += [str(node.entry.identity.production) for rack in (one, two, three) for node in rack.nodes.values()]
        assert len(set(addresses)) == 612
        directory = one.inventory_path.parent
        assert directory.exists()
    assert not directory.exists()


async def test_ephemeral_ports_on_one_address() -> None:
    async with Rack(RackOptions(nodes=5, port=0, redfish=1)) as rack:
        entries = [node.entry for node in rack.nodes.values()]
        assert {entry.address for entry in entries} == {"127.0.0.1"}
        assert len({entry.port for entry in entries}) == 5


async def test_taken_addresses_are_an_error() -> None:
    async with Rack(RackOptions(nodes=2)) as rack:
        entry = rack.nodes["node01"].entry
        with pytest.raises(AddressError, match=entry.address):
            reserve(1, frozenset(), entry.address, entry.port)


@pytest.mark.parametrize(
    "options",
    [RackOptions(nodes=0), RackOptions(nodes=2, redfish=3), RackOptions(speed=0), RackOptions(faults=("x=bmc-dead",))],
)
def test_options_that_make_no_sense(options: RackOptions) -> None:
    with pytest.raises(ValueError):
        Rack(options)


async def test_a_directory_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too long"):
        async with Rack(RackOptions(nodes=1, directory=tmp_path / ("d" * 100))):
            pass


async def test_a_taken_over_console_is_not_held_again_by_another_fault() -> None:
    async with Rack(RackOptions(nodes=1, port=0, faults=("node01=sol-held",))) as rack:
        bmc = rack.nodes["node01"].ipmi
        bmc.deactivate()
        await rack.set_fault("node01", "bmc-latency=5")
        assert not bmc.held
        await rack.set_fault("node01", "sol-held")
        assert bmc.held
        await rack.clear_faults("node01", "sol-held")
        assert not bmc.held


def test_racks_and_units() -> None:
    places = [inventory_file.rack_of(index, 100) for index in range(100)]
    assert len(set(places)) == 100
    assert max(unit for _, unit in places) <= 40
    voters = inventory_file.voters(2)
    assert [inventory_file.profile_of(index, voters) for index in range(2)] == ["control-plane", "worker"]


def test_faults_are_read_strictly() -> None:
    assert parse_fault("bmc-loss=0.5") == ("bmc-loss", 0.5)
    assert parse_fault("bmc-flaky") == ("bmc-loss", CATALOGUE["bmc-loss"].default)
    assert parse_assignment("node01=bmc-latency=20") == ("node01", "bmc-latency=20")
    assert group(["a=bmc-dead", "a=bmc-auth"]) == {"a": ("bmc-dead", "bmc-auth")}
    assert group({"a": "bmc-dead", "b": ["bmc-auth"]}) == {"a": ("bmc-dead",), "b": ("bmc-auth",)}
    for wrong in ("nonsense", "bmc-dead=1", "bmc-loss=x", "bmc-loss=1", "bmc-loss=-1", "bmc-loss=nan", "bmc-resets=0"):
        with pytest.raises(FaultError):
            parse_fault(wrong)
    for wrong in ("node01", "=bmc-dead", "node01=", "node01=nonsense"):
        with pytest.raises(FaultError):
            parse_assignment(wrong)


def test_faults_of_a_node_can_be_taken_back_one_by_one() -> None:
    faults = NodeFaults()
    faults.set("bmc-dead")
    faults.set("bmc-latency=7")
    assert faults.number("bmc-latency") == 7
    faults.clear("bmc-dead")
    assert faults.names() == ("bmc-latency",)
    faults.clear()
    assert "bmc-latency" not in faults


async def test_control_socket() -> None:
    async with Rack(RackOptions(nodes=2)) as rack:
        reader, writer = await asyncio.open_unix_connection(rack.control_path)

        async def say(line: str) -> str:
            writer.write(line.encode() + b"\n")
            return (await asyncio.wait_for(reader.readline(), 5)).decode().rstrip("\n")

        assert await say("fault node02=bmc-loss=0.1") == "ok"
        assert rack.machines["node02"].faults.number("bmc-loss") == 0.1
        assert await say("list") == "ok node02=bmc-loss"
        assert (await say("fault node09=bmc-dead")).startswith("error: no node node09")
        assert (await say("fault node02=nonsense")).startswith("error: no fault")
        assert (await say("dance")).startswith("error: dance")
        assert await say("clear node02") == "ok"
        assert await say("list") == "ok"
        writer.close()


async def test_another_terminal_speaks_with_the_rack() -> None:
    async with Rack(RackOptions(nodes=2)) as rack:
        directory = rack.control_path.parent
        lines = ("fault node02=bmc-dead", "fault  node01=bmc-loss=0.1", "list", "clear node02", "list")
        said = await asyncio.to_thread(tell, directory, lines)
        assert said == ["", "", "node01=bmc-loss node02=bmc-dead", "", "node01=bmc-loss"]
        with pytest.raises(Failure, match=r"fault node09=bmc-dead: no node node09"):
            await asyncio.to_thread(tell, directory, ("clear node01", "fault node09=bmc-dead", "fault node02=bmc-dead"))
        assert await asyncio.to_thread(tell, directory, ("list",)) == [""], "up to the line that was refused"
    with pytest.raises(Failure, match="no simulated rack answers"):
        await asyncio.to_thread(tell, directory, ("list",))


async def test_resetting_bmc_forgets_its_sessions_again_and_again() -> None:
    options = RackOptions(nodes=1, port=0, password="password", exit_when_idle=4, faults=("node01=bmc-resets=0.5",))
    async with Rack(options) as rack:
        node = rack.nodes["node01"]
        for _ in range(2):
            client = await Client(node.entry.address, node.ipmi.port).open()
            assert rack.sessions == 1
            async with asyncio.timeout(5):
                while rack.sessions:  # noqa: ASYNC110 - state without an event
                    await asyncio.sleep(0.02)
            client.close()


async def test_serve_ends_when_nobody_was_connected_for_a_while() -> None:
    seen: list[Rack] = []
    clients: list[asyncio.Task[Client]] = []

    def ready(rack: Rack) -> None:
        seen.append(rack)
        node = rack.nodes["node01"]
        clients.append(asyncio.create_task(Client(node.entry.address, node.ipmi.port).open(), name="client"))

    options = RackOptions(nodes=1, port=0, password="password", exit_when_idle=0.4)
    serving = asyncio.create_task(serve(options, ready), name="serve")
    await asyncio.sleep(0.9)
    assert not serving.done()  # a session is open
    client = await clients[0]
    await client.good(6, 0x3C, client.session.to_bytes(4, "little"))
    client.close()
    assert await asyncio.wait_for(serving, 5) == 0
    assert not seen[0].inventory_path.exists()


async def test_serve_ends_on_sigterm() -> None:
    options = RackOptions(nodes=1, port=0)
    assert await asyncio.wait_for(serve(options, lambda rack: os.kill(os.getpid(), signal.SIGTERM)), 5) == 0
