"""A node's part in the recovery of a lost cluster: ready with its own data beside the others', then begun with them."""

from __future__ import annotations

import asyncio

from plasmatui.backups.manifest import BackupError
from plasmatui.model.operation import RecoverClusterOrder
from plasmatui.model.words import StepResult
from plasmatui.operations import serviceturn, witness
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.recovercluster import READ_LIMIT, chosen, why_alive
from plasmatui.operations.restore import service_of
from plasmatui.operations.restoring import Item, bring, move_back, place, prepare, remove_beside, told_old
from plasmatui.operations.work import NodeWork


async def recover_cluster(work: NodeWork, order: RecoverClusterOrder) -> None:
    """Until all nodes stand ready, each can go back to what it had; from the first start on they go on together."""
    items = await prepare(work, order.backup, ())
    if not any(_begun(work, "start", item) for item in items):
        await _stand_ready(work, order, items)
    else:
        work.turns.ready(work.node)
    try:
        with work.uncancelled():
            for item in items:
                await serviceturn.start(work, service_of(item.part, work.site))
            await work.look("read-back", lambda: _read_back(work, items))
    except NodeFailedError as error:
        old = ", ".join(item.old for item in items)
        raise NodeFailedError(error.id, f"{error.message}; what was there before is in {old}", error.evidence) from None
    for item in items:
        work.skip(f"put-back-{item.part.service}", "it is well")
    with work.uncancelled():
        work.update(message=await told_old(work, items))


async def _stand_ready(work: NodeWork, order: RecoverClusterOrder, items: tuple[Item, ...]) -> None:
    """Up to the moment at which every node has its restored data in place and its services stopped."""
    try:
        if any(_begun(work, "put-back", item) for item in items):
            raise NodeFailedError(
                "restore-failed", f"{work.node}: it was on its way back when the engine was restarted"
            )
        await work.look("check-cluster", lambda: _check(work, order, items))
        for item in items:
            await bring(work, order.backup, item)
        for item in reversed(items):
            await serviceturn.stop(work, service_of(item.part, work.site), _nothing)
        for item in items:
            await place(work, item)
        await _others(work)
    except (NodeFailedError, NodeLeftError) as error:
        raise await _back(work, items, error) from None


def _begun(work: NodeWork, verb: str, item: Item) -> bool:
    return work.history.was_begun(f"{verb}-{item.part.service}")


async def _check(work: NodeWork, order: RecoverClusterOrder, items: tuple[Item, ...]) -> None:
    from plasmatui.cluster.members import read_groups

    try:
        await asyncio.to_thread(chosen, order, work.peers, work.site)
    except BackupError as error:
        raise NodeFailedError("backup-damaged", f"{work.node}: {error}; nothing was touched") from None
    if work.overridden or any(_begun(work, "stop", item) for item in items):
        return
    refused = why_alive(await read_groups(work.site.cluster()))
    if refused:
        raise NodeFailedError("refused", f"{work.node}: {refused}")


async def _others(work: NodeWork) -> None:
    work.turns.ready(work.node)
    stopped = await work.look("wait-others", lambda: work.turns.turn(work.node, work.progress))
    if stopped:
        work.amend(StepResult.SKIPPED, stopped)
        raise NodeFailedError("restore-failed", f"{work.node}: {stopped}")


async def _back(
    work: NodeWork, items: tuple[Item, ...], error: NodeFailedError | NodeLeftError
) -> NodeFailedError | NodeLeftError:
    """As it was, with the old data, and the error that says so."""
    touched = [item for item in items if work.history.begun(f"stop-{item.part.service}")]
    problems = []
    with work.uncancelled():
        for item in touched:
            try:
                await move_back(work, item, well=False)
            except NodeFailedError as second:
                problems.append(second.message)
    for item in items:
        if item not in touched:
            await remove_beside(work, item)
    told = f"; and it could not be put back: {'; '.join(problems)}" if problems else "; nothing was replaced on it"
    if isinstance(error, NodeLeftError):
        return NodeLeftError(f"{error}{told}")
    return NodeFailedError(error.id, f"{error.message}{told}", error.evidence)


async def _read_back(work: NodeWork, items: tuple[Item, ...]) -> None:
    """See the key that the backup left.

    Raises:
        NodeFailedError: "restore-failed": it is not there, or has another value.
    """
    item = next((item for item in items if item.part.service == witness.SERVICE), None)
    wanted = item.part.raft.witness if item is not None and item.part.raft is not None else ""
    if not wanted:
        work.log("the backup left no key here by which it could be known again")
        return
    clients = work.site.cluster()
    if not await witness.see(clients, work.node, wanted, READ_LIMIT * 0.5):
        found = await witness.read(clients, work.node)
        text = f"{work.node}: key {witness.KEY} has SHA-256 {found[:12] or 'none'}, and {wanted[:12]} was backed up"
        raise NodeFailedError("restore-failed", text)
    work.log(f"key {witness.KEY} has the SHA-256 that {work.node} was backed up with: {wanted}")


async def _nothing() -> None:
    pass
