"""Trying a system before it is made permanent: activated with a way back that needs nobody, booted once.

Run on the node. Sources: switch-to-configuration-ng, systemd-run(1), systemd.timer(5), systemd.service(5),
systemd.unit(5) ("After="), bootctl(1); the idea of a way back that is armed before: deploy-rs ("magic rollback").
"""

from __future__ import annotations

import re
from typing import Final

from plasmatui.nix.generations import Generation

ARM_DELAY: Final = 30
"""Seconds from arming to the moment when the way back begins to wait for the trial's end. The trial begins within."""

TRIAL_LIMIT: Final = 900
"""Seconds that an activation may take on the node before systemd ends it."""

COMPARED: Final = ("kernel", "initrd", "kernel-modules")
PARAMETERS: Final = "kernel-params"
BOOTED: Final = "/run/booted-system"
LOADER_ENTRIES: Final = "/boot/loader/entries"
GRUB_MENU: Final = "/boot/grub/grub.cfg"


def activate_argv(unit: str, toplevel: str, action: str) -> tuple[str, ...]:
    """Let a system's switch-to-configuration do `action` in a unit of its own; returns at once.

    "test" activates it for now, and what boots next stays; "boot" writes the boot loader alone; "switch" does both.
    It writes to the journal and stays after its end: see `generations.activate_argv`.
    """
    return (
        *("systemd-run", f"--unit={unit}", "--no-block", "--quiet", "--no-ask-password"),
        *("--service-type=oneshot", "--property=RemainAfterExit=yes", f"--property=TimeoutStartSec={TRIAL_LIMIT}"),
        *(_script(toplevel), action),
    )


def back_argv(unit: str, trial: str, toplevel: str, confirm: int) -> tuple[str, ...]:
    """Arm the way back: unless it is disarmed, the node activates `toplevel` by itself `confirm` seconds after the
    trial's end.

    A timer starts a service that systemd orders after the trial: it is not begun while that runs. The service sleeps
    before it goes back, so that the seconds count from the trial's end and not from the arming.

    Args:
        unit: NAME.service of the way back; its timer is NAME.timer. trial: NAME.service of the trial.
    """
    sleep = f"{toplevel}/sw/bin/sleep {confirm}"
    return (
        *("systemd-run", f"--unit={unit}", f"--on-active={ARM_DELAY}", "--timer-property=AccuracySec=1s"),
        *("--quiet", "--no-ask-password", "--service-type=oneshot"),
        *(f"--property=After={trial}", f"--property=ExecStartPre={sleep}"),
        *(_script(toplevel), "test"),
    )


def disarm_argvs(unit: str) -> tuple[tuple[str, ...], ...]:
    """Disarm the way back; what is not there any more may fail."""
    timer = f"{unit.removesuffix('.service')}.timer"
    return (("systemctl", "stop", timer), ("systemctl", "stop", unit), ("systemctl", "reset-failed", unit))


def back_state_argv(unit: str) -> tuple[str, ...]:
    """What the way back does: its SubState is "start" while it activates the old system, and must be let alone then."""
    return ("systemctl", "show", unit, "--property=SubState", "--value")


def kernel_argv(toplevel: str) -> tuple[str, ...]:
    """Where the kernels of the booted system and of another one really are; see `parse_kernels`."""
    return (
        *("realpath", "--canonicalize-missing", "--"),
        *(f"{base}/{part}" for part in COMPARED for base in (BOOTED, toplevel)),
    )


def parse_kernels(output: str) -> tuple[str, ...]:
    """What differs, of `kernel_argv`'s answer; everything where it makes no sense."""
    lines = output.splitlines()
    if len(lines) != 2 * len(COMPARED):
        return COMPARED
    return tuple(part for part, old, new in zip(COMPARED, lines[::2], lines[1::2], strict=True) if old != new)


def grub_entry(menu: str, number: int) -> str:
    """What `grub-reboot` calls a generation of the menu that nixpkgs' install-grub.pl writes: "SUBMENU>TITLE"; "" when
    it is not there."""
    entry = re.search(rf'^[ \t]*menuentry "([^">]* - Configuration {number}(?: [^">]*)?)"', menu, re.MULTILINE)
    if entry is None:
        return ""
    above = re.findall(r'^[ \t]*submenu "([^">]*)"', menu[: entry.start()], re.MULTILINE)
    return f"{above[-1]}>{entry[1]}" if above else entry[1]


def grub_once_argv(entry: str) -> tuple[str, ...]:
    """Boot an entry of GRUB once. It forgets it by writing to `/boot/grub/grubenv`, which it cannot on RAID or LVM."""
    return ("grub-reboot", entry)


def number_of(found: tuple[Generation, ...], toplevel: str) -> int:
    """The newest generation of a system among links that were read; 0: none."""
    return max((each.number for each in found if each.path == toplevel), default=0)


def _script(toplevel: str) -> str:
    if not toplevel.startswith("/nix/store/"):
        raise ValueError(f"found {toplevel!r}, expected a store path")
    return f"{toplevel}/bin/switch-to-configuration"
