"""The cluster of a whole rack: its machines' power is what its services live and die by."""

from __future__ import annotations

import ssl

import httpx
import pytest

from plasmatui.inventory.loader import load
from plasmatui.model.words import PowerAction
from plasmatui.sim.rack import Rack, RackOptions

from .cluster_site import until


async def test_machines_that_run_are_a_healthy_cluster_and_power_takes_them_out() -> None:
    async with Rack(RackOptions(nodes=5, on=4, speed=100.0)) as rack:
        cluster, group = rack.cluster, rack.cluster.groups["chainfire"]
        await until(lambda: group.leader is not None and all(map(group.healthy, group.members)))
        assert (len(group.voters), len(group.members), group.losses) == (3, 4, [])
        inventory = load(rack.inventory_path)
        assert inventory.ca == str(rack.ca_path)
        assert inventory.nodes["node01"].production_ip == cluster.nodes["node01"].address
        assert inventory.services["flashdns"].health_port == cluster.ports["flashdns"]
        leader = group.leader
        assert leader is not None
        guests = cluster.vms.on(leader)
        node = cluster.nodes[leader]
        context = ssl.create_default_context(cafile=inventory.ca)
        async with httpx.AsyncClient(verify=context) as client:
            url = f"https://{node.address}:{cluster.ports['chainfire']}/health"
            assert (await client.get(url)).json()["raft"] == "leader"
            rack.machines[leader].order(PowerAction.OFF)
            await until(lambda: not node.servers)
            with pytest.raises(httpx.ConnectError):
                await client.get(url)
            await until(lambda: group.leader not in (None, leader))
            assert [lost.id for lost in cluster.vms.lost] == [vm.id for vm in guests]
            rack.machines[leader].order(PowerAction.ON)
            await until(lambda: group.healthy(leader))
            assert (await client.get(url)).json()["status"] == "healthy"
        assert group.losses == []


async def test_a_fault_of_the_rack_reaches_the_replica() -> None:
    async with Rack(RackOptions(nodes=3, on=3, speed=100.0, faults=("node02=raft-lagging",))) as rack:
        group = rack.cluster.groups["chainfire"]
        await until(lambda: group.leader is not None)
        assert group.status("node02") == "lagging"
        await rack.clear_faults("node02")
        await until(lambda: group.healthy("node02"))
