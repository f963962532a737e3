"""Machines without a network: what a BMC does, in memory, quickly, and wrong on demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never, cast

from plasmatui.bmc.controller import BmcError, Controller
from plasmatui.inventory.inventory import BmcEntry, Inventory, Policy
from plasmatui.inventory.secrets import Secret
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.boot import BootTimeline
from plasmatui.model.event import BmcChanged, ConsoleChanged, Event, Payload, PowerSeen
from plasmatui.model.node import BmcState, ConsoleState, Node
from plasmatui.model.words import BmcStatus, ConsoleStatus, Power, PowerAction, Stage
from plasmatui.operations.ports import Absence, Ledger, Machines
from plasmatui.operations.site import Site


@dataclass
class FakeMachine:
    """One machine and its BMC.

    Attributes:
        delay: seconds that the BMC takes for an answer; `settle` until an order takes effect.
        error: raised by every call. `refuses`: raised by orders only.
        deaf: accepts orders and does nothing.
        tells_boot: False: it cannot read back; `boot_lie`: what it reads back instead of what was set.
        gate: while set, orders wait for it.
    """

    node: str
    power_is: Power = Power.OFF
    boot: BootDevice = field(default_factory=lambda: BootDevice(Device.NONE))
    delay: float = 0.0
    settle: float = 0.0
    error: BmcError | None = None
    refuses: BmcError | None = None
    deaf: bool = False
    tells_boot: bool = True
    boot_lie: BootDevice | None = None
    gate: asyncio.Event | None = None
    calls: list[str] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None
    closed: bool = False
    by: str = ""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    async def _call(self, name: str, *, order: bool = False) -> None:
        self.calls.append(name)
        if self.error is not None:
            raise self.error
        if order and self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(self.delay)
        if order and self.refuses is not None:
            raise self.refuses

    async def power(self) -> Power:
        await self._call("power")
        return self.power_is

    async def order_power(self, action: PowerAction) -> None:
        await self._call(f"order {action}", order=True)
        if self.deaf:
            return
        turns = {
            PowerAction.ON: [Power.ON],
            PowerAction.OFF: [Power.OFF],
            PowerAction.SOFT: [Power.OFF],
            PowerAction.CYCLE: [Power.OFF, Power.ON],
            PowerAction.RESET: [Power.ON],
        }[action]
        for place, value in enumerate(turns):
            when = self.settle + place * 0.05
            self.timers.append(asyncio.get_running_loop().call_later(when, self.turn, value))

    def turn(self, value: Power) -> None:
        self.power_is = value
        self.changed()

    async def boot_device(self) -> BootDevice | None:
        await self._call("boot_device")
        if not self.tells_boot:
            return None
        return self.boot_lie or self.boot

    async def set_boot_device(self, boot: BootDevice) -> None:
        await self._call(f"set_boot {boot.device}", order=True)
        self.boot = boot

    async def identify(self, seconds: int) -> None:
        await self._call(f"identify {seconds}", order=True)


class FakeKeeper:
    """Consoles that open at once."""

    def __init__(self, emit: Callable[[str, Payload], None]) -> None:
        self.wanted: frozenset[str] = frozenset()
        self.written: list[tuple[str, bytes]] = []
        self.breaks: list[str] = []
        self.reopened: list[tuple[str, bool]] = []
        self.closed = False
        self._emit = emit

    def want(self, nodes: frozenset[str]) -> None:
        for node in nodes - self.wanted:
            self._emit(node, ConsoleChanged(ConsoleState(ConsoleStatus.OPEN, time.time())))
        for node in self.wanted - nodes:
            self._emit(node, ConsoleChanged(ConsoleState(ConsoleStatus.CLOSED, time.time())))
        self.wanted = nodes

    def write(self, node: str, data: bytes) -> None:
        self.written.append((node, data))

    def send_break(self, node: str) -> None:
        self.breaks.append(node)

    async def reopen(self, node: str, *, takeover: bool) -> None:
        self.reopened.append((node, takeover))

    async def close(self) -> None:
        self.closed = True


class FakeBackend:
    """All machines of an inventory, in memory."""

    def __init__(
        self,
        inventory: Inventory,
        emit: Callable[[Event], None] = lambda _: None,
        on_console: Callable[[str, bytes], None] = lambda _, __: None,
    ) -> None:
        self.on_console = on_console
        self.closed = False
        self.retargeted: list[Inventory] = []
        self._emit = emit
        self.machines = {node: FakeMachine(node) for node in inventory.bmcs}
        self.keeper = FakeKeeper(self.tell)
        for node, machine in self.machines.items():
            machine.changed = lambda node=node: self.tell(
                node, PowerSeen(self.machines[node].power_is, self.machines[node].by)
            )  # type: ignore[misc]

    def tell(self, node: str, payload: Payload) -> None:
        self._emit(Event(node, "ipmi", payload, time.time(), time.monotonic()))

    async def start(self) -> None:
        for node, machine in self.machines.items():
            self.tell(node, BmcChanged(BmcState(BmcStatus.UP, time.time(), sessions=True)))
            self.tell(node, PowerSeen(machine.power_is))

    async def retarget(self, inventory: Inventory) -> None:
        self.retargeted.append(inventory)

    async def close(self) -> None:
        self.closed = True
        for machine in self.machines.values():
            machine.closed = True
            for timer in machine.timers:
                timer.cancel()

    def controller(self, node: str, by: str = "") -> Controller:
        self.machines[node].by = by
        return cast(Controller, self.machines[node])

    def unusable(self, node: str) -> wire.Problem | None:
        if node not in self.machines:
            return wire.Problem("no-bmc", f"{node} has no BMC")
        return None

    def retry(self, node: str) -> None:
        self.machines[node].calls.append("retry")

    def describe(self, node: str, action: PowerAction | BootDevice | str) -> str:
        if isinstance(action, BootDevice):
            return f"fake set boot {action.device} to {node}"
        return f"fake {action} to {node}"

    async def wait_power(self, node: str, wanted: Power, limit: float) -> bool:
        end = time.monotonic() + limit
        while self.machines[node].power_is is not wanted:
            if self.machines[node].error is not None:
                raise self.machines[node].error
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(0.005)
        return True

    async def query(self, node: str, what: str) -> wire.NodeAnswer:
        try:
            machine = self.machines[node]
            if what == "bootdev":
                return wire.NodeAnswer(node, boot=await machine.boot_device())
            return wire.NodeAnswer(node, power=await machine.power())
        except KeyError:
            return wire.NodeAnswer(node, wire.Problem("no-bmc", f"{node} has no BMC"))
        except BmcError as error:
            return wire.NodeAnswer(node, wire.Problem(error.id, error.message))


def rack(count: int, path: object = None, *, without_bmc: int = 0, consoles: str = "watched") -> Inventory:
    """An inventory of `n1` ... in memory; the last `without_bmc` nodes have no BMC."""
    names = [f"n{i}" for i in range(1, count + 1)]
    bmcs = {
        name: BmcEntry("ipmi", "127.0.0.1", 623, "admin", Secret(literal="secret"))
        for name in names[: count - without_bmc]
    }
    nodes = {name: Node(name, bmc_address="127.0.0.1:623" if name in bmcs else "") for name in names}
    where = path if isinstance(path, Path) else Path("/nowhere/inventory.yaml")
    return Inventory(where, "lab", "example.com", "test", nodes, bmcs, policy=Policy(consoles=consoles))


class FakeBoots:
    """Boot watch without boots: what tests put into `boots` and `keys`."""

    def __init__(self) -> None:
        self.boots: dict[str, BootTimeline] = {}
        self.keys: dict[str, frozenset[str]] = {}
        self.stages: list[tuple[str, Stage, str]] = []
        self.size = 0

    def current(self, node: str) -> BootTimeline | None:
        return self.boots.get(node)

    async def news(self, node: str, limit: float) -> None:
        await asyncio.sleep(min(limit, 0.01))

    def fingerprints(self, node: str) -> frozenset[str]:
        return self.keys.get(node, frozenset())

    def vouch(self, node: str, fingerprint: str, text: str) -> None:
        self.keys[node] = frozenset((fingerprint,))

    def stage(self, node: str, stage: Stage, state: str, text: str) -> None:
        self.stages.append((node, stage, state))

    def boot_bytes(self, node: str) -> int:
        return self.size


class FakeGuard:
    """Allows what is not in `refusals`; remembers who is away."""

    def __init__(self) -> None:
        self.refusals: dict[str, str] = {}
        self.away: dict[str, int] = {}
        self.resumed: list[str] = []
        self.left = asyncio.Event()
        self.most = 0
        """Nodes that may be away at once; 0: any number."""

    async def look(self, nodes: frozenset[str], absence: Absence = Absence.AWAY) -> tuple[str, tuple[str, ...]]:
        return next((self.refusals[node] for node in sorted(nodes) if node in self.refusals), ""), ()

    async def enter(self, node: str, number: int, *, override: bool, absence: Absence = Absence.AWAY) -> str:
        if node in self.refusals and not override:
            return self.refusals[node]
        if self.most and len(self.away.keys() - {node}) >= self.most and not override:
            return "one more lost voter breaks the majority"
        self.away[node] = number
        return ""

    async def turn(self, node: str) -> bool:
        if not self.away.keys() - {node}:
            return False
        self.left.clear()
        await self.left.wait()
        return True

    def resume(self, node: str, number: int) -> None:
        self.resumed.append(node)
        self.away[node] = number

    def leave(self, node: str, number: int) -> None:
        if self.away.pop(node, None) is not None:
            self.left.set()


def make_site(inventory: Inventory, machines: Machines, ledger: Ledger, jobs: Path = Path("/nowhere")) -> Site:
    """A site without SSH and services."""

    def absent() -> Never:
        raise AssertionError("this test has no network")

    return Site(machines, ledger, FakeBoots(), FakeGuard(), lambda: inventory, absent, absent, frozenset, jobs, absent)
