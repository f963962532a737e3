"""The fleet over controllers that do as they are told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from plasmatui.bmc.controller import Backoff, BmcError, BmcTarget, Console
from plasmatui.bmc.fleet import Fleet
from plasmatui.bmc.member import FleetOptions
from plasmatui.inventory.secrets import Secret
from plasmatui.model.bmc import BootDevice, Device, FruField, SelEntry, SensorReading
from plasmatui.model.event import BmcChanged, Event, PowerSeen
from plasmatui.model.words import BmcStatus, Power, PowerAction
from tests.unit.bmc.conftest import until

QUICK = FleetOptions(
    period=0.05,
    fast=0.01,
    logon_spacing=0.0,
    close_limit=0.3,
    backoff=Backoff(first=0.02, longest=0.16, jitter=0.0, floor={"bmc-session-limit": 60.0}),
)


@dataclass
class FakeController:
    """Counts what it is asked; `error` is raised by connect and power, `gate` holds them up."""

    target: BmcTarget
    state: Power = Power.OFF
    error: Exception | None = None
    order_error: BmcError | None = None
    gate: asyncio.Event | None = None
    connects: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    orders: list[PowerAction] = field(default_factory=list)
    logging_on: Callable[[int], None] = lambda _change: None
    connect_takes: float = 0.0
    closed: bool = False
    lost_sessions: int = 0
    close_takes: float = 0.0

    async def _asked(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def connect(self) -> None:
        self.connects.append(time.monotonic())
        self.logging_on(1)
        try:
            await asyncio.sleep(self.connect_takes)
            await self._asked()
        finally:
            self.logging_on(-1)

    async def power(self) -> Power:
        self.polls.append(time.monotonic())
        await self._asked()
        if self.lost_sessions:
            self.lost_sessions -= 1
            raise BmcError("bmc-reset", f"{self.target.node}: lost its session")
        return self.state

    async def order_power(self, action: PowerAction) -> None:
        self.orders.append(action)
        if self.order_error is not None:
            raise self.order_error

    async def boot_device(self) -> BootDevice | None:
        return BootDevice(Device.PXE)

    async def set_boot_device(self, boot: BootDevice) -> None: ...

    async def identify(self, seconds: int) -> None: ...

    async def sensors(self) -> tuple[SensorReading, ...]:
        return ()

    async def sel(self) -> tuple[SelEntry, ...]:
        return ()

    async def inventory(self) -> tuple[FruField, ...]:
        return ()

    async def open_console(
        self, on_data: Callable[[bytes], None], on_down: Callable[[str, str], None], *, takeover: bool
    ) -> Console:
        raise BmcError("unsupported", "no console here")

    async def close(self) -> None:
        await asyncio.sleep(self.close_takes)
        self.closed = True

    def describe(self, action: PowerAction | BootDevice | str) -> str:
        return f"fake {action}"


def target(node: str, address: str = "127.0.0.1") -> BmcTarget:
    return BmcTarget(node, "ipmi", address, 623, "admin", Secret(literal="x"))


class Lab:
    def __init__(self, names: Iterable[str], options: FleetOptions) -> None:
        self.controllers: dict[str, FakeController] = {}
        self.events: list[Event] = []
        self.prepare: Callable[[FakeController], None] = lambda _controller: None
        self.fleet = Fleet({name: target(name) for name in names}, self._make, self.events.append, options=options)

    def _make(self, of: BmcTarget) -> FakeController:
        controller = self.controllers[of.node] = FakeController(of)
        self.prepare(controller)
        return controller

    def powers(self, node: str) -> list[tuple[Power, str]]:
        return [
            (e.payload.value, e.payload.by) for e in self.events if e.node == node and isinstance(e.payload, PowerSeen)
        ]

    def standings(self, node: str) -> list[BmcStatus]:
        return [e.payload.state.status for e in self.events if e.node == node and isinstance(e.payload, BmcChanged)]


@asynccontextmanager
async def lab(
    *names: str, options: FleetOptions = QUICK, prepare: Callable[[FakeController], None] | None = None
) -> AsyncIterator[Lab]:
    made = Lab(names, options)
    if prepare is not None:
        made.prepare = prepare
    made.fleet.start()
    try:
        yield made
    finally:
        await made.fleet.close()


def failing(id: str) -> Callable[[FakeController], None]:  # noqa: A002
    def prepare(controller: FakeController) -> None:
        controller.error = BmcError(id, f"{controller.target.node}: \x1b[31mno")

    return prepare


async def test_events_come_only_on_change() -> None:
    async with lab("a") as made:
        await until(lambda: len(made.controllers["a"].polls) > 5)
        assert made.powers("a") == [(Power.OFF, "")]
        assert made.standings("a") == [BmcStatus.CONNECTING, BmcStatus.UP]
        state = made.fleet.state("a")
        assert state.sessions
        assert state.failures == 0
        assert made.fleet.obstacle("a") is None
    assert made.controllers["a"].closed


async def test_a_change_is_attributed_to_the_order_that_it_follows() -> None:
    async with lab("a") as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        await made.fleet.controller("a", "anna").order_power(PowerAction.ON)
        fake.state = Power.ON
        assert await made.fleet.wait_power("a", Power.ON, 2)
        fake.state = Power.OFF
        assert await made.fleet.wait_power("a", Power.OFF, 2)
        assert made.powers("a") == [(Power.OFF, ""), (Power.ON, "anna"), (Power.OFF, "")]


async def test_both_halves_of_a_cycle_are_attributed() -> None:
    async with lab("a", prepare=lambda c: setattr(c, "state", Power.ON)) as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        await made.fleet.controller("a", "anna").order_power(PowerAction.CYCLE)
        for power in (Power.OFF, Power.ON):
            fake.state = power
            assert await made.fleet.wait_power("a", power, 2)
        assert made.powers("a")[1:] == [(Power.OFF, "anna"), (Power.ON, "anna")]


async def test_a_refused_order_attributes_nothing() -> None:
    async with lab("a") as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        fake.order_error = BmcError("rejected", "no")
        with pytest.raises(BmcError):
            await made.fleet.controller("a", "anna").order_power(PowerAction.ON)
        assert made.fleet.state("a").status is BmcStatus.UP
        fake.state = Power.ON
        assert await made.fleet.wait_power("a", Power.ON, 2)
        assert made.powers("a")[-1] == (Power.ON, "")


async def test_tries_back_off_and_are_counted() -> None:
    async with lab("a", prepare=failing("bmc-unreachable")) as made:
        fake = made.controllers["a"]
        await until(lambda: len(fake.connects) >= 6)
        gaps = [later - earlier for earlier, later in zip(fake.connects, fake.connects[1:], strict=False)]
        for gap, least in zip(gaps, (0.02, 0.04, 0.08, 0.16, 0.16), strict=False):
            assert gap >= least * 0.95
        state = made.fleet.state("a")
        assert (state.status, state.finding, state.sessions) == (BmcStatus.WAITING, "bmc-unreachable", False)
        assert state.failures >= 5
        assert "\x1b" not in state.message
        assert not fake.polls
        fake.error = None
        await until(lambda: made.fleet.state("a").status is BmcStatus.UP)
        assert made.fleet.state("a").failures == 0
        assert made.powers("a") == [(Power.OFF, "")]


@pytest.mark.parametrize(("steady", "grows"), [(60.0, True), (0.0, False)])
async def test_one_that_comes_and_goes_is_tried_less_and_less_often(steady: float, grows: bool) -> None:
    """Until it has answered for a while."""
    async with lab("node01", options=replace(QUICK, steady=steady)) as made:
        await until(lambda: made.fleet.state("node01").status is BmcStatus.UP)
        failures = []
        for _ in range(3):
            made.controllers["node01"].error = BmcError("bmc-reset", "node01: it lost the session")
            await until(lambda: made.fleet.state("node01").status is BmcStatus.WAITING)
            made.controllers["node01"].error = None
            failures.append(made.fleet.state("node01").failures)
            await until(lambda: made.fleet.state("node01").status is BmcStatus.UP)
            assert made.fleet.state("node01").failures == 0
        assert (failures[0] < failures[1] < failures[2]) is grows


async def test_a_reading_is_asked_again_when_the_session_was_lost() -> None:
    """That it was lost is told all the same, and the next call is not kept back."""
    async with lab("a", options=replace(QUICK, period=60)) as made:
        await until(lambda: made.fleet.state("a").status is BmcStatus.UP)
        fake = made.controllers["a"]
        fake.lost_sessions = 1
        assert await made.fleet.query("a", "power") is Power.OFF
        assert made.standings("a")[-2:] == [BmcStatus.WAITING, BmcStatus.UP]
        await made.fleet.controller("a", "anna").order_power(PowerAction.ON)
        fake.lost_sessions = 2
        with pytest.raises(BmcError, match="lost its session"):
            await made.fleet.query("a", "power")


async def test_a_full_bmc_is_left_alone_for_a_minute() -> None:
    async with lab("a", prepare=failing("bmc-session-limit")) as made:
        await until(lambda: made.fleet.state("a").status is BmcStatus.WAITING)
        assert made.fleet.state("a").retry_at >= time.time() + 59
        await asyncio.sleep(0.2)
        assert len(made.controllers["a"].connects) == 1


@pytest.mark.parametrize("id_", ["bmc-auth", "certificate-untrusted"])
async def test_a_refusal_is_final_until_a_person_asks(id_: str) -> None:
    async with lab("a", prepare=failing(id_)) as made:
        fake = made.controllers["a"]
        await until(lambda: made.fleet.state("a").status is BmcStatus.REFUSED)
        await asyncio.sleep(0.3)
        assert len(fake.connects) == 1
        assert made.fleet.state("a").retry_at == 0
        for call in (made.fleet.query("a", "sensors"), made.fleet.controller("a").order_power(PowerAction.ON)):
            with pytest.raises(BmcError) as caught:
                await call
            assert caught.value.id == id_
        assert not fake.orders
        with pytest.raises(BmcError, match="no"):
            await made.fleet.query("a", "refresh")
        assert len(fake.connects) == 2
        fake.error = None
        assert await made.fleet.query("a", "refresh") is Power.OFF
        assert made.fleet.state("a").finding == ""


async def test_the_breaker_answers_at_once_until_the_next_try_is_due() -> None:
    options = FleetOptions(period=0.05, backoff=Backoff(first=0.5, longest=0.5, jitter=0.0))
    async with lab("a", options=options, prepare=failing("bmc-unreachable")) as made:
        fake = made.controllers["a"]
        await until(lambda: made.fleet.state("a").status is BmcStatus.WAITING)
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(BmcError, match="no"):
                await made.fleet.query("a", "power")
        assert time.monotonic() - began < 0.3
        assert not fake.polls
        assert len(fake.connects) == 1


async def test_a_failure_seen_by_a_borrower_counts_once() -> None:
    async with lab("a", options=FleetOptions(period=30.0)) as made:
        fake = made.controllers["a"]
        await until(lambda: made.fleet.state("a").status is BmcStatus.UP)
        fake.gate, fake.error = asyncio.Event(), BmcError("bmc-reset", "a: lost")
        calls = [asyncio.create_task(made.fleet.query("a", "power"), name=f"q{i}") for i in range(5)]
        await asyncio.sleep(0)
        fake.gate.set()
        assert all(isinstance(result, BmcError) for result in await asyncio.gather(*calls, return_exceptions=True))
        state = made.fleet.state("a")
        assert (state.status, state.failures, state.finding) == (BmcStatus.WAITING, 1, "bmc-reset")


async def test_one_that_hangs_costs_the_others_nothing() -> None:
    def prepare(controller: FakeController) -> None:
        if controller.target.node == "n00":
            controller.gate = asyncio.Event()

    names = [f"n{i:02d}" for i in range(50)]
    async with lab(*names, prepare=prepare) as made:
        await until(lambda: sum(made.fleet.state(name).status is BmcStatus.UP for name in names) == 49, 2)
        assert made.fleet.state("n00").status is BmcStatus.CONNECTING
        before = len(made.controllers["n01"].polls)
        await until(lambda: len(made.controllers["n01"].polls) > before + 3, 2)
        assert len(made.controllers["n00"].connects) == 1


async def test_polls_are_spread_over_the_period() -> None:
    names = [f"n{i:02d}" for i in range(20)]
    period = 0.4
    async with lab(*names, options=FleetOptions(period=period)) as made:
        await until(lambda: all(len(made.controllers[name].polls) >= 3 for name in names))
        second = [made.controllers[name].polls[-1] for name in names]
        steps = [(b - a) % period for a, b in itertools.pairwise(second)]
        close_to_even = sum(0.005 < step < 0.035 for step in steps)
        assert close_to_even >= 14, steps


async def test_logons_at_once_are_limited() -> None:
    now = most = 0

    def count(change: int) -> None:
        nonlocal now, most
        now += change
        most = max(most, now)

    def prepare(controller: FakeController) -> None:
        controller.logging_on, controller.connect_takes = count, 0.01

    names = [f"n{i:02d}" for i in range(30)]
    async with lab(*names, options=FleetOptions(logons=4, logon_spacing=0.0), prepare=prepare) as made:
        await until(lambda: all(made.fleet.state(name).status is BmcStatus.UP for name in names))
        assert most == 4


async def test_when_all_fall_silent_and_come_back_at_once_they_are_logged_on_to_few_at_a_time() -> None:
    now = most = 0

    def count(change: int) -> None:
        nonlocal now, most
        now += change
        most = max(most, now)

    def prepare(controller: FakeController) -> None:
        controller.logging_on, controller.connect_takes = count, 0.002

    names = [f"n{i:03d}" for i in range(300)]
    options = replace(QUICK, period=1.0, logons=16)
    async with lab(*names, options=options, prepare=prepare) as made:

        def all_are(up: bool) -> bool:
            return all((made.fleet.state(name).status is BmcStatus.UP) is up for name in names)

        await until(lambda: all_are(True), 60.0)
        for controller in made.controllers.values():
            controller.error = BmcError("bmc-unreachable", "silent")
        await until(lambda: all_are(False), 60.0)
        for controller in made.controllers.values():
            controller.error = None
        await until(lambda: all_are(True), 60.0)
        assert most == 16
        for name in names:
            assert made.powers(name) == [(Power.OFF, "")] * 2, "told once before, and anew after"


async def test_waiting_for_power_polls_fast_and_does_not_take_an_old_reading() -> None:
    options = FleetOptions(period=30.0, fast=0.01)
    async with lab("a", options=options) as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        fake.state = Power.ON  # what is known still says off
        assert not await made.fleet.wait_power("a", Power.OFF, 0.2)
        assert len(fake.polls) > 5
        polls = len(fake.polls)
        assert await made.fleet.wait_power("a", Power.ON, 1)
        await asyncio.sleep(0.1)
        assert len(fake.polls) < polls + 6  # slow again


async def test_waiting_for_power_tells_why_it_cannot_be_known() -> None:
    async with lab("a", "b") as made:
        await until(lambda: bool(made.powers("a") and made.powers("b")))
        made.controllers["a"].error = BmcError("bmc-unreachable", "a: gone")
        with pytest.raises(BmcError, match="a: gone"):
            await made.fleet.wait_power("a", Power.ON, 0.2)
        made.controllers["b"].error = BmcError("bmc-auth", "b: refused")
        began = time.monotonic()
        with pytest.raises(BmcError, match="b: refused"):
            await made.fleet.wait_power("b", Power.ON, 20)
        assert time.monotonic() - began < 2


async def test_power_is_told_again_after_the_bmc_was_away() -> None:
    async with lab("a") as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        fake.error = BmcError("bmc-reset", "a: reset")
        await until(lambda: made.fleet.state("a").status is BmcStatus.WAITING)
        fake.error = None
        await until(lambda: len(made.powers("a")) == 2)
        assert made.powers("a") == [(Power.OFF, "")] * 2


async def test_a_bmc_that_does_not_tell_its_power_is_up() -> None:
    async with lab("a") as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        fake.error = BmcError("rejected", "a: refuses chassis status")
        await until(lambda: len(made.powers("a")) == 2)
        assert made.powers("a")[-1] == (Power.UNKNOWN, "")
        assert made.fleet.state("a").status is BmcStatus.UP


async def test_a_slow_reading_is_not_an_outage_but_a_slow_poll_is() -> None:
    async with lab("a", options=FleetOptions(period=0.2)) as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        fake.order_error = BmcError("timeout", "a: slow")
        with pytest.raises(BmcError, match="slow"):
            await made.fleet.controller("a").order_power(PowerAction.OFF)
        assert made.fleet.state("a").status is BmcStatus.UP
        fake.error = fake.order_error
        await until(lambda: made.fleet.state("a").status is BmcStatus.WAITING)
        assert made.fleet.state("a").finding == "bmc-unreachable"


async def test_a_logon_that_is_not_supported_is_not_up() -> None:
    async with lab("a", prepare=failing("unsupported")) as made:
        await until(lambda: made.fleet.state("a").failures >= 2)
        assert made.fleet.state("a").status is BmcStatus.WAITING
        assert not made.powers("a")


async def test_a_defect_in_a_driver_is_survived() -> None:
    async with lab("a") as made:
        fake = made.controllers["a"]
        await until(lambda: bool(made.powers("a")))
        fake.error = KeyError("defect")
        await until(lambda: made.fleet.state("a").status is BmcStatus.WAITING)
        assert "internal error" in made.fleet.state("a").message
        fake.error = None
        await until(lambda: made.fleet.state("a").status is BmcStatus.UP)


async def test_a_new_inventory_tries_again_what_had_refused() -> None:
    """The password may be in a file, so that its correction changes no target."""
    async with lab("a", "b", prepare=failing("bmc-auth")) as made:
        await until(lambda: all(made.fleet.state(name).status is BmcStatus.REFUSED for name in "ab"))
        made.controllers["a"].error = None
        await made.fleet.retarget({name: target(name) for name in "ab"})
        await until(lambda: made.fleet.state("a").status is BmcStatus.UP)
        await until(lambda: made.fleet.state("b").status is BmcStatus.REFUSED)
        assert [len(made.controllers[name].connects) for name in "ab"] == [2, 2]


async def test_a_new_inventory_keeps_what_has_not_changed() -> None:
    async with lab("same", "moved", "gone") as made:
        await until(lambda: all(made.powers(name) for name in ("same", "moved", "gone")))
        old = dict(made.controllers)
        waiting = asyncio.create_task(made.fleet.wait_power("gone", Power.ON, 20), name="waiting")
        await asyncio.sleep(0)
        await made.fleet.retarget({"same": target("same"), "moved": target("moved", "127.0.0.9"), "new": target("new")})
        assert made.controllers["same"] is old["same"]
        assert not old["same"].closed
        assert old["moved"].closed
        assert old["gone"].closed
        with pytest.raises(BmcError, match="taken out of the inventory"):
            await waiting
        await until(lambda: made.fleet.state("new").status is BmcStatus.UP)
        await until(lambda: made.fleet.state("moved").status is BmcStatus.UP)
        assert made.fleet.state("gone").status is BmcStatus.NONE
        with pytest.raises(BmcError, match="names no BMC"):
            made.fleet.controller("gone")


async def test_closing_is_concurrent_and_has_a_limit() -> None:
    names = [f"n{i:02d}" for i in range(20)]
    async with lab(*names) as made:
        await until(lambda: all(made.powers(name) for name in names))
        for name, fake in made.controllers.items():
            fake.close_takes = 60.0 if name == "n00" else 0.05
        began = time.monotonic()
        await made.fleet.close()
        assert time.monotonic() - began < 1.5
        assert sum(fake.closed for fake in made.controllers.values()) == 19


async def test_queries() -> None:
    async with lab("a") as made:
        assert await made.fleet.query("a", "bootdev") == BootDevice(Device.PXE)
        assert await made.fleet.query("a", "sel") == ()
        with pytest.raises(BmcError, match="is not asked for 'weather'"):
            await made.fleet.query("a", "weather")
        with pytest.raises(BmcError, match="names no BMC"):
            await made.fleet.query("z", "power")
        assert made.fleet.describe("a", PowerAction.ON) == "fake on"
