"""First boot: the units that make a freshly installed node a member, as the image's first-boot automation does it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from plasmatui.sim.cluster_node import ClusterNode, System
from plasmatui.sim.cluster_ports import RAFT_PORTS
from plasmatui.sim.cluster_raft import OWN, Group, MemberExistsError, NoQuorumError
from plasmatui.sim.units import Units, UnitState

if TYPE_CHECKING:
    from plasmatui.sim.cluster import Cluster

LIMIT = 120.0
"""Machine seconds that a unit waits for its service, and then for the cluster."""
_STEP = 0.2
"""Machine seconds that a request takes."""
_PEERS = {"chainfire": "initial_peers", "flaredb": "flaredb_peers"}


class _RefusedError(Exception):
    """The node may not join, now or ever."""


class _EndedError(Exception):
    """The unit was stopped, or the system went down."""


@dataclass
class _Join:
    """One run of a unit."""

    node: ClusterNode
    system: System
    units: Units
    group: Group

    @property
    def unit(self) -> str:
        return f"{self.group.name}-cluster-join.service"

    def check(self) -> None:
        if self.node.units is not self.units or self.units[self.unit].state is not UnitState.ACTIVATING:
            raise _EndedError

    def log(self, message: str, level: str = "INFO") -> None:
        self.units.log(self.unit, {"level": level, "message": message}, priority=3 if level == "ERROR" else 6)


class Joins:
    """The join units of all nodes."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._bootstrapping: dict[str, dict[str, str]] = {name: {} for name in RAFT_PORTS}

    def begin(self, node: ClusterNode, units: Units, group: Group) -> None:
        """A unit was started, or has become active because its join is complete."""
        key = (node.name, group.name)
        if node.system is None or (key in self._tasks and not self._tasks[key].done()):
            return
        join = _Join(node, node.system, units, group)
        units.set_state(join.unit, UnitState.ACTIVATING)
        self._tasks[key] = asyncio.create_task(self._run(join), name=f"sim-{node.name}-join-{group.name}")

    def forget(self, node: str) -> None:
        """A node's system begins anew."""
        for group, waiting in self._bootstrapping.items():
            waiting.pop(node, None)
            task = self._tasks.pop((node, group), None)
            if task is not None and not task.done():
                self._ended.add(task)
                task.add_done_callback(self._ended.discard)
                task.cancel()

    async def stop(self) -> None:
        tasks = (*self._tasks.values(), *self._ended)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, join: _Join) -> None:
        outcome = UnitState.ACTIVE
        try:
            await self._join(join)
        except _EndedError:
            return
        except _RefusedError as error:
            join.log(str(error), "ERROR")
            outcome = UnitState.FAILED
        if outcome is UnitState.FAILED:
            join.units.fail(join.unit)
        else:
            join.log("Cluster join complete")
            join.units.set_state(join.unit, outcome)

    async def _join(self, join: _Join) -> None:
        name = join.group.name
        config = join.system.cluster_config
        if config is None:
            raise _RefusedError("Configuration file not found")
        service = self._cluster.raft_unit(join.node, name)
        join.log(f"Waiting for local {name} service...")
        deadline = self._cluster.clock.now() + LIMIT
        await self._pause(join)
        while not join.node.runs(service):
            if not await self._changed(join, deadline):
                raise _RefusedError(f"Health check timeout after {LIMIT:.0f}s")
        join.log(f"Local {name} healthy")
        await self._pause(join)
        if self._has_data(join):
            return
        if "join-refused" in join.node.faults:
            raise _RefusedError("Join request failed: connection refused")
        deadline, last = self._cluster.clock.now() + LIMIT, ""
        while (reason := self._attempt(join, config)) is not None:
            if reason != last:
                join.log(f"{reason}, retrying", "WARN")
                last = reason
            if not await self._changed(join, deadline):
                raise _RefusedError(reason)
        self._cluster.poke()

    def _has_data(self, join: _Join) -> bool:
        """It joined at an earlier boot."""
        group, node = join.group, join.node.name
        replica = group.replicas.get(node)
        if replica is None or not replica.incarnation:
            return False
        if replica.incarnation == OWN:
            return True
        if replica.incarnation != group.incarnation:
            raise _RefusedError(f"Join request failed: the data of {node} are those of another cluster")
        if node not in group.members:
            raise _RefusedError(f"Join request failed: member {node} was removed from the cluster")
        return True

    def _attempt(self, join: _Join, config: dict[str, object]) -> str | None:
        """Try to become a member; None when it is one, otherwise why not yet."""
        cluster, group, node = self._cluster, join.group, join.node
        now = cluster.now()
        alive = group.incarnation and any(map(group.reachable, group.members))
        address = self._raft_addr(join, config)
        bootstrap = config.get("bootstrap") is True
        try:
            if node.name in group.members and (alive or not group.members[node.name].started):
                group.adopt(node.name, address, now)
                if bootstrap:
                    join.log("Bootstrap node, cluster initialized")
                return None
            if alive and bootstrap:
                group.split(node.name)
                join.log("Bootstrap node, cluster initialized")
                return None
            if alive:
                if not self._leader_answers(join, config):
                    return "Join request failed: connection refused"
                group.add(node.name, address, now, voting=config.get("node_role", "control-plane") != "worker")
                group.adopt(node.name, address, now)
                return None
        except MemberExistsError as error:
            raise _RefusedError(f"Join request failed: {error}") from None
        except NoQuorumError as error:
            return f"Join request failed: {error}"
        if not bootstrap:
            return "Join request failed: connection refused"
        return self._bootstrap(join, config, address, now)

    def _bootstrap(self, join: _Join, config: dict[str, object], address: str, now: float) -> str | None:
        """Begin a new cluster once a majority of its first members is there."""
        group, name = join.group, join.node.name
        waiting = self._bootstrapping[group.name]
        waiting[name] = address
        listed = config.get(_PEERS[group.name])
        peers = {_label(peer): str(peer) for peer in listed} if isinstance(listed, list) else {}
        peers[name] = address
        here = [peer for peer in peers if peer in waiting and self._cluster.nodes[peer].runs(group.name)]
        if len(here) < len(peers) // 2 + 1:
            return f"Waiting for peers: {len(here)} of {len(peers)} are here"
        group.form(peers, now)
        for peer in here:
            group.adopt(peer, waiting.pop(peer), now)
        self._cluster.poke()
        join.log("Bootstrap node, cluster initialized")
        return None

    def _leader_answers(self, join: _Join, config: dict[str, object]) -> bool:
        """The service that `leader_url` names runs."""
        host = urlsplit(str(config.get("leader_url", ""))).hostname or ""
        nodes = self._cluster.nodes
        leader = nodes.get(_label(host)) or next((node for node in nodes.values() if node.address == host), None)
        return leader is not None and leader.runs(join.group.name)

    def _raft_addr(self, join: _Join, config: dict[str, object]) -> str:
        """The configuration names Chainfire's; FlareDB's has another port."""
        host = str(config.get("raft_addr", "")).rpartition(":")[0] or join.node.address
        return f"{host}:{RAFT_PORTS[join.group.name]}"

    async def _pause(self, join: _Join) -> None:
        await self._cluster.clock.sleep(_STEP)
        join.check()

    async def _changed(self, join: _Join, deadline: float) -> bool:
        """Wait for a change; False when the deadline has passed."""
        left = (deadline - self._cluster.clock.now()) / self._cluster.clock.speed
        if left <= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._cluster.changed()
        join.check()
        return True


def _label(peer: object) -> str:
    """The node of `node01.example.com:2380`."""
    return str(peer).partition(":")[0].partition(".")[0]
