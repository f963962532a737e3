"""Generations of an installed system: which there are, what runs, and how another one is activated.

Run on the node. Sources: nixpkgs `nixos-rebuild` (bash to 25.05), `nixos-rebuild-ng` (Python, from 25.11),
`switch-to-configuration-ng`, nix-env(1), systemd-run(1).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from plasmatui.nix.tools import OutputError
from plasmatui.text import clean_line

PROFILE: Final = "/nix/var/nix/profiles/system"
ACTIVATE: Final = f"{PROFILE}/bin/switch-to-configuration"
LIST_ARGV: Final = ("nixos-rebuild", "list-generations", "--json")
LINKS_ARGV: Final = (
    *("find", "/nix/var/nix/profiles", "-maxdepth", "1", "-name", "system*", "-type", "l"),
    *("-printf", r"%f\t%T@\t%l\n"),
)
"""Without nixos-rebuild: the profile's links, their times and what they point to."""

_COMPARED: Final = ("kernel", "initrd", "kernel-modules")
"""What only a reboot changes."""

STATE_ARGV: Final = (
    *("realpath", "--canonicalize-missing", "--"),
    *("/run/booted-system", "/run/current-system", PROFILE),
    *(f"{base}/{part}" for part in _COMPARED for base in ("/run/booted-system", PROFILE)),
)
"""What was booted, what is active, what boots next, and their kernels."""


class Generation(msgspec.Struct, frozen=True):
    """One generation of the system profile.

    Attributes:
        date: Unix seconds; None when not known. Some nixos-rebuild say it in the node's local time, taken as UTC here.
        version: of NixOS ("25.11.20251115.abc1234"). kernel: its version. revision: of the configuration, or "".
        path: store path, where links were read.
    """

    number: int
    current: bool = False
    date: float | None = None
    version: str = ""
    kernel: str = ""
    revision: str = ""
    specialisations: tuple[str, ...] = ()
    path: str = ""


class _Listed(msgspec.Struct):
    generation: int
    date: str = ""
    nixos: str | None = msgspec.field(name="nixosVersion", default="")
    kernel: str | None = msgspec.field(name="kernelVersion", default="")
    revision: str | None = msgspec.field(name="configurationRevision", default="")
    specialisations: list[str] = []
    current: bool = False


def parse_list(output: bytes) -> tuple[Generation, ...]:
    """What `LIST_ARGV` printed, newest first: JSON of either program, or the table of one that knows no `--json`.

    Raises:
        OutputError: neither.
    """
    if output.lstrip()[:1] not in (b"[", b"{"):
        return _parse_table(output.decode("utf-8", "replace"))
    try:
        listed = msgspec.json.decode(output, type=list[_Listed])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OutputError("a list of generations as JSON", output) from error
    return _newest_first(
        Generation(
            number=entry.generation,
            current=entry.current,
            date=_date(entry.date),
            version=clean_line(entry.nixos or "", 80),
            kernel=clean_line(entry.kernel or "", 80),
            revision=_revision(entry.revision or ""),
            # The bash program writes "*" for "there are some".
            specialisations=tuple(clean_line(name, 80) for name in entry.specialisations if name != "*"),
        )
        for entry in listed
    )


_ROW: Final = re.compile(
    r"^\s*(\d+)(\s+current)?\s+(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ?)(?:\s+(\S+)\s+(\S+)\s*(.*?))?\s*$"
)


def _parse_table(text: str) -> tuple[Generation, ...]:
    found = []
    for line in text.splitlines():
        row = _ROW.match(line)
        if row is None:
            continue
        rest = row[6] or ""
        current = bool(row[2]) or rest.split()[-1:] == ["True"]
        words = rest.split()
        revision = words[0] if words and words[0] not in ("*", "[]", "True", "False") else ""
        found.append(
            Generation(
                number=int(row[1]),
                current=current,
                date=_date(row[3]),
                version=clean_line(row[4] or "", 80),
                kernel=clean_line(row[5] or "", 80),
                revision=_revision(revision),
            )
        )
    if not found and not text.lstrip().startswith("Generation"):
        raise OutputError("a list of generations", text)
    return _newest_first(found)


