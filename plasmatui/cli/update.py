"""`plasmatui update`: nodes brought to the systems that the flake describes, a few at a time."""

from __future__ import annotations

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.records import outcome_json
from plasmatui.cli.settings import Settings
from plasmatui.model.operation import UpdateOrder
from plasmatui.model.words import RebootRule

_USUAL = UpdateOrder()


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=_USUAL.batch,
    metavar="N",
    help="Nodes without a vote at once, behind the first, which goes alone; voters always go one by one.",
)
@click.option(
    "--reboot",
    type=click.Choice([rule.value for rule in RebootRule]),
    default=_USUAL.reboot.value,
    help="When to reboot; auto: when the kernel, its initrd or its parameters are others.",
)
@click.option("--no-drain", is_flag=True, help="Leave the balancer and the VMs alone.")
@click.option(
    "--settle",
    type=click.IntRange(1, 86400),
    default=_USUAL.settle,
    metavar="SECONDS",
    help=f"Time for a node's services to be as well as before ({_USUAL.settle}).",
)
@click.option(
    "--confirm-ssh",
    type=click.IntRange(10, 3600),
    default=_USUAL.confirm,
    metavar="SECONDS",
    help=f"A node that does not answer on SSH so long after its activation goes back by itself ({_USUAL.confirm}).",
)
@order_options
@click.pass_obj
def update(
    settings: Settings,
    node_set: str,
    batch: int,
    reboot: str,
    no_drain: bool,
    settle: int,
    confirm_ssh: int,
    options: OrderOptions,
) -> int:
    """Bring SET to the systems that the inventory's flake describes.

    Everything is built and copied first. Then node after node tries its new system; what is not as well as before goes
    back by itself, and nothing more is begun. --parallel says how many systems are copied at once.
    """
    order = UpdateOrder(batch, RebootRule(reboot), not no_drain, settle, confirm_ssh)
    return give_order(settings, order, node_set, options, outcome_json)
