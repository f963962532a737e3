"""What Nix store paths of the simulated world hold, and how the paths are named."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import msgspec

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"  # Nix's base 32
STORE = "/nix/store"


def store_hash(*parts: str) -> str:
    """The 32 characters in front of a store path's name."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:20], "big")
    letters = []
    for _ in range(32):
        number, digit = divmod(number, 32)
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def store_path(name: str, *inputs: str) -> str:
    """The store path of something that depends on `inputs` alone."""
    return f"{STORE}/{store_hash(name, *inputs)}-{name}"


class Toplevel(msgspec.Struct, frozen=True, tag="system"):
    """A built NixOS system.

    Attributes:
        node: whose configuration it is: the host name.
        version: NixOS version, `25.11.20251115.abc1234`.
        kernel: version.
        revision: of the configuration; "" when not set.
        services: the cluster's services on it.
        flaw: what is wrong with it once it runs: "unhealthy", "unreachable", "panics"; "" for nothing.
        size: bytes of its closure.
    """

    path: str
    node: str
    version: str
    kernel: str
    revision: str = ""
    services: tuple[str, ...] = ()
    flaw: str = ""
    size: int = 1_900_000_000


class DiskoScript(msgspec.Struct, frozen=True, tag="disko"):
    """A built disko script. `devices` by disko's name for the disk; `mode`: disko, format or mount."""

    path: str
    node: str
    devices: dict[str, str]
    mode: str = "disko"
    size: int = 96_000_000


class ImagePart(msgspec.Struct, frozen=True, tag="image"):
    """A part of a built netboot image: `part` is the attribute; `init`: what its script starts.

    `size`: bytes of what it adds to the store.
    """

    path: str
    node: str
    part: str
    init: str
    size: int = 3_000_000


Build: TypeAlias = Toplevel | DiskoScript | ImagePart


def encode_builds(builds: list[Build]) -> bytes:
    return msgspec.json.encode(builds)


def decode_builds(data: bytes) -> list[Build]:
    """Builds from JSON.

    Raises:
        msgspec.MsgspecError: it is not what `encode_builds` wrote.
    """
    return msgspec.json.decode(data, type=list[Toplevel | DiskoScript | ImagePart])


def kernel_path(build: Toplevel, part: str) -> str:
    """Where `kernel`, `initrd` or `kernel-modules` of a system really are: equal for equal kernels."""
    if part == "kernel":
        return f"{store_path(f'linux-{build.kernel}', build.kernel)}/bzImage"
    if part == "initrd":
        return f"{store_path(f'initrd-linux-{build.kernel}', build.kernel, build.version[:5])}/initrd"
    return store_path("kernel-modules", build.kernel)


def systemd_path(build: Toplevel) -> str:
    """Where the system's systemd is."""
    return store_path("systemd-257.7", build.version[:5])