_LINK: Final = re.compile(r"system-(\d+)-link")


def parse_links(output: str) -> tuple[Generation, ...]:
    """What `LINKS_ARGV` printed, newest first: numbers, times and paths; versions from the store paths' names.

    Raises:
        OutputError: no generation is among it.
    """
    current = -1
    found = []
    for line in output.splitlines():
        name, _, rest = line.partition("\t")
        time, _, target = rest.partition("\t")
        link = _LINK.fullmatch(name)
        if name == "system":
            pointed = _LINK.fullmatch(target.rpartition("/")[2])
            current = int(pointed[1]) if pointed else -1
        elif link is not None and target:
            named = re.search(r"-nixos-system-.+?-(\d+\.\d+\S*)$", target)
            found.append((int(link[1]), _seconds(time), target, named[1] if named else ""))
    if not found:
        raise OutputError("links of the system profile", output)
    return _newest_first(
        Generation(
            number=number, current=number == current, date=date, version=clean_line(version, 80),
            path=clean_line(path, 300),
        )
        for number, date, path, version in found
    )  # fmt: skip


class Comparison(msgspec.Struct, frozen=True):
    """What was booted, what is active and what boots next: store paths.

    Attributes:
        word: "clean": all three are one; "pending": active is what was booted, another boots next; "trial": active is
            neither what boots next nor what was booted (`nixos-rebuild test`); "switched": active is what boots next.
        reboot_needed: the kernel, its modules or the initrd that boot next are not those that run.
    """

    booted: str
    current: str
    profile: str
    word: str
    reboot_needed: bool


def parse_state(output: str) -> Comparison:
    """What `STATE_ARGV` printed. Raises OutputError."""
    lines = output.splitlines()
    if len(lines) != 3 + 2 * len(_COMPARED) or not all(line.startswith("/") for line in lines):
        raise OutputError(f"{3 + 2 * len(_COMPARED)} paths", output)
    booted, current, profile = (clean_line(line, 300) for line in lines[:3])
    if booted == current == profile:
        word = "clean"
    elif current == profile:
        word = "switched"
    else:
        word = "pending" if current == booted else "trial"
    pairs = zip(lines[3::2], lines[4::2], strict=True)
    # Without a booted system (a container) there is nothing to reboot into.
    reboot = booted != "/run/booted-system" and any(old != new for old, new in pairs)
    return Comparison(booted, current, profile, word, reboot)


class When(StrEnum):
    """`switch` activates now and at the next boots; `boot` at the next boots."""

    SWITCH = "switch"
    BOOT = "boot"


def set_profile_argv(toplevel: str) -> tuple[str, ...]:
    """Make a system the newest generation; nothing is activated yet."""
    if not toplevel.startswith("/nix/store/"):
        raise ValueError(f"found {toplevel!r}, expected a store path")
    return ("nix-env", "-p", PROFILE, "--set", toplevel)


def choose_argv(number: int) -> tuple[str, ...]:
    """Point the profile to generation `number`; without an activation after it, it changes nothing at all."""
    return ("nix-env", "-p", PROFILE, "--switch-generation", str(number))


def activate_argv(unit: str, when: When) -> tuple[str, ...]:
    """Activate the profile in a unit of its own, which goes on when SSH breaks; returns at once.

    The unit stays after its end, so that `unit_argv` can be asked how it ended, then `release_argv`. It writes to the
    journal (`unit_log_argv`), not to us: a pipe that breaks would stop it half-way.
    """
    return (
        *("systemd-run", f"--unit={_unit(unit)}", "--no-block", "--quiet", "--no-ask-password"),
        *("--service-type=oneshot", "--property=RemainAfterExit=yes", ACTIVATE, when.value),
    )


