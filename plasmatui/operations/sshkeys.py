"""A new provisioning key: the plan. What is done stands in `keyrotation`, which is loaded when it is needed.

Runbook, section 10.1, with what it leaves out: that the new key is tried before the old one goes, on every node.
"""

from __future__ import annotations

from plasmatui.model.operation import NodePlan, Order, SshKeysRotateOrder, Step
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

LIMIT = 120.0
"""Seconds for what is done on one node."""

TOGETHER_LIMIT = 7 * 86400.0
"""Seconds that a node waits for the others: one may be held by another operation, or a person be asked."""

SWITCH_LIMIT = 600.0


def steps(order: SshKeysRotateOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Make, add, try, wait for the others, switch, take out."""
    old, new = order.old or site.inventory().ssh.key or "OLD", order.new or "NEW"
    ssh = f"ssh {node} "
    return (
        Step("make-key", "Make the new key, unless it is there", f"ssh-keygen -t ed25519 -f {new}", LIMIT),
        Step(
            "add-key",
            "Let the new key in beside the old one",
            f"{ssh}add {new}.pub to ~/.ssh/authorized_keys",
            LIMIT,
            proof="authorized_keys holds both",
        ),
        Step(
            "verify-new",
            "Log in with the new key alone, over a connection of its own",
            f"ssh -i {new} {node} true",
            LIMIT,
        ),
        Step(
            "wait-others",
            "Wait until every node of the set lets it in; if one does not, nothing is switched and the old key stays",
            "-",
            TOGETHER_LIMIT,
        ),
        Step(
            "switch-inventory",
            "Name the new key in the inventory, once for all nodes",
            f"edit {site.inventory().path}: ssh.key: {new}",
            SWITCH_LIMIT,
            precondition="nodes outside the set let it in, too; where one does not answer, a person is asked",
            proof="the engine uses it",
        ),
        Step(
            "remove-old",
            "Take the old key out, over a connection with the new one",
            f"ssh -i {new} {node} remove {old}.pub from ~/.ssh/authorized_keys",
            LIMIT,
            precondition="the inventory names the new key",
            proof="a further connection with the new key; else the old one is put back",
        ),
        Step("verify-removed", "See that the old key is refused", f"ssh -i {old} {node} true", LIMIT),
    )


def command(order: SshKeysRotateOrder) -> tuple[str, str]:
    return "sshkeys rotate", f" --key {order.new}" if order.new else ""


def waves(order: SshKeysRotateOrder, nodes: tuple[str, ...], site: Site) -> tuple[tuple[str, ...], ...]:
    """All go together: none goes on before all are ready."""
    return (nodes,)


async def look(
    order: SshKeysRotateOrder, plans: tuple[NodePlan, ...], site: Site
) -> tuple[Order, tuple[NodePlan, ...]]:
    """Choose the new key's file; say for each node what it has now, and which others must let it in."""
    from plasmatui.operations import keyrotation

    return await keyrotation.look(order, plans, site)


async def rotate(work: NodeWork, order: SshKeysRotateOrder) -> None:
    """Bring the new key to the node, and take the old one from it."""
    from plasmatui.operations import keyrotation

    await keyrotation.rotate(work, order)
