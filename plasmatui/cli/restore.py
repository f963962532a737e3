"""`plasmatui restore`, `recover-cluster`: data of a backup brought back to one node, or to all voters at once."""

from __future__ import annotations

import os
from pathlib import Path

import click

from plasmatui.backups.manifest import BackupError, find_backups, read_backup
from plasmatui.cli.completion import complete_set
from plasmatui.cli.failure import USAGE, Failure
from plasmatui.cli.order_options import OrderOptions, wiping_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.records import outcome_json
from plasmatui.cli.sets import fold
from plasmatui.cli.settings import Settings
from plasmatui.model.operation import RecoverClusterOrder, RestoreOrder


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
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
    order = RestoreOrder(str(Path(os.path.expanduser(directory)).absolute()), services)
    return give_order(settings, order, node_set, options, outcome_json)


@click.command("recover-cluster")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("node_set", metavar="[SET]", default="", shell_complete=complete_set)
@wiping_options
@click.pass_obj
def recover_cluster(settings: Settings, directory: Path, node_set: str, options: OrderOptions) -> int:
    """Bring back a cluster whose voters have all lost their data.

    DIR is a backup, or holds several: the newest that has a majority of each raft group is taken. Each voter gets its
    own data; all are stopped, all swapped, and they begin together. The cluster's name confirms it. SET is every node
    of the newest backup when it is left out.
    """
    place = Path(os.path.expanduser(directory)).absolute()
    order = RecoverClusterOrder(str(place))
    return give_order(settings, order, node_set or _nodes_of_newest(place), options, outcome_json)


def _nodes_of_newest(place: Path) -> str:
    try:
        newest = read_backup(find_backups(place)[-1])
    except (BackupError, IndexError) as error:
        why = str(error) if isinstance(error, BackupError) else f"no backup lies in {place}"
        raise Failure(USAGE, why, "plasmatui backup list DIR") from None
    return fold(newest.head.nodes)
