"""The arguments of nixos-anywhere, as its script reads them (1.13 and its HEAD of 2026)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from plasmatui.sim.tools.site import ToolError, complain, say

PHASES = ("kexec", "disko", "install", "reboot")

USAGE = """\
Usage: nixos-anywhere [options] [<ssh-host>]

Options:

* -f, --flake <flake_uri>
  set the flake to install the system from. i.e.
  nixos-anywhere --flake .#mymachine
* --target-host <ssh-host>
  set the SSH target host to deploy onto.
* -i <identity_file>
  selects which SSH private key file to use.
* -p, --ssh-port <ssh_port>
  set the ssh port to connect with
* --ssh-option <ssh_option>
  set one ssh option, no need for the '-o' flag, can be repeated.
* -L, --print-build-logs
  print full build logs
* --env-password
  set a password used by ssh-copy-id, the password should be set by
  the environment variable SSHPASS
* -s, --store-paths <disko-script> <nixos-system>
  set the store paths to the disko-script and nixos-system directly
  if this is given, flake is not needed
* --kexec <path>
  use another kexec tarball to bootstrap NixOS
* --kexec-extra-flags
  extra flags to add into the call to kexec, e.g. "--no-sync"
* --force-kexec
  kexec even if the target is an installer
* --ssh-store-setting <key> <value>
  ssh store settings appended to the store URI
* --post-kexec-ssh-port <ssh_port>
  after kexec is executed, use a custom ssh port to connect. Defaults to 22
* --copy-host-keys
  copy over existing /etc/ssh/ssh_host_* host keys to the installation
* --extra-files <path>
  contents of local <path> are recursively copied to the root (/) of the new NixOS installation
* --chown <path> <ownership>
  change ownership of <path> recursively
* --disk-encryption-keys <remote_path> <local_path>
  copy the contents of the file or pipe in local_path to remote_path in the installer environment
* --no-substitute-on-destination
  disable passing --substitute-on-destination to nix-copy
* --no-use-machine-substituters
  don't copy the substituters from the machine to be installed into the installer environment
* --debug
  enable debug output
* --show-trace
  show nix build traces
* --option <key> <value>
  nix option to pass to every nix related command
* --from <store-uri>
  URL of the source Nix store to copy the nixos and disko closure from
* --build-on <build_on>
  sets the build on setting to auto, remote or local
* --vm-test
  build the system and test the disk configuration inside a VM
* --generate-hardware-config nixos-facter|nixos-generate-config <path>
  generate a hardware-configuration.nix file using the specified backend
* --phases
  comma separated list of phases to run. Default is: kexec,disko,install,reboot
* --disko-mode disko|mount|format
  set the disko mode to format, mount or destroy
* --no-disko-deps
  build the disko script without dependencies
* -t, --tty
  deprecated
