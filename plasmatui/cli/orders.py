"""What every operation's command shares: plan, confirmation, start, following to the end, result and exit code."""

from __future__ import annotations

import msgspec

from plasmatui.cli.engine_link import Watcher, engine, expect, require_writable, run_async
from plasmatui.cli.failure import DONE, INTERRUPTED, REFUSED, USAGE, Failure
from plasmatui.cli.following import follow, interrupted
from plasmatui.cli.order_options import OrderOptions
from plasmatui.cli.output import LiveLine, clean, note, print_json, result
from plasmatui.cli.plans import confirm, print_plan, warn_of_skipped
from plasmatui.cli.records import NodeJson, print_outcome
from plasmatui.cli.sets import pick
from plasmatui.cli.settings import Settings
from plasmatui.client import EngineClient
from plasmatui.model import wire
from plasmatui.model.access import role_of_order
from plasmatui.model.operation import (
    BootDeviceOrder,
    BootOrder,
    IdentifyOrder,
    OperationRecord,
    Order,
    Plan,
    PowerOrder,
)
from plasmatui.model.words import Role

_TO_BMCS = (PowerOrder, BootDeviceOrder, IdentifyOrder, BootOrder)


def give_order(settings: Settings, order: Order, node_set: str, options: OrderOptions, node_json: NodeJson) -> int:
    """Plan, confirm, start and follow `order`; returns the exit code.

    Raises:
        Failure: refused, not confirmed, or interrupted while the operation goes on.
    """
    if not options.plan:
        require_writable(settings)
    plan = run_async(_plan(settings, order, node_set, options))
    if options.plan:
        print_plan(plan, options.as_json)
        refused = plan.refused and not options.override_quorum
        return REFUSED if refused or (plan.locked and not options.break_lock) else DONE
    check_guard(plan, options)
    warn_of_skipped(plan, options.as_json)
    confirm(plan, options)
    # The plan's order, which holds the disks that were confirmed.
    request = wire.StartOrder(plan.order, _taking_part(plan), plan.pace, options.override_quorum, options.break_lock)
    return start(settings, request, plan, options, node_json)


def _taking_part(plan: Plan) -> tuple[str, ...]:
    """The nodes to start. What a plan found out by looking is not known to the engine when it starts, so that nodes
    which were left out for it must not be named again; orders to BMCs leave out the same nodes, with the finding."""
    if isinstance(plan.order, _TO_BMCS):
        return tuple(node.node for node in plan.nodes)
    return tuple(node.node for node in plan.nodes if not node.skipped)


def start(
    settings: Settings,
    request: wire.StartOrder | wire.RetryOperation,
    plan: Plan,
    options: OrderOptions,
    node_json: NodeJson,
) -> int:
    """Start what was confirmed and follow it; returns the exit code.

    Raises:
        Failure: interrupted; the operation, once it was started, goes on.
    """
    started: list[int] = []
    try:
        return run_async(_start(settings, request, plan, options, node_json, started))
    except KeyboardInterrupt:
        if started:
            raise interrupted(started[0]) from None
        raise Failure(
            INTERRUPTED, "interrupted before the engine named an operation", "plasmatui ops list shows whether one runs"
        ) from None


def check_guard(plan: Plan, options: OrderOptions) -> None:
    """Stop at locks of others and at the guard's refusal, unless they are overridden, which the engine checks again.

    Raises:
        Failure: it refuses.
    """
    if plan.locked and not options.break_lock:
        raise Failure(REFUSED, f"refused: {plan.locked}", "ask who locked it; an admin may go on with --break-lock")
    if plan.locked:
        note(f"plasmatui: the lock is broken: {clean(plan.locked)}")
    if plan.refused and not options.override_quorum:
        raise Failure(REFUSED, f"refused: {plan.refused}", "see what it would do: the same command with --plan")
    if options.override_quorum:
        why = f", which says: {plan.refused}" if plan.refused else ""
        note(f"plasmatui: the quorum guard is overridden{why}")


def check_override(client: EngineClient, options: OrderOptions) -> None:
    """The guard is overridden by the cluster's name only; found out before anything is asked.

    Raises:
        Failure: it is another name.
    """
    typed, cluster = options.override_quorum, client.welcome.cluster
    if typed and typed != cluster:
        raise Failure(
            REFUSED,
            f"--override-quorum takes the name of the cluster of this inventory, which is not {typed!r}; "
            "nothing was done",
            "look for `cluster` in the inventory, and make sure that it is the cluster that you mean",
        )


def check_role(client: EngineClient, needed: Role, options: OrderOptions) -> None:
    """Found out before anything is asked; the engine checks it again.

    Raises:
        Failure: this user may not do it.
    """
    if options.override_quorum or options.break_lock:
        needed = Role.ADMIN
    role = client.welcome.role
    if not role.covers(needed):
        raise Failure(
            REFUSED,
            f"this needs the role {needed}, and you are {role} here: see policy.access of the inventory",
            "see what it would do: the same command with --plan",
        )


async def ask_plan(client: EngineClient, request: wire.PlanOrder) -> Plan:
    """What an order would do; the engine may look at nodes and services for it, which takes its time."""
    live = LiveLine()
    live.show(f"planning for {len(request.nodes)} {'node' if len(request.nodes) == 1 else 'nodes'}")
    try:
        return expect(await client.ask(request), wire.PlanReply).plan
    finally:
        live.clear()


async def _plan(settings: Settings, order: Order, node_set: str, options: OrderOptions) -> Plan:
    """The plan. Its connection ends before anybody is asked: a question may take hours, and must hear ctrl-c."""
    async with engine(settings, read_only=True) as client:
        names = pick(node_set, client.welcome.nodes)
        check_override(client, options)
        if not options.plan:
            check_role(client, role_of_order(order), options)
        plan = await ask_plan(client, wire.PlanOrder(order, names))
        return msgspec.structs.replace(plan, pace=options.pace(plan.pace))  # without one, it has the inventory's


async def _start(
    settings: Settings,
    request: wire.StartOrder | wire.RetryOperation,
    plan: Plan,
    options: OrderOptions,
    node_json: NodeJson,
    started: list[int],
) -> int:
    """Start and follow; the operation's number goes to `started`. The engine's guard looks once more."""
    async with engine(settings, notices=False) as client:
        watcher = Watcher(client)
        await watcher.begin()
        record = expect(await client.ask(request), wire.OperationReply).operation
        started.append(record.number)
        if options.detach:
            return _print_detached(record, options.as_json)
        record = await follow(watcher, record)
    return print_outcome(record, plan, watcher.states, node_json, options.as_json)


def _print_detached(record: OperationRecord, as_json: bool) -> int:
    if as_json:
        nodes = {node.node: {"ok": True, "state": node.state, "error": None} for node in record.nodes}
        print_json({"operation": record.number, "nodes": nodes})
    else:
        result(f"operation {record.number} started")
        note(f"follow it with: plasmatui ops follow {record.number}")
    return DONE


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
