"""The cluster's clients over a simulated cluster: health, the guard, a drain, a replacement, a first boot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest_asyncio

from plasmatui.cluster import balancer, vms
from plasmatui.cluster.clients import ClusterClients
from plasmatui.cluster.health import HealthChecks, node_health
from plasmatui.cluster.join import JoinState, confirmed, progress
from plasmatui.cluster.members import read_group, read_groups, remove_member
from plasmatui.cluster.quorum import verdict
from plasmatui.cluster.services import shown_started, shown_stopped
from plasmatui.inventory.inventory import Inventory, Profile, Service
from plasmatui.model.node import Node
from plasmatui.model.words import Health
from plasmatui.sim.cluster_ports import DNS_PORT
from plasmatui.sim.siteconfig import DOMAIN
from tests.unit.sim.cluster_site import CONTROL_PLANE, VOTERS, WORKER, Site, site

NAMES = (*VOTERS, "node04")
AWAY: frozenset[str] = frozenset()


def inventory(rack: Site) -> Inventory:
    services = {name: Service(name, port, health_port=port) for name, port in rack.cluster.ports.items()}
    services["flashdns"] = Service("flashdns", DNS_PORT, health_port=rack.cluster.ports["flashdns"])
    return Inventory(
        path=Path("inventory.yaml"),
        cluster="sim",
        domain=DOMAIN,
        environment="lab",
        nodes={
            name: Node(
                name=name,
                profile="control-plane" if name in VOTERS else "worker",
                production_ip=rack.cluster.nodes[name].address,
                voter=name in VOTERS,
            )
            for name in NAMES
        },
        bmcs={},
        profiles={
            "control-plane": Profile("control-plane", voter=True, services=CONTROL_PLANE),
            "worker": Profile("worker", services=WORKER),
        },
        services=services,
        ca=str(rack.authority.ca_path),
    )


@pytest_asyncio.fixture
async def rack(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path, speed=200.0) as made:
        await made.established(NAMES)
        yield made


@pytest_asyncio.fixture
async def clients(rack: Site) -> AsyncIterator[ClusterClients]:
    made = ClusterClients(inventory(rack))
    yield made
    await made.close()


async def until_shown(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again until it is so; the cluster's own time is what is waited for."""
    async with asyncio.timeout(30):
        while not await look():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0.01)


async def test_health_and_the_guard(rack: Site, clients: ClusterClients) -> None:
    checks = HealthChecks(clients)
    found = await checks.cycle()
    assert {name: node_health(each) for name, each in found.items()} == dict.fromkeys(NAMES, Health.OK)
    groups = await read_groups(clients)
    assert [(group.name, len(group.voters), group.disagreement) for group in groups] == [
        ("chainfire", 3, ""), ("flaredb", 3, ""),
    ]  # fmt: skip
    assert all(group.leader_node in VOTERS for group in groups)
    voters = frozenset(VOTERS)
    assert verdict(groups, frozenset({"node02"}), AWAY, voters=voters).allowed
    assert not verdict(groups, frozenset({"node02"}), frozenset({"node01"}), voters=voters).allowed
    assert verdict(groups, frozenset({"node04"}), voters, voters=voters).allowed
    rack.halt("node03")
    degraded = await read_groups(clients)
    refused = verdict(degraded, frozenset({"node02"}), AWAY, voters=voters)
    assert not refused.allowed
    assert "2 of 3 voters healthy (node03 " in refused.reason
    rack.halt("node01", "node02")
    dark = verdict(await read_groups(clients), frozenset({"node02"}), AWAY, voters=voters)
    assert not dark.allowed
    assert "cannot be read" in dark.reason
    found = await checks.cycle()
    assert {name: node_health(each) for name, each in found.items()}["node02"] is Health.UNKNOWN


async def test_a_drain_moves_every_guest_and_is_undone(rack: Site, clients: ClusterClients) -> None:
    for change in await balancer.set_backend(clients, "node02", "drain"):
        assert (change.done, change.confirmed) == (True, True), change
    told = await vms.list_vms(clients, ("node02",))
    guests = told.on("node02")
    assert {vm.id for vm in guests} == {vm.id for vm in rack.cluster.vms.on("node02")}
    room = await vms.read_capacities(clients, clients.nodes_of("plasmavmc"))
    placed = vms.choose_targets(guests, room, told.vms, {"node02"})
    assert placed.homeless == ()
    for move in placed.moves:
        await vms.migrate(clients, move.vm.id, move.target, ("node01",))

        async def moved(vm: str = move.vm.id, target: str = move.target) -> bool:
            state = await vms.migration(clients, vm, "node02", target)
            assert state.state in (vms.Migration.RUNNING, vms.Migration.DONE), state
            return state.state is vms.Migration.DONE

        await until_shown(moved)
    assert rack.cluster.vms.on("node02") == []
    assert rack.cluster.vms.lost == []

    rack.halt("node02")

    async def stopped() -> bool:
        return all(
            [(await shown_stopped(clients, "node02", name)).ok for name in ("plasmavmc", "chainfire", "flaredb")]
        )

    await until_shown(stopped)
    rack.boot("node02")
    checks = HealthChecks(clients)

    async def started() -> bool:
        shown = [await shown_started(clients, checks, "node02", n) for n in ("chainfire", "flaredb", "plasmavmc")]
        return all(each.ok for each in shown)

    await until_shown(started)
    assert all(change.done for change in await balancer.set_backend(clients, "node02", "active"))


async def test_a_member_is_removed(rack: Site, clients: ClusterClients) -> None:
    rack.halt("node03")

    async def led() -> bool:
        group = await read_group(clients, "chainfire")
        return group.leader_node in ("node01", "node02")

    await until_shown(led)
    group = await read_group(clients, "chainfire")
    await remove_member(clients, group, "node03")
    await remove_member(clients, group, "node03")  # gone already
    assert (await read_group(clients, "chainfire")).member("node03") is None


async def test_a_first_boot_until_it_votes(rack: Site, clients: ClusterClients) -> None:
    rack.halt("node03")
    for name in ("chainfire", "flaredb"):

        async def led(name: str = name) -> bool:
            return (await read_group(clients, name)).leader_node in ("node01", "node02")

        await until_shown(led)
        await remove_member(clients, await read_group(clients, name), "node03")
    rack.install("node03", config={**rack.config("node03"), "bootstrap": False})
    rack.boot("node03")

    async def votes() -> bool:
        entries = rack.systems["node03"].journal.entries
        lines = [entry.message for entry in entries if entry.unit == "chainfire-cluster-join.service"]
        found = confirmed(progress("chainfire", lines), await read_group(clients, "chainfire"), "node03")
        assert found.state is not JoinState.REFUSED, found
        return found.state is JoinState.VOTER

    await until_shown(votes)
