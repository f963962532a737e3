"""What nix, nixos-anywhere, disko and NixOS say when they fail, as data. The first rule that finds a line counts.

Texts: nixos-anywhere.sh; disko's scripts with sgdisk, mkfs and mount; nix 2.8, 2.26, 2.34; nixos-install, GRUB,
systemd-boot-builder.py; switch-to-configuration-ng; OpenSSH.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from plasmatui.model.words import Stage


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to fail.

    Attributes:
        id: of the finding. pattern: searched in each clean line, from the last one back.
        message: with the pattern's named groups, and `what` (what was being done).
        stages: where it means that; empty for everywhere.
        follow: lines right after it that belong to the evidence. say_next: the first of them ends the message.
    """

    id: str
    pattern: re.Pattern[str]
    message: str
    stages: frozenset[Stage] = frozenset()
    follow: re.Pattern[str] | None = None
    say_next: bool = False


def _rule(finding: str, pattern: str, message: str, *stages: Stage, follow: str = "", say_next: bool = False) -> Rule:
    after = re.compile(follow) if follow else None
    return Rule(finding, re.compile(pattern), message, frozenset(stages), after, say_next)


_SSH: Final = (
    _rule("ssh-hostkey-changed", r"REMOTE HOST IDENTIFICATION HAS CHANGED", "the node shows another SSH host key"),
    _rule("ssh-refused", r"No \S+ host key is known for (?P<host>\S+)", "the SSH host key of {host} is not pinned"),
    _rule("ssh-hostkey-changed", r"Host key verification failed", "the node's SSH host key is not the pinned one"),
    _rule("ssh-refused", r"Permission denied \((?P<ways>[^)]*)\)", "the node does not accept the SSH key"),
    _rule(
        "ssh-refused",
        r"kex_exchange_identification: (?P<why>.+)",
        "sshd drops the connection ({why}); after failed logins it does so for about a minute",
    ),
    _rule("ssh-refused", r"Could not resolve hostname (?P<host>[^:]+):", "the name {host} cannot be resolved"),
)

_FLAKE: Final = (
    _rule(
        "install-flake-missing",
        r"flake '(?P<flake>[^']+)' does not provide attribute '(?:packages\.[\w-]+\.)?(?P<name>[^']+)'",
        "the flake {flake} has no {name}",
        follow=r"Did you mean",
    ),
    _rule(
        "install-flake-missing",
        r"[Pp]ath ['\"](?P<path>[^'\"]+)['\"] .*is not tracked by Git",
        "{path} is not known to git, and a flake holds only what is: git add {path}",
        follow=r"git -C",
    ),
    _rule(
        "install-flake-missing",
        r"path '/nix/store/[^'/]*-source/(?P<path>[^']+)' does not exist",
        "{path} is not in the flake; where it is there as a file: git add {path}",
    ),
    _rule(
        "install-flake-missing",
        r"getting status of ['\"](?P<path>[^'\"]+)['\"]: No such file",
        "there is no {path}: see `flake` in the inventory",
    ),
    _rule(
        "install-flake-missing",
        r"could not find a flake\.nix file|does not contain a '/?flake\.nix'",
        "no flake is there",
    ),
)

_BUILD: Final = (
    _rule(
        "build-failed",
        r"experimental Nix feature '(?P<name>[^']+)' is disabled",
        "nix has its feature {name} switched off",
    ),
    _rule("build-failed", r"cannot connect to socket at '(?P<path>[^']+)'", "the nix daemon does not answer at {path}"),
    _rule(
        "build-failed", r"Failed assertions:", "the configuration's assertions fail", follow=r"^\s*- ", say_next=True
    ),
    _rule(
        "build-failed",
        r"builder for '(?:/nix/store/)?(?P<drv>[^']+)' failed with exit code (?P<code>\d+)",
        "the build of {drv} ended with code {code}",
        follow=r"^\s+>|last \d+ log lines|nix log",
    ),
    _rule(
        "build-failed",
        r"Cannot build '(?:/nix/store/)?(?P<drv>[^']+)'",
        "{drv} cannot be built",
        follow=r"Reason:|^\s+>|log lines",
        say_next=True,
    ),
    _rule("build-failed", r"The option `(?P<name>[^']+)' does not exist", "there is no option {name}"),
)

_KEXEC: Final = (
    _rule("kexec-failed", r"(?P<why>kexec_(?:file_)?load failed: .+|Could not get memory layout.*)", "{why}"),
    _rule("kexec-failed", r"Failed to kexec into NixOS installer", "after kexec the node still is no installer"),
    _rule(
        "kexec-failed", r"aborted: Unsupported architecture: (?P<arch>[^.\s]+)", "there is no kexec image for {arch}"
    ),
    _rule("kexec-failed", r"Kexec failed|Kexec may have failed|kexec failed", "kexec failed on the node"),
)

