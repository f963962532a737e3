"""Commands of NixOS on a simulated host: generations, activation, versions."""

from __future__ import annotations

import json
import time

from plasmatui.sim.arguments import Options
from plasmatui.sim.builds import Toplevel, kernel_path, systemd_path
from plasmatui.sim.cmdsystemd import status_lines
from plasmatui.sim.host import Host
from plasmatui.sim.nodefiles import PROFILE, codename, is_ng
from plasmatui.sim.nodeshell import Call, Command
from plasmatui.sim.system import Generation, InstalledSystem
from plasmatui.sim.units import UnitState

ACTIONS = ("check", "switch", "boot", "test", "dry-activate")
_LOADER_SECONDS, _ACTIVATION_SECONDS, _UNIT_SECONDS = 2.0, 3.0, 0.8
_FAILED_UNIT = "plasmavmc.service"


def find_build(host: Host, path: str) -> Toplevel | None:
    """The system that a path, such as that of the profile, leads to."""
    from plasmatui.sim.nodefiles import view

    build = host.store.get(view(host).resolve(path))
    if build is None and host.system is not None:
        build = host.system.store.get(view(host).resolve(path))
    return build if isinstance(build, Toplevel) else None


async def _nixos_version(call: Call) -> int:
    host = call.host
    current = host.system.current if host.system is not None else None
    revision = current.revision if current is not None else ""
    nixpkgs = host.version.rpartition(".")[2]
    if "--json" in call.arguments:
        values = {"configurationRevision": revision, "nixosVersion": host.version, "nixpkgsRevision": nixpkgs}
        call.say(json.dumps({key: value for key, value in values.items() if value}))
    elif "--configuration-revision" in call.arguments:
        if not revision:
            return call.fail("nixos-version: configuration revision is unknown")
        call.say(revision)
    elif {"--revision", "--hash"} & set(call.arguments):
        call.say(nixpkgs)
    else:
        call.say(f"{host.version} ({codename(host.version)})")
    return 0


async def _nix_env(call: Call) -> int:
    """`nix-env -p PROFILE` with --set, --switch-generation, --rollback, --list-generations or --delete-generations."""
    options = Options(call.arguments, ("p", "profile", "set", "switch-generation", "G", "delete-generations"),
                      aliases={"profile": "p", "G": "switch-generation"})  # fmt: skip
    system = call.host.system
    if system is None or options.get("p", PROFILE) != PROFILE:
        return call.fail(f"error: opening lock file '{options.get('p')}.lock': No such file or directory")
    if "list-generations" in options:
        for number, generation in sorted(system.generations.items()):
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(generation.date))
            call.say(f"{number:>4}   {at}   {'(current)' if number == system.profile else ''}")
        return 0
    if call.user != "root":
        return call.fail(f"error: opening lock file '{PROFILE}.lock': Permission denied")
    if "set" in options:
        build = find_build(call.host, options["set"])
        if build is None:
            return call.fail(f"error: path '{options['set']}' is not valid")
        system.set_profile(build)
        return 0
    if "delete-generations" in options:
        for text in options["delete-generations"].split():
            if text.isdigit() and int(text) in system.generations and int(text) != system.profile:
                del system.generations[int(text)]
                call.complain(f"removing profile version {text}\n".encode())
        return 0
    if "rollback" in options:
        return _to_generation(call, system, max((n for n in system.generations if n < system.profile), default=None))
    if "switch-generation" in options:
        text = options["switch-generation"]
        if not text.isdigit() or int(text) not in system.generations:
            return call.fail(f"error: profile version {text} does not exist")
        return _to_generation(call, system, int(text))
    return call.fail("error: no operation specified")


def _to_generation(call: Call, system: InstalledSystem, number: int | None) -> int:
    if number is None:
        return call.fail(f"error: no profile version older than the current ({system.profile}) exists")
    call.complain(f"switching profile from version {system.profile} to {number}\n".encode())
    system.profile = number
    return 0


# switch-to-configuration


