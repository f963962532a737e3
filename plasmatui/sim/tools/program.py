"""Starting the program that a name means."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from plasmatui.sim.tools.site import Site, ToolError, complain

MODULES = {"nix": "nix", "nixos-anywhere": "anywhere", "nixos-rebuild": "rebuild", "ssh": "ssh"}


async def execute(directory: Path, name: str, arguments: Sequence[str]) -> int:
    """Run a program of the rack in `directory`; its exit code. Output goes to `sys.stdout` and `sys.stderr`."""
    module = importlib.import_module(f"plasmatui.sim.tools.{MODULES[name]}")
    try:
        return int(await module.run(Site(directory), list(arguments)))
    except ToolError as error:
        if str(error):
            complain(str(error))
        return error.code
