"""Who is in a raft group, and who leads it, as told by its members (runbook, sections 5.4, 6.2, 6.3 and 7.2).

One member may be wrong: a node that was cut off sees the others as dead. So several are asked, and the leader that
a majority of the voters names, itself included, is believed. Where there is none, only what all agree on counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

from plasmatui.cluster.clients import Answer, ClusterClients, refusal
from plasmatui.cluster.errors import REJECTED, SILENT, ServiceError
from plasmatui.cluster.shapes import Json, flag, mapping, records, text, usable_id
from plasmatui.inventory.inventory import Inventory

GROUPS: Final = ("chainfire", "flaredb")
ASKED_LIMIT: Final = 9
"""Members that are asked at most; raft groups are smaller, and more voices change nothing."""
HEALTHY_WORDS: Final = frozenset({"healthy", "ok", "up", "alive", "active", "online"})
_NO_VOTE: Final = frozenset({"learner", "observer", "non-voter", "nonvoter", "witness", "standby"})


@dataclass(frozen=True)
class Member:
    """One member of a raft group.

    Attributes:
        node: its name in the inventory, "" when none fits.
        status: the group's word for it ("healthy" ...), "" when it gives none.
        role: "leader", "follower" or what the group says.
        answers: whether its own API answered; None when it was not asked.
    """

    id: str
    node: str
    raft_addr: str = ""
    status: str = ""
    role: str = ""
    voter: bool = True
    answers: bool | None = None

    @property
    def healthy(self) -> bool:
        """Whether it counts for a majority: the group says healthy, and it did not stay silent when asked."""
        return self.status.lower() in HEALTHY_WORDS and self.answers is not False

    @property
    def condition(self) -> str:
        """Why it counts or not, in a word or two."""
        if self.answers is False:
            return "does not answer"
        return self.status or "status unknown"


@dataclass(frozen=True)
class RaftGroup:
    """A raft group as several of its members see it.

    Attributes:
        name: of the service.
        leader: member id of the leader that a majority of the voters names; "" when there is none or it is not known.
        disagreement: what the members tell differently, one sentence; "" when they agree.
        asked: nodes that answered.
        unknown: nodes that were asked and could not tell, with why.
        verified: False when an answer came over TLS that was not verified.
    """

    name: str
    members: tuple[Member, ...] = ()
    leader: str = ""
    disagreement: str = ""
    asked: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    verified: bool = True

    @property
    def readable(self) -> bool:
        return bool(self.asked)

    @property
    def voters(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.voter)

    @property
    def leader_node(self) -> str:
        """Inventory name of the leader, "" when not known."""
        return next((member.node for member in self.members if member.id == self.leader), "") if self.leader else ""

    def member(self, node: str) -> Member | None:
        """The member on a node of the inventory, or None."""
        return next((member for member in self.members if member.node == node), None)


@dataclass(frozen=True)
class View:
    """A group as one of its members tells it. `node`: who told; `leader`: the id it names, "" for none."""

    node: str
    members: tuple[Member, ...]
    leader: str = ""
    verified: bool = True


async def read_groups(clients: ClusterClients) -> tuple[RaftGroup, ...]:
    """Every raft group that a profile of the inventory runs, all at once. Raises nothing."""
    names = [name for name in GROUPS if clients.nodes_of(name)]
    return tuple(await asyncio.gather(*(read_group(clients, name) for name in names)))


async def read_group(clients: ClusterClients, name: str) -> RaftGroup:
    """Ask several members of a group at once and put together what they say. Raises nothing."""
    nodes = clients.nodes_of(name)[:ASKED_LIMIT]
    told = await asyncio.gather(*(read_view(clients, node, name) for node in nodes), return_exceptions=True)
    views: list[View] = []
    unknown: dict[str, str] = {}
    for node, found in zip(nodes, told, strict=True):
        if isinstance(found, View):
            views.append(found)
        elif isinstance(found, ServiceError):
            unknown[node] = found.cause
        else:
            raise found
    return agreed(name, views, unknown)


async def read_view(clients: ClusterClients, node: str, name: str) -> View:
    """The group as one member tells it.

    Raises:
        ServiceError: it does not answer, or its answer names no members.
    """
    answer, leader = await asyncio.gather(
        clients.get(node, name, "/admin/cluster/members"), _told_leader(clients, node, name)
    )
    found = parse_members(answer.body, clients.inventory)
    if found is None:
        raise ServiceError(REJECTED, node, name, "its answer to /admin/cluster/members lists no members")
    leads = next((member.id for member in found if member.role.lower() == "leader"), "")
    return View(node, found, leader or leads, answer.verified)


async def _told_leader(clients: ClusterClients, node: str, name: str) -> str:
    """`GET /admin/cluster/leader`: the documents do not say what it answers; the members' roles say it as well."""
    try:
        body = (await clients.get(node, name, "/admin/cluster/leader")).body
    except ServiceError:
        return ""
    return parse_leader(body)


def parse_leader(body: Json) -> str:
    """The id of the leader in any of the shapes that name one; "" when there is none."""
    if isinstance(body, str):
        return body
    record = mapping(body)
    inner = mapping(record.get("leader"))
    return text(inner, "id", "node_id", "name") or text(record, "leader", "leader_id", "id", "node_id")


