"""The load balancer: a node as a backend is drained or made active on every FiberLB (runbook, section 7.5).

The documents name `POST /api/backend/NODE` at one node. Every instance gets it, for they do not say that instances
tell one another; and each is read back where it offers a way to.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from plasmatui.cluster.clients import ClusterClients
from plasmatui.cluster.errors import ServiceError
from plasmatui.cluster.members import node_of
from plasmatui.cluster.shapes import mapping, records, text

SERVICE: Final = "fiberlb"
Wanted = Literal["drain", "active"]
_SAME: Final = {
    "drain": frozenset({"drain", "draining", "drained"}),
    "active": frozenset({"active", "healthy", "up", "enabled"}),
}
_NO_BACKEND: Final = 404


@dataclass(frozen=True)
class BackendChange:
    """What one FiberLB did.

    Attributes:
        instance: node that it runs on.
        accepted: it took the change, or knows no such backend, which then gets no traffic from it.
        confirmed: read back: True as wanted, False otherwise, None: it offers no way to tell.
        uncertain: it may have taken effect although no answer came.
    """

    instance: str
    backend: str
    wanted: str
    accepted: bool
    confirmed: bool | None
    message: str
    uncertain: bool = False
    verified: bool = True

    @property
    def done(self) -> bool:
        return self.accepted and self.confirmed is not False


async def set_backend(clients: ClusterClients, backend: str, wanted: Wanted) -> tuple[BackendChange, ...]:
    """Set a node's state on every FiberLB at once. Raises nothing: each instance's answer is in the result."""
    instances = clients.nodes_of(SERVICE)
    return tuple(await asyncio.gather(*(_set_one(clients, instance, backend, wanted) for instance in instances)))


async def read_backend(clients: ClusterClients, instance: str, backend: str) -> str | None:
    """The state that an instance has for a node, None when it does not tell."""
    for path in ("/api/backends", f"/api/backend/{quote(backend, safe='')}"):
        try:
            answer = await clients.get(instance, SERVICE, path)
        except ServiceError:
            continue
        found = records(answer.body, "backends", "items")
        if found is None:
            return text(mapping(answer.body), "status", "state") or None
        for record in found:
            if node_of(clients.inventory, text(record, "id", "name", "node"), text(record, "node")) == backend:
                return text(record, "status", "state") or None
    return None


async def _set_one(clients: ClusterClients, instance: str, backend: str, wanted: Wanted) -> BackendChange:
    path = f"/api/backend/{quote(backend, safe='')}"
    try:
        answer = await clients.call("POST", instance, SERVICE, path, {"status": wanted})
    except ServiceError as error:
        if error.status == _NO_BACKEND and wanted == "drain":
            told = f"FiberLB on {instance} knows no backend {backend}"
            return BackendChange(instance, backend, wanted, True, None, told)
        told = f"FiberLB on {instance}: {error.cause}"
        return BackendChange(instance, backend, wanted, False, None, told, uncertain=error.uncertain)
    state = await read_backend(clients, instance, backend)
    if state is None:
        told, confirmed = f"FiberLB on {instance} took {wanted}, and cannot be read back", None
    else:
        confirmed = state.lower() in _SAME[wanted]
        told = f"FiberLB on {instance} says {backend} is {state}"
    return BackendChange(instance, backend, wanted, True, confirmed, told, verified=answer.verified)
