"""Evaluating the toy flake: what an installable of nix means there."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plasmatui.sim.builds import Build
from plasmatui.sim.tools.site import ToolError
from plasmatui.sim.toyflake import NETBOOT, Flake, load

_SCRIPTS = {"diskoScript": "disko", "formatScript": "format", "mountScript": "mount",
            "diskoScriptNoDeps": "disko", "formatScriptNoDeps": "format", "mountScriptNoDeps": "mount"}  # fmt: skip
IMAGE_PARTS = (("netbootRamdisk",), ("kernel",), ("netbootIpxeScript",))
_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')


@dataclass(frozen=True)
class Installable:
    """A flake's directory, what it holds, and the parts of an attribute path."""

    directory: Path
    flake: Flake
    parts: tuple[str, ...]

    @property
    def attribute(self) -> str:
        """As nix writes it: names of nodes quoted."""
        return ".".join(f'"{part}"' if place == 1 else part for place, part in enumerate(self.parts))


def parse(text: str) -> Installable:
    """An installable `FLAKE#ATTRIBUTE`.

    Raises:
        ToolError: the flake is not there, or its file is wrong.
    """
    reference, _, attribute = text.partition("#")
    directory = Path(re.sub(r"^(path:|git\+file://)", "", reference).partition("?")[0] or ".").expanduser()
    if not directory.is_dir():
        raise ToolError(f'error: getting status of "{directory}": No such file or directory')
    try:
        flake = load(directory)
    except FileNotFoundError:
        raise ToolError(f"error: path '{directory}' does not contain a 'flake.nix', searching up") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ToolError(f"error: syntax error in {directory / 'nodes.json'}: {error}") from None
    return Installable(directory, flake, tuple(found[0] or found[1] for found in _PART.findall(attribute)))


def missing(installable: Installable) -> ToolError:
    """What nix says of an attribute that the flake does not have."""
    attribute = installable.attribute
    places = [f"packages.x86_64-linux.{attribute}", f"legacyPackages.x86_64-linux.{attribute}", attribute]
    text = (
        f"error: flake 'path:{installable.directory.resolve()}' does not provide attribute "
        f"'{places[0]}', '{places[1]}' or '{places[2]}'"
    )
    if len(installable.parts) > 1 and installable.parts[0] == "nixosConfigurations":
        close = difflib.get_close_matches(installable.parts[1], installable.flake.names, 3, 0.5)
        if close:
            listed = close[0] if len(close) == 1 else f"one of {', '.join(close[:-1])} or {close[-1]}"
            text += f"\n       Did you mean {listed}?"
    return ToolError(text)


def known_node(installable: Installable) -> str:
    """The node that an attribute belongs to.

    Raises:
        ToolError: the flake has no such node.
    """
    parts = installable.parts
    if len(parts) < 2 or parts[0] != "nixosConfigurations" or parts[1] not in installable.flake.names:
        raise missing(installable)
    return parts[1]


def to_build(installable: Installable) -> Build:
    """What is to be built for an attribute.

    Raises:
        ToolError: there is no such attribute, or it cannot be built.
    """
    node = known_node(installable)
    rest = installable.parts[2:]
    if rest == ("config", "system", "build", "toplevel"):
        return installable.flake.toplevel(node)
    if rest[:3] == ("config", "system", "build") and rest[3:] in IMAGE_PARTS and node.startswith(NETBOOT):
        return installable.flake.image(node, rest[3])
    if len(rest) == 4 and rest[:3] == ("config", "system", "build") and rest[3] in _SCRIPTS:
        if not installable.flake.configuration(node).disks:
            raise ToolError(
                "error:\n       … while calling the 'throw' builtin\n\n"
                f"       error: {node}: disko device not set"
            )  # fmt: skip
        return installable.flake.disko(node, _SCRIPTS[rest[3]])
    raise missing(installable)


def to_value(installable: Installable, apply: str) -> object:
    """The value of an attribute, after the few functions that are understood.

    Raises:
        ToolError: there is no such attribute, or the function is another one.
    """
    if installable.parts == ("nixosConfigurations",):
        value: object = {name: {} for name in installable.flake.names}
    else:
        value = _node_value(installable, known_node(installable))
    return _applied(value, apply)


def _node_value(installable: Installable, node: str) -> object:
    build = installable.flake.toplevel(node)
    configuration = installable.flake.configuration(node)
    disks = {name: {"device": device, "type": "disk", "destroy": True} for name, device in configuration.disks.items()}
    values: dict[tuple[str, ...], object] = {
        (): {"config": {}, "options": {}, "pkgs": {}},
        ("pkgs", "system"): "x86_64-linux",
        ("config", "nixpkgs", "hostPlatform", "system"): "x86_64-linux",
        ("config", "networking", "hostName"): node,
        ("config", "system", "nixos", "version"): build.version,
        ("config", "boot", "kernelPackages", "kernel", "version"): build.kernel,
        ("config", "disko", "devices", "disk"): disks,
        ("config", "disko", "devices"): {"disk": disks},
    }
    rest = installable.parts[2:]
    if rest in values:
        return values[rest]
    try:
        return to_build(installable).path
    except ToolError as error:
        if rest[:1] == ("config",) and "does not provide" in str(error):
            raise ToolError(
                f"error: attribute '{rest[-1]}' missing\n       at {installable.directory}/flake.nix:6:5:"
            ) from None
        raise


def _applied(value: object, apply: str) -> object:
    words = apply.strip().strip("()").strip()
    if not words:
        return value
    if re.fullmatch(r"_\s*:\s*true", words):
        return True
    if re.fullmatch(r"(builtins\.|lib\.)?attrNames|\w+\s*:\s*builtins\.attrNames \w+", words) and isinstance(
        value, dict
    ):
        return sorted(value)
    if "mapAttrs" in words and "device" in words and isinstance(value, dict):
        if "inherit" in words or "destroy" in words:
            return {name: {"device": disk["device"], "destroy": disk["destroy"]} for name, disk in value.items()}
        return {name: disk["device"] for name, disk in value.items()}
    raise ToolError(f"error: this stand-in of nix cannot evaluate --apply '{apply}'")
