"""`plasmatui add|replace|decommission|recover`: members come, are replaced, go for good, or are mended."""

from __future__ import annotations

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.order_options import OrderOptions, order_options, wiping_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.provisioning import firmware_mode
from plasmatui.cli.records import outcome_json
from plasmatui.cli.settings import Settings
from plasmatui.model.operation import AddOrder, DecommissionOrder, RecoverOrder, ReplaceOrder


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@firmware_mode
@wiping_options
@click.pass_obj
def add(settings: Settings, node_set: str, uefi: bool | None, options: OrderOptions) -> int:
    """Add nodes of the inventory to the cluster that lives. Wipes disks.

    Each raft group must have a leader and no member of that name. The nodes are provisioned, join by the leader, and
    are seen as members, voters where their profile says so.
    """
    return give_order(settings, AddOrder(uefi), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@firmware_mode
@click.option("--mac", metavar="MAC", default="", help="The new machine's MAC; the inventory is changed.")
@click.option("--bmc", metavar="ADDRESS", default="", help="The new machine's BMC; the inventory is changed.")
@wiping_options
@click.pass_obj
def replace(settings: Settings, node_set: str, uefi: bool | None, mac: str, bmc: str, options: OrderOptions) -> int:
    """Install machines in the place of dead nodes, under their names. Wipes disks.

    The dead one is switched off and removed from the raft groups; the machine, the same or a new one, is provisioned
    and seen to join. One voter at a time.
    """
    return give_order(settings, ReplaceOrder(uefi, mac, bmc), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@wiping_options
@click.pass_obj
def decommission(settings: Settings, node_set: str, options: OrderOptions) -> int:
    """Take nodes out of the cluster for good.

    Drained, removed from the raft groups, switched off, taken out of the inventory. Their disks keep what is on them.
    """
    return give_order(settings, DecommissionOrder(), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@order_options
@click.pass_obj
def recover(settings: Settings, node_set: str, options: OrderOptions) -> int:
    """See what is wrong with nodes, and mend them with the smallest thing that does.

    Switched on, failed units started, booted, back to the generation before: each only while the node is not well.
    What wipes disks is named, and not done.
    """
    return give_order(settings, RecoverOrder(), node_set, options, outcome_json)
