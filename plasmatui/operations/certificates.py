"""New certificates for nodes: the plan. What is done stands in `certrotation`, which is loaded when it is needed.

Runbook, section 10.2, which restarts all services of a node at once; here each takes the certificate alone.
"""

from __future__ import annotations

from typing import Final

from plasmatui.inventory.inventory import Service
from plasmatui.model.operation import CertsRotateOrder, NodePlan, Order, Step
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

NEXT: Final = "_new"
"""Below the secrets: what was issued and is not in use yet (`certs.rotate`)."""

RESTART_LIMIT: Final = 600.0
"""Seconds for one service to take a certificate, as seen on the wire and in the cluster."""

LOOK_LIMIT = 120.0
ISSUE_LIMIT = 60.0
FILES_LIMIT = 300.0
PUT_BACK_LIMIT = 1800.0


def steps(order: CertsRotateOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Issue, upload, verify, place, each service, look at all of them, take over, remove."""
    key, certificate = (f"/etc/nixos/secrets/{node}-{part}.pem" for part in ("key", "cert"))
    ssh = f"ssh {node} "
    secrets = site.inventory().secrets or "SECRETS"
    restarts = tuple(
        Step(
            f"take-{service}",
            f"Let {service} take the new certificate",
            f"{ssh}systemctl reload {service}.service, or restart where that is not enough",
            RESTART_LIMIT,
            disruptive=True,
            precondition="it runs, and shows the node's certificate",
            proof="it is healthy over TLS and shows the new certificate's fingerprint",
        )
        for service in rotating(node, site)
    )
    return (
        Step(
            "check-node",
            "See which certificate the node has, and that the services which use it are well",
            f"{ssh}stat {key} {certificate}; TLS handshake with each service",
            LOOK_LIMIT,
        ),
        Step(
            "issue",
            "Issue a new key and certificate with the cluster's CA",
            f"sign {secrets}/{NEXT}/{node}/{node}-cert.pem on this host",
            ISSUE_LIMIT,
            proof="key, chain and names fit",
        ),
        Step(
            "upload",
            "Lay them beside the old ones, with the same owner",
            f"{ssh}write {key}.new-OPERATION and {certificate}.new-OPERATION",
            FILES_LIMIT,
        ),
        Step(
            "verify-files",
            "See that what lies there is what was issued, for its owner alone",
            f"{ssh}sha256sum, stat {key}.new-OPERATION {certificate}.new-OPERATION",
            FILES_LIMIT,
        ),
        Step(
            "place",
            "Put them in place; the old ones stay beside them",
            f"{ssh}mv {key}.new-OPERATION {key}, and the certificate",
            FILES_LIMIT,
            disruptive=True,  # so that the guard speaks before anything is changed
            proof="both files in place are the new ones",
        ),
        *restarts,
        Step(
            "see-certificates",
            "See every service well, with the certificate that it should show",
            "GET /health of each; TLS handshake with each",
            LOOK_LIMIT,
        ),
        Step(
            "put-back",
            "Only if a service does not take it: put the old files back and restart with them",
            f"{ssh}mv {key}.old-OPERATION {key}, and the certificate; systemctl restart",
            PUT_BACK_LIMIT,  # no guard: the node counts as lost since `place`, and this brings it back
            precondition="something above failed",
        ),
        Step(
            "adopt",
            "Keep them on this host for the next installation; what they replace is kept in _old",
            f"mv {secrets}/{NEXT}/{node}/* {secrets}/{node}/",
            ISSUE_LIMIT,
        ),
        Step(
            "remove-old", "Remove the old files from the node", f"{ssh}rm {key}.old-* {certificate}.old-*", FILES_LIMIT
        ),
    )


def command(order: CertsRotateOrder) -> tuple[str, str]:
    return "certs rotate", f" --passphrase {order.passphrase}" if order.passphrase else ""


async def look(order: CertsRotateOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say for each node what it has now; leave out what cannot be rotated. Leaders of raft groups come last."""
    from plasmatui.operations import certrotation

    return order, await certrotation.look(order, plans, site)


async def rotate(work: NodeWork, order: CertsRotateOrder) -> None:
    """Give the node its new certificate."""
    from plasmatui.operations import certrotation

    await certrotation.rotate(work, order)


def rotating(node: str, site: Site) -> tuple[str, ...]:
    """The services of a node that can be seen to show a certificate: those of the runbook first, in its order."""
    from plasmatui.cluster.services import RESTART_ORDER

    names = [service.name for service in services_of(node, site) if service.health_port is not None]
    return (*(name for name in RESTART_ORDER if name in names), *(name for name in names if name not in RESTART_ORDER))


def services_of(node: str, site: Site) -> tuple[Service, ...]:
    """The services of a node's profile, in its order."""
    inventory = site.inventory()
    profile = inventory.profiles.get(inventory.nodes[node].profile)
    names = profile.services if profile is not None else ()
    return tuple(inventory.services[name] for name in names if name in inventory.services)
