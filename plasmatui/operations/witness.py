"""A key of Chainfire that a backup leaves before it stops a member, and by which a recovery is known to be right.

The documents know no way to take a key back, so one key is used for ever, and each backup overwrites it. What it should
be is kept in the manifest as a SHA-256 of the value that the member had itself when its service was stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.cluster.members import RaftGroup

SERVICE: Final = "chainfire"
KEY: Final = "plasmatui-backup"
LIMIT: Final = 5.0
"""Seconds that a member gets to have what was written."""

PACE: Final = 0.1


async def leave(clients: ClusterClients, group: RaftGroup, node: str, value: str) -> str:
    """Write the value at the leader; its digest once `node` has it, "" when that cannot be seen. Raises nothing."""
    from plasmatui.cluster.errors import ServiceError

    writer = group.leader_node or next(iter(group.asked), "")
    if not writer:
        return ""
    try:
        await clients.call("PUT", writer, SERVICE, f"/v1/kv/{KEY}", {"value": value})
    except ServiceError:
        return ""
    return await see(clients, node, digest_of(value), LIMIT)


async def see(clients: ClusterClients, node: str, wanted: str, limit: float) -> str:
    """Read the key at a node until its value has the digest that is wanted; else "" after `limit` seconds."""
    end = asyncio.get_running_loop().time() + limit
    while await read(clients, node) != wanted:
        if asyncio.get_running_loop().time() >= end:
            return ""
        await asyncio.sleep(PACE)
    return wanted


async def read(clients: ClusterClients, node: str) -> str:
    """The digest of what a node has under the key, "" when it has nothing or does not tell. Raises nothing."""
    from plasmatui.cluster.errors import ServiceError
    from plasmatui.cluster.shapes import mapping, text

    try:
        answer = await clients.ask("GET", node, SERVICE, f"/v1/kv/{KEY}")
    except ServiceError:
        return ""
    return digest_of(text(mapping(answer.body), "value")) if answer.status == 200 else ""


def digest_of(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
