"""How nixos-anywhere is called: one call for each phase, so that each can be resumed by itself.

From the source of `nixos-anywhere.sh`, 1.13.0 and later:

- The system is built by us before; `--store-paths` makes the program evaluate and build nothing. It refuses
  `--disko-mode` then, so that mounting without wiping is its phase `disko` with disko's `mountScript`.
- Between calls the state is on the node: disko's phase leaves the new root mounted at /mnt, and the phase `install`
  copies to /mnt whatever that is. After a reboot of the installer it is memory: see `MOUNTED_ARGV`.
- Without the phase `kexec` it logs in as root and never looks whether the node is an installer: see `INSTALLER_ARGV`.
- It begins ssh's arguments with `UserKnownHostsFile=/dev/null` and `StrictHostKeyChecking=no`. For ssh the first value
  counts (ssh_config(5)), so that its `--ssh-option` cannot pin a host key. `ssh_front` can.
"""

from __future__ import annotations

import os
import shlex
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from plasmatui.model.command import CommandError
from plasmatui.nix.tools import OutputError, Version

JSON_LOG_SINCE: Final[Version] = (2, 30)
"""The nix that knows `json-log-path`; an older one warns and goes on."""

INSTALLER_ARGV: Final = ("cat", "/etc/os-release")
MOUNTED_ARGV: Final = ("findmnt", "--noheadings", "--output", "SOURCE,FSTYPE", "--mountpoint", "/mnt")

ALIVE_INTERVAL: Final = 15
"""Seconds between two signs of life of an SSH connection; four that are missing end it."""


class Phase(StrEnum):
    """What one call does.

    `disko` wipes the disks and mounts the new root; `mount` only mounts it, on a node that was formatted before;
    `kexec` turns another Linux into an installer.
    """

    KEXEC = "kexec"
    DISKO = "disko"
    MOUNT = "mount"
    INSTALL = "install"
    REBOOT = "reboot"


DESTROYS: Final = frozenset({Phase.DISKO})
"""Phases that destroy data: never repeated without a person."""


class Features(msgspec.Struct, frozen=True):
    """What an installed nixos-anywhere understands; it has no `--version`.

    Attributes:
        phases: `--phases` (1.4). Without it nothing here works.
        target_host: `--target-host` (1.6); before, the host stands alone.
        build_on: `--build-on` (1.7).
        no_substitute: `--no-substitute-on-destination`.
    """

    phases: bool
    target_host: bool
    build_on: bool
    no_substitute: bool


def parse_help(text: str) -> Features:
    """The features, from what `nixos-anywhere --help` prints.

    Raises:
        OutputError: it is not nixos-anywhere's help.
    """
    if "--store-paths" not in text or "--flake" not in text:
        raise OutputError("the usage of nixos-anywhere", text)
    return Features(
        phases="--phases" in text,
        target_host="--target-host" in text,
        build_on="--build-on " in text,
        no_substitute="--no-substitute-on-destination" in text,
    )


class Installation(msgspec.Struct, frozen=True):
    """Everything that the calls for one node have in common.

    Attributes:
        program: nixos-anywhere. features: what it understands.
        address: of the node in the installer. user: who logs in for `kexec`; the other phases are root's.
        disko, mount, toplevel: store paths of diskoScript, mountScript and the system, built on this host.
        key: private key file, without a passphrase; empty for the agent's and the user's own.
        substitute: whether the node may fetch from binary caches.
        json_log: where every nix that it starts appends its internal-json; "" for a nix before `JSON_LOG_SINCE`.
    """

    program: str
    features: Features
    address: str
    disko: str
    toplevel: str
    mount: str = ""
    user: str = "root"
    port: int = 22
    key: str = ""
    substitute: bool = True
    json_log: str = ""


