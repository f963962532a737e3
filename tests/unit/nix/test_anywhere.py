"""Calls of nixos-anywhere, and the ssh that is put before the real one."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from plasmatui.model.command import CommandError
from plasmatui.nix.anywhere import (
    DESTROYS,
    Features,
    Installation,
    Phase,
    parse_help,
    parse_installer,
    parse_mounted,
    phase_argv,
    ssh_front,
)
from plasmatui.nix.tools import OutputError

HELP = """Usage: nixos-anywhere [options] [<ssh-host>]
* -f, --flake <flake_uri>
* --target-host <ssh-host>
* -s, --store-paths <disko-script> <nixos-system>
* --no-substitute-on-destination
* --build-on-remote
* --phases
* --build-on auto|remote|local
"""
INSTALLATION = Installation(
    program="/bin/nixos-anywhere",
    features=parse_help(HELP),
    address="10.0.100.50",
    disko="/nix/store/d",
    mount="/nix/store/m",
    toplevel="/nix/store/t",
)


def test_features() -> None:
    assert parse_help(HELP) == Features(phases=True, target_host=True, build_on=True, no_substitute=True)
    old = "Usage: nixos-anywhere\n* -f, --flake\n* -s, --store-paths\n* --build-on-remote\n"
    assert parse_help(old) == Features(phases=False, target_host=False, build_on=False, no_substitute=False)
    with pytest.raises(OutputError):
        parse_help("command not found")


def test_each_phase_is_a_call_of_its_own() -> None:
    head = ("/bin/nixos-anywhere", "--store-paths", "/nix/store/d", "/nix/store/t", "--phases")
    tail = ("--build-on", "local", "--target-host", "root@10.0.100.50")
    for phase in (Phase.DISKO, Phase.INSTALL, Phase.REBOOT, Phase.KEXEC):
        assert phase_argv(INSTALLATION, phase) == (*head, phase.value, *tail)


def test_mounting_never_uses_the_script_that_wipes() -> None:
    argv = phase_argv(INSTALLATION, Phase.MOUNT)
    assert argv[1:6] == ("--store-paths", "/nix/store/m", "/nix/store/t", "--phases", "disko")
    assert INSTALLATION.disko not in argv
    with pytest.raises(ValueError, match="expected a store path"):
        phase_argv(msgspec.structs.replace(INSTALLATION, mount=""), Phase.MOUNT)
    assert Phase.MOUNT not in DESTROYS
    assert Phase.DISKO in DESTROYS


def test_everything_that_can_be_set() -> None:
    given = msgspec.structs.replace(
        INSTALLATION, port=2222, key="/k", substitute=False, json_log="/j", user="admin",
        features=msgspec.structs.replace(INSTALLATION.features, target_host=False, build_on=False),
    )  # fmt: skip
    assert phase_argv(given, Phase.INSTALL, "/extra")[4:] == (
        *("--phases", "install", "-i", "/k", "--ssh-port", "2222", "--no-substitute-on-destination"),
        *("--option", "json-log-path", "/j", "--extra-files", "/extra", "admin@10.0.100.50"),
    )
    assert "--post-kexec-ssh-port" in phase_argv(given, Phase.KEXEC)
    with pytest.raises(ValueError, match="belong to the phase install"):
        phase_argv(given, Phase.DISKO, "/extra")


def test_what_it_would_misread_is_refused() -> None:
    for address in ("", "--flake", "a b", "n\n"):
        with pytest.raises(ValueError, match="expected an address"):
            phase_argv(msgspec.structs.replace(INSTALLATION, address=address), Phase.DISKO)
    old = msgspec.structs.replace(INSTALLATION.features, phases=False)
    with pytest.raises(CommandError, match=r"1\.4 or newer"):
        phase_argv(msgspec.structs.replace(INSTALLATION, features=old), Phase.DISKO)


@pytest.mark.parametrize(
    ("text", "installer"),
    [
        ('ID=nixos\nVARIANT_ID="installer"\n', True),
        ("ID=custom\nID_LIKE='nixos'\nVARIANT_ID=installer\n", True),
        ("ID=nixos\nVARIANT_ID=\n", False),
        ("ID=nixos\n", False),
        ("ID=debian\nVARIANT_ID=installer\n", False),
        ("# ID=nixos VARIANT_ID=installer\n", False),
        ("", False),
    ],
)
def test_what_an_installer_is(text: str, installer: bool) -> None:
    assert parse_installer(text) is installer


def test_what_is_mounted() -> None:
    assert parse_mounted("/dev/sda2[/@] ext4\n") == "/dev/sda2[/@] (ext4)"
    assert parse_mounted("tmpfs tmpfs\n") == ""
    assert parse_mounted("") == ""


@pytest.mark.needs("ssh")
def test_the_front_wins_over_what_comes_after_it(tmp_path: Path) -> None:
    path = f"{tmp_path / 'front'}{os.pathsep}{os.environ['PATH']}"
    known = tmp_path / "known_hosts"
    for _ in range(2):  # the second finds the real ssh, not itself
        front = ssh_front(tmp_path / "front", known, path)
    assert stat.S_IMODE(front.stat().st_mode) == 0o700
    theirs = ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no")
    done = subprocess.run((front, *theirs, "-F", "/dev/null", "-G", "n"), capture_output=True, text=True, check=True)
    settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert settings["userknownhostsfile"] == str(known)
    assert settings["stricthostkeychecking"] == "true"
    assert settings["globalknownhostsfile"] == "/dev/null"


def test_a_front_needs_ssh_and_a_plain_path(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as raised:
        ssh_front(tmp_path, tmp_path / "k", "/nowhere")
    assert raised.value.id == "program-missing"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text("")
    (tmp_path / "bin/ssh").chmod(0o755)
    with pytest.raises(ValueError, match="without blanks"):
        ssh_front(tmp_path, tmp_path / "a b", str(tmp_path / "bin"))
