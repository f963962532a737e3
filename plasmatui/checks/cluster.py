"""Raft groups and services, as they are against what the inventory says."""

from __future__ import annotations

from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, UNKNOWN, WARNING, Found, skipped, together
from plasmatui.model.words import Health

_NO_GROUP = "no profile runs a raft group"


async def voters(context: Context) -> Found:
    names = [node.name for node in context.nodes if node.voter]
    if not names:
        return skipped("no profile votes")
    fix = "give another node a profile with voter: true, or take one away"
    if len(names) % 2 == 0:
        return Found(
            WARNING, f"{len(names)} vote: one more would cost nothing, one less loses nothing", fix, tuple(names)
        )
    if len(names) < 3:
        return Found(WARNING, f"{len(names)} votes: the cluster stands and falls with it", fix, tuple(names))
    return Found(OK, f"{len(names)} vote")


async def _groups(context: Context) -> dict[str, object]:
    from plasmatui.cluster.members import read_groups

    return {group.name: group for group in await read_groups(context.cluster())}


def _formed(context: Context) -> str:
    """Why there is no cluster to look at yet, "" when there should be one."""
    voting = {node.name for node in context.nodes if node.voter}
    return "" if voting & set(context.running) else "no voter is on"


async def members(context: Context) -> Found:
    from plasmatui.cluster.members import RaftGroup

    nothing = _formed(context)
    if nothing:
        return skipped(nothing)
    voting = {node.name for node in context.nodes if node.voter}
    found = {}
    for name, group in (await context.once("groups", lambda: _groups(context))).items():
        assert isinstance(group, RaftGroup)
        if not group.readable:
            causes = "; ".join(f"{node}: {cause}" for node, cause in list(group.unknown.items())[:2])
            found[name] = Found(UNKNOWN, f"no member tells ({causes})", f"systemctl status {name} on the voters")
            continue
        expected = {node for node in context.cluster().nodes_of(name) if node in voting}
        live = {member.node for member in group.voters}
        strange = [member.id for member in group.voters if not member.node]
        missing = expected - live
        told = [
            *([f"{', '.join(sorted(missing))} should vote and does not"] if missing else []),
            *([f"{', '.join(strange)} votes and is in no inventory"] if strange else []),
            *([f"{', '.join(sorted(live - expected - {''}))} votes and should not"] if live - expected - {""} else []),
            *([f"the members disagree on {group.disagreement}"] if group.disagreement else []),
            *(["no leader that a majority agrees on"] if not group.leader else []),
        ]
        fix = f"look at `journalctl -u {name}` on the nodes named"
        found[name] = Found(FAILED, "; ".join(told), fix) if told else Found(OK)
    return together(found, "{} groups", _NO_GROUP)


async def margin(context: Context) -> Found:
    from plasmatui.cluster.members import RaftGroup

    nothing = _formed(context)
    if nothing:
        return skipped(nothing)
    found = {}
    for name, group in (await context.once("groups", lambda: _groups(context))).items():
        assert isinstance(group, RaftGroup)
        healthy, count = sum(member.healthy for member in group.voters), len(group.voters)
        needed = count // 2 + 1
        sick = ", ".join(
            f"{member.node or member.id} {member.condition}" for member in group.voters if not member.healthy
        )
        fix = f"bring back the voters that are away: journalctl -u {name}"
        if not group.readable:
            found[name] = Found(UNKNOWN, "no member tells", f"systemctl status {name} on the voters")
        elif healthy < needed:
            found[name] = Found(FAILED, f"its majority is lost: {healthy} of {count} voters healthy ({sick})", fix)
        elif healthy == needed and count > 1:
            found[name] = Found(WARNING, f"one more lost voter breaks it: {healthy} of {count} healthy ({sick})", fix)
        else:
            found[name] = Found(OK)
    return together(found, "{} groups", _NO_GROUP)


async def health(context: Context) -> Found:
    from plasmatui.cluster.health import HealthChecks

    running = context.running
    if not running:
        return skipped("no node with services is on")
    cycle = await HealthChecks(context.cluster()).cycle(running)
    found = {}
    for node, services in cycle.items():
        wrong = [each for each in services if each.askable and each.status is not Health.OK]
        if not services:
            continue
        if not wrong:
            found[node] = Found(OK)
            continue
        state = FAILED if any(each.status is Health.FAILED for each in wrong) else WARNING
        if all(each.status is Health.UNKNOWN for each in wrong):
            state = FAILED if context.installed(node) else UNKNOWN
        text = "; ".join(f"{each.service} {each.status.value}: {each.message}" for each in wrong[:3])
        found[node] = Found(
            state, text, next((e.remedy for e in wrong if e.remedy), f"journalctl -u {wrong[0].service}")
        )
    return together(found, "of {} nodes", "no node with services is on")
