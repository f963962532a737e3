"""Certificates that services show: trusted by whom asks them, how long they last, whom they name."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

from plasmatui.certs.read import SOON, Certificate, CertificateError, missing_names, parse_der, read_file
from plasmatui.certs.shown import shown_certificate
from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, UNKNOWN, WARNING, Found, skipped, together
from plasmatui.cluster.trust import Trust, TrustError
from plasmatui.inventory.inventory import Service
from plasmatui.model.checks import CertificateSeen
from plasmatui.text import clean_line
from plasmatui.tls import REASONS, FingerprintError, unverified

_NONE_RUNS = "no node with services is on"


async def look(context: Context, node: str, service: Service) -> tuple[Certificate | None, str, bool]:
    """What a service shows; why it is not trusted, or why there is none; whether it answered at all."""
    clients = context.cluster()
    assert service.health_port is not None
    place = (clients.address(node), service.health_port, clients.host_name(node))
    problem = ""
    try:
        trust = await context.once("trust", lambda: _trust(context))
        data = await shown_certificate(*place, await trust.get(service.verify_tls))
    except TrustError as error:
        problem, data = f"the CA cannot be used: {error}", b""
    except ssl.SSLCertVerificationError as error:
        problem, data = REASONS.get(error.verify_code, clean_line(error.verify_message, 120)), b""
    except FingerprintError as error:
        problem, data = f"it is not the pinned one: {error.found}", b""
    except TimeoutError:
        return None, f"port {place[1]} does not answer", False
    except OSError as error:
        return None, f"port {place[1]}: {clean_line(error.strerror or str(error), 120)}", False
    if not data:
        try:
            data = await shown_certificate(*place, unverified())
        except OSError as error:  # TimeoutError is one
            return None, problem or str(error), True
    try:
        return parse_der(data), problem, True
    except CertificateError as error:
        return None, str(error), True


async def _trust(context: Context) -> Trust:
    return Trust(context.inventory.ca)


async def _all(
    context: Context, nodes: tuple[str, ...]
) -> dict[tuple[str, Service], tuple[Certificate | None, str, bool]]:
    clients = context.cluster()
    wanted = {
        f"{node} {service.name}": (node, service)
        for node in nodes
        for service in clients.services_of(node)
        if service.health_port is not None
    }

    async def one(key: str) -> tuple[Certificate | None, str, bool]:
        return await look(context, *wanted[key])

    return {wanted[key]: seen for key, seen in (await context.each(tuple(wanted), one)).items()}


async def _seen(context: Context) -> dict[tuple[str, Service], tuple[Certificate | None, str, bool]]:
    return await context.once("certificates", lambda: _all(context, context.running))


async def live(context: Context, nodes: tuple[str, ...]) -> tuple[CertificateSeen, ...]:
    """Every certificate that services of the nodes show, in words."""
    found = []
    for (node, service), (certificate, problem, _) in (await _all(context, nodes)).items():
        found.append(in_words(f"{node} {service.name}:{service.health_port}", node, certificate, problem))
    return tuple(found)


def in_words(place: str, node: str, certificate: Certificate | None, problem: str) -> CertificateSeen:
    if certificate is None:
        return CertificateSeen(place, node, problem=problem)
    return CertificateSeen(
        place, node, certificate.subject, certificate.issuer, certificate.names,
        certificate.begin, certificate.end, problem=problem,
    )  # fmt: skip


def _worst(found: dict[str, list[tuple[str, Found]]], well: str) -> Found:
    """Per node: its services that are not well, in one line."""
    told = {}
    for node, each in found.items():
        wrong = [(name, one) for name, one in each if one.state is not OK]
        if not wrong:
            told[node] = Found(OK)
            continue
        state = FAILED if any(one.state is FAILED for _, one in wrong) else wrong[0][1].state
        reasons: dict[str, list[str]] = {}
        for name, one in wrong:
            reasons.setdefault(one.reason, []).append(name)
        text = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        told[node] = Found(state, text, next(one.fix for _, one in wrong if one.state is state))
    return together(told, well, _NONE_RUNS)


async def chain(context: Context) -> Found:
    found: dict[str, list[tuple[str, Found]]] = {}
    for (node, service), (_, problem, answered) in (await _seen(context)).items():
        if service.verify_tls is False:
            one = Found(WARNING, "it is not verified, by the inventory", f"remove services.{service.name}.verify_tls")
        elif not answered:
            one = Found(UNKNOWN, problem, f"systemctl status {service.name} on {node}")
        elif problem:
            one = Found(FAILED, problem, f"plasmatui certs issue {node}; give its CA as cluster.ca in the inventory")
        else:
            one = Found(OK)
        found.setdefault(node, []).append((service.name, one))
    return _worst(found, "of {} nodes")


async def expiry(context: Context) -> Found:
    now = time.time()
    found: dict[str, list[tuple[str, Found]]] = {}
    for (node, service), (certificate, _, _) in (await _seen(context)).items():
        if certificate is not None:
            fix = f"plasmatui certs rotate {node}"
            found.setdefault(node, []).append((service.name, ends(certificate, now, fix)))
    return _worst(found, "of {} nodes")


def ends(certificate: Certificate, now: float, fix: str) -> Found:
    """Whether a certificate lasts."""
    left = certificate.days_left(now)
    if certificate.end <= now:
        return Found(FAILED, f"it ended {-left} days ago", fix)
    if certificate.begin > now:
        return Found(FAILED, "it is not valid yet", "compare the clocks: plasmatui check --online --only clock-nodes")
    if certificate.end - now < SOON:
        return Found(WARNING, f"it ends in {left} days", fix)
    return Found(OK)


async def names(context: Context) -> Found:
    clients = context.cluster()
    found: dict[str, list[tuple[str, Found]]] = {}
    for (node, service), (certificate, _, _) in (await _seen(context)).items():
        if certificate is None:
            continue
        missing = missing_names(certificate, (clients.host_name(node),))
        fix = f"plasmatui certs rotate {node}"
        if not certificate.names:
            one = Found(WARNING, f"it names {certificate.subject} as common name only, which many clients refuse", fix)
        elif missing:
            one = Found(FAILED, f"it does not name {missing[0]}", fix)
        else:
            one = Found(OK)
        found.setdefault(node, []).append((service.name, one))
    return _worst(found, "of {} nodes")


async def authority(context: Context) -> Found:
    if not context.inventory.ca:
        if any(profile.services for profile in context.inventory.profiles.values()):
            return Found(WARNING, "cluster.ca is not given: the system's CAs are believed", "give cluster.ca")
        return skipped("the inventory names no CA (cluster.ca)")
    path = Path(context.inventory.ca)
    fix = f"plasmatui certs issue; or put the cluster's CA at {path}"
    try:
        found = (await asyncio.to_thread(read_file, path))[0]
    except CertificateError as error:
        return Found(FAILED, f"{path}: {error}", fix)
    if not found.authority:
        return Found(FAILED, f"{path}: {found.subject} is no CA (no basicConstraints CA:TRUE)", fix)
    last = ends(found, time.time(), "make a new CA, and issue every certificate again")
    return Found(last.state, f"{path}: {last.reason or f'{found.days_left(time.time())} days left'}", last.fix)
