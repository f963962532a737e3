"""Programs and files on a node: on a server of asyncssh's and on OpenSSH's own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from plasmatui.model.command import CommandError, CommandFailedError, Completed
from plasmatui.remote import files
from plasmatui.remote.host import CHANNELS, Host
from tests.unit.remote.opensshd import SSHD
from tests.unit.remote.rig import Rig

WAITS = ["sh", "-c", "echo $$; exec sleep 1000"]


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pid: int) -> None:
    while runs(pid):  # noqa: ASYNC110 - another process ends it
        await asyncio.sleep(0.01)


async def started(host: Host, argv: list[str], limit: float = 60) -> tuple[asyncio.Task[Completed], int]:
    """A program that prints its process id, running."""
    pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def take(data: bytes, error: bool) -> None:
        if not pid.done():
            pid.set_result(int(data))

    task = asyncio.create_task(host.stream(argv, take, limit=limit), name="a program")
    await asyncio.wait({task, pid}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return task, await pid


async def test_arguments_input_output_and_status_are_what_they_are(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    odd = ["a'b", '"$HOME"', "x\ny", "", "*", "-n", "é\x7f"]
    done = await host.run(["printf", "%s\\0", *odd], limit=10)
    assert done == Completed(0, b"".join(part.encode() + b"\0" for part in odd))
    raw = bytes(range(256)) * 1000
    assert (await host.run(["cat"], input=raw, limit=10)).out == raw
    assert await host.run(["sh", "-c", "echo no >&2; exit 3"], limit=10) == Completed(3, err=b"no\n")
    assert (await host.run(["sh", "-c", "kill -9 $$"], limit=10)).status in (-9, 137)
    assert (await host.run(["nosuchprogram"], limit=10)).status == 127
    assert (await host.run(["true"], input=raw * 20, limit=10)).status == 0


async def test_a_failure_is_told_with_its_last_lines_clean(rig: Rig) -> None:
    script = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done; printf '\\033[2Jbad \\377\\n' >&2; exit 4"
    with pytest.raises(CommandFailedError, match=r"node01: sh -c .* ended with status 4") as caught:
        await rig.hosts.system("node01").run(["sh", "-c", script], limit=10, check=True)
    assert (caught.value.id, caught.value.node, caught.value.status) == ("command-failed", "node01", 4)
    assert caught.value.argv == ("sh", "-c", script)
    assert len(caught.value.lines) == 20
    assert "bad \N{REPLACEMENT CHARACTER}" in caught.value.lines
    assert str(caught.value).isprintable()


async def test_output_comes_while_the_program_runs(rig: Rig, tmp_path: Path) -> None:
    go = tmp_path / "go"
    seen: list[tuple[bytes, bool]] = []

    def take(data: bytes, error: bool) -> None:
        seen.append((data, error))
        if data == b"one\n":
            go.touch()

    script = 'echo one; while [ ! -e "$1" ]; do sleep 0.02; done; echo two >&2; exit 5'
    done = await rig.hosts.system("node01").stream(["sh", "-c", script, "sh", str(go)], take, limit=20)
    assert seen == [(b"one\n", False), (b"two\n", True)]
    assert done == Completed(5, err=b"one\ntwo\n")


async def test_what_takes_output_may_fail(rig: Rig) -> None:
    host = rig.hosts.system("node01")

    def fails(data: bytes, error: bool) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await host.stream(["sh", "-c", "echo x; exec sleep 1000"], fails, limit=20)
    assert (await host.run(["echo", "on"], limit=10)).out == b"on\n"


async def test_too_much_output_is_cut_and_said(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    done = await host.run(["head", "-c", "30000000", "/dev/zero"], limit=60, most=1000)
    assert (len(done.out), done.left_out) == (1000, 30_000_000 - 1000)
    noisy = await host.run(["sh", "-c", "head -c 1000000 /dev/zero >&2; echo end >&2"], limit=60)
    assert noisy.err.endswith(b"end\n")
    assert len(noisy.err) + noisy.left_out == 1_000_004


async def test_one_connection_for_more_programs_than_sshd_allows_at_once(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    done = await asyncio.gather(*(host.run(["echo", str(n)], limit=30) for n in range(CHANNELS + 4)))
    assert [each.out for each in done] == [f"{n}\n".encode() for n in range(CHANNELS + 4)]
    assert rig.server.connections == 1


async def test_a_session_that_the_server_has_no_room_for_is_tried_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plasmatui.remote.host.CHANNELS", 14)  # more than the ten of MaxSessions
    host = rig.hosts.system("node01")
    done = await asyncio.gather(*(host.run(["sh", "-c", f"sleep 0.3; echo {n}"], limit=30) for n in range(14)))
    assert [each.out for each in done] == [f"{n}\n".encode() for n in range(14)]


async def test_cancel_ends_the_program_there_and_says_so(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    task, pid = await started(host, WAITS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError, match=r"node01: sh -c .*: it was ended there"):
        await task
    await gone(pid)
    assert (await host.run(["echo", "on"], limit=10)).out == b"on\n"


async def test_a_limit_ends_the_program_there(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    task, pid = await started(host, WAITS, limit=1)
    with pytest.raises(CommandError, match="did not end within 1 s; it was ended there") as caught:
        await task
    assert caught.value.id == "ssh-timeout"
    await gone(pid)


@pytest.mark.needs(SSHD)
async def test_children_that_ignore_the_first_signal_are_ended_too(openssh: Rig) -> None:
    openssh.know()
    script = 'trap "" TERM; echo $$; while :; do sleep 1000; done'
    task, pid = await started(openssh.hosts.system("node01"), ["setsid", "--wait", "sh", "-c", script])
    task.cancel()
    with pytest.raises(asyncio.CancelledError, match="it was ended there"):
        await task
    await gone(pid)


async def test_a_connection_that_breaks_is_said_and_made_again(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    task, pid = await started(host, WAITS)
    rig.server.drop()
    with pytest.raises(CommandError, match="while a program ran there, which may still run") as caught:
        await task
    assert (caught.value.id, caught.value.lasting) == ("ssh-lost", False)
    assert (await host.run(["echo", "again"], limit=10)).out == b"again\n"
    await host.run(["sh", "-c", 'kill "$1" 2>/dev/null; true', "sh", str(pid)], limit=10)


async def test_dropped_by_ourselves(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    task, pid = await started(host, WAITS)
    await host.drop()
    assert not host.connected
    with pytest.raises(CommandError) as caught:
        await task
    assert caught.value.id == "ssh-lost"
    await host.run(["sh", "-c", 'kill "$1" 2>/dev/null; true', "sh", str(pid)], limit=10)


async def test_files_there_and_back(rig: Rig, tmp_path: Path) -> None:
    host = rig.hosts.system("node01")
    data = os.urandom(3_000_000)
    there = tmp_path / "it's here"
    await host.put(data, str(there), mode=0o640, limit=30)
    assert there.read_bytes() == data
    assert there.stat().st_mode & 0o7777 == 0o640
    assert await host.get(str(there), limit=30) == data
    local = tmp_path / "local"
    local.write_bytes(b"")
    await host.put(local, str(there), mode=0o600, limit=30)
    assert there.read_bytes() == b""
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
    with pytest.raises(CommandFailedError, match="node01: write /nonexistent/x ended with"):
        await host.put(b"x", "/nonexistent/x", mode=0o600, limit=30)
    with pytest.raises(CommandFailedError, match="cat"):
        await host.get("/nonexistent/x", limit=30)
    with pytest.raises(CommandError, match="has more than 5 bytes"):
        await host.get("/etc/passwd", limit=30, most=5)


def test_half_a_file_never_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    there = tmp_path / "file"
    there.write_text("old")
    for sent, ended, content in ((b"hal", 1, "old"), (b"whole", 0, "whole")):
        argv = files.put_argv(str(there), 0o600, 5, "t")
        assert subprocess.run(argv, input=sent, check=False).returncode == ended
        assert there.read_text() == content
        assert os.listdir(tmp_path) == ["file"]


async def test_boot_id(rig: Rig) -> None:
    host = rig.hosts.system("node01")
    assert await host.boot_id() == (await host.get("/proc/sys/kernel/random/boot_id", limit=10)).decode().strip()


@pytest.fixture
def as_ops(inprocess: Rig, tmp_path: Path) -> Rig:
    """Logged in as another user than root, with a `sudo` of the test's own first on PATH."""
    inprocess.know()
    inprocess.server.path = str(tmp_path / "bin")
    (tmp_path / "bin").mkdir()
    inprocess.ssh = replace(inprocess.ssh, user="ops", sudo=True)
    inprocess.hosts = inprocess.made()
    return inprocess


