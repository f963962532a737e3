"""Connections against a server on loopback: shared, reopened, and refused with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from plasmatui.inventory.inventory import Ssh
from plasmatui.model.command import CommandError, CommandStream
from plasmatui.remote.connections import Connections, split_host
from tests.unit.watch.sources.sshd import Sshd


@pytest.fixture
async def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sshd]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = Sshd(tmp_path)
    await server.start()
    yield server
    await server.close()


async def everything(stream: CommandStream) -> bytes:
    said = b""
    while data := await stream.read():
        said += data
    return said


async def test_one_connection_for_many_programs(sshd: Sshd) -> None:
    connections = sshd.connections_to()
    commands = connections.commands(sshd.host)
    streams = await asyncio.gather(*(commands.run(["echo", f"a '{n}' $HOME;ls"]) for n in range(5)))
    assert [await everything(stream) for stream in streams] == [f"a '{n}' $HOME;ls\n".encode() for n in range(5)]
    failed = await commands.run(["sh", "-c", "echo no >&2; exit 3"])
    assert await everything(failed) == b""
    assert (failed.status, failed.errors) == (3, "no\n")
    assert sshd.connections == 1
    await connections.close()


async def test_much_output_is_held_back_and_complete(sshd: Sshd) -> None:
    connections = sshd.connections_to()
    stream = await connections.commands(sshd.host).run(["head", "-c", "20000000", "/dev/zero"])
    await asyncio.sleep(0.2)  # nobody reads meanwhile
    first = await stream.read()
    assert len(first) < 6_000_000
    assert len(first) + len(await everything(stream)) == 20_000_000
    await connections.close()


async def test_a_lost_connection_is_said_and_opened_again(sshd: Sshd) -> None:
    connections = sshd.connections_to()
    commands = connections.commands(sshd.host)
    stream = await commands.run(["sleep", "60"])
    reading = asyncio.create_task(stream.read(), name="read")
    await asyncio.sleep(0)
    sshd.drop()
    with pytest.raises(CommandError, match="ssh to 127") as caught:
        await reading
    assert caught.value.id == "ssh-lost"
    assert not caught.value.lasting
    assert await everything(await commands.run(["echo", "again"])) == b"again\n"
    assert sshd.connections == 2
    await connections.close()


async def test_a_changed_host_key_is_never_accepted(sshd: Sshd) -> None:
    known = sshd.known_hosts(asyncssh.generate_private_key("ssh-ed25519"))
    connections = Connections(Ssh("root", str(sshd.directory / "id")), known_hosts=[known])
    with pytest.raises(CommandError, match=f"ssh-keygen -R '\\[127.0.0.1\\]:{sshd.port}'") as caught:
        await connections.commands(sshd.host).run(["true"])
    assert (caught.value.id, caught.value.lasting) == ("ssh-hostkey-changed", True)
    sshd.known_hosts()  # the operator mends the file
    await everything(await connections.commands(sshd.host).run(["true"]))
    await connections.close()


async def test_an_unknown_host_key_is_never_accepted(sshd: Sshd) -> None:
    for known in ([], [sshd.directory / "missing"]):
        connections = Connections(Ssh("root", str(sshd.directory / "id")), known_hosts=known)
        with pytest.raises(CommandError, match="is not known") as caught:
            await connections.commands(sshd.host).run(["true"])
        assert (caught.value.id, caught.value.lasting) == ("ssh-refused", True)


async def test_a_refused_key_and_a_missing_key(sshd: Sshd) -> None:
    (sshd.directory / "other").write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    with pytest.raises(CommandError, match="is not accepted") as caught:
        await sshd.connections_to("other").commands(sshd.host).run(["true"])
    assert caught.value.lasting
    with pytest.raises(CommandError, match="cannot be used"):
        await sshd.connections_to("nokey").commands(sshd.host).run(["true"])


async def test_nobody_listens(sshd: Sshd) -> None:
    connections = sshd.connections_to()
    await sshd.close()
    with pytest.raises(CommandError, match="see that sshd runs there") as caught:
        await connections.commands(sshd.host).run(["true"])
    assert (caught.value.id, caught.value.lasting) == ("ssh-refused", False)


async def test_a_host_that_says_nothing_has_a_limit(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = Connections(Ssh(), known_hosts=[], connect_limit=0.2)
    with pytest.raises(CommandError, match="no answer within"):
        await connections.commands(f"127.0.0.1:{port}").run(["true"])
    server.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("pxe01", ("root", "pxe01", None)),
        ("ops@pxe01:2222", ("ops", "pxe01", 2222)),
        ("[::1]:22", ("root", "::1", 22)),
        ("fe80::1", ("root", "fe80::1", None)),
    ],
)
def test_names_of_hosts(host: str, expected: tuple[str, str, int | None]) -> None:
    assert split_host(host, "root") == expected
