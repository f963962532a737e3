"""What a look at services and raft groups means: states for clients, findings of nodes. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from plasmatui.cluster.health import ServiceHealth
from plasmatui.cluster.members import RaftGroup
from plasmatui.model.findings import FINDINGS
from plasmatui.model.health import GroupState, MemberState, NodeServices, ServiceState
from plasmatui.model.node import Finding, NodeState
from plasmatui.model.words import Health, Lifecycle, Power, Severity
from plasmatui.text import clean_line

SERVICE_FINDINGS: Final = (
    "service-silent",
    "service-unhealthy",
    "certificate-expired",
    "certificate-untrusted",
    "certificate-ends-soon",
    "clock-skew",
)
QUORUM_FINDINGS: Final = ("quorum-lost", "quorum-at-risk")

EVIDENCE: Final = 8
"""Lines of evidence of a finding at most."""

NOTABLE_FACTOR: Final = 2.0
NOTABLE_MS: Final = 20.0
"""A latency is told anew when it differs by both: everything else is noise, and would wake every client."""

SOON: Final = 30 * 86400.0
"""Seconds before its end from which on a certificate is told to end soon."""

SKEW: Final = 5.0
"""Seconds that a node's clock may be off."""

NOTABLE_SKEW: Final = 1.0
"""A skew is told anew when it differs by this: a `Date` has whole seconds."""

_AWAY: Final = frozenset(Lifecycle) - {Lifecycle.ACTIVE, Lifecycle.ENROLLED, Lifecycle.VERIFIED, Lifecycle.DISCOVERED}
"""Where a node stands while its services are off on purpose, or not there yet."""


def silence_is_wrong(state: NodeState, answered: float | None) -> bool:
    """Whether services should answer: not of a machine that is off, boots, is worked on or out of service, and not
    of one that never was in the cluster.

    Args:
        answered: Unix seconds when a service of the node last answered, 0 for a former engine's time, None for never.
    """
    if state.power.value is Power.OFF or state.operation or state.lifecycle in _AWAY:
        return False
    stage = state.stage
    if stage is not None and stage.outcome != "healthy" and (answered or 0.0) <= stage.since:
        return False
    return answered is not None or state.lifecycle is Lifecycle.ACTIVE


def services_of(node: str, found: Collection[ServiceHealth], before: NodeServices | None, off: bool) -> NodeServices:
    """A node's services for clients; a latency that hardly changed stays as it was."""
    told = []
    for each in found:
        latency = round((each.latency or 0.0) * 1000, 1)
        old = before.service(each.service) if before is not None else None
        if old is not None and not _notable(old.latency_ms, latency):
            latency = old.latency_ms
        silent = each.status is Health.UNKNOWN and each.finding == "service-silent"
        message = "the node is off" if off and silent else each.message
        told.append(
            ServiceState(
                each.service,
                each.status,
                clean_line(message, 300),
                each.since,
                latency,
                each.verified,
                "" if off and silent else each.finding,
                "" if off and silent else clean_line(each.remedy, 300),
                each.askable,
                each.ends or (old.ends if old is not None else 0.0),
            )
        )
    return NodeServices(node, tuple(told), _skew(told_skew(found), before))


def told_skew(found: Iterable[ServiceHealth]) -> float | None:
    """Seconds that a node's clock is ahead: the least that one of its services tells, for a late answer adds some."""
    return min((each.skew for each in found if each.skew is not None), key=abs, default=None)


def _skew(skew: float | None, before: NodeServices | None) -> float | None:
    """A skew that hardly changed stays as it was, and one that is not told now as it was last."""
    old = before.skew if before is not None else None
    if skew is None or (old is not None and abs(skew - old) < NOTABLE_SKEW):
        return old
    return skew


def _notable(before: float, after: float) -> bool:
    if not before or not after:
        return before != after
    return abs(after - before) >= NOTABLE_MS and max(before, after) >= NOTABLE_FACTOR * min(before, after)


def reason(found: Iterable[ServiceHealth]) -> str:
    """Which services keep a node from being well: "iam failed, flashdns silent"."""
    named = [
        f"{each.service} {each.status if each.status is not Health.UNKNOWN else 'silent'}"
        for each in found
        if each.askable and each.status is not Health.OK
    ]
    return ", ".join(named)


def service_findings(found: Collection[ServiceHealth], now: float, *, silence_wrong: bool) -> dict[str, Finding]:
    """The findings of one node by id, with the services as evidence."""
    lines: dict[str, list[ServiceHealth]] = {}
    for each in found:
        if each.status in (Health.FAILED, Health.DEGRADED):
            lines.setdefault("service-unhealthy", []).append(each)
        elif each.finding and each.askable and (each.finding != "service-silent" or silence_wrong):
            lines.setdefault(each.finding, []).append(each)
    findings = {
        id_: _finding(id_, now, [f"{each.service}: {each.message}" for each in services])
        for id_, services in lines.items()
        if id_ in FINDINGS
    }
    unwell = findings.get("service-unhealthy")
    if unwell is not None and all(each.status is Health.DEGRADED for each in lines["service-unhealthy"]):
        findings["service-unhealthy"] = replace(unwell, severity=Severity.WARNING)
    return _ending(found, now) | findings | _skewed(found, now)


