"""`plasmatui restore`: data of a backup brought back to nodes."""

from __future__ import annotations

from pathlib import Path

import click

from plasmatui.cli.order_options import OrderOptions, wiping_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.records import outcome_json
from plasmatui.cli.settings import Settings
from plasmatui.model.operation import RestoreOrder


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("node_set", metavar="SET")
@click.option("--service", "services", multiple=True, metavar="NAME", help="Only its data; may be given again.")
@wiping_options
@click.pass_obj
def restore(
    settings: Settings, directory: Path, node_set: str, services: tuple[str, ...], options: OrderOptions
) -> int:
    """Put the data of the backup DIR in the place of what the nodes have.

    The backup is read and compared first. What it holds is laid beside the data, looked at, and swapped with them while
    the service stands still; when the service does not come up, they are swapped back. The old data stay.
    """
    order = RestoreOrder(str(directory.expanduser().absolute()), services)
    return give_order(settings, order, node_set, options, outcome_json)
