"""iPXE's error numbers: `http://ipxe.org/4c0a6035` says class, source file and place.

Bits 30-24 are the POSIX class, 23-13 the source file, 12-8 the place in it, 7-0 the platform's code, which differs
between BIOS and EFI builds (ipxe: src/include/errno.h).
"""

from __future__ import annotations

from enum import IntEnum

from plasmatui.watch.facts import Mark


class Errno(IntEnum):
    """The classes that rules ask for."""

    EACCES = 0x02
    EADDRNOTAVAIL = 0x04
    ECANCELED = 0x0B
    ECONNREFUSED = 0x0E
    ECONNRESET = 0x0F
    EHOSTUNREACH = 0x18
    EINVAL = 0x1C
    EIO = 0x1D
    ENETDOWN = 0x26
    ENETUNREACH = 0x28
    ENODEV = 0x2C
    ENOENT = 0x2D
    ENOEXEC = 0x2E
    ENOMEM = 0x31
    ENOSPC = 0x34
    ENOTCONN = 0x38
    ENOTSUP = 0x3C
    ENXIO = 0x3E
    EPERM = 0x41
    EPIPE = 0x42
    EPROTO = 0x43
    ERANGE = 0x46
    ETIMEDOUT = 0x4C
    PLATFORM = 0x7F


UNREACHABLE = frozenset(
    {
        Errno.ECONNREFUSED,
        Errno.ECONNRESET,
        Errno.EHOSTUNREACH,
        Errno.EIO,
        Errno.ENETDOWN,
        Errno.ENETUNREACH,
        Errno.ENOTCONN,
        Errno.ENXIO,
        Errno.EPIPE,
        Errno.ETIMEDOUT,
    }
)

_AUTOBOOT = 0x03E
_HTTP = 0x0C6
_TLS = 0x0DE
_DNS = 0x116
_SEGMENT = 0x038
_REFUSES = frozenset({0x03, 0x0F, 0x1A})
"""EFI's status codes of an image that is not to be trusted: unsupported, access denied, security violation (UEFI
specification, appendix D)."""
_NO_RESOURCES = 0x09
_X509 = 0x16E


def number_of(code: str) -> int:
    """The code as a number, -1 when it is none."""
    try:
        return int(code, 16) if len(code) == 8 else -1
    except ValueError:
        return -1


def errno_of(code: str) -> int:
    """The POSIX class of a code, -1 when it has none."""
    number = number_of(code)
    return -1 if number < 0 else number >> 24 & 0x7F


def source_of(code: str) -> int:
    """Hex digits 3 to 5 with the lowest bit cleared: the source file, as ipxe.org writes it."""
    number = number_of(code)
    return -1 if number < 0 else number >> 12 & 0xFFE


def failed_with(mark: Mark, *classes: int) -> bool:
    return errno_of(mark.first.code) in classes


def is_nothing_to_boot(mark: Mark) -> bool:
    """`Nothing to boot`: DHCP named no file."""
    return "nothing to boot" in f"{mark.first.text} {mark.first.evidence.text}".lower() or (
        errno_of(mark.first.code) == Errno.ENOENT and source_of(mark.first.code) == _AUTOBOOT and not mark.first.file
    )


def is_no_memory(mark: Mark) -> bool:
    """iPXE, or EFI on its behalf, has no memory for a file; of a BIOS it says `Requested memory not available`."""
    if failed_with(mark, Errno.ERANGE):
        return source_of(mark.first.code) == _SEGMENT
    return failed_with(mark, Errno.ENOMEM, Errno.ENOSPC) or _efi_status(mark) == _NO_RESOURCES


def is_image_refused(mark: Mark) -> bool:
    """EFI does not start an image, as Secure Boot makes it."""
    return _efi_status(mark) in _REFUSES


def _efi_status(mark: Mark) -> int:
    """The status that EFI gave, -1 where the error is not EFI's."""
    return number_of(mark.first.code) & 0x7F if failed_with(mark, Errno.PLATFORM) else -1


def is_certificate(mark: Mark) -> bool:
    """TLS failed: a certificate, a clock, an alert of the server. What the web server itself refuses is none."""
    source = source_of(mark.first.code)
    refused = failed_with(mark, Errno.EACCES, Errno.EPERM) and mark.first.file.startswith("https:") and source != _HTTP
    broken = source in (_TLS, _X509) and not failed_with(mark, Errno.ENOTSUP, Errno.ENOMEM)
    return refused or broken


def is_name_unknown(mark: Mark) -> bool:
    """A host name has no address, or nobody can be asked for it."""
    return source_of(mark.first.code) == _DNS
