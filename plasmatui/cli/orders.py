"""What every operation's command shares: plan, confirmation, start, following to the end, result and exit code."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from plasmatui.cli.engine_link import Watcher, engine, expect, require_writable, run_async
from plasmatui.cli.failure import DONE, FAILED, INTERRUPTED, REFUSED, USAGE, Failure, code_of_results
from plasmatui.cli.output import LiveLine, clean, collated, duration, json_error, note, print_json, result
from plasmatui.cli.sets import fold, pick
from plasmatui.cli.settings import Settings
from plasmatui.client import EngineClient, EngineUnreachableError
from plasmatui.model import wire
from plasmatui.model.node import NodeState
from plasmatui.model.operation import NodeRecord, OperationRecord, Order, Pace, Plan
from plasmatui.model.words import OperationState

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class OrderOptions:
    """The options that every operation has."""

    plan: bool
    yes: bool
    parallel: int | None
    stagger: float | None
    detach: bool
    as_json: bool

    def pace(self, usual: Pace) -> Pace:
        """`usual` with what was asked for in its place."""
        return Pace(
            usual.parallel if self.parallel is None else self.parallel,
            usual.stagger if self.stagger is None else self.stagger,
        )


def _seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """`2`, `2s`, `500ms` or `1m`, as seconds."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m)?", text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no duration; give seconds as 2, 2s, 500ms or 1m", ctx, param)
    return float(match[1]) * {"ms": 0.001, "m": 60.0}.get(match[2], 1.0)


