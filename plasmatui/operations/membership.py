"""What the raft groups say of a node before it is added, replaced or taken out: asked at the plan and at the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.cluster.members import RaftGroup

CHECK_LIMIT = 60.0

REPLACE, STOP = "replace", "stop"
"""What a person may answer of a node that is to be replaced and is not out."""


async def groups_now(site: Site) -> tuple[RaftGroup, ...]:
    """The raft groups as their members tell them now."""
    from plasmatui.cluster.members import read_groups

    return await read_groups(site.cluster())


def why_not_join(groups: tuple[RaftGroup, ...], node: str) -> tuple[str, str] | None:
    """Why a node cannot join as a new member: the error's id and the reason; None when it can. Pure."""
    if not groups:
        return "quorum-lost", f"{node}: no profile of the inventory runs a raft group that it could join"
    for group in groups:
        member = group.member(node)
        if member is not None:
            told = f"{node}: {group.name} has a member {member.id} already ({member.condition})"
            return "refused", f"{told}; plasmatui reprovision or replace installs a member anew"
    for group in groups:
        if not group.readable or not group.leader:
            causes = "; ".join(f"{asked}: {cause}" for asked, cause in list(group.unknown.items())[:3])
            told = f"{group.name} has no leader that its members agree on" + (f" ({causes})" if causes else "")
            return "quorum-lost", f"{node}: {told}; see plasmatui health, and plasmatui provision for the first voters"
    return None


async def check_join(work: NodeWork) -> str:
    """See that the node can join: every group has a leader, and none a member of its name; what was seen.

    Raises:
        NodeFailedError: "quorum-lost" or "refused".
    """
    groups = await groups_now(work.site)
    problem = why_not_join(groups, work.node)
    if problem is not None:
        raise NodeFailedError(*problem)
    seen = "; ".join(f"{group.name}: {group.leader} leads {len(group.members)} members" for group in groups)
    work.log(seen)
    return seen


def alive_in(groups: tuple[RaftGroup, ...], node: str) -> tuple[str, ...]:
    """The groups that list the node as healthy. Pure."""
    found = ((group.name, group.member(node)) for group in groups)
    return tuple(name for name, member in found if member is not None and member.healthy)


async def see_out(work: NodeWork) -> None:
    """See that the groups miss the node; one that they call healthy is not dead, and a person must want it.

    Raises:
        NodeLeftError: a person does not.
    """
    from plasmatui.operations.endings import NodeLeftError

    node = work.node
    groups = await groups_now(work.site)
    for group in groups:
        member = group.member(node)
        work.log(f"{group.name}: {node} is {'no member' if member is None else member.condition}")
    alive = alive_in(groups, node)
    if not alive:
        return
    answer = await work.ask(
        f"{node} is a healthy member of {' and '.join(alive)}: it is not out, and its VMs still run. plasmatui "
        f"reprovision drains it first. Answer {REPLACE} to switch it off and replace it all the same, {STOP} to leave "
        "it as it is",
        (REPLACE, STOP),
    )
    if answer == STOP:
        raise NodeLeftError("left as it was, as a person decided")
