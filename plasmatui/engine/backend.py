"""The outside as the engine uses it: BMCs and consoles of all nodes behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from plasmatui.engine.ports import Keeper
from plasmatui.engine.requests import Bmcs
from plasmatui.inventory.inventory import Inventory
from plasmatui.model.event import Event
from plasmatui.operations.ports import Machines


class Backend(Machines, Bmcs, Protocol):
    """All nodes' BMCs and consoles.

    Attributes:
        keeper: keeps consoles open.
    """

    keeper: Keeper

    async def start(self) -> None:
        """Begin to connect and to watch."""

    async def retarget(self, inventory: Inventory) -> None:
        """Use the nodes and credentials of `inventory` from now on; sessions that stay right stay open."""

    async def close(self) -> None:
        """End every console and session on the BMCs, within a limit. Never raises."""


MakeBackend = Callable[[Inventory, Callable[[Event], None], Callable[[str, bytes], None]], Backend]
"""Given the inventory, where events go, where console bytes (node, bytes) go."""