def order_options(function: F) -> F:
    """Add `--plan --yes --parallel --stagger --detach --json` to a command, which gets them as `OrderOptions`."""
    import functools

    @functools.wraps(function)
    def command(
        *args: Any, plan: bool, yes: bool, parallel: int | None, stagger: float | None, detach: bool, as_json: bool,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        return function(*args, options=OrderOptions(plan, yes, parallel, stagger, detach, as_json), **kwargs)

    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output."),
        click.option("--detach", is_flag=True, help="Start, print the operation's number, and leave."),
        click.option("--stagger", callback=_seconds, metavar="S", help="Seconds between two starts."),
        click.option("--parallel", type=click.IntRange(1), metavar="N", help="Nodes at once."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--plan", is_flag=True, help="Print the exact commands; do nothing."),
    ):
        command = decorate(command)
    return command  # type: ignore[return-value]


NodeJson = Callable[[NodeRecord, "NodeState | None"], dict[str, Any]]
"""What a command adds to a node's JSON answer, from its record and its state now."""


def give_order(settings: Settings, order: Order, node_set: str, options: OrderOptions, node_json: NodeJson) -> int:
    """Plan, confirm, start and follow `order`; returns the exit code.

    Raises:
        Failure: refused, not confirmed, or interrupted while the operation goes on.
    """
    if not options.plan:
        require_writable(settings)
    plan = run_async(_plan(settings, order, node_set, options))
    if options.plan:
        return _print_plan(plan, options.as_json)
    if plan.refused:
        raise Failure(REFUSED, f"refused: {plan.refused}", "see what it would do: the same command with --plan")
    _warn_of_skipped(plan)
    if not options.yes:
        _confirm(plan)
    started: list[int] = []
    try:
        return run_async(_start(settings, plan, options, node_json, started))
    except KeyboardInterrupt:
        raise _interrupted(started) from None


def _interrupted(started: list[int]) -> Failure:
    if started:
        number = started[0]
        return Failure(
            INTERRUPTED,
            f"no longer following; operation {number} goes on in the engine",
            f"plasmatui ops follow {number}, or plasmatui ops cancel {number}",
        )
    return Failure(
        INTERRUPTED, "interrupted before the engine named an operation", "plasmatui ops list shows whether one runs"
    )


async def _plan(settings: Settings, order: Order, node_set: str, options: OrderOptions) -> Plan:
    """The plan. Its connection ends before anybody is asked: a question may take hours, and must hear ctrl-c."""
    async with engine(settings, read_only=True) as client:
        names = pick(node_set, client.welcome.nodes)
        plan = expect(await client.ask(wire.PlanOrder(order, names)), wire.PlanReply).plan
        pace = options.pace(plan.pace)  # without a pace, the plan has the inventory's
        if pace != plan.pace:
            plan = expect(await client.ask(wire.PlanOrder(order, names, pace)), wire.PlanReply).plan
        return plan


async def _start(settings: Settings, plan: Plan, options: OrderOptions, node_json: NodeJson, started: list[int]) -> int:
    """Start what was confirmed and follow it; its number goes to `started`. The engine's guard looks once more."""
    names = tuple(node.node for node in plan.nodes)
    async with engine(settings) as client:
        watcher = Watcher(client)
        await watcher.begin()
        reply = await client.ask(wire.StartOrder(plan.order, names, plan.pace))
        record = expect(reply, wire.OperationReply).operation
        started.append(record.number)
        if options.detach:
            return _print_detached(record, options.as_json)
        record = await follow(watcher, record)
    return print_record(record, plan, watcher.states, node_json, options.as_json)


async def follow(watcher: Watcher, record: OperationRecord) -> OperationRecord:
    """Wait until the operation has ended, with a live line on a terminal; returns its last record.

    Raises:
        EngineUnreachableError: the engine went away; the message names the operation.
    """
    live = LiveLine()
    # A push may have overtaken the reply's reader: what is kept already is as new or newer.
    current: OperationRecord = watcher.operations.setdefault(record.number, record)
    try:
        while not current.state.ended:
            live.show(progress(current))
            await watcher.wait(1.0)
            current = watcher.operations[record.number]
    except EngineUnreachableError as error:
        raise EngineUnreachableError(
            f"{error}; whether operation {record.number} ended is not known: plasmatui ops show {record.number}"
        ) from error
    finally:
        live.clear()
    return current


def progress(record: OperationRecord) -> str:
    """One line: how many nodes are done, failed, running, and what the first running one waits for."""
    import time

    ended = [node for node in record.nodes if node.state.ended]
    failed = sum(node.state is not OperationState.DONE for node in ended)
    running = [node for node in record.nodes if node.state is OperationState.RUNNING]
    parts = [f"operation {record.number}: {len(ended) - failed} of {len(record.nodes)} done"]
    if failed:
        parts.append(f"{failed} failed")
    if running:
        step = running[0].steps[-1].text if running[0].steps else "starting"
        parts.append(f"{len(running)} running ({running[0].node}: {step})")
    parts.append(duration(time.time() - record.begin))
    return ", ".join(parts)


def print_record(
    record: OperationRecord,
    plan: Plan | None,
    states: dict[str, NodeState],
    node_json: NodeJson,
    as_json: bool,
) -> int:
    """Print the outcome of every node and return the exit code."""
    records = {node.node: node for node in record.nodes}
    for skipped in plan.nodes if plan is not None else ():
        if skipped.skipped and skipped.node not in records:
            records[skipped.node] = NodeRecord(
                skipped.node, OperationState.FAILED, error="skipped", message=skipped.skipped
            )
    failed = sum(node.state is not OperationState.DONE for node in records.values())
    if as_json:
        print_json(
            {
                "nodes": {
                    name: {
                        "ok": node.state is OperationState.DONE,
                        **node_json(node, states.get(name)),
                        "error": _error(node),
                    }
                    for name, node in records.items()
                }
            }
        )
    else:
        result(collated({name: describe(node) for name, node in records.items()}))
        if failed and len(records) > 1:
            note(f"{failed} of {len(records)} nodes failed; details: plasmatui ops show {record.number}")
    if failed == len(records) and all(node.error == "refused" for node in records.values()):
        return REFUSED
    return code_of_results(failed, len(records))


def _error(node: NodeRecord) -> dict[str, str] | None:
    if node.state is OperationState.DONE:
        return None
    return json_error(node.error or str(node.state), node.message or f"{node.node}: {node.state}")


def describe(node: NodeRecord) -> str:
    """A node's outcome in words: `off -> on`, with what is to be said of it, or what went wrong."""
    change = f"{node.before or 'unknown'} -> {node.after}" if node.after else ""
    message = node.message.removeprefix(f"{node.node}: ")
    if node.state is OperationState.DONE:
        return f"{change or 'done'}; {message}" if message else change or "done"
    words = str(node.state) + (f" ({change})" if change else "")
    reason = ": ".join(part for part in (node.error, message) if part)
    return f"{words}: {reason}" if reason else words


def _print_detached(record: OperationRecord, as_json: bool) -> int:
    if as_json:
        nodes = {node.node: {"ok": True, "state": node.state, "error": None} for node in record.nodes}
        print_json({"operation": record.number, "nodes": nodes})
    else:
        result(f"operation {record.number} started")
        note(f"follow it with: plasmatui ops follow {record.number}")
    return DONE


def _print_plan(plan: Plan, as_json: bool) -> int:
    if as_json:
        print_json(
            {
                "cli": plan.cli,
                "confirm": plan.confirm,
                "refused": plan.refused,
                "nodes": {
                    node.node: {
                        "ok": not node.skipped,
                        "steps": [
                            {
                                "id": step.id,
                                "text": step.text,
                                "command": step.command,
                                "limit": step.limit,
                                "disruptive": step.disruptive,
                            }
                            for step in node.steps
                        ],
                        "error": json_error("skipped" if node.skipped else "", node.skipped),
                    }
                    for node in plan.nodes
                },
            }
        )
    else:
        result("\n".join(plan_lines(plan)))
    return REFUSED if plan.refused else DONE


def plan_lines(plan: Plan) -> list[str]:
    """The plan with every step's exact command, node by node."""
    stagger = f", {plan.pace.stagger:g} s between two starts" if plan.pace.stagger else ""
    lines = [f"plan: {clean(plan.cli)}", f"pace: {plan.pace.parallel} at once{stagger}"]
    for node in plan.nodes:
        if node.skipped:
            lines.append(f"{node.node}: left out: {clean(node.skipped)}")
            continue
        lines.append(f"{node.node}:")
        for number, step in enumerate(node.steps, 1):
            mark = " [disruptive]" if step.disruptive else ""
            lines.append(f"  {number}. {clean(step.text)}{mark} (limit {duration(step.limit)})")
            lines.append(f"     {clean(step.command)}")
    if plan.refused:
        lines.append(f"refused: {clean(plan.refused)}")
    return lines


def _warn_of_skipped(plan: Plan) -> None:
    for node in plan.nodes:
        if node.skipped:
            note(f"plasmatui: {node.node} is left out: {clean(node.skipped)}")
    if all(node.skipped for node in plan.nodes):
        raise Failure(USAGE, "nothing to do: every node of the set is left out")


def _confirm(plan: Plan) -> None:
    """Show what would happen and ask; without a terminal there is nobody to ask.

    Raises:
        Failure: no terminal, or the answer was no.
        click.Abort: ctrl-c or the end of the input instead of an answer.
    """
    targets = [node.node for node in plan.nodes if not node.skipped]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure(
            USAGE,
            f"this changes {len(targets)} {_nodes(len(targets))} and there is no terminal to confirm it on",
            "add --yes to confirm, or --plan to see what it would do",
        )
    note(f"{clean(plan.cli)}")
    steps = next(node.steps for node in plan.nodes if not node.skipped)
    note(f"on {len(targets)} {_nodes(len(targets))}: {fold(targets)}")
    for step in steps:
        note(f"  - {clean(step.text)}{' [disruptive]' if step.disruptive else ''}")
    if plan.confirm >= 2:
        note("targets: " + " ".join(targets))
    if not click.confirm("Go on?", default=False, err=True):
        raise Failure(FAILED, "not confirmed; nothing was done")


def _nodes(count: int) -> str:
    return "node" if count == 1 else "nodes"


async def one_operation(client: EngineClient, number: int) -> OperationRecord:
    """The record of operation `number`.

    Raises:
        Failure: the engine knows no such operation.
    """
    reply = expect(await client.ask(wire.ListOperations(limit=1, number=number)), wire.Operations)
    for record in reply.operations:
        if record.number == number:
            return record
    raise Failure(USAGE, f"no operation {number}", "plasmatui ops list")