def unit_argv(unit: str) -> tuple[str, ...]:
    """How an activation stands; see `parse_unit`."""
    return (
        *("systemctl", "show", _unit(unit)),
        "--property=LoadState,ActiveState,Result,ExecMainCode,ExecMainStatus",
    )


def unit_log_argv(unit: str, *, follow: bool = False) -> tuple[str, ...]:
    more = ("--follow", "--lines=all") if follow else ()
    return ("journalctl", f"--unit={_unit(unit)}", "--output=cat", "--no-pager", *more)


def release_argvs(unit: str) -> tuple[tuple[str, ...], ...]:
    """Forget an activation that has ended: one of the two applies, both may fail."""
    return (("systemctl", "stop", _unit(unit)), ("systemctl", "reset-failed", _unit(unit)))


class UnitState(msgspec.Struct, frozen=True):
    """How an activation stands.

    Attributes:
        known: False: systemd does not know the unit: it was never started, or the node was rebooted.
        running: it has not ended. code: exit code once it has, 128 + n for signal n.
    """

    known: bool
    running: bool
    code: int | None = None


def parse_unit(output: str) -> UnitState:
    """What `unit_argv` printed. Raises OutputError."""
    entries = dict(line.partition("=")[::2] for line in output.splitlines() if "=" in line)
    if "ActiveState" not in entries:
        raise OutputError("properties of a unit", output)
    if entries.get("LoadState") == "not-found":
        return UnitState(known=False, running=False)
    if entries["ActiveState"] in ("activating", "reloading", "deactivating"):
        return UnitState(known=True, running=True)
    try:
        status = int(entries.get("ExecMainStatus", "0"))
    except ValueError as error:
        raise OutputError("ExecMainStatus as a number", output) from error
    killed = entries.get("ExecMainCode") in ("2", "3", "killed", "dumped")  # CLD_KILLED, CLD_DUMPED
    code = 128 + status if killed else status
    if code == 0 and entries.get("Result", "success") != "success":
        code = 1
    return UnitState(known=True, running=False, code=code)


class Outcome(msgspec.Struct, frozen=True):
    """What an exit code of switch-to-configuration means.

    Attributes:
        switched: whether the new system is active (or, for `boot`, chosen).
        word: "done", "units-failed", "reboot-needed", "activation-failed", "refused".
    """

    switched: bool
    word: str
    message: str


def explain_code(code: int) -> Outcome:
    """Exit codes of switch-to-configuration (nixpkgs, switch-to-configuration-ng)."""
    if code == 0:
        return Outcome(True, "done", "the system is activated")
    if code == 4:
        return Outcome(True, "units-failed", "the system is activated, but some of its units failed")
    if code == 100:
        return Outcome(True, "reboot-needed", "the system is activated in part; the rest takes a reboot")
    if code == 2:
        return Outcome(False, "activation-failed", "the activation script failed")
    return Outcome(False, "refused", f"switch-to-configuration ended with code {code}")


def failed_units(output: str) -> tuple[str, ...]:
    """Names of units that an activation says have failed."""
    found: dict[str, None] = {}
    for line in re.findall(r"warning: the following units failed: (.+)", output):
        found |= dict.fromkeys(clean_line(name.strip(), 120) for name in line.split(",") if name.strip())
    return tuple(found)


def trial_argv(number: int) -> tuple[str, ...]:
    """Boot generation `number` once, with systemd-boot; the boot after it is the default again. Reboot separately."""
    return ("bootctl", "set-oneshot", f"nixos-generation-{number}.conf")


def _unit(unit: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:_.-]{1,200}\.service", unit):
        raise ValueError(f"found the unit {unit!r}, expected NAME.service")
    return unit


def _newest_first(found: Any) -> tuple[Generation, ...]:
    return tuple(sorted(found, key=lambda generation: -generation.number))


def _revision(text: str) -> str:
    return "" if text in ("Unknown", "unknown") else clean_line(text, 80)


def _date(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