def parse_members(body: Json, inventory: Inventory) -> tuple[Member, ...] | None:
    """The members of an answer of `/admin/cluster/members`; None when it lists none. A member without id is kept."""
    found = records(body, "members")
    if found is None:
        return None
    members: dict[str, Member] = {}
    for number, record in enumerate(found):
        name, address = text(record, "name", "node", "node_id"), text(record, "raft_addr", "peer_addr", "address")
        id_ = text(record, "id", "member_id") or name or address or f"#{number + 1}"
        role = text(record, "role", "raft")
        votes = flag(record, "voter", "voting")
        if votes is None:
            learns = flag(record, "learner", "is_learner") or role.lower() in _NO_VOTE
            votes = not learns
        members[id_] = Member(
            id=id_,
            node=node_of(inventory, id_, name, address),
            raft_addr=address,
            status=text(record, "status", "state", "health"),
            role=role,
            voter=votes,
        )
    return tuple(members.values())


def node_of(inventory: Inventory, id: str, name: str = "", raft_addr: str = "") -> str:  # noqa: A002
    """The inventory's node that a member is on, by its id, its name, or the host of its raft address; "" for none."""
    suffix = f".{inventory.domain}" if inventory.domain else ""
    host = raft_addr.rpartition(":")[0].strip("[]") if ":" in raft_addr else raft_addr
    for candidate in (id, name, host):
        short = candidate.removesuffix(suffix) if suffix else candidate
        if short in inventory.nodes:
            return short
    if host:
        for node in inventory.nodes.values():
            if host in (node.production_ip, node.provisioning_ip):
                return node.name
    return ""


def agreed(name: str, views: Sequence[View], unknown: Mapping[str, str]) -> RaftGroup:
    """One group out of several views: the believed leader's own, else only what all agree on. Pure.

    A leader is believed when its own view and those of more than half of the voters name it. Without one, a member
    that somebody lists is a member, that somebody calls a voter is a voter, and is healthy only if all say so.
    """
    differences = _differences(views)
    leader, view = _believed(views)
    members = view.members if view is not None else _union(views)
    answering = {view.node for view in views}
    seen = tuple(
        replace(member, answers=True if member.node in answering else False if member.node in unknown else None)
        for member in members
    )
    return RaftGroup(
        name=name,
        members=seen,
        leader=leader,
        disagreement="; ".join(differences),
        asked=tuple(view.node for view in views),
        unknown=dict(unknown),
        verified=all(view.verified for view in views),
    )


def _believed(views: Sequence[View]) -> tuple[str, View | None]:
    named = Counter(view.leader for view in views if view.leader)
    for leader, count in named.most_common():
        own = next((view for view in views if _is_member(view, leader) and view.leader == leader), None)
        if own is not None and count * 2 > sum(member.voter for member in own.members):
            return leader, own
    return "", None


def _is_member(view: View, id_: str) -> bool:
    return any(member.id == id_ and member.node == view.node for member in view.members)


def _union(views: Sequence[View]) -> tuple[Member, ...]:
    merged: dict[str, Member] = {}
    for member in (member for view in views for member in view.members):
        held = merged.setdefault(member.id, member)
        worse = member if held.healthy and not member.healthy else held
        merged[member.id] = replace(worse, voter=held.voter or member.voter, node=held.node or member.node)
    everywhere = set(merged).intersection(*({member.id for member in view.members} for view in views))
    return tuple(
        member if member.id in everywhere else replace(member, status="listed by some members only")
        for member in merged.values()
    )


def _differences(views: Sequence[View]) -> list[str]:
    told = []
    leaders = {view.leader for view in views}
    if len(leaders) > 1:
        said = ", ".join(f"{view.node} says {view.leader or 'none'}" for view in views)
        told.append(f"the leader: {said}")
    if len({frozenset(member.id for member in view.members) for view in views}) > 1:
        said = ", ".join(f"{view.node} lists {len(view.members)}" for view in views)
        told.append(f"the members: {said}")
    words: dict[str, set[str]] = {}
    for member in (member for view in views for member in view.members):
        words.setdefault(member.id, set()).add(member.status or "unknown")
    told += [f"{id_}: {' or '.join(sorted(found))}" for id_, found in words.items() if len(found) > 1]
    return told


async def remove_member(clients: ClusterClients, group: RaftGroup, id: str) -> Answer:  # noqa: A002
    """Remove a member by its id, at the leader. It being gone already (404) is success; read the group afterwards.

    Raises:
        ServiceError: nobody took it; `uncertain` when it may have taken effect.
        ValueError: the id cannot be sent back as it came.
    """
    if not usable_id(id):
        raise ValueError(f"{group.name}: the member id {id!r} cannot stand in a request")
    gone = (404, 410)
    leaver = next((member.node for member in group.members if member.id == id), "")
    return await _change(clients, group, "DELETE", f"/admin/member/{quote(id, safe='')}", None, gone, leaver)


async def _change(
    clients: ClusterClients,
    group: RaftGroup,
    method: str,
    path: str,
    body: Mapping[str, str] | None,
    already: Iterable[int],
    leaver: str = "",
) -> Answer:
    """At the leader, then at the others; at another one only when it is certain that nothing was done."""
    others = [node for node in group.asked if node != group.leader_node]
    order = [group.leader_node] if group.leader_node else []
    order += sorted(others, key=lambda node: node == leaver)  # the one that leaves is asked last
    failure = ServiceError(SILENT, "the cluster", group.name, "no member answers that could change the membership")
    for node in order:
        try:
            answer = await clients.ask(method, node, group.name, path, body)
            if 200 <= answer.status < 300 or answer.status in already:
                return answer
            raise refusal(answer, f"{method} {path}")
        except ServiceError as error:
            failure = error
            if error.uncertain or (error.id == REJECTED and error.status not in _NOT_LEADER):
                break
    raise failure


_NOT_LEADER: Final = frozenset({307, 308, 421})
"""Statuses that send to another member; nothing was done."""
