"""Whether a raft group replicates: a value is written at one member and read at the others (runbook, section 5.4).

The documents know no way to take a key of Chainfire back, so one key is used for ever, and each check overwrites it.
FlareDB takes a point of a metric of our own, which grows by one point a check.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from plasmatui.cluster.clients import Answer, ClusterClients, refusal
from plasmatui.cluster.errors import ServiceError
from plasmatui.cluster.members import GROUPS, RaftGroup, read_group
from plasmatui.cluster.shapes import mapping, number, records, text
from plasmatui.model.health import ReplicaSeen, Replication

KEY: Final = "plasmatui-replication-check"
METRIC: Final = "plasmatui_replication_check"
LIMIT: Final = 5.0
"""Seconds that a member gets to have what was written."""
PACE: Final = 0.1
"""Seconds between two reads."""


async def check_replication(clients: ClusterClients) -> tuple[Replication, ...]:
    """Check every raft group that a profile of the inventory runs. Raises nothing: what goes wrong is in the result."""
    names = [name for name in GROUPS if clients.nodes_of(name)]
    return tuple(await asyncio.gather(*(_check(clients, name) for name in names)))


async def _check(clients: ClusterClients, name: str) -> Replication:
    group = await read_group(clients, name)
    if not group.readable:
        causes = "; ".join(f"{node}: {cause}" for node, cause in list(group.unknown.items())[:2])
        return Replication(name, problem=f"its members cannot be read: {causes or 'there is nobody to ask'}")
    if name == "chainfire":
        return await _check_chainfire(clients, group)
    return await _check_flaredb(clients, group)


async def _check_chainfire(clients: ClusterClients, group: RaftGroup) -> Replication:
    value = f"{int(time.time())} {secrets.token_hex(8)}"

    async def has(node: str) -> bool:
        answer = await clients.ask("GET", node, group.name, f"/v1/kv/{KEY}")
        if answer.status == 404:
            return False
        return text(mapping(_well(answer, "GET").body), "value") == value

    return await _written(
        group,
        f"key {KEY}",
        lambda node: clients.call("PUT", node, group.name, f"/v1/kv/{KEY}", {"value": value}),
        has,
        clients.nodes_of(group.name),
    )


async def _check_flaredb(clients: ClusterClients, group: RaftGroup) -> Replication:
    value = secrets.randbelow(1 << 40) + 1
    point = {"metric": METRIC, "value": value, "timestamp": int(time.time())}

    async def has(node: str) -> bool:
        answer = await clients.ask("POST", node, group.name, "/v1/query", {"query": METRIC, "time": "now"})
        found = records(_well(answer, "POST").body, "result", "results", "data", "points") or ()
        return any(number(record, "value") == value for record in found)

    return await _written(
        group,
        f"a point of metric {METRIC}",
        lambda node: clients.call("POST", node, group.name, "/v1/write", point),
        has,
        clients.nodes_of(group.name),
    )


def _well(answer: Answer, method: str) -> Answer:
    """The answer, if it is one of success. Raises ServiceError."""
    if not 200 <= answer.status < 300:
        raise refusal(answer, method)
    return answer


async def _written(
    group: RaftGroup,
    key: str,
    write: Callable[[str], Awaitable[Answer]],
    has: Callable[[str], Awaitable[bool]],
    runs: Collection[str],
) -> Replication:
    """Write at the leader, else at the first member that answers, and read at every other member that has an API:
    a member without a vote may be on a node (`runs` names those that do) that does not run the service."""
    writer = group.leader_node or group.asked[0]
    try:
        await write(writer)
    except ServiceError as error:
        return Replication(group.name, key, writer, f"{writer} did not take it: {error.cause}")
    others = [member for member in group.members if member.node != writer]
    replicas = await asyncio.gather(*(_read(each.node, has) for each in others if each.node in runs))
    strange = [
        ReplicaSeen(each.node or each.id, False, problem="the inventory has no such service there to ask")
        for each in others
        if each.voter and each.node not in runs
    ]
    return Replication(group.name, key, writer, "", (*replicas, *strange))


async def _read(node: str, has: Callable[[str], Awaitable[bool]]) -> ReplicaSeen:
    """Read at a member until it has the value."""
    begin = time.monotonic()
    problem = f"it does not have the value after {LIMIT:.0f} s"
    try:
        async with asyncio.timeout(LIMIT):
            while True:
                try:
                    if await has(node):
                        return ReplicaSeen(node, True, round(time.monotonic() - begin, 3))
                except ServiceError as error:
                    if error.unreached:
                        return ReplicaSeen(node, False, problem=error.cause)
                    problem = error.cause
                await asyncio.sleep(PACE)
    except TimeoutError:
        return ReplicaSeen(node, False, problem=problem)
