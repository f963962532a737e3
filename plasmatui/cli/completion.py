"""What the shell completes for nodes: names and groups of the inventory that the line before means.

Asks no engine and starts nothing: the inventory's file is read, at every press of tab. What cannot be read completes
nothing, since an error would be written into the line that is typed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from plasmatui.cli.failure import Failure
from plasmatui.cli.settings import Settings
from plasmatui.model.node import Node

_OPERAND = re.compile(r"[^,!&^]*$")


def complete_set(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """What the last operand of a node set may become, with what stands before it."""
    nodes = _nodes(ctx)
    if not nodes:
        return []
    from plasmatui.inventory.nodesets import groups

    last = _OPERAND.search(typed)
    assert last is not None
    before = typed[: last.start()]
    words = [node.name for node in nodes] + [f"@{group}" for group in groups(nodes)]
    return [before + word for word in words if word.startswith(last.group())]


def complete_node(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Names of nodes that begin so."""
    return [node.name for node in _nodes(ctx) if node.name.startswith(typed)]


def _nodes(ctx: click.Context) -> Sequence[Node]:
    """The nodes of the inventory that the global options of the line name; none when it cannot be used."""
    given = ctx.find_root().params
    settings = Settings(given.get("inventory"), given.get("sim"))
    from plasmatui.inventory.inventory import InventoryError
    from plasmatui.inventory.loader import load

    try:
        return tuple(load(settings.inventory_path(start_rack=False)).nodes.values())
    except (Failure, InventoryError, OSError):
        return ()
