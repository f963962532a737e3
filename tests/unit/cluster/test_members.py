"""Raft groups as their members tell them: shapes, leaders that are believed, disagreement, changes of membership."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cluster.errors import ServiceError
from plasmatui.cluster.members import (
    Member,
    RaftGroup,
    View,
    agreed,
    node_of,
    parse_leader,
    parse_members,
    read_groups,
    remove_member,
)
from plasmatui.cluster.shapes import Altered, cleaned
from tests.unit.cluster.stub import Issuer, Reply, inventory, rig, steady

ADDRESSES = {"node01": "10.0.200.10", "node02": "10.0.200.11", "node03": "10.0.200.12"}
THREE = inventory(ADDRESSES, {"chainfire": 2379}, "")
# As the runbook shows it, section 5.4.
RUNBOOK = {
    "members": [
        {"id": "node01", "raft_addr": "10.0.200.10:2380", "status": "healthy", "role": "leader"},
        {"id": "node02", "raft_addr": "10.0.200.11:2380", "status": "healthy", "role": "follower"},
        {"id": "node03", "raft_addr": "10.0.200.12:2380", "status": "healthy", "role": "follower"},
    ]
}


def view(node: str, leader: str, *bad: str, nodes: tuple[str, ...] = tuple(ADDRESSES)) -> View:
    members = tuple(Member(each, each, status="unhealthy" if each in bad else "healthy") for each in nodes)
    return View(node, members, leader)


def test_the_runbooks_answer() -> None:
    members = parse_members(cleaned(RUNBOOK), THREE)
    assert members is not None
    assert [(m.id, m.node, m.healthy, m.role, m.voter) for m in members] == [
        ("node01", "node01", True, "leader", True),
        ("node02", "node02", True, "follower", True),
        ("node03", "node03", True, "follower", True),
    ]


@pytest.mark.parametrize(
    ("record", "node"),
    [
        ({"id": "node02"}, "node02"),
        ({"id": "node02.example.com"}, "node02"),
        ({"id": 7, "name": "node03"}, "node03"),
        ({"id": 7, "raft_addr": "10.0.200.11:2380"}, "node02"),
        ({"id": 7, "raft_addr": "node03.example.com:2380"}, "node03"),
        ({"id": 7, "raft_addr": "10.9.9.9:2380"}, ""),
        ({"raft_addr": "[fe80::1]:2380"}, ""),
    ],
)
def test_a_member_is_found_by_id_name_and_address(record: dict[str, object], node: str) -> None:
    members = parse_members(cleaned([record]), THREE)
    assert members is not None
    assert members[0].node == node
    assert members[0].id


def test_votes() -> None:
    records = [{"id": "a", "role": "learner"}, {"id": "b", "voter": False}, {"id": "c", "learner": True}, {"id": "d"}]
    members = parse_members(cleaned(records), THREE)
    assert members is not None
    assert [member.voter for member in members] == [False, False, False, True]
    assert not members[3].healthy  # it does not say so


@pytest.mark.parametrize(
    ("body", "leader"),
    [
        ("node01", "node01"),
        ({"leader": "node01"}, "node01"),
        ({"leader": {"id": "node01", "raft_addr": "x"}}, "node01"),
        ({"id": "node01", "raft_addr": "x", "term": 3}, "node01"),
        ({"leader_id": 1}, "1"),
        ({"leader": None}, ""),
        ({"leader": None, "term": 4}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_leader_in_any_shape(body: object, leader: str) -> None:
    assert parse_leader(cleaned(body)) == leader


def test_all_agree() -> None:
    group = agreed("chainfire", [view(node, "node01") for node in ADDRESSES], {})
    assert (group.leader, group.leader_node, group.disagreement) == ("node01", "node01", "")
    assert [member.healthy for member in group.members] == [True, True, True]


def test_a_node_that_was_cut_off_is_outvoted() -> None:
    """node03 sees the others as dead and has no leader; the leader's view counts."""
    views = [
        view("node01", "node01", "node03"),
        view("node02", "node01", "node03"),
        view("node03", "", "node01", "node02"),
    ]
    group = agreed("chainfire", views, {})
    assert group.leader == "node01"
    assert [member.healthy for member in group.members] == [True, True, False]
    assert "the leader: node01 says node01, node02 says node01, node03 says none" in group.disagreement


def test_an_old_leader_that_a_majority_left_is_not_believed() -> None:
    views = [view("node01", "node01", "node02", "node03"), *(view(n, "node02", "node01") for n in ("node02", "node03"))]
    group = agreed("chainfire", views, {})
    assert group.leader == "node02"
    assert [member.healthy for member in group.members] == [False, True, True]


def test_without_a_believed_leader_only_what_all_say_counts() -> None:
    views = [view("node01", "node01"), view("node02", "node02", "node01", nodes=("node01", "node02", "node04"))]
    group = agreed("chainfire", views, {"node03": "no connection"})
    assert group.leader == ""
    assert {member.id: member.healthy for member in group.members} == {
        "node01": False, "node02": True, "node03": False, "node04": False,
    }  # fmt: skip
    assert group.member("node03") is not None
    assert "the members" in group.disagreement


