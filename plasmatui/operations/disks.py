"""Which disks an installation wipes: read from the installer, and held against inventory, flake and a person's word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasmatui.model.system import Disk
from plasmatui.nix import disks as nix_disks
from plasmatui.nix.anywhere import INSTALLER_ARGV, parse_installer
from plasmatui.nix.disks import LINKS_ARGV, LSBLK_ARGV, DiskProblem, Match, match, parse_disks
from plasmatui.nix.flake import DiskoDevice
from plasmatui.nix.tools import OutputError
from plasmatui.operations.endings import STOP, NodeFailedError, NodeLeftError
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import installer, installer_host
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.remote.host import Host

LIMIT = 30.0

WIPE = "wipe"
"""The answer that lets disks be wiped whose names do not last."""

LASTING = "/dev/disk/by-id/"


async def check_installer(work: NodeWork) -> None:
    """Refuse anything that is not a NixOS installer: it may be a live system, which disko would wipe.

    Raises:
        NodeFailedError: "not-an-installer".
    """
    await _check_installer(work.node, installer(work))


async def _check_installer(node: str, host: Host) -> None:
    ran = await host.run(INSTALLER_ARGV, limit=LIMIT)
    text = ran.out.decode(errors="replace")
    if not parse_installer(text):
        named = next((line for line in text.splitlines() if line.startswith("PRETTY_NAME")), "no os-release")
        raise NodeFailedError(
            "not-an-installer",
            f"{node} runs no NixOS installer (no VARIANT_ID=installer): nothing is wiped; boot it with "
            f'plasmatui boot {node}, or give the image system.nixos.variant_id = "installer"',
            (named,),
        )


async def read_disks(node: str, host: Host) -> tuple[nix_disks.Disk, ...]:
    """The disks that a machine has.

    Raises:
        CommandError: it cannot be asked.
        NodeFailedError: lsblk answers something else than it should.
    """
    listed = await host.run(LSBLK_ARGV, limit=LIMIT)
    links = await host.run(LINKS_ARGV, limit=LIMIT)
    try:
        return parse_disks(listed.out, links.out.decode(errors="replace"))
    except OutputError as error:
        raise NodeFailedError("install-failed", f"{node}: its disks cannot be read: {error}") from error


async def installer_disks(node: str, site: Site) -> tuple[Disk, ...]:
    """The disks that an installation of the node would wipe, read from its installer, for a person to confirm.

    Raises:
        CommandError: the installer cannot be reached.
        NodeFailedError: it is none, or its disks are not those of the inventory.
    """
    host = installer_host(site, node, "plan")
    await _check_installer(node, host)
    wanted = site.inventory().nodes[node].disks
    found = match(wanted, await read_disks(node, host))
    _refuse(node, found.problems)
    return _named(wanted, found)


async def check_disks(
    work: NodeWork, layout: tuple[DiskoDevice, ...], confirmed: tuple[Disk, ...], *, wiped: bool
) -> tuple[nix_disks.Disk, ...]:
    """The disks that disko would wipe are those of the inventory, and those that a person confirmed.

    Args:
        wiped: they were wiped by an earlier run; nothing is asked then.

    Raises:
        NodeFailedError: with the finding that says what speaks against wiping them.
        NodeLeftError: a person said so.
    """
    wanted = work.site.inventory().nodes[work.node].disks
    found = match(wanted, await read_disks(work.node, installer(work)), layout)
    _refuse(work.node, found.problems)
    now = _named(wanted, found)
    for disk in now:
        seen = next((each for each in confirmed if each.name == disk.name), None)
        if seen is None or (
            seen.model and (seen.model, seen.size, seen.serial) != (disk.model, disk.size, disk.serial)
        ):
            was = f"{seen.model} ({seen.serial})" if seen is not None else "not among them"
            raise NodeFailedError(
                "disk-order-differs",
                f"{work.node}: {disk.name} is {disk.model} ({disk.serial}), which is not what was confirmed: {was}; "
                "nothing was wiped; plan the operation again",
            )
    unnamed = [disk for disk in now if not disk.name.startswith(LASTING) and not _was_seen(disk, confirmed)]
    if unnamed and not wiped:
        await _ask(work, unnamed)
    return found.disks


def _was_seen(disk: Disk, confirmed: tuple[Disk, ...]) -> bool:
    return any(each.name == disk.name and each.serial == disk.serial and each.model for each in confirmed)


async def _ask(work: NodeWork, disks: list[Disk]) -> None:
    listed = "; ".join(
        f"{disk.name} is {disk.model} ({disk.serial}) {nix_disks.human_size(disk.size)}" for disk in disks
    )
    answer = await work.ask(
        f"{work.node}: the inventory names disks by names that may change: {listed}. "
        f"Answer {WIPE} to wipe them, {STOP} to leave the node as it is",
        (WIPE, STOP),
    )
    if answer == STOP:
        raise NodeLeftError("left before anything was wiped, as a person decided")


def _refuse(node: str, problems: tuple[DiskProblem, ...]) -> None:
    if problems:
        first = problems[0]
        raise NodeFailedError(
            first.finding,
            f"{node}: {first.message}; nothing was wiped",
            tuple(problem.message for problem in problems),
        )


def _named(wanted: tuple[str, ...], found: Match) -> tuple[Disk, ...]:
    """The disks by the inventory's names, in its order."""
    return tuple(
        Disk(name, disk.path, disk.model, disk.size, disk.serial, disk.contents)
        for name, disk in zip(wanted, found.disks, strict=True)
    )
