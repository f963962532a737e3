"""A node's first boot: its join units, its services, its place in the raft groups, as the node and the cluster tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plasmatui.model.command import CommandError
from plasmatui.model.event import LifecycleChanged
from plasmatui.model.operation import Step
from plasmatui.model.words import Lifecycle, Stage
from plasmatui.operations import health
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.cluster.join import JoinProgress

FIRST_BOOT_LIMIT = 900.0
"""Seconds for the join units; their own health check gives up after 120 (runbook, section 8.3)."""

JOIN_LIMIT = 600.0
READ_LIMIT = 30.0
JOIN_TRIES = 3
"""Further tries of a node without a vote."""

PACE = 1.0

MAX_LINES = 500
"""Lines of a join unit's journal that are read."""


def join_steps(node: str, site: Site) -> tuple[Step, ...]:
    """What is seen of the first boot of a node of this profile; nothing for one without services."""
    from plasmatui.cluster.join import UNITS

    services, groups = services_of(node, site), groups_of(node, site)
    found: list[Step] = []
    joins = groups or (groups_in(site) if services else ())
    units = " ".join(UNITS[group] for group in joins)
    if joins:
        text = "Start join units again that failed before"
        found.append(Step("start-join", text, f"ssh {node} systemctl restart {units}", READ_LIMIT))
    if groups:
        text = "Watch the join units of the first boot"
        found.append(Step("wait-first-boot", text, f"ssh {node} journalctl -o json -u ... ({units})", FIRST_BOOT_LIMIT))
    if services:
        found.append(Step("see-health", "Wait until its services are healthy", "GET /health of each", health.LIMIT))
    if groups:
        text = f"See it as a healthy voter of {' and '.join(groups)}"
        found.append(Step("see-joined", text, "GET /admin/cluster/members", JOIN_LIMIT))
    elif joins:
        text = "See it as a healthy member without a vote, where it has a join unit"
        found.append(Step("see-listed", text, "GET /admin/cluster/members", JOIN_LIMIT))
    return tuple(found)


def groups_in(site: Site) -> tuple[str, ...]:
    """The raft groups of the cluster by the inventory."""
    from plasmatui.cluster.members import GROUPS

    profiles = site.inventory().profiles.values()
    return tuple(group for group in GROUPS if any(group in profile.services for profile in profiles))


def groups_of(node: str, site: Site) -> tuple[str, ...]:
    """The raft groups that a node votes in by the inventory."""
    from plasmatui.cluster.members import GROUPS

    entry = site.inventory().nodes[node]
    services = services_of(node, site)
    return tuple(group for group in GROUPS if entry.voter and group in services)


def services_of(node: str, site: Site) -> tuple[str, ...]:
    """The services that the node's profile runs."""
    inventory = site.inventory()
    profile = inventory.profiles.get(inventory.nodes[node].profile)
    return profile.services if profile is not None else ()


async def see_join(work: NodeWork) -> None:
    """Do the steps of `join_steps`."""
    node, boots = work.node, work.site.boots
    services, groups = services_of(node, work.site), groups_of(node, work.site)
    joins = groups or (groups_in(work.site) if services else ())
    work.tell(LifecycleChanged(Lifecycle.JOINING))
    if joins and work.again:
        await work.act("start-join", lambda: _start_again(work, joins), seen=_may_be_repeated)
    elif joins:
        work.skip("start-join", "it is their first start")
    if groups:
        boots.stage(node, Stage.FIRST_BOOT, "running", "the join units of the first boot")
        await work.look("wait-first-boot", lambda: _first_boot(work, groups))
        boots.stage(node, Stage.FIRST_BOOT, "done", "the join units are through")
    if services:
        boots.stage(node, Stage.SERVICES_UP, "running", "the services of its profile")
        seen = await work.look("see-health", lambda: health.wait_healthy(work))
        boots.stage(node, Stage.SERVICES_UP, "done", seen)
    if groups:
        boots.stage(node, Stage.JOINING, "running", " and ".join(groups))
        told = await work.look("see-joined", lambda: _joined(work, groups))
        boots.stage(node, Stage.JOINING, "done", told)
        boots.stage(node, Stage.VOTER, "done", told)
    elif joins:
        boots.stage(node, Stage.JOINING, "running", "as a member without a vote")
        told = await work.look("see-listed", lambda: _listed(work, joins))
        boots.stage(node, Stage.JOINING, "done", told)
    boots.stage(node, Stage.HEALTHY, "done", "in service")
    work.tell(LifecycleChanged(Lifecycle.ACTIVE))


async def _may_be_repeated() -> bool:
    return False


