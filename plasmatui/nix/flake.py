"""What is asked of the flake, on this host: its nodes, what they would wipe, their systems; and copies to nodes.

Outputs: nix manual, "nix3-build", "nix3-eval", "nix3-flake-metadata"; seen with nix 2.8, 2.26 and 2.34.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from plasmatui.inventory import values
from plasmatui.inventory.inventory import Inventory
from plasmatui.nix.tools import OutputError
from plasmatui.text import clean_line

T = TypeVar("T")

FEATURES: Final = ("--extra-experimental-features", "nix-command flakes")
JSON_LOG: Final = ("--log-format", "internal-json")
_DEVICES: Final = "d: builtins.mapAttrs (_: x: { inherit (x) device; destroy = x.destroy or true; }) d"
_STORE_PATH: Final = re.compile(r"/nix/store/[0-9a-z]{32}-[0-9A-Za-z+\-._?=]+")


def reference(inventory: Inventory) -> str:
    """The inventory's flake as nix is told it: a path is made absolute, since nix may run elsewhere.

    Raises:
        ValueError: the inventory names no flake.
    """
    if not inventory.flake:
        raise ValueError("the inventory names no flake: add `flake: /srv/provisioning`")
    uri = inventory.flake.partition("#")[0]
    directory = inventory.flake_directory
    return str(directory) if directory is not None and uri.startswith((".", "~")) else uri


def attribute(flake: str, node: str, *path: str) -> str:
    """An installable: an attribute of a node's configuration. Raises ValueError for no host name."""
    return ".".join((f'{flake}#nixosConfigurations."{values.host_name(node)}"', *path))


def version_argv(nix: str) -> tuple[str, ...]:
    return (nix, "--version")


def names_argv(nix: str, flake: str) -> tuple[str, ...]:
    """Which nodes the flake knows."""
    return (nix, *FEATURES, "eval", "--json", f"{flake}#nixosConfigurations", "--apply", "builtins.attrNames")


def parse_names(output: bytes) -> tuple[str, ...]:
    """The names, in the flake's order. Raises OutputError."""
    return _decode(output, tuple[str, ...], "a list of names")


def exists_argv(nix: str, flake: str, node: str) -> tuple[str, ...]:
    """Ends with 0 when the flake has a configuration for the node."""
    return (nix, *FEATURES, "eval", "--json", attribute(flake, node), "--apply", "_: true")


def build_argv(nix: str, flake: str, node: str, *, wipe: bool = True) -> tuple[str, ...]:
    """Build a node's system, and disko's script for it: the one that wipes, or the one that only mounts."""
    script = "diskoScript" if wipe else "mountScript"
    return (
        *(nix, *FEATURES, "build", "--json", "--no-link", *JSON_LOG),
        attribute(flake, node, "config", "system", "build", "toplevel"),
        attribute(flake, node, "config", "system", "build", script),
    )


def system_argv(nix: str, flake: str, node: str) -> tuple[str, ...]:
    """Build a node's system alone."""
    toplevel = attribute(flake, node, "config", "system", "build", "toplevel")
    return (nix, *FEATURES, "build", "--json", "--no-link", *JSON_LOG, toplevel)


def toplevel_argv(nix: str, flake: str, node: str) -> tuple[str, ...]:
    """Evaluate a node's system without building it: prints its store path."""
    toplevel = attribute(flake, node, "config", "system", "build", "toplevel")
    return (nix, *FEATURES, "eval", "--raw", toplevel)


def parse_toplevel(output: bytes) -> str:
    """The store path that `toplevel_argv` printed. Raises OutputError."""
    path = output.decode("ascii", "replace").strip()
    if not _STORE_PATH.fullmatch(path):
        raise OutputError("a store path", output)
    return path


class Built(msgspec.Struct, frozen=True):
    """Store paths of what was built; `script` is empty where only the system was."""

    toplevel: str
    script: str = ""


class _Result(msgspec.Struct):
    outputs: dict[str, str | None]
    drv: str = msgspec.field(name="drvPath", default="")

    @property
    def paths(self) -> tuple[str, ...]:
        """Its main output, where it has one."""
        return (path,) if (path := self.outputs.get("out")) else ()


def parse_outputs(output: bytes) -> tuple[str, ...]:
    """The store paths that `nix build --json` printed. Raises OutputError."""
    paths = tuple(path for result in _decode(output, list[_Result], "what nix has built") for path in result.paths)
    if not all(_STORE_PATH.fullmatch(path) for path in paths):
        raise OutputError("store paths", output)
    return paths


