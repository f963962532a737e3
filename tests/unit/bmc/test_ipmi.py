"""The IPMI driver against the simulated rack, over real packets on loopback."""

from __future__ import annotations

import asyncio
import socket

import pytest

from plasmatui.bmc import ipmi, session
from plasmatui.bmc.controller import BmcError
from plasmatui.bmc.pyghmi_io import channels
from plasmatui.inventory.secrets import Secret
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.words import Power, PowerAction
from plasmatui.sim.rack import RackOptions
from tests.unit.bmc.conftest import LabRack, until


def ignore(*_args: object) -> None:
    """Nobody listens."""


async def refusal(rack: LabRack, **changes: object) -> BmcError:
    with pytest.raises(BmcError) as caught:
        await rack.controller(**changes).connect()
    assert rack.password not in str(caught.value)
    assert "node01" in caught.value.message
    return caught.value


@pytest.mark.parametrize("suite", [None, 17, 3])
async def test_logon_with_each_cipher_suite(suite: int | None) -> None:
    async with LabRack(RackOptions(nodes=1, on=0)) as rack:
        bmc = rack.controller(cipher_suite=suite)
        await bmc.connect()
        assert bmc.session is not None
        assert bmc.session.suite == (suite or 17)
        assert await bmc.power() is Power.OFF
        assert rack.sessions == 1
        await bmc.close()
        assert rack.sessions == 0
    assert len(channels()) == 0


async def test_power_orders_take_effect() -> None:
    async with LabRack(RackOptions(nodes=1, on=0, speed=200)) as rack:
        bmc, machine = rack.controller(), rack.machines["node01"]
        await bmc.order_power(PowerAction.ON)
        await until(lambda: machine.powered)
        assert await bmc.power() is Power.ON
        await bmc.order_power(PowerAction.RESET)
        await until(lambda: machine.counters.resets == 1)
        await bmc.order_power(PowerAction.CYCLE)
        await until(lambda: machine.counters.powered_off == 1 and machine.powered)
        await bmc.order_power(PowerAction.OFF)
        await until(lambda: not machine.powered)


async def test_operator_level_is_enough_or_says_so() -> None:
    async with LabRack(RackOptions(nodes=1, on=0)) as rack:
        bmc = rack.controller(username="operator")
        await bmc.connect()
        assert bmc.session is not None
        assert bmc.session.privilege == 3
        await bmc.order_power(PowerAction.ON)


async def test_what_stops_a_logon_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SILENCE_LIMIT", 0.6)
    async with LabRack(RackOptions(nodes=1)) as rack:
        wrong = await refusal(rack, password=Secret(literal="wrong"))
        assert (wrong.id, "refuses the password" in wrong.message) == ("bmc-auth", True)
        assert (await refusal(rack, username="nobody")).id == "bmc-auth"
        assert (await refusal(rack, username="x" * 17)).id == "bmc-auth"
        assert (await refusal(rack, password=Secret(literal="x" * 21))).id == "bmc-auth"
        unset = await refusal(rack, password=Secret(env="PLASMATUI_TEST_UNSET"))
        assert (unset.id, "PLASMATUI_TEST_UNSET is not set" in unset.message) == ("bmc-auth", True)
        assert (await refusal(rack, address="no-such-host.invalid")).id == "bmc-unreachable"
        await rack.set_fault("node01", "bmc-slots")
        assert (await refusal(rack)).id == "bmc-session-limit"
        await rack.set_fault("node01", "bmc-dead")
        began = asyncio.get_running_loop().time()
        assert (await refusal(rack)).id == "bmc-unreachable"
        assert asyncio.get_running_loop().time() - began < 2


