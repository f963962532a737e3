"""What a node's first boot is told of the cluster: whether it bootstraps it with others, or joins the one that lives.

`cluster-config.json` in a node's secrets is written once, and says `bootstrap: true` for the first voters. When such a
node is installed again while the cluster lives, it must join: two that bootstrap are two clusters. So the file that
an installation takes along is fitted to what the members of the raft groups tell at that moment.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from plasmatui.inventory.inventory import Inventory
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.cluster.members import RaftGroup
    from plasmatui.nix.extrafiles import Source

CONFIG = "cluster-config.json"
ELECTION_LIMIT = 30.0
"""Seconds that a group without a leader gets to elect one."""

PACE = 1.0

_BOOTSTRAP_ONLY = ("initial_peers", "flaredb_peers")


async def fitted(work: NodeWork, source: Source) -> dict[str, bytes]:
    """Files of the node's secrets whose content must be another one now, by name; empty when they fit.

    Raises:
        NodeFailedError: "quorum-lost": it would bootstrap, and there is a cluster without a leader that it could join.
    """
    from plasmatui.cluster.members import read_groups

    text = await asyncio.to_thread(_read, source)
    config = parse(text)
    if config is None:
        return {}
    end = asyncio.get_running_loop().time() + ELECTION_LIMIT
    while True:
        groups = await read_groups(work.site.cluster())
        if not lives_without(groups, work.node):
            return {}
        leader = leader_of(groups, work.node)
        if leader:
            break
        if config.get("bootstrap") is not True:
            return {}  # it tries the leader that the file names until there is one
        if asyncio.get_running_loop().time() >= end:
            raise NodeFailedError(
                "quorum-lost",
                f"{work.node}: its {CONFIG} says bootstrap, and there is a cluster without a leader; a second "
                "bootstrap would split it. Bring its voters back first: plasmatui health",
            )
        work.progress("the cluster elects a leader")
        await asyncio.sleep(PACE)
    joining = joined_config(config, work.site.inventory(), leader)
    if joining == config:
        return {}
    work.log(f"{CONFIG}: the cluster lives, so that it joins: bootstrap: false, leader_url: {joining['leader_url']}")
    return {CONFIG: (json.dumps(joining, indent=2) + "\n").encode()}


def lives_without(groups: tuple[RaftGroup, ...], node: str) -> bool:
    """Whether there is a cluster that does not count the node among its members. One that lists it as a member which
    never came up is still being formed, and needs the node as it is. Pure."""
    others = [group for group in groups if any(member.node != node for member in group.voters)]
    return any(group.member(node) is None for group in others)


def leader_of(groups: tuple[RaftGroup, ...], node: str) -> str:
    """The node to join by: the leader of the first group that has one elsewhere, "" for none. Chainfire comes first, as
    `leader_url` is its address."""
    found = (group.leader_node for group in groups if group.leader_node and group.leader_node != node)
    return next(found, "")


def parse(text: str) -> dict[str, object] | None:
    """The configuration; None when there is none, or nothing that is understood."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def joined_config(config: dict[str, object], inventory: Inventory, leader: str) -> dict[str, object]:
    """The configuration of a node that joins by `leader`, from whatever it was."""
    kept = {key: value for key, value in config.items() if key not in _BOOTSTRAP_ONLY}
    return {**kept, "bootstrap": False, "leader_url": leader_url(inventory, leader)}


def leader_url(inventory: Inventory, leader: str) -> str:
    """Chainfire's address on a node, by the name that is in its certificate."""
    node = inventory.nodes[leader]
    name = f"{leader}.{inventory.domain}" if inventory.domain else node.production_ip
    return f"https://{name}:{inventory.services['chainfire'].port}"


def _read(source: Source) -> str:
    if not source.directory:
        return ""
    try:
        return (Path(source.directory) / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""


async def join_note(node: str, site: Site) -> str:
    """For a plan: by whom the node would join, "" when no cluster lives that it would join."""
    from plasmatui.cluster.members import read_groups

    groups = await read_groups(site.cluster())
    leader = leader_of(groups, node)
    if not leader:
        return ""
    url = leader_url(site.inventory(), leader)
    return f"{node} joins by {url}: {CONFIG} is taken along with bootstrap: false, whatever it says"
