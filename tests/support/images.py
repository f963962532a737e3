"""Netboot images that are small and right in form: kernels with true headers, archives that unpack."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from pathlib import Path

STORE = "/nix/store/"
TOPLEVEL = STORE + "7rrs0q1dmv2x3z4y5w6v7a8b9c0d1f2g-nixos-system-netboot-25.11"
OTHER = STORE + "8rrs0q1dmv2x3z4y5w6v7a8b9c0d1f2g-nixos-system-netboot-25.11"


def x86_kernel(payload: int = 4096, *, efi: bool = True) -> bytes:
    """A bzImage: one sector of set-up code, then `payload` bytes (a multiple of 16)."""
    data = bytearray(1024 + payload)
    data[0x1F1] = 1
    struct.pack_into("<I", data, 0x1F4, payload // 16)
    data[0x1FE:0x200] = b"\x55\xaa"
    data[0x202:0x206] = b"HdrS"
    if efi:
        _pe(data, 0x8664)
    return bytes(data)


def arm64_kernel(payload: int = 4096) -> bytes:
    data = bytearray(1024 + payload)
    data[56:60] = b"ARMd"
    _pe(data, 0xAA64)
    return bytes(data)


def _pe(data: bytearray, machine: int) -> None:
    """A PE header at 0x40 whose one section ends with the file."""
    data[:2] = b"MZ"
    struct.pack_into("<I", data, 0x3C, 0x40)
    data[0x40:0x44] = b"PE\0\0"
    struct.pack_into("<HH", data, 0x44, machine, 1)
    struct.pack_into("<H", data, 0x54, 0)
    struct.pack_into("<II", data, 0x58 + 16, len(data) - 512, 512)


def cpio(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    data = bytearray()
    for name, content in [*files.items(), ("TRAILER!!!", b"")]:
        fields = [0, 0o100000 | mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        data += b"070701" + b"".join(b"%08X" % field for field in fields)
        data += name.encode() + b"\0"
        data += b"\0" * (-len(data) % 4) + content
        data += b"\0" * (-len(data) % 4)
    return bytes(data)


def zstd(content: bytes) -> bytes:
    """A frame of raw blocks (RFC 8878 section 3.1.1), with a check sum that nobody checks."""
    data = bytearray(b"\x28\xb5\x2f\xfd\x04\x58")
    blocks = [content[at : at + 65536] for at in range(0, len(content), 65536)] or [b""]
    for place, block in enumerate(blocks):
        data += (len(block) << 3 | (place == len(blocks) - 1)).to_bytes(3, "little") + block
    return bytes(data) + b"\0\0\0\0"


def lz4(content: bytes) -> bytes:
    return b"\x02\x21\x4c\x18" + len(content).to_bytes(4, "little") + content


PACKERS = {
    "cpio": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "zstd": zstd,
    "lz4": lz4,
}


def initrd(*kinds: str, size: int = 5000, padding: int = 0) -> bytes:
    """An initrd of several archives, with zeros between them."""
    parts = [
        PACKERS[kind](cpio({f"file{n}": bytes(i * 37 % 251 for i in range(size))})) for n, kind in enumerate(kinds)
    ]
    return (b"\0" * padding).join(parts)


def script(toplevel: str = TOPLEVEL, kernel: str = "bzImage", parameters: str = "loglevel=4") -> str:
    """As nixpkgs' netbootIpxeScript writes it."""
    return (
        "#!ipxe\n# Use the cmdline variable to allow the user to specify custom kernel params\n"
        f"kernel {kernel} init={toplevel}/init initrd=initrd {parameters} ${{cmdline}}\ninitrd initrd\nboot\n"
    )


def write_image(directory: Path, *, toplevel: str = TOPLEVEL, size: int = 5000) -> Path:
    """A build's directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bzImage").write_bytes(x86_kernel())
    (directory / "initrd").write_bytes(initrd("gzip", "zstd", size=size))
    (directory / "netboot.ipxe").write_text(script(toplevel))
    return directory
