"""The health gate of an update: a node is as well as it was before, by its services, its units and its raft groups."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from plasmatui.model.command import CommandError
from plasmatui.model.words import Health
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork
from plasmatui.text import clean_line

if TYPE_CHECKING:
    from plasmatui.cluster.health import HealthChecks, ServiceHealth
    from plasmatui.cluster.members import RaftGroup

PACE = 0.5
"""Seconds between two looks."""

STEADY = 4
"""Looks in a row that must find it well: a service that dies at once was well for a moment."""

LOOK_LIMIT = 30.0

FAILED_ARGV = ("systemctl", "list-units", "--state=failed", "--output=json", "--no-pager")


class Wellness(msgspec.Struct, frozen=True):
    """How well a node was: its services that were healthy, the groups that had it as a healthy member, and those in
    which it voted, the units that had failed already."""

    services: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Seen:
    now: Wellness
    health: tuple[ServiceHealth, ...]
    groups: tuple[RaftGroup, ...]


async def remember_wellness(work: NodeWork, id_: str) -> Wellness:
    """How well the node is before it is touched; kept for a restarted engine."""
    from plasmatui.cluster.health import HealthChecks

    async def look() -> str:
        return _words((await _look(work, HealthChecks(work.site.cluster()))).now)

    return _wellness(await work.remember(id_, look))


def _words(found: Wellness) -> str:
    """As text that a person reads in the step, and `_wellness` after a restart."""
    parts = (f"{name}: {' '.join(getattr(found, name)) or '-'}" for name in found.__struct_fields__)
    return "; ".join(parts)


def _wellness(text: str) -> Wellness:
    parts = dict(part.partition(": ")[::2] for part in text.split("; "))
    known = {name: parts.get(name, "-").split() for name in Wellness.__struct_fields__}
    return Wellness(**{name: tuple(word for word in words if word != "-") for name, words in known.items()})


async def wait_as_well(work: NodeWork, before: Wellness, limit: float) -> str:
    """Wait until the node is as well as it was; what was seen, for people.

    Raises:
        NodeFailedError: "service-unhealthy", "quorum-at-risk", "activation-failed" ... with what is missing after
            `limit` seconds.
    """
    from plasmatui.cluster.health import HealthChecks

    checks = HealthChecks(work.site.cluster())
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    good = 0
    while True:
        try:
            seen = await _look(work, checks)
            missing = _missing(work.node, before, seen)
        except CommandError as error:
            missing = [(error.id, error.message)]
        good = 0 if missing else good + 1
        if good >= STEADY:
            return _told(before)
        if missing:
            work.progress(missing[0][1])
            if loop.time() >= end:
                told = f"{work.node}: it is not as well as before the update: {_joined(missing)}"
                lines = (*(text for _, text in missing), *await _journal(work, before, checks))
                raise NodeFailedError(missing[0][0], told, lines)
        await asyncio.sleep(PACE)


async def _look(work: NodeWork, checks: HealthChecks) -> _Seen:
    from plasmatui.cluster.members import read_groups

    health, groups, failed = await asyncio.gather(
        checks.node(work.node), read_groups(work.site.cluster()), _failed_units(work)
    )
    members = [(group.name, member) for group in groups if (member := group.member(work.node)) is not None]
    now = Wellness(
        tuple(each.service for each in health if each.askable and each.status is Health.OK),
        tuple(name for name, member in members if member.healthy),
        tuple(name for name, member in members if member.voter),
        failed,
    )
    return _Seen(now, health, groups)


async def _failed_units(work: NodeWork) -> tuple[str, ...]:
    ran = await system(work).run(FAILED_ARGV, limit=LOOK_LIMIT)
    try:
        units = json.loads(ran.out)
        return tuple(sorted(clean_line(str(unit["unit"]), 120) for unit in units))
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()


async def _journal(work: NodeWork, before: Wellness, checks: HealthChecks) -> tuple[str, ...]:
    """The last words of the first service that is not well any more."""
    from plasmatui.cluster.services import unit

    try:
        seen = await _look(work, checks)
        lost = [service for service in before.services if service not in seen.now.services]
        if not lost:
            return ()
        argv = ("journalctl", f"--unit={unit(lost[0])}", "--lines=3", "--output=cat", "--no-pager")
        ran = await system(work).run(argv, limit=LOOK_LIMIT)
    except CommandError:
        return ()
    return tuple(f"{lost[0]}: {clean_line(line, 200)}" for line in ran.out.decode(errors="replace").splitlines()[-3:])


def _missing(node: str, before: Wellness, seen: _Seen) -> list[tuple[str, str]]:
    """What was well and is not: the id of a finding and words, the worst first."""
    found: list[tuple[str, str]] = []
    health = {each.service: each for each in seen.health}
    for service in before.services:
        if service not in seen.now.services:
            each = health.get(service)
            told = f"{each.status}: {each.message}" if each is not None else "it is gone from the inventory"
            found.append(((each.finding if each is not None else "") or "service-unhealthy", f"{service} {told}"))
    for unit in seen.now.failed:
        if unit not in before.failed:
            found.append(("activation-failed", f"unit {unit} has failed"))
    for group in seen.groups:
        member = group.member(node)
        if group.name in before.groups and (member is None or not member.healthy):
            found.append(("quorum-at-risk", f"{group.name}: {member.condition if member else 'not a member any more'}"))
        elif group.name in before.votes and not (member is not None and member.voter):
            found.append(("quorum-at-risk", f"{group.name}: it does not vote any more"))
        elif group.name in before.groups and not group.leader:
            found.append(("quorum-at-risk", f"{group.name}: no leader that a majority agrees on"))
    return found


def _joined(missing: list[tuple[str, str]]) -> str:
    return "; ".join(text for _, text in missing[:3])


def _told(before: Wellness) -> str:
    services = f"{len(before.services)} services healthy" if before.services else "no service of it could be asked"
    votes = f", voter of {' and '.join(before.votes)}" if before.votes else ""
    return f"{services}{votes}, no unit has failed that had not before"
