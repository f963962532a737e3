"""`plasmatui boot|install|provision|reprovision`: from a bare machine to a member of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.order_options import OrderOptions, order_options, wiping_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.records import outcome_json
from plasmatui.cli.settings import Settings
from plasmatui.model.operation import BootOrder, InstallOrder, ProvisionOrder, ReprovisionOrder

firmware_mode: Callable[[Any], Any] = click.option(
    "--uefi/--bios", "uefi", default=None, help="Firmware mode of the boot override; without: the BMC's."
)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--disk", is_flag=True, help="Boot from the disk, and wait for the login prompt.")
@firmware_mode
@order_options
@click.pass_obj
def boot(settings: Settings, node_set: str, disk: bool, uefi: bool | None, options: OrderOptions) -> int:
    """Boot SET from the network and wait for the installer.

    Sets the boot device, switches on (or off and on), and watches until the installer answers on SSH.
    """
    return give_order(settings, BootOrder(disk, uefi), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@wiping_options
@click.pass_obj
def install(settings: Settings, node_set: str, options: OrderOptions) -> int:
    """Install NixOS on SET, whose installers are up. Wipes disks.

    The disks are read from the installers and shown before anything is done.
    """
    return give_order(settings, InstallOrder(), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@firmware_mode
@wiping_options
@click.pass_obj
def provision(settings: Settings, node_set: str, uefi: bool | None, options: OrderOptions) -> int:
    """Make bare machines members of the cluster. Wipes disks.

    Boots the installer, installs, boots the new system, and waits until the node is healthy in the cluster.
    """
    return give_order(settings, ProvisionOrder(uefi), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@firmware_mode
@wiping_options
@click.pass_obj
def reprovision(settings: Settings, node_set: str, uefi: bool | None, options: OrderOptions) -> int:
    """Drain members, take them out, provision them anew. Wipes disks.

    They come back under the same names.
    """
    return give_order(settings, ReprovisionOrder(uefi), node_set, options, outcome_json)
