"""The load balancer, and the order of services around maintenance with what the cluster shows after each."""

from __future__ import annotations

import pytest

from plasmatui.cluster.balancer import set_backend
from plasmatui.cluster.health import HealthChecks
from plasmatui.cluster.members import Member, RaftGroup
from plasmatui.cluster.services import (
    joined,
    shown_started,
    shown_stopped,
    start_steps,
    stop_steps,
)
from tests.unit.cluster.stub import Issuer, Reply, rig

ALL = ("chainfire", "flaredb", "iam", "plasmavmc", "prismnet", "fiberlb")


def members(leader: str, **status: str) -> dict[str, object]:
    return {
        "members": [
            {"id": node, "status": status.get(node, "healthy"), "role": "leader" if node == leader else "follower"}
            for node in ("node01", "node02", "node03")
        ]
    }


def test_the_runbooks_orders() -> None:
    assert [step.unit for step in stop_steps(ALL)] == ["plasmavmc.service", "chainfire.service", "flaredb.service"]
    assert [step.service for step in start_steps(ALL)] == ["chainfire", "flaredb", "plasmavmc"]
    assert [step.service for step in stop_steps(("plasmavmc", "prismnet"))] == ["plasmavmc"]
    assert start_steps(()) == ()


async def test_a_drain_reaches_every_balancer_and_is_read_back(issuer: Issuer) -> None:
    async with rig(issuer, ("fiberlb",), tuple(f"node0{n}" for n in range(1, 7))) as it:
        it.answer("fiberlb", "POST /api/backend/node02", {"ok": True})
        it.answer("fiberlb", "GET /api/backends", {"backends": [{"id": "node02", "status": "drain"}]}, "node01")
        it.answer("fiberlb", "GET /api/backend/node02", {"status": "active"}, "node02")
        it.answer("fiberlb", "POST /api/backend/node02", Reply(404, {}), "node04")
        it.answer("fiberlb", "POST /api/backend/node02", Reply(drop=True), "node05")
        await it.kill("node06")
        found = await set_backend(it.clients, "node02", "drain")
        assert [(each.instance, each.accepted, each.confirmed, each.done, each.uncertain) for each in found] == [
            ("node01", True, True, True, False),
            ("node02", True, False, False, False),
            ("node03", True, None, True, False),
            ("node04", True, None, True, False),
            ("node05", False, None, False, True),
            ("node06", False, None, False, False),
        ]
        assert it.servers["node01", "fiberlb"].asked[0].body == {"status": "drain"}
        assert found[1].message == "FiberLB on node02 says node02 is active"
        assert "Connection refused" in found[5].message
        active = await set_backend(it.clients, "node02", "active")
        assert not active[3].accepted  # it will send no traffic there
        assert (active[0].confirmed, active[1].confirmed) == (False, True)


async def test_what_was_stopped_must_be_silent_and_the_group_led(issuer: Issuer) -> None:
    async with rig(issuer, ("chainfire", "iam")) as it:
        it.answer("chainfire", "GET /health", {"status": "healthy"})
        it.answer("chainfire", "GET /admin/cluster/members", members("node01", node02="unhealthy"))
        still = await shown_stopped(it.clients, "node02", "chainfire")
        assert (still.ok, still.message) == (False, "chainfire on node02 still answers (HTTP 200)")
        await it.kill("node02")
        gone = await shown_stopped(it.clients, "node02", "chainfire")
        assert gone.ok
        assert gone.message == "chainfire on node02 is stopped; node01 leads, 2 of 3 voters healthy"
        assert (await shown_stopped(it.clients, "node02", "iam")).ok
        it.answer("chainfire", "GET /admin/cluster/members", members("node02"))
        assert (await shown_stopped(it.clients, "node02", "chainfire")).ok is False  # no leader yet
        await it.kill("node01")
        await it.kill("node03")
        assert (await shown_stopped(it.clients, "node02", "chainfire")).ok is None


async def test_vms_that_are_left_show(issuer: Issuer) -> None:
    async with rig(issuer, ("plasmavmc",)) as it:
        left = {"vms": [{"id": "vm-9", "node": "node02", "status": "running"}]}
        it.answer("plasmavmc", "GET /api/vms", left)
        await it.kill("node02")
        found = await shown_stopped(it.clients, "node02", "plasmavmc")
        assert (found.ok, found.message) == (False, "VMs are left on node02: vm-9")
        it.answer("plasmavmc", "GET /api/vms", {"vms": []})
        assert (await shown_stopped(it.clients, "node02", "plasmavmc")).ok


async def test_what_was_started_must_be_healthy_and_back_in_its_group(issuer: Issuer) -> None:
    async with rig(issuer, ("chainfire", "iam")) as it:
        checks = HealthChecks(it.clients)
        it.answer("iam", "GET /health", {"status": "healthy"})
        it.answer("chainfire", "GET /health", {"status": "starting"})
        it.answer("chainfire", "GET /admin/cluster/members", members("node01", node02="lagging"))
        assert (await shown_started(it.clients, checks, "node02", "iam")).ok
        assert (await shown_started(it.clients, checks, "node02", "chainfire")).ok is False
        it.answer("chainfire", "GET /health", {"status": "healthy"})
        late = await shown_started(it.clients, checks, "node02", "chainfire")
        assert (late.ok, late.message) == (False, "chainfire: node02 lagging")
        it.answer("chainfire", "GET /admin/cluster/members", members("node01"))
        back = await shown_started(it.clients, checks, "node02", "chainfire")
        assert (back.ok, back.message) == (True, "chainfire: node02 is a healthy voter, node01 leads 3 members")


@pytest.mark.parametrize(
    ("group", "ok", "words"),
    [
        (RaftGroup("chainfire"), None, "no member tells"),
        (RaftGroup("chainfire", (Member("a", "node01", status="ok"),), "a", asked=("x",)), False, "not among its 1"),
        (RaftGroup("chainfire", (Member("b", "node02", status="ok"),), "", asked=("x",)), False, "no leader"),
        (
            RaftGroup("chainfire", (Member("b", "node02", status="ok", voter=False),), "b", asked=("x",)),
            True,
            "without a vote",
        ),
    ],
)
def test_joined(group: RaftGroup, ok: bool | None, words: str) -> None:
    shown = joined(group, "node02")
    assert shown.ok is ok
    assert words in shown.message
