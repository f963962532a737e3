"""From an inventory's file to what can be rendered from it, and to files as they should be deployed."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from plasmatui.inventory.checks import cross_check
from plasmatui.inventory.inventory import Diagnostic, Inventory, InventoryError
from plasmatui.inventory.loader import read, read_text
from plasmatui.pxe.ipxe import RESCUE
from plasmatui.pxe.lint import lint
from plasmatui.pxe.netboot import Netboot, NetbootError, parse_netboot
from plasmatui.pxe.output import File, Request, render
from plasmatui.pxe.site import IMAGES, SCRIPT, Site

SCRIPT_OUTPUT = "ipxe"
"""The output whose boot script may hold the images of a directory."""


class ImagesError(ValueError):
    """A build's script cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Prepared:
    """An inventory that can be rendered, with its warnings."""

    inventory: Inventory
    site: Site
    warnings: tuple[Diagnostic, ...]


def prepare(path: Path, dhcp: str = "") -> Prepared:
    """Read an inventory to render from it.

    Args:
        dhcp: DHCP server instead of the inventory's `pxe.dhcp`.

    Raises:
        InventoryError: it is wrong; every error at once.
        OSError: it cannot be read.
    """
    reading = read(path, read_text(path))
    inventory, site = reading.inventory, None
    if dhcp:
        inventory = replace(inventory, pxe=replace(inventory.pxe, dhcp=dhcp))
    if reading.complete:
        cross_check(inventory, reading.places, reading.problems)
        site = lint(inventory, reading.places, reading.problems)
    if reading.problems.failed or site is None:
        raise InventoryError(reading.problems.diagnostics())
    return Prepared(inventory, site, reading.problems.diagnostics("warning"))


def images_in(directory: Path, site: Site) -> dict[str, Netboot]:
    """What the builds' own scripts say, for the profiles that have one there.

    Raises:
        ImagesError: a script cannot be read or used.
    """
    found: dict[str, Netboot] = {}
    for profile in dict.fromkeys((*site.profiles, RESCUE)):
        path = directory / profile / "netboot.ipxe"
        try:
            found[profile] = parse_netboot(path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            continue
        except (OSError, NetbootError) as error:
            raise ImagesError(f"{path} cannot be used: {error}") from None
    return found


def active_images(site: Site) -> Path:
    """Where the images are that machines boot now."""
    return Path(os.path.expanduser(site.http_root)) / IMAGES


def expected(prepared: Prepared, script: str, only: Collection[str] = ()) -> tuple[tuple[File, ...], bool]:
    """Every file as it should be deployed, and whether the boot script holds the active images.

    It does when the deployed one, whose text is `script`, holds images: it was rendered with `--images` then.

    Raises:
        RefusedError: a text of the inventory cannot be written in a file's language.
        ImagesError: as `images_in`.
    """
    site = prepared.site
    images = images_in(active_images(site), site) if "init=/" in script else {}
    return render(Request(prepared.inventory, site, images), only), bool(images)


def script_path(site: Site) -> str:
    """Path of the boot script on the PXE server, without the slash in front."""
    return f"{site.http_root.lstrip('/')}/{SCRIPT}"
