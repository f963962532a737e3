"""Which host an operation means: the installer of this boot, with the keys that its console showed, or the system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.remote.host import Host


def installer(work: NodeWork) -> Host:
    """The installer that the node runs now, trusted by the fingerprints on its serial console.

    Raises:
        CommandError: "ssh-refused": no address, or no fingerprint was seen and the inventory wants one.
    """
    return installer_host(work.site, work.node, f"operation {work.number}")


def installer_host(site: Site, node: str, boot: str) -> Host:
    """As `installer`; `boot` names the boot where the inventory accepts any key (`host_keys: accept-new`)."""
    from plasmatui.remote.hostkeys import Fingerprint
    from plasmatui.remote.trust import AcceptNew, Pinned

    keys = frozenset(Fingerprint(key) for key in site.boots.fingerprints(node))
    return site.hosts().installer(node, Pinned(keys) if keys else AcceptNew(boot))


def system(work: NodeWork) -> Host:
    """The installed system of the node. Raises `CommandError` "ssh-refused": the node or its address is not known."""
    return work.site.hosts().system(work.node)
