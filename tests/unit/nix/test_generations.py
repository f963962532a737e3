"""Generations: both programs' lists, links, comparison, activation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.nix import generations as g
from plasmatui.nix.generations import Generation, UnitState, When
from plasmatui.nix.tools import OutputError

NG = b"""[{"generation":55,"date":"2026-09-24 21:03:26","nixosVersion":"26.11.20260813.0e251e2","kernelVersion":"7.1.8",
"configurationRevision":"Unknown","specialisations":["gaming"],"current":true},
{"generation":54,"date":"2026-09-23 21:03:26","nixosVersion":"26.11","kernelVersion":"7.1.7",
"configurationRevision":"abc-dirty","specialisations":[],"current":false}]"""
BASH = b"""[{"generation":253,"date":"2024-05-01T10:00:00Z","nixosVersion":"23.11.6","kernelVersion":"6.1.90",
"configurationRevision":"","specialisations":["*"],"current":true}]"""
NG_TABLE = b"""\
Generation  Build-date           NixOS version           Kernel  Configuration Revision  Specialisation  Current
55          2026-09-24 21:03:26  26.11.20260813.0e251e2  7.1.8   Unknown                 []              True
54          2026-09-23 21:03:26  26.11.20260812.0e251e2  7.1.7   abc                     []              False
"""
BASH_TABLE = b"""Generation   Build-date           NixOS version    Kernel   Configuration Revision   Specialisation
253 current  2024-05-01 10:00:00  23.11.6          6.1.90                            *
252          2024-04-01 10:00:00  23.11.5          6.1.89   abc
"""


def test_lists() -> None:
    new, old = g.parse_list(NG)
    assert (new.number, new.current, new.version, new.kernel, new.revision) == (
        55, True, "26.11.20260813.0e251e2", "7.1.8", "",
    )  # fmt: skip
    assert new.specialisations == ("gaming",)
    assert (old.revision, old.current) == ("abc-dirty", False)
    (bash,) = g.parse_list(BASH)
    assert bash == Generation(253, True, 1714557600.0, "23.11.6", "6.1.90")


def test_tables() -> None:
    new, old = g.parse_list(NG_TABLE)
    assert (new.number, new.current, new.revision, old.current, old.revision) == (55, True, "", False, "abc")
    new, old = g.parse_list(BASH_TABLE)
    assert (new.number, new.current, new.kernel, old.number, old.current) == (253, True, "6.1.90", 252, False)


def test_links() -> None:
    output = (
        "system\t1795222887.5\tsystem-3-link\n"
        "system-2-link\t1795000000.0\t/nix/store/x-nixos-system-node01-25.11.2025\n"
        "system-3-link\t1795222887.0\t/nix/store/y-nixos-system-node-01-25.11.2026.abc\n"
        "system-profiles\t1\t/x\n"
    )
    new, old = g.parse_links(output)
    assert (new.number, new.current, new.version, new.date) == (3, True, "25.11.2026.abc", 1795222887.0)
    assert (old.number, old.current, old.path) == (2, False, "/nix/store/x-nixos-system-node01-25.11.2025")
    with pytest.raises(OutputError):
        g.parse_links("find: no such directory\n")


@pytest.mark.parametrize(
    ("booted", "current", "profile", "kernels", "word", "reboot"),
    [
        ("/a", "/a", "/a", ("/k", "/k"), "clean", False),
        ("/a", "/b", "/b", ("/k", "/k"), "switched", False),
        ("/a", "/b", "/b", ("/k", "/l"), "switched", True),
        ("/a", "/a", "/b", ("/k", "/l"), "pending", True),
        ("/a", "/b", "/a", ("/k", "/k"), "trial", False),
        ("/run/booted-system", "/b", "/b", ("/run/booted-system/kernel", "/k"), "switched", False),
    ],
)
def test_comparison(booted: str, current: str, profile: str, kernels: tuple[str, str], word: str, reboot: bool) -> None:
    output = "\n".join((booted, current, profile, *kernels, "/i", "/i", "/m", "/m")) + "\n"
    found = g.parse_state(output)
    assert (found.word, found.reboot_needed) == (word, reboot)
    with pytest.raises(OutputError):
        g.parse_state(output.partition("\n")[2])


def test_activation_survives_a_broken_connection() -> None:
    argv = g.activate_argv("plasmatui-7-node01.service", When.SWITCH)
    assert argv[0] == "systemd-run"
    assert "--no-block" in argv
    assert not {"--pipe", "--pty", "--collect"} & set(argv)
    assert argv[-2:] == ("/nix/var/nix/profiles/system/bin/switch-to-configuration", "switch")
    assert g.choose_argv(3)[-2:] == ("--switch-generation", "3")
    assert g.trial_argv(3) == ("bootctl", "set-oneshot", "nixos-generation-3.conf")
    for unit in ("x", "a b.service", "--x.service/../y"):
        with pytest.raises(ValueError, match=r"NAME\.service"):
            g.activate_argv(unit, When.BOOT)
    with pytest.raises(ValueError, match="store path"):
        g.set_profile_argv("/tmp/x")


@pytest.mark.parametrize(
    ("output", "state"),
    [
        ("LoadState=not-found\nActiveState=inactive\n", UnitState(False, False)),
        ("LoadState=loaded\nActiveState=activating\nResult=success\nExecMainStatus=0\n", UnitState(True, True)),
        ("LoadState=loaded\nActiveState=active\nResult=success\nExecMainCode=1\nExecMainStatus=0\n",
         UnitState(True, False, 0)),
        ("LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainCode=1\nExecMainStatus=4\n",
         UnitState(True, False, 4)),
        ("LoadState=loaded\nActiveState=failed\nResult=signal\nExecMainCode=2\nExecMainStatus=9\n",
         UnitState(True, False, 137)),
        ("LoadState=loaded\nActiveState=failed\nResult=resources\nExecMainStatus=0\n", UnitState(True, False, 1)),
    ],
)  # fmt: skip
def test_how_an_activation_stands(output: str, state: UnitState) -> None:
    assert g.parse_unit(output) == state


def test_exit_codes() -> None:
    words = {code: g.explain_code(code) for code in (0, 1, 2, 4, 100)}
    assert {code: (found.switched, found.word) for code, found in words.items()} == {
        0: (True, "done"), 1: (False, "refused"), 2: (False, "activation-failed"), 4: (True, "units-failed"),
        100: (True, "reboot-needed"),
    }  # fmt: skip
    assert g.failed_units("warning: the following units failed: a.service, b.service\n") == ("a.service", "b.service")


rows = st.sampled_from([*NG_TABLE.splitlines(), *BASH_TABLE.splitlines(), b"[", NG, BASH, b"system-3-link\t1\t/x"])


@given(st.lists(rows | st.binary(max_size=40), max_size=6).map(b"\n".join))
def test_nothing_but_output_errors(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for parse in (lambda: g.parse_list(data), lambda: g.parse_links(text)):
        try:
            found = parse()
        except OutputError:
            continue
        assert [entry.number for entry in found] == sorted((entry.number for entry in found), reverse=True)
    for other in (g.parse_state, g.parse_unit):
        try:
            other(text)
        except OutputError:
            continue
