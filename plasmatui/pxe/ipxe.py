"""The boot script of iPXE, and the list of machines beside it.

A machine whose installation is pending boots its profile's image at once; every other one gets a menu that goes on to
the local disk, so that a machine that boots from the network for ever is not installed for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from plasmatui.pxe.netboot import Netboot
from plasmatui.pxe.quoting import IPXE, Quoted, fill, header
from plasmatui.pxe.site import IMAGES, Site

CONSOLES = ("console=tty0", "console=ttyS0,115200n8")
"""The last one becomes /dev/console (kernel, admin-guide/serial-console): the serial line, where people look."""

RESCUE = "rescue"
"""The profile that is in every menu: a system in memory, to look after a machine."""

TRIES = 5


def boot_script(
    site: Site, images: Mapping[str, Netboot], pending: Collection[str], arguments: Sequence[str] = ()
) -> str:
    """`boot.ipxe`.

    Args:
        images: by profile; a profile without one chains to the `netboot.ipxe` beside its kernel.
        pending: names of the machines that are to be installed.
        arguments: further arguments of every kernel.

    Raises:
        RefusedError: a name cannot stand in a script.
    """
    return fill(
        IPXE,
        "boot.ipxe.j2",
        header=header(IPXE, site.source, "pxe, profiles and nodes"),
        site=site,
        profiles=tuple(dict.fromkeys((*site.profiles, RESCUE))),
        directories={name: image.directory or f"{IMAGES}/{name}" for name, image in images.items()},
        images=IMAGES,
        consoles=Quoted(IPXE.quote(" ".join((*arguments, *CONSOLES)))),
        parameters={name: Quoted(IPXE.quote(" ".join(_parameters(image)))) for name, image in images.items()},
        pending=frozenset(pending),
        tries=TRIES,
    )


def _parameters(image: Netboot) -> tuple[str, ...]:
    """The image's parameters; its own serial console is left to ours, which come last."""
    return (f"init={image.init}", "initrd=initrd", *(each for each in image.parameters if each not in CONSOLES))


def mac_mappings(site: Site) -> str:
    """`mac-mappings.txt`: for people."""
    rows = [(mac, each.profile or "-", each.name) for each in site.machines for mac in each.macs]
    return header(IPXE, site.source, "nodes") + "".join(f"{mac} {profile} {name}\n" for mac, profile, name in rows)
