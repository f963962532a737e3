"""Taking a node out of the raft groups, so that it can come back under its name."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec

from plasmatui.model.operation import Step
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.joining import groups_in
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

LEAVE_LIMIT = 120.0
PACE = 1.0


def leave_steps(node: str, site: Site) -> tuple[Step, ...]:
    """One step for each group of the cluster. The last one settles: a further try does not drain a node that is out."""
    steps = tuple(
        Step(
            f"leave-{group}",
            f"Remove it from the members of {group}",
            f"DELETE /admin/member/{node} at the leader of {group}",
            LEAVE_LIMIT,
            disruptive=True,
            proof=f"{group} does not list it",
        )
        for group in groups_in(site)
    )
    return (*steps[:-1], *(msgspec.structs.replace(step, settles=True) for step in steps[-1:]))


async def leave_groups(work: NodeWork) -> None:
    """Do the steps of `leave_steps`."""
    for group in groups_in(work.site):
        await work.act(f"leave-{group}", partial(_leave, work, group), seen=partial(_is_out, work, group))


async def _is_out(work: NodeWork, name: str) -> bool:
    from plasmatui.cluster.members import read_group

    group = await read_group(work.site.cluster(), name)
    return group.readable and group.member(work.node) is None


async def _leave(work: NodeWork, name: str) -> None:
    """Remove the member, and see that the others do not list it any more.

    Raises:
        NodeFailedError: "quorum-lost" when the group cannot be read or does not take it; "refused" by the guard, who
            is asked once more.
    """
    from plasmatui.cluster.errors import ServiceError
    from plasmatui.cluster.members import read_group, remove_member

    clients = work.site.cluster()
    end = asyncio.get_running_loop().time() + LEAVE_LIMIT * 0.9
    said = ""
    while True:
        group = await read_group(clients, name)
        member = group.member(work.node)
        if group.readable and member is None:
            work.log(f"{name}: {work.node} is no member")
            return
        if member is not None:
            await work.judge()
            try:
                await remove_member(clients, group, member.id)
            except ServiceError as error:
                said = error.message
        else:
            said = f"{name}: its members cannot be read"
        if asyncio.get_running_loop().time() >= end:
            raise NodeFailedError("quorum-lost", f"{work.node}: it could not be removed from {name}: {said}", (said,))
        work.progress(said or f"{name}: removal asked for")
        await asyncio.sleep(PACE)
