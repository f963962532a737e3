"""Which backup a lost cluster is recovered from.

Only archives of one backup are used together: those of two may have been made before and after a change of the members.
A raft group needs the archives of a majority of its voters. Each goes back to the node that it is of, since it holds
that member's own identity and vote; together they are what the members had after a power failure, of which raft elects
the one that has most and lets the others follow.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from plasmatui.backups.manifest import CONFIGURATION, Backup, BackupError, find_backups, read_backup


def choose(directory: Path, cluster: str, nodes: Collection[str], voters: Collection[str]) -> Backup:
    """The newest backup of a cluster from which these nodes can be a majority of each of its groups.

    Args:
        directory: of a backup, or of several. voters: of the inventory, for groups whose members told nothing.

    Raises:
        BackupError: there is none; the message says why of each.
    """
    reasons = []
    for path in reversed(find_backups(directory)):
        try:
            found = read_backup(path)
        except BackupError as error:
            reasons.append(str(error))
            continue
        why = why_not(found, cluster, nodes, voters)
        if not why:
            return found
        reasons.append(f"{path}: {why}")
    raise BackupError("; ".join(reasons[:3]) or f"no backup lies in {directory}")


def why_not(backup: Backup, cluster: str, nodes: Collection[str], voters: Collection[str]) -> str:
    """Why a backup cannot be used for this, "" when it can."""
    if backup.head.cluster != cluster:
        return f"it is of the cluster {backup.head.cluster}"
    parts = [(name, part) for name, manifest in backup.nodes.items() for part in manifest.parts]
    groups = {part.service for _, part in parts if part.service != CONFIGURATION and part.raft is not None}
    if not groups:
        return "it holds no data of a raft group"
    for service in sorted(groups):
        told = {frozenset(part.raft.voters) for _, part in parts if part.service == service and part.raft is not None}
        told.discard(frozenset())
        if len(told) > 1:
            return f"{service}: its voters changed while it was made"
        wanted = next(iter(told), frozenset(voters))
        there = {name for name, part in parts if part.service == service and name in nodes} & wanted
        if len(there) * 2 <= len(wanted):
            return f"{service}: it holds {len(there)} of {len(wanted)} voters that take part, a majority is needed"
    return ""
