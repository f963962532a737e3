"""Disks, installed systems and their units: what machines run and what is left when they do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from plasmatui.model.bmc import Device
from plasmatui.model.words import PowerAction
from plasmatui.sim.bootflags import BootFlags
from plasmatui.sim.filetree import FileTree
from plasmatui.sim.machine import Machine, Phase
from plasmatui.sim.nodejournal import Journal
from plasmatui.sim.rack import Rack, RackOptions
from plasmatui.sim.system import InstalledSystem, make_toplevel, past_builds
from plasmatui.sim.units import NoSuchUnitError, Units, UnitState


async def until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - state without an event
            await asyncio.sleep(0.002)


@pytest.fixture
async def rack() -> AsyncIterator[Rack]:
    async with Rack(RackOptions(nodes=2, port=0, on=1, speed=400)) as made:
        yield made


def make_units() -> tuple[Units, Journal, list[tuple[str, bool]]]:
    journal = Journal(lambda: 1.0)
    units = Units(journal, lambda: 1.0)
    heard: list[tuple[str, bool]] = []
    units.on_change(lambda name, active: heard.append((name, active)))
    return units, journal, heard


def test_units_tell_when_they_become_active_and_cease_to_be() -> None:
    units, journal, heard = make_units()
    units.define("chainfire")
    units.start("chainfire")
    units.start("chainfire.service")
    units.restart("chainfire")
    units.fail("chainfire", "timeout")
    units.stop("chainfire")
    assert units["chainfire"].state is UnitState.FAILED
    units.reset_failed("chainfire")
    assert units["chainfire"].state is UnitState.INACTIVE
    assert heard == [("chainfire.service", active) for active in (True, False, True, False)]
    units.log("chainfire", {"level": "INFO", "message": "hello"})
    assert journal.entries[-1].message == '{"level":"INFO","message":"hello"}'
    assert [entry.message for entry in journal.entries if "result" in entry.message] == [
        "chainfire.service: Failed with result 'timeout'."
    ]
    with pytest.raises(NoSuchUnitError):
        units.start("nonsense")


def test_who_plays_a_unit_may_let_it_take_its_time() -> None:
    units, _, heard = make_units()
    units.define("join", oneshot=True)
    units.on_change(lambda name, active: units.set_state(name, UnitState.ACTIVATING) if active else None)
    units.start("join")
    assert units["join"].state is UnitState.ACTIVATING
    assert not units.is_active("join")
    assert heard == [("join.service", True), ("join.service", False)]


def test_generations_and_boot_entries() -> None:
    system = InstalledSystem.with_history(past_builds("n1", ("plasmavmc",)), lambda: 1e9, None)
    assert (system.profile, system.default, sorted(system.generations)) == (3, 3, [1, 2, 3])
    assert len({generation.date for generation in system.generations.values()}) == 3
    build = make_toplevel("n1", "25.11.1", "6.12.60", ("plasmavmc",))
    assert system.set_profile(build) == 4
    assert system.set_profile(build) == 4
    assert system.next_boot() == 3  # nobody wrote a boot entry
    assert system.set_boot_default(build.path)
    system.oneshot = 2
    assert [system.next_boot(), system.next_boot()] == [2, 4]
    assert not system.set_boot_default("/nix/store/x")
    system.profile = 2
    del system.generations[4]
    assert system.next_boot() == 2  # the default was deleted


def test_a_file_tree_follows_links_and_keeps_modes() -> None:
    tree = FileTree(lambda: 1.0)
    tree.put("/etc/nixos/secrets/tls.key", b"k", 0o600)
    tree.link("/etc/secrets", "nixos/secrets")
    assert tree.read("/etc/secrets/../secrets/tls.key") == b"k"
    tree.write("/etc/secrets/tls.key", b"other")
    assert (tree.read("/etc/nixos/secrets/tls.key"), tree.stat("/etc/secrets/tls.key").mode & 0o777) == (
        b"other",
        0o600,
    )
    assert tree.names("/etc") == ["nixos", "secrets"]
    with pytest.raises(OSError, match="not empty"):
        tree.remove("/etc/nixos")
    tree.link("/a", "/b")
    tree.link("/b", "/a")
    with pytest.raises(OSError, match="symbolic links"):
        tree.read("/a")
    tree.remove("/etc/nixos", recursive=True)
    with pytest.raises(FileNotFoundError):
        tree.read("/etc/secrets/tls.key")


async def test_a_running_system_has_its_services_and_its_cluster_configuration(rack: Rack) -> None:
    machine = rack.machines["node01"]
    heard: list[InstalledSystem | None] = []
    machine.on_system(heard.append)
    await until(lambda: machine.phase is Phase.UP)
    system = machine.system
    assert system is not None
    assert heard == [system]
    assert system.cluster_config is not None
    assert (system.cluster_config["node_id"], system.cluster_config["bootstrap"]) == ("node01", True)
    assert system.secrets["cluster-config.json"][1] == 0o600
    await until(lambda: system.units.is_active("chainfire-cluster-join"))
    assert system.units.is_active("k8shost")
    first = machine.host.boot_id if machine.host is not None else ""
    machine.order(PowerAction.RESET)
    await until(lambda: machine.system is None)
    assert heard[-1] is None
    assert not system.units.is_active("chainfire")
    await until(lambda: machine.system is system and system.units.is_active("chainfire"))
    assert machine.host is not None
    assert machine.host.boot_id != first


async def test_the_installer_is_no_installed_system(rack: Rack) -> None:
    machine = rack.machines["node02"]
    machine.order(PowerAction.ON)
    await until(lambda: machine.host is not None and machine.host.up)
    assert machine.system is None
    assert machine.host is not None
    assert machine.host.installer


async def test_a_disk_without_a_system_does_not_boot(rack: Rack) -> None:
    machine: Machine = rack.machines["node02"]
    output = bytearray()
    machine.line.attach(output.extend)
    machine.set_flags(BootFlags.of(Device.DISK))
    machine.order(PowerAction.ON)
    await until(lambda: machine.phase is Phase.STUCK)
    assert b"No bootable option" in output or b"Reboot and Select proper Boot device" in output


async def test_the_console_shows_the_fingerprint_of_the_installers_new_key(rack: Rack) -> None:
    machine, seen = rack.machines["node02"], set()
    for _ in range(2):
        output = bytearray()
        machine.line.attach(output.extend)
        machine.order(PowerAction.CYCLE)
        await until(lambda: machine.phase is Phase.UP and machine.booted is Device.PXE)
        assert machine.host is not None
        line = machine.host.fingerprint()
        assert line.startswith("256 SHA256:")
        assert line.endswith(" root@nixos (ED25519)")
        assert output.index(line.encode()) < output.index(b"nixos login: ")
        seen.add(line)
        machine.order(PowerAction.OFF)
        await until(lambda: not machine.powered)
    assert len(seen) == 2
