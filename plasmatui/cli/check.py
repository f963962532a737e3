"""`plasmatui check`: every error of the inventory at its place, and the pre-deployment checklist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from plasmatui.cli.failure import DONE, USAGE, Failure
from plasmatui.cli.output import clean, note, result
from plasmatui.cli.settings import Settings

if TYPE_CHECKING:
    from plasmatui.inventory.inventory import Inventory


def load_or_fail(path: Path) -> Inventory:
    """The inventory at `path`.

    Raises:
        Failure: it is wrong; the message holds every error at its place.
    """
    from plasmatui.inventory.inventory import InventoryError
    from plasmatui.inventory.loader import load

    try:
        return load(path)
    except InventoryError as error:
        lines = "\n".join(clean(str(diagnostic)) for diagnostic in error.diagnostics)
        raise Failure(
            USAGE, f"the inventory is wrong:\n{lines}", "correct it; `plasmatui check` reads it again"
        ) from None


@click.command()
@click.pass_obj
def check(settings: Settings) -> int:
    """Check the inventory: every error at its place."""
    inventory = load_or_fail(settings.inventory_path())
    for warning in inventory.warnings:
        note(clean(str(warning)))
    result(f"{inventory.path}: {len(inventory.nodes)} nodes")
    return DONE
