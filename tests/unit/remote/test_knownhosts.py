"""The engine's own file of host keys."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from plasmatui.model.command import CommandError
from plasmatui.remote.knownhosts import HostKeyFile, KnownHosts
from tests.unit.remote.rig import another_key

A, B, C = another_key(), another_key("ecdsa-sha2-nistp256"), another_key()


async def test_keys_are_added_replaced_removed_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state" / "known_hosts"
    keys = HostKeyFile(path)
    assert keys.keys("node01") == ()
    await keys.add("node01", f"{A} root@nixos")
    await keys.add("node01", B)
    await keys.add("node01", A)
    await asyncio.gather(keys.add("node02", C), keys.add("node03", C), keys.add("node04", C))
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["known_hosts"]
    again = HostKeyFile(path)
    assert again.keys("node01") == (A, B)
    await again.replace("node01", [C, C])
    assert keys.keys("node01") == (C,)
    await keys.remove("node01")
    await keys.remove("node01")
    assert again.keys("node01") == ()
    assert again.keys("node04") == (C,)


@pytest.mark.needs("ssh-keygen")
async def test_openssh_reads_the_file(tmp_path: Path) -> None:
    keys = HostKeyFile(tmp_path / "known_hosts")
    await keys.replace("node01", [A, B])
    argv = ["ssh-keygen", "-F", "node01", "-f", str(keys.path)]
    found = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=True)
    assert [line for line in found.stdout.splitlines() if not line.startswith("#")] == [f"node01 {A}", f"node01 {B}"]


@pytest.mark.parametrize(
    ("name", "key"), [("a b", A), ("", A), ("node01", "ssh-ed25519 AAAA"), ("node01", f"x {A}"), ("*", A), ("a\nb", A)]
)
async def test_only_names_and_keys_get_in(tmp_path: Path, name: str, key: str) -> None:
    keys = HostKeyFile(tmp_path / "known_hosts")
    with pytest.raises(ValueError):
        await keys.replace(name, [key])
    assert not keys.path.exists()


async def test_a_broken_file_is_said_and_left_alone(tmp_path: Path) -> None:
    keys = HostKeyFile(tmp_path / "known_hosts")
    keys.path.write_text("node01 nonsense\n")
    with pytest.raises(CommandError, match="known_hosts cannot be read"):
        keys.keys("node01")
    with pytest.raises(CommandError, match="cannot be read"):
        await keys.add("node02", A)
    assert keys.path.read_text() == "node01 nonsense\n"


async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot be written") as caught:
        await HostKeyFile(tmp_path / "file" / "known_hosts").add("node01", A)
    assert caught.value.lasting


def test_the_systems_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    files = [tmp_path / "missing", tmp_path / "known_hosts"]
    known = KnownHosts(files)
    assert known.read().match("gate", "", None)[0] == []
    files[1].write_text(f"gate {A}\n")
    first = known.read()
    assert len(first.match("gate", "", None)[0]) == 1
    assert known.read() is first
    files[0].write_text("gate\n")
    with pytest.raises(CommandError, match="cannot be read"):
        known.read()