def test_who_is_silent_is_not_healthy_though_the_leader_says_so() -> None:
    group = agreed("chainfire", [view("node01", "node01"), view("node02", "node01")], {"node03": "no connection"})
    assert group.leader == "node01"
    member = group.member("node03")
    assert member is not None
    assert (member.healthy, member.condition) == (False, "does not answer")


members = st.builds(
    Member,
    id=st.sampled_from("abcde"),
    node=st.sampled_from(["a", "b", "c", ""]),
    status=st.sampled_from(["healthy", "down", ""]),
    voter=st.booleans(),
)
views = st.lists(
    st.builds(
        View,
        node=st.sampled_from("abc"),
        members=st.lists(members, max_size=5, unique_by=lambda m: m.id).map(tuple),
        leader=st.sampled_from([*"abcde", ""]),
    ),
    max_size=4,
    unique_by=lambda v: v.node,
)


@steady
@given(views, st.dictionaries(st.sampled_from("de"), st.just("gone"), max_size=2))
def test_a_group_never_tells_more_than_its_views(told: list[View], unknown: dict[str, str]) -> None:
    group = agreed("chainfire", told, unknown)
    assert group.readable == bool(told)
    for member in group.members:
        sources = [m for v in told for m in v.members if m.id == member.id]
        assert sources
        if member.healthy:
            assert any(m.healthy for m in sources)
            assert group.leader or all(any(m.id == member.id and m.healthy for m in v.members) for v in told)
    if group.leader:
        voters = sum(m.voter for m in group.members)
        assert 2 * sum(v.leader == group.leader for v in told) > voters


@steady
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["members", "id", "role", "status", "raft_addr", "voter"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_members_of_any_shape(body: object) -> None:
    found = parse_members(cleaned(body), THREE)
    assert found is None or all(isinstance(member.id, str) and member.id for member in found)
    parse_leader(cleaned(body))


def test_nothing_of_the_inventory_fits_an_empty_address() -> None:
    assert node_of(inventory({"node01": ""}, {}, ""), "7", "", ":2380") == ""


async def test_groups_are_read_from_all_at_once_and_a_dead_member_does_not_hide_them(issuer: Issuer) -> None:
    async with rig(issuer, ("chainfire", "flaredb")) as it:
        it.answer("chainfire", "GET /admin/cluster/members", RUNBOOK)
        it.answer("chainfire", "GET /admin/cluster/leader", {"leader": "node01"})
        it.answer("flaredb", "GET /admin/cluster/members", {"unexpected": 1})
        await it.kill("node03")
        chainfire, flaredb = await read_groups(it.clients)
    assert (chainfire.name, chainfire.leader, chainfire.asked) == ("chainfire", "node01", ("node01", "node02"))
    assert "Connection refused" in chainfire.unknown["node03"]
    assert [member.healthy for member in chainfire.members] == [True, True, False]
    assert not flaredb.readable
    assert "lists no members" in flaredb.unknown["node01"]


def group(leader: str = "node02") -> RaftGroup:
    return agreed("chainfire", [view(node, leader) for node in ADDRESSES], {})


async def test_changes_go_to_the_leader_and_what_is_so_already_is_done(issuer: Issuer) -> None:
    async with rig(issuer, ("chainfire",)) as it:
        it.answer("chainfire", "DELETE /admin/member/node03", Reply(204))
        removed = await remove_member(it.clients, group(), "node03")
        gone = await remove_member(it.clients, group(), "node09")
        assert [(a.node, a.status) for a in (removed, gone)] == [("node02", 204), ("node02", 404)]
        assert not it.asked("node01", "chainfire")


async def test_another_member_is_asked_only_when_nothing_can_have_happened(issuer: Issuer) -> None:
    async with rig(issuer, ("chainfire",)) as it:
        it.answer("chainfire", "DELETE /admin/member/node01", Reply(200, {}))
        await it.kill("node02")
        assert (await remove_member(it.clients, group(), "node01")).node == "node03"  # the one that leaves comes last
        it.answer("chainfire", "DELETE /admin/member/node01", Reply(drop=True), "node03")
        with pytest.raises(ServiceError) as caught:
            await remove_member(it.clients, group("node03"), "node01")
        assert caught.value.uncertain
        assert not it.asked("node01", "chainfire")


async def test_a_refused_change_says_why(issuer: Issuer) -> None:
    async with rig(issuer, ("chainfire",)) as it:
        it.answer("chainfire", "DELETE /admin/member/node03", Reply(503, {"error": "no quorum"}))
        with pytest.raises(ServiceError, match=r"HTTP 503: no quorum"):
            await remove_member(it.clients, group(), "node03")
        with pytest.raises(ServiceError, match="no member answers"):
            await remove_member(it.clients, RaftGroup("chainfire"), "node03")
        for bad in (Altered("node01"), "a/../b", ""):
            with pytest.raises(ValueError):
                await remove_member(it.clients, group(), bad)
