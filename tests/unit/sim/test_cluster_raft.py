"""The raft groups of the simulated cluster as a state machine: elections, majorities, and what must never happen."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.sim.cluster_raft import (
    CATCH_UP,
    ELECTION,
    Group,
    MemberExistsError,
    NoMemberError,
    NoQuorumError,
    RaftError,
)

NODES = ("node01", "node02", "node03")


def established(*nodes: str) -> Group:
    """A group that has been there for long, with everything running."""
    group = Group("chainfire", random.Random(1))
    names = nodes or NODES
    group.form({name: f"{name}:2380" for name in names}, 0.0, voters=set(names))
    for name in names:
        group.start(name, 0.0)
    group.advance(0.0)
    return group


def settle(group: Group, now: float) -> float:
    """Let all that is under way end."""
    while (due := group.due()) is not None:
        now = max(now, due)
        group.advance(now)
    return now


def test_an_established_group_is_healthy_at_once() -> None:
    group = established()
    assert group.leader in NODES
    assert [group.status(node) for node in NODES] == ["healthy"] * 3
    assert (group.term, group.losses) == (1, [])


def test_a_new_leader_after_the_old_one_went() -> None:
    group = established()
    old = group.leader
    assert old is not None
    group.stop(old, 10.0)
    assert group.leader is None
    with pytest.raises(NoQuorumError, match="no leader"):
        group.write("a", "1")
    settle(group, 10.0)
    assert group.leader not in (None, old)
    election = group.elections[-1]
    assert election.since == 10.0
    assert ELECTION[0] <= election.at - election.since <= ELECTION[1]
    assert (group.term, group.losses) == (2, [])
    group.write("a", "1")


def test_no_majority_no_writes_and_a_loss_that_is_recorded() -> None:
    group = established()
    group.write("a", "1")
    group.stop("node02", 10.0)
    assert group.losses == []
    group.stop("node03", 20.0)
    settle(group, 20.0)
    with pytest.raises(NoQuorumError, match="1 of 3 voters healthy, 2 needed"):
        group.write("a", "2")
    with pytest.raises(NoQuorumError):
        group.remove("node02", 21.0)
    with pytest.raises(NoQuorumError):
        group.add("node04", "x:1", 21.0)
    assert group.read("node01", "a") == "1"
    loss = group.losses[0]
    assert (loss.begin, loss.end, loss.healthy) == (20.0, None, ("node01",))
    group.start("node02", 30.0)
    settle(group, 30.0)
    end = group.losses[0].end
    assert end is not None
    assert end > 30.0
    group.write("a", "2")
    assert group.read("node02", "a") == "2"
    assert len(group.losses) == 1


def test_a_restarted_member_catches_up_before_it_is_healthy() -> None:
    group = established()
    follower = next(node for node in NODES if node != group.leader)
    group.stop(follower, 10.0)
    group.write("a", "1")
    group.start(follower, 20.0)
    assert group.status(follower) == "catching-up"
    assert group.read(follower, "a") is None
    group.advance(20.0 + CATCH_UP[0] / 2)
    assert group.status(follower) == "catching-up"
    settle(group, 20.0)
    assert group.status(follower) == "healthy"
    assert group.read(follower, "a") == "1"


def test_stopping_the_next_before_the_first_has_caught_up_loses_the_majority() -> None:
    group = established()
    group.stop("node01", 10.0)
    settle(group, 10.0)
    group.start("node01", 20.0)
    group.stop("node02", 20.1)
    assert len(group.losses) == 1


def test_a_new_member_votes_once_it_has_caught_up() -> None:
    group = established()
    group.add("node04", "node04:2380", 10.0)
    assert "node04" not in group.voters
    group.start("node04", 11.0)
    group.adopt("node04", "node04:2380", 11.0)
    settle(group, 11.0)
    assert group.voters == (*NODES, "node04")
    assert group.losses == []
    group.add("node05", "node05:2380", 20.0, voting=False)
    group.start("node05", 20.0)
    group.adopt("node05", "node05:2380", 20.0)
    settle(group, 20.0)
    assert group.status("node05") == "healthy"
    assert "node05" not in group.voters


def test_a_wiped_member_is_refused_until_it_is_removed() -> None:
    group = established()
    group.stop("node02", 10.0)
    group.wipe("node02", 11.0)
    group.start("node02", 12.0)
    settle(group, 12.0)
    assert group.status("node02") == "unreachable"
    with pytest.raises(MemberExistsError, match="remove the member first"):
        group.adopt("node02", "node02:2380", 13.0)
    with pytest.raises(MemberExistsError):
        group.add("node02", "node02:2380", 13.0)
    group.remove("node02", 14.0)
    group.add("node02", "node02:2380", 15.0)
    group.adopt("node02", "node02:2380", 15.0)
    settle(group, 15.0)
    assert group.status("node02") == "healthy"
    assert group.losses == []


def test_removals_that_are_refused() -> None:
    group = established("node01")
    with pytest.raises(RaftError, match="last voter"):
        group.remove("node01", 1.0)
    with pytest.raises(NoMemberError):
        group.remove("node09", 1.0)


def test_a_lagging_member_neither_leads_nor_counts() -> None:
    group = established()
    leader = group.leader
    assert leader is not None
    group.lag(leader, True, 10.0)
    settle(group, 10.0)
    assert group.leader not in (None, leader)
    assert group.status(leader) == "lagging"
    group.write("a", "1")
    assert group.read(leader, "a") is None
    group.lag(leader, False, 20.0)
    settle(group, 20.0)
    assert group.read(leader, "a") == "1"


def test_peers_form_a_group_that_the_last_one_enters_later() -> None:
    group = Group("chainfire", random.Random(1))
    for node in ("node01", "node02"):
        group.start(node, 0.0)
    group.form({node: f"{node}:2380" for node in NODES}, 1.0)
    for node in ("node01", "node02"):
        group.adopt(node, f"{node}:2380", 1.0)
    settle(group, 1.0)
    assert group.leader in ("node01", "node02")
    group.start("node03", 5.0)
    group.adopt("node03", "node03:2380", 5.0)
    settle(group, 5.0)
    assert group.status("node03") == "healthy"
    assert (len(group.elections), group.losses) == (1, [])


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("start", "stop", "stop", "lag", "catch", "write", "write", "add", "remove", "wait")),
        st.sampled_from(("node01", "node02", "node03", "node04", "node05")),
        st.floats(0.0, 3.0),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(EVENTS, st.integers(0, 5))
def test_one_leader_a_term_and_no_acknowledged_write_is_lost(events: list[tuple[str, str, float]], seed: int) -> None:
    group = established()
    group.numbers.seed(seed)
    now, acknowledged = 1.0, 0
    leaders: dict[int, str] = {}
    for kind, node, wait in events:
        try:
            if kind == "start":
                group.start(node, now)
            elif kind == "stop":
                group.stop(node, now)
            elif kind in ("lag", "catch"):
                group.lag(node, kind == "lag", now)
            elif kind == "write":
                group.write("key", str(acknowledged + 1))
                acknowledged += 1
            elif kind == "add":
                group.add(node, f"{node}:2380", now)
                group.adopt(node, f"{node}:2380", now)
            elif kind == "remove":
                group.remove(node, now)
        except RaftError:
            pass
        now += wait
        group.advance(now)
        if group.leader is not None:
            assert leaders.setdefault(group.term, group.leader) == group.leader
            assert group.replicas[group.leader].applied == group.commit
            if acknowledged:
                assert group.read(group.leader, "key") == str(acknowledged)
        lost = bool(group.losses) and group.losses[-1].end is None
        assert lost is not group.quorum
    assert [election.term for election in group.elections] == list(range(1, group.term + 1))
    for node in group.members:
        group.lag(node, False, now)
        group.start(node, now)
    settle(group, now)
    for node in group.voters:
        assert group.history(node, "key") == [str(number + 1) for number in range(acknowledged)]