def phase_argv(installation: Installation, phase: Phase, extra_files: str = "") -> tuple[str, ...]:
    """The call for one phase. `extra_files`: the tree for `install`, see `extrafiles`.

    Raises:
        CommandError: id "program-missing": this nixos-anywhere is too old.
        ValueError: an argument that it would misread, or `mount` without a mount script.
    """
    features = installation.features
    if not features.phases:
        raise CommandError(
            "program-missing",
            f"{installation.program} does not know --phases: install nixos-anywhere 1.4 or newer",
            lasting=True,
        )
    script = installation.mount if phase is Phase.MOUNT else installation.disko
    for path in (script, installation.toplevel):
        if not path.startswith("/"):
            raise ValueError(f"{phase}: found {path or 'nothing'}, expected a store path")
    if (
        not installation.address
        or installation.address.startswith("-")
        or installation.address.split() != [installation.address]
    ):
        raise ValueError(f"{phase}: found the address {installation.address!r}, expected an address or a host name")
    argv = [installation.program, "--store-paths", script, installation.toplevel]
    argv += ["--phases", "disko" if phase is Phase.MOUNT else phase.value]
    if features.build_on:
        argv += ["--build-on", "local"]  # otherwise it looks, at each call, where it could build
    if installation.key:
        argv += ["-i", installation.key]
    if installation.port != 22:
        argv += ["--ssh-port", str(installation.port)]
        if phase is Phase.KEXEC:
            argv += ["--post-kexec-ssh-port", str(installation.port)]
    if not installation.substitute and features.no_substitute:
        argv += ["--no-substitute-on-destination"]
    if installation.json_log:
        argv += ["--option", "json-log-path", installation.json_log]
    if extra_files:
        if phase is not Phase.INSTALL:
            raise ValueError(f"{phase}: extra files belong to the phase install")
        argv += ["--extra-files", extra_files]
    host = f"{installation.user}@{installation.address}"
    return (*argv, "--target-host", host) if features.target_host else (*argv, host)


def parse_installer(os_release: str) -> bool:
    """Whether a node is a NixOS installer, from its /etc/os-release; the same test as nixos-anywhere's.

    Any other system may be a live one, which disko would wipe without a question.
    """
    entries: dict[str, str] = {}
    for line in os_release.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals:
            entries[name] = value.strip("\"'")
    nixos = "nixos" in (entries.get("ID", ""), *entries.get("ID_LIKE", "").split())
    return nixos and entries.get("VARIANT_ID") == "installer"


def parse_mounted(output: str) -> str:
    """What is mounted at /mnt: `/dev/sda2 (ext4)`, or "" for nothing or memory; `install` needs a disk there."""
    words = output.split()
    if len(words) < 2 or words[-1] in ("tmpfs", "ramfs", "rootfs", "overlay"):
        return ""
    return f"{' '.join(words[:-1])} ({words[-1]})"


def ssh_front(directory: Path, known_hosts: Path, path: str, jump: str = "") -> Path:
    """Write a program `ssh` that trusts the keys in `known_hosts` alone; put `directory` first in PATH.

    nixos-anywhere, its ssh-copy-id and nix find ssh by PATH (its packages put their own ssh last), so that options
    written here come before theirs and count. Whether it took effect shows: see `AnywhereState.unpinned`.

    Args:
        directory: private; made when it is missing. path: PATH in which the real ssh is looked for.
        jump: `[user@]host[:port]` to go through; its own key must be known to the user's ssh.

    Raises:
        CommandError: id "program-missing": there is no ssh.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    elsewhere = os.pathsep.join(entry for entry in path.split(os.pathsep) if Path(entry) != directory)
    real = shutil.which("ssh", path=elsewhere)
    if real is None:
        raise CommandError("program-missing", "ssh is not in PATH of this host; install OpenSSH's client", lasting=True)
    if known_hosts.as_posix().split() != [known_hosts.as_posix()] or '"' in str(known_hosts):
        raise ValueError(f"found {str(known_hosts)!r}, expected a path without blanks and quotes: ssh would split it")
    options = (
        f"UserKnownHostsFile={known_hosts}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "BatchMode=yes",
        f"ServerAliveInterval={ALIVE_INTERVAL}",
        "ServerAliveCountMax=4",
        *((f"ProxyJump={jump}",) if jump else ()),
    )
    arguments = [part for option in options for part in ("-o", option)]
    front = directory / "ssh"
    temporary = directory / ".ssh.new"
    temporary.write_text(f'#!/bin/sh\nexec {shlex.join([str(Path(real).absolute()), *arguments])} "$@"\n')
    temporary.chmod(0o700)
    temporary.replace(front)
    return front
