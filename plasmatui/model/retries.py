"""What trying the failed nodes of an operation again would do, made of the plan of its order."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from plasmatui.model.operation import NodePlan, NodeRecord, Plan
from plasmatui.model.words import StepResult


def plan_of_retry(plan: Plan, failed: Mapping[str, NodeRecord], number: int) -> Plan:
    """The plan of another try. Every node takes part, whatever the plan could see of it now; where all that destroys
    was done, nothing is lost by it, and no phrase is asked for.

    Args:
        plan: of the operation's order, for the nodes that failed.
        number: of the operation.
    """
    destroys = {step.id for node in plan.nodes for step in node.steps if step.destroys}
    nodes: list[NodePlan] = []
    wiped: list[str] = []
    for node in plan.nodes:
        done = {step.id for step in failed[node.node].steps if step.result is StepResult.DONE} & destroys
        notes = [*node.notes, *(f"{id_} was done before and is not done again" for id_ in sorted(done))]
        if node.skipped:
            notes.append(f"not ready now: {node.skipped.removeprefix(f'{node.node}: ')}")
        kept = plan.confirm < 3 or (bool(done) and done == destroys)
        if not kept:
            wiped.append(node.node)
        nodes.append(NodePlan(node.node, node.steps, "", tuple(notes), () if kept else node.disks))
    phrase = wiped[0] if len(wiped) == 1 else f"wipe {len(wiped)}" if wiped else ""
    level = plan.confirm if plan.confirm < 3 or wiped else 2
    cli = f"plasmatui ops retry {number}"
    return msgspec.structs.replace(plan, nodes=tuple(nodes), confirm=level, phrase=phrase, cli=cli)
