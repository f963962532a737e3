"""A system on trial: the way back that is armed before, and what only a reboot changes."""

from __future__ import annotations

import pytest

from plasmatui.nix import trials
from plasmatui.nix.generations import Generation

OLD, NEW = "/nix/store/00000000000000000000000000000000-nixos-system-a-1", "/nix/store/1-nixos-system-a-2"
TRIAL, BACK = "plasmatui-update-7.service", "plasmatui-update-7-back.service"


def test_the_way_back_waits_for_the_trials_end_and_then_for_the_confirmation() -> None:
    argv = trials.back_argv(BACK, TRIAL, OLD, 90)
    assert argv[0] == "systemd-run"
    assert f"--property=After={TRIAL}" in argv
    assert f"--property=ExecStartPre={OLD}/sw/bin/sleep 90" in argv
    assert "--timer-property=AccuracySec=1s" in argv, "a timer may be a minute late otherwise"
    assert argv[-2:] == (f"{OLD}/bin/switch-to-configuration", "test"), "what boots next is left alone"
    assert not any("TimeoutStartSec" in word for word in argv), "the sleep must not end it"
    assert [words[-1] for words in trials.disarm_argvs(BACK)] == ["plasmatui-update-7-back.timer", BACK, BACK]


def test_a_trial_is_a_unit_that_stays_and_ends_in_time() -> None:
    argv = trials.activate_argv(TRIAL, NEW, "test")
    assert {"--no-block", "--property=RemainAfterExit=yes", f"--property=TimeoutStartSec={trials.TRIAL_LIMIT}"} < set(
        argv
    )
    assert argv[-2:] == (f"{NEW}/bin/switch-to-configuration", "test")


@pytest.mark.parametrize("path", ["", "/tmp/x", "nix/store/x", "; reboot"])
def test_only_store_paths_are_activated(path: str) -> None:
    with pytest.raises(ValueError, match="store path"):
        trials.activate_argv(TRIAL, path, "switch")
    with pytest.raises(ValueError, match="store path"):
        trials.back_argv(BACK, TRIAL, path, 90)


def test_what_only_a_reboot_changes() -> None:
    same = "/k\n/k\n/i\n/i\n/m\n/m\n"
    assert trials.parse_kernels(same) == ()
    assert trials.parse_kernels("/k\n/k\n/i\n/j\n/m\n/n\n") == ("initrd", "kernel-modules")
    assert trials.parse_kernels("realpath: no\n") == trials.COMPARED, "what cannot be told counts as another one"
    argv = trials.kernel_argv(NEW)
    assert argv[-6:] == (
        "/run/booted-system/kernel", f"{NEW}/kernel", "/run/booted-system/initrd", f"{NEW}/initrd",
        "/run/booted-system/kernel-modules", f"{NEW}/kernel-modules",
    )  # fmt: skip


def test_the_generation_of_a_system_is_the_newest_with_it() -> None:
    found = (Generation(9, path=OLD), Generation(8, path=NEW), Generation(3, path=NEW))
    assert trials.number_of(found, NEW) == 8
    assert trials.number_of(found, "/nix/store/x") == 0


MENU = """
submenu "NixOS - Profile 'x'" --class submenu {
menuentry "NixOS - Configuration 4 (2026-01-01 - 25.05)" --class nixos { }
}
menuentry "NixOS - Default" --class nixos --unrestricted { }
submenu "NixOS - All configurations" --class submenu {
menuentry "NixOS - Configuration 42 (2026-11-28 - 25.11.20251201.aaaaaaa)" --class nixos {
}
  menuentry "NixOS - Configuration 41 (2026-10-28 - 25.11)" --class nixos {
"""


def test_an_entry_of_grub_is_named_by_its_submenu_and_title() -> None:
    assert trials.grub_entry(MENU, 42) == (
        "NixOS - All configurations>NixOS - Configuration 42 (2026-11-28 - 25.11.20251201.aaaaaaa)"
    )
    assert trials.grub_entry(MENU, 41).startswith("NixOS - All configurations>NixOS - Configuration 41 ")
    assert trials.grub_entry(MENU, 2) == "", "not a part of another number"
    assert trials.grub_entry('menuentry "NixOS - Configuration 7" { }', 7) == "NixOS - Configuration 7"
    assert trials.grub_entry("", 7) == ""
