"""Which source a data directory, or an inventory, is."""

from __future__ import annotations

from pathlib import Path

from plasmatui.pxe.service.answers import Source
from plasmatui.pxe.service.bootcfg import BootcfgSource
from plasmatui.pxe.service.matchbox import MatchboxSource


def open_directory(root: Path) -> Source:
    """The store in a directory: matchbox's when it has `groups/` or `profiles/`, otherwise bootcfg's.

    Raises:
        OSError: there is no such directory, or it cannot be read.
    """
    root = root.absolute()
    names = {entry.name for entry in root.iterdir()}
    return MatchboxSource(root) if names & {"groups", "profiles"} else BootcfgSource(root)
