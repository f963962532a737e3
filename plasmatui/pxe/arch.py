"""Which boot file each kind of firmware can run, told by DHCP option 93.

Codes: IANA, "Processor Architecture Types" (RFC 4578 section 2.1, RFC 5970 section 3.3). Real x86-64 firmware sends 7
or 9, since the RFC had the two the wrong way round. The second kind of code is UEFI HTTP boot, which wants a URL and
the vendor class `HTTPClient` back.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """A kind of firmware. `name` as in `pxe.loaders`; `pxe` and `http`: values of option 93."""

    name: str
    title: str
    pxe: tuple[int, ...]
    http: tuple[int, ...] = ()


BIOS = Architecture("bios", "BIOS", (0x0000,))
ARCHITECTURES = (
    BIOS,
    Architecture("efi-ia32", "UEFI IA32", (0x0006,), (0x000F,)),
    Architecture("efi-x64", "UEFI x86-64", (0x0007, 0x0009), (0x0010,)),
    Architecture("efi-arm32", "UEFI ARM 32-bit", (0x000A,), (0x0012,)),
    Architecture("efi-arm64", "UEFI ARM 64-bit", (0x000B,), (0x0013,)),
)

IPXE_CLASS = "iPXE"
"""What iPXE sends as user class, option 77: plain (ipxe.org/cfg/user-class), or with RFC 3004's length before it."""

ENCAPSULATED, NO_PXEDHCP, VERSION = 175, 176, 235
"""iPXE's own option, which only iPXE sends, and of its sub-options: "wait for no proxyDHCP", and iPXE's version."""

HTTP_CLIENT, PXE_CLIENT = "HTTPClient", "PXEClient"
"""What option 60 begins with (RFC 4578 section 2, UEFI 2.10 section 24.7.2)."""
