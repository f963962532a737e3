"""The stand-in of `nix`: build, eval, flake metadata and show, copy, path-info, config show."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shlex
from pathlib import Path

from plasmatui.sim.arguments import Options, UsageError
from plasmatui.sim.builds import STORE, Build, Toplevel, store_hash, store_path
from plasmatui.sim.tools.building import build_all, drv_path
from plasmatui.sim.tools.evaluate import Installable, known_node, parse, to_build, to_value
from plasmatui.sim.tools.nixlog import TALKATIVE, UNKNOWN, NixLog
from plasmatui.sim.tools.site import Site, ToolError, complain, link_result, say

VERSION = "2.34.8"
EVALUATION_SECONDS = 2.5
_VALUES = ("log-format", "extra-experimental-features", "experimental-features", "apply", "out-link", "o", "to", "from",
           "store", "eval-store", "max-jobs", "j", "cores", "json-format", "include", "I")  # fmt: skip
_PAIRS = ("--option", "--arg", "--argstr", "--override-input")


async def run(site: Site, arguments: list[str]) -> int:
    """Do what the arguments say; the exit code."""
    if "--version" in arguments:
        say(f"nix (Nix) {VERSION}")
        return 0
    given, pairs = without_pairs(arguments)
    try:
        options = Options(given, _VALUES, aliases={"L": "print-build-logs", "S": "closure-size"})
    except UsageError as error:
        raise ToolError(f"error: {error}\nTry 'nix --help' for more information.") from None
    if not options.rest:
        raise ToolError("error: no subcommand specified\nTry 'nix --help' for more information.")
    log = NixLog(
        internal=options.get("log-format") == "internal-json",
        path=pairs.get("json-log-path", ""),
        build_logs="print-build-logs" in options,
    )
    command, *words = options.rest
    if command in ("flake", "config") and words:
        command, *words = f"{command} {words[0]}", *words[1:]
    handler = {
        "build": _build, "eval": _eval, "flake metadata": _metadata, "flake show": _show, "flake check": _check,
        "copy": _copy, "path-info": _path_info, "config show": _config,
    }.get(command)  # fmt: skip
    if handler is None:
        raise ToolError(f"error: '{command}' is not a recognised command\nTry 'nix --help' for more information.")
    try:
        return await handler(site, options, words, log)
    except ToolError as error:
        if str(error).startswith("error:"):
            log.error(str(error))
            return error.code
        raise


def settings() -> dict[str, str]:
    """Those of NIX_CONFIG."""
    return dict(re.findall(r"^\s*([\w-]+)\s*=\s*(.*?)\s*$", os.environ.get("NIX_CONFIG", ""), re.MULTILINE))


def ssh_options() -> list[str]:
    """What NIX_SSHOPTS gives to ssh."""
    return shlex.split(os.environ.get("NIX_SSHOPTS", ""))


def without_pairs(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments without `--option NAME VALUE` and its kind, and the settings of these and of NIX_CONFIG."""
    found = settings()
    rest: list[str] = []
    todo = list(arguments)
    while todo:
        word = todo.pop(0)
        if word in _PAIRS:
            if len(todo) < 2:
                raise ToolError(f"error: flag '{word}' requires 2 arguments")
            name = todo.pop(0)
            found[name] = todo.pop(0)
        else:
            rest.append(word)
    return rest, found


async def evaluated(site: Site, text: str, log: NixLog) -> Installable:
    """An installable after the time that evaluation takes.

    Raises:
        ToolError: the flake is not there.
    """
    number = log.start(UNKNOWN, f"evaluating derivation '{text}'", level=TALKATIVE)
    installable = parse(text)
    await site.sleep(EVALUATION_SECONDS)
    log.stop(number)
    return installable


async def _build(site: Site, options: Options, words: list[str], log: NixLog) -> int:
    wanted: list[tuple[Installable, Build]] = []
    for text in words or ["."]:
        installable = await evaluated(site, text, log)
        wanted.append((installable, to_build(installable)))
    builds = [build for _, build in wanted]
    broken = [build for installable, build in wanted if installable.flake.configuration(known_node(installable)).broken]
    if "dry-run" in options:
        new = [build for build in builds if build.path not in site.builds()]
        for build in new:
            complain(f"  {drv_path(build)}")
        return 0
    await build_all(site, builds, broken, log)
    if "no-link" not in options:
        for number, build in enumerate(builds):
            name = options.get("out-link", options.get("o", "result"))
            link_result(f"{name}-{number}" if number else name, site.local(build.path))
    if "json" in options:
        say(json.dumps([{"drvPath": drv_path(build), "outputs": {"out": build.path}} for build in builds]))
    elif "print-out-paths" in options:
        for build in builds:
            say(build.path)
    return 0


async def _eval(site: Site, options: Options, words: list[str], log: NixLog) -> int:
    if not words:
        raise ToolError("error: no installable given")
    value = to_value(await evaluated(site, words[0], log), options.get("apply"))
    if "raw" in options:
        os.write(1, str(value).encode())
    else:
        say(json.dumps(value, sort_keys=True))
    return 0


