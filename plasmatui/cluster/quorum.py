"""The guard: whether machines may be disturbed without breaking the majority of a raft group. Pure functions.

A voter counts only when it is known to be healthy and nothing disturbs it: those in transition and those of which
nothing is known are lost ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from plasmatui.cluster.members import Member, RaftGroup


@dataclass(frozen=True)
class Verdict:
    """Whether a disruptive step may be done, by the group that decides: the one that refuses, else the tightest.

    Attributes:
        group: "" when no raft group is concerned.
        healthy_left: healthy voters that remain without the targets and those that are away already.
        voters, needed: how many vote, and how many are a majority. 0 when not known.
        reason: one sentence with the counts.
        warnings: what to know although it is allowed, or besides.
    """

    allowed: bool
    group: str = ""
    healthy_left: int = 0
    voters: int = 0
    needed: int = 0
    reason: str = ""
    warnings: tuple[str, ...] = ()


def verdict(
    groups: Sequence[RaftGroup],
    targets: frozenset[str],
    away: frozenset[str],
    *,
    voters: frozenset[str] = frozenset(),
    bootstrapping: bool = False,
) -> Verdict:
    """Judge disturbing `targets` all at once.

    Args:
        groups: as just read; one that is missing here is not judged.
        targets: names of nodes that the step takes away.
        away: nodes that running operations hold disruptively.
        voters: nodes that vote by the inventory; decides where a group cannot be read or a member is not recognised.
        bootstrapping: the cluster is known not to exist yet (no node of it is installed): a group that nobody tells
            anything of, or whose healthy voters are no targets, then does not refuse.
    """
    judged = [_judge(group, targets, away, voters, bootstrapping) for group in groups]
    concerned = [found for found in judged if found.group]
    warnings = tuple(dict.fromkeys(warning for found in judged for warning in found.warnings))
    if not concerned:
        return Verdict(True, reason="no voter of a raft group is concerned", warnings=warnings)
    decides = min(concerned, key=lambda found: (found.allowed, found.healthy_left - found.needed))
    return Verdict(
        decides.allowed,
        decides.group,
        decides.healthy_left,
        decides.voters,
        decides.needed,
        "; ".join(found.reason for found in concerned if found.allowed == decides.allowed),
        warnings,
    )


def rest(
    groups: Sequence[RaftGroup], leavers: frozenset[str], away: frozenset[str], *, voters: frozenset[str] = frozenset()
) -> Verdict:
    """Judge removing `leavers` from the groups for good: what is left must keep its majority, and be able to lose one
    more voter. Arguments as for `verdict`."""
    judged = [_judge_rest(group, leavers, away, voters) for group in groups]
    concerned = [found for found in judged if found.group]
    warnings = tuple(dict.fromkeys(warning for found in judged for warning in found.warnings))
    if not concerned:
        return Verdict(True, reason="no voter of a raft group is concerned", warnings=warnings)
    decides = min(concerned, key=lambda found: (found.allowed, found.healthy_left - found.needed))
    reason = "; ".join(found.reason for found in concerned if found.allowed == decides.allowed)
    return replace(decides, reason=reason, warnings=warnings)


def _judge_rest(group: RaftGroup, leavers: frozenset[str], away: frozenset[str], voters: frozenset[str]) -> Verdict:
    """One group without its leavers; its `group` is "" when none of them votes there."""
    if not group.readable or not group.voters:
        return _untold(group, leavers & voters, bootstrapping=False)
    left = [member for member in group.voters if member.node not in leavers]
    if len(left) == len(group.voters):
        return Verdict(True)
    healthy = sum(member.healthy and member.node not in away for member in left)
    counted, needed = len(left), len(left) // 2 + 1
    told = f"{group.name}: without {_named(leavers & {m.node for m in group.voters})} {counted} voters would be left"
    if healthy < needed:
        reason = f"{told}, {healthy} of them healthy, and {needed} are a majority"
    elif counted == needed:
        reason = f"{told}, which may not lose one more"
    else:
        even = f", an even number that bears no more losses than {counted - 1}" if counted % 2 == 0 else ""
        reason = f"{told}, {healthy} of them healthy{even}"
    allowed = healthy >= needed < counted
    return Verdict(allowed, group.name, healthy, counted, needed, reason)


def _judge(
    group: RaftGroup, targets: frozenset[str], away: frozenset[str], voters: frozenset[str], bootstrapping: bool
) -> Verdict:
    """One group's verdict; its `group` is "" when no target votes there."""
    if not group.readable or not group.voters:
        return _untold(group, targets & voters, bootstrapping)
    # A member that is on no known node may be any voter of the inventory that no member is on.
    strangers = sum(member.healthy for member in group.voters if not member.node)
    unplaced = voters - {member.node for member in group.members} if _stranger(group) else frozenset()
    hit = [member for member in group.voters if member.node in targets]
    if not hit and not targets & unplaced:
        return Verdict(True, warnings=_standing(group, targets, away, voters))
    down = targets | away
    left = _healthy(group.voters, down) + max(0, strangers - len(down & unplaced))
    before = _healthy(group.voters, away - targets) + max(0, strangers - len((away - targets) & unplaced))
    counted, needed = len(group.voters), len(group.voters) // 2 + 1
    allowed = left >= needed
    reason = _reason(group, targets, away, before, left, needed)
    warnings = _warnings(group, targets)
    if not allowed and bootstrapping and not any(member.healthy for member in hit) and not targets & unplaced:
        told = f"{group.name}: {_named(targets)} did not join yet, the cluster is being formed"
        return Verdict(True, group.name, left, counted, needed, told, warnings)
    if allowed and left == needed:
        warnings += (f"{group.name}: one more lost voter breaks the majority",)
    return Verdict(allowed, group.name, left, counted, needed, reason, warnings)


