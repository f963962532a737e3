"""Which commands a simulated host knows."""

from __future__ import annotations

import asyncio
import posixpath

from plasmatui.sim import (
    cmdarchives,
    cmdbasic,
    cmdcurl,
    cmddisks,
    cmdfiles,
    cmdinstall,
    cmdjournal,
    cmdnixos,
    cmdsystemd,
)
from plasmatui.sim.arguments import UsageError
from plasmatui.sim.builds import DiskoScript
from plasmatui.sim.host import Host
from plasmatui.sim.nodeshell import Call, Command, Shell

_ENDS_BY_MARK = "/proc/[0-9]*/environ"
_TABLE: dict[str, Command] = {
    **cmdfiles.COMMANDS,
    **cmdarchives.COMMANDS,
    **cmdbasic.COMMANDS,
    **cmdcurl.COMMANDS,
    **cmddisks.COMMANDS,
    **cmdsystemd.COMMANDS,
    **cmdjournal.COMMANDS,
    **cmdnixos.COMMANDS,
    **cmdinstall.COMMANDS,
}
_BINARIES = ("/run/current-system/sw/bin", "/run/wrappers/bin", "/bin", "/usr/bin")
_INSTALLED_ONLY = frozenset({"bootctl", "grub-reboot", "nixos-rebuild"})
_INSTALLER_ONLY = frozenset({"nixos-install", "nixos-generate-config"})
_NEEDS_ROOT = frozenset(
    {"nixos-install", "bootctl", "grub-reboot", "reboot", "poweroff", "systemd-run", "nixos-generate-config"}
)


def find_command(host: Host, name: str) -> Command | None:
    """The command of a name, or of a path in the store; None when the shell would say that there is none."""
    directory, base = posixpath.split(name)
    if name.startswith("/nix/store/") and isinstance(host.store.get(name), DiskoScript):
        return _careful(cmdinstall.run_disko)
    if base == "switch-to-configuration" and directory:
        return _careful(cmdnixos.switch_to_configuration)
    if name.endswith("kexec/kexec/run"):
        return _careful(cmdinstall.run_kexec)
    if directory and directory not in _BINARIES and not directory.startswith("/nix/store/"):
        return None
    if base in (_INSTALLED_ONLY if host.installer else _INSTALLER_ONLY):
        return None
    if base in _RUNNERS:
        return _careful(_RUNNERS[base])
    command = _TABLE.get(base)
    return None if command is None else _careful(command)


def _careful(command: Command) -> Command:
    """Errors of use and of files become a line and an exit code, as every program does it."""

    async def run(call: Call) -> int:
        name = posixpath.basename(call.argv[0])
        if call.user != "root" and name in _NEEDS_ROOT:
            return call.fail(f"{name}: Permission denied")
        try:
            return await command(call)
        except UsageError as error:
            return call.fail(f"{name}: {error}\nTry '{name} --help' for more information.", 2)
        except OSError as error:
            return call.fail(f"{name}: {error.filename}: {error.strerror}")

    return run


def shell_of(call: Call, user: str | None = None) -> Shell:
    """A shell that a command starts."""
    return Shell(call.host, find_command, call.over, call.user if user is None else user)


async def _shell(call: Call) -> int:
    """`sh -c LINE`, or a script from the input."""
    arguments = [word for word in call.arguments if word not in ("-l", "-e", "-u", "-x", "-eu", "-eux", "--", "-s")]
    shell = shell_of(call)
    if arguments[:1] in (["-c"], ["-lc"], ["-ec"]):
        script = arguments[1] if len(arguments) > 1 else ""
        shell.set_parameters(arguments[2] if len(arguments) > 2 else "sh", arguments[3:])
        if _ENDS_BY_MARK in script:
            return await _end_marked(call, arguments[3:])
    elif arguments:
        script = call.files.read(arguments[0]).decode(errors="replace")
    else:
        script = (await call.input()).decode(errors="replace")
    return await shell.run(script, call.read, call.write, call.complain)


async def _end_marked(call: Call, words: list[str]) -> int:
    """What a script does that looks for programs by a variable of their environment, and kills them."""
    found = call.host.marked.get(words[0] if words else "")
    if found is not None and not found.done():
        found.cancel()
        await asyncio.wait([found])
    return 0


async def _sudo(call: Call) -> int:
    """`sudo [-n] [-u USER] COMMAND`; with the fault `sudo-refused` it wants a password."""
    arguments = call.arguments
    while arguments and arguments[0].startswith("-"):
        taken = 2 if arguments[0] in ("-u", "-g", "-p") else 1
        arguments = arguments[1:] if arguments[0] == "--" else arguments[taken:]
    if call.user != "root" and "sudo-refused" in call.host.faults:
        return call.fail("sudo: a password is required")
    return await shell_of(call, "root").call(call.with_argv(arguments)) if arguments else 0


async def _prefix(call: Call) -> int:
    """`nohup`, `setsid`, `exec`, `nice`: what follows."""
    arguments = call.arguments
    while arguments and arguments[0].startswith("-"):
        arguments = arguments[1:]
    return await shell_of(call).call(call.with_argv(arguments)) if arguments else 0


async def _env(call: Call) -> int:
    arguments = [word for word in call.arguments if word != "-i"]
    while arguments and "=" in arguments[0]:
        task = asyncio.current_task()
        if task is not None:
            call.host.mark(arguments[0], task)
        arguments = arguments[1:]
    if not arguments:
        call.say(*(f"{name}={value}" for name, value in call.environ.items() if name != "?"))
        return 0
    return await shell_of(call).call(call.with_argv(arguments))


async def _timeout(call: Call) -> int:
    """`timeout SECONDS COMMAND`: the limit is that of the host's own time, and is not kept here."""
    arguments = [word for word in call.arguments if not word.startswith("-")]
    return await shell_of(call).call(call.with_argv(arguments[1:])) if len(arguments) > 1 else 0


async def _command(call: Call) -> int:
    """`command -v NAME`, `which NAME`, `type NAME`."""
    code = 0
    for name in (word for word in call.arguments if not word.startswith("-")):
        if find_command(call.host, name) is None:
            code = 1
        else:
            call.say(name if "/" in name else f"/run/current-system/sw/bin/{name}")
    return code


async def _systemd_run(call: Call) -> int:
    return await cmdsystemd.systemd_run(call, lambda inner: shell_of(inner, "root").call(inner))


_RUNNERS: dict[str, Command] = {
    "sh": _shell,
    "bash": _shell,
    "sudo": _sudo,
    "doas": _sudo,
    "nohup": _prefix,
    "setsid": _prefix,
    "exec": _prefix,
    "nice": _prefix,
    "env": _env,
    "timeout": _timeout,
    "command": _command,
    "which": _command,
    "type": _command,
    "systemd-run": _systemd_run,
}
