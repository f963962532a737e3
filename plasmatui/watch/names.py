"""What a file is in a network boot, told from its name."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote, urlsplit


class Role(StrEnum):
    """Parts of a network boot. `UNKNOWN` is decided by order: what iPXE asks for is a script, a kernel, an initrd."""

    LOADER = "loader"
    SCRIPT = "script"
    KERNEL = "kernel"
    INITRD = "initrd"
    UNKNOWN = ""


_KERNEL = re.compile(r"^(bzimage|vmlinu[xz]|z?image|linux|kernel)([-_.\d].*|$)|\.bzimage$|/kernel(-[\w.]+)?$", re.I)
_INITRD = re.compile(r"^(initrd|initramfs|initrfs|ramdisk)|initrd|\.(img|cpio)([.\d]|$)|^core\.gz$", re.I)
_SCRIPT = re.compile(
    r"\.(ipxe|php|cgi|gpxe)$|^(boot|menu|autoexec|grub)\.cfg$|^grub\.cfg|pxelinux\.cfg(/|$)|/v1/boot/", re.I
)
_LOADER = re.compile(r"\.(efi|kk?k?pxe|pxe|0|n12|usb)$", re.I)
_URL_SIGNS = re.compile(r"[%?#;\[\]\s\x00-\x1f]|^//")
_QUERY = re.compile(r"(^|[&?])(mac|uuid|hostname)=", re.I)


# Every name that tells a role has one of these: most files that a running system fetches are none.
_TELLING = re.compile(
    r"image|linux|vmlinu|kernel|initr|ramdisk|core\.gz|ipxe|/v1/boot/|(?:mac|uuid|hostname)="
    r"|\.(?:img|cpio|php|cgi|gpxe|cfg|efi|k*pxe|0|n12|usb)"
)


@lru_cache(4096)
def role_of(file: str) -> Role:
    """The role that the name of a path or URL tells."""
    plain = file.isascii() and file.isprintable() and "%" not in file
    return Role.UNKNOWN if plain and tells_nothing(file) else _role_of(file)


def tells_nothing(name: str) -> bool:
    """Whether a plain path or URL surely tells no role."""
    return _TELLING.search(name.lower()) is None


def _role_of(file: str) -> Role:
    path = path_of(file)
    name = path.rsplit("/", 1)[-1]
    if _KERNEL.search(name):
        return Role.KERNEL
    if _SCRIPT.search(path):
        return Role.SCRIPT
    if _INITRD.search(name):
        return Role.INITRD
    if _LOADER.search(name):
        return Role.LOADER
    if _QUERY.search(file) or "ipxe" in name.lower():
        return Role.SCRIPT
    return Role.UNKNOWN


@lru_cache(4096)
def path_of(file: str) -> str:
    """The path of a URL or path, without query, decoded."""
    if file.startswith("/") and not _URL_SIGNS.search(file):
        return file
    try:
        return unquote(urlsplit(file).path) or file
    except ValueError:
        return file


def name_of(file: str) -> str:
    """The last part of a path or URL."""
    return path_of(file).rstrip("/").rsplit("/", 1)[-1]
