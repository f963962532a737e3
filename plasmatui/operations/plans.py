"""From an order to its plan: the steps for each node with the exact command, what to confirm, the command line."""

from __future__ import annotations

from plasmatui.inventory.nodesets import fold
from plasmatui.model.operation import NodePlan, Order, Pace, Plan
from plasmatui.model.wire import Problem
from plasmatui.operations.kinds import Kind, kind_of, word_of
from plasmatui.operations.ports import Locks
from plasmatui.operations.site import Site


async def make_plan(order: Order, nodes: tuple[str, ...], pace: Pace, site: Site, locks: Locks) -> Plan:
    """What `order` would do to `nodes`, in their order. Orders to BMCs ask nobody; others look at nodes first."""
    kind = kind_of(order)
    nodes = tuple(dict.fromkeys(nodes))
    plans = tuple(_node_plan(kind, order, node, site, locks) for node in nodes)
    if kind.look is not None:
        order, plans = await kind.look(order, plans, site)
    refused = ""
    notes: tuple[str, ...] = ()
    disturbed = frozenset(plan.node for plan in plans if any(step.disruptive for step in plan.steps))
    if kind.judge is not None:
        refused, notes = await kind.judge(site)
    elif disturbed:
        refused, notes = await site.guard.look(disturbed, kind.absence)
    level = kind.level(order)
    taking = tuple(plan.node for plan in plans if plan.steps)
    phrase = "" if level < 3 else site.inventory().cluster if kind.by_cluster else phrase_of(kind, order, taking)
    return Plan(order, plans, pace, command_line(order, nodes), level, refused, phrase, notes)


def phrase_of(kind: Kind, order: Order, nodes: tuple[str, ...]) -> str:
    """What must be typed before data is destroyed."""
    return nodes[0] if len(nodes) == 1 else f"{kind.verb or word_of(order)} {len(nodes)}"


def obstacle(kind: Kind, node: str, site: Site) -> Problem | None:
    """Why `node` would be left out, None when it would not."""
    if not kind.bmc and kind.powers and node not in site.inventory().bmcs:
        return Problem("no-bmc", f"{node} has no BMC in the inventory")
    return site.machines.unusable(node) if kind.bmc else None


def queued(node: str, holder: int) -> str:
    """What is said of a node that another operation holds."""
    return f"{node} waits for the end of operation {holder}, which holds it"


def _node_plan(kind: Kind, order: Order, node: str, site: Site, locks: Locks) -> NodePlan:
    problem = obstacle(kind, node, site)
    if problem is not None:
        return NodePlan(node, skipped=problem.message, error=problem.id)
    holder = locks.holder(node)
    return NodePlan(node, kind.steps(order, node, site), notes=(queued(node, holder),) if holder else ())


def command_line(order: Order, nodes: tuple[str, ...]) -> str:
    """The command line that gives the same order."""
    before, after = kind_of(order).command(order)
    return f"plasmatui {before} {fold(nodes)}{after}"
