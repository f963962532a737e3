"""What a node says of its disks and of its system's generations."""

from __future__ import annotations

import msgspec


class Disk(msgspec.Struct, frozen=True):
    """A disk as a person recognises it.

    Attributes:
        name: as inventory and flake name it (/dev/disk/by-id/...).
        path: the kernel's name of this boot (/dev/nvme0n1).
        size: bytes.
        contents: what is on it now, in words; empty for nothing.
    """

    name: str
    path: str = ""
    model: str = ""
    size: int = 0
    serial: str = ""
    contents: str = ""


class Generation(msgspec.Struct, frozen=True):
    """A generation of an installed system.

    Attributes:
        date: as the node tells it.
        current: the profile points to it. booted: the running system was booted from it.
        active: it is the running configuration.
    """

    number: int
    date: str = ""
    version: str = ""
    kernel: str = ""
    revision: str = ""
    specialisations: tuple[str, ...] = ()
    current: bool = False
    booted: bool = False
    active: bool = False
