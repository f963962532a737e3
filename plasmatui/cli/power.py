"""`plasmatui power`: power status and changes, with before and after."""

from __future__ import annotations

from typing import Any

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.failure import code_of_results
from plasmatui.cli.hardware import ask_nodes
from plasmatui.cli.order_options import OrderOptions, order_options
from plasmatui.cli.orders import give_order
from plasmatui.cli.output import collated, json_error, print_json, result
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.node import NodeState
from plasmatui.model.operation import NodeRecord, PowerOrder
from plasmatui.model.words import Power, PowerAction


@click.group()
def power() -> None:
    """Power of nodes: status on off soft cycle reset."""


@power.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def status(settings: Settings, node_set: str, as_json: bool) -> int:
    """Ask the BMCs of SET now."""
    answers = ask_nodes(settings, "power", node_set)
    failed = sum(answer.problem is not None for answer in answers.values())
    if as_json:
        print_json({"nodes": {name: _status_json(answer) for name, answer in answers.items()}})
    else:
        result(collated({name: _status_text(answer) for name, answer in answers.items()}))
    return code_of_results(failed, len(answers))


def _status_json(answer: wire.NodeAnswer) -> dict[str, Any]:
    problem = answer.problem
    return {
        "ok": problem is None,
        "power": answer.power or Power.UNKNOWN,
        "error": json_error(problem.id, problem.message) if problem is not None else None,
    }


def _status_text(answer: wire.NodeAnswer) -> str:
    if answer.problem is not None:
        return f"unknown: {answer.problem.id}: {answer.problem.message.removeprefix(f'{answer.node}: ')}"
    return str(answer.power or Power.UNKNOWN)


_HELP = {
    PowerAction.ON: "Switch SET on and wait until the BMC says so.",
    PowerAction.OFF: "Switch SET off hard, without asking the operating system.",
    PowerAction.SOFT: "Ask the operating system of SET to shut down, and wait until it is off.",
    PowerAction.CYCLE: "Switch SET off hard, then on.",
    PowerAction.RESET: "Reset SET; the power stays on.",
}


def _add(action: PowerAction) -> None:
    @power.command(name=str(action), help=_HELP[action])
    @click.argument("node_set", metavar="SET", shell_complete=complete_set)
    @order_options
    @click.pass_obj
    def change(settings: Settings, node_set: str, options: OrderOptions) -> int:
        return give_order(settings, PowerOrder(action), node_set, options, _order_json)


def _order_json(record: NodeRecord, state: NodeState | None) -> dict[str, Any]:
    """Power before and after; after a failure, what the engine knows of it now."""
    now = _power(record.after) if record.after or state is None else state.power.value
    return {"before": _power(record.before), "power": now}


def _power(word: str) -> Power:
    return Power(word) if word in tuple(Power) else Power.UNKNOWN


for _action in PowerAction:
    _add(_action)
