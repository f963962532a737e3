"""What the raft services keep on a node's disk: a directory that holds their state, and from which they start again.

The state of a replica is written there whenever somebody looks or the service stops; a service that starts reads it,
and finds out whether it is what it had, something older, or nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from plasmatui.sim.cluster_node import ClusterNode
from plasmatui.sim.cluster_raft import Group, Member, Replica

DIRECTORIES = {"chainfire": "/var/lib/chainfire", "flaredb": "/var/lib/flaredb"}
OWNERS = {"chainfire": 990, "flaredb": 991}
"""Numbers of the services' users, who alone may look into them."""
_TABLE = 48 * 1024
"""Bytes beside the state, which stand for its tables."""


class DataDirectories:
    """The directories of all nodes."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], bytes] = {}
        self._lost: set[tuple[str, str]] = set()

    def forget(self, node: str) -> None:
        """A node's disk was wiped."""
        for group in DIRECTORIES:
            self._written.pop((node, group), None)
            self._lost.discard((node, group))

    def destroy(self, node: ClusterNode, group: Group, now: float) -> None:
        """The directory is deleted under a service that may run."""
        if node.system is not None and node.system.files.find(DIRECTORIES[group.name]) is not None:
            node.system.files.remove(DIRECTORIES[group.name], recursive=True)
        self._written.pop((node.name, group.name), None)
        self._lost.add((node.name, group.name))
        group.wipe(node.name, now)

    def save(self, node: ClusterNode, group: Group) -> None:
        """Write what the replica holds now, unless it was written already or its directory was destroyed."""
        key = (node.name, group.name)
        if node.system is None or node.units is None or group.name not in node.units or key in self._lost:
            return
        state = json.dumps(snapshot(group, node.name), sort_keys=True).encode()
        if self._written.get(key) == state:
            return
        self._written[key] = state
        files, top, owner = node.system.files, DIRECTORIES[group.name], OWNERS[group.name]
        for path, mode in ((top, 0o700), (f"{top}/raft", 0o700), (f"{top}/db", 0o700)):
            files.mkdir(path, parents=True)
            files.chmod(path, mode)
            files.chown(path, owner, owner)
        files.write(f"{top}/raft/state.json", state, 0o600, uid=owner, gid=owner)
        files.write(f"{top}/db/000001.sst", _table(*key), 0o600, uid=owner, gid=owner)

    def load(self, node: ClusterNode, group: Group, now: float) -> str:
        """A service starts with what lies there; why it cannot, "" when it does."""
        key, top = (node.name, group.name), DIRECTORIES[group.name]
        assert node.system is not None
        self._lost.discard(key)
        file = node.system.files.find(f"{top}/raft/state.json")
        if file is None:
            if self._written.pop(key, None) is not None:
                group.wipe(node.name, now)
            return ""
        if file.data == self._written.get(key):
            return ""
        if file.uid != OWNERS[group.name]:
            return f"{top}/raft/state.json: permission denied"
        try:
            state = json.loads(file.data)
            if state["member"] != node.name:
                return f"{top} holds the data of member {state['member']}, and this is {node.name}"
            restore(group, state, now)
        except (ValueError, KeyError, TypeError):
            return f"{top}/raft/state.json is corrupt"
        self._written[key] = file.data
        return ""


def snapshot(group: Group, node: str) -> dict[str, Any]:
    """What a node's replica holds: the log that it has applied, and the members."""
    replica = group.replicas.get(node, Replica())
    held = bool(replica.incarnation) and replica.incarnation == group.incarnation
    return {
        "member": node,
        "incarnation": replica.incarnation,
        "applied": replica.applied,
        "term": group.term if held else 0,
        "members": {m.id: [m.raft_addr, m.voting, m.voter, m.started] for m in group.members.values() if held},
        "log": {
            key: kept
            for key, entries in group.values.items()
            if held and (kept := [[index, value] for index, value in entries if index <= replica.applied])
        },
    }


def restore(group: Group, state: dict[str, Any], now: float) -> None:
    """A replica starts from a snapshot. In a group that lives it copies what it lacks; where no leader is, and nobody
    holds more who votes, what it holds is what the group is: learners follow, and give up what they had beyond it."""
    node, incarnation, applied = str(state["member"]), int(state["incarnation"]), int(state["applied"])
    others = [
        replica for name, replica in group.replicas.items() if name != node and replica.incarnation == incarnation
    ]
    voters = [group.replicas[name] for name, entry in state["members"].items() if entry[2] and name in group.replicas]
    most = max((each.applied for each in others if any(each is voter for voter in voters)), default=-1)
    replica = group.replicas.setdefault(node, Replica())
    replica.incarnation, replica.applied, replica.ready, replica.ready_at = incarnation, applied, False, None
    if group.leader is None and incarnation > 0 and (incarnation != group.incarnation or applied >= most):
        group.incarnation, group.commit = incarnation, applied
        group.term = max(group.term, int(state["term"]))
        group.members = {name: Member(name, *entry) for name, entry in state["members"].items()}
        for each in others:
            each.applied = min(each.applied, applied)
        group.values = {key: [(int(i), str(v)) for i, v in entries] for key, entries in state["log"].items()}
    group.settle(now)


def _table(node: str, group: str) -> bytes:
    """Bytes that no compressor makes smaller."""
    blocks = (hashlib.sha256(f"{node}/{group}/{count}".encode()).digest() for count in range(_TABLE // 32))
    return b"".join(blocks)
