"""What an installation takes along: modes, refusals, the tree, host keys."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import asyncssh
import pytest

from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.loader import load
from plasmatui.nix.extrafiles import SecretsError, build, inspect, make_host_key
from plasmatui.nix.job import remove_all


@pytest.fixture
def site(tmp_path: Path) -> Inventory:
    directory = tmp_path / "secrets" / "node01"
    directory.mkdir(parents=True)
    directory.parent.chmod(0o700)
    directory.chmod(0o700)
    put(directory / "node01-key.pem", "-----BEGIN PRIVATE KEY-----hunter2", 0o600)
    put(directory / "node01-cert.pem", "certificate", 0o644)
    put(directory / "cluster-config.json", "{}", 0o640)
    (directory / "sub").mkdir(mode=0o700)
    put(directory / "sub/token", "hunter2", 0o600)
    (tmp_path / "i.yaml").write_text(
        "version: 1\ncluster: {name: c}\nnodes: {node01: {}}\nsecrets: secrets\nflake: ./f\n"
    )
    return load(tmp_path / "i.yaml")


def put(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


def problems(site: Inventory) -> tuple[str, ...]:
    with pytest.raises(SecretsError) as raised:
        inspect("node01", site)
    assert "hunter2" not in str(raised.value)
    return raised.value.problems


def test_the_tree(site: Inventory, tmp_path: Path) -> None:
    source = inspect("node01", site)
    tree = build(source, tmp_path)
    assert tree is not None
    root = Path(tree.path)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    modes = {
        str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")
    }  # fmt: skip
    assert modes == {
        "etc": 0o755, "etc/nixos": 0o755, "etc/nixos/secrets": 0o700, "etc/nixos/secrets/sub": 0o700,
        "etc/nixos/secrets/node01-key.pem": 0o600, "etc/nixos/secrets/node01-cert.pem": 0o644,
        "etc/nixos/secrets/cluster-config.json": 0o640, "etc/nixos/secrets/sub/token": 0o600,
    }  # fmt: skip
    assert (root / "etc/nixos/secrets/sub/token").read_text() == "hunter2"
    assert str(tree.manifest[0]) == "0640        2 /etc/nixos/secrets/cluster-config.json"
    assert "hunter2" not in repr(source) + repr(tree)
    tree.remove()
    assert not root.exists()


def test_content_in_the_place_of_a_files(site: Inventory, tmp_path: Path) -> None:
    tree = build(inspect("node01", site), tmp_path, instead={"cluster-config.json": b"other", "unknown": b"x"})
    assert tree is not None
    written = Path(tree.path) / "etc/nixos/secrets/cluster-config.json"
    assert written.read_bytes() == b"other"
    assert stat.S_IMODE(written.stat().st_mode) == 0o640
    assert not (written.parent / "unknown").exists()


def test_host_key(site: Inventory, tmp_path: Path) -> None:
    assert inspect("node01", site).host_key == ""
    public = make_host_key(inspect("node01", site))
    assert make_host_key(inspect("node01", site)) == public
    private = tmp_path / "secrets/node01/ssh_host_ed25519_key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    derived = asyncssh.read_private_key(private).export_public_key().decode()
    assert derived.split()[:2] == public.split()
    tree = build(inspect("node01", site), tmp_path)
    assert tree is not None
    assert tree.host_key == public
    assert (Path(tree.path) / "etc/ssh/ssh_host_ed25519_key").read_bytes() == private.read_bytes()
    assert stat.S_IMODE((Path(tree.path) / "etc/ssh/ssh_host_ed25519_key").stat().st_mode) == 0o600
    assert stat.S_IMODE((Path(tree.path) / "etc/ssh").stat().st_mode) == 0o755
    assert "etc/ssh/ssh_host_ed25519_key.pub" in [entry.path for entry in tree.manifest]
    tree.remove()


def test_each_wrong_mode_is_told_with_what_mends_it(site: Inventory, tmp_path: Path) -> None:
    directory = tmp_path / "secrets/node01"
    directory.chmod(0o755)
    (directory / "node01-key.pem").chmod(0o640)
    (directory / "node01-cert.pem").chmod(0o666)
    put(directory / "plain.txt", "x\n-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2", 0o644)
    found = problems(site)
    assert len(found) == 4
    commands = [problem.rpartition("): ")[2] for problem in found]
    for command in commands:
        subprocess.run(command.split(), check=True)
    inspect("node01", site)


def test_links_and_devices_are_refused(site: Inventory, tmp_path: Path) -> None:
    directory = tmp_path / "secrets/node01"
    (directory / "link").symlink_to("/etc/shadow")
    os.mkfifo(directory / "pipe")
    assert [problem.rpartition("; ")[2] for problem in problems(site)] == ["put the file itself there"] * 2


def test_no_secrets(site: Inventory, tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match=r"mkdir -m 700 .*node02"):
        inspect("node02", site)
    (tmp_path / "j.yaml").write_text("version: 1\ncluster: {name: c}\nnodes: {}\n")
    none = inspect("node01", load(tmp_path / "j.yaml"))
    assert build(none) is None
    with pytest.raises(SecretsError, match="names no `secrets`"):
        make_host_key(none)


def test_in_the_flake(site: Inventory, tmp_path: Path) -> None:
    (tmp_path / "secrets").rename(tmp_path / "f")
    (tmp_path / "secrets").symlink_to("f")
    assert "lies in the flake" in problems(site)[0]


def test_nothing_is_left_when_a_file_vanishes(site: Inventory, tmp_path: Path) -> None:
    source = inspect("node01", site)
    (tmp_path / "secrets/node01/sub/token").unlink()
    (tmp_path / "trees").mkdir()
    with pytest.raises(SecretsError, match="No such file"):
        build(source, tmp_path / "trees")
    assert list((tmp_path / "trees").iterdir()) == []
    remove_all([str(tmp_path / "trees"), str(tmp_path / "trees")])


def test_a_host_key_that_is_none(site: Inventory, tmp_path: Path) -> None:
    put(tmp_path / "secrets/node01/ssh_host_ed25519_key", "hunter2", 0o600)
    assert "is no SSH private key" in problems(site)[0]