async def _start_again(work: NodeWork, groups: tuple[str, ...]) -> None:
    """Start the join units that have failed; the others are left alone."""
    from plasmatui.cluster.join import UNITS

    host = system(work)
    for group in groups:
        state = await host.run(("systemctl", "is-active", UNITS[group]), limit=READ_LIMIT)
        if state.out.strip() == b"failed":
            work.log(f"{UNITS[group]} failed before; it is started again")
            await host.run(("systemctl", "restart", UNITS[group]), limit=READ_LIMIT)


async def _first_boot(work: NodeWork, groups: tuple[str, ...]) -> None:
    """Follow the join units until each has joined its group.

    Raises:
        NodeFailedError: "join-refused" or "first-boot-timeout" with the unit's own words.
    """
    from plasmatui.cluster.join import JoinState

    while True:
        found = [await _progress(work, group) for group in groups]
        refused = [each for each in found if each.state is JoinState.REFUSED]
        if refused:
            raise _refused(work, refused[0])
        if all(each.state in (JoinState.JOINED, JoinState.VOTER) or each.bootstrap for each in found):
            return
        work.progress("; ".join(f"{each.group}: {each.message or each.state}" for each in found))
        await asyncio.sleep(PACE)


async def _progress(work: NodeWork, group: str) -> JoinProgress:
    from plasmatui.cluster.join import UNITS, JoinProgress, progress

    argv = ("journalctl", "--output=json", f"--lines={MAX_LINES}", "--no-pager", f"--unit={UNITS[group]}")
    try:
        ran = await system(work).run(argv, limit=READ_LIMIT)
    except CommandError as error:
        if error.lasting:
            raise
        return JoinProgress(group, message=error.message)
    return progress(group, ran.out.decode(errors="replace").splitlines())


def _refused(work: NodeWork, found: JoinProgress) -> NodeFailedError:
    work.site.boots.stage(work.node, Stage.FIRST_BOOT, "failed", found.message)
    text = f"{work.node}: {found.group}: {found.reason}. {found.remedy}"
    return NodeFailedError(found.finding, text.strip(), (found.message,))


async def _listed(work: NodeWork, groups: tuple[str, ...]) -> str:
    """As `_joined`, for a node without a vote: those groups count for which it has a join unit that says something."""
    from plasmatui.cluster.join import JoinState

    found = [await _progress(work, group) for group in groups]
    joins = tuple(each.group for each in found if each.state is not JoinState.UNKNOWN)
    if not joins:
        return "no join unit of the node says anything"
    for again in range(JOIN_TRIES, -1, -1):
        try:
            await _first_boot(work, joins)
            break
        except NodeFailedError as error:
            if not again:
                raise
            await _led(work, joins, error)
            await _start_again(work, joins)
            await asyncio.sleep(PACE)  # until the unit speaks again
    return await _joined(work, joins)


async def _led(work: NodeWork, groups: tuple[str, ...], error: NodeFailedError) -> None:
    """Wait until the groups are led: a node that came up before the voters that are made with it was refused for that.

    Raises:
        NodeFailedError: `error`, when that does not happen in half of the step's limit.
    """
    from plasmatui.cluster.members import read_group

    work.log(f"{error.message}; it is tried again when {' and '.join(groups)} have a leader")
    try:
        async with asyncio.timeout(JOIN_LIMIT / 2):
            for group in groups:
                while not (await read_group(work.site.cluster(), group)).leader:
                    work.progress(f"{group} has no leader yet")
                    await asyncio.sleep(PACE)
    except TimeoutError:
        raise error from None


async def _joined(work: NodeWork, groups: tuple[str, ...]) -> str:
    """Wait until every group lists the node as a healthy voter, or member where it has no vote; what was seen.

    Raises:
        NodeFailedError: "join-refused" when the step's limit nears.
    """
    from plasmatui.cluster.members import read_group
    from plasmatui.cluster.services import joined

    end = asyncio.get_running_loop().time() + JOIN_LIMIT * 0.95
    votes = groups_of(work.node, work.site)
    while True:
        seen = []
        for group in groups:
            told = await read_group(work.site.cluster(), group)
            member = told.member(work.node)
            shown = joined(told, work.node)
            seen.append((bool(shown.ok) and member is not None and (member.voter or group not in votes), shown.message))
        text = "; ".join(message for _, message in seen)
        if all(ok for ok, _ in seen):
            return text
        work.progress(text)
        if asyncio.get_running_loop().time() >= end:
            raise NodeFailedError("join-refused", f"{work.node}: {text}", tuple(message for _, message in seen))
        await asyncio.sleep(PACE)
