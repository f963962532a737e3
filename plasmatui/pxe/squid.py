"""Squid as a cache: a proxy for what installers fetch, and Nix's binary cache itself on a port of its own.

Nix checks the signatures of what it fetches, so that the cache may be reached without TLS:
`substituters = http://PXE-SERVER:3129`.
"""

from __future__ import annotations

from plasmatui.pxe.quoting import SQUID, fill, header
from plasmatui.pxe.site import Site

PROXY, ACCELERATOR = 3128, 3129
NIX_CACHE = "cache.nixos.org"


def squid(site: Site) -> str:
    """`squid.conf`: open to the inventory's networks, not to all."""
    return fill(
        SQUID,
        "squid.conf.j2",
        header=header(SQUID, site.source, "pxe.server and networks"),
        site=site,
        proxy=PROXY,
        accelerator=ACCELERATOR,
        origin=NIX_CACHE,
    )
