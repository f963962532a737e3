"""`plasmatui drain|undrain`: members of the cluster out of service and back."""

from __future__ import annotations

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.records import outcome_json
from plasmatui.cli.settings import Settings
from plasmatui.model.operation import DrainOrder, UndrainOrder


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@order_options
@click.pass_obj
def drain(settings: Settings, node_set: str, options: OrderOptions) -> int:
    """Take SET out of service.

    Out of the balancer, its VMs moved to other nodes, its services stopped in order.
    """
    return give_order(settings, DrainOrder(), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@order_options
@click.pass_obj
def undrain(settings: Settings, node_set: str, options: OrderOptions) -> int:
    """Bring drained SET back into service."""
    return give_order(settings, UndrainOrder(), node_set, options, outcome_json)
