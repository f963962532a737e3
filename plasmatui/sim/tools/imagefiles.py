"""The files of a netboot image, as NixOS builds them: small, and right in form."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from plasmatui.sim.bootfiles import make_kernel
from plasmatui.sim.builds import ImagePart

KERNEL_SIZE, INITRD_SIZE = 1_000_448, 2_000_000


def write_part(directory: Path, part: ImagePart) -> None:
    """Write what an attribute's store path holds (nixpkgs, nixos/modules/installer/netboot/netboot.nix)."""
    directory.mkdir(parents=True, exist_ok=True)
    if part.part == "kernel":
        (directory / "bzImage").write_bytes(make_kernel(KERNEL_SIZE))
    elif part.part == "netbootRamdisk":
        (directory / "initrd").write_bytes(gzip.compress(_archive(part), 1, mtime=0))
    else:
        (directory / "netboot.ipxe").write_text(_script(part), encoding="utf-8")


def _script(part: ImagePart) -> str:
    return (
        "#!ipxe\n# Use the cmdline variable to allow the user to specify custom kernel params\n"
        "# when chainloading this script from other iPXE scripts like netboot.xyz\n"
        f"kernel bzImage init={part.init} initrd=initrd loglevel=4 console=tty0 console=ttyS0,115200n8 ${{cmdline}}\n"
        "initrd initrd\nboot\n"
    )


def _archive(part: ImagePart) -> bytes:
    """An archive with one file that cannot be compressed, in cpio's "newc" format (cpio(5))."""
    content = hashlib.shake_128(part.path.encode()).digest(INITRD_SIZE)
    return b"".join(_entry(name, data) for name, data in (("nix-store.squashfs", content), ("TRAILER!!!", b"")))


def _entry(name: str, content: bytes) -> bytes:
    numbers = (1, 0o100444, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return b"".join(part + bytes(-len(part) % 4) for part in (head, content))