def parse_built(output: bytes) -> Built:
    """What `build_argv` or `system_argv` printed on stdout.

    The results are told apart by their names, since nix need not keep the order: NixOS calls a system
    `nixos-system-NAME-VERSION`.

    Raises:
        OutputError: no system is among them, or more than these two.
    """
    paths = parse_outputs(output)
    systems = [path for path in paths if "-nixos-system-" in path]
    scripts = [path for path in paths if "-nixos-system-" not in path]
    if len(systems) != 1 or len(scripts) > 1:
        raise OutputError("one nixos-system and at most one disko script", output)
    return Built(systems[0], scripts[0] if scripts else "")


def devices_argv(nix: str, flake: str, node: str) -> tuple[str, ...]:
    """Which disks the node's layout names."""
    disks = attribute(flake, node, "config", "disko", "devices", "disk")
    return (nix, *FEATURES, "eval", "--json", disks, "--apply", _DEVICES)


class DiskoDevice(msgspec.Struct, frozen=True):
    """A disk of a node's layout: its name there, its device, and whether disko wipes it."""

    name: str
    device: str
    destroy: bool = True


class _Device(msgspec.Struct):
    device: str
    destroy: bool = True


def parse_devices(output: bytes) -> tuple[DiskoDevice, ...]:
    """The disks, in order of their names. Raises OutputError."""
    devices = _decode(output, dict[str, _Device], "the disks of disko's layout")
    return tuple(DiskoDevice(name, found.device, found.destroy) for name, found in sorted(devices.items()))


def metadata_argv(nix: str, flake: str) -> tuple[str, ...]:
    return (nix, *FEATURES, "flake", "metadata", "--json", flake)


class Metadata(msgspec.Struct, frozen=True):
    """Which state of the flake this is.

    Attributes:
        revision: of git, without `-dirty`; empty outside git.
        dirty: whether there are changes that are not committed: what is built cannot be built again.
        modified: Unix seconds, 0 when not known.
        path: its copy in the store.
    """

    revision: str = ""
    dirty: bool = False
    modified: int = 0
    path: str = ""


def parse_metadata(output: bytes) -> Metadata:
    """What `metadata_argv` printed. Raises OutputError."""
    found = _decode(output, dict[str, Any], "the metadata of a flake")
    revision, dirty = found.get("revision"), found.get("dirtyRevision")
    modified, path = found.get("lastModified"), found.get("path")
    named = revision if isinstance(revision, str) else dirty if isinstance(dirty, str) else ""
    return Metadata(
        revision=clean_line(named.removesuffix("-dirty"), 80),
        dirty=isinstance(dirty, str) and not isinstance(revision, str),
        modified=modified if isinstance(modified, int) and not isinstance(modified, bool) else 0,
        path=path if isinstance(path, str) else "",
    )


def copy_argv(nix: str, paths: Sequence[str], host: str, *, substitute: bool = True) -> tuple[str, ...]:
    """Copy store paths with all that they need to `user@address`; see `copy_environment` for key and port."""
    if not paths or not all(_STORE_PATH.match(path) for path in paths):
        raise ValueError(f"found {list(paths)}, expected store paths")
    if not host or host.startswith("-") or host.split() != [host]:
        raise ValueError(f"found the host {host!r}, expected user@address")
    help_itself = ("--substitute-on-destination",) if substitute else ()
    return (nix, *FEATURES, "copy", *JSON_LOG, *help_itself, "--to", f"ssh://{host}", *paths)


def copy_environment(environ: Mapping[str, str], *, front: str, path: str, key: str, port: int) -> dict[str, str]:
    """The environment for `copy_argv`: `front` is the directory of `anywhere.ssh_front`, `path` the rest of PATH.

    Raises:
        ValueError: a key file with blanks in its path, which nix would split.
    """
    if key and key.split() != [key]:
        raise ValueError(f"found the key file {key!r}, expected a path without blanks: nix splits NIX_SSHOPTS")
    options = ["-p", str(port)] if port != 22 else []
    options += ["-i", key, "-o", "IdentitiesOnly=yes"] if key else []
    return {**environ, "PATH": f"{front}{os.pathsep}{path}", "NIX_SSHOPTS": " ".join(options)}


def _decode(output: bytes, kind: type[T], expected: str) -> T:
    try:
        return msgspec.json.decode(output, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OutputError(f"{expected} as JSON", output) from error
