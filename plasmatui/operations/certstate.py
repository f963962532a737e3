"""What a node has before its certificate is rotated: files, their owners, its services and what they show."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from plasmatui.certs.issue import Pair
from plasmatui.certs.read import Certificate, parse_pem
from plasmatui.model.words import Health
from plasmatui.operations.certfiles import LIMIT, NodeFiles, Owner, certificate_at, owner_of
from plasmatui.operations.certificates import rotating
from plasmatui.operations.certservices import Shows, shown_by, silent_ones
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Site
from plasmatui.tls import fingerprint

_STOPPED = ("inactive", "unknown", "")


@dataclass(frozen=True)
class Found:
    """See the module.

    Attributes:
        key, certificate: whose the files are.
        old: fingerprint of the certificate before the rotation.
        words: the certificate in place, for people.
        shown: fingerprint that each service shows, "" where none answers.
        running: services whose unit is not stopped.
        notes: what a person should know before.
    """

    key: Owner
    certificate: Owner
    old: str
    words: str
    shown: dict[str, str]
    running: frozenset[str]
    notes: tuple[str, ...] = ()


async def find(node: str, site: Site, files: NodeFiles, *, strict: bool = True) -> Found:
    """Look at a node.

    Args:
        strict: its services must be well, but for their certificates: else nobody could tell what a new one does.

    Raises:
        NodeFailedError: "secrets", "service-unhealthy".
        CommandError: the node cannot be asked.
    """
    host = site.hosts().system(node)
    key, certificate = await owner_of(host, files.key), await owner_of(host, files.certificate)
    current = await certificate_at(host, files.certificate)
    if current is None:
        raise NodeFailedError("secrets", f"{node}: {files.certificate} holds no certificate")
    before = await certificate_at(host, files.old(files.certificate))
    services = rotating(node, site)
    running = await _running(node, site, services)
    shown = await asyncio.gather(*(shown_by(site, node, service) for service in services))
    if strict:
        await _see_well(node, site, [service for service in services if service in running])
    return Found(
        key,
        certificate,
        _fingerprint(before or current),
        _words(current),
        dict(zip(services, shown, strict=True)),
        running,
        _notes(node, services, running, silent_ones(node, site)),
    )


def expects(found: Found, pair: Pair) -> Shows:
    """Which certificate each service should show in the end."""
    new = _fingerprint(parse_pem(pair.certificate)[0])
    own = frozenset(service for service, shown in found.shown.items() if shown and shown not in (found.old, new))
    return Shows(new, found.running, own)


async def _running(node: str, site: Site, services: tuple[str, ...]) -> frozenset[str]:
    if not services:
        return frozenset()
    units = [f"{service}.service" for service in services]
    ran = await site.hosts().system(node).run(("systemctl", "is-active", *units), limit=LIMIT)
    states = ran.out.decode(errors="replace").split()
    return frozenset(service for service, state in zip(services, states, strict=False) if state not in _STOPPED)


async def _see_well(node: str, site: Site, services: list[str]) -> None:
    from plasmatui.cluster.health import HealthChecks

    checks = HealthChecks(site.cluster())
    for seen in await asyncio.gather(*(checks.check(node, service) for service in services)):
        if seen.status is not Health.OK and not seen.finding.startswith("certificate-"):
            raise NodeFailedError(
                "service-unhealthy",
                f"{node}: {seen.service} is not well before anything is done: {seen.message}; mend that first",
                (seen.message,),
            )


def _notes(node: str, services: tuple[str, ...], running: frozenset[str], silent: tuple[str, ...]) -> tuple[str, ...]:
    stopped = [service for service in services if service not in running]
    notes = [f"{node}: {', '.join(stopped)}: stopped, and left so"] if stopped else []
    if silent:
        notes.append(f"{node}: {', '.join(silent)}: no health address is known; restart by hand what uses it")
    return tuple(notes)


def _fingerprint(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return fingerprint(certificate.parsed.public_bytes(Encoding.DER))


def _words(certificate: Certificate) -> str:
    now = time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(certificate.end))
    left = f"ends {day}" if certificate.end > now else f"ended {day}"
    return f"{left}, {_fingerprint(certificate)[:15]}"