def put_sudo(rig: Rig, script: str) -> None:
    sudo = rig.directory / "bin" / "sudo"
    sudo.write_text(f"#!/bin/sh\n{script}\n")
    sudo.chmod(0o755)


async def test_sudo_where_the_inventory_says_so(as_ops: Rig) -> None:
    put_sudo(as_ops, '[ "$1 $2" = "-n --" ] || exit 9; shift 2; BY=sudo exec "$@"')
    host = as_ops.hosts.system("node01")
    assert (await host.run(["sh", "-c", "echo $BY"], limit=10)).out == b"sudo\n"
    assert (await host.run(["sh", "-c", "echo $BY"], limit=10, sudo=False)).out == b"\n"
    assert await host.run(["sh", "-c", "echo no >&2; exit 1"], limit=10) == Completed(1, err=b"no\n")


@pytest.mark.parametrize(
    "script", ["echo 'sudo: a password is required' >&2; exit 1", "echo 'sh: 1: sudo: not found' >&2; exit 127"]
)
async def test_a_sudo_that_refuses_or_is_not_there(as_ops: Rig, script: str) -> None:
    put_sudo(as_ops, script)
    with pytest.raises(CommandError, match=r"did not run: .*NOPASSWD") as caught:
        await as_ops.hosts.system("node01").run(["true"], limit=10)
    assert (caught.value.id, caught.value.lasting) == ("sudo-refused", True)
