"""First boots from the journal of the join units, hostile lines included, and what the members say besides."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cluster.join import JoinLine, JoinProgress, JoinState, confirmed, follow, parse_line, progress
from plasmatui.cluster.members import Member, RaftGroup
from plasmatui.text import is_clean
from tests.unit.cluster.stub import steady


def line(message: str, level: str = "INFO") -> str:
    return json.dumps({"level": level, "message": message})


def journal(message: str, unit: str = "chainfire-cluster-join.service", **more: object) -> str:
    entry = {"_SYSTEMD_UNIT": unit, "MESSAGE": message, "__REALTIME_TIMESTAMP": "1764000000250000", **more}
    return json.dumps(entry)


# The runbook's, section 5.4.
BOOTSTRAP = (
    line("Waiting for local chainfire service..."),
    line("Local chainfire healthy"),
    line("Bootstrap node, cluster initialized"),
    line("Cluster join complete"),
)


def test_the_runbooks_lines_step_by_step() -> None:
    states = [progress("chainfire", BOOTSTRAP[:count]) for count in range(5)]
    assert [each.state for each in states] == [
        JoinState.UNKNOWN, JoinState.WAITING, JoinState.JOINING, JoinState.JOINING, JoinState.JOINED,
    ]  # fmt: skip
    assert [each.bootstrap for each in states] == [False, False, False, True, True]
    assert states[4].message == "Cluster join complete"


@pytest.mark.parametrize(
    ("message", "finding", "reason"),
    [
        ("Health check timeout after 120s", "first-boot-timeout", "its own flaredb did not become healthy in time"),
        ("Join request failed: connection refused", "join-refused", "the leader cannot be reached or refuses it"),
        ("Configuration file not found", "join-refused", "its cluster-config.json is missing"),
        ("Join request failed: certificate verify failed", "join-refused", "a TLS certificate is not accepted"),
        ("node02 is already a member", "join-refused", "the cluster has a member of this name already"),
        ("Disk on fire", "join-refused", "Disk on fire"),
    ],
)  # fmt: skip
def test_failures_say_why_and_what_to_do(message: str, finding: str, reason: str) -> None:
    found = progress("flaredb", [line("Waiting for local flaredb service..."), line(message, "ERROR")])
    assert (found.state, found.finding, found.reason, found.message) == (JoinState.REFUSED, finding, reason, message)
    assert "{" not in found.remedy
    again = follow(found, JoinLine("Waiting for local flaredb service...", "info"))
    assert (again.state, again.finding, again.reason) == (JoinState.WAITING, "", "")


def test_words_of_failures_in_lines_that_are_none_do_not_refuse() -> None:
    assert progress("chainfire", [line("TLS certificate loaded")]).state is JoinState.JOINING
    assert progress("chainfire", [line("Join request failed: connection refused", "WARN")]).state is JoinState.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        line("Cluster join complete"),
        "Nov 27 23:40:11 node01 chainfire-cluster-join[812]: " + line("Cluster join complete"),
        journal(line("Cluster join complete")),
        journal("Cluster join complete"),
        journal(line("Cluster join complete"), "init.scope", UNIT="chainfire-cluster-join.service"),
        json.dumps(
            {"SYSLOG_IDENTIFIER": "chainfire-cluster-join", "MESSAGE": list(line("Cluster join complete").encode())}
        ),
    ],
)
def test_each_way_that_a_journal_is_read(text: str) -> None:
    assert progress("chainfire", [text]).state is JoinState.JOINED


def test_a_journals_time_and_unit_are_kept_and_other_units_passed_over() -> None:
    assert parse_line(journal(line("Local flaredb healthy"), "flaredb-cluster-join.service")) == JoinLine(
        "Local flaredb healthy", "info", "flaredb", 1764000000.25
    )
    assert parse_line(journal(line("Cluster join complete"), "sshd.service")) is None
    assert parse_line("Nov 27 node01 sshd[1]: " + line("Cluster join complete")) is None
    both = [
        journal(line("Cluster join complete")),
        journal(line("Local flaredb healthy"), "flaredb-cluster-join.service"),
    ]
    assert progress("flaredb", both).state is JoinState.JOINING
    assert progress("chainfire", both).state is JoinState.JOINED


def test_hostile_lines() -> None:
    found = parse_line(line("\x1b]0;x\x07Cluster join complete\x1b[2J"))
    assert found is not None
    assert found.message == "Cluster join complete"
    for text in (
        "",
        "{",
        "}" * 10,
        "{" * 70_000,
        '{"message": 7',
        '{"message": {}}',
        "[]",
        '{"MESSAGE": null}',
        journal(""),
    ):
        assert parse_line(text) is None


journal_values = st.recursive(
    st.none() | st.integers() | st.text() | st.just("flaredb-cluster-join"), lambda inner: st.lists(inner, max_size=3)
)
journal_keys = st.sampled_from(["message", "level", "MESSAGE", "UNIT", "__REALTIME_TIMESTAMP"])


@steady
@given(st.text() | st.dictionaries(journal_keys, journal_values).map(json.dumps))
def test_any_line_is_one_or_none(text: str) -> None:
    found = parse_line(text)
    if found is not None:
        assert is_clean(found.message)
        assert found.message
        follow(JoinProgress("flaredb"), found)


def group(*members: Member, leader: str = "node01") -> RaftGroup:
    return RaftGroup("chainfire", members, leader=leader, asked=("node01",))


def test_only_members_make_a_voter() -> None:
    here = Member("node02", "node02", status="healthy")
    told = progress("chainfire", BOOTSTRAP)
    assert confirmed(told, group(here), "node02").state is JoinState.VOTER
    learner = Member("node02", "node02", status="healthy", voter=False)
    assert confirmed(told, group(learner), "node02").state is JoinState.JOINED
    absent = confirmed(told, group(), "node02")
    assert (absent.state, absent.message) == (JoinState.JOINING, "chainfire: node02 is not among its 0 members")
    lagging = Member("node02", "node02", status="lagging")
    assert confirmed(told, group(lagging), "node02").state is JoinState.JOINING
    assert confirmed(told, RaftGroup("chainfire"), "node02").state is JoinState.JOINED  # nobody says otherwise
    refused = progress("chainfire", [line("Configuration file not found", "ERROR")])
    assert confirmed(refused, group(), "node02") == refused
    healed = confirmed(refused, group(here), "node02")
    assert (healed.state, healed.finding) == (JoinState.VOTER, "")
