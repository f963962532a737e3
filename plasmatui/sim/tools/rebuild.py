"""The stand-in of `nixos-rebuild` on the provisioning host: nixos-rebuild-ng, or the program in bash.

The latter with `PLASMATUI_SIM_REBUILD=bash` in the environment: other exit codes and words at the end.
"""

from __future__ import annotations

import os

from plasmatui.sim.arguments import Options, UsageError
from plasmatui.sim.builds import Toplevel
from plasmatui.sim.tools import nix
from plasmatui.sim.tools.anywhereargs import attribute
from plasmatui.sim.tools.building import build_all, drv_path
from plasmatui.sim.tools.copying import copy_builds
from plasmatui.sim.tools.evaluate import known_node, parse, to_build
from plasmatui.sim.tools.nixlog import NixLog
from plasmatui.sim.tools.site import Site, ToolError, complain, link_result, say
from plasmatui.sim.tools.sshclient import Login, log_in, remote

ACTIONS = ("switch", "boot", "test", "build", "dry-build", "dry-run", "dry-activate", "list-generations")
_PROFILE = "/nix/var/nix/profiles/system"
_UNIT = "nixos-rebuild-switch-to-configuration"
_VALUES = ("flake", "target-host", "build-host", "profile-name", "p", "specialisation", "c", "log-format", "store-path",
           "elevate", "j", "max-jobs", "cores")  # fmt: skip


async def run(site: Site, arguments: list[str]) -> int:
    """One run; its exit code."""
    new = os.environ.get("PLASMATUI_SIM_REBUILD") != "bash"
    given, _ = nix.without_pairs(arguments)
    try:
        options = Options(given, _VALUES, aliases={"F": "flake", "use-remote-sudo": "sudo"})
    except UsageError as error:
        raise ToolError(f"nixos-rebuild: error: {error}", 2 if new else 1) from None
    action = options.rest[0] if options.rest else ""
    if action not in ACTIONS:
        raise ToolError(f"nixos-rebuild: error: argument action: invalid choice: '{action}'", 2 if new else 1)
    if "--use-remote-sudo" in arguments:
        complain("nixos-rebuild: warning: --use-remote-sudo deprecated, use --sudo instead")
    target = options.get("target-host")
    if action == "list-generations":
        if target:
            raise ToolError("nixos-rebuild: error: --target-host is not supported with list-generations", 2)
        raise ToolError("error: no profile 'system' found")
    log = NixLog(internal=options.get("log-format") == "internal-json",
                 path=nix.settings().get("json-log-path", ""))  # fmt: skip
    if "rollback" in options:
        if action not in ("switch", "boot", "test"):
            raise ToolError(f"nixos-rebuild: error: --rollback is incompatible with '{action}'", 2 if new else 1)
        return await _roll_back(action, target, new=new)
    complain("building the system configuration...")
    build = await _build(site, options, log)
    if action == "build":
        link_result("result", site.local(build.path))
    if action in ("build", "dry-build", "dry-run"):
        return _done(build.path, new=new)
    if not target:
        raise ToolError("This is not a NixOS installation!")
    login = Login.parse(target, nix.ssh_options())
    async with await log_in(login) as connection:
        try:
            await copy_builds(connection, login, [build], log)
        except ToolError as error:
            log.error(str(error))
            return error.code
        if action in ("switch", "boot"):
            code, _ = await remote(connection, login, _as_root(login, f"nix-env -p {_PROFILE} --set {build.path}"))
            if code:
                return code
        run_it = f"systemd-run --collect --no-ask-password --pipe --quiet --service-type=exec --unit={_UNIT} --wait"
        line = f"{run_it} {build.path}/bin/switch-to-configuration {action}"
        code, _ = await remote(connection, login, _as_root(login, line))
    return _ended(code, build.path, action, new=new)


def _as_root(login: Login, line: str) -> str:
    return line if login.user == "root" else f"sudo {line}"


async def _build(site: Site, options: Options, log: NixLog) -> Toplevel:
    flake = options.get("flake")
    if "store-path" in options:
        known = site.builds().get(options["store-path"])
        if not isinstance(known, Toplevel):
            raise ToolError(f"error: path '{options['store-path']}' is not valid")
        return known
    if not flake:
        raise ToolError("error: file 'nixos-config' was not found in the Nix search path")
    if not flake.partition("#")[2]:
        flake = f"{flake}#{os.uname().nodename}"
    installable = parse(f"{attribute(flake)}.config.system.build.toplevel")
    await site.sleep(nix.EVALUATION_SECONDS)
    build = to_build(installable)
    assert isinstance(build, Toplevel)
    if options.rest[0] in ("dry-build", "dry-run"):
        if build.path not in site.builds():
            complain(f"this derivation will be built:\n  {drv_path(build)}")
        return build
    broken = installable.flake.configuration(known_node(installable)).broken
    try:
        await build_all(site, [build], [build] if broken else [], log)
    except ToolError as error:
        log.error(str(error))
        raise ToolError("", error.code) from None
    return build


async def _roll_back(action: str, target: str, *, new: bool) -> int:
    if not target:
        raise ToolError("error: no profile 'system' found")
    if action == "test":
        raise ToolError("error: could not find previous generation")  # it looks here, not on the node
    login = Login.parse(target, nix.ssh_options())
    async with await log_in(login) as connection:
        code, _ = await remote(connection, login, _as_root(login, f"nix-env -p {_PROFILE} --rollback"))
        if code:
            return code
        run_it = f"systemd-run --collect --pipe --quiet --unit={_UNIT} --wait"
        line = f"{run_it} {_PROFILE}/bin/switch-to-configuration {action}"
        code, _ = await remote(connection, login, _as_root(login, line))
    return _ended(code, _PROFILE, action, new=new)


def _ended(code: int, path: str, action: str, *, new: bool) -> int:
    if code == 0:
        return _done(path, new=new)
    if new:
        complain(f"Command '{path}/bin/switch-to-configuration {action}' returned non-zero exit status {code}.")
        return code
    complain("warning: error(s) occurred while switching to the new configuration")
    return 1


def _done(path: str, *, new: bool) -> int:
    if new:
        complain("Done. The new configuration is")
        say(path)
    return 0