_DISK: Final = (
    _rule("disko-device-missing", r"Problem opening (?P<disk>\S+) for reading! Error is 2", "{disk} is not there"),
    _rule("disko-device-missing", r"cannot open '?(?P<disk>/dev/\S+?)'?: No such file", "{disk} is not there"),
    _rule(
        "disko-device-missing",
        r"(?P<disk>/dev/[^\s':]+)'?:? .*(?:No such file or directory|does not exist)",
        "{disk} is not there",
        Stage.DISKO,
    ),
    _rule("disko-device-missing", r"The specified file does not exist!", "a disk of the layout is not there"),
    _rule(
        "disko-device-busy",
        r"(?P<disk>/dev/[^\s':]+).*(?:[Rr]esource busy|is busy|in use|is mounted|contains a mounted)",
        "{disk} is in use",
        Stage.DISKO,
    ),
    _rule("disko-device-busy", r"Device or resource busy|target is busy", "a disk is in use", Stage.DISKO),
    _rule(
        "install-no-space",
        r"Could not create partition (?P<number>\d+) from",
        "partition {number} has no room on its disk",
        Stage.DISKO,
    ),
    _rule(
        "install-failed",
        r"mount: (?P<path>[^:]+): unknown filesystem type '(?P<kind>[^']+)'",
        "the installer's kernel does not know the file system {kind}",
    ),
)

_INSTALL: Final = (
    _rule("bootloader-failed", r"No space left on device.*/boot", "the boot partition is full"),
    _rule(
        "bootloader-failed",
        r"(?:efiSysMountPoint = )?'?(?P<path>/\S*?)'? is not a mounted partition",
        "the boot loader wants the boot partition at {path}, where nothing is mounted",
    ),
    _rule("bootloader-failed", r"grub-install: error: (?P<why>.+)", "grub-install: {why}"),
    _rule(
        "bootloader-failed",
        r"efiSysMountPoint|Failed to install boot ?loader|bootctl.*[Ff]ailed|Could not prepare Boot variable",
        "the boot loader could not be installed",
    ),
    _rule("install-no-space", r"No space left on device", "there is no room left while {what}"),
    _rule(
        "install-failed",
        r"path /mnt should have permissions 755, but had permissions (?P<mode>\d+)",
        "/mnt has mode {mode} on the node; nixos-install wants 755",
    ),
)

_COPY: Final = (
    _rule(
        "install-copy-failed",
        r"lacks a (?:valid )?signature",
        "the node takes only paths that a trusted key has signed",
    ),
    _rule(
        "install-copy-failed",
        r"failed to start SSH connection to '(?P<host>[^']+)'",
        "nix could not log in as {host}",
    ),
    _rule("install-copy-failed", r"tar: (?P<why>.+)", "tar: {why}", Stage.EXTRA_FILES),
    _rule(
        "install-copy-failed",
        r"closed by remote host|client_loop: send disconnect|not responding|unexpected end-of-file|Broken pipe",
        "the connection to the node broke; it may have been rebooted, panicked or lost its power",
        Stage.CLOSURE_COPY,
        Stage.EXTRA_FILES,
    ),
    _rule(
        "install-failed",
        r"closed by remote host|client_loop: send disconnect|Timeout, server .* not responding",
        "the connection to the node broke during this: {what}; it may have been rebooted, panicked or lost its power",
    ),
    _rule(
        "ssh-refused",
        r"connect to host (?P<host>\S+) port (?P<port>\d+): (?P<why>.+)",
        "SSH to {host} port {port}: {why}",
    ),
)

_ACTIVATION: Final = (
    _rule("activation-failed", r"warning: the following units failed: (?P<units>.+)", "units failed: {units}"),
    _rule(
        "activation-failed", r"Activation script snippet '(?P<name>[^']+)' failed", "the activation step {name} failed"
    ),
    _rule(
        "activation-failed",
        r"was already loaded or has a fragment file|Could not acquire lock",
        "another activation is running on the node",
    ),
    _rule("activation-failed", r"profile version (?P<number>\d+) does not exist", "there is no generation {number}"),
    _rule("activation-failed", r"no profile version older than the current", "there is no older generation"),
)

_REST: Final = (_rule("install-failed", r"^aborted: (?P<why>.+)", "nixos-anywhere gave up: {why}"),)

RULES: Final[tuple[Rule, ...]] = (*_SSH, *_KEXEC, *_DISK, *_INSTALL, *_FLAKE, *_BUILD, *_ACTIVATION, *_COPY, *_REST)