async def _metadata(site: Site, options: Options, words: list[str], log: NixLog) -> int:
    installable = await evaluated(site, words[0] if words else ".", log)
    directory = installable.directory.resolve()
    data = (directory / "nodes.json").read_bytes()
    modified = int((directory / "nodes.json").stat().st_mtime)
    source = store_path("source", hashlib.sha256(data).hexdigest())
    values: dict[str, object] = {
        "description": installable.flake.description,
        "fingerprint": hashlib.sha256(data).hexdigest(),
        "lastModified": modified,
        "locked": {"__final": True, "lastModified": modified, "path": str(directory), "type": "path"},
        "locks": {"nodes": {"root": {}}, "root": "root", "version": 7},
        "original": {"path": str(directory), "type": "path"},
        "originalUrl": f"path:{directory}",
        "path": source,
        "resolved": {"path": str(directory), "type": "path"},
        "resolvedUrl": f"path:{directory}",
        "url": f"path:{directory}",
    }
    if (directory / ".git").exists():
        values |= await _revision(directory)
    if "json" in options:
        say(json.dumps(values))
    else:
        say(f"Description:   {installable.flake.description}\nPath:          {source}")
    return 0


async def _revision(directory: Path) -> dict[str, object]:
    """What git knows of a flake that somebody put under version control."""
    head = await _git(directory, "rev-parse", "HEAD")
    dirty = await _git(directory, "status", "--porcelain", "--untracked-files=no")
    if dirty:
        complain(f"warning: Git tree '{directory}' is dirty")
    return {} if not head else {"dirtyRevision": f"{head}-dirty"} if dirty else {"revision": head}


async def _git(directory: Path, *words: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            "git", "-C", str(directory), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return ""
    return (await process.communicate())[0].decode().strip()


async def _show(site: Site, options: Options, words: list[str], log: NixLog) -> int:
    installable = await evaluated(site, words[0] if words else ".", log)
    names = {name: {"type": "nixos-configuration"} for name in sorted(installable.flake.names)}
    say(json.dumps({"nixosConfigurations": names}) if "json" in options else "\n".join(names))
    return 0


async def _check(site: Site, _options: Options, words: list[str], log: NixLog) -> int:
    installable = await evaluated(site, words[0] if words else ".", log)
    complain("checking flake output 'nixosConfigurations'...")
    for name in sorted(installable.flake.names):
        complain(f"checking NixOS configuration 'nixosConfigurations.{name}'...")
        await site.sleep(0.5)
    complain("all checks passed!")
    return 0


async def _copy(site: Site, options: Options, words: list[str], log: NixLog) -> int:
    from plasmatui.sim.tools.copying import copy_builds
    from plasmatui.sim.tools.sshclient import Login, log_in

    found = re.fullmatch(r"(?:ssh|ssh-ng)://([^/?]+)(?:\?(.*))?", options.get("to"))
    if found is None:
        raise ToolError(f"error: don't know how to open Nix store '{options.get('to')}'")
    known = site.builds()
    builds: list[Build] = []
    for word in words:
        path = word if word.startswith(STORE) else to_build(await evaluated(site, word, log)).path
        if path not in known:
            raise ToolError(f"error: path '{path}' is not valid")
        builds.append(known[path])
    login = Login.parse(found[1], ssh_options())
    to_mnt = "remote-store=local" in (found[2] or "")
    async with await log_in(login) as connection:
        await copy_builds(connection, login, builds, log, root="/mnt" if to_mnt else "")
    return 0


async def _path_info(site: Site, options: Options, words: list[str], log: NixLog) -> int:
    known = site.builds()
    result: dict[str, dict[str, object]] = {}
    for word in words:
        path = word if word.startswith(STORE) else to_build(await evaluated(site, word, log)).path
        build = known.get(path)
        if build is None:
            raise ToolError(f"error: path '{path}' is not valid")
        own = 64_000 if isinstance(build, Toplevel) else 12_000
        info: dict[str, object] = {"ca": None, "deriver": drv_path(build), "narHash": f"sha256-{store_hash(path)}=",
                                   "narSize": own, "references": [], "registrationTime": 1}  # fmt: skip
        result[path] = info | ({"closureSize": build.size} if "closure-size" in options else {})
    if "json" in options:
        if "json-format" not in options:
            complain("warning: '--json' without '--json-format' is deprecated; please specify '--json-format 1' or "
                     "'--json-format 2'. This will become an error in a future release.")  # fmt: skip
        say(json.dumps(result))
    else:
        for path, info in result.items():
            say(f"{path}\t{info['closureSize']}" if "closure-size" in options else path)
    return 0


async def _config(_site: Site, options: Options, words: list[str], _log: NixLog) -> int:
    values = {
        "system": "x86_64-linux", "experimental-features": "flakes nix-command", "substituters": "", "cores": "0",
        "max-jobs": "2", "extra-platforms": "i686-linux", "json-log-path": "",
    }  # fmt: skip
    if "json" in options:
        say(json.dumps({name: {"value": value} for name, value in values.items()}))
    elif words:
        if words[0] not in values:
            raise ToolError(f"error: could not find setting '{words[0]}'")
        say(values[words[0]])
    else:
        for name, value in values.items():
            say(f"{name} = {value}")
    return 0
