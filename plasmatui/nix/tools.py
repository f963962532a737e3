"""Finding the programs of nix on this host."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.command import CommandError
from plasmatui.text import clean_line

HINTS: Final = {
    "nix": "install Nix 2.19 or newer: https://nixos.org/download",
    "nixos-anywhere": "install it: nix profile install nixpkgs#nixos-anywhere",
    "nixos-rebuild": "install it: nix profile install nixpkgs#nixos-rebuild-ng",
}

Version = tuple[int, ...]


class OutputError(ValueError):
    """A program printed something else than it should. The text says what was expected and what was found."""

    def __init__(self, expected: str, found: bytes | str) -> None:
        text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
        shown = clean_line(text.strip().partition("\n")[0], 120)
        super().__init__(f"expected {expected}, found {shown or 'nothing'}")


def tool_path(inventory: Inventory, environ: Mapping[str, str] | None = None) -> str:
    """PATH for programs that are started: the inventory's `tools` before the usual directories."""
    path = (os.environ if environ is None else environ).get("PATH") or os.defpath
    return f"{inventory.tools}{os.pathsep}{path}" if inventory.tools else path


def find_tool(name: str, inventory: Inventory, environ: Mapping[str, str] | None = None) -> Path:
    """A program by name, from the inventory's `tools` or from PATH.

    Raises:
        CommandError: id "program-missing"; it says where was looked and what to install.
    """
    found = shutil.which(name, path=tool_path(inventory, environ))
    if found is None:
        where = f"neither in {inventory.tools} nor in PATH" if inventory.tools else "not in PATH"
        hint = HINTS.get(name, f"install {name}")
        raise CommandError(
            "program-missing",
            f"{name} is {where} of this host; {hint}, or name its directory as `tools` in the inventory",
            lasting=True,
        )
    return Path(found).absolute()


def parse_version(text: str) -> Version:
    """The version in the answer to `--version`, such as `nix (Nix) 2.34.8` or `nix (Determinate Nix 3.1) 2.30.1`.

    Raises:
        OutputError: there is none.
    """
    found = re.findall(r"(?<![\w.])(\d+(?:\.\d+)+)", text.strip().partition("\n")[0])
    if not found:
        raise OutputError("a version", text)
    return tuple(int(part) for part in found[-1].split("."))
