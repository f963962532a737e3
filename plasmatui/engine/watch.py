"""Boot watch: the logs of all sources and the consoles of all nodes, and what they say of each boot."""

from __future__ import annotations

from plasmatui.inventory.inventory import Inventory
from plasmatui.model.boot import BootTimeline, SourceState, UnknownClient
from plasmatui.watch.lines import LineStore


class WatchHub:
    """What is heard of the boots of an inventory's nodes.

    Attributes:
        inventory: the one in use.
        lines: what the sources said, as much as fits.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.lines = LineStore()

    def replace(self, inventory: Inventory) -> None:
        """Use another inventory from now on."""
        self.inventory = inventory

    def sources(self) -> tuple[SourceState, ...]:
        """How each source is."""
        return ()

    def unknown(self) -> tuple[UnknownClient, ...]:
        """Machines that ask and that no inventory names."""
        return ()

    def timelines(self, node: str, limit: int) -> tuple[BootTimeline, ...]:
        """The boots of a node, newest first."""
        del node, limit
        return ()

    def kind_of(self, source: str) -> str:
        """The kind of a source: "dhcp" "tftp" "http" "console"."""
        return next((state.kind for state in self.sources() if state.name == source), "")
