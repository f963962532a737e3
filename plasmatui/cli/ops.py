"""`plasmatui ops`: what the engine works on and has worked on."""

from __future__ import annotations

import click

from plasmatui.cli.engine_link import Watcher, engine, expect, run_async
from plasmatui.cli.failure import DONE
from plasmatui.cli.following import follow, interrupted
from plasmatui.cli.ops_acts import cancel, hold, release, resume, retry
from plasmatui.cli.ops_log import log
from plasmatui.cli.orders import one_operation
from plasmatui.cli.output import clock, duration, note, print_json, result, table
from plasmatui.cli.records import held_words, operation_json, operation_lines, outcome_json, print_outcome
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.operation import OperationRecord
from plasmatui.model.words import OperationState


@click.group()
def ops() -> None:
    """Operations: list show follow log cancel hold release retry."""


@ops.command(name="list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def list_(settings: Settings, limit: int, as_json: bool) -> int:
    """List operations, newest first."""
    return run_async(_list(settings, limit, as_json))


async def _list(settings: Settings, limit: int, as_json: bool) -> int:
    async with engine(settings, read_only=True) as client:
        records = expect(await client.ask(wire.ListOperations(limit)), wire.Operations).operations
    if as_json:
        print_json({"operations": [operation_json(record) for record in records]})
        return DONE
    if not records:
        note("no operations yet")
        return DONE
    header = ("NUMBER", "STATE", "BEGIN", "TOOK", "BY", "NODES", "COMMAND")
    result(table(header, [_row(record) for record in records]))
    for record in records:
        for text in held_words(record):
            note(f"HELD: operation {record.number}: {text.removeprefix(f'operation {record.number}: ')}")
    return DONE


def _row(record: OperationRecord) -> tuple[str, ...]:
    took = duration(record.end - record.begin) if record.end else "-"
    done = f"{sum(node.state is OperationState.DONE for node in record.nodes)}/{len(record.nodes)}"
    return (str(record.number), record.state, clock(record.begin), took, record.by, done, record.cli)


@ops.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def show(settings: Settings, number: int, as_json: bool) -> int:
    """Show every step of operation NUMBER, and what it waits for."""
    record = run_async(_show(settings, number))
    if as_json:
        print_json({"operation": operation_json(record, steps=True)})
    else:
        result("\n".join(operation_lines(record)))
    return DONE


async def _show(settings: Settings, number: int) -> OperationRecord:
    async with engine(settings, read_only=True) as client:
        return await one_operation(client, number)


@ops.command(name="follow")
@click.argument("number", type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def follow_(settings: Settings, number: int, as_json: bool) -> int:
    """Follow operation NUMBER to its end.

    Exits as the command that started it would have. ctrl-c leaves it running.
    """
    try:
        return run_async(_follow(settings, number, as_json))
    except KeyboardInterrupt:
        raise interrupted(number) from None


async def _follow(settings: Settings, number: int, as_json: bool) -> int:
    async with engine(settings, read_only=True) as client:
        watcher = Watcher(client)
        await watcher.begin()
        record = await follow(watcher, await one_operation(client, number))
    return print_outcome(record, None, watcher.states, outcome_json, as_json)


for _command in (log, cancel, hold, release, resume, retry):
    ops.add_command(_command)