def _ending(found: Iterable[ServiceHealth], now: float) -> dict[str, Finding]:
    """Of services that answer: one whose certificate ended meanwhile does so over connections of before only."""
    days: dict[int, list[str]] = {}
    ended: list[str] = []
    for each in found:
        if each.ends and each.ends <= now:
            ended.append(f"{each.service}: its certificate has ended; it answers over connections of before only")
        elif each.ends and each.ends < now + SOON:
            days.setdefault(int((each.ends - now) // 86400), []).append(each.service)
    lines = [f"{', '.join(names)}: it ends in {count} days" for count, names in sorted(days.items())]
    findings = {"certificate-expired": ended, "certificate-ends-soon": lines}
    return {id_: _finding(id_, now, evidence) for id_, evidence in findings.items() if evidence}


def _skewed(found: Iterable[ServiceHealth], now: float) -> dict[str, Finding]:
    skew = told_skew(found)
    if skew is None or abs(skew) <= SKEW:
        return {}
    side = "ahead of" if skew > 0 else "behind"
    return {"clock-skew": _finding("clock-skew", now, [f"its clock is {_span(abs(skew))} {side} this host's"])}


def _span(seconds: float) -> str:
    """A skew in words that stay the same while it hardly changes."""
    return f"about {seconds / 60:.0f} minutes" if seconds >= 90 else f"about {seconds:.0f} s"


def _finding(id_: str, now: float, evidence: Sequence[str]) -> Finding:
    kind = FINDINGS[id_]
    lines = tuple(clean_line(text, 300) for text in evidence[:EVIDENCE])
    return Finding(kind.id, kind.severity, kind.cause, kind.remedy, now, lines)


def group_state(group: RaftGroup, before: GroupState | None, now: float) -> GroupState:
    """A raft group for clients; `since` is kept while leader and counts are."""
    members = tuple(
        MemberState(
            clean_line(each.id, 64),
            each.node,
            clean_line(each.role, 32),
            each.voter,
            each.healthy,
            clean_line(group.unknown.get(each.node, each.condition) if each.answers is False else each.condition, 200),
        )
        for each in group.members
    )
    voters = [each for each in members if each.voter]
    if group.readable and voters:
        message = f"its members disagree on {group.disagreement}" if group.disagreement else ""
    elif group.readable:
        message = f"{', '.join(group.asked)} lists no voter"
    else:
        causes = "; ".join(f"{node}: {cause}" for node, cause in list(group.unknown.items())[:3])
        message = f"its members cannot be read: {causes or 'there is nobody to ask'}"
    state = GroupState(
        group.name,
        members,
        clean_line(group.leader_node or group.leader, 64),
        sum(each.healthy for each in voters),
        len(voters),
        len(voters) // 2 + 1 if voters else 0,
        group.readable,
        clean_line(message, 300),
        now,
        group.verified,
    )
    same = before is not None and _standing(before) == _standing(state)
    return replace(state, since=before.since) if same and before is not None else state


def _standing(group: GroupState) -> tuple[object, ...]:
    return group.readable, group.leader, group.healthy, group.voters


def news_of(before: GroupState | None, after: GroupState) -> str:
    """A line for people when another member leads; "" when there is no such news."""
    if before is None or not before.readable or not after.readable or before.leader == after.leader:
        return ""
    if not after.leader:
        return f"{after.name}: no leader is known, before it was {before.leader}"
    return f"{after.name}: {after.leader} leads" + (f", before it was {before.leader}" if before.leader else "")


def quorum_findings(
    groups: Iterable[GroupState], voters: Mapping[str, Collection[str]], now: float
) -> dict[str, dict[str, Finding]]:
    """Findings by node and id: every voter of a group whose majority is lost or hangs on one is concerned.

    Args:
        voters: nodes that vote by the inventory, by group; for members that fit no node.
    """
    evidence: dict[str, dict[str, list[str]]] = {}
    for group in groups:
        id_ = "quorum-lost" if group.lost else "quorum-at-risk" if group.at_risk else ""
        if not id_:
            continue
        missing = ", ".join(f"{each.id} {each.condition}" for each in group.members if each.voter and not each.healthy)
        counts = f"{group.name}: {group.healthy} of {group.voters} voters healthy, {group.needed} are needed"
        line = f"{counts}; {missing}" if missing else counts
        nodes = {each.node for each in group.members if each.voter and each.node} or set(voters.get(group.name, ()))
        for node in nodes:
            evidence.setdefault(node, {}).setdefault(id_, []).append(line)
    return {node: {id_: _finding(id_, now, lines) for id_, lines in by_id.items()} for node, by_id in evidence.items()}
