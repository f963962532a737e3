"""Connections to nodes: whom they trust, why they are refused, and what a dead one costs the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from plasmatui.inventory.inventory import Ssh, SshEntry
from plasmatui.model.command import CommandError
from plasmatui.model.node import Node
from plasmatui.remote.failures import ConnectError, Why
from plasmatui.remote.hostkeys import Fingerprint, fingerprint_of
from plasmatui.remote.hosts import Hosts
from plasmatui.remote.opener import AT_ONCE
from plasmatui.remote.target import Role, target_of
from plasmatui.remote.trust import AcceptNew, Pinned, Trust
from tests.unit.remote.opensshd import SSHD, OpenSshd, free_port
from tests.unit.remote.rig import Rig, another_key, inventory, public_key


async def refused(hosts: Hosts, node: str = "node01", trust: Trust | None = None) -> ConnectError:
    host = hosts.installer(node, trust) if trust is not None else hosts.system(node)
    with pytest.raises(ConnectError) as caught:
        await host.run(["true"], limit=10)
    assert caught.value.message.startswith(f"ssh to {node} (") or caught.value.why is Why.JUMP
    assert caught.value.message.isprintable()
    return caught.value


async def works(hosts: Hosts, trust: Trust | None = None) -> None:
    host = hosts.installer("node01", trust) if trust is not None else hosts.system("node01")
    assert (await host.run(["echo", "here"], limit=10)).out == b"here\n"


def pin(key: str) -> Pinned:
    return Pinned(frozenset({fingerprint_of(key)}))


async def test_an_unknown_host_key_is_not_taken(inprocess: Rig) -> None:
    error = await refused(inprocess.hosts)
    assert (error.id, error.why, error.lasting) == ("ssh-refused", Why.UNKNOWN_KEY, True)
    assert f"{fingerprint_of(public_key(inprocess.server)).sha256} (ssh-ed25519) is not known" in error.message
    assert f"ssh -p {inprocess.server.port} root@127.0.0.1" in error.message


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_changed_host_key_is_not_taken(rig: Rig, kind: str) -> None:
    rig.known_hosts.unlink()
    rig.know(another_key(kind))
    error = await refused(rig.hosts)
    assert (error.id, error.why, error.lasting) == ("ssh-hostkey-changed", Why.HOST_KEY, True)
    assert f"ssh-keygen -R '[127.0.0.1]:{rig.server.port}'" in error.message
    rig.known_hosts.unlink()
    rig.know()
    await works(rig.hosts)


async def test_what_we_installed_we_know_better_than_known_hosts(inprocess: Rig) -> None:
    inprocess.know(another_key())
    await inprocess.hosts.keys.replace("node01", [public_key(inprocess.server)])
    await works(inprocess.hosts)
    await inprocess.hosts.system("node01").drop()
    await inprocess.hosts.keys.replace("node01", [another_key()])
    inprocess.know()
    assert (await refused(inprocess.hosts)).id == "ssh-hostkey-changed"


async def test_a_revoked_key_is_refused_also_when_we_know_it(inprocess: Rig) -> None:
    inprocess.known_hosts.write_text(f"@revoked * {public_key(inprocess.server)}\n")
    await inprocess.hosts.keys.replace("node01", [public_key(inprocess.server)])
    assert "is revoked" in (await refused(inprocess.hosts)).message


async def test_an_installer_is_known_by_what_its_console_showed(rig: Rig) -> None:
    wrong = pin(another_key())
    error = await refused(rig.hosts, trust=wrong)
    assert (error.id, error.why) == ("ssh-hostkey-changed", Why.HOST_KEY)
    assert "none of those that its console showed in this boot" in error.message
    assert (await refused(rig.hosts, trust=Pinned(frozenset()))).id == "ssh-hostkey-changed"
    right = Pinned(wrong.fingerprints | {Fingerprint(fingerprint_of(public_key(rig.server)).sha256)})
    await works(rig.hosts, right)


@pytest.mark.needs(SSHD)
async def test_a_pinned_key_is_asked_for_among_several(tmp_path: Path) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    (tmp_path / "rsa").touch(0o600)
    (tmp_path / "rsa").write_bytes(rsa.export_private_key())
    server = OpenSshd(tmp_path, [f"HostKey {tmp_path}/rsa"])
    await server.start()
    rig = Rig(server, tmp_path, Ssh(server.user, str(server.key_file)))
    try:
        await works(rig.hosts, pin(rsa.export_public_key().decode()))
    finally:
        await rig.hosts.close()
        await server.close()


async def test_accept_new_is_for_installers_whose_inventory_allows_it_and_for_one_boot(inprocess: Rig) -> None:
    with pytest.raises(CommandError, match="was not seen on its serial console") as caught:
        inprocess.hosts.installer("node01", AcceptNew("op1"))
    assert caught.value.lasting
    inprocess.ssh = replace(inprocess.ssh, host_keys="accept-new")
    hosts = inprocess.hosts = inprocess.made()
    await works(hosts, AcceptNew("op1"))
    assert hosts.installer("node01", AcceptNew("op1")).host_key in public_key(inprocess.server)
    await hosts.installer("node01", AcceptNew("op1")).drop()
    await inprocess.server.close()
    inprocess.server.host_key = asyncssh.generate_private_key("ssh-ed25519")
    await inprocess.server.start()
    error = await refused(hosts, trust=AcceptNew("op1"))
    assert error.id == "ssh-hostkey-changed"
    assert "not the one that it had before in this boot" in error.message
    await works(hosts, AcceptNew("op2"))
    assert (await refused(hosts)).why is Why.UNKNOWN_KEY  # the installed system is another thing


async def test_installer_and_system_never_share_a_connection(inprocess: Rig) -> None:
    await inprocess.hosts.keys.replace("node01", [public_key(inprocess.server)])
    trust = pin(public_key(inprocess.server))
    await works(inprocess.hosts)
    await works(inprocess.hosts, trust)
    assert inprocess.server.connections == 2
    installer = inprocess.hosts.installer("node01", trust)
    assert inprocess.hosts.installer("node01", pin(public_key(inprocess.server))) is installer
    inprocess.hosts.installer("node01", pin(another_key()))
    with pytest.raises(CommandError, match="was booted again since"):
        await installer.run(["true"], limit=10)


async def test_a_key_that_is_not_accepted_and_one_that_cannot_be_used(rig: Rig, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    rig.ssh = replace(rig.ssh, key=str(other))
    error = await refused(rig.made())
    assert (error.id, error.why, error.lasting) == ("ssh-refused", Why.DENIED, True)
    assert f"key {other} for user {rig.ssh.user} is not accepted" in error.message
    for content in (b"no key", asyncssh.generate_private_key("ssh-ed25519").export_private_key(passphrase="p")):
        other.write_bytes(content)
        error = await refused(rig.made())
        assert (error.why, error.lasting) == (Why.OWN_KEY, True)
    rig.ssh = replace(rig.ssh, key=str(tmp_path / "missing"))
    assert "cannot be used" in (await refused(rig.made())).message


@asynccontextmanager
async def listener(first: bytes | None) -> AsyncIterator[int]:
    """A port whose server says `first` and hangs up; None: it says nothing and stays."""
    open_: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.append(writer)
        if first is not None:
            writer.write(first)
            writer.transport.abort() if not first else writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in open_:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("first", "why", "text"),
    [
        (b"", Why.DROPPED, "PerSourcePenalties"),
        (b"Not allowed at this time\r\n", Why.DROPPED, "Not allowed|ended the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Why.DROPPED, "ended the connection"),
        (None, Why.SILENT, "no answer within 0.3 s"),
    ],
)
async def test_a_port_that_turns_us_away(inprocess: Rig, first: bytes | None, why: Why, text: str) -> None:
    async with listener(first) as port:
        hosts = inprocess.made(inventory({"node01": SshEntry("127.0.0.1", port)}, inprocess.ssh), 0.3)
        error = await refused(hosts)
    assert (error.id, error.lasting) == ("ssh-refused", False)
    assert error.why in (why, Why.PROTOCOL)
    assert any(part in error.message for part in text.split("|")), error.message


async def test_nobody_listens_and_no_such_name(inprocess: Rig) -> None:
    nodes = {"node01": SshEntry("127.0.0.1", free_port()), "node02": SshEntry("nosuch.invalid")}
    hosts = inprocess.made(inventory(nodes, inprocess.ssh))
    assert (await refused(hosts)).why is Why.REFUSED
    assert (await refused(hosts, "node02")).why is Why.NAME


async def test_hosts_that_say_nothing_do_not_delay_one_that_answers(inprocess: Rig) -> None:
    inprocess.know()
    async with listener(None) as port:
        silent = {f"dead{n}": SshEntry("127.0.0.1", port) for n in range(2 * AT_ONCE)}
        hosts = inprocess.made(inventory({**silent, "node01": inprocess.entry}, inprocess.ssh), 60)
        waiting = [asyncio.create_task(hosts.system(name).run(["true"], limit=10), name=name) for name in silent]
        await asyncio.sleep(0)
        await works(hosts)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await hosts.close()


@pytest.mark.needs(SSHD)
async def test_through_a_jump_host(openssh: Rig, tmp_path: Path) -> None:
    behind = tmp_path / "behind"
    behind.mkdir()
    node = OpenSshd(behind)
    node.user_key = openssh.server.user_key
    await node.start()
    nodes = {"node01": SshEntry("127.0.0.1", node.port), "node02": SshEntry("127.0.0.1", free_port())}
    ssh = replace(openssh.ssh, jump=f"{openssh.ssh.user}@127.0.0.1:{openssh.server.port}")
    hosts = openssh.made(inventory(nodes, ssh))
    await hosts.keys.add("node01", node.public_key)
    await hosts.keys.add("node02", node.public_key)
    try:
        error = await refused(hosts)
        assert (error.why, error.id) == (Why.JUMP, "ssh-refused")
        assert "its host key is not known" in error.message
        openssh.know()
        await works(hosts)
        assert openssh.server.connections == 1
        error = await refused(hosts, "node02")
        assert error.why is Why.REFUSED
        assert "jump host" in error.message
        await hosts.system("node01").drop()
        openssh.server.drop()
        await works(hosts)
    finally:
        await hosts.close()
        await node.close()


async def test_another_inventory_moves_the_next_connection_only(inprocess: Rig, tmp_path: Path) -> None:
    inprocess.know()
    hosts = inprocess.hosts
    host = hosts.system("node01")
    told: list[bytes] = []
    begun = asyncio.Event()

    def take(data: bytes, error: bool) -> None:
        told.append(data)
        begun.set()

    go = tmp_path / "go"
    script = 'echo begun; while [ ! -e "$1" ]; do sleep 0.02; done; echo ended'
    running = asyncio.create_task(host.stream(["sh", "-c", script, "sh", str(go)], take, limit=20), name="runs")
    await begun.wait()
    hosts.retarget(inprocess.inventory)
    assert host.connected
    hosts.retarget(inventory({"node01": SshEntry("127.0.0.1", free_port())}, inprocess.ssh))
    assert (await refused(hosts)).why is Why.REFUSED
    go.touch()
    assert (await running).err == b"begun\nended\n"
    assert inprocess.server.connections == 1
    hosts.retarget(inventory({}, inprocess.ssh))
    with pytest.raises(CommandError, match="node01 is not in the inventory"):
        hosts.system("node01")
    with pytest.raises(CommandError, match="node01 is not in the inventory"):
        await host.run(["true"], limit=10)


def test_which_address() -> None:
    found = inventory({}, Ssh("ops", sudo=True, port=2222))
    found.nodes["a"] = Node("a", provisioning_ip="10.0.1.1", production_ip="10.0.2.1")
    found.nodes["b"] = Node("b", provisioning_ip="10.0.1.2")
    found.nodes["c"] = Node("c", production_ip="10.0.2.3")
    found.nodes["d"] = Node("d", provisioning_ip="10.0.1.4", production_ip="10.0.2.4")
    found.ssh_entries.update(d=SshEntry("gate", 2204), b=SshEntry("", 2202))

    def where(node: str, role: Role) -> tuple[str, int]:
        target = target_of(found, node, role)
        assert (target.user, target.sudo) == ("ops", True)
        return target.address, target.port

    assert where("a", Role.INSTALLER) == ("10.0.1.1", 2222)
    assert where("a", Role.SYSTEM) == ("10.0.2.1", 2222)
    assert where("b", Role.SYSTEM) == ("10.0.1.2", 2202)
    assert where("d", Role.INSTALLER) == where("d", Role.SYSTEM) == ("gate", 2204)
    with pytest.raises(CommandError, match=r"c has no provisioning_ip and no ssh\.address"):
        target_of(found, "c", Role.INSTALLER)
    assert not target_of(replace(found, ssh=Ssh("root", sudo=True)), "a", Role.SYSTEM).sudo
