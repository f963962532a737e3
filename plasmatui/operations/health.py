"""Waiting until a node's services are well again: the evidence that ends operations on members of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plasmatui.model.words import Health
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.cluster.health import ServiceHealth

LIMIT = 600.0
"""Seconds that services get to become healthy."""

PACE = 1.0
"""Seconds between two looks."""


async def wait_healthy(work: NodeWork) -> str:
    """Wait until every service of the node that can be asked says that it is well; what was seen, for people.

    Raises:
        NodeFailedError: "service-unhealthy", with what each service says, when the step's limit nears.
    """
    from plasmatui.cluster.health import HealthChecks, node_health

    clients = work.site.cluster()
    checks = HealthChecks(clients)
    end = asyncio.get_running_loop().time() + LIMIT * 0.95
    while True:
        seen = (await checks.cycle((work.node,)))[work.node]
        asked = [each for each in seen if each.askable]
        if not asked:
            return "no service of the node can be asked"
        if node_health(seen) is Health.OK:
            return f"{len(asked)} services healthy"
        bad = [each for each in asked if each.status is not Health.OK]
        work.progress(f"{len(asked) - len(bad)} of {len(asked)} services healthy; {_told(bad[:1])}")
        if asyncio.get_running_loop().time() >= end:
            first = bad[0]
            raise NodeFailedError(
                first.finding or "service-unhealthy",
                f"{work.node}: {len(bad)} of {len(asked)} services are not healthy: {_told(bad[:3])}",
                tuple(_told([each]) for each in bad),
            )
        await asyncio.sleep(PACE)


def _told(seen: Sequence[ServiceHealth]) -> str:
    return "; ".join(f"{each.service} {each.status}: {each.message}" for each in seen)
