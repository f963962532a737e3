"""The stand-in of `nixos-anywhere`: an installation from end to end, by phases, and the ways in which it fails."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plasmatui.inventory.loader import load
from plasmatui.model.bmc import Device
from plasmatui.model.words import PowerAction, Stage
from plasmatui.nix import extrafiles, failures
from plasmatui.nix import flake as questions
from plasmatui.nix.anywhere import Features, Installation, Phase, parse_help, phase_argv, ssh_front
from plasmatui.nix.progress import AnywhereProgress
from plasmatui.sim.machine import Machine
from plasmatui.sim.rack import Rack, RackOptions
from tests.unit.sim.nodes import Remote, connect, reachable, until
from tests.unit.sim.toolbox import Ran, flake, host, run, site_arguments


@pytest.fixture
async def rack() -> AsyncIterator[Rack]:
    """node02 runs the installer."""
    async with Rack(RackOptions(nodes=2, port=0, on=1, speed=400)) as made:
        made.machines["node02"].order(PowerAction.ON)
        await reachable(made.machines["node02"])
        yield made


@pytest.fixture
def machine(rack: Rack) -> Machine:
    return rack.machines["node02"]


def call(rack: Rack, *more: str, node: str = "node02") -> tuple[str, ...]:
    return ("nixos-anywhere", "--flake", flake(rack, node), *site_arguments(rack, node), *more, host(rack, node))


def followed(ran: Ran) -> AnywhereProgress:
    progress = AnywhereProgress()
    progress.feed(ran.out)
    progress.finish()
    return progress


async def test_an_installation_in_one_run(rack: Rack, machine: Machine) -> None:
    done = await run(rack, *call(rack))
    assert done.code == 0
    assert done.marks == [
        "Uploading install SSH keys", "Gathering machine facts", "Formatting hard drive with disko",
        "Uploading the system closure", "Installing NixOS", "Rebooting",
        "Waiting for the machine to become unreachable due to reboot", "Done!",
    ]  # fmt: skip
    assert followed(done).state.done
    assert [disk.wipes for disk in machine.disks] == [1, 0]
    await until(lambda: machine.system)
    assert machine.system is not None
    assert (machine.booted, machine.system.boots, machine.system.profile) == (Device.DISK, 1, 1)
    assert machine.system.booted is not None
    assert machine.system.booted.node == "node02"


async def test_an_installation_by_phases_as_the_product_calls_it(rack: Rack, machine: Machine, tmp_path: Path) -> None:
    """Host keys pinned by what the console shows, secrets as extra files, each phase a call."""
    inventory = load(rack.inventory_path)
    built = questions.parse_built((await run(rack, *questions.build_argv("nix", flake(rack), "node02"))).out)
    features = parse_help((await run(rack, "nixos-anywhere", "--help")).out.decode())
    assert features == Features(phases=True, target_host=True, build_on=True, no_substitute=True)
    sshd = rack.nodes["node02"].sshd
    installation = Installation(
        "nixos-anywhere", features, sshd.address, built.script, built.toplevel, key=inventory.ssh.key, port=sshd.port,
        json_log=str(tmp_path / "log.json"),
    )  # fmt: skip
    tree = extrafiles.build(extrafiles.inspect("node02", inventory), tmp_path)
    assert tree is not None
    reached = []
    for phase, files in ((Phase.DISKO, ""), (Phase.INSTALL, str(tree.path)), (Phase.REBOOT, "")):
        done = await run(rack, *phase_argv(installation, phase, files))
        assert (done.code, done.marks[-1]) == (0, "Done!"), done.err
        reached.append(followed(done).state.stage)
    assert reached == [Stage.DISKO, Stage.BOOTLOADER, Stage.REBOOT]
    await until(lambda: machine.system)
    system = machine.system
    assert system is not None
    assert system.cluster_config is not None
    assert system.cluster_config["node_id"] == "node02"
    assert {name: mode for name, (_, mode) in system.secrets.items() if "key" in name} == {
        "node02-key.pem": 0o600, "ssh_host_ed25519_key": 0o600,
    }  # fmt: skip
    assert tree.host_key
    async with connect(rack, "node02") as connection:
        key = connection.get_server_host_key()
        assert key is not None
        assert key.export_public_key().decode().split()[1] == tree.host_key.split()[1]
    assert '"type":105' in (tmp_path / "log.json").read_text()


@pytest.mark.parametrize(
    ("fault", "code", "finding", "wipes"),
    [
        ("disko-device-missing", 4, "disko-device-missing", 0),
        ("disko-device-busy", 1, "disko-device-busy", 0),
        ("install-no-space", 1, "install-no-space", 1),
        ("install-copy-failed", 1, "install-copy-failed", 1),
        ("bootloader-failed", 1, "bootloader-failed", 1),
        ("install-flake-missing", 1, "install-flake-missing", 0),
        ("power-lost", 1, "install-copy-failed", 1),
    ],
)
async def test_failures(rack: Rack, machine: Machine, fault: str, code: int, finding: str, wipes: int) -> None:
    await rack.set_fault("node02", fault)
    done = await run(rack, *call(rack))
    assert done.code == code
    assert "Done!" not in done.marks
    assert machine.disks[0].wipes == wipes
    assert not machine.installed
    assert failures.explain(done.code, done.text, followed(done).state.stage).id == finding
    if fault == "power-lost":
        await until(lambda: not machine.powered)


async def test_a_machine_that_goes_away_while_it_is_formatted() -> None:
    async with Rack(RackOptions(nodes=1, port=0, on=0, speed=50)) as rack:
        machine = rack.machines["node01"]
        machine.order(PowerAction.ON)
        await reachable(machine)
        ran = Ran()
        task = asyncio.create_task(run(rack, *call(rack, node="node01"), into=ran))
        await until(lambda: "wipefs" in ran.err)
        machine.order(PowerAction.OFF)
        assert (await task).code == 255
        assert f"Connection to {rack.nodes['node01'].sshd.address} closed by remote host." in ran.err
        assert not machine.disks[0].partitions


async def test_no_key_is_copied_where_nobody_answers_and_it_never_ends(rack: Rack, machine: Machine) -> None:
    await rack.set_fault("node02", "ssh-refused")
    ran = Ran()
    task = asyncio.create_task(run(rack, *call(rack), into=ran))
    await until(lambda: ran.err.count("Connection refused") >= 3)
    await rack.clear_faults("node02")
    await rack.set_fault("node02", "ssh-denied")
    await until(lambda: ran.err.count("Permission denied (publickey") >= 3)
    assert not task.done()
    assert ran.marks == ["Uploading install SSH keys"]
    await rack.clear_faults("node02")
    assert (await task).code == 0
    assert machine.installed


async def test_a_reboot_that_hangs_is_waited_for(rack: Rack, machine: Machine) -> None:
    await rack.set_fault("node02", "reboot-hangs")
    ran = Ran()
    task = asyncio.create_task(run(rack, *call(rack), into=ran))
    await until(lambda: "Waiting for the machine to become unreachable due to reboot" in ran.marks)
    await until(lambda: ran.err.rpartition("installation finished")[2].count("Permanently added") > 8)
    assert not task.done()
    machine.order(PowerAction.RESET)
    assert (await task).code == 0


async def test_the_boot_order_is_wrong_after_the_installation(rack: Rack, machine: Machine) -> None:
    await rack.set_fault("node02", "rebooted-to-network=100000")
    boots = machine.counters.boots
    assert (await run(rack, *call(rack))).code == 0
    await until(lambda: machine.counters.boots > boots and machine.host is not None and machine.host.up)
    assert (machine.booted, machine.installed, machine.system) == (Device.PXE, True, None)


async def test_services_that_never_come_up_at_first_boot(rack: Rack, machine: Machine, tmp_path: Path) -> None:
    await rack.set_fault("node02", "first-boot-timeout")
    shutil.copytree(rack.provisioning.secrets / "node02", tmp_path / "x/etc/nixos/secrets")
    assert (await run(rack, *call(rack, "--extra-files", str(tmp_path / "x")))).code == 0
    await until(lambda: machine.system)
    system = machine.system
    assert system is not None
    await until(lambda: system.units["chainfire-cluster-join"].state == "failed")
    said = [entry.message for entry in system.journal.entries if entry.unit == "chainfire-cluster-join.service"]
    assert any("Health check timeout after 120s" in line for line in said)


async def test_secrets_that_everybody_may_read(rack: Rack, machine: Machine, tmp_path: Path) -> None:
    await rack.set_fault("node02", "secrets-modes")
    shutil.copytree(rack.provisioning.secrets / "node02", tmp_path / "x/etc/nixos/secrets")
    done = await run(rack, *call(rack, "--extra-files", str(tmp_path / "x"), "--chown", "/etc/nixos/secrets", "30:40"))
    assert (done.code, "Copying extra files" in done.marks) == (0, True)
    await until(lambda: machine.system)
    assert machine.system is not None
    assert {mode for _, mode in machine.system.secrets.values()} == {0o644}
    assert machine.system.files.stat("/etc/nixos/secrets/cluster-config.json").gid == 40


async def test_a_running_system_is_replaced_by_way_of_kexec(rack: Rack) -> None:
    machine = rack.machines["node01"]
    boots = machine.counters.boots
    assert machine.host is not None
    key = machine.host.host_key()
    port = str(rack.nodes["node01"].sshd.port)
    done = await run(rack, *call(rack, "--copy-host-keys", "--post-kexec-ssh-port", port, node="node01"))
    assert done.code == 0, done.err
    assert done.marks[1:4] == ["Gathering machine facts", "Switching system into kexec", "Gathering machine facts"]
    await until(lambda: machine.counters.boots == boots + 2 and machine.system)
    assert machine.system is not None
    assert (machine.system.boots, machine.disks[0].wipes) == (1, 1)
    assert machine.host.host_key() == key


async def test_a_system_that_is_no_installer_is_not_formatted(rack: Rack) -> None:
    machine = rack.machines["node01"]
    await rack.set_fault("node01", "kexec-fails")
    done = await run(rack, *call(rack, node="node01"))
    assert done.code == 1
    assert "Kexec failed" in done.err
    await rack.clear_faults("node01")
    await rack.set_fault("node01", "not-an-installer")
    port = str(rack.nodes["node01"].sshd.port)
    done = await run(rack, *call(rack, "--post-kexec-ssh-port", port, node="node01"))
    assert (done.code, done.err.splitlines()[-1]) == (1, "aborted: Failed to kexec into NixOS installer")
    assert machine.disks[0].wipes == 0


async def test_a_pinned_host_key(rack: Rack, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `ssh` before all others in PATH names the keys that are trusted; the installer's is not among them."""
    assert machine.host is not None
    known_hosts = tmp_path / "known_hosts"
    sshd = rack.nodes["node02"].sshd
    front = ssh_front(tmp_path / "front", known_hosts, str(rack.provisioning.tools))
    monkeypatch.setenv("PATH", str(front.parent), prepend=":")
    async with connect(rack, "node02") as connection:
        key = connection.get_server_host_key()
        assert key is not None
        public = " ".join(key.export_public_key().decode().split()[:2])
        answer = await Remote(connection)("true")
        assert answer.code == 0
    known_hosts.write_text(f"[{sshd.address}]:{sshd.port} {public}\n")
    done = await run(rack, *call(rack, "--phases", "disko"))
    assert done.code == 0
    assert not AnywhereProgress().feed(done.text).unpinned
    await rack.set_fault("node02", "ssh-hostkey-changed")
    ran = Ran()
    task = asyncio.create_task(run(rack, *call(rack), into=ran))
    await until(lambda: "Host key verification failed." in ran.err)
    task.cancel()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--flake", "x#y"), 1, "aborted: ssh-host must be set"),
        (("root@h",), 1, "aborted: --flake or --store-paths must be set"),
        (("--flake", "x", "root@h"), 1, "Please specify the name of the NixOS configuration"),
        (("--flake", "x#y", "--phases", "foo", "root@h"), 1, "aborted: Unknown phase: foo"),
        (("--build-on", "moon"), 1, "Unknown mode : moon"),
        (("--flake",), 1, "unbound variable"),
        (("--nonsense",), 1, ""),
        (("root@h", "root@i"), 1, ""),
        (("-s", "/nix/store/a", "/nix/store/b", "root@h"), 1, "must be existing store-paths"),
    ],
)
async def test_wrong_arguments(rack: Rack, arguments: tuple[str, ...], code: int, text: str) -> None:
    done = await run(rack, "nixos-anywhere", *arguments)
    assert done.code == code
    assert text in done.err
    assert bool(text) or done.out.startswith(b"Usage: nixos-anywhere")
