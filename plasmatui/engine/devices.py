"""The real outside: the fleet of BMCs and the keeper of their consoles, made from an inventory."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from plasmatui.bmc.consoles import ConsoleKeeper
from plasmatui.bmc.controller import BmcError, BmcTarget, Controller
from plasmatui.bmc.fleet import Answer, Fleet
from plasmatui.engine.backend import Backend
from plasmatui.engine.ports import Keeper
from plasmatui.inventory.inventory import BmcEntry, Inventory
from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice
from plasmatui.model.event import BootDeviceSeen, Event, Payload
from plasmatui.model.words import Power, PowerAction
from plasmatui.text import clean_line


def target_of(node: str, entry: BmcEntry) -> BmcTarget:
    """How to reach a node's BMC, from the inventory's words."""
    return BmcTarget(
        node,
        entry.driver,
        entry.address,
        entry.port,
        entry.username,
        entry.password,
        entry.cipher_suite,
        entry.verify_tls,
        entry.system,
        entry.tls,
    )


class ControllerMaker:
    """Makes the driver for a target. Drivers are imported when one is used, so that the engine starts fast."""

    def __init__(self) -> None:
        self._redfish: Callable[[BmcTarget], Controller] | None = None

    def __call__(self, target: BmcTarget) -> Controller:
        if target.driver != "redfish":
            return _ipmi(target)
        if self._redfish is None:
            from plasmatui.bmc.redfish import RedfishController
            from plasmatui.bmc.redfish_tls import TlsContexts

            contexts = TlsContexts()
            self._redfish = lambda each: RedfishController(each, tls=contexts, ipmi=_ipmi)
        return self._redfish(target)


def _ipmi(target: BmcTarget) -> Controller:
    from plasmatui.bmc.ipmi import IpmiController

    return IpmiController(target)


class Devices:
    """All BMCs and consoles of an inventory. See `backend.Backend`."""

    def __init__(
        self, inventory: Inventory, emit: Callable[[Event], None], on_console: Callable[[str, bytes], None]
    ) -> None:
        self._emit = emit
        self._with_bmc = frozenset(inventory.bmcs)
        self._fleet = Fleet(_targets(inventory), ControllerMaker(), emit)
        self.keeper: Keeper = ConsoleKeeper(self._fleet, emit, on_console)

    async def start(self) -> None:
        self._fleet.start()

    async def retarget(self, inventory: Inventory) -> None:
        self._with_bmc = frozenset(inventory.bmcs)
        await self._fleet.retarget(_targets(inventory))

    async def close(self) -> None:
        await self.keeper.close()
        await self._fleet.close()

    # --- for operations -------------------------------------------------------------------------------------------

    def controller(self, node: str, by: str = "") -> Controller:
        return self._fleet.controller(node, by)

    def unusable(self, node: str) -> wire.Problem | None:
        if node not in self._with_bmc:
            return _no_bmc(node)
        error = self._fleet.obstacle(node)
        return None if error is None else wire.Problem(error.id, clean_line(error.message))

    def retry(self, node: str) -> None:
        self._fleet.retry(node)

    def describe(self, node: str, action: PowerAction | BootDevice | str) -> str:
        return self._fleet.describe(node, action)

    async def wait_power(self, node: str, wanted: Power, limit: float) -> bool:
        return await self._fleet.wait_power(node, wanted, limit)

    # --- for clients ----------------------------------------------------------------------------------------------

    async def query(self, node: str, what: str) -> wire.NodeAnswer:
        if node not in self._with_bmc:
            return wire.NodeAnswer(node, _no_bmc(node))
        try:
            answer = await self._fleet.query(node, what)
        except BmcError as error:
            return wire.NodeAnswer(node, wire.Problem(error.id, clean_line(error.message)))
        if what == "bootdev":
            assert answer is None or isinstance(answer, BootDevice)
            self._tell(node, BootDeviceSeen(answer))
        return _answer(node, what, answer)

    def _tell(self, node: str, payload: Payload) -> None:
        self._emit(Event(node, "bmc", payload, time.time(), time.monotonic()))


def _no_bmc(node: str) -> wire.Problem:
    return wire.Problem("no-bmc", f"{node}: the inventory names no BMC for it; add one as `bmc:`")


def _answer(node: str, what: str, answer: Answer) -> wire.NodeAnswer:
    """The fleet's answer as the wire's word: it goes into the field of its kind."""
    field = {"bootdev": "boot", "refresh": "power"}.get(what, what)
    return msgspec.structs.replace(wire.NodeAnswer(node), **{field: answer})


def _targets(inventory: Inventory) -> dict[str, BmcTarget]:
    return {node: target_of(node, entry) for node, entry in inventory.bmcs.items()}


def make_devices(
    inventory: Inventory, emit: Callable[[Event], None], on_console: Callable[[str, bytes], None]
) -> Backend:
    """The devices of an inventory; nothing is connected before `start`."""
    return Devices(inventory, emit, on_console)
