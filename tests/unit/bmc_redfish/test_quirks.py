"""What other BMCs do otherwise: tags, tasks, settings resources, busy answers, buttons, no TLS."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from plasmatui.bmc import redfish_task
from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.redfish import RedfishController
from plasmatui.bmc.redfish_tls import TlsContexts
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.words import Power, PowerAction
from tests.unit.bmc_redfish.conftest import Make
from tests.unit.bmc_redfish.stub import RESET, SYSTEM, Asked, Reply, Stub, error

PXE = BootDevice(Device.PXE)
PENDING = f"{SYSTEM}/Pending"
TASK = "/redfish/v1/TaskService/Tasks/7"


def tags(stub: Stub) -> list[str | None]:
    return [one.headers.get("if-match") for one in stub.seen("PATCH")]


def merge_boot(body: dict[str, Any], change: dict[str, Any]) -> None:
    body["Boot"].update(change["Boot"])


@pytest.mark.parametrize("refusal", [412, 428])
async def test_a_bmc_that_insists_on_a_tag_that_it_gives_in_the_body_alone(
    stub: Stub, make: Make, refusal: int
) -> None:
    stub.system["@odata.etag"] = 'W/"7"'

    def patch(asked: Asked) -> Reply:
        if asked.headers.get("if-match") != '"7"':
            return Reply(refusal)
        merge_boot(stub.system, asked.body)
        return Reply(200, {})

    stub.on("PATCH", SYSTEM, patch)
    controller = make()
    await controller.set_boot_device(PXE)
    assert tags(stub) == ['W/"7"', '"7"']
    assert (await controller.boot_device()) == BootDevice(Device.PXE, uefi=True)


async def test_a_tag_that_changed_meanwhile_is_read_again(stub: Stub, make: Make) -> None:
    seen = iter(['"1"', '"2"', '"2"'])
    stub.on("GET", SYSTEM, lambda _: Reply(body=stub.system, headers={"ETag": next(seen)}))
    stub.on("PATCH", SYSTEM, lambda asked: Reply(204 if asked.headers["if-match"] == '"2"' else 412))
    await make().set_boot_device(PXE)
    assert tags(stub) == ['"1"', '"2"']


@pytest.mark.parametrize("holds", [True, False])
async def test_an_override_is_set_where_the_bmc_keeps_what_is_to_be(stub: Stub, make: Make, holds: bool) -> None:
    """Nokia's and ZT's have it in the settings resource; Lenovo's has only the boot order there."""
    stub.system["@Redfish.Settings"] = {"SettingsObject": {"@odata.id": PENDING}}
    boot = {"BootSourceOverrideTarget": "None", "BootSourceOverrideEnabled": "Disabled"} if holds else {"BootOrder": []}
    stub.resources[PENDING] = {"Boot": boot, "@odata.etag": '"p1"'}
    controller = make()
    await controller.set_boot_device(PXE)
    assert [(one.path, one.headers.get("if-match")) for one in stub.seen("PATCH")] == [
        (PENDING, '"p1"') if holds else (SYSTEM, None)
    ]
    found = await controller.boot_device()
    assert found is not None
    assert found.device is Device.PXE


async def test_a_settings_resource_that_is_not_there(stub: Stub, make: Make) -> None:
    stub.system["@Redfish.Settings"] = {"SettingsObject": {"@odata.id": PENDING}}
    await make().set_boot_device(PXE)
    assert [one.path for one in stub.seen("PATCH")] == [SYSTEM]


async def test_a_change_that_becomes_a_task_is_read_back_after_it(stub: Stub, make: Make) -> None:
    looks = iter(["Starting", "Running", "Completed"])
    asked_for: list[Any] = []

    def patch(asked: Asked) -> Reply:
        asked_for.append(asked.body)
        return Reply(202, {}, {"Location": TASK})

    def look(_: Asked) -> Reply:
        state = next(looks)
        if state == "Completed":
            merge_boot(stub.system, asked_for[0])
        return Reply(200 if state == "Completed" else 202, {"TaskState": state})

    stub.on("PATCH", SYSTEM, patch)
    stub.on("GET", TASK, look)
    controller = make()
    await controller.set_boot_device(PXE)
    assert (await controller.boot_device()) == BootDevice(Device.PXE, uefi=True)


