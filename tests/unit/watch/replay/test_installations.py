"""The output of nixos-anywhere in a bundle, beside the boot of the installer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plasmatui.model.words import Stage
from plasmatui.replay import replay_all

INSTALLER = (
    "iPXE initialising devices...ok\r\n[    0.000000] Linux version 6.6.30\r\n<<< NixOS Stage 1 >>>\r\nnixos login: "
)
STEPS = (
    "### Uploading install SSH keys ###",
    "Warning: Permanently added '10.0.0.1' (ED25519) to the list of known hosts.",
    "### Gathering machine facts ###",
    "### Formatting hard drive with disko ###",
    "+ lsblk",
    "### Uploading the system closure ###",
    "copying 3 paths...",
    "### Installing NixOS ###",
    "installing the boot loader...",
)
DONE = ("### Rebooting ###", "### Waiting for the machine to become unreachable due to reboot ###", "### Done! ###")


def bundle(directory: Path, *lines: str, node: str = "a", nodes: tuple[str, ...] = ("a",), tty: bool = True) -> Path:
    (directory / "out").write_text("".join(f"{line}\n" for line in lines))
    files = [{"path": "out", "format": "nixos-anywhere", **({"node": node} if node else {})}]
    if tty:
        (directory / "tty").write_text(INSTALLER)
        files.append({"path": "tty", "format": "console", "node": "a"})
    content = {"version": 1, "nodes": {name: {} for name in nodes}, "files": files}
    (directory / "bundle.yaml").write_text(json.dumps(content))
    return directory


def test_an_installation_goes_on_where_the_boot_ended(tmp_path: Path) -> None:
    (boot,) = replay_all(bundle(tmp_path, *STEPS, *DONE), print)["a"]
    assert (boot.reached, boot.outcome, boot.findings) == (Stage.REBOOT, "running", ())
    assert [span.stage for span in boot.stages][-6:] == [
        Stage.INSTALLER_UP,
        Stage.FACTS,
        Stage.DISKO,
        Stage.CLOSURE_COPY,
        Stage.BOOTLOADER,
        Stage.REBOOT,
    ]
    assert boot.stages[-1].evidence[0].line == len(STEPS) + 1


@pytest.mark.parametrize(
    ("lines", "finding", "line", "reached"),
    [
        ((*STEPS[:5], "Problem opening /dev/sdz for reading! Error is 2."), "disko-device-missing", 6, Stage.FACTS),
        ((*STEPS, "/boot is not a mounted partition. Is the path right?"), "bootloader-failed", 10, Stage.CLOSURE_COPY),
        ((*STEPS[:7], "error: writing to file: No space left on device"), "install-no-space", 8, Stage.DISKO),
    ],
)
def test_why_it_failed(tmp_path: Path, lines: tuple[str, ...], finding: str, line: int, reached: Stage) -> None:
    (boot,) = replay_all(bundle(tmp_path, *lines, tty=False), print)["a"]
    assert (boot.reached, boot.outcome) == (reached, "stopped")
    assert [found.id for found in boot.findings] == [finding]
    assert boot.findings[0].evidence[0] == f"out:{line}: {lines[-1]}"
    assert boot.stages[-1].state == "failed"


def test_an_output_that_ends_in_the_middle_is_no_failure(tmp_path: Path) -> None:
    (boot,) = replay_all(bundle(tmp_path, *STEPS), print)["a"]
    assert (boot.reached, boot.findings, boot.stages[-1].state) == (Stage.CLOSURE_COPY, (), "running")


def test_whose_output_it_is_must_be_said_where_there_are_several(tmp_path: Path) -> None:
    warnings: list[str] = []
    assert "b" not in replay_all(bundle(tmp_path, *STEPS, node="", nodes=("a", "b")), warnings.append)
    assert warnings == ["out: says nothing of its node; give it one as `node` in bundle.yaml"]
    assert replay_all(bundle(tmp_path, *STEPS, node="", tty=False), print)["a"][0].reached is Stage.CLOSURE_COPY
