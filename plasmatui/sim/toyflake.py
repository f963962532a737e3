"""The flake of a simulated rack: a directory that the rack writes, people edit, and the stand-ins of nix evaluate.

`flake.nix` is for people's eyes; what counts stands in `nodes.json` beside it. Another `version` or `kernel` there, for
all nodes or in one node, makes another build.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from plasmatui.sim.builds import DiskoScript, ImagePart, Toplevel, store_path
from plasmatui.sim.system import make_toplevel

VERSION, KERNEL = "25.11.20251115.6a08e6b", "6.12.58"
NODES = "nodes.json"
NETBOOT = "netboot-"
"""Begins the names of the profiles' netboot images."""
_NIX = """\
{
  description = "A simulated rack";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";
  inputs.disko.url = "github:nix-community/disko";
  # Read by the simulated rack's stand-ins of nix, which understand no Nix: edit nodes.json to make another build.
  outputs = { self, nixpkgs, disko }: {
    nixosConfigurations = nixpkgs.lib.mapAttrs (name: node: nixpkgs.lib.nixosSystem {
      modules = [ disko.nixosModules.disko ./node.nix { networking.hostName = name; inherit node; } ];
    }) (builtins.fromJSON (builtins.readFile ./nodes.json)).nodes;
  };
}
"""


class NodeConfiguration(msgspec.Struct, omit_defaults=True):
    """A node's configuration.

    Attributes:
        disks: devices by disko's name for the disk; the first holds the system.
        version, kernel: where they differ from the flake's.
        broken: its build fails. flaw: what it is built for is bad: see `Toplevel`.
    """

    profile: str = "worker"
    services: list[str] = []
    disks: dict[str, str] = {}
    version: str = ""
    kernel: str = ""
    broken: bool = False
    flaw: str = ""


class Flake(msgspec.Struct):
    """What `nodes.json` holds. `removed`: nodes that the rack's faults take away for a while; `broken_images`:
    netboot images whose builds fail."""

    version: str = VERSION
    kernel: str = KERNEL
    description: str = "A simulated rack"
    nodes: dict[str, NodeConfiguration] = {}
    removed: dict[str, NodeConfiguration] = {}
    broken_images: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All configurations: of the nodes, and of a netboot image for each of their profiles."""
        profiles = sorted({node.profile for node in self.nodes.values()})
        return (*self.nodes, *(f"{NETBOOT}{profile}" for profile in profiles))

    def configuration(self, name: str) -> NodeConfiguration:
        """What one of `names` is."""
        return self.nodes.get(name) or NodeConfiguration(name.removeprefix(NETBOOT), broken=name in self.broken_images)

    def image(self, name: str, part: str) -> ImagePart:
        """A part of a netboot image, of one build with its `toplevel`."""
        system = self.toplevel(name)
        file = {"kernel": f"linux-{system.kernel}", "netbootRamdisk": "initrd", "netbootIpxeScript": "netboot.ipxe"}
        return ImagePart(store_path(file[part], system.path), name, part, f"{system.path}/init")

    def toplevel(self, name: str) -> Toplevel:
        """The system of a node, or of a netboot image."""
        node = self.configuration(name)
        version, kernel = node.version or self.version, node.kernel or self.kernel
        return make_toplevel(name, version, kernel, tuple(node.services), node.flaw)

    def disko(self, name: str, mode: str) -> DiskoScript:
        """The disko script of a node: `disko` wipes, `format` and `mount` do not."""
        disks = self.nodes[name].disks
        kind = "disko" if mode == "disko" else f"disko-{mode}"
        return DiskoScript(store_path(kind, name, *disks, *disks.values()), name, dict(disks), mode)


def load(directory: Path) -> Flake:
    """The flake of a directory.

    Raises:
        OSError: it has none.
        msgspec.MsgspecError: `nodes.json` is not as it should be.
    """
    return msgspec.json.decode((directory / NODES).read_bytes(), type=Flake)


def save(directory: Path, flake: Flake) -> None:
    """Write `nodes.json` whole or not at all."""
    data = msgspec.json.format(msgspec.json.encode(flake), indent=1)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=".nodes")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data + b"\n")
    os.replace(name, directory / NODES)


def create(directory: Path, nodes: Mapping[str, NodeConfiguration]) -> None:
    """Write a new flake; one that is there already stays, with its edits."""
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / "flake.nix").write_text(_NIX)
    try:
        known = load(directory)
    except (OSError, msgspec.MsgspecError):
        known = Flake()
    images = known.broken_images
    save(directory, Flake(known.version, known.kernel, known.description, {**nodes}, broken_images=images))


def apply_faults(directory: Path, name: str, *, missing: bool, broken: bool, flaw: str = "") -> None:
    """Take a node's configuration away or give it back, and let its build fail or not, or be a bad one."""
    flake = load(directory)
    source, target = (flake.nodes, flake.removed) if missing else (flake.removed, flake.nodes)
    if name in source:
        target[name] = source.pop(name)
    node = flake.nodes.get(name)
    if node is None and not missing:
        return
    if node is not None:
        node.broken, node.flaw = broken, flaw
    save(directory, flake)
