"""The guard: majorities, counted without those in transition and unknown; what it says; and that it never errs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cluster.members import Member, RaftGroup
from plasmatui.cluster.quorum import rest, verdict
from tests.unit.cluster.stub import steady

NODES = ("node01", "node02", "node03")
VOTERS = frozenset(NODES)
NONE: frozenset[str] = frozenset()


def group(name: str = "chainfire", nodes: tuple[str, ...] = NODES, **bad: str) -> RaftGroup:
    members = tuple(
        Member(node, node, f"{node}:2380", bad.get(node, "healthy"), "leader" if node == nodes[0] else "follower")
        for node in nodes
    )
    return RaftGroup(name, members, leader=nodes[0], asked=nodes)


def test_one_of_three_may_go_and_the_risk_is_told() -> None:
    found = verdict([group()], frozenset({"node02"}), NONE, voters=VOTERS)
    assert found.allowed
    assert (found.group, found.healthy_left, found.voters, found.needed) == ("chainfire", 2, 3, 2)
    assert found.reason == "chainfire: 3 of 3 voters healthy; without node02 2 would be left, 2 are needed"
    assert found.warnings == ("chainfire: one more lost voter breaks the majority",)


def test_a_second_one_is_refused_with_counts_and_the_lost_one_named() -> None:
    found = verdict([group(node03="unhealthy")], frozenset({"node02"}), NONE)
    assert not found.allowed
    assert found.reason == (
        "chainfire: 2 of 3 voters healthy (node03 unhealthy); without node02 1 would be left, 2 are needed"
    )


def test_those_in_transition_count_as_lost() -> None:
    found = verdict([group()], frozenset({"node02"}), frozenset({"node01"}))
    assert not found.allowed
    assert "node01 in transition" in found.reason
    assert "2 of 3" in found.reason


def test_a_silent_member_is_lost_though_the_leader_calls_it_healthy() -> None:
    seen = group()
    silent = replace(seen, members=tuple(replace(m, answers=m.node != "node03") for m in seen.members))
    found = verdict([silent], frozenset({"node02"}), NONE)
    assert not found.allowed
    assert "node03 does not answer" in found.reason


def test_two_targets_at_once_are_judged_together() -> None:
    assert not verdict([group()], frozenset({"node01", "node02"}), NONE).allowed
    five = group(nodes=("a", "b", "c", "d", "e"))
    assert verdict([five], frozenset({"a", "b"}), NONE).allowed
    assert not verdict([five], frozenset({"a", "b"}), frozenset({"c"})).allowed


def test_each_group_must_keep_its_majority_and_the_refusing_one_is_named() -> None:
    found = verdict([group(), group("flaredb", node01="down")], frozenset({"node02"}), NONE)
    assert not found.allowed
    assert found.group == "flaredb"
    assert found.reason.startswith("flaredb: 2 of 3")


def test_nodes_that_do_not_vote_are_no_matter_but_a_lost_majority_is_told() -> None:
    found = verdict([group(node01="down", node02="down")], frozenset({"worker01"}), NONE, voters=VOTERS)
    assert found.allowed
    assert found.group == ""
    assert found.warnings == ("chainfire: its majority is lost: 1 of 3 voters healthy",)


def test_a_voter_of_the_inventory_that_the_group_does_not_list_is_told() -> None:
    found = verdict([group(nodes=("node01", "node03"))], frozenset({"node02"}), NONE, voters=VOTERS)
    assert found.allowed
    assert found.warnings == ("chainfire: node02 should vote by the inventory, but the group does not list it",)


def test_a_lost_majority_refuses_every_voter_and_says_so() -> None:
    found = verdict([group(node01="down", node03="down")], frozenset({"node03"}), NONE)
    assert not found.allowed
    assert "the majority is lost already, 2 are needed" in found.reason


def test_an_only_voter_is_refused() -> None:
    found = verdict([group(nodes=("node01",))], frozenset({"node01"}), NONE)
    assert not found.allowed
    assert found.reason == "chainfire: 1 of 1 voters healthy; without node01 0 would be left, 1 is needed"


def test_learners_neither_count_nor_need_a_guard() -> None:
    seen = group(nodes=(*NODES, "node04"))
    with_learner = replace(seen, members=tuple(replace(m, voter=m.node != "node04") for m in seen.members))
    assert verdict([with_learner], frozenset({"node04"}), NONE).group == ""
    assert verdict([with_learner], frozenset({"node02"}), NONE).voters == 3


def test_what_cannot_be_read_refuses_voters_of_the_inventory_only() -> None:
    dark = RaftGroup("chainfire", unknown={"node01": "no connection to port 2379 in time"})
    found = verdict([dark], frozenset({"node02"}), NONE, voters=VOTERS)
    assert not found.allowed
    assert found.reason == (
        "chainfire: its members cannot be read (node01: no connection to port 2379 in time), "
        "and node02 is a voter by the inventory: a majority cannot be shown"
    )
    assert verdict([dark], frozenset({"worker01"}), NONE, voters=VOTERS).allowed


def test_a_cluster_that_does_not_exist_yet_does_not_block_its_first_nodes() -> None:
    dark = RaftGroup("chainfire", unknown={"node01": "no connection"})
    assert verdict([dark], VOTERS, NONE, voters=VOTERS, bootstrapping=True).allowed
    assert not verdict([dark], VOTERS, NONE, voters=VOTERS).allowed


def test_forming_a_cluster_never_takes_a_voter_that_is_there() -> None:
    forming = group(node02="joining", node03="joining")
    assert verdict([forming], frozenset({"node02", "node03"}), NONE, voters=VOTERS, bootstrapping=True).allowed
    assert not verdict([forming], frozenset({"node01"}), NONE, voters=VOTERS, bootstrapping=True).allowed


def test_a_member_on_no_known_node_may_be_the_target() -> None:
    seen = group()
    members = (replace(seen.members[0]), replace(seen.members[1], node=""), replace(seen.members[2], status="down"))
    found = verdict([replace(seen, members=members)], frozenset({"node02"}), NONE, voters=VOTERS)
    assert not found.allowed
    assert found.healthy_left == 1


def test_a_leader_a_disagreement_and_unverified_tls_are_warned_of() -> None:
    seen = replace(group(), disagreement="the leader: a says b", verified=False)
    warnings = verdict([seen], frozenset({"node01"}), NONE).warnings
    assert warnings == (
        "chainfire: node01 leads; another leader will be elected",
        "chainfire: its members disagree on the leader: a says b",
        "chainfire: told over TLS that was not verified",
        "chainfire: one more lost voter breaks the majority",
    )


names = st.sampled_from([f"n{i}" for i in range(1, 8)])
nodesets = st.frozensets(names, max_size=5)
members = st.builds(
    Member,
    id=names,
    node=names | st.just(""),
    status=st.sampled_from(["healthy", "healthy", "unhealthy", ""]),
    voter=st.booleans() | st.just(True),
    answers=st.sampled_from([True, None, False]),
)
groups = st.lists(
    st.builds(
        RaftGroup,
        name=st.sampled_from(["chainfire", "flaredb"]),
        members=st.lists(members, max_size=7).map(tuple),
        asked=st.sampled_from([(), ("n1",), ("n1",)]),
    ),
    max_size=2,
)


def majority_stays(group: RaftGroup, down: frozenset[str]) -> bool:
    """Counted another way, from the words of the rule."""
    left = [m for m in group.members if m.voter and m.status == "healthy" and m.answers is not False]
    return 2 * len([m for m in left if m.node not in down]) > len([m for m in group.members if m.voter])


@steady
@given(groups, nodesets, nodesets, nodesets)
def test_it_never_allows_what_breaks_a_majority(
    groups: list[RaftGroup], targets: frozenset[str], away: frozenset[str], voters: frozenset[str]
) -> None:
    found = verdict(groups, targets, away, voters=voters)
    for each in groups:
        if each.asked and any(m.voter and m.node in targets for m in each.members):
            assert not found.allowed or majority_stays(each, targets | away)
        if not each.asked and targets & voters:
            assert not found.allowed


@steady
@given(groups, nodesets, nodesets, nodesets, nodesets, nodesets)
def test_more_targets_and_more_away_never_allow_more(
    groups: list[RaftGroup],
    targets: frozenset[str],
    away: frozenset[str],
    voters: frozenset[str],
    more: frozenset[str],
    farther: frozenset[str],
) -> None:
    if verdict(groups, targets | more, away | farther, voters=voters).allowed:
        assert verdict(groups, targets, away, voters=voters).allowed


@steady
@given(groups, nodesets, nodesets, nodesets, st.booleans(), st.data())
def test_knowing_less_never_allows_more(
    groups: list[RaftGroup],
    targets: frozenset[str],
    away: frozenset[str],
    voters: frozenset[str],
    silent: bool,
    data: st.DataObject,
) -> None:
    dimmer = [
        replace(
            each,
            members=tuple(
                (replace(m, answers=False) if silent else replace(m, status="")) if data.draw(st.booleans()) else m
                for m in each.members
            ),
        )
        for each in groups
    ]
    if verdict(dimmer, targets, away, voters=voters).allowed:
        assert verdict(groups, targets, away, voters=voters).allowed


@steady
@given(groups, nodesets, nodesets, nodesets)
def test_what_is_left_after_a_departure_may_lose_one_more(
    groups: list[RaftGroup], leavers: frozenset[str], away: frozenset[str], voters: frozenset[str]
) -> None:
    found = rest(groups, leavers, away, voters=voters)
    for each in groups:
        left = replace(each, members=tuple(m for m in each.members if m.node not in leavers))
        if each.asked and len(left.voters) < len(each.voters) and found.allowed:
            assert majority_stays(left, away)
            assert len(left.voters) >= 3
        if not each.asked and leavers & voters:
            assert not found.allowed
