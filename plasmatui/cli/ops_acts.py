"""`plasmatui ops cancel|hold|release|resume|retry`: what becomes of an operation."""

from __future__ import annotations

import click

from plasmatui.cli.completion import complete_node
from plasmatui.cli.engine_link import engine, expect, require_writable, run_async
from plasmatui.cli.failure import DONE, REFUSED, USAGE, Failure
from plasmatui.cli.order_options import OrderOptions, retry_options
from plasmatui.cli.orders import ask_plan, check_guard, check_override, one_operation, start
from plasmatui.cli.output import clean, note, print_json, result
from plasmatui.cli.plans import confirm, print_plan
from plasmatui.cli.records import held_words, operation_json, outcome_json
from plasmatui.cli.sets import fold
from plasmatui.cli.settings import Settings
from plasmatui.model import wire
from plasmatui.model.operation import OperationRecord, Plan
from plasmatui.model.retries import plan_of_retry
from plasmatui.model.words import OperationState

_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
_NUMBER = click.argument("number", type=click.IntRange(1))


@click.command()
@_NUMBER
@_JSON
@click.pass_obj
def cancel(settings: Settings, number: int, as_json: bool) -> int:
    """Cancel what operation NUMBER has not begun and what can be left safely."""
    record = run_async(_ask(settings, number, wire.CancelOperation(number)))
    if as_json:
        print_json({"operation": operation_json(record)})
        return DONE
    left = [node.node for node in record.nodes if not node.state.ended]
    if left:
        result(f"operation {record.number}: being cancelled")
        note(f"still at a step that is not left half done: {fold(left)}; plasmatui ops follow {number}")
    else:
        result(f"operation {record.number}: {record.state}")
    return DONE


@click.command()
@_NUMBER
@_JSON
@click.pass_obj
def hold(settings: Settings, number: int, as_json: bool) -> int:
    """Begin no further node and no further step of operation NUMBER.

    Steps on their way are finished.
    """
    record = run_async(_ask(settings, number, wire.HoldOperation(number)))
    if as_json:
        print_json({"operation": operation_json(record)})
        return DONE
    result(f"operation {record.number}: held")
    running = [node.node for node in record.nodes if node.state is OperationState.RUNNING]
    if running:
        note(f"what is on its way is finished: {fold(running)}")
    note(f"go on with: plasmatui ops release {number}")
    return DONE


@click.command()
@_NUMBER
@click.argument("node", required=False, default="", shell_complete=complete_node)
@click.argument("answer", required=False, default="")
@_JSON
@click.pass_obj
def release(settings: Settings, number: int, node: str, answer: str, as_json: bool) -> int:
    """Go on with operation NUMBER, or ANSWER what NODE asks.

    `plasmatui ops show NUMBER` prints the questions and the answers that they take.
    """
    require_writable(settings)
    record = run_async(_release(settings, number, node, answer))
    if as_json:
        print_json({"operation": operation_json(record)})
        return DONE
    result(f"operation {number}: {f'{node} goes on: {clean(answer)}' if node else 'released'}")
    for text in held_words(record):
        if not node or not text.startswith(f"{node}: "):  # the engine has the answer, its record comes after it
            note(f"still held: {text}")
    note(f"follow it with: plasmatui ops follow {number}")
    return DONE


async def _release(settings: Settings, number: int, node: str, answer: str) -> OperationRecord:
    async with engine(settings) as client:
        record = await one_operation(client, number)
        if record.state.ended:
            raise Failure(REFUSED, f"operation {number} has ended: {record.state}", f"plasmatui ops show {number}")
        if node and not answer:
            raise Failure(USAGE, f"the answer for {node} is missing", _asked(record, node))
        if not node and not record.held:
            asked = "\n".join(held_words(record))
            raise Failure(REFUSED, f"operation {number} is not held as a whole", asked or "nothing is asked of anybody")
        reply = await client.ask(wire.ReleaseOperation(number, node, answer))
        return expect(reply, wire.OperationReply).operation


def _asked(record: OperationRecord, node: str) -> str:
    """What is asked of a node, with the commands that answer."""
    said = [text for text in held_words(record) if text.startswith(f"{node}: ")]
    return said[0] if said else f"{node} waits for no answer in operation {record.number}"


@click.command()
@_NUMBER
@_JSON
@click.pass_context
def resume(ctx: click.Context, number: int, as_json: bool) -> int:
    """Go on with operation NUMBER, which is held.

    An engine that comes back after a quarter of an hour or more holds what was unfinished. What a node asks is
    answered with `plasmatui ops release NUMBER NODE ANSWER`.
    """
    code: int = ctx.invoke(release, number=number, node="", answer="", as_json=as_json)
    return code


@click.command()
@_NUMBER
@retry_options
@click.pass_obj
def retry(settings: Settings, number: int, options: OrderOptions) -> int:
    """Try the failed and cancelled nodes of operation NUMBER again.

    What it destroyed successfully is not destroyed a second time.
    """
    if not options.plan:
        require_writable(settings)
    record, plan = run_async(_plan_retry(settings, number, options))
    if options.plan:
        print_plan(plan, options.as_json)
        return REFUSED if plan.refused and not options.override_quorum else DONE
    check_guard(plan, options)
    confirm(plan, options)
    request = wire.RetryOperation(record.number, options.override_quorum, options.break_lock)
    return start(settings, request, plan, options, outcome_json)


async def _plan_retry(settings: Settings, number: int, options: OrderOptions) -> tuple[OperationRecord, Plan]:
    """The operation, and what trying its failed nodes again would do: data that it destroyed is not destroyed again."""
    async with engine(settings, read_only=True) as client:
        record = await one_operation(client, number)
        check_override(client, options)
        failed = [n for n in record.nodes if n.state in (OperationState.FAILED, OperationState.CANCELLED)]
        if not record.state.ended:
            raise Failure(REFUSED, f"operation {number} has not ended", f"plasmatui ops follow {number}")
        if not failed:
            raise Failure(REFUSED, f"operation {number} has no failed node to try again")
        names = tuple(node.node for node in failed)
        plan = await ask_plan(client, wire.PlanOrder(record.order, names, record.pace))
    return record, plan_of_retry(plan, {node.node: node for node in failed}, number)


async def _ask(
    settings: Settings, number: int, request: wire.CancelOperation | wire.HoldOperation
) -> OperationRecord:  # fmt: skip
    require_writable(settings)
    async with engine(settings) as client:
        await one_operation(client, number)
        return expect(await client.ask(request), wire.OperationReply).operation
