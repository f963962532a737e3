"""The machine model: power orders in time, boots, what the console says, and that a seed decides everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plasmatui.model.bmc import Device
from plasmatui.model.words import PowerAction
from plasmatui.sim import boottext, firmware, pxerom
from plasmatui.sim.boot import Boot
from plasmatui.sim.bootfiles import Client
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.clock import Clock
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.identity import make_identity
from plasmatui.sim.machine import Machine, Phase
from plasmatui.sim.services import BootServices, ServiceOptions
from plasmatui.sim.shell import Shell, System
from plasmatui.sim.steps import Step
from plasmatui.sim.system import InstalledSystem, past_builds


async def until(condition: Callable[[], bool], limit: float = 5.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - state without an event
            await asyncio.sleep(0.002)


class Watched(Machine):
    """A fast machine whose console output is kept."""

    def __init__(self, services: BootServices, speed: float = 400) -> None:
        identity, faults = make_identity(0, 4, 1), NodeFaults()
        super().__init__(identity, Clock(speed), faults, services)
        services.clients[str(identity.provisioning)] = Client(identity.name, self.profile, identity.macs, faults)
        self.output = bytearray()
        self.line.attach(self.output.extend)


SMALL = ServiceOptions(kernel_size=20_000, initrd_size=100_000)


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[BootServices]:
    made = BootServices(SMALL, tmp_path / "logs", Clock())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def machine(services: BootServices) -> AsyncIterator[Watched]:
    made = Watched(services)
    yield made
    await made.stop()


async def test_power_takes_its_time(machine: Watched) -> None:
    machine.order(PowerAction.ON)
    assert not machine.powered
    await until(lambda: machine.powered)
    machine.order(PowerAction.OFF)
    assert machine.powered
    await until(lambda: not machine.powered)
    assert machine.phase is Phase.OFF
    assert (machine.counters.powered_on, machine.counters.powered_off) == (1, 1)


async def test_an_empty_machine_boots_from_the_network_and_an_installed_one_from_its_disk(
    services: BootServices,
) -> None:
    for installed, device, host in ((False, Device.PXE, b"nixos"), (True, Device.DISK, b"node01")):
        machine = Watched(services)
        machine.installed = installed
        machine.order(PowerAction.ON)
        await until(lambda machine=machine: machine.phase is Phase.UP)  # type: ignore[misc]
        assert machine.booted is device
        assert bytes(machine.output).endswith(host + b" login: ")
        await machine.stop()


async def test_a_one_shot_override_holds_for_one_boot(machine: Watched) -> None:
    machine.installed = True
    machine.set_flags(BootFlags.of(Device.PXE))
    machine.order(PowerAction.ON)
    await until(lambda: machine.counters.boots == 1)
    assert machine.booted is Device.PXE
    machine.order(PowerAction.RESET)
    await until(lambda: machine.counters.boots == 2)
    assert machine.booted is Device.DISK


async def test_a_persistent_override_stays(machine: Watched) -> None:
    machine.installed = True
    machine.set_flags(BootFlags.of(Device.PXE, persistent=True))
    machine.order(PowerAction.ON)
    await until(lambda: machine.counters.boots == 1)
    machine.order(PowerAction.CYCLE)
    await until(lambda: machine.counters.boots == 2)
    assert machine.booted is Device.PXE
    assert (machine.counters.powered_on, machine.counters.powered_off) == (2, 1)


async def test_setup_screen_and_the_way_out(machine: Watched) -> None:
    machine.set_flags(BootFlags.of(Device.BIOS))
    machine.order(PowerAction.ON)
    await until(lambda: machine.phase is Phase.SETUP)
    assert b"Setup Utility" in machine.output
    machine.type(b"\x1b")
    await until(lambda: machine.counters.boots == 2)
    assert machine.booted is Device.PXE


async def test_soft_off_stops_the_system_first(machine: Watched) -> None:
    machine.start_running()
    await until(lambda: machine.phase is Phase.UP)
    machine.order(PowerAction.SOFT)
    await until(lambda: not machine.powered)
    assert b"Stopped \x1b[0;1;39mSSH Daemon" in machine.output
    assert b"reboot: Power down" in machine.output


async def test_orders_without_effect(machine: Watched) -> None:
    for action in (PowerAction.OFF, PowerAction.SOFT, PowerAction.RESET):
        machine.order(action)
    machine.faults.set("power-stuck")
    machine.order(PowerAction.ON)
    await asyncio.sleep(0.05)  # longer than any of them takes at this speed
    assert not machine.powered
    assert machine.counters.orders == 4


async def test_silent_console(machine: Watched) -> None:
    machine.faults.set("console-silent")
    machine.order(PowerAction.ON)
    await until(lambda: machine.phase is Phase.UP)
    assert not machine.output


async def test_a_running_machine_logs_now_and_then(machine: Watched) -> None:
    machine.start_running()
    await until(lambda: machine.output.count(b"\n") >= 4)
    assert machine.output.endswith(b"node01 login: ")


async def test_reboot_from_the_shell(machine: Watched) -> None:
    machine.start_running()
    await until(lambda: machine.phase is Phase.UP)
    machine.type(b"root\r\rreboot\r")
    await until(lambda: machine.counters.boots == 1)
    assert b"reboot: Restarting system" in machine.output
    assert machine.powered
    assert machine.counters.powered_off == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(list(PowerAction)), min_size=1, max_size=6))
async def test_any_series_of_orders_ends_in_the_state_of_the_last_one_that_counts(
    tmp_path: Path, orders: list[PowerAction]
) -> None:
    machine = Watched(BootServices(SMALL, tmp_path, Clock()), speed=2000)
    machine.installed = True
    expected = False
    for order in orders:
        machine.order(order)
        if order in (PowerAction.ON, PowerAction.CYCLE):
            expected = True
        elif order in (PowerAction.OFF, PowerAction.SOFT):
            expected = False
        await until(lambda: machine.powered is expected and machine.phase in (Phase.UP, Phase.OFF))  # noqa: B023
        assert (machine.phase is Phase.OFF) is not machine.powered
    await machine.stop()


def _play(directory: Path, index: int, device: Device, seed: int) -> tuple[bytes, float]:
    """Everything that a boot says without a download, and how long it takes."""
    services = BootServices(SMALL, directory, Clock())
    for kind in ("dhcp", "tftp"):
        (directory / f"{kind}.log").touch()
    identity = make_identity(index, 8, seed)
    facts = Boot(identity, device, "worker", identity.random("boot 1"), services, NodeFaults())
    scenes: dict[Device, Callable[[Boot], Iterable[Step]]] = {
        Device.PXE: pxerom.network_boot,
        Device.DISK: lambda boot: firmware.disk_loader(boot, system),
        Device.BIOS: firmware.setup,
    }
    system = InstalledSystem.with_history(past_builds(identity.name, boottext.services("worker")), lambda: 1e9, None)
    steps = [*firmware.self_test(facts), *scenes[device](facts)]
    if device is Device.DISK:
        steps += boottext.system(facts, None)
    for step in steps:
        if step.event is not None:
            step.event()
    return b"".join(step.data for step in steps), sum(step.delay for step in steps)


@pytest.mark.parametrize("device", [Device.PXE, Device.DISK, Device.BIOS])
def test_a_seed_decides_text_and_timing(tmp_path: Path, device: Device) -> None:
    for index in range(8):
        assert _play(tmp_path, index, device, 7) == _play(tmp_path, index, device, 7)
        assert _play(tmp_path, index, device, 7) != _play(tmp_path, index, device, 8)


def test_a_seed_decides_the_machine() -> None:
    rack = [make_identity(index, 50, 7) for index in range(50)]
    assert rack == [make_identity(index, 50, 7) for index in range(50)]
    for of in (lambda i: i.macs, lambda i: i.serial, lambda i: i.guid, lambda i: i.disk, lambda i: i.provisioning):
        assert len({of(identity) for identity in rack}) == 50
    assert {identity.uefi for identity in rack} == {True, False}


def make_shell() -> tuple[Shell, bytearray, list[str]]:
    output, left = bytearray(), list[str]()
    system = System("node01", "6.12", output.extend, lambda: 90.0, lambda: "[0.0] Linux\n[1.0] init", left.append)
    return Shell(system), output, left


def test_shell_echoes_and_answers() -> None:
    shell, output, left = make_shell()
    shell.feed(b"root\rsecret\r")
    assert b"secret" not in output
    output.clear()
    shell.feed(b"echo onn\x7fe\r")
    assert b"echo onn\x08 \x08e\r\none\r\n" in output
    shell.feed(b"hostname\rnonsense\rdmesg\r")
    assert b"\r\nnode01\r\n" in output
    assert b"-bash: nonsense: command not found" in output
    assert b"[0.0] Linux\r\n[1.0] init\r\n" in output
    shell.feed(b"exit\r")
    assert output.endswith(b"node01 login: ")
    shell.feed(b"root\r\rpoweroff\r")
    assert left == ["poweroff"]


@given(st.binary(max_size=200))
def test_shell_survives_any_input(data: bytes) -> None:
    shell, _, _ = make_shell()
    shell.feed(b"root\r\r")
    shell.feed(data)
    shell.interrupt_line("a line")
