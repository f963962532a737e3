"""`plasmatui bundle`: an incident bundle of nodes, or of an operation, without secrets, for a ticket or a replay."""

from __future__ import annotations

import os
from pathlib import Path

import click

from plasmatui.cli.completion import complete_node
from plasmatui.cli.engine_link import engine, expect, run_async
from plasmatui.cli.failure import DONE
from plasmatui.cli.output import note, print_json, result
from plasmatui.cli.sets import pick
from plasmatui.cli.settings import Settings
from plasmatui.cli.times import moment_of
from plasmatui.model import wire


@click.command()
@click.argument("words", metavar="NODE...|OP", nargs=-1, required=True, shell_complete=complete_node)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where to write it."
)
@click.option("--since", metavar="T", help="Only what happened since T (a day): 90s, 10m, 2h, 14:30 or a date.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def bundle(settings: Settings, words: tuple[str, ...], output: Path, since: str | None, as_json: bool) -> int:
    """Write an incident bundle of NODE..., or of the nodes of operation number OP.

    It holds server logs, consoles, timelines, events and operations, without secrets; `plasmatui replay DIR` reads it.
    """
    begin = moment_of("--since", since) if since else 0.0
    return run_async(_bundle(settings, ",".join(words), Path(os.path.expanduser(output)).absolute(), begin, as_json))


async def _bundle(settings: Settings, node_set: str, directory: Path, since: float, as_json: bool) -> int:
    async with engine(settings, read_only=True) as client:
        by_number = node_set.isdecimal() and node_set not in {node.name for node in client.welcome.nodes}
        if by_number:
            body = wire.MakeBundle((), str(directory), since, int(node_set))
        else:
            body = wire.MakeBundle(pick(node_set, client.welcome.nodes), str(directory), since)
        reply = expect(await client.ask(body), wire.BundleReply)
    if as_json:
        print_json({"directory": reply.directory, "nodes": list(reply.nodes), "files": list(reply.files)})
    else:
        result(reply.directory)
        note(f"{len(reply.files)} files; look into them before you pass them on: plasmatui replay {reply.directory}")
    return DONE
