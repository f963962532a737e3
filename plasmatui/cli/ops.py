"""`plasmatui ops`: what the engine works on and has worked on."""

from __future__ import annotations

from typing import Any

import click

from plasmatui.cli.engine_link import Watcher, engine, expect, require_writable, run_async
from plasmatui.cli.failure import DONE, INTERRUPTED, Failure, code_of_results
from plasmatui.cli.orders import describe, follow, one_operation, print_record
from plasmatui.cli.output import clean, clock, duration, note, print_json, result, table
from plasmatui.cli.sets import fold
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.node import NodeState
from plasmatui.model.operation import NodeRecord, OperationRecord
from plasmatui.model.words import OperationState


@click.group()
def ops() -> None:
    """Operations: list show follow cancel."""


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
    elif records:
        header = ("NUMBER", "STATE", "BEGIN", "TOOK", "BY", "NODES", "COMMAND")
        result(table(header, [_row(record) for record in records]))
    else:
        note("no operations yet")
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
    """Show every step of operation NUMBER."""
    record = run_async(_show(settings, number))
    if as_json:
        print_json({"operation": operation_json(record, steps=True)})
    else:
        result("\n".join(_lines(record)))
    return DONE


async def _show(settings: Settings, number: int) -> OperationRecord:
    async with engine(settings, read_only=True) as client:
        return await one_operation(client, number)


@ops.command(name="follow")
@click.argument("number", type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def follow_(settings: Settings, number: int, as_json: bool) -> int:
    """Follow operation NUMBER to its end; exits as the command that started it would have."""
    try:
        return run_async(_follow(settings, number, as_json))
    except KeyboardInterrupt:
        raise Failure(INTERRUPTED, f"no longer following; operation {number} goes on in the engine") from None


async def _follow(settings: Settings, number: int, as_json: bool) -> int:
    async with engine(settings, read_only=True) as client:
        watcher = Watcher(client)
        await watcher.begin()
        record = await follow(watcher, await one_operation(client, number))
    return print_record(record, None, watcher.states, _outcome_json, as_json)


def _outcome_json(record: NodeRecord, _: NodeState | None) -> dict[str, Any]:
    return {"state": record.state, "before": record.before, "after": record.after}


@ops.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def cancel(settings: Settings, number: int, as_json: bool) -> int:
    """Cancel what operation NUMBER has not begun and what can be left safely."""
    require_writable(settings)
    record = run_async(_cancel(settings, number))
    if as_json:
        print_json({"operation": operation_json(record)})
    else:
        result(f"operation {record.number}: {record.state}")
        running = [node.node for node in record.nodes if not node.state.ended]
        if running:
            note(f"still at a step that is not left half done: {fold(running)}")
    return DONE


async def _cancel(settings: Settings, number: int) -> OperationRecord:
    async with engine(settings) as client:
        await one_operation(client, number)
        return expect(await client.ask(wire.CancelOperation(number)), wire.OperationReply).operation


def operation_json(record: OperationRecord, *, steps: bool = False) -> dict[str, Any]:
    """An operation for `--json`; with `steps`, each node's steps with their exact commands."""
    nodes: dict[str, Any] = {}
    for node in record.nodes:
        nodes[node.node] = {
            "ok": node.state is OperationState.DONE,
            **_outcome_json(node, None),
            "error": {"id": node.error, "message": node.message} if node.error else None,
        }
        if steps:
            nodes[node.node]["steps"] = [
                {
                    "id": step.id,
                    "text": step.text,
                    "command": step.command,
                    "begin": step.begin,
                    "end": step.end or None,
                    "result": step.result,
                    "message": step.message,
                }
                for step in node.steps
            ]
    return {
        "number": record.number,
        "state": record.state,
        "by": record.by,
        "cli": record.cli,
        "begin": record.begin,
        "end": record.end or None,
        "nodes": nodes,
    }


def _lines(record: OperationRecord) -> list[str]:
    took = f", took {duration(record.end - record.begin)}" if record.end else ""
    failed = code_of_results(sum(n.state is not OperationState.DONE for n in record.nodes), len(record.nodes))
    lines = [
        f"operation {record.number}: {record.state}{', not all nodes done' if failed and record.end else ''}",
        f"command: {clean(record.cli)}",
        f"by {clean(record.by)}, {clock(record.begin)}{took}",
    ]
    for node in record.nodes:
        lines.append(f"{node.node}: {clean(describe(node))}")
        for step in node.steps:
            ended = f"{step.result}, {duration(step.end - step.begin)}" if step.result is not None else "running"
            message = f": {clean(step.message)}" if step.message else ""
            lines.append(f"  {clock(step.begin)}  {clean(step.text)} [{ended}]{message}")
            lines.append(f"            {clean(step.command)}")
    return lines
