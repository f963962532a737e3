"""systemctl, systemd-run and bootctl of a simulated host. Texts of systemd 257."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import time
from collections import deque
from collections.abc import Awaitable, Callable

from plasmatui.sim.arguments import Options
from plasmatui.sim.cmdjournal import short_form
from plasmatui.sim.nodefiles import GRUB_SUBMENU, grub_title
from plasmatui.sim.nodeshell import Call, Command, no_input
from plasmatui.sim.units import Unit, UnitState, full_name

_SYSTEMCTL_VALUES = ("p", "n", "o", "t", "state", "lines", "signal")
_ALIASES = {"property": "p", "type": "t", "quiet": "q", "output": "o", "all": "a"}


async def _systemctl(call: Call) -> int:
    options = Options(call.arguments, _SYSTEMCTL_VALUES, aliases=_ALIASES)
    verb, *names = options.rest or ["list-units"]
    if verb in ("reboot", "poweroff", "halt", "kexec", "is-system-running"):
        return await _SYSTEM[verb](call)
    if verb in ("list-units", "list-timers", "list-unit-files"):
        return _list_units(call, options, names)
    if verb in ("daemon-reload", "daemon-reexec", "preset", "enable", "disable"):
        return 0
    if verb == "reset-failed":
        return _reset_failed(call, names)
    if verb not in _VERBS:
        return call.fail(f"Unknown command verb '{verb}'.")
    return await _VERBS[verb](call, options, names)


def system_state(call: Call) -> str:
    """What `is-system-running` says."""
    states = {unit.state for unit in call.host.units.all()}
    if states & {UnitState.ACTIVATING, UnitState.DEACTIVATING}:
        return "starting"
    return "degraded" if UnitState.FAILED in states else "running"


async def _is_system_running(call: Call) -> int:
    state = system_state(call)
    call.say(state)
    return 0 if state == "running" else 1


async def _power(call: Call) -> int:
    verb = next(word for word in call.arguments if not word.startswith("-"))
    if call.user != "root":
        return call.fail("Call to Reboot failed: Interactive authentication required.")
    call.host.power({"reboot": "reboot", "kexec": "kexec"}.get(verb, "poweroff"))
    return 0


_SYSTEM: dict[str, Command] = {
    "is-system-running": _is_system_running, "reboot": _power, "poweroff": _power, "halt": _power, "kexec": _power,
}  # fmt: skip


async def _is_active(call: Call, options: Options, names: list[str]) -> int:
    units = call.host.units
    states = [units[name].state if name in units else UnitState.INACTIVE for name in names]
    if "q" not in options:
        call.say(*states)
    return 0 if UnitState.ACTIVE in states else 3


async def _is_failed(call: Call, options: Options, names: list[str]) -> int:
    units = call.host.units
    states = [units[name].state if name in units else UnitState.INACTIVE for name in names]
    if "q" not in options:
        call.say(*states)
    return 0 if UnitState.FAILED in states else 1


async def _is_enabled(call: Call, _options: Options, names: list[str]) -> int:
    units = call.host.units
    states = ["enabled" if name in units and units[name].enabled else "not-found" for name in names]
    call.say(*states)
    return 0 if "enabled" in states else 4


async def _change(call: Call, options: Options, names: list[str]) -> int:
    """start, stop, restart, reload, kill: in order, as far as units are known."""
    verb = options.rest[0]
    if call.user != "root":
        return call.fail(f"Failed to {verb} {full_name(names[0])}: Interactive authentication required.")
    units, code = call.host.units, 0
    for name in names:
        unit_name = full_name(name)
        if unit_name not in units:
            code = call.fail(
                f"Failed to {verb} {unit_name}: Unit {unit_name} not {'loaded' if verb == 'stop' else 'found'}.", 5
            )
            continue
        await call.sleep(0.3 if units[unit_name].state is UnitState.ACTIVE or verb == "start" else 0.0)
        if verb in ("stop", "kill"):
            units.stop(unit_name)
            if unit_name in units and units[unit_name].transient:
                units.remove(unit_name)
            continue
        if verb == "restart":
            units.stop(unit_name)
        if verb == "reload":
            if not units.reload(unit_name):
                code = call.fail(
                    f"Failed to reload {unit_name}: Job type reload is not applicable for unit {unit_name}."
                )
            continue
        units.start(unit_name)
        if units[unit_name].state is UnitState.FAILED:
            code = call.fail(
                f"Job for {unit_name} failed because the control process exited with error code.\n"
                f'See "systemctl status {unit_name}" and "journalctl -xeu {unit_name}" for details.'
            )
    return code


def _reset_failed(call: Call, names: list[str]) -> int:
    units = call.host.units
    for name in names:
        if name not in units:
            return call.fail(
                f"Failed to reset failed state of unit {full_name(name)}: Unit {full_name(name)} not loaded."
            )
    for unit in units.all():
        if unit.state is UnitState.FAILED and (not names or unit.name in map(full_name, names)):
            units.reset_failed(unit.name)
    return 0


def _list_units(call: Call, options: Options, patterns: list[str]) -> int:
    shown = []
    for unit in sorted(call.host.units.all(), key=lambda unit: unit.name):
        states = {*options.get("state").split(","), *(["failed"] if "failed" in options else [])} - {""}
        matches = any(
            re.fullmatch(re.escape(full_name(pattern)).replace(r"\*", ".*"), unit.name) for pattern in patterns
        )
        if (states and unit.state not in states) or (patterns and not matches):
            continue
        if unit.state is UnitState.INACTIVE and "a" not in options and not patterns:
            continue
        if unit.name.endswith(f".{options.get('t', unit.name.rpartition('.')[2])}"):
            shown.append(unit)
    if options.get("o") == "json":
        call.say(json.dumps([{"unit": unit.name, "load": "loaded", "active": unit.state, "sub": unit.substate,
                              "description": unit.description} for unit in shown]))  # fmt: skip
        return 0
    if "no-legend" not in options and options.get("legend") != "false":
        call.say("  UNIT LOAD ACTIVE SUB DESCRIPTION")
    call.say(*(f"{'●' if unit.state is UnitState.FAILED else ' '} {unit.name} loaded {unit.state} {unit.substate} "
               f"{unit.description}" for unit in shown))  # fmt: skip
    if "no-legend" not in options and options.get("legend") != "false":
        call.say("", f"{len(shown)} loaded units listed.")
    return 0


def _properties(unit: Unit | None, name: str) -> dict[str, str]:
    if unit is None:
        return {"Id": full_name(name), "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead",
                "Result": "success", "ExecMainCode": "0", "ExecMainStatus": "0", "MainPID": "0",
                "Description": full_name(name), "UnitFileState": "", "NRestarts": "0", "CanReload": "no"}  # fmt: skip
    since = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(unit.since))
    ended = unit.state in (UnitState.FAILED, UnitState.INACTIVE) or unit.substate == "exited"
    return {
        "Id": unit.name, "Names": unit.name, "Description": unit.description, "LoadState": "loaded",
        "ActiveState": unit.state, "SubState": unit.substate, "Result": unit.result,
        "ExecMainCode": "1" if ended else "0", "ExecMainStatus": str(unit.code), "MainPID": str(unit.pid),
        "Type": "oneshot" if unit.oneshot else "simple", "NRestarts": "0",
        "UnitFileState": "transient" if unit.transient else "enabled" if unit.enabled else "disabled",
        "CanReload": "yes" if unit.reloads else "no",
        "ActiveEnterTimestamp": since if unit.state is UnitState.ACTIVE else "", "StateChangeTimestamp": since,
    }  # fmt: skip


async def _show(call: Call, options: Options, names: list[str]) -> int:
    wanted = [part for given in options.each("p") for part in given.split(",")]
    for place, name in enumerate(names):
        unit = call.host.units.find(name)
        values = _properties(unit, name)
        if place:
            call.say("")
        chosen = {key: value for key, value in values.items() if not wanted or key in wanted}
        if "value" in options:
            call.say(*(values.get(key, "") for key in wanted))
        else:
            call.say(*(f"{key}={value}" for key, value in chosen.items()))
    if not names:
        values = {"SystemState": system_state(call), "Version": "257.7"}
        call.say(*(f"{key}={value}" for key, value in values.items() if not wanted or key in wanted))
    return 0


async def _status(call: Call, _options: Options, names: list[str]) -> int:
    code = 0
    for name in names:
        if name not in call.host.units:
            code = call.fail(f"Unit {full_name(name)} could not be found.", 4)
            continue
        unit = call.host.units[name]
        call.say(*status_lines(unit, call.host.clock.wall()))
        entries = [entry for entry in call.host.journal.entries if entry.unit == unit.name][-10:]
        call.say("", *(short_form(entry, call.host.hostname) for entry in entries))
        code = code or (0 if unit.state is UnitState.ACTIVE else 3)
    return code


def status_lines(unit: Unit, now: float) -> list[str]:
    """The head of `systemctl status`."""
    dot = "×" if unit.state is UnitState.FAILED else "●" if unit.state is UnitState.ACTIVE else "○"
    since = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(unit.since))
    result = f" (Result: {unit.result})" if unit.state is UnitState.FAILED else f" ({unit.substate})"
    lines = [
        f"{dot} {unit.name} - {unit.description}",
        f"     Loaded: loaded (/etc/systemd/system/{unit.name}; enabled; preset: ignored)",
        f"     Active: {unit.state}{result} since {since}; {int(now - unit.since)}s ago",
    ]
    return [*lines, f"   Main PID: {unit.pid} ({unit.name.removesuffix('.service')})"] if unit.pid else lines


_VERBS: dict[str, Callable[[Call, Options, list[str]], Awaitable[int]]] = {
    "is-active": _is_active, "is-failed": _is_failed, "is-enabled": _is_enabled, "start": _change, "stop": _change,
    "restart": _change, "try-restart": _change, "reload": _change, "kill": _change, "show": _show, "status": _status,
}  # fmt: skip


# Transient units


async def systemd_run(call: Call, run: Callable[[Call], Awaitable[int]]) -> int:
    """`systemd-run [--unit=NAME] [--wait] [--pipe] [--collect] [--no-block] [--on-active=TIME] COMMAND...`."""
    given = list(call.arguments)
    head: list[str] = []
    while given and given[0].startswith("-") and given[0] != "--":
        head.append(given.pop(0))
        if head[-1] in (
            "-p",
            "-E",
            "-u",
            "--unit",
            "--property",
            "--on-active",
            "--service-type",
            "--description",
            "--timer-property",
        ):
            head.append(given.pop(0))
    values = ("u", "p", "E", "service-type", "on-active", "timer-property", "description", "setenv", "uid")
    options = Options(head, values,
                      aliases={"unit": "u", "property": "p", "pipe": "P", "collect": "G", "quiet": "q"})  # fmt: skip
    argv = given[1:] if given[:1] == ["--"] else given
    name = full_name(options.get("u", f"run-u{int(call.host.uptime() * 100)}"))
    units = call.host.units
    if name in units:
        return call.fail(
            f"Failed to start transient service unit: Unit {name} was already loaded or has a fragment file."
        )
    if not argv:
        return call.fail("Command line to execute required.")
    oneshot = options.get("service-type") == "oneshot"
    stays = any(part.lower() == "remainafterexit=yes" for part in options.each("p"))
    seconds = _seconds(options["on-active"]) if "on-active" in options else None
    if seconds is not None:
        timer = units.define(name.replace(".service", ".timer"), " ".join(argv))
        timer.transient = True
        units.start(timer.name)
    else:
        _begin(call, name, argv)
    piped = "P" in options

    async def work() -> int:
        if seconds is not None:
            await call.sleep(seconds)
            if not units.is_active(name.replace(".service", ".timer")):
                return 0
            units.remove(name.replace(".service", ".timer"))
            _begin(call, name, argv)
            if not await _prepared(call, name, options.each("p"), run):
                return 0
        code = await run(_inner(call, name, argv, piped=piped))
        _ended(call, name, code, keep=(oneshot and stays) or (code != 0 and "G" not in options))
        return code

    if "q" not in options:
        call.complain(f"Running {'timer' if seconds is not None else 'as unit'}: {name}\n".encode())
    task = call.host.spawn(work(), "unit")
    if "wait" in options or piped:
        return await asyncio.shield(task)
    return 0


async def _prepared(call: Call, name: str, properties: list[str], run: Callable[[Call], Awaitable[int]]) -> bool:
    """`After=` units whose start is under way, then `ExecStartPre=`; False when the unit was stopped meanwhile."""
    units = call.host.units
    given = dict(part.partition("=")[::2] for part in properties)
    after = units.find(given.get("After", ""))
    while after is not None and after.state is UnitState.ACTIVATING:
        await call.sleep(0.5)
        after = units.find(after.name)
    if "ExecStartPre" in given and name in units:
        units[name].preparing = True
        await run(_inner(call, name, shlex.split(given["ExecStartPre"]), piped=False))
    if name not in units or units[name].state is not UnitState.ACTIVATING:
        return False
    units[name].preparing = False
    return True


def _begin(call: Call, name: str, argv: list[str]) -> None:
    unit = call.host.units.define(name, " ".join(argv))
    unit.transient, unit.oneshot, unit.pid = True, True, 4711
    call.host.units.set_state(name, UnitState.ACTIVATING)


def _inner(call: Call, name: str, argv: list[str], *, piped: bool) -> Call:
    if piped:
        return call.with_argv(argv)
    log = _LineWriter(lambda text: call.host.units.log(name, text))
    never = asyncio.Event()
    return Call(call.host, argv, no_input, log.write, log.write, never, "root", call.environ)


def _ended(call: Call, name: str, code: int, *, keep: bool) -> None:
    units = call.host.units
    if name not in units:
        return
    if code:
        units.fail(name, code=code)
    else:
        units.set_state(name, UnitState.ACTIVE if keep else UnitState.INACTIVE)
    if not keep:
        units.remove(name)


class _LineWriter:
    """Bytes to lines of the journal."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._rest = b""

    def write(self, data: bytes) -> None:
        lines = deque((self._rest + data).split(b"\n"))
        self._rest = lines.pop()
        for line in lines:
            if line:
                self._line(line.decode(errors="replace"))