def _untold(group: RaftGroup, concerned: frozenset[str], bootstrapping: bool) -> Verdict:
    """Nobody tells anything of the group."""
    if group.readable:
        told = f"{group.name}: {', '.join(group.asked)} lists no voter"
    else:
        causes = "; ".join(f"{node}: {cause}" for node, cause in list(group.unknown.items())[:3])
        told = f"{group.name}: its members cannot be read ({causes or 'there is nobody to ask'})"
    if bootstrapping:
        return Verdict(True, warnings=(f"{told}; there is no cluster yet",))
    if not concerned:
        return Verdict(True, warnings=(told,))
    many = "are voters" if len(concerned) > 1 else "is a voter"
    reason = f"{told}, and {_named(concerned)} {many} by the inventory: a majority cannot be shown"
    return Verdict(False, group.name, reason=reason)


def _stranger(group: RaftGroup) -> bool:
    return any(not member.node for member in group.voters)


def _healthy(members: Iterable[Member], down: frozenset[str]) -> int:
    """Healthy voters on known nodes that are not down."""
    return sum(member.healthy and member.node not in down for member in members if member.node)


def _reason(
    group: RaftGroup, targets: frozenset[str], away: frozenset[str], before: int, left: int, needed: int
) -> str:
    lost = [f"{m.id} {_condition(group, m)}" for m in group.voters if not m.healthy]
    lost += [f"{m.id} in transition" for m in group.voters if m.healthy and m.node and m.node in away - targets]
    named = f" ({', '.join(lost)})" if lost else ""
    counts = f"{group.name}: {before} of {len(group.voters)} voters healthy{named}"
    be = "is" if needed == 1 else "are"
    if before < needed:
        return f"{counts}: the majority is lost already, {needed} {be} needed"
    return f"{counts}; without {_named(targets)} {left} would be left, {needed} {be} needed"


def _condition(group: RaftGroup, member: Member) -> str:
    """Why a member does not count; the words of a failed question where its own API was asked."""
    return group.unknown.get(member.node, member.condition) if member.answers is False else member.condition


def _warnings(group: RaftGroup, targets: frozenset[str]) -> tuple[str, ...]:
    found = []
    if group.leader_node in targets:
        found.append(f"{group.name}: {group.leader_node} leads; another leader will be elected")
    if not group.leader:
        found.append(f"{group.name}: no leader is known")
    if group.disagreement:
        found.append(f"{group.name}: its members disagree on {group.disagreement}")
    if not group.verified:
        found.append(f"{group.name}: told over TLS that was not verified")
    return tuple(found)


def _standing(
    group: RaftGroup, targets: frozenset[str], away: frozenset[str], voters: frozenset[str]
) -> tuple[str, ...]:
    """What to know of a group that no target votes in."""
    found: tuple[str, ...] = ()
    strange = (targets & voters) - {member.node for member in group.members}
    if strange:
        found += (f"{group.name}: {_named(strange)} should vote by the inventory, but the group does not list it",)
    healthy, needed = sum(m.healthy and m.node not in away for m in group.voters), len(group.voters) // 2 + 1
    if healthy < needed:
        found += (f"{group.name}: its majority is lost: {healthy} of {len(group.voters)} voters healthy",)
    return found


def _named(nodes: Iterable[str]) -> str:
    names = sorted(nodes)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
