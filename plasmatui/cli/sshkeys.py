"""`plasmatui sshkeys`: the provisioning key, which nodes it opens, and how it is replaced."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from plasmatui.cli.check import load_inventory
from plasmatui.cli.completion import complete_set
from plasmatui.cli.engine_link import engine, run_async
from plasmatui.cli.failure import code_of_results
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.output import LiveLine, clean, collated, json_error, note, print_json, result
from plasmatui.cli.records import outcome_json
from plasmatui.cli.sets import ALL, fold, pick
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.operation import SshKeysRotateOrder


@click.group()
def sshkeys() -> None:
    """Show and replace the provisioning key."""


@sshkeys.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def status(settings: Settings, node_set: str, as_json: bool) -> int:
    """Show the key's fingerprint and which nodes let it in.

    SET is @all when it is left out.
    """
    from plasmatui.certs.sshkeys import read_key

    inventory = load_inventory(settings)
    nodes = pick(node_set, tuple(inventory.nodes.values()))
    key = read_key(inventory.ssh.key) if inventory.ssh.key else None
    problems = run_async(_logins(settings, nodes))
    if as_json:
        told = {
            name: {"ok": not why, "error": json_error("ssh-refused" if why else "", why)}
            for name, why in problems.items()
        }
        print_json({"key": asdict(key) if key is not None else None, "nodes": told})
    else:
        if key is None:
            note("ssh.key is not given: the keys of the engine's SSH agent and user are used")
        else:
            mode = "" if key.mode is None else f", mode {key.mode:04o}"
            what = f"{key.kind} {key.fingerprint} {key.comment}".strip()
            result(clean(f"{key.path}: {what}{mode}{f', {key.problem}' if key.problem else ''}"))
        result(collated({name: why or "lets us in" for name, why in problems.items()}))
    return code_of_results(sum(bool(why) for why in problems.values()), len(problems))


async def _logins(settings: Settings, nodes: tuple[str, ...]) -> dict[str, str]:
    """Why each node does not let us in, "" when it does. A login is what any question over SSH begins with."""
    found: dict[str, str] = {}
    live = LiveLine()
    try:
        async with engine(settings, read_only=True) as client:
            async for answer in client.stream(wire.Query("generations", nodes)):
                refused = answer.problem is not None and answer.problem.id.startswith("ssh-")
                found[answer.node] = answer.problem.message if answer.problem is not None and refused else ""
                live.show(f"{len(found)} of {len(nodes)} nodes")
    finally:
        live.clear()
    return {name: found[name] for name in nodes if name in found}


@sshkeys.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--key", metavar="FILE", default="", help="The new private key; made there when it is not.")
@order_options
@click.pass_obj
def rotate(settings: Settings, node_set: str, key: str, options: OrderOptions) -> int:
    """Replace the provisioning key.

    The new one is added and tried on every node, named in the inventory, and only then the old one taken out. SET is
    @all when it is left out.
    """
    new = str(Path(os.path.expanduser(key)).absolute()) if key else ""
    return give_order(settings, SshKeysRotateOrder(new=new), node_set, options, outcome_json)


@sshkeys.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def plan(settings: Settings, node_set: str, as_json: bool) -> int:
    """Print how the key is replaced by hand, step by step; does nothing.

    SET is @all when it is left out.
    """
    from plasmatui.certs.sshkeys import rotation

    inventory = load_inventory(settings)
    nodes = pick(node_set, tuple(inventory.nodes.values()))
    steps = rotation(inventory, nodes, fold(nodes))
    if as_json:
        print_json({"steps": [asdict(step) for step in steps]})
        return 0
    for number, step in enumerate(steps, 1):
        result(clean(f"{number}. {step.text}"))
        for command in step.commands:
            result(clean(f"     {command}"))
        if step.proof:
            result(clean(f"   proof: {step.proof}"))
    return 0
