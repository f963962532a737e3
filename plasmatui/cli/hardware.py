"""`plasmatui sel|sensors|inventory`: what BMCs say of their hardware; and asking many nodes one question."""

from __future__ import annotations

import time
from typing import Any

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.engine_link import engine, run_async
from plasmatui.cli.failure import code_of_results
from plasmatui.cli.output import LiveLine, clean, json_error, note, print_json, result, table
from plasmatui.cli.sets import pick
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.bmc import FruField, SelEntry, SensorReading

Answers = dict[str, wire.NodeAnswer]


def ask_nodes(settings: Settings, what: str, node_set: str, who: str = "BMCs") -> Answers:
    """Ask a set `what` (see `wire.Query`) now; every node has an answer, in the inventory's order.

    Args:
        who: is asked, for people.
    """
    return run_async(_ask_nodes(settings, what, node_set, who))


async def _ask_nodes(settings: Settings, what: str, node_set: str, who: str) -> Answers:
    async with engine(settings, read_only=True) as client:
        names = pick(node_set, client.welcome.nodes)
        answers: Answers = {}
        live = LiveLine()
        live.show(f"asking {len(names)} {who}")
        try:
            async for answer in client.stream(wire.Query(what, names)):
                answers[answer.node] = answer
                live.show(f"{len(answers)} of {len(names)} {who} answered")
        finally:
            live.clear()
    silent = wire.Problem("timeout", "the engine gave no answer for this node")
    return {name: answers.get(name) or wire.NodeAnswer(name, silent) for name in names}


def _ask_and_print(settings: Settings, what: str, node_set: str, as_json: bool) -> int:
    answers = ask_nodes(settings, what, node_set)
    failed = [answer for answer in answers.values() if answer.problem is not None]
    if as_json:
        print_json({"nodes": {name: _json(what, answer) for name, answer in answers.items()}})
    else:
        for name, answer in answers.items():
            if answer.problem is not None:
                reason = clean(answer.problem.message).removeprefix(f"{name}: ")
                note(f"{name}: {clean(answer.problem.id)}: {reason}")
                continue
            result(f"{name}:")
            for line in _TABLES[what](answer).splitlines():
                result(f"  {line}")
    return code_of_results(len(failed), len(answers))


def _json(what: str, answer: wire.NodeAnswer) -> dict[str, Any]:
    problem = answer.problem
    if problem is not None:
        return {"ok": False, what: None, "error": json_error(problem.id, problem.message)}
    import msgspec

    return {"ok": True, what: msgspec.to_builtins(getattr(answer, what) or ()), "error": None}


def _sensor_table(answer: wire.NodeAnswer) -> str:
    def value(reading: SensorReading) -> str:
        states = ", ".join(reading.states)
        return f"{reading.value:g} {reading.units}".strip() if reading.value is not None else states or "-"

    rows = [(r.name, value(r), r.health, r.kind) for r in answer.sensors or ()]
    return table(("SENSOR", "VALUE", "HEALTH", "KIND"), rows) if rows else "no sensors"


def _sel_table(answer: wire.NodeAnswer) -> str:
    def when(entry: SelEntry) -> str:
        # The BMC's own clock, which knows no zone: shown with its date, in UTC, as it was stored.
        return (
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.time)) if entry.time is not None else "clock not set"
        )

    rows = [(str(e.record), when(e), e.severity, e.sensor, e.event) for e in answer.sel or ()]
    return table(("RECORD", "TIME (UTC)", "SEVERITY", "SENSOR", "EVENT"), rows) if rows else "the event log is empty"


def _fru_table(answer: wire.NodeAnswer) -> str:
    def row(field: FruField) -> tuple[str, str, str]:
        return (field.area, field.name, field.value)

    rows = [row(field) for field in answer.inventory or ()]
    return table(("AREA", "FIELD", "VALUE"), rows) if rows else "the BMC tells no inventory"


_TABLES = {"sensors": _sensor_table, "sel": _sel_table, "inventory": _fru_table}


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def sel(settings: Settings, node_set: str, as_json: bool) -> int:
    """Print the system event logs of SET."""
    return _ask_and_print(settings, "sel", node_set, as_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def sensors(settings: Settings, node_set: str, as_json: bool) -> int:
    """Print the sensors of SET."""
    return _ask_and_print(settings, "sensors", node_set, as_json)


@click.command()
@click.argument("node_set", metavar="SET", shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def inventory(settings: Settings, node_set: str, as_json: bool) -> int:
    """Print the hardware inventory (FRU) of SET."""
    return _ask_and_print(settings, "inventory", node_set, as_json)