"""


@dataclass
class Arguments:
    """What was asked for. `hardware`: backend and file; `keys`: remote and local path of each disk key."""

    host: str = ""
    flake: str = ""
    store_paths: tuple[str, str] | None = None
    ssh: list[str] = field(default_factory=list)
    port: str = ""
    later_port: str = "22"
    key: str = ""
    phases: list[str] = field(default_factory=lambda: list(PHASES))
    build_on: str = "auto"
    disko_mode: str = "disko"
    extra_files: str = ""
    owners: list[tuple[str, str]] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    hardware: tuple[str, str] | None = None
    copy_host_keys: bool = False
    force_kexec: bool = False
    build_logs: bool = False
    vm_test: bool = False


_ONE = {
    "-f": "flake", "--flake": "flake", "--target-host": "host", "-i": "key", "-p": "port", "--ssh-port": "port",
    "--post-kexec-ssh-port": "later_port", "--extra-files": "extra_files",
}  # fmt: skip
_FLAGS = {"--copy-host-keys": "copy_host_keys", "--force-kexec": "force_kexec", "-L": "build_logs",
          "--print-build-logs": "build_logs", "--vm-test": "vm_test"}  # fmt: skip
_IGNORED = {"--kexec": 1, "--kexec-extra-flags": 1, "--ssh-store-setting": 2, "--from": 1, "--debug": 0,
            "--show-trace": 0, "--env-password": 0, "--no-substitute-on-destination": 0,
            "--no-use-machine-substituters": 0, "--no-disko-deps": 0}  # fmt: skip


def abort(text: str) -> ToolError:
    return ToolError(f"aborted: {text}")


def read(words: list[str]) -> Arguments:
    """The arguments.

    Raises:
        ToolError: they make no sense; text and code of the real program.
    """
    found = Arguments()
    todo = list(words)

    def value(number: int = 2) -> str:
        if not todo:
            raise ToolError(f"nixos-anywhere.sh: line 225: ${number}: unbound variable")
        return todo.pop(0)

    while todo:
        word = todo.pop(0)
        if word in ("-h", "--help"):
            say(USAGE)
            raise ToolError("", 0)
        if word in _ONE:
            setattr(found, _ONE[word], value())
        elif word in _FLAGS:
            setattr(found, _FLAGS[word], True)
        elif word in _IGNORED:
            for number in range(_IGNORED[word]):
                value(number + 2)
        elif word == "--ssh-option":
            found.ssh += ["-o", value()]
        elif word in ("-s", "--store-paths"):
            found.store_paths = (value(), value(3))
        elif word == "--chown":
            found.owners.append((value(), value(3)))
        elif word == "--disk-encryption-keys":
            found.keys.append((value(), value(3)))
        elif word == "--option":
            name = value()
            found.options[name] = value(3)
        elif word == "--generate-hardware-config":
            found.hardware = (value(), value(3))
        elif not _choice(found, word, value):
            if word.startswith("-") or found.host:
                say(USAGE)
                raise ToolError("")
            found.host = word
    return _checked(found)


def _choice(found: Arguments, word: str, value: Callable[[], str]) -> bool:
    """Arguments that choose what is done; False for another one."""
    if word == "--phases":
        found.phases = [phase.strip() for phase in value().split(",")]
        for phase in found.phases:
            if phase not in PHASES:
                raise abort(f"Unknown phase: {phase}")
    elif word == "--build-on":
        found.build_on = value()
        if found.build_on not in ("auto", "local", "remote"):
            raise abort(f"Supported values for --build-on are auto, local and remote. Unknown mode : {found.build_on}")
    elif word == "--build-on-remote":
        say("WARNING: --build-on-remote is deprecated, use --build-on remote instead")
        found.build_on = "remote"
    elif word == "--disko-mode":
        found.disko_mode = value()
        if found.disko_mode not in ("disko", "mount", "format"):
            raise abort(
                f"Supported values for --disko-mode are disko, mount and format. Unknown mode : {found.disko_mode}"
            )
    elif word == "--no-reboot":
        say("WARNING: --no-reboot is deprecated, use --phases kexec,disko,install instead")
        found.phases = ["kexec", "disko", "install"]
    elif word == "--stop-after-disko":
        say("WARNING: --stop-after-disko is deprecated, use --phases kexec,disko instead")
        found.phases = ["kexec", "disko"]
    elif word in ("-t", "--tty"):
        complain("the '-t' flag is deprecated, a tty is now detected automatically")
    else:
        return False
    return True


def _checked(found: Arguments) -> Arguments:
    if not found.host and not found.vm_test:
        raise abort("ssh-host must be set")
    if found.store_paths is None and not found.flake:
        raise abort("--flake or --store-paths must be set")
    if found.store_paths is None and not found.flake.partition("#")[2]:
        raise ToolError(
            "Please specify the name of the NixOS configuration to be installed, as a URI fragment in the flake-uri.\n"
            'For example, to use the output nixosConfigurations.foo from the flake.nix, append "#foo" to the flake-uri.'
        )
    if found.store_paths is not None and found.disko_mode != "disko":
        raise abort("--disko-mode needs --flake")
    return found


def attribute(flake: str) -> str:
    """The installable of a node's configuration: `#node01` means `#nixosConfigurations."node01"`."""
    reference, _, name = flake.partition("#")
    if name.startswith("nixosConfigurations."):
        return flake
    bare = name.strip('"')
    return f'{reference}#nixosConfigurations."{bare}"'