def _seconds(text: str) -> float:
    """A time span of systemd: `90`, `90s`, `2min`."""
    found = re.fullmatch(r"([\d.]+)\s*(ms|s|sec|min|m|h)?", text)
    if found is None:
        return 0.0
    return float(found[1]) * {"ms": 0.001, "min": 60, "m": 60, "h": 3600}.get(found[2] or "s", 1)


async def _bootctl(call: Call) -> int:
    """`bootctl set-oneshot ID`, `set-default ID`, `list [--json=...]`."""
    options = Options(call.arguments, ("json",))
    verb, *rest = options.rest or ["status"]
    system = call.host.system
    assert system is not None
    if not call.host.identity.uefi:
        return call.fail("Not booted with EFI.")
    if verb in ("set-oneshot", "set-default"):
        found = re.fullmatch(r"nixos-generation-(\d+)\.conf", rest[0]) if rest else None
        if rest in ([""], ["''"]):
            system.oneshot = None
            return 0
        number = int(found[1]) if found is not None else 0
        if number not in system.entries:  # bootctl itself does not look; the loader would take its default
            return 0
        if verb == "set-oneshot":
            system.oneshot = number
        else:
            system.default = number
        return 0
    entries = [
        {"type": "type1", "id": f"nixos-generation-{number}.conf", "title": "NixOS", "version":
         f"Generation {number} NixOS {system.generations[number].build.version}", "isDefault": number == system.default,
         "isSelected": system.booted is not None and system.generations[number].build.path == system.booted.path}
        for number in sorted(system.bootable, reverse=True)
    ]  # fmt: skip
    if "json" in options:
        call.say(json.dumps(entries))
        return 0
    for entry in entries:
        mark = " (default)" if entry["isDefault"] else ""
        selected = " (selected)" if entry["isSelected"] else ""
        call.say("         type: Boot Loader Specification Type #1 (.conf)", f"        title: NixOS{mark}{selected}",
                 f"           id: {entry['id']}", f"      version: {entry['version']}", "")  # fmt: skip
    return 0


async def _grub_reboot(call: Call) -> int:
    """`grub-reboot SUBMENU>TITLE`: GRUB boots this entry once."""
    system = call.host.system
    titles = {f"{GRUB_SUBMENU}>{grub_title(system, number)}": number for number in system.bootable} if system else {}
    if system is None or call.host.identity.uefi:
        return call.fail("grub-reboot: error: cannot find a GRUB environment block")
    system.oneshot = titles.get(call.arguments[0] if call.arguments else "")  # GRUB takes its default for others
    return 0


COMMANDS: dict[str, Command] = {"systemctl": _systemctl, "bootctl": _bootctl, "grub-reboot": _grub_reboot}
