"""Why programs of nix failed: recorded failures, and texts from their sources."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.model.findings import FINDINGS
from plasmatui.model.words import Stage
from plasmatui.nix.failrules import RULES
from plasmatui.nix.failures import explain
from plasmatui.text import is_clean
from tests.unit.nix import recorded


@pytest.mark.parametrize(
    ("file", "run", "stage", "finding", "telling"),
    [
        ("fail2", "wrong attr auto", Stage.FACTS, "install-flake-missing", "does not provide attribute"),
        ("fail2", "kexec fails", Stage.KEXEC, "kexec-failed", "kexec_load failed: Operation not permitted"),
        ("fail2", "nixos-install fails", Stage.BOOTLOADER, "bootloader-failed", "/boot is not a mounted partition"),
        ("fail3", "ssh dropped during disko", Stage.DISKO, "install-failed", "closed by remote host"),
        ("fail3", "unreachable host", Stage.FACTS, "ssh-refused", "Network is unreachable"),
        ("fail3", "unknown hostname", Stage.FACTS, "ssh-refused", "Could not resolve hostname node01.example.invalid"),
    ],
)
def test_recorded_failures(file: str, run: str, stage: Stage, finding: str, telling: str) -> None:
    failure = explain(1, recorded.anywhere(file, run), stage)
    assert failure.id == finding
    assert telling in failure.evidence[0]


@pytest.mark.parametrize("version", ["2.26.3", "2.34.8"])
def test_recorded_failures_of_nix(version: str) -> None:
    failure = explain(1, recorded.nix(version, '"node99"'))
    assert failure.id == "install-flake-missing"
    assert failure.evidence[-1].strip() == "Did you mean node01?"
    failure = explain(1, recorded.nix(version, "#bad --no-link\n"))
    assert failure.id == "build-failed"
    assert "lab-bad.drv" in failure.message
    assert any("gcc: error: boom" in line or "exit code" in line for line in failure.evidence)
    assert explain(1, recorded.nix(version, "/lab/nonexist")).id == "install-flake-missing"


@pytest.mark.parametrize(
    ("text", "stage", "finding", "message"),
    [
        ("Problem opening /dev/nvme0n1 for reading! Error is 2.\nThe specified file does not exist!", "disko",
         "disko-device-missing", "/dev/nvme0n1 is not there"),
        ("blockdev: cannot open /dev/disk/by-id/x: No such file or directory", "disko", "disko-device-missing",
         "/dev/disk/by-id/x is not there"),
        ("wipefs: error: /dev/sda: probing initialization failed: Device or resource busy", "disko",
         "disko-device-busy", "/dev/sda is in use"),
        ("mkfs.ext4: /dev/sda1 is apparently in use by the system; will not make a filesystem here!", "disko",
         "disko-device-busy", "/dev/sda1 is in use"),
        ("Could not create partition 1 from 2048 to 133119\nError encountered; not saving changes.", "disko",
         "install-no-space", "partition 1 has no room"),
        ("mount: /mnt/boot: unknown filesystem type 'vfat'.", "disko", "install-failed", "vfat"),
        ("error: writing to file: No space left on device\nerror: write of 24576 bytes: Broken pipe", "closure-copy",
         "install-no-space", "copying the system"),
        ("Connection to 10.0.0.5 closed by remote host.", "closure-copy", "install-copy-failed", "broke"),
        ("error: failed to start SSH connection to 'root@10.0.0.5'", "closure-copy", "install-copy-failed",
         "as root@10.0.0.5"),
        ("efiSysMountPoint = '/boot' is not a mounted partition. Is the path configured correctly?", "bootloader",
         "bootloader-failed", "at /boot, where nothing is mounted"),
        ("[Errno 28] No space left on device: '/nix/store/x/initrd' -> '/boot/efi/nixos/x.efi'", "bootloader",
         "bootloader-failed", "full"),
        ("grub-install: error: cannot find EFI directory.", "bootloader", "bootloader-failed", "cannot find EFI"),
        ("path /mnt should have permissions 755, but had permissions 700. Consider", "bootloader", "install-failed",
         "mode 700"),
        ("root@n: Permission denied (publickey,password).", "facts", "ssh-refused", "does not accept"),
        ("kex_exchange_identification: read: Connection reset by peer", "facts", "ssh-refused", "minute"),
        ("@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@\nHost key verification failed.", "facts",
         "ssh-hostkey-changed", "another SSH host key"),
        ("No ED25519 host key is known for 10.0.0.5 and you have requested strict checking.\n"
         "Host key verification failed.", "facts", "ssh-refused", "10.0.0.5 is not pinned"),
        ("aborted: Failed to kexec into NixOS installer", "kexec", "kexec-failed", "no installer"),
        ("aborted: no tar command found, but required to unpack kexec tarball", "facts", "install-failed", "no tar"),
        ("error: Path 'nodes/node05.nix' in the repository \"/lab/g\" is not tracked by Git.", "",
         "install-flake-missing", "git add nodes/node05.nix"),
        ("error: path '/nix/store/6c0p-source/nodes/node05.nix' does not exist", "", "install-flake-missing",
         "git add nodes/node05.nix"),
        ("error:\nFailed assertions:\n- services.x needs y", "", "build-failed", "services.x needs y"),
        ("error: experimental Nix feature 'nix-command' is disabled; add", "", "build-failed", "nix-command"),
        ("error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused", "",
         "build-failed", "daemon"),
        ("error: The option `x.y' does not exist. Definition values:", "", "build-failed", "x.y"),
        ("error: Cannot build '/nix/store/abc-x.drv'.\n       Reason: builder failed with exit code 3.", "",
         "build-failed", "Reason: builder failed with exit code 3."),
        ("       … while calling\nerror: node05: disko device not set", "", "build-failed", "node05: disko device"),
        ("warning: the following units failed: foo.service, bar.service", "reboot", "activation-failed", "foo.service"),
    ],
)  # fmt: skip
def test_texts_from_sources(text: str, stage: str, finding: str, message: str) -> None:
    failure = explain(1, text, Stage(stage) if stage else None)
    assert failure.id == finding
    assert message in failure.message
    assert failure.evidence
    assert failure.evidence[0] in text


def test_every_rule_is_in_the_catalogue_and_its_message_can_be_filled() -> None:
    for rule in RULES:
        assert rule.id in FINDINGS
        names = set(re.findall(r"{(\w+)}", rule.message)) - {"what"}
        assert names <= set(rule.pattern.groupindex), rule


def test_an_end_without_a_word() -> None:
    assert explain(None, b"", Stage.DISKO).message == "formatting the disks did not end in time and said nothing"
    assert explain(7, b"strange\n", Stage.DISKO).message == "formatting the disks ended with code 7: strange"


pieces = st.sampled_from(
    [
        "error: ",
        "aborted: ",
        "/dev/sda",
        "No such file or directory",
        "{x}",
        "mount: ",
        "\x1b[31m",
        "\n",
        "tar: ",
        "busy",
    ]
)


@given(st.lists(pieces | st.text(max_size=20), max_size=30).map("".join), st.none() | st.sampled_from(list(Stage)))
def test_nothing_breaks_it(text: str, stage: Stage | None) -> None:
    failure = explain(1, text, stage)
    assert failure.id in FINDINGS
    assert is_clean(failure.message)
    assert all(is_clean(line) for line in failure.evidence)
