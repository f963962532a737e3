"""First boot: how freshly installed nodes become members, and why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmatui.sim.units import UnitState

from .cluster_site import VOTERS, Site, site, until

JOIN = "chainfire-cluster-join"


def state(rack: Site, name: str, unit: str = JOIN) -> UnitState:
    return rack.systems[name].units[unit].state


async def test_three_nodes_at_once_bootstrap_one_cluster_and_a_worker_joins(tmp_path: Path) -> None:
    async with site(tmp_path) as rack:
        for name in (*VOTERS, "node04"):
            rack.install(name)
        rack.boot(*VOTERS, "node04")
        await until(lambda: all(map(rack.healthy, (*VOTERS, "node04"))))
        await until(lambda: all(state(rack, name, "flaredb-cluster-join") == "active" for name in VOTERS))
        for group in rack.cluster.groups.values():
            assert (group.incarnation, group.voters, group.losses) == (1, VOTERS, [])
            assert len(group.elections) == 1
        assert rack.cluster.groups["flaredb"].members["node04"].raft_addr.endswith(":2480")
        assert rack.journal("node01", JOIN)[:2] == [
            "Waiting for local chainfire service...",
            "Local chainfire healthy",
        ]
        assert rack.journal("node01", JOIN)[-2:] == ["Bootstrap node, cluster initialized", "Cluster join complete"]
        assert rack.journal("node04", JOIN)[-1] == "Cluster join complete"


async def test_a_reboot_joins_nothing_anew(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        rack.halt("node02")
        rack.boot("node02")
        await until(lambda: rack.healthy("node02") and state(rack, "node02") == "active")
        assert rack.cluster.groups["chainfire"].incarnation == 1
        assert rack.cluster.groups["chainfire"].losses == []
        assert rack.journal("node02", JOIN)[-1] == "Cluster join complete"


async def test_a_node_reinstalled_while_it_still_is_a_member_is_refused_until_it_is_removed(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        rack.install("node02", config={**rack.config("node02"), "bootstrap": False})
        rack.boot("node02")
        await until(lambda: state(rack, "node02") == "failed")
        assert "Join request failed: member node02 exists" in rack.journal("node02", JOIN)[-1]
        assert (await rack.get("node02", "chainfire"))["status"] == "unhealthy"
        for service in ("chainfire", "flaredb"):
            assert (await rack.ask("DELETE", "node01", service, "/admin/member/node02")).status_code == 200
        rack.systems["node02"].units.start(JOIN)
        await until(lambda: rack.healthy("node02") and state(rack, "node02") == "active")
        # by hand, as the runbook has it
        body = {"id": "node02", "raft_addr": f"{rack.cluster.nodes['node02'].address}:2480"}
        assert (await rack.ask("POST", "node01", "flaredb", "/admin/member/add", body)).status_code == 200
        await until(lambda: rack.healthy("node02", "flaredb"))
        assert rack.cluster.groups["chainfire"].losses == []


async def test_a_replaced_node_joins_by_itself(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        rack.halt("node02")
        for service in ("chainfire", "flaredb"):
            await rack.ask("DELETE", "node01", service, "/admin/member/node02")
        rack.install("node02", config={**rack.config("node02"), "bootstrap": False})
        rack.boot("node02")
        await until(lambda: rack.healthy("node02"))
        assert sorted(rack.cluster.groups["chainfire"].voters) == list(VOTERS)
        assert rack.cluster.groups["chainfire"].losses == []


async def test_a_node_that_bootstraps_beside_a_cluster_that_lives_begins_one_of_its_own(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        rack.halt("node02")
        for service in ("chainfire", "flaredb"):
            await rack.ask("DELETE", "node01", service, "/admin/member/node02")
        rack.install("node02")
        rack.boot("node02")
        await until(lambda: state(rack, "node02") == "active")
        group = rack.cluster.groups["chainfire"]
        assert group.splits == ["node02"]
        assert group.voters == ("node01", "node03")
        told = await rack.get("node02", "chainfire", "/admin/cluster/members")
        assert [(member["id"], member["role"]) for member in told["members"]] == [("node02", "leader")]


async def test_a_removed_node_that_comes_back_with_its_data_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        rack.halt("node02")
        await rack.ask("DELETE", "node01", "chainfire", "/admin/member/node02")
        rack.boot("node02")
        await until(lambda: state(rack, "node02") == "failed")
        assert "was removed" in rack.journal("node02", JOIN)[-1]


async def test_a_cluster_of_which_nothing_is_left_is_bootstrapped_anew(tmp_path: Path) -> None:
    async with site(tmp_path, 3) as rack:
        await rack.established(VOTERS)
        await rack.ask("PUT", "node01", "chainfire", "/v1/kv/a", {"value": "1"})
        rack.halt(*VOTERS)
        for name in VOTERS:
            rack.install(name)
        rack.boot(*VOTERS)
        await until(lambda: all(map(rack.healthy, VOTERS)))
        assert rack.cluster.groups["chainfire"].incarnation == 2
        assert (await rack.ask("GET", "node01", "chainfire", "/v1/kv/a")).status_code == 404


@pytest.mark.parametrize(
    ("why", "message"),
    [
        ("refused", "Join request failed: connection refused"),
        ("no leader", "Join request failed: connection refused"),
        ("no file", "Configuration file not found"),
        ("no service", "Health check timeout after 120s"),
    ],
)
async def test_joins_that_fail(tmp_path: Path, why: str, message: str) -> None:
    async with site(tmp_path, speed=1000.0) as rack:
        if why == "refused":
            await rack.established(VOTERS)
            rack.faults["node04"].set("join-refused")
        system = rack.install("node04", blank=why == "no file")
        system.boot(1, "one")
        rack.cluster.system_changed("node04", system)
        system.units.define(JOIN, oneshot=True)
        if why != "no service":
            system.units.start("plasmavmc")
        system.units.start(JOIN)
        await until(lambda: state(rack, "node04") == "failed")
        assert rack.journal("node04", JOIN)[-1] == message
