"""One simulated machine: power, boot and what happens on its serial line. Both kinds of BMC drive it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from enum import StrEnum

from plasmatui.model.bmc import Device
from plasmatui.model.words import PowerAction
from plasmatui.sim import boottext, firmware, hostile, pxerom, sdr
from plasmatui.sim.background import IDLE_LINES, PAST_EVENTS
from plasmatui.sim.boot import Boot
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.clock import Clock
from plasmatui.sim.console import Line
from plasmatui.sim.faults import NodeFaults
from plasmatui.sim.fru import Fru
from plasmatui.sim.hosting import Hosting
from plasmatui.sim.identity import Identity
from plasmatui.sim.ipxe import Ipxe, Loaded
from plasmatui.sim.ipxescript import Ending
from plasmatui.sim.sel import SENSOR_SPECIFIC, Event, Sel
from plasmatui.sim.services import BootServices
from plasmatui.sim.shell import SYSRQ_HELP, Shell, System
from plasmatui.sim.steps import Player

POWER_ON_DELAY = 0.3
POWER_OFF_DELAY = 0.5
CYCLE_PAUSE = 1.0
RETRY_PAUSE = 30.0
_GRAIN = 0.02  # real seconds between bursts of numbered lines


class Phase(StrEnum):
    """What runs on the machine."""

    OFF = "off"
    BOOTING = "booting"
    SETUP = "setup"
    UP = "up"
    STUCK = "stuck"  # a boot that ended before the system was up
    STOPPING = "stopping"


@dataclass
class Counters:
    """How often something happened since the start of the rack."""

    powered_on: int = 0
    powered_off: int = 0
    resets: int = 0
    boots: int = 0
    orders: int = 0
    breaks: int = 0


class Machine(Hosting):
    """A machine and its state.

    Args:
        services: the boot server on its network.
        profile: of the inventory; console text names it.
        console_rate: when above 0, a running machine writes numbered lines at so many bytes per second instead of
            booting; `line.lines` counts them.
        tireless: its firmware begins again when nothing boots.

    Attributes:
        powered: what the BMC reports.
        flags: the boot override; booted: the device of the last boot.
    """

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        faults: NodeFaults,
        services: BootServices,
        profile: str = "worker",
        console_rate: float = 0.0,
        *,
        tireless: bool = False,
    ) -> None:
        super().__init__(identity, clock, faults, profile)
        self.services = services
        self.console_rate = console_rate
        self.tireless = tireless
        self.powered = False
        self.phase = Phase.OFF
        self.booted: Device | None = None
        self.flags = BootFlags()
        self.counters = Counters()
        self.line = Line(lambda: "console-silent" in faults)
        self.sel = Sel(clock.wall)
        self._identify_until = 0.0
        self._phase_since = 0.0
        self._task: asyncio.Task[None] | None = None
        self._shell: Shell | None = None
        self._boot: Boot | None = None
        self._sent_back = False
        self._sensor_phase = identity.random("sensors").uniform(0.0, 6.28)
        self._remember_the_past()

    def _remember_the_past(self) -> None:
        """A few events from before the rack was switched on: each machine has its own."""
        numbers = self.identity.random("events")
        now = int(self.clock.wall())
        times = sorted(now - numbers.randrange(3600, 60 * 86400) for _ in range(numbers.randint(2, 6)))
        for time_ in times:
            kind, sensor, data = numbers.choice(PAST_EVENTS)
            self.sel.restore(Event(time_, kind, sensor, SENSOR_SPECIFIC, data))

    def fru(self) -> Fru:
        return self.identity.fru()

    # Power

    def order(self, action: PowerAction) -> None:
        """Obey a power order, after the delay that hardware needs. Orders that change nothing are ignored."""
        self.counters.orders += 1
        if "power-stuck" in self.faults:
            return
        if action is PowerAction.ON:
            if not self.powered:
                self._run(self._power_on())
        elif not self.powered:
            if action is PowerAction.CYCLE:
                self._run(self._power_on())
        elif action is PowerAction.OFF:
            self._run(self._power_off())
        elif action is PowerAction.SOFT:
            self._run(self._soft_off())
        elif action is PowerAction.CYCLE:
            self._run(self._cycle())
        else:
            self._run(self._reset())

    def start_running(self) -> None:
        """Begin as a machine that was installed and switched on long ago."""
        self.powered = self.installed = True
        self._run(self._installed())

    async def stop(self) -> None:
        """End everything that runs here."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.end_host()

    def _run(self, work: Coroutine[object, object, None]) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work, name=f"sim-{self.name}")

    async def _power_on(self) -> None:
        await self.clock.sleep(POWER_ON_DELAY)
        self._switched_on()
        await self._boot_up()

    async def _power_off(self) -> None:
        await self.clock.sleep(POWER_OFF_DELAY)
        self._switched_off()

    async def _soft_off(self) -> None:
        self.sel.log(0x14, 0, b"\x00\xff\xff")  # power button pressed
        await self._shut_down("Power Off")
        self._switched_off()

    async def _cycle(self) -> None:
        await self._power_off()
        await self.clock.sleep(CYCLE_PAUSE)
        await self._power_on()

    async def _reset(self) -> None:
        await self.clock.sleep(POWER_ON_DELAY)
        self.counters.resets += 1
        await self._boot_up()

    async def _reboot(self) -> None:
        if self.host is not None and self.host.installer and self.installed:
            self._sent_back = "rebooted-to-network" in self.faults
        await self._shut_down("Reboot")
        await self._reset()

    async def _kexec(self) -> None:
        """Start the installer from a running system, without firmware; it takes the host key along."""
        key = self.host.host_key() if self.host is not None else None
        await self._shut_down("Kexec")
        self._enter(Phase.BOOTING)
        self.counters.boots += 1
        self.booted = Device.PXE
        boot = self._boot = self.with_host(self._make_boot(Device.PXE), None, self.counters.boots, key=key)
        if await Player(self.line, self.clock).perform(boottext.system(boot, None)):
            await self._stay_up()
        else:
            self._enter(Phase.STUCK)

    async def _installed(self) -> None:
        disk = self.system_disk
        assert disk is not None
        self.booted = Device.DISK
        self._boot = self.with_host(self._make_boot(Device.DISK), disk.system, self.counters.boots)
        self.reached("sshd.service")
        await self._stay_up()

    def _switched_on(self) -> None:
        self.powered = True
        self._sent_back = False
        self.counters.powered_on += 1
        self.sel.log(sdr.ACPI_STATE, 43, b"\x00\xff\xff")

    def _switched_off(self) -> None:
        self.powered = False
        self.counters.powered_off += 1
        self._enter(Phase.OFF)
        self.sel.log(sdr.ACPI_STATE, 43, b"\x05\xff\xff")

    def _enter(self, phase: Phase) -> None:
        if phase in (Phase.OFF, Phase.BOOTING):
            self.end_host()
        self.phase = phase
        self._phase_since = self.clock.now()
        self._shell = None

    # Boot

    async def _boot_up(self) -> None:
        self._enter(Phase.BOOTING)
        self.counters.boots += 1
        device = self._choose_device()
        self.flags = self.flags.consumed()
        self.booted = device
        self.sel.log(0x1D, 0, b"\x01\xff\xff")  # initiated by hard reset or power-on
        self._boot = self._make_boot(device)
        if self.console_rate > 0:
            self._enter(Phase.UP)
            await self._numbered_lines()
        if "hostile-console" in self.faults:
            self.line.write(hostile.everything())
        player = Player(self.line, self.clock)
        await player.play(firmware.self_test(self._boot))
        if device is Device.BIOS:
            await player.play(firmware.setup(self._boot))
            self._enter(Phase.SETUP)
        elif await self._start_system(self._boot, player):
            await self._stay_up()
        else:
            self._enter(Phase.STUCK)

    def _choose_device(self) -> Device:
        device = self.flags.device
        if device in (Device.PXE, Device.DISK, Device.BIOS):
            return device
        from_network = self._sent_back or "install-loop" in self.faults
        return Device.DISK if self.installed and not from_network else Device.PXE

    def _make_boot(self, device: Device) -> Boot:
        numbers = self.identity.random(f"boot {self.counters.boots}")
        return Boot(self.identity, device, self.profile, numbers, self.services, self.faults)

    async def _start_system(self, boot: Boot, player: Player) -> bool:
        """From the end of the self-test to the login prompt; False when the machine stops before it."""
        loaded: Loaded | None = None
        if boot.device is Device.PXE:
            outcome = await self._network_boot(boot, player)
            if outcome is Ending.SHELL:
                return False
            if isinstance(outcome, Loaded):
                loaded = outcome
            elif self.installed:  # the next entry of the boot order
                self.booted = Device.DISK
                boot = self._boot = replace(boot, device=Device.DISK)
            else:
                await player.play(pxerom.nothing_boots(boot))
                return False
        disk = self.system_disk
        if boot.device is Device.DISK:
            if disk is None:
                await player.play(pxerom.nothing_boots(boot))
                return False
            assert disk.system is not None
            await player.play(firmware.disk_loader(boot, disk.system))
        system = disk.system if disk is not None and boot.device is Device.DISK else None
        boot = self._boot = self.with_host(boot, system, self.counters.boots)
        return await player.perform(boottext.system(boot, loaded))

    async def _network_boot(self, boot: Boot, player: Player) -> Loaded | Ending:
        while True:
            outcome: Loaded | Ending = Ending.EXIT
            if await player.perform(pxerom.network_boot(boot)):
                outcome = await Ipxe(boot, player).run()
            if outcome is not Ending.EXIT or not self.tireless:
                return outcome
            await self.clock.sleep(RETRY_PAUSE)

    async def _shut_down(self, verb: str) -> None:
        """Stop the operating system, or nothing when none runs: firmware obeys at once."""
        running = self.phase is Phase.UP and self._boot is not None
        self._enter(Phase.STOPPING)
        if running and self._boot is not None:
            if verb == "Reboot" and "reboot-hangs" in self.faults:  # for ever, and sshd goes on
                await Player(self.line, self.clock).play(boottext.stop_job())
            self.end_host()
            await Player(self.line, self.clock).play(boottext.shutdown(self._boot, verb))
        else:
            await self.clock.sleep(POWER_OFF_DELAY)

    async def _stay_up(self) -> None:
        """The system is up: take input, and log a line now and then."""
        boot = self._boot
        assert boot is not None
        if self.console_rate > 0:
            self._enter(Phase.UP)
            await self._numbered_lines()
        self._enter(Phase.UP)
        assert self.host is not None
        if self.host.system is not None:
            self.host.system.start_units()
        host = boottext.login_prompt(boot).decode().split()[0]
        shell = Shell(System(host, self.host.kernel, self.line.write, self._uptime, self._dmesg, self.leave))
        self._shell = shell
        numbers = boot.numbers
        if boot.device is Device.PXE and not self._sent_back:
            await self._leave_installer()
        while True:
            if "hostile-console" in self.faults:
                await self.clock.sleep(numbers.uniform(0.5, 2.0))
                self.line.write(hostile.fragment(numbers))
                continue
            await self.clock.sleep(numbers.uniform(20.0, 60.0))
            shell.interrupt_line(f"[{self._uptime() + 30:12.6f}] {numbers.choice(IDLE_LINES)}")

    async def _leave_installer(self) -> None:
        """With the faults that say so: the installer ends with a reboot, and the boot order is wrong."""
        for fault in ("rebooted-to-network", "install-loop"):
            if fault in self.faults:
                await self.clock.sleep(self.faults.number(fault))
                if self.host is None or self.host.used:  # an install leaves it in its own time
                    return
                self._sent_back = fault == "rebooted-to-network"
                self._run(self._reboot())  # ends this task at its next wait

    async def _numbered_lines(self) -> None:
        begin, sent = time.monotonic(), 0
        while True:
            await asyncio.sleep(_GRAIN)
            if not self.line.clear_to_send:
                continue
            budget = (time.monotonic() - begin) * self.console_rate - sent
            burst = bytearray()
            while len(burst) < budget:
                burst += b"%012d the quick brown fox jumps over the lazy dog 0123456789\r\n" % self.line.lines
                self.line.lines += 1
            sent += len(burst)
            self.line.write(bytes(burst))

    # Operator

    def type(self, data: bytes) -> None:
        """Characters that arrive on the serial line."""
        if self._shell is not None:
            self._shell.feed(data)
        elif self.phase is Phase.SETUP and b"\x1b" in data:
            self._run(self._reset())

    def send_break(self) -> None:
        """A break on the serial line: the kernel answers with the help of its magic keys."""
        self.counters.breaks += 1
        if self._shell is not None:
            self._shell.interrupt_line(f"[{self._uptime() + 30:12.6f}] {SYSRQ_HELP}")

    def leave(self, how: str) -> None:
        ways = {"reboot": self._reboot, "kexec": self._kexec, "power-lost": self._power_off}
        self._run(ways.get(how, self._soft_off)())

    def _uptime(self) -> float:
        return self.clock.now() - self._phase_since

    def _dmesg(self) -> str:
        kernel = self.host.kernel if self.host is not None else ""
        return f"[    0.000000] Linux version {kernel}\n[    2.524556] Run /init as init process"

    # What a BMC sees

    def set_flags(self, flags: BootFlags) -> None:
        """Set the boot override, unless the fault `override-ignored` forbids it."""
        self.flags = replace(flags, valid=False, selector=0) if "override-ignored" in self.faults else flags

    @property
    def identify(self) -> float:
        """Seconds for which the identify light is still on; infinity: until switched off; 0: off."""
        return max(0.0, self._identify_until - time.monotonic())

    def set_identify(self, seconds: float) -> None:
        """Switch the light on for some seconds, 0 switches it off."""
        self._identify_until = time.monotonic() + seconds if seconds else 0.0

    def load(self) -> float:
        """How busy the machine is, 0 to 1."""
        if self.phase is Phase.BOOTING:
            return 0.8
        return 0.15 + 0.1 * math.sin(self.clock.now() / 91.0 + self._sensor_phase)

    def reading(self, sensor: sdr.Sensor) -> float | None:
        """What a sensor measures now, None without a value."""
        return sensor.reading(self.powered, self.load(), self.clock.now(), self._sensor_phase)
