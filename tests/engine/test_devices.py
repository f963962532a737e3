"""The real outside, as far as it needs no BMC: the rack tests drive the rest."""

from __future__ import annotations

import asyncio

from plasmatui.bmc.controller import BmcTarget
from plasmatui.engine.devices import make_devices, target_of
from plasmatui.inventory.inventory import BmcEntry
from plasmatui.inventory.secrets import Secret
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import BmcChanged, Event
from plasmatui.model.words import BmcStatus, PowerAction
from tests.engine.conftest import until
from tests.engine.fakes import rack


def test_a_target_has_all_that_the_inventory_says() -> None:
    secret = Secret(literal="x")
    entry = BmcEntry("redfish", "10.0.0.1", 8443, "admin", secret, 3, "sha256:00", "System.1")
    assert target_of("n1", entry) == BmcTarget(
        "n1", "redfish", "10.0.0.1", 8443, "admin", secret, 3, "sha256:00", "System.1"
    )


async def test_a_node_without_a_bmc_is_named() -> None:
    devices = make_devices(rack(2, without_bmc=1), lambda _: None, lambda _, __: None)
    await devices.start()
    try:
        problem = devices.unusable("n2")
        assert problem is not None
        assert problem.id == "no-bmc"
        answer = await devices.query("n2", "power")
        assert answer.problem == problem
        assert devices.unusable("n1") is None
        assert "127.0.0.1:623" in devices.describe("n1", PowerAction.ON)
        assert "127.0.0.1:623" in devices.describe("n1", BootDevice(Device.PXE))
    finally:
        await devices.close()


async def test_a_dead_bmc_is_an_obstacle_with_a_reason() -> None:
    events: list[Event] = []
    devices = make_devices(rack(1), events.append, lambda _, __: None)
    await devices.start()
    try:
        async with asyncio.timeout(15):
            answer = await devices.query("n1", "power")
        assert answer.problem is not None
        assert answer.problem.id == "bmc-unreachable"
        await until(
            lambda: any(
                isinstance(each.payload, BmcChanged) and each.payload.state.status is BmcStatus.WAITING
                for each in events
            )
        )
        problem = devices.unusable("n1")
        assert problem is not None
        assert problem.id == "bmc-unreachable"
    finally:
        await devices.close()