async def switch_to_configuration(call: Call) -> int:
    """`TOPLEVEL/bin/switch-to-configuration check|switch|boot|test|dry-activate`: exit codes 0, 1, 2, 4, 100."""
    build = find_build(call.host, call.argv[0].removesuffix("/bin/switch-to-configuration"))
    action = call.arguments[0] if call.arguments else ""
    system = call.host.system
    if build is None or system is None:
        return call.fail(f"bash: line 1: {call.argv[0]}: No such file or directory", 127)
    if action not in ACTIONS:
        return call.fail(f"Usage: {call.argv[0]} [{'|'.join(ACTIONS)}]")
    if call.user != "root":
        return call.fail(f"{call.argv[0]}: Permission denied", 126)
    if call.host.switching:
        return call.fail("Could not acquire lock")
    call.host.switching = True
    try:
        return await _Switch(call, system, build).run(action)
    finally:
        call.host.switching = False


class _Switch:
    """One activation."""

    def __init__(self, call: Call, system: InstalledSystem, build: Toplevel) -> None:
        self._call = call
        self._system = system
        self._build = build
        faults = call.host.faults
        self._fault = int(faults.number("switch-fails")) if "switch-fails" in faults else 0

    async def run(self, action: str) -> int:
        if action == "dry-activate":
            return self._preview()
        self._say("Checking switch inhibitors... done")
        if self._fault == 1:
            return self._call.fail("Pre-switch check 'plasmacloud' failed\nPre-switch checks failed")
        if action == "check":
            return 0
        if action in ("switch", "boot"):
            await self._boot_loader()
        return 0 if action == "boot" else await self._activate()

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._call.complain(line.encode() + b"\n")

    async def _boot_loader(self) -> None:
        if not self._call.host.identity.uefi:
            self._say("updating GRUB 2 menu...")
        await self._call.sleep(_LOADER_SECONDS)
        if "boot-full" in self._call.host.faults:  # said, and no failure: NixOS/nixpkgs issue 189966
            kernel = kernel_path(self._build, "initrd")
            self._say("ignoring default profile in the list of boot entries because of the following error:",
                      f"[Errno 28] No space left on device: '{kernel}' -> '/boot/EFI/nixos/initrd.efi'")  # fmt: skip
        else:
            self._system.set_boot_default(self._build.path)

    def _changed(self) -> list[str]:
        """Running units whose definition is another one in the new system."""
        old, units = self._system.current, self._system.units
        if old is None or (old.path == self._build.path):
            return []
        return [f"{service}.service" for service in self._build.services if units.is_active(service)]

    def _added(self) -> list[str]:
        return [f"{service}.service" for service in self._build.services if not self._system.units.is_active(service)]

    def _dropped(self) -> list[str]:
        old = self._system.current
        gone = sorted(set(old.services if old is not None else ()) - set(self._build.services))
        return [f"{service}.service" for service in gone]

    def _preview(self) -> int:
        for verb, names in (("stop", self._dropped()), ("restart", self._changed()), ("start", self._added())):
            if names:
                self._say(f"would {verb} the following units: {', '.join(names)}")
            if verb == "stop":
                self._say("would activate the configuration...")
        if self._reexec():
            self._say("would restart systemd")
        return 0

    def _reexec(self) -> bool:
        old = self._system.current
        return old is not None and systemd_path(old) != systemd_path(self._build)

    async def _activate(self) -> int:
        system, units = self._system, self._system.units
        system.journal.write("", f"switching to system configuration {self._build.path}", identifier="nixos")
        changed, dropped, added = self._changed(), self._dropped(), self._added()
        if stopping := [*dropped, *changed]:
            self._say(f"stopping the following units: {', '.join(stopping)}")
            for name in stopping:
                units.stop(name)
        self._say("activating the configuration...")
        await self._call.sleep(_ACTIVATION_SECONDS)
        self._say("setting up /etc...")
        if self._fault == 2:
            self._say("Activation script snippet 'users' failed (1)")
            for name in changed:
                units.start(name)
            return 2
        system.current = self._build
        self._call.host.network_changed()
        self._say("reloading user units for root...", "restarting sysinit-reactivation.target")
        self._say("reloading the following units: dbus.service")
        if starting := [*changed, *added]:
            self._say(f"starting the following units: {', '.join(starting)}")
        for name in starting:
            await self._call.sleep(_UNIT_SECONDS)
            units.define(name)
            if units[name].state is UnitState.ACTIVATING:
                units.stop(name)
            system.spoil(name, self._build)
            units.start(name)
        if added:
            self._say(f"the following new units were started: {', '.join(added)}")
        return self._end()

    def _end(self) -> int:
        if self._fault == 4:
            units = self._system.units
            units.define(_FAILED_UNIT)
            units.fail(_FAILED_UNIT)
            self._say(f"warning: the following units failed: {_FAILED_UNIT}")
            self._say(*status_lines(units[_FAILED_UNIT], self._call.host.clock.wall()))
            return 4
        self._system.journal.write("", f"finished switching to system configuration {self._build.path}",
                                   identifier="nixos")  # fmt: skip
        return self._fault


