"""`plasmatui generations|rollback`: the systems that a node has, and going back to one."""

from __future__ import annotations

from typing import Any

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.failure import code_of_results
from plasmatui.cli.hardware import ask_nodes
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.output import clean, json_error, note, print_json, result, table
from plasmatui.cli.records import outcome_json
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.operation import RollbackOrder
from plasmatui.model.system import Generation


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--to", type=click.IntRange(1), metavar="N", help="Number of the generation; without: the one before.")
@click.option("--next-boot", is_flag=True, help="Take effect at the next boot only; nothing is restarted now.")
@order_options
@click.pass_obj
def rollback(settings: Settings, node_set: str, to: int | None, next_boot: bool, options: OrderOptions) -> int:
    """Go back to an earlier generation of the system of SET."""
    return give_order(settings, RollbackOrder(to or 0, next_boot), node_set, options, outcome_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def generations(settings: Settings, node_set: str, as_json: bool) -> int:
    """List the generations of the systems of SET, newest first.

    Asks the nodes over SSH now.
    """
    answers = ask_nodes(settings, "generations", node_set, "nodes")
    failed = sum(answer.problem is not None for answer in answers.values())
    if as_json:
        print_json({"nodes": {name: _json(answer) for name, answer in answers.items()}})
        return code_of_results(failed, len(answers))
    for name, answer in answers.items():
        if answer.problem is not None:
            reason = clean(answer.problem.message).removeprefix(f"{name}: ")
            note(f"{name}: {clean(answer.problem.id)}: {reason}")
            continue
        result(f"{name}:")
        for line in _table(answer.generations or ()).splitlines():
            result(f"  {line}")
    return code_of_results(failed, len(answers))


def _table(found: tuple[Generation, ...]) -> str:
    if not found:
        return "no generations"
    rows = [
        (str(each.number), each.date or "-", each.version or "-", each.kernel or "-", each.revision or "-", _use(each))
        for each in found
    ]
    return table(("NUMBER", "DATE (UTC)", "VERSION", "KERNEL", "REVISION", "USE"), rows)


def _use(each: Generation) -> str:
    """How a generation is used: `runs, boots next`; `was booted` only where that is not the one that runs."""
    words = []
    if each.active:
        words.append("runs")
    elif each.booted:
        words.append("was booted")
    if each.current:
        words.append("boots next")
    return ", ".join(words)


def _json(answer: wire.NodeAnswer) -> dict[str, Any]:
    problem = answer.problem
    if problem is not None:
        return {"ok": False, "generations": None, "error": json_error(problem.id, problem.message)}
    import msgspec

    return {"ok": True, "generations": msgspec.to_builtins(answer.generations or ()), "error": None}
