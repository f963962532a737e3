"""What a node is told of the cluster at its first boot, by what the members of the raft groups say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plasmatui.cluster.members import Member, RaftGroup
from plasmatui.inventory.loader import load
from plasmatui.operations.firstboot import joined_config, leader_of, lives_without
from plasmatui.pxe.firstboot import cluster_config


def group(name: str, *members: str, leader: str = "") -> RaftGroup:
    return RaftGroup(name, tuple(Member(each, each, status="healthy") for each in members), leader, asked=members)


@pytest.mark.parametrize(
    ("members", "lives"),
    [
        ((), False),
        (("n1",), False),
        (("n1", "n2", "n3"), False),
        (("n2", "n3"), True),
        (("n3",), True),
    ],
)
def test_a_cluster_that_does_not_count_the_node_is_joined(members: tuple[str, ...], lives: bool) -> None:
    """One that lists it is still being formed, and waits for it."""
    assert lives_without((group("chainfire", *members), RaftGroup("flaredb")), "n1") is lives


def test_one_group_that_lives_is_enough() -> None:
    assert lives_without((RaftGroup("chainfire"), group("flaredb", "n2")), "n1")


def test_who_is_joined_leads_and_is_another_node() -> None:
    chainfire, flaredb = group("chainfire", "n1", "n2", leader="n1"), group("flaredb", "n1", "n2", leader="n2")
    assert leader_of((chainfire, flaredb), "n3") == "n1"
    assert leader_of((chainfire, flaredb), "n1") == "n2"
    assert leader_of((group("chainfire", "n2"),), "n1") == ""


def test_a_bootstrap_configuration_becomes_one_that_joins_by_the_leader(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    nodes = "".join(f"  n{each}: {{profile: cp, production_ip: 10.0.200.1{each}}}\n" for each in (1, 2, 3))
    path.write_text(
        "version: 1\ncluster: {name: c, domain: example.com}\n"
        "networks: {production: {cidr: 10.0.200.0/24}}\n"
        "profiles: {cp: {voter: true, services: [chainfire, flaredb]}}\n"
        f"nodes:\n{nodes}"
    )
    inventory = load(path)
    first = json.loads(cluster_config(inventory, inventory.nodes["n1"]))
    assert first["bootstrap"] is True
    joins = joined_config({**first, "ours": 1}, inventory, "n3")
    assert joins == {
        "node_id": "n1", "node_role": "cp", "bootstrap": False, "cluster_name": "c",
        "leader_url": "https://n3.example.com:2379", "raft_addr": "10.0.200.11:2380", "ours": 1,
    }  # fmt: skip
