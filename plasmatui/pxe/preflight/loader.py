"""What a boot loader is made for, from its first bytes.

PE: Microsoft, "PE Format" (offset of the header at 0x3c, machine, subsystem 10 for EFI applications). A BIOS loader
has no mark; iPXE's and PXELINUX's begin with a jump. A Linux kernel: Documentation/arch/x86/boot.rst ("HdrS" at 0x202)
and Documentation/arch/arm64/booting.rst ("ARMd" at 56).
"""

from __future__ import annotations

import struct
from typing import Final

MACHINES: Final = {
    0x014C: "efi-ia32", 0x8664: "efi-x64", 0x01C0: "efi-arm32", 0x01C2: "efi-arm32", 0x01C4: "efi-arm32",
    0xAA64: "efi-arm64",
}  # fmt: skip
"""PE machine -> architecture, as in `pxe.loaders`."""

_EFI_APPLICATION: Final = 10
_JUMPS: Final = (0xEA, 0xEB, 0xE9, 0xFA, 0xFC)
"""x86: far jump, short jump, near jump; cli and cld, with which others begin."""


def architecture(data: bytes) -> tuple[str, str]:
    """The architecture that a boot file is for ("" when it is no boot file), and what it is, for people."""
    if data[:2] == b"MZ":
        return _pe(data)
    if not data:
        return "", "an empty file"
    if data[:4] == b"\x7fELF":
        return "", "an ELF program"
    if data.lstrip()[:1] in (b"<", b"#", b"{"):
        return "", "text, not a program"
    if data[0] in _JUMPS and len(data) >= 512:
        return "bios", "a program for BIOS"
    return "", "no boot loader that is known"


def _pe(data: bytes) -> tuple[str, str]:
    if len(data) < 64:
        return "", "the beginning of a PE program, cut off"
    (at,) = struct.unpack_from("<I", data, 0x3C)
    if at + 24 + 70 > len(data) or data[at : at + 4] != b"PE\0\0":
        return "", "a DOS program, or a PE program that is cut off"
    (machine,) = struct.unpack_from("<H", data, at + 4)
    (subsystem,) = struct.unpack_from("<H", data, at + 24 + 68)
    name = MACHINES.get(machine, "")
    if not name:
        return "", f"a PE program for machine {machine:#06x}"
    if subsystem != _EFI_APPLICATION:
        return "", f"a PE program for {name}, but no EFI application (subsystem {subsystem})"
    return name, f"an EFI application for {name}"


def is_kernel(data: bytes) -> bool:
    """Whether the first 1 KiB are those of a Linux kernel, of x86 or ARM64, or of an EFI program (a zboot kernel)."""
    return data[0x202:0x206] == b"HdrS" or data[56:60] == b"ARMd" or data[:2] == b"MZ"