async def test_a_task_that_fails_says_why(stub: Stub, make: Make) -> None:
    stub.on("PATCH", SYSTEM, Reply(202, {"@odata.id": TASK}))
    stub.resources[TASK] = {"TaskState": "Exception", "Messages": [{"Message": "The lid is\x1b[2J open."}]}
    with pytest.raises(BmcError, match="task failed: The lid is") as caught:
        await make().set_boot_device(PXE)
    assert caught.value.id == "rejected"
    assert "\x1b" not in caught.value.message


async def test_a_task_for_the_next_start_is_not_waited_for(
    stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redfish_task, "TASK_LIMIT", 0.0)
    stub.on("PATCH", SYSTEM, Reply(202, {}, {"Location": TASK}))
    stub.resources[TASK] = {"TaskState": "Pending"}
    await make().set_boot_device(PXE)
    assert stub.seen("GET", TASK) == []


async def test_a_monitor_that_has_gone_was_done(stub: Stub, make: Make) -> None:
    stub.on("PATCH", SYSTEM, Reply(202, {}, {"Location": TASK}))
    await make().set_boot_device(PXE)
    assert len(stub.seen("GET", TASK)) == 1


async def test_a_busy_bmc_that_says_for_how_long_is_asked_again(stub: Stub, make: Make) -> None:
    replies = iter([Reply(503, None, {"Retry-After": "1"}), Reply(body=stub.system)])
    stub.on("GET", SYSTEM, lambda _: next(replies))
    assert await make().power() is Power.OFF


@pytest.mark.parametrize("pause", ["3600", "soon", "-1", ""])
async def test_a_busy_bmc_that_does_not_is_unreachable_for_now(stub: Stub, make: Make, pause: str) -> None:
    stub.on("GET", SYSTEM, Reply(503, None, {"Retry-After": pause}))
    with pytest.raises(BmcError, match="starting or overloaded"):
        await make().power()
    assert len(stub.seen("GET", SYSTEM)) == 1


async def test_the_power_button_stops_a_machine_that_is_on(stub: Stub, make: Make) -> None:
    """iLO 4 offers no GracefulShutdown."""
    kinds = ["On", "ForceOff", "ForceRestart", "Nmi", "PushPowerButton"]
    stub.system["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] = kinds
    with pytest.raises(BmcError, match="is not on"):
        await make().order_power(PowerAction.SOFT)
    stub.system["PowerState"] = "On"
    await make().order_power(PowerAction.SOFT)
    assert [one.body for one in stub.seen("POST", RESET)] == [{"ResetType": "PushPowerButton"}]


async def test_an_accepted_login_without_a_token_means_basic_authentication(stub: Stub, make: Make) -> None:
    """DMTF's mock-up server answers so."""
    stub.on("POST", "/redfish/v1/SessionService/Sessions", Reply(204))
    assert await make().power() is Power.OFF
    assert stub.asked[-1].headers["authorization"].startswith("Basic ")


async def test_without_tls_only_when_the_inventory_says_so(stub: Stub, make: Make) -> None:
    with contextlib.suppress(BmcError):
        await make(tls=False).connect()
    assert stub.asked == []
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    controller = RedfishController(stub.target(True, port=port, tls=False), tls=TlsContexts())
    try:
        await controller.set_boot_device(PXE)
    finally:
        await controller.close()
        server.close()
    assert stub.system["Boot"]["BootSourceOverrideTarget"] == "Pxe"


async def test_a_bmc_that_cannot_boot_from_the_network_says_from_what(stub: Stub, make: Make) -> None:
    stub.system["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"] = ["None", "Hdd", "UefiHttp"]
    stub.on("PATCH", SYSTEM, error(400))
    with pytest.raises(BmcError, match="only from None, Hdd, UefiHttp"):
        await make().set_boot_device(PXE)
    assert stub.seen("PATCH") == []


async def test_types_that_are_listed_without_a_comma(stub: Stub, make: Make) -> None:
    kinds = ["On", "ForceOff", "GracefulShutdownGracefulRestart", "ForceRestart", "OEMThing"]
    stub.system["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] = kinds
    await make().order_power(PowerAction.SOFT)
    assert [one.body for one in stub.seen("POST", RESET)] == [{"ResetType": "GracefulShutdown"}]
