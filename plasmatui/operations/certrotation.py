"""New certificates for nodes: issued here, laid beside the old ones, taken by one service after the other.

A service has taken a certificate when it shows it on the wire and is well. When one does not, the old files are put
back and what was restarted is restarted with them.
"""

from __future__ import annotations

import asyncio

from plasmatui.certs import rotate as pairs
from plasmatui.certs.issue import IssueError, Pair
from plasmatui.inventory.secrets import reference
from plasmatui.model.command import CommandError
from plasmatui.model.operation import CertsRotateOrder, NodePlan
from plasmatui.model.words import StepResult
from plasmatui.operations import certfiles
from plasmatui.operations.certfiles import NodeFiles
from plasmatui.operations.certificates import rotating
from plasmatui.operations.certservices import Shows, see_all, take
from plasmatui.operations.certstate import Found, expects, find
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork
from plasmatui.tls import is_pin


async def look(order: CertsRotateOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[NodePlan, ...]:
    """Say for each node what it has now; leave out what cannot be rotated. Leaders of raft groups come last."""
    inventory = site.inventory()
    try:
        problem = await asyncio.to_thread(pairs.why_not, inventory, reference(order.passphrase))
    except ValueError as error:
        problem = f"--passphrase: {error}"
    pinned = [service.name for service in inventory.services.values() if is_pin(service.verify_tls)]
    if problem:
        return tuple(NodePlan(plan.node, skipped=problem) for plan in plans)
    leaders = await _leaders(site) if len(plans) > 1 else {}
    looked = await asyncio.gather(*(_look(plan, site, pinned, leaders.get(plan.node, "")) for plan in plans))
    return tuple(sorted(looked, key=lambda plan: plan.node in leaders))


async def _leaders(site: Site) -> dict[str, str]:
    """Nodes that lead a raft group, with the groups: each of them costs an election."""
    from plasmatui.cluster.members import read_groups

    found: dict[str, list[str]] = {}
    for group in await read_groups(site.cluster()):
        if group.leader_node:
            found.setdefault(group.leader_node, []).append(group.name)
    return {node: " and ".join(names) for node, names in found.items()}


async def _look(plan: NodePlan, site: Site, pinned: list[str], leads: str) -> NodePlan:
    used = [service for service in rotating(plan.node, site) if service in pinned]
    if used:
        text = f"services.{used[0]}.verify_tls pins its certificate: give the CA there first"
        return NodePlan(plan.node, skipped=f"{plan.node}: {text}")
    try:
        found = await find(plan.node, site, NodeFiles(plan.node, 0))
    except (CommandError, NodeFailedError) as error:
        return NodePlan(plan.node, skipped=error.message)
    notes = [f"{plan.node}: its certificate {found.words}", *found.notes]
    if leads:
        notes.append(f"{plan.node} leads {leads}, and comes last")
    return NodePlan(plan.node, plan.steps, "", (*plan.notes, *notes))


async def rotate(work: NodeWork, order: CertsRotateOrder) -> None:
    """Give the node its new certificate."""
    files = NodeFiles(work.node, work.number)
    found = await work.look("check-node", lambda: find(work.node, work.site, files, strict=not _changed(work)))
    if not work.record.before:
        work.update(before=found.words)
    if work.history.was_begun("put-back") and not work.history.was_done(
        "see-certificates"
    ):  # else it was found not to be needed
        text = f"{work.node}: a service did not take the new certificate before the engine was restarted"
        await _put_back(work, files, found, NodeFailedError("service-unhealthy", text))
    inventory = work.site.inventory()
    await work.act("issue", lambda: _issue(work, order), seen=lambda: _is_staged(work))
    pair = await asyncio.to_thread(pairs.staged, inventory, work.node)
    if pair is None and not work.history.was_done("adopt"):
        raise NodeFailedError("secrets", f"{work.node}: what was issued is gone from {inventory.secrets}")
    if pair is not None:
        await _deploy(work, files, found, pair)
    await work.act("adopt", lambda: _adopt(work), seen=_again)
    await work.act("remove-old", lambda: certfiles.remove(system(work), files), seen=_again)
    pairs.discard(inventory, work.node)
    work.update(after=(await find(work.node, work.site, files)).words)


async def _deploy(work: NodeWork, files: NodeFiles, found: Found, pair: Pair) -> None:
    """Bring the files there and let the services take them; on a failure everything is as before."""
    host = system(work)
    taken: list[str] = []
    try:
        await work.act("upload", lambda: certfiles.upload(host, files, pair, found.key, found.certificate), seen=_again)
        await work.act("verify-files", lambda: _verify(work, files, found, pair), seen=_again)
        await work.act("place", lambda: _place(work, files, pair), seen=lambda: certfiles.placed(host, files, pair))
        shows = expects(found, pair)
        for service in rotating(work.node, work.site):
            await _one(work, service, shows)
            taken.append(service)
        left = await work.look("see-certificates", lambda: see_all(work, shows))
        work.update(message="; ".join(left))
    except NodeFailedError as error:
        if _changed(work):
            await _put_back(work, files, found, error)
        try:
            await work.act("remove-old", lambda: certfiles.remove(host, files), seen=_again)
        except NodeFailedError as second:  # what had failed before is the reason
            work.log(f"what was laid there could not be removed: {second.message}")
        raise error from None
    except NodeLeftError as error:
        if not _changed(work):
            raise
        told = (
            f"the new files are in place; {', '.join(taken) or 'no service'} took them, the others do when they start"
        )
        raise NodeLeftError(f"{error}; {told}") from None
    work.skip("put-back", "every service took the new certificate")


async def _one(work: NodeWork, service: str, shows: Shows) -> None:
    """Let one service take it, or say why it is left as it is."""
    said: list[str] = []

    async def do() -> None:
        said.append(await take(work, service, shows))

    await work.act(f"take-{service}", do, seen=_again)
    if said and said[0]:
        work.amend(StepResult.SKIPPED, said[0])


async def _put_back(work: NodeWork, files: NodeFiles, found: Found, error: NodeFailedError) -> None:
    """As it was: the old files, and every service with them.

    Raises:
        NodeFailedError: always: what had failed, and whether all is as before.
    """
    work.commit()  # a cancel must not leave a service without a certificate that it takes
    try:
        await work.act("put-back", lambda: _restore(work, files, found), seen=_again)
    except NodeFailedError as second:
        text = f"{error.message}; and it could not all be put back: {second.message}"
        raise NodeFailedError(error.id, text, (*error.evidence, *second.evidence)) from None
    raise NodeFailedError(error.id, f"{error.message}; the old certificate was put back", error.evidence)


async def _restore(work: NodeWork, files: NodeFiles, found: Found) -> None:
    await certfiles.put_back(system(work), files)
    before = Shows(found.old, found.running)
    for service in rotating(work.node, work.site):
        if work.history.begun(f"take-{service}"):
            work.progress(f"{service} with the old certificate")
            await take(work, service, before, put_back=True)
    await asyncio.to_thread(pairs.discard, work.site.inventory(), work.node)


def _changed(work: NodeWork) -> bool:
    """Whether the operation changed something there, now or before the engine was restarted."""
    return bool(work.history.begun("place"))


async def _issue(work: NodeWork, order: CertsRotateOrder) -> None:
    try:
        await asyncio.to_thread(pairs.stage, work.site.inventory(), work.node, reference(order.passphrase))
    except (IssueError, ValueError) as error:
        raise NodeFailedError("secrets", f"{work.node}: {error}") from None


async def _is_staged(work: NodeWork) -> bool:
    return await asyncio.to_thread(pairs.staged, work.site.inventory(), work.node) is not None


async def _verify(work: NodeWork, files: NodeFiles, found: Found, pair: Pair) -> None:
    wrong = list(await asyncio.to_thread(pairs.faults, work.site.inventory(), work.node, pair))
    wrong += await certfiles.arrived(system(work), files, pair, found.key)
    if wrong:
        raise NodeFailedError("secrets", f"{work.node}: {wrong[0]}; nothing was changed", tuple(wrong))


async def _place(work: NodeWork, files: NodeFiles, pair: Pair) -> None:
    host = system(work)
    await certfiles.place(host, files)
    if not await certfiles.placed(host, files, pair):
        raise NodeFailedError("secrets", f"{work.node}: the new files are not in place")


async def _adopt(work: NodeWork) -> None:
    try:
        await asyncio.to_thread(pairs.adopt, work.site.inventory(), work.node)
    except IssueError as error:
        raise NodeFailedError("secrets", f"{work.node}: {error}") from None


async def _again() -> bool:
    """These steps have the same effect when they are done twice."""
    return False
