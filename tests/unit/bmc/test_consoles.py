"""Serial consoles through fleet and keeper, against the simulated rack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from plasmatui.bmc import consoles, sol
from plasmatui.bmc.consoles import ConsoleKeeper
from plasmatui.bmc.controller import Backoff, BmcError
from plasmatui.bmc.fleet import Fleet
from plasmatui.bmc.ipmi import IpmiController
from plasmatui.bmc.member import FleetOptions
from plasmatui.model.event import ConsoleChanged, Event
from plasmatui.model.node import ConsoleState
from plasmatui.model.words import ConsoleStatus, Power, PowerAction
from plasmatui.sim.rack import RackOptions
from tests.unit.bmc.conftest import LabRack, until

QUICK = FleetOptions(period=0.5, fast=0.05, backoff=Backoff(first=0.05, longest=0.2))


class Setup:
    def __init__(self, rack: LabRack) -> None:
        self.rack = rack
        self.events: list[Event] = []
        self.heard: dict[str, bytearray] = {name: bytearray() for name in rack.nodes}
        self.fleet = Fleet(rack.targets(), IpmiController, self.events.append, options=QUICK)
        self.keeper = ConsoleKeeper(
            self.fleet, self.events.append, self._data, backoff=Backoff(first=0.05, longest=0.2)
        )

    def _data(self, node: str, data: bytes) -> None:
        self.heard[node] += data

    def status(self, node: str = "node01") -> ConsoleStatus:
        return self.keeper.state(node).status

    def states(self, node: str = "node01") -> list[ConsoleState]:
        return [e.payload.state for e in self.events if e.node == node and isinstance(e.payload, ConsoleChanged)]

    async def open(self) -> None:
        self.keeper.want(frozenset(self.rack.nodes))
        await until(lambda: all(self.status(name) is ConsoleStatus.OPEN for name in self.rack.nodes))


@asynccontextmanager
async def setup(
    nodes: int = 1, *, on: int = 0, speed: float = 50, rate: float = 0.0, faults: Mapping[str, str] | None = None
) -> AsyncIterator[Setup]:
    options = RackOptions(nodes=nodes, on=on, speed=speed, console_rate=rate, faults=faults or {})
    async with LabRack(options) as rack:
        made = Setup(rack)
        made.fleet.start()
        try:
            yield made
        finally:
            await made.keeper.close()
            await made.fleet.close()
        assert rack.sessions == 0


def check_lines(heard: bytes) -> int:
    """Every numbered line that begins in `heard` follows the one before and is whole; how many there are."""
    lines = heard.decode("ascii").split("\r\n")[1:-1]
    numbers = [int(line[:12]) for line in lines]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert {line[12:] for line in lines} == {" the quick brown fox jumps over the lazy dog 0123456789"}
    return len(numbers)


async def test_one_session_carries_polls_orders_and_the_console() -> None:
    async with setup() as made:
        await made.open()
        assert [state.status for state in made.states()][-2:] == [ConsoleStatus.CONNECTING, ConsoleStatus.OPEN]
        await made.fleet.controller("node01").order_power(PowerAction.ON)
        assert await made.fleet.wait_power("node01", Power.ON, 5)
        await until(lambda: b"login: " in made.heard["node01"], 20)
        assert made.rack.sessions == 1
        assert made.rack.nodes["node01"].ipmi.owner is not None
        await made.keeper.close()
        assert made.status() is ConsoleStatus.CLOSED
        assert made.rack.nodes["node01"].ipmi.owner is None


async def test_what_is_written_arrives_and_comes_back() -> None:
    async with setup(on=1) as made:
        await made.open()
        made.keeper.write("node01", b"\r")
        await until(lambda: b"login: " in made.heard["node01"])
        made.keeper.write("node01", b"root\r")
        await until(lambda: b"root" in made.heard["node01"])
        made.keeper.send_break("node01")
        await until(lambda: made.rack.machines["node01"].counters.breaks == 1)


async def test_nothing_is_lost_on_a_network_that_loses_packets() -> None:
    faults = {f"node0{i}": "bmc-loss=0.03" for i in range(1, 5)}
    async with setup(4, on=4, rate=4000, faults=faults) as made:
        await made.open()
        await until(lambda: all(len(heard) > 10_000 for heard in made.heard.values()), 30)
        for name, heard in made.heard.items():
            port = made.rack.nodes[name].ipmi.sol
            assert port is not None
            assert port.lost == 0
            assert check_lines(bytes(heard)) > 100


async def test_a_held_console_is_taken_over_only_when_asked() -> None:
    async with setup(on=1, faults={"node01": "sol-held"}) as made:
        made.keeper.want(frozenset({"node01"}))
        await until(lambda: made.status() is ConsoleStatus.HELD)
        assert made.keeper.state("node01").finding == "sol-in-use"
        assert made.keeper.state("node01").retry_at > 0
        with pytest.raises(BmcError) as caught:
            made.keeper.write("node01", b"x")
        assert caught.value.id == "sol-in-use"
        await made.keeper.reopen("node01", takeover=True)
        await until(lambda: made.status() is ConsoleStatus.OPEN)
        assert made.keeper.state("node01").finding == ""


@pytest.mark.parametrize(
    ("fault", "status"), [("sol-held", ConsoleStatus.HELD), ("sol-disabled", ConsoleStatus.UNAVAILABLE)]
)
async def test_a_console_comes_when_what_kept_it_closed_is_over(
    monkeypatch: pytest.MonkeyPatch, fault: str, status: ConsoleStatus
) -> None:
    """Looking whether it is over tells nothing new meanwhile."""
    monkeypatch.setattr(consoles, "HELD_PAUSE", 0.05)
    monkeypatch.setattr(consoles, "UNAVAILABLE_PAUSE", 0.05)
    async with setup(on=1, faults={"node01": fault}) as made:
        made.keeper.want(frozenset({"node01"}))
        await until(lambda: made.status() is status)
        finding = made.keeper.state("node01").finding
        seen = len(made.states())
        await until(lambda: len(made.states()) > seen + 3)
        assert {state.status for state in made.states()[seen:]} == {status}
        assert {state.finding for state in made.states()[seen:]} == {finding}
        await made.rack.clear_faults("node01")
        await until(lambda: made.status() is ConsoleStatus.OPEN)


async def test_a_console_taken_by_another_client_is_not_taken_back() -> None:
    async with setup(on=1) as made:
        await made.open()
        other = made.rack.controller()
        ends: list[tuple[str, str]] = []
        with pytest.raises(BmcError, match="open for another client"):
            await other.open_console(lambda _data: None, lambda *end: ends.append(end), takeover=False)
        await other.open_console(lambda _data: None, lambda *end: ends.append(end), takeover=True)
        await until(lambda: made.status() in (ConsoleStatus.WAITING, ConsoleStatus.HELD))
        await until(lambda: made.status() is ConsoleStatus.HELD)
        await made.keeper.reopen("node01", takeover=True)
        await until(lambda: made.status() is ConsoleStatus.OPEN)
        await until(lambda: len(ends) == 1)
        await other.close()


async def test_a_silent_change_of_owner_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sol, "OWNER_CHECK", 0.1)
    async with setup() as made:
        await made.open()
        made.rack.nodes["node01"].ipmi.deactivate()
        await until(lambda: ConsoleStatus.WAITING in [state.status for state in made.states()])
        await until(lambda: made.status() is ConsoleStatus.OPEN)


async def test_the_console_comes_back_after_the_bmc_lost_its_sessions() -> None:
    async with setup(on=1, rate=2000) as made:
        await made.open()
        await until(lambda: len(made.heard["node01"]) > 500)
        made.rack.nodes["node01"].ipmi.cold_reset(pause=False)
        await until(lambda: ConsoleStatus.WAITING in [state.status for state in made.states()], 15)
        await until(lambda: made.status() is ConsoleStatus.OPEN, 15)
        so_far = len(made.heard["node01"])
        await until(lambda: len(made.heard["node01"]) > so_far + 500)
        assert made.rack.sessions == 1


async def test_a_console_without_sol_is_unavailable_with_a_remedy() -> None:
    async with setup(faults={"node01": "sol-disabled"}) as made:
        made.keeper.want(frozenset({"node01"}))
        await until(lambda: made.status() is ConsoleStatus.UNAVAILABLE)
        state = made.keeper.state("node01")
        assert state.finding == "console-silent"
        assert "ipmitool sol set enabled true" in state.message
        await made.rack.clear_faults("node01")
        await made.keeper.reopen("node01", takeover=False)
        await until(lambda: made.status() is ConsoleStatus.OPEN)


async def test_a_console_waits_for_its_bmc() -> None:
    async with setup(2, on=2, faults={"node01": "bmc-slots"}) as made:
        made.keeper.want(frozenset(made.rack.nodes))
        await until(lambda: made.status("node02") is ConsoleStatus.OPEN)
        await until(lambda: "no free session" in made.keeper.state("node01").message)
        assert made.status("node01") is ConsoleStatus.WAITING
        await made.rack.clear_faults("node01")
        made.fleet.retry("node01")
        await until(lambda: made.status("node01") is ConsoleStatus.OPEN)


async def test_a_new_inventory_moves_the_console_with_its_bmc() -> None:
    async with setup(2, on=2) as made:
        await made.open()
        targets = made.rack.targets()
        await made.fleet.retarget({"node01": targets["node01"]})
        await until(lambda: made.status("node02") is ConsoleStatus.UNAVAILABLE)
        assert made.status("node01") is ConsoleStatus.OPEN
        assert "names no BMC" in made.keeper.state("node02").message
        made.keeper.want(frozenset({"node01"}))
        with pytest.raises(BmcError, match="not open"):
            made.keeper.write("node02", b"x")
        assert [state.status for state in made.states("node01")].count(ConsoleStatus.OPEN) == 1


async def test_too_much_at_once_is_refused_as_a_whole() -> None:
    async with setup(on=1) as made:
        await made.open()
        with pytest.raises(BmcError, match="too slowly"):
            made.keeper.write("node01", b"x" * (sol.QUEUE_LIMIT + 1))


async def test_a_console_of_a_controller_alone_keeps_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Redfish node has it: nothing but the console uses the session."""
    monkeypatch.setattr(sol, "OWNER_CHECK", 0.05)
    async with LabRack(RackOptions(nodes=1, on=1)) as rack:
        bmc = rack.controller()
        ends: list[tuple[str, str]] = []
        await bmc.open_console(lambda _data: None, lambda *end: ends.append(end), takeover=False)
        await asyncio.sleep(0.3)
        assert not ends
        await bmc.close()
        assert [end[0] for end in ends] == ["bmc-reset"]
        assert rack.sessions == 0
