"""Machines over SSH: when they answer, to whom, and that their commands act on the model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.inventory.loader import load
from plasmatui.model.command import CommandError
from plasmatui.model.words import PowerAction
from plasmatui.nix import disks, generations
from plasmatui.nix.anywhere import parse_installer
from plasmatui.remote.hosts import Hosts
from plasmatui.sim.machine import Phase
from plasmatui.sim.rack import Rack, RackOptions
from plasmatui.sim.shellparse import ShellSyntaxError, parse
from plasmatui.sim.system import make_toplevel
from plasmatui.sim.units import UnitState
from tests.unit.sim.nodes import Remote, connect, reachable, until

PROFILE = "/nix/var/nix/profiles/system"


@pytest.fixture
async def rack() -> AsyncIterator[Rack]:
    """node01 runs an installed system, node02 is off and has none."""
    async with Rack(RackOptions(nodes=2, port=0, on=1, speed=400)) as made:
        await reachable(made.machines["node01"])
        yield made


@pytest.fixture
async def node(rack: Rack) -> AsyncIterator[Remote]:
    async with connect(rack, "node01") as connection:
        yield Remote(connection)


@pytest.fixture
async def installer(rack: Rack) -> AsyncIterator[Remote]:
    rack.machines["node02"].order(PowerAction.ON)
    await reachable(rack.machines["node02"])
    async with connect(rack, "node02") as connection:
        yield Remote(connection)


async def test_a_machine_answers_while_its_system_is_up_and_drops_everybody_when_it_ends(rack: Rack) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect(rack, "node02")
    machine = rack.machines["node01"]
    async with connect(rack, "node01") as connection:
        machine.order(PowerAction.OFF)
        await until(lambda: not machine.powered)
        await asyncio.wait_for(connection.wait_closed(), 5)
    with pytest.raises(ConnectionRefusedError):
        await connect(rack, "node01")


async def test_a_taken_port_costs_ssh_and_nothing_else(rack: Rack) -> None:
    sshd, machine = rack.nodes["node02"].sshd, rack.machines["node02"]
    with socket.create_server((sshd.address, sshd.port)):
        machine.order(PowerAction.ON)
        await until(lambda: machine.phase is Phase.UP)
    machine.order(PowerAction.CYCLE)
    await until(lambda: machine.phase is not Phase.UP)
    await reachable(machine)
    async with connect(rack, "node02"):
        pass


async def test_only_the_racks_key_is_taken(rack: Rack) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(rack, "node01", client_keys=[asyncssh.generate_private_key("ssh-ed25519")])
    await rack.set_fault("node01", "ssh-denied")
    with pytest.raises(asyncssh.PermissionDenied):
        await connect(rack, "node01")
    await rack.clear_faults("node01")
    await rack.set_fault("node01", "ssh-refused")
    with pytest.raises(ConnectionRefusedError):
        await connect(rack, "node01")
    await rack.clear_faults("node01")
    async with connect(rack, "node01"):
        pass
    assert rack.provisioning.ssh_key.stat().st_mode & 0o777 == 0o600


async def test_the_key_that_the_console_shows_is_the_one_that_sshd_shows(rack: Rack, installer: Remote) -> None:
    host = rack.machines["node02"].host
    assert host is not None
    key = installer.connection.get_server_host_key()
    assert key is not None
    assert key.get_fingerprint() == host.fingerprint().split()[1]
    said = await installer("ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub")
    assert said.out.strip() == host.fingerprint()
    await rack.set_fault("node02", "ssh-hostkey-changed")
    async with connect(rack, "node02") as connection:
        other = connection.get_server_host_key()
        assert other is not None
        assert other.get_fingerprint() != key.get_fingerprint()


async def test_an_installed_machine_keeps_its_host_key_over_reboots(rack: Rack, node: Remote) -> None:
    key = node.connection.get_server_host_key()
    before = await node("cat", "/proc/sys/kernel/random/boot_id")
    machine = rack.machines["node01"]
    await node("systemctl", "reboot")
    await until(lambda: machine.host is None)
    await reachable(machine)
    async with connect(rack, "node01") as connection:
        assert connection.get_server_host_key() == key
        after = await Remote(connection)("cat", "/proc/sys/kernel/random/boot_id")
    assert before.out != after.out


async def test_the_installer_says_what_it_is(rack: Rack, node: Remote, installer: Remote) -> None:
    assert parse_installer((await installer("cat", "/etc/os-release")).out)
    assert not parse_installer((await node("cat", "/etc/os-release")).out)
    assert (await node("hostname")).out == "node01\n"
    assert (await installer("hostname")).out == "nixos\n"
    await rack.set_fault("node02", "not-an-installer")
    assert not parse_installer((await installer("cat", "/etc/os-release")).out)


async def test_disks_are_listed_as_the_product_reads_them(rack: Rack, installer: Remote) -> None:
    identity = rack.machines["node02"].identity
    listing = await installer(*disks.LSBLK_ARGV)
    links = await installer(*disks.LINKS_ARGV)
    found = disks.parse_disks(listing.out.encode(), links.out)
    assert len(found) == 2
    matched = disks.match([identity.disk], found)
    assert [disk.contents for disk in matched.disks] == ["empty"]
    assert matched.problems == ()
    plain = [disk.path for disk in found]
    await rack.set_fault("node02", "disko-device-busy")
    busy = disks.match([identity.disk], disks.parse_disks((await installer(*disks.LSBLK_ARGV)).out.encode(), links.out))
    assert [problem.finding for problem in busy.problems] == ["disko-device-busy"]
    await rack.clear_faults("node02")
    await rack.set_fault("node02", "disko-device-missing")
    gone = disks.parse_disks(
        (await installer(*disks.LSBLK_ARGV)).out.encode(), (await installer(*disks.LINKS_ARGV)).out
    )
    assert [problem.reason for problem in disks.match([identity.disk], gone).problems] == ["missing"]
    assert [disk.path for disk in gone] == plain[1:]


async def test_disks_that_the_installer_finds_in_another_order(rack: Rack) -> None:
    machine = rack.machines["node02"]
    await rack.set_fault("node02", "disk-order-differs")
    machine.order(PowerAction.ON)
    await reachable(machine)
    async with connect(rack, "node02") as connection:
        shown = await Remote(connection)("readlink", "-f", machine.identity.disk)
    assert shown.out.strip() in ("/dev/nvme1n1", "/dev/sdb")


async def test_generations_as_the_product_reads_them(node: Remote) -> None:
    listed = generations.parse_list((await node(*generations.LIST_ARGV)).out.encode())
    assert [(entry.number, entry.current) for entry in listed] == [(3, True), (2, False), (1, False)]
    table = generations.parse_list((await node("nixos-rebuild", "list-generations")).out.encode())
    assert [(entry.number, entry.version, entry.kernel) for entry in table] == [
        (entry.number, entry.version, entry.kernel) for entry in listed
    ]
    linked = generations.parse_links((await node(*generations.LINKS_ARGV)).out)
    assert [(entry.number, entry.current, entry.version) for entry in linked] == [
        (entry.number, entry.current, entry.version) for entry in listed
    ]
    state = generations.parse_state((await node(*generations.STATE_ARGV)).out)
    assert (state.word, state.reboot_needed) == ("clean", False)
    assert state.booted == linked[0].path


async def test_a_generation_is_chosen_activated_and_booted(rack: Rack, node: Remote) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    chosen = await node(*generations.choose_argv(2))
    assert chosen.err == "switching profile from version 3 to 2\n"
    assert system.default == 3  # the profile alone changes nothing
    unit = "plasmatui-activate.service"
    assert (await node(*generations.activate_argv(unit, generations.When.SWITCH))).code == 0

    async def state() -> generations.UnitState:
        return generations.parse_unit((await node(*generations.unit_argv(unit))).out)

    assert (await state()).running
    again = await node(*generations.activate_argv(unit, generations.When.SWITCH))
    assert (again.code, "was already loaded" in again.err) == (1, True)
    await until(lambda: system.units[unit].state is UnitState.ACTIVE)
    assert await state() == generations.UnitState(known=True, running=False, code=0)
    log = await node(*generations.unit_log_argv(unit))
    assert "activating the configuration..." in log.out
    for argv in generations.release_argvs(unit):
        await node(*argv)
    assert not (await state()).known
    assert (system.default, system.current) == (2, system.generations[2].build)
    compared = generations.parse_state((await node(*generations.STATE_ARGV)).out)
    assert (compared.word, compared.reboot_needed) == ("switched", True)
    assert (await node(*generations.choose_argv(99))).err == "error: profile version 99 does not exist\n"


@pytest.mark.parametrize("code", [1, 2, 4, 100])
async def test_activations_that_fail(rack: Rack, node: Remote, code: int) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    before = system.current
    await rack.set_fault("node01", f"switch-fails={code}")
    await node(*generations.choose_argv(1))
    done = await node(f"{PROFILE}/bin/switch-to-configuration", "switch")
    assert done.code == code
    assert (system.current is not before) is generations.explain_code(code).switched
    if code == 4:
        assert generations.failed_units(done.err) == ("plasmavmc.service",)
        assert (await node("systemctl", "is-system-running")).out == "degraded\n"


async def test_a_boot_partition_without_room_is_no_failure(rack: Rack, node: Remote) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    await rack.set_fault("node01", "boot-full")
    await node(*generations.choose_argv(1))
    done = await node(f"{PROFILE}/bin/switch-to-configuration", "boot")
    assert (done.code, system.default) == (0, 3)
    assert "No space left on device" in done.err
    assert (await node("df", "--output=pcent", "/boot")).out.split()[-1] == "100%"


async def test_a_trial_boot_and_a_generation_that_does_not_boot(rack: Rack, node: Remote) -> None:
    machine = rack.machines["node01"]
    system = machine.system
    assert system is not None
    system.oneshot = 2  # as bootctl does it; see the test below for machines with UEFI
    await rack.set_fault("node01", "generation-unbootable=2")
    await node("reboot")
    await until(lambda: machine.phase.value == "stuck")
    assert machine.system is None
    machine.order(PowerAction.RESET)
    await reachable(machine)
    assert system.booted is system.generations[3].build


async def test_a_one_shot_entry_of_the_boot_menu(rack: Rack, node: Remote) -> None:
    machine = rack.machines["node01"]
    system = machine.system
    assert system is not None
    done = await node(*generations.trial_argv(2))
    assert (done.code, system.oneshot) == ((0, 2) if machine.identity.uefi else (1, None))


async def test_a_new_system_is_set_and_tried(rack: Rack, node: Remote) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    assert system.current is not None
    build = make_toplevel("node01", "25.11.20251115.abc1234", "6.12.58", system.current.services)
    refused = await node(*generations.set_profile_argv(build.path))
    assert (refused.code, refused.err) == (1, f"error: path '{build.path}' is not valid\n")
    system.store[build.path] = build
    rack.machines["node01"].host.store[build.path] = build  # type: ignore[union-attr]
    assert (await node(f"{build.path}/bin/switch-to-configuration", "test")).code == 0
    state = generations.parse_state((await node(*generations.STATE_ARGV)).out)
    assert (state.word, state.current) == ("trial", build.path)
    assert (await node(*generations.set_profile_argv(build.path))).code == 0
    assert (await node(f"{PROFILE}/bin/switch-to-configuration", "boot")).code == 0
    assert (system.profile, system.default) == (4, 4)
    newest = generations.parse_list((await node(*generations.LIST_ARGV)).out.encode())[0]
    assert (newest.number, newest.current, newest.version) == (4, True, build.version)


async def test_an_armed_return_to_the_old_system_is_disarmed_or_happens(rack: Rack, node: Remote) -> None:
    """A timer that re-activates what was, unless somebody who still gets in stops it."""
    host = rack.machines["node01"].host
    assert host is not None
    for delay, disarmed in (("3min", True), ("1s", False)):
        armed = await node("systemd-run", f"--on-active={delay}", "--unit=rollback", "touch", f"/root/{delay}")
        assert armed.code == 0
        if disarmed:
            assert (await node("systemctl", "stop", "rollback.timer")).code == 0
        else:
            await until(lambda: host.files.find("/root/1s"))
    await until(lambda: not any(task.get_name().endswith("unit") for task in host.tasks))
    assert host.files.find("/root/3min") is None


async def test_units_and_the_journal(rack: Rack, node: Remote) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    await until(lambda: system.units.is_active("k8shost"))
    assert (await node("systemctl", "stop", "chainfire", "flaredb.service")).code == 0
    active = await node("systemctl", "is-active", "chainfire", "plasmavmc")
    assert (active.code, active.out) == (0, "inactive\nactive\n")
    assert (await node("systemctl", "stop", "nonsense")).code == 5
    assert (await node("systemctl", "start", "chainfire")).code == 0
    units = json.loads((await node("systemctl", "list-units", "--output=json", "ia*")).out)
    assert [(unit["unit"], unit["active"]) for unit in units] == [("iam.service", "active")]
    system.units.log("chainfire", {"level": "INFO", "message": "hello"})
    lines = (await node("journalctl", "-o", "json", "-u", "chainfire", "-n", "1")).out.splitlines()
    entry = json.loads(lines[0])
    assert (len(lines), json.loads(entry["MESSAGE"])["message"]) == (1, "hello")
    assert entry["_SYSTEMD_UNIT"] == "chainfire.service"


async def test_services_are_asked_on_the_node_itself(rack: Rack, node: Remote) -> None:
    port = rack.cluster.ports["iam"]
    await until(lambda: rack.machines["node01"].system.units.is_active("iam"))  # type: ignore[union-attr]
    url = f"https://localhost:{port}/health"
    health = await node("curl", "-sS", "--cacert", "/etc/nixos/secrets/ca-cert.pem", url)
    assert (health.code, json.loads(health.out)["status"]) == (0, "healthy")
    assert (await node("curl", "-k", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)).out == "200"
    assert (await node("curl", url)).code == 60
    assert (await node("curl", "http://node77.sim.example.com/")).code == 6
    await node("systemctl", "stop", "iam")
    assert (await node("curl", "-k", url)).code == 7


async def test_the_journal_is_followed_until_nobody_listens(rack: Rack, node: Remote) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    host = rack.machines["node01"].host
    assert host is not None
    async with node.connection.create_process("journalctl -f -n 0 -o cat -u chainfire") as process:
        await until(lambda: host.used and any("ssh" in task.get_name() for task in host.tasks))
        for number in range(3):
            system.units.log("chainfire", f"line {number}")
            assert await asyncio.wait_for(process.stdout.readline(), 5) == f"line {number}\n"
        process.terminate()
    await until(lambda: not host.tasks)


async def test_files_by_shell_and_by_sftp(rack: Rack, node: Remote) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    await node("install", "-d", "-m", "0700", "/etc/nixos/secrets")
    done = await node.line(
        "umask 077; cat > /etc/nixos/secrets/tls.key && chmod 600 /etc/nixos/secrets/tls.key", b"key\n"
    )
    assert (done.code, system.secrets["tls.key"]) == (0, (b"key\n", 0o600))
    async with node.connection.start_sftp_client() as sftp:
        await sftp.mkdir("/etc/nixos/secrets/new", asyncssh.SFTPAttrs(permissions=0o700))
        async with sftp.open("/etc/nixos/secrets/new/ca.pem", "wb", asyncssh.SFTPAttrs(permissions=0o640)) as file:
            await file.write(b"pem")
        assert (await sftp.stat("/etc/nixos/secrets/new/ca.pem")).permissions & 0o7777 == 0o640  # type: ignore[operator]
        await sftp.posix_rename("/etc/nixos/secrets/new/ca.pem", "/etc/nixos/secrets/ca.pem")
        assert {"ca.pem", "cluster-config.json", "new", "tls.key"} <= set(await sftp.listdir("/etc/nixos/secrets"))
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.open("/etc/nothing")
    assert system.secrets["ca.pem"] == (b"pem", 0o640)
    assert (await node("stat", "-c", "%a %s", "/etc/nixos/secrets/ca.pem")).out == "640 3\n"
    listed = await node.line(
        "tar -C / -cf /tmp/a.tar etc/nixos/secrets; mkdir /tmp/b; tar -C /tmp/b -xf /tmp/a.tar; ls /tmp/b"
    )
    assert (listed.code, listed.out) == (0, "etc\n")
    assert system.files.read("/tmp/b/etc/nixos/secrets/tls.key") == b"key\n"
    summed = await node.line("sha256sum /etc/nixos/secrets/ca*.pem | wc -l")
    assert summed.out == "2\n"


async def test_sudo_and_unknown_commands(rack: Rack) -> None:
    async with connect(rack, "node01", username="admin") as connection:
        node = Remote(connection)
        assert (await node("systemctl", "stop", "chainfire")).code == 1
        assert (await node("sudo", "-n", "systemctl", "stop", "chainfire")).code == 0
        await rack.set_fault("node01", "sudo-refused")
        refused = await node("sudo", "-n", "true")
        assert (refused.code, refused.err) == (1, "sudo: a password is required\n")
        unknown = await node("frobnicate", "--now")
        assert (unknown.code, unknown.err) == (127, "bash: line 1: frobnicate: command not found\n")


async def test_a_command_goes_on_when_its_connection_breaks(rack: Rack) -> None:
    system = rack.machines["node01"].system
    assert system is not None
    connection = await connect(rack, "node01")
    await connection.create_process("sh -c 'sleep 40; touch /root/finished'")
    host = rack.machines["node01"].host
    assert host is not None
    await until(lambda: host.tasks)
    connection.abort()
    await until(lambda: system.files.find("/root/finished") is not None)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8), min_size=1))
def test_a_quoted_vector_is_read_back(argv: list[str]) -> None:
    argv = ["env", *argv]
    pipelines = parse(shlex.join(argv))
    assert [[word.literal for word in pipeline.commands[0].words] for pipeline in pipelines] == [argv]


@given(st.text())
def test_any_text_is_a_command_line_or_a_syntax_error(text: str) -> None:
    with contextlib.suppress(ShellSyntaxError):
        assert all(pipeline.commands for pipeline in parse(text))


@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("a=x; echo $a ${a}y \"$a z\" '$a' ${b:-none}", "x xy x z $a none\n"),
        ("f=/proc/12/environ; p=${f#/proc/}; echo ${p%/environ}", "12\n"),
        ("echo one two | wc -c", "8\n"),
        ('echo $(echo a b) "$(echo c; echo d)"', "a b c\nd\n"),
        ("false || echo no; true && echo yes; ! false && echo not", "no\nyes\nnot\n"),
        ("sh -c 'echo $0 $2 $#' x 1 '2 3'", "x 2 3 2\n"),
        ("trap 'echo bye' EXIT; echo hello; exit 3; echo never", "hello\nbye\n"),
        ("echo err >&2; nonsense 2>/dev/null; echo $?", "127\n"),
        ("echo x > /root/f; echo y >> /root/f; cat < /root/f", "x\ny\n"),
        ("cd /tmp && [ 3 -eq 3 ] && [ 2 -lt 10 ] && echo less", "less\n"),
    ],
)
async def test_the_shells_language(node: Remote, line: str, out: str) -> None:
    assert (await node.line(line)).out == out


async def test_the_product_puts_and_gets_files_and_ends_programs(rack: Rack, tmp_path: Path) -> None:
    hosts = Hosts(load(rack.inventory_path), tmp_path / "keys")
    host = hosts.system("node01")
    system = rack.machines["node01"].system
    assert system is not None
    try:
        await host.put(b"secret", "/etc/nixos/secrets/new.key", mode=0o600, limit=5)
        assert system.secrets["new.key"] == (b"secret", 0o600)
        assert await host.get("/etc/nixos/secrets/new.key", limit=5) == b"secret"
        running = rack.machines["node01"].host
        assert running is not None
        with pytest.raises(CommandError, match="it was ended there"):
            await host.run(["sleep", "100000"], limit=0.3)
        await until(lambda: not running.tasks)
    finally:
        await hosts.close()
