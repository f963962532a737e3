"""Power, boot device, identify light, and what a plan says of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plasmatui.bmc import redfish
from plasmatui.bmc.controller import BmcError
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.words import Power, PowerAction
from tests.unit.bmc_redfish.conftest import Make
from tests.unit.bmc_redfish.stub import RESET, SYSTEM, Asked, Reply, Stub, error


def types(stub: Stub) -> list[Any]:
    return [one.body["ResetType"] for one in stub.seen("POST", RESET)]


def allow(stub: Stub, *kinds: str) -> None:
    stub.system["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] = list(kinds)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("On", Power.ON),
        ("Off", Power.OFF),
        ("PoweringOn", Power.OFF),
        ("PoweringOff", Power.ON),
        ("Paused", Power.ON),
        (None, Power.UNKNOWN),
        ("Sleeping", Power.UNKNOWN),
        (7, Power.UNKNOWN),
    ],
)
async def test_power_states(stub: Stub, make: Make, said: object, meant: Power) -> None:
    stub.system["PowerState"] = said
    assert await make().power() is meant


async def test_an_etag_spares_the_body_until_an_order(stub: Stub, make: Make) -> None:
    def system(asked: Asked) -> Reply:
        same = asked.headers.get("if-none-match") == '"v1"'
        return Reply(304) if same else Reply(body=stub.system, headers={"ETag": '"v1"'})

    stub.on("GET", SYSTEM, system)
    controller = make()
    assert await controller.power() is Power.OFF
    assert await controller.power() is Power.OFF
    stub.system["PowerState"] = "On"
    await controller.order_power(PowerAction.ON)
    assert await controller.power() is Power.ON
    sent = [one.headers.get("if-none-match") for one in stub.seen("GET", SYSTEM)]
    assert sent == [None, '"v1"', '"v1"', None]


async def test_an_old_etag_is_not_trusted(stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish, "ETAG_TRUST", 0.0)
    stub.on("GET", SYSTEM, lambda _: Reply(body=stub.system, headers={"ETag": '"v1"'}))
    controller = make()
    await controller.power()
    await controller.power()
    assert all("if-none-match" not in one.headers for one in stub.asked)


@pytest.mark.parametrize("etag", ["\u00e9tag", "x" * 5000])
async def test_an_etag_that_cannot_be_sent_back_is_forgotten(stub: Stub, make: Make, etag: str) -> None:
    stub.on("GET", SYSTEM, lambda _: Reply(body=stub.system, headers={"ETag": etag}))
    controller = make()
    await controller.power()
    assert await controller.power() is Power.OFF
    assert all("if-none-match" not in one.headers for one in stub.asked)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (PowerAction.ON, "On"),
        (PowerAction.OFF, "ForceOff"),
        (PowerAction.SOFT, "GracefulShutdown"),
        (PowerAction.CYCLE, "PowerCycle"),
        (PowerAction.RESET, "ForceRestart"),
    ],
)
async def test_orders(stub: Stub, make: Make, action: PowerAction, kind: str) -> None:
    await make().order_power(action)
    assert types(stub) == [kind]


async def test_an_order_goes_where_the_resource_says_and_a_task_is_not_awaited(stub: Stub, make: Make) -> None:
    stub.system["Actions"]["#ComputerSystem.Reset"]["target"] = "/redfish/v1/elsewhere"
    stub.on("POST", "/redfish/v1/elsewhere", Reply(202, {"@odata.id": "/redfish/v1/TaskService/Tasks/1"}))
    await make().order_power(PowerAction.ON)
    assert stub.asked[-1].path == "/redfish/v1/elsewhere"


async def test_force_on_where_on_is_not_offered(stub: Stub, make: Make) -> None:
    allow(stub, "ForceOn", "ForceOff")
    await make().order_power(PowerAction.ON)
    assert types(stub) == ["ForceOn"]


async def test_what_is_not_offered_is_not_sent(stub: Stub, make: Make) -> None:
    allow(stub, "On", "ForceOff")
    with pytest.raises(BmcError, match="does not offer reset type GracefulShutdown, only On, ForceOff") as caught:
        await make().order_power(PowerAction.SOFT)
    assert caught.value.id == "unsupported"
    assert types(stub) == []


async def test_reset_types_from_an_action_info_are_read_once(stub: Stub, make: Make) -> None:
    action = stub.system["Actions"]["#ComputerSystem.Reset"]
    del action["ResetType@Redfish.AllowableValues"]
    action["@Redfish.ActionInfo"] = f"{SYSTEM}/ResetActionInfo"
    stub.resources[f"{SYSTEM}/ResetActionInfo"] = {
        "Parameters": [{"Name": "ResetType", "AllowableValues": ["ForceOn", "ForceOff"]}]
    }
    controller = make()
    await controller.order_power(PowerAction.ON)
    await controller.order_power(PowerAction.OFF)
    assert types(stub) == ["ForceOn", "ForceOff"]
    assert len(stub.seen("GET", f"{SYSTEM}/ResetActionInfo")) == 1


def play_power(stub: Stub, refuse: str = "") -> None:
    def reset(asked: Asked) -> Reply:
        kind = asked.body["ResetType"]
        if kind == refuse:
            return Reply(501)
        stub.system["PowerState"] = {"ForceOff": "Off", "On": "On"}.get(kind, stub.system["PowerState"])
        return Reply(204)

    stub.on("POST", RESET, reset)


async def test_a_cycle_in_steps_where_it_is_not_offered(stub: Stub, make: Make) -> None:
    allow(stub, "On", "ForceOff")
    stub.system["PowerState"] = "On"
    play_power(stub)
    controller = make()
    await controller.connect()
    assert "wait until PowerState is Off" in controller.describe(PowerAction.CYCLE)
    await controller.order_power(PowerAction.CYCLE)
    assert types(stub) == ["ForceOff", "On"]


async def test_a_cycle_in_steps_where_it_is_offered_but_refused(stub: Stub, make: Make) -> None:
    stub.system["PowerState"] = "On"
    play_power(stub, refuse="PowerCycle")
    await make().order_power(PowerAction.CYCLE)
    assert types(stub) == ["PowerCycle", "ForceOff", "On"]


async def test_a_cycle_that_does_not_get_off_says_so_and_does_not_order_on(
    stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redfish, "CYCLE_LIMIT", 0.1)
    monkeypatch.setattr(redfish, "CYCLE_POLL", 0.01)
    allow(stub, "On", "ForceOff")
    stub.system["PowerState"] = "On"
    with pytest.raises(BmcError, match="not powered on again") as caught:
        await make().order_power(PowerAction.CYCLE)
    assert caught.value.id == "timeout"
    assert types(stub) == ["ForceOff"]


async def test_a_refusal_says_the_bmcs_words_clean(stub: Stub, make: Make) -> None:
    stub.on("POST", RESET, error(409, "Base.1.8.ResourceInUse", "Busy \x1b]0;evil\x07\x1b[31mnow\r\n[bold]"))
    with pytest.raises(BmcError) as caught:
        await make().order_power(PowerAction.ON)
    assert caught.value.id == "rejected"
    assert "HTTP 409: Busy now" in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("boot", "expected"),
    [
        ({"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}, BootDevice(Device.PXE)),
        (
            {
                "BootSourceOverrideTarget": "Hdd",
                "BootSourceOverrideEnabled": "Continuous",
                "BootSourceOverrideMode": "UEFI",
            },
            BootDevice(Device.DISK, persistent=True, uefi=True),
        ),
        (
            {
                "BootSourceOverrideTarget": "BiosSetup",
                "BootSourceOverrideEnabled": "Once",
                "BootSourceOverrideMode": "Legacy",
            },
            BootDevice(Device.BIOS, uefi=False),
        ),
        ({"BootSourceOverrideTarget": "UefiHttp", "BootSourceOverrideEnabled": "Once"}, BootDevice(Device.OTHER)),
        ({"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Disabled"}, BootDevice(Device.NONE)),
        ({"BootSourceOverrideTarget": "None"}, BootDevice(Device.NONE)),
        ({"BootSourceOverrideEnabled": "Continuous"}, None),
        ("nonsense", None),
    ],
)
async def test_boot_device_is_read(stub: Stub, make: Make, boot: object, expected: BootDevice | None) -> None:
    stub.system["Boot"] = boot
    assert await make().boot_device() == expected


@pytest.mark.parametrize(
    "boot",
    [
        BootDevice(Device.PXE, uefi=True),
        BootDevice(Device.DISK, persistent=True, uefi=False),
        BootDevice(Device.BIOS, uefi=True),
    ],
)
async def test_boot_device_is_set_and_read_back(stub: Stub, make: Make, boot: BootDevice) -> None:
    controller = make()
    await controller.set_boot_device(boot)
    assert await controller.boot_device() == boot
    await controller.set_boot_device(BootDevice(Device.NONE))
    after = await controller.boot_device()
    assert after is not None
    assert after.device is Device.NONE


async def test_the_mode_is_not_sent_where_there_is_none(stub: Stub, make: Make) -> None:
    del stub.system["Boot"]["BootSourceOverrideMode"]
    await make().set_boot_device(BootDevice(Device.PXE, uefi=True))
    assert "BootSourceOverrideMode" not in stub.asked[-1].body["Boot"]


async def test_a_target_that_is_not_offered(stub: Stub, make: Make) -> None:
    stub.system["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"] = ["Pxe", "Hdd"]
    with pytest.raises(BmcError, match="cannot boot from bios, only from Pxe, Hdd") as caught:
        await make().set_boot_device(BootDevice(Device.BIOS))
    assert caught.value.id == "unsupported"


async def test_other_cannot_be_set(make: Make) -> None:
    with pytest.raises(BmcError) as caught:
        await make().set_boot_device(BootDevice(Device.OTHER))
    assert caught.value.id == "unsupported"


async def test_a_change_is_made_on_what_was_read_and_once_more_without_when_it_changed(stub: Stub, make: Make) -> None:
    stub.on("GET", SYSTEM, lambda _: Reply(body=stub.system, headers={"ETag": 'W/"v1"'}))
    stub.on("PATCH", SYSTEM, lambda asked: Reply(412) if "if-match" in asked.headers else Reply(204))
    await make().set_boot_device(BootDevice(Device.PXE))
    assert [one.headers.get("if-match") for one in stub.seen("PATCH")] == ['W/"v1"', '"v1"', None]


async def test_a_strict_bmc_gets_disabled_alone(stub: Stub, make: Make) -> None:
    def patch(asked: Asked) -> Reply:
        return error(400, "", "no such target") if "BootSourceOverrideTarget" in asked.body["Boot"] else Reply(204)

    stub.on("PATCH", SYSTEM, patch)
    await make().set_boot_device(BootDevice(Device.NONE))
    assert stub.asked[-1].body == {"Boot": {"BootSourceOverrideEnabled": "Disabled"}}


async def test_identify_by_location_indicator(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.identify(-1)
    await controller.identify(0)
    assert [one.body for one in stub.seen("PATCH")] == [
        {"LocationIndicatorActive": True},
        {"LocationIndicatorActive": False},
    ]


async def test_identify_by_the_older_led_of_the_chassis(stub: Stub, make: Make) -> None:
    del stub.system["LocationIndicatorActive"]
    stub.resources["/redfish/v1/Chassis/1"] = {"IndicatorLED": "Off"}
    asked: list[Any] = []

    def patch(one: Asked) -> Reply:
        asked.append(one.body["IndicatorLED"])
        return error(400) if asked[-1] == "Blinking" else Reply(204)

    stub.on("PATCH", "/redfish/v1/Chassis/1", patch)
    controller = make()
    await controller.identify(-1)
    await controller.identify(0)
    assert asked == ["Blinking", "Lit", "Off"]


async def test_a_machine_without_a_light(stub: Stub, make: Make) -> None:
    del stub.system["LocationIndicatorActive"]
    stub.resources["/redfish/v1/Chassis/1"] = {}
    with pytest.raises(BmcError, match="no identify light") as caught:
        await make().identify(-1)
    assert caught.value.id == "unsupported"


async def test_the_light_goes_off_after_its_seconds(stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    off = asyncio.Event()

    def patch(one: Asked) -> Reply:
        if one.body == {"LocationIndicatorActive": False}:
            off.set()
        return Reply(204)

    stub.on("PATCH", SYSTEM, patch)
    await make().identify(1)
    async with asyncio.timeout(10):
        await off.wait()


async def test_the_light_goes_off_at_close(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.identify(3600)
    assert stub.asked[-1].body == {"LocationIndicatorActive": True}
    await controller.close()
    assert stub.seen("PATCH")[-1].body == {"LocationIndicatorActive": False}
    assert stub.tokens == set()


async def test_describe_before_and_after_connecting(stub: Stub, make: Make) -> None:
    controller = make()
    to = f"to 127.0.0.1:{stub.port}"
    expected = f'POST {RESET} {{"ResetType": "On"}} {to}'
    assert controller.describe(PowerAction.ON) == expected
    assert "(or ForceOff, wait, On)" in controller.describe(PowerAction.CYCLE)
    assert controller.describe(BootDevice(Device.PXE, uefi=True)) == (
        f'PATCH {SYSTEM} {{"Boot": {{"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once", '
        f'"BootSourceOverrideMode": "UEFI"}}}} {to}'
    )
    assert controller.describe("identify") == f"PATCH {SYSTEM} LocationIndicatorActive {to}"
    assert controller.describe("sensors") == f"GET {SYSTEM} (sensors) {to}"
    await controller.connect()
    assert controller.describe(PowerAction.ON) == expected
    assert controller.describe(PowerAction.CYCLE) == f'POST {RESET} {{"ResetType": "PowerCycle"}} {to}'


async def test_several_systems_need_a_name_and_take_id_name_or_uuid(stub: Stub, make: Make) -> None:
    stub.resources["/redfish/v1/Systems"]["Members"] = [
        {"@odata.id": SYSTEM},
        {"@odata.id": "/redfish/v1/Systems/blade2"},
    ]
    stub.resources["/redfish/v1/Systems/blade2"] = {"PowerState": "On", "Name": "Web-2", "UUID": "AB-12"}
    with pytest.raises(BmcError, match="name one of them as `system`: there are 1, blade2") as caught:
        await make().connect()
    assert caught.value.id == "rejected"
    for name in ("blade2", "web-2", "ab-12"):
        assert await make(system=name).power() is Power.ON
    with pytest.raises(BmcError, match="no system blade3: there are 1, blade2"):
        await make(system="blade3").connect()


async def test_a_system_that_moved_is_looked_for_again(stub: Stub, make: Make) -> None:
    controller = make()
    await controller.connect()
    moved = stub.resources.pop(SYSTEM)
    stub.resources["/redfish/v1/Systems"]["Members"] = [{"@odata.id": "/redfish/v1/Systems/new"}]
    stub.resources["/redfish/v1/Systems/new"] = moved
    with pytest.raises(BmcError):
        await controller.power()
    assert await controller.power() is Power.OFF