async def test_a_name_is_looked_up() -> None:
    async with LabRack(RackOptions(nodes=1, address="127.0.0.1", port=free_port())) as rack:
        bmc = rack.controller(address="localhost")
        assert await bmc.power() in (Power.ON, Power.OFF)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_calls_that_wait_behind_a_dead_bmc_fail_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SILENCE_LIMIT", 0.6)
    async with LabRack(RackOptions(nodes=1, faults={"node01": "bmc-dead"})) as rack:
        bmc = rack.controller()
        began = asyncio.get_running_loop().time()
        results = await asyncio.gather(*(bmc.power() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(result, BmcError) and result.id == "bmc-unreachable" for result in results)
        assert asyncio.get_running_loop().time() - began < 2


async def test_a_lost_session_is_named_and_opened_again() -> None:
    async with LabRack(RackOptions(nodes=1, on=1)) as rack:
        bmc = rack.controller()
        assert await bmc.power() is Power.ON
        rack.nodes["node01"].ipmi.cold_reset(pause=False)
        with pytest.raises(BmcError, match="lost the session") as caught:
            await bmc.power()
        assert caught.value.id == "bmc-reset"
        assert await bmc.power() is Power.ON
        assert rack.sessions == 1


async def test_cancelling_a_command_leaves_the_session_usable() -> None:
    async with LabRack(RackOptions(nodes=1, on=1, faults={"node01": "bmc-latency=150"})) as rack:
        bmc = rack.controller()
        await bmc.connect()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await bmc.boot_device()
        assert await bmc.power() is Power.ON  # not taken for one of the answers above
        assert await bmc.boot_device() == BootDevice(Device.NONE)
        assert rack.sessions == 1


async def test_a_cancellation_that_comes_with_the_answer_is_not_lost() -> None:
    async with LabRack(RackOptions(nodes=1, on=1)) as rack:
        bmc = rack.controller()
        await bmc.connect()
        assert bmc.session is not None
        answered = bmc.session._answered

        def answer_and_cancel(response: dict[str, object]) -> None:
            answered(response)
            asking.cancel()

        bmc.session._answered = answer_and_cancel  # type: ignore[method-assign]
        asking = asyncio.create_task(bmc.power(), name="asking")
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_loss_is_covered_by_retransmission() -> None:
    async with LabRack(RackOptions(nodes=4, on=4)) as rack:
        bmcs = [rack.controller(name) for name in rack.nodes]
        for name in rack.nodes:
            await rack.set_fault(name, "bmc-loss=0.05")
        for _ in range(4):
            assert await asyncio.gather(*(bmc.power() for bmc in bmcs)) == [Power.ON] * 4


async def test_a_bmc_that_takes_long_for_each_answer_is_logged_on_to() -> None:
    """Longer than the first repetition: each new question of the logon would void the answer to the one before."""
    async with LabRack(RackOptions(nodes=1, on=1, faults={"node01": "bmc-latency=1600"})) as rack:
        assert await rack.controller().power() is Power.ON


async def test_two_sessions_with_one_bmc_do_not_mix() -> None:
    async with LabRack(RackOptions(nodes=1, on=1)) as rack:
        one, two = rack.controller(), rack.controller()
        await asyncio.gather(one.connect(), two.connect())
        assert rack.sessions == 2
        results = await asyncio.gather(*(bmc.power() for bmc in (one, two) * 20))
        assert set(results) == {Power.ON}


async def test_boot_device_is_set_and_read_back() -> None:
    async with LabRack(RackOptions(nodes=1)) as rack:
        bmc = rack.controller()
        assert await bmc.boot_device() == BootDevice(Device.NONE)
        for boot in (
            BootDevice(Device.PXE, persistent=True, uefi=True),
            BootDevice(Device.DISK, persistent=False, uefi=False),
            BootDevice(Device.BIOS, persistent=False, uefi=True),
            BootDevice(Device.NONE),
        ):
            await bmc.set_boot_device(boot)
            assert await bmc.boot_device() == boot
        with pytest.raises(BmcError, match="cannot be told"):
            await bmc.set_boot_device(BootDevice(Device.OTHER))


async def test_an_override_that_does_not_stick_reads_back_as_none() -> None:
    async with LabRack(RackOptions(nodes=1, faults={"node01": "override-ignored"})) as rack:
        bmc = rack.controller()
        await bmc.set_boot_device(BootDevice(Device.PXE))
        assert await bmc.boot_device() == BootDevice(Device.NONE)


async def test_readings() -> None:
    async with LabRack(RackOptions(nodes=1, on=1, speed=200)) as rack:
        bmc = rack.controller()
        await bmc.order_power(PowerAction.OFF)
        await until(lambda: not rack.machines["node01"].powered)
        sensors, sel, inventory = await asyncio.gather(bmc.sensors(), bmc.sel(), bmc.inventory())
        assert any(sensor.units == "°C" and sensor.value is not None for sensor in sensors)
        assert {sensor.health for sensor in sensors} <= {"ok", "warning", "critical", "failed", "unknown"}
        assert sel
        assert any(field.name == "Serial Number" and field.value for field in inventory)
        assert rack.sessions == 1


async def test_identify() -> None:
    async with LabRack(RackOptions(nodes=1)) as rack:
        bmc, machine = rack.controller(), rack.machines["node01"]
        await bmc.identify(30)
        assert 0 < machine.identify <= 30
        await bmc.identify(-1)
        assert machine.identify > 1000
        await bmc.identify(0)
        assert machine.identify == 0


async def test_plans_show_the_exact_call() -> None:
    async with LabRack(RackOptions(nodes=1)) as rack:
        bmc = rack.controller(address="10.0.10.50", port=None)
        assert bmc.describe(PowerAction.ON) == "IPMI chassis control 1 (power up) to 10.0.10.50:623"
        boot = BootDevice(Device.PXE, uefi=True)
        assert bmc.describe(boot) == "IPMI boot flags a0 04 00 00 00 (pxe, next boot only, UEFI) to 10.0.10.50:623"
        assert bmc.describe("identify 15") == "IPMI identify 15 to 10.0.10.50:623"


async def test_closing_while_a_command_hangs_ends_the_session() -> None:
    async with LabRack(RackOptions(nodes=1, on=1)) as rack:
        bmc = rack.controller()
        await bmc.connect()
        await rack.set_fault("node01", "bmc-latency=400")
        asking = asyncio.create_task(bmc.power(), name="asking")
        await asyncio.sleep(0)
        await bmc.close()
        with pytest.raises(BmcError):
            await asking
        assert rack.sessions == 0


async def test_calls_that_wait_when_it_is_closed_open_nothing_new() -> None:
    async with LabRack(RackOptions(nodes=1, on=1, faults={"node01": "bmc-latency=100"})) as rack:
        bmc = rack.controller()
        calls = [asyncio.create_task(bmc.power(), name=f"call {index}") for index in range(5)]
        await until(lambda: rack.sessions == 1)  # in the middle of the logon
        await bmc.close()
        assert all(isinstance(result, BmcError) for result in await asyncio.gather(*calls, return_exceptions=True))
        await until(lambda: rack.sessions == 0)
        assert len(channels()) == 0


async def test_a_scale_of_many() -> None:
    async with LabRack(RackOptions(nodes=64, on=64)) as rack:
        bmcs = [rack.controller(name) for name in rack.nodes]
        assert await asyncio.gather(*(bmc.power() for bmc in bmcs)) == [Power.ON] * 64
        assert len(channels()) == 1
        assert rack.sessions == 64


async def test_a_lost_session_of_ours_gives_its_slot_and_console_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold both for a minute, as if it were another client."""
    monkeypatch.setattr(session, "SILENCE_LIMIT", 0.3)
    async with LabRack(RackOptions(nodes=1, on=0)) as rack:
        bmc = rack.controller()
        await bmc.open_console(ignore, ignore, takeover=False)
        await rack.set_fault("node01", "bmc-dead")
        with pytest.raises(BmcError, match="no answer"):
            await bmc.command(0, 1, limit=0.1)
        await rack.clear_faults("node01")
        await bmc.connect()
        assert rack.sessions == 1
        await bmc.open_console(ignore, ignore, takeover=False)


async def test_a_session_whose_end_was_not_heard_is_ended_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CLOSE_LIMIT", 0.1)
    async with LabRack(RackOptions(nodes=1, on=0)) as rack:
        bmc = rack.controller()
        await bmc.connect()
        await rack.set_fault("node01", "bmc-dead")
        await bmc.close()
        await rack.clear_faults("node01")
        await bmc.connect()
        assert rack.sessions == 1


async def test_a_session_that_came_from_elsewhere_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A BMC that was restarted may have given the number of our lost session to another client."""
    async with LabRack(RackOptions(nodes=1, on=0)) as rack:
        bmc, other = rack.controller(), rack.controller()
        await bmc.connect()
        await other.connect()
        lost, theirs = bmc.session, other.session
        assert lost is not None
        assert theirs is not None
        lost.sessionid = theirs.id
        lost.drop("lost")
        await bmc.connect()
        assert await other.power() is Power.OFF
        assert other.session is theirs


async def test_a_power_order_is_sent_again_for_a_short_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer may be lost or late: a machine that boots already must not be restarted by a repetition."""
    monkeypatch.setattr(ipmi, "ORDER_REPEAT", 0.0)
    async with LabRack(RackOptions(nodes=1, on=1)) as rack:
        bmc, machine = rack.controller(), rack.machines["node01"]
        await bmc.connect()
        await rack.set_fault("node01", "bmc-latency=1300")
        await bmc.order_power(PowerAction.RESET)
        assert machine.counters.orders == 1


async def test_the_firmware_mode_stays_unless_it_is_chosen() -> None:
    """Without a choice, a UEFI machine must not be told to boot in BIOS mode."""
    async with LabRack(RackOptions(nodes=1)) as rack:
        bmc = rack.controller()
        for known in (True, False):
            await bmc.set_boot_device(BootDevice(Device.DISK, persistent=True, uefi=known))
            await bmc.set_boot_device(BootDevice(Device.PXE))
            assert await bmc.boot_device() == BootDevice(Device.PXE, uefi=known)
