"""Which system the flake declares for a node: evaluated on this host, without building it."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.command import CommandError
from plasmatui.nix import flake
from plasmatui.nix.failures import explain
from plasmatui.nix.programs import run_local
from plasmatui.nix.tools import OutputError, find_tool, tool_path

LIMIT: Final = 600.0
"""Seconds for evaluating a configuration; large ones take minutes."""

TAIL: Final = 16 * 1024
"""Bytes of nix's messages that are kept to explain a failure."""


async def declared_system(inventory: Inventory, node: str) -> str:
    """The store path of the system that the flake declares.

    Raises:
        CommandError: it cannot be evaluated, with why.
    """
    kept = bytearray()

    def take(data: bytes) -> None:
        kept.extend(data)
        del kept[:-TAIL]

    try:
        nix = str(await asyncio.to_thread(find_tool, "nix", inventory))
        argv = flake.toplevel_argv(nix, flake.reference(inventory), node)
        async with asyncio.timeout(LIMIT):
            ran = await run_local(argv, {**os.environ, "PATH": tool_path(inventory)}, take)
        if ran.code != 0:
            raise CommandError("command-failed", f"the flake: {explain(ran.code, bytes(kept)).message}")
        return flake.parse_toplevel(ran.out)
    except TimeoutError:
        raise CommandError("timeout", f"the flake was not evaluated within {LIMIT:.0f} s") from None
    except (ValueError, OutputError) as error:
        raise CommandError("command-failed", f"the flake: {error}") from error
