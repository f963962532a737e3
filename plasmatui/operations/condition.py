"""How a node is, and the smallest thing that may mend it (runbook, section 9.3): observed first, then a pure choice."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from plasmatui.bmc.controller import BmcError
from plasmatui.model.command import CommandError
from plasmatui.model.words import Health, Power
from plasmatui.operations.joining import groups_of, services_of
from plasmatui.operations.membership import groups_now
from plasmatui.operations.site import Site
from plasmatui.text import clean_line

if TYPE_CHECKING:
    from plasmatui.cluster.members import RaftGroup

LOOK_LIMIT = 20.0
"""Seconds for one question to the node."""

FAILED_ARGV = ("systemctl", "list-units", "--state=failed", "--output=json", "--no-pager")


class Cure(StrEnum):
    """What may mend a node, from the smallest to the largest."""

    POWER_ON = "power-on"
    RESTART = "restart-units"
    REBOOT = "reboot"
    ROLLBACK = "rollback"
    REPLACE = "replace"
    """Deletes data; a person gives that order."""

    PERSON = "person"
    """Nothing that can be done from here."""


@dataclass(frozen=True)
class Condition:
    """How a node is.

    Attributes:
        power: by its BMC; `bmc` says why that is not known, "" when it is.
        boot: why its last boot stopped, "" when it did not.
        ssh: why its system does not answer, "" when it does.
        units: units that failed, and services of its profile that do not run.
        ill: services that are not well, each with what it says.
        missed: raft groups that do not have it as a healthy member, each with what they say.
        lost: a group that has a leader does not list it at all.
    """

    power: Power = Power.UNKNOWN
    bmc: str = ""
    boot: str = ""
    ssh: str = ""
    units: tuple[str, ...] = ()
    ill: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    lost: bool = False

    @property
    def serves(self) -> bool:
        """Its services and the raft groups have nothing against it."""
        return not self.ill and not self.missed

    @property
    def well(self) -> bool:
        return self.serves and not self.ssh and not self.units

    def lines(self) -> tuple[str, ...]:
        """In words, one matter a line."""
        found = [f"power: {self.power}" + (f" ({self.bmc})" if self.bmc else "")]
        if self.boot:
            found.append(f"boot: {self.boot}")
        found.append(f"SSH: {self.ssh or 'answers'}")
        if self.units:
            found.append(f"units that do not run: {', '.join(self.units)}")
        found += self.ill or ("services: healthy, as far as they can be asked",)
        found += self.missed or ("raft groups: nothing against it",)
        return tuple(found)


def next_cure(now: Condition, tried: frozenset[Cure] = frozenset()) -> Cure | None:
    """The smallest cure that was not tried and may do; None for a node that is well. Pure."""
    if now.well:
        return None
    if now.power is Power.OFF:
        return Cure.POWER_ON if Cure.POWER_ON not in tried else Cure.PERSON
    if now.ssh and now.serves:
        return Cure.PERSON  # only the way in is broken: a reboot would harm what works
    if now.units and not now.ssh and Cure.RESTART not in tried:
        return Cure.RESTART
    if now.lost and not now.ssh:
        return Cure.REPLACE  # it was removed: no restart brings it back with its old data
    if Cure.REBOOT not in tried and (not now.bmc or not now.ssh):
        return Cure.REBOOT
    if not now.ssh and Cure.ROLLBACK not in tried:
        return Cure.ROLLBACK
    return Cure.REPLACE if not now.bmc else Cure.PERSON


async def observe(node: str, site: Site) -> Condition:
    """Ask BMC, node, services and raft groups at once. Raises nothing: what does not answer is part of it."""
    (power, bmc), (ssh, units), ill, groups = await asyncio.gather(
        _power(node, site), _units(node, site), _services(node, site), groups_now(site)
    )
    missed, lost = _missed(groups, node, groups_of(node, site))
    return Condition(power, bmc, _boot(node, site), ssh, units, ill, missed, lost)


async def _power(node: str, site: Site) -> tuple[Power, str]:
    try:
        return await site.machines.controller(node).power(), ""
    except BmcError as error:
        return Power.UNKNOWN, clean_line(error.message)


def _boot(node: str, site: Site) -> str:
    boot = site.boots.current(node)
    if boot is None or boot.outcome != "stopped":
        return ""
    cause = boot.findings[0].cause if boot.findings else "nothing says why"
    return f"stopped after {boot.reached or 'the beginning'}: {cause}"


async def _units(node: str, site: Site) -> tuple[str, tuple[str, ...]]:
    """Why the node does not answer, and its units that should run and do not."""
    services = [f"{service}.service" for service in services_of(node, site)]
    try:
        host = site.hosts().system(node)
        failed = await host.run(FAILED_ARGV, limit=LOOK_LIMIT)
        states = await host.run(("systemctl", "is-active", *services), limit=LOOK_LIMIT) if services else None
    except CommandError as error:
        return clean_line(error.message), ()
    found = set(_failed(failed.out))
    if states is not None:
        words = states.out.decode(errors="replace").split()
        found |= {unit for unit, word in zip(services, words, strict=False) if word in ("failed", "inactive")}
    return "", tuple(sorted(found))


def _failed(out: bytes) -> tuple[str, ...]:
    try:
        return tuple(clean_line(str(unit["unit"]), 120) for unit in json.loads(out))
    except (ValueError, TypeError, KeyError, RecursionError):
        return ()


async def _services(node: str, site: Site) -> tuple[str, ...]:
    from plasmatui.cluster.health import HealthChecks

    seen = await HealthChecks(site.cluster()).node(node)
    return tuple(
        f"{each.service} {each.status}: {each.message}"
        for each in seen
        if each.askable and each.status is not Health.OK
    )


def _missed(groups: tuple[RaftGroup, ...], node: str, votes: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    found: list[str] = []
    lost = False
    for group in groups:
        member = group.member(node)
        if member is None and group.name in votes:
            found.append(f"{group.name}: it is no member" if group.leader else f"{group.name}: it has no leader")
            lost = lost or bool(group.leader)
        elif member is not None and not member.healthy:
            found.append(f"{group.name}: {member.condition}")
    return tuple(found), lost
