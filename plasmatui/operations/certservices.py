"""One service of a node and its certificate: what it shows on the wire, and how it takes another one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from plasmatui.certs.shown import shown_certificate
from plasmatui.model.words import Health
from plasmatui.operations.certificates import RESTART_LIMIT, rotating, services_of
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork
from plasmatui.text import clean_line
from plasmatui.tls import fingerprint, unverified

SYSTEMCTL_LIMIT: Final = 180.0
RELOAD_LIMIT: Final = 15.0
"""Seconds after a reload in which the new certificate must be seen; else the service is restarted."""

PACE: Final = 0.5
VMS: Final = "plasmavmc"


@dataclass(frozen=True)
class Shows:
    """What services should show.

    Attributes:
        wanted: fingerprint of the certificate.
        running: services that run; the others take it when they are started.
        own: services that show a certificate of their own, which is not ours to replace.
    """

    wanted: str
    running: frozenset[str]
    own: frozenset[str] = frozenset()


def silent_ones(node: str, site: Site) -> tuple[str, ...]:
    """The services of a node of which nothing can be seen from here."""
    return tuple(service.name for service in services_of(node, site) if service.health_port is None)


async def shown_by(site: Site, node: str, service: str) -> str:
    """The fingerprint of the certificate that a service shows; "" when there is no handshake with it."""
    clients = site.cluster()
    port = site.inventory().services[service].health_port
    assert port is not None
    try:
        found = await shown_certificate(clients.address(node), port, clients.host_name(node), unverified())
    except OSError:  # TimeoutError is one
        return ""
    return fingerprint(found) if found else ""


async def take(work: NodeWork, service: str, shows: Shows, *, put_back: bool = False) -> str:
    """Let a running service take the certificate that lies in place; why it is left as it is, "" when it took it.

    Args:
        put_back: the old one, after a failure: the guard is not asked, since the node is away already.

    Raises:
        NodeFailedError: "service-unhealthy": it does not come back with it; "refused": the guard.
        NodeLeftError: the operation was cancelled.
    """
    if service not in shows.running:
        return f"{service} does not run; it takes the certificate when it is started"
    if service in shows.own:
        return f"{service} shows a certificate of its own"
    if await shown_by(work.site, work.node, service) == shows.wanted and not await _missing(work, service):
        work.log(f"{service} shows it already")
        return ""
    if not put_back and not work.overridden and _is_raft(service):
        await _guard(work, service)
    if await _reload(work, service, shows.wanted):
        await _wait_well(work, service, shows.wanted)
        return ""
    vms = await _vms(work) if service == VMS else ""
    if vms:
        return f"{service} shows the old certificate until it is restarted, and {vms}: drain and undrain {work.node}"
    await _restart(work, service)
    await _wait_well(work, service, shows.wanted)
    return ""


async def see_all(work: NodeWork, shows: Shows) -> list[str]:
    """Look at every service of the node once more; what is to be said of those that were left.

    Raises:
        NodeFailedError: "service-unhealthy": one is not well.
    """
    left = []
    for service in rotating(work.node, work.site):
        if service not in shows.running or service in shows.own:
            continue
        missing = await _missing(work, service)
        if missing:
            raise NodeFailedError("service-unhealthy", f"{work.node}: {missing}", (missing,))
        found = await shown_by(work.site, work.node, service)
        work.log(f"{service} shows {found or 'no certificate'}")
        if found != shows.wanted:
            left.append(f"{service} shows the old certificate until it is restarted")
    return left


def _is_raft(service: str) -> bool:
    from plasmatui.cluster.members import GROUPS

    return service in GROUPS


async def _guard(work: NodeWork, service: str) -> None:
    """Wait until the raft groups can do without this member: the one before has only just come back."""
    end = asyncio.get_running_loop().time() + RESTART_LIMIT * 0.5
    while True:
        refusal, _ = await work.site.guard.look(frozenset((work.node,)))
        if not refusal:
            return
        work.progress(f"waits: {refusal}")
        if work.left:
            raise NodeLeftError(f"{work.left} before {service} was restarted")
        if asyncio.get_running_loop().time() >= end:
            raise NodeFailedError("refused", f"{work.node}: {service} is not restarted: {refusal}")
        await asyncio.sleep(PACE)


async def _reload(work: NodeWork, service: str, wanted: str) -> bool:
    """Whether the service took the certificate by a reload, which disturbs nobody."""
    host = system(work)
    unit = f"{service}.service"
    asked = await host.run(("systemctl", "show", "--property=CanReload", "--value", unit), limit=SYSTEMCTL_LIMIT)
    if asked.out.strip() != b"yes":
        return False
    ran = await host.run(("systemctl", "reload", unit), limit=SYSTEMCTL_LIMIT)
    end = asyncio.get_running_loop().time() + RELOAD_LIMIT
    while ran.status == 0 and asyncio.get_running_loop().time() < end:
        if await shown_by(work.site, work.node, service) == wanted:
            work.log(f"{service} was reloaded")
            return True
        work.progress(f"{service} was reloaded, and shows the old certificate")
        await asyncio.sleep(PACE)
    work.log(f"{service}: a reload was not enough; it is restarted")
    return False


async def _restart(work: NodeWork, service: str) -> None:
    host = system(work)
    unit = f"{service}.service"
    await host.run(
        ("systemctl", "reset-failed", unit), limit=SYSTEMCTL_LIMIT
    )  # else systemd may refuse a further start
    ran = await host.run(("systemctl", "restart", unit), limit=SYSTEMCTL_LIMIT)
    if ran.status != 0:
        raise await _failed(work, service)
    work.log(f"{service} was restarted")


async def _failed(work: NodeWork, service: str) -> NodeFailedError:
    """What the journal says of a unit that does not start."""
    argv = ("journalctl", "--output=cat", "--lines=6", "--no-pager", f"--unit={service}.service")
    said = (await system(work).run(argv, limit=SYSTEMCTL_LIMIT)).out.decode(errors="replace").splitlines()
    lines = tuple(clean_line(line, 300) for line in said if line.strip())
    return NodeFailedError("service-unhealthy", f"{work.node}: {service} does not start", lines)


async def _wait_well(work: NodeWork, service: str, wanted: str) -> None:
    """Wait until the service shows the certificate, is well, and its raft group has it back."""
    host = system(work)
    end = asyncio.get_running_loop().time() + RESTART_LIMIT * 0.45
    while True:
        found = await shown_by(work.site, work.node, service)
        missing = await _missing(work, service) if found == wanted else ""
        if found == wanted and not missing:
            work.log(f"{service} is well, and shows {wanted}")
            return
        text = missing or f"{service} shows {'another certificate' if found else 'no certificate yet'}"
        work.progress(text)
        state = await host.run(("systemctl", "is-active", f"{service}.service"), limit=SYSTEMCTL_LIMIT)
        if state.out.strip() == b"failed":
            raise await _failed(work, service)
        if asyncio.get_running_loop().time() >= end:
            raise NodeFailedError("service-unhealthy", f"{work.node}: {text}", (text,))
        await asyncio.sleep(PACE)


async def _missing(work: NodeWork, service: str) -> str:
    """What is missing until the service is well, over TLS that is verified; "" when it is.

    With the guard overridden its raft group is not waited for: the other members may be the ones that are not well.
    """
    from plasmatui.cluster.health import HealthChecks
    from plasmatui.cluster.services import shown_started

    clients = work.site.cluster()
    checks = HealthChecks(clients)
    if work.overridden:
        seen = await checks.check(work.node, service)
        return "" if seen.status is Health.OK else f"{service}: {seen.message}"
    shown = await shown_started(clients, checks, work.node, service)
    return "" if shown.ok is not False else shown.message


async def _vms(work: NodeWork) -> str:
    """Why the machines of the node forbid a restart of what runs them, "" when there are none."""
    from plasmatui.cluster.vms import list_vms

    told = await list_vms(work.site.cluster(), (work.node,))
    if work.node in told.unknown:
        return f"its VMs are not known ({told.unknown[work.node]})"
    count = len(told.on(work.node))
    return f"{count} VM{'s' if count > 1 else ''} of the cluster run{'' if count > 1 else 's'} there" if count else ""
