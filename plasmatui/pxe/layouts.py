"""Which disk layout a node has, and what its configuration is told about it. The layouts are `templates/disko/*.nix`.

Every layout begins with room for GRUB on BIOS machines and an EFI system partition, so that both kinds of firmware boot
it. Facts about disko: partition labels `disk-DISK-PARTITION`; a mirrored EFI partition needs metadata 1.0, so that
firmware sees a plain file system; ZFS needs a host id.
"""

from __future__ import annotations

import hashlib

from plasmatui.inventory.catalogue import DISK_LAYOUTS
from plasmatui.inventory.inventory import Inventory
from plasmatui.model.node import Node

MOST_DISKS = {"single": 1, "lvm": 1, "luks": 1}
FEWEST_DISKS = {"raid1": 2}

ALL = DISK_LAYOUTS


def layout_of(inventory: Inventory, node: Node) -> str:
    """The profile's layout, or the one that fits the number of disks; empty for a node without disks."""
    if not node.disks:
        return ""
    profile = inventory.profiles.get(node.profile)
    named = profile.disk_layout if profile is not None else ""
    return named or ("single" if len(node.disks) == 1 else "raid1")


def misfit(layout: str, disks: int) -> str:
    """Why a layout does not fit a number of disks; empty when it does."""
    if layout in MOST_DISKS and disks > MOST_DISKS[layout]:
        return f"the layout {layout} uses one disk, {disks} are named"
    if layout in FEWEST_DISKS and disks < FEWEST_DISKS[layout]:
        return f"the layout {layout} needs two disks or more, {disks} is named"
    return ""


def host_id(name: str) -> str:
    """Eight hexadecimal digits that stay the same for a name (NixOS, `networking.hostId`)."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]