# nixos-rebuild


async def _nixos_rebuild(call: Call) -> int:
    """What a node can do without a flake: list-generations, and switch, boot or test `--rollback`."""
    options = Options(call.arguments, ("flake", "F", "target-host", "profile-name", "p", "specialisation", "c"),
                      aliases={"F": "flake"})  # fmt: skip
    system = call.host.system
    assert system is not None
    action = options.rest[0] if options.rest else ""
    new = is_ng(call.host.version)
    if action == "list-generations":
        list_generations(call, system, as_json="json" in options, new=new)
        return 0
    if action not in ("switch", "boot", "test", "build", "dry-activate", "dry-build", "dry-run"):
        return call.fail(f"error: unknown action '{action}'", 2 if new else 1)
    if "rollback" not in options:
        flake = options.get("flake").partition("#")[0] or "/etc/nixos"
        call.complain(b"building the system configuration...\n")
        await call.sleep(1.0)
        return call.fail(f"error: getting status of '{flake}': No such file or directory")
    if action not in ("switch", "boot", "test"):
        return call.fail(f"error: --rollback is incompatible with '{action}'")
    number = max((n for n in system.generations if n < system.profile), default=None)
    if number is None:
        return call.fail(f"error: no profile version older than the current ({system.profile}) exists")
    path = system.generations[number].build.path
    if action != "test":
        _to_generation(call, system, number)
    code = await switch_to_configuration(call.with_argv([f"{path}/bin/switch-to-configuration", action]))
    return rebuild_code(call, code, path, action, new=new)


def rebuild_code(call: Call, code: int, path: str, action: str, *, new: bool) -> int:
    """The exit code of nixos-rebuild after switch-to-configuration's: nixos-rebuild-ng's is the same, bash's 1."""
    if code == 0:
        return 0
    if new:
        return call.fail(
            f"Command '{path}/bin/switch-to-configuration {action}' returned non-zero exit status {code}.", code
        )
    return call.fail("warning: error(s) occurred while switching to the new configuration")


def list_generations(call: Call, system: InstalledSystem, *, as_json: bool, new: bool) -> None:
    """`nixos-rebuild list-generations`, newest first, as nixos-rebuild-ng or the program in bash prints it."""
    found = [system.generations[number] for number in sorted(system.generations, reverse=True)]
    if as_json:
        call.say(json.dumps([_as_json(generation, system.profile, new=new) for generation in found], indent=2))
        return
    heads = ("Generation", "Build-date", "NixOS version", "Kernel", "Configuration Revision", "Specialisation")
    rows = [(*heads, "Current") if new else heads]
    for generation in found:
        current = generation.number == system.profile
        build = generation.build
        number = str(generation.number) if new or not current else f"{generation.number} current"
        cells = (number, _date(generation, iso=False), build.version, build.kernel,
                 build.revision or ("Unknown" if new else ""), "[]" if new else "")  # fmt: skip
        rows.append((*cells, str(current)) if new else cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    call.say(*("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows))


def _as_json(generation: Generation, profile: int, *, new: bool) -> dict[str, object]:
    build = generation.build
    return {
        "generation": generation.number, "date": _date(generation, iso=not new), "nixosVersion": build.version,
        "kernelVersion": build.kernel, "configurationRevision": build.revision or ("Unknown" if new else ""),
        "specialisations": [], "current": generation.number == profile,
    }  # fmt: skip


def _date(generation: Generation, *, iso: bool) -> str:
    form = "%Y-%m-%dT%H:%M:%SZ" if iso else "%Y-%m-%d %H:%M:%S"
    return time.strftime(form, time.gmtime(generation.date))


COMMANDS: dict[str, Command] = {
    "nixos-version": _nixos_version, "nix-env": _nix_env, "nixos-rebuild": _nixos_rebuild,
}  # fmt: skip
