"""`netboot.ipxe` of a NixOS netboot build: the only place that knows the exact `init=` of kernel and initrd.

Written by nixpkgs, nixos/modules/installer/netboot/netboot.nix: a `kernel` line with `init=/nix/store/...`, and an
`initrd` line. Every build has another path, so script, kernel and initrd belong together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_KERNEL = re.compile(r"^kernel\s+(?P<file>\S+)\s+(?P<arguments>.+)$", re.MULTILINE)
_INIT = re.compile(r"init=(/nix/store/[0-9a-z]{32}-[0-9A-Za-z+\-._?=]+/init)")
_PUBLISHED = re.compile(r"\.\./\.\./(versions/[A-Za-z0-9][A-Za-z0-9._-]*)/bzImage")
_WORD = re.compile(r"[A-Za-z0-9_./:@+=,%-]+")


class NetbootError(ValueError):
    """A `netboot.ipxe` cannot be used; the message says why."""


@dataclass(frozen=True)
class Netboot:
    """What the script says.

    Attributes:
        init: exact path. parameters: the image's own kernel parameters, without `init=` and `initrd=`.
        directory: where a published version's files lie, below the HTTP root; empty: beside the script.
    """

    init: str
    parameters: tuple[str, ...]
    directory: str = ""


def parse_netboot(text: str) -> Netboot:
    """Read a `netboot.ipxe`.

    Raises:
        NetbootError: no kernel line, no exact `init=` (a `*` is never expanded by anybody), or an odd parameter.
    """
    found = _KERNEL.search(text)
    if found is None:
        raise NetbootError("it has no kernel line")
    words = found["arguments"].split()
    inits = [match[1] for word in words if (match := _INIT.fullmatch(word))]
    if len(inits) != 1:
        glob = any(word.startswith("init=") and "*" in word for word in words)
        why = "its init= has a *, which neither iPXE nor the kernel expands" if glob else "it has no exact init="
        raise NetbootError(f"{why}: take the file from the build, attribute netbootIpxeScript")
    own = [word for word in words if not word.startswith(("init=", "initrd=", "${"))]
    odd = [word for word in own if not _WORD.fullmatch(word)]
    if odd:
        raise NetbootError(f"its kernel parameter {odd[0][:60]!a} cannot be passed on by an iPXE script")
    published = _PUBLISHED.fullmatch(found["file"])
    return Netboot(inits[0], tuple(own), published[1] if published else "")
