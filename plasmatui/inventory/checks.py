"""What no single value can show: checks over the whole inventory."""

from __future__ import annotations

from plasmatui.inventory.fields import Problems
from plasmatui.inventory.inventory import Inventory
from plasmatui.inventory.nodes import Places


def cross_check(inventory: Inventory, places: Places, problems: Problems) -> None:
    """Add every error and warning that concerns several values to `problems`."""
