"""What the simulated services answer over HTTPS (operator runbook, sections 5.4 to 7.6)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from plasmatui.sim.cluster_node import ClusterNode
from plasmatui.sim.cluster_ports import RAFT_PORTS
from plasmatui.sim.cluster_raft import Group, NoMemberError, NoQuorumError, RaftError
from plasmatui.sim.cluster_vms import Vm, VmError
from plasmatui.sim.webserver import Json, Request, Response

if TYPE_CHECKING:
    from plasmatui.sim.cluster import Cluster

SILENCE = 60.0
"""Seconds after which a silent service drops a connection."""
VERSION = "1.0.0"
_SERIES = "series/"


class Api:
    """The answers of every service of every node."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def answer(self, node: ClusterNode, service: str, request: Request) -> Response:
        """Answer a request that came to a service of a node. With the fault `service-silent` nothing is ever said."""
        if "service-silent" in node.faults:
            await asyncio.sleep(SILENCE)
            raise TimeoutError
        self._cluster.now()
        path = request.path.rstrip("/")
        if path == "/health":
            return self._health(node, service) if request.method == "GET" else _problem(405, "use GET")
        group = self._cluster.groups.get(service)
        if group is not None:
            try:
                return await self._raft(node, group, request, path)
            except NoQuorumError as error:
                return _problem(503, str(error))
            except NoMemberError as error:
                return _problem(404, str(error))
            except RaftError as error:
                return _problem(409, str(error))
        if service == "plasmavmc":
            return self._plasmavmc(request, path)
        if service == "fiberlb":
            return self._fiberlb(request, path)
        if service == "iam" and path == "/api/users":
            return self._users(request)
        return _problem(404, f"no {request.path} here")

    # Health

    def _health(self, node: ClusterNode, service: str) -> Response:
        status, body = 200, {"status": "healthy"} | self._details(node, service)
        if body["status"] not in ("healthy", "degraded"):
            status = 503
        elif "service-degraded" in node.faults:
            body |= {"status": "degraded", "error": "requests take longer than 500 ms"}
        return Response(status, body)

    def _details(self, node: ClusterNode, service: str) -> Json:
        cluster = self._cluster
        if service in cluster.groups:
            body = _raft_health(cluster.groups[service], node.name)
            if service == "flaredb":
                linked = node.runs("chainfire") and cluster.groups["chainfire"].quorum
                body["chainfire"] = "connected" if linked else "disconnected"
            return body
        if service == "iam":
            if cluster.groups["flaredb"].quorum and node.runs("flaredb"):
                return {"database": "connected", "version": VERSION}
            return {"status": "unhealthy", "database": "disconnected", "version": VERSION}
        if service == "plasmavmc":
            hypervisor = cluster.vms.hypervisors[node.name]
            running = len(cluster.vms.on(node.name))
            return {"vms_running": running, "memory": hypervisor.memory, "cores": hypervisor.cores}
        if service == "prismnet":
            return {"networks": 1}
        if service == "fiberlb":
            return {"backends": sum(status == "active" for status in cluster.backends.values())}
        return {}

    # Chainfire and FlareDB

    async def _raft(self, node: ClusterNode, group: Group, request: Request, path: str) -> Response:
        method, body = request.method, request.body or {}
        if (method, path) == ("GET", "/admin/cluster/members"):
            return Response(200, {"members": _own(group, node) if group.alone(node.name) else _members(group)})
        if (method, path) == ("GET", "/admin/cluster/leader"):
            if group.alone(node.name):
                return Response(200, {"id": node.name, "term": 1})
            if group.leader is None:
                raise NoQuorumError("no leader")
            member = group.members[group.leader]
            return Response(200, {"id": member.id, "raft_addr": member.raft_addr, "term": group.term})
        if (method, path) == ("POST", "/admin/member/add"):
            return await self._add_member(group, body)
        if method == "DELETE" and path.startswith("/admin/member/"):
            member_id = path.removeprefix("/admin/member/")
            await self._cluster.with_quorum(lambda now: group.remove(member_id, now))
            return Response(200, {"id": member_id, "removed": True})
        if group.name == "chainfire" and path.startswith("/v1/kv/"):
            return await self._kv(node, group, request, path.removeprefix("/v1/kv/"))
        if group.name == "flaredb" and method == "POST" and path == "/v1/write":
            return await self._write(node, group, body)
        if group.name == "flaredb" and method == "POST" and path == "/v1/query":
            return self._query(node, group, body)
        return _problem(404, f"no {method} {request.path} here")

    async def _add_member(self, group: Group, body: Json) -> Response:
        member_id, raft_addr = body.get("id"), body.get("raft_addr")
        if not isinstance(member_id, str) or not member_id or not isinstance(raft_addr, str) or ":" not in raft_addr:
            return _problem(400, 'expected {"id": ..., "raft_addr": "ADDRESS:PORT"}')
        node = self._cluster.nodes.get(member_id)
        voting = node is None or node.voting

        def change(now: float) -> None:
            group.add(member_id, raft_addr, now, voting=voting)
            replica = group.replicas.get(member_id)
            if replica is not None and replica.running:  # the leader sends it what it needs
                group.adopt(member_id, raft_addr, now)

        await self._cluster.with_quorum(change)
        return Response(200, {"id": member_id, "raft_addr": raft_addr})

    async def _kv(self, node: ClusterNode, group: Group, request: Request, key: str) -> Response:
        if request.method == "PUT":
            value = (request.body or {}).get("value")
            if not key or not isinstance(value, str):
                return _problem(400, 'expected {"value": "..."}')
            _need_data(group, node.name)
            await self._cluster.with_quorum(lambda _now: group.write(f"kv/{key}", value))
            return Response(200, {"key": key, "value": value})
        if request.method != "GET":
            return _problem(405, "use GET or PUT")
        _need_data(group, node.name)
        found = group.read(node.name, f"kv/{key}")
        return _problem(404, f"no key {key}") if found is None else Response(200, {"key": key, "value": found})

    async def _write(self, node: ClusterNode, group: Group, body: Json) -> Response:
        metric, value = body.get("metric"), body.get("value")
        if not isinstance(metric, str) or not metric or isinstance(value, bool) or not isinstance(value, int | float):
            return _problem(400, 'expected {"metric": ..., "value": NUMBER, "timestamp": ...}')
        _need_data(group, node.name)
        point = json.dumps({"value": value, "timestamp": body.get("timestamp")})
        await self._cluster.with_quorum(lambda _now: group.write(_SERIES + metric, point))
        return Response(200, {"metric": metric, "written": 1})

    def _query(self, node: ClusterNode, group: Group, body: Json) -> Response:
        """The newest point of a metric with `time`, all of them with `start` and `end`; what times say is not read."""
        query = body.get("query")
        if not isinstance(query, str) or not ("time" in body or ("start" in body and "end" in body)):
            return _problem(400, 'expected {"query": ..., "time": ...} or {"query": ..., "start": ..., "end": ...}')
        _need_data(group, node.name)
        metric = query.partition("{")[0]
        points = [json.loads(point) for point in group.history(node.name, _SERIES + metric)]
        if "time" in body:
            points = points[-1:]
        return Response(200, {"result": [{"metric": metric, **point} for point in points]})

    # The others

    def _plasmavmc(self, request: Request, path: str) -> Response:
        vms = self._cluster.vms
        if (request.method, path) == ("GET", "/api/vms"):
            return Response(200, {"vms": [_vm(vm) for vm in vms.vms.values()]})
        parts = path.split("/")
        if request.method == "POST" and len(parts) == 5 and parts[:3] == ["", "api", "vms"] and parts[4] == "migrate":
            target = (request.body or {}).get("target_node")
            if not isinstance(target, str):
                return _problem(400, 'expected {"target_node": ...}')
            try:
                return Response(202, _vm(vms.migrate(parts[3], target)))
            except VmError as error:
                return _problem(error.status, str(error))
        return _problem(404, f"no {request.method} {request.path} here")

    def _fiberlb(self, request: Request, path: str) -> Response:
        backends = self._cluster.backends
        if (request.method, path) == ("GET", "/api/backends"):
            return Response(200, {"backends": [{"id": node, "status": status} for node, status in backends.items()]})
        node = path.removeprefix("/api/backend/")
        if request.method != "POST" or node == path:
            return _problem(404, f"no {request.method} {request.path} here")
        if node not in backends:
            return _problem(404, f"no backend {node}")
        status = (request.body or {}).get("status")
        if status not in ("active", "drain"):
            return _problem(400, 'expected {"status": "drain"} or {"status": "active"}')
        backends[node] = str(status)
        return Response(200, {"id": node, "status": status})

    def _users(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._cluster.token}":
            return Response(401, {"error": "a bearer token is required"}, {"WWW-Authenticate": "Bearer"})
        return Response(200, {"users": [{"id": "u-1", "name": "admin"}, {"id": "u-2", "name": "operator"}]})


def _problem(status: int, message: str) -> Response:
    return Response(status, {"error": message})


def _need_data(group: Group, node: str) -> None:
    if not group.reachable(node):
        raise NoQuorumError(f"{node} is no member of {group.name}")


def _raft_health(group: Group, node: str) -> Json:
    if group.alone(node):
        return {"status": "healthy", "raft": "leader", "cluster_size": 1}
    if not group.reachable(node):
        return {"status": "unhealthy", "cluster_size": 0, "error": f"{node} is no member of the cluster"}
    body: Json = {
        "status": "healthy",
        "raft": "leader" if group.leader == node else "follower",
        "cluster_size": len(group.members),
    }
    try:
        group.need_quorum()
    except NoQuorumError as error:
        return body | {"status": "unhealthy", "error": str(error)}
    status = group.status(node)
    if status == "lagging":
        return body | {"status": "degraded", "error": "the replica lags behind the leader"}
    return body if status == "healthy" else body | {"status": status, "error": "the replica copies what it missed"}


def _own(group: Group, node: ClusterNode) -> list[Json]:
    """What a node tells that began a cluster for itself."""
    address = f"{node.address}:{RAFT_PORTS[group.name]}"
    return [{"id": node.name, "raft_addr": address, "status": "healthy", "role": "leader", "voter": True}]


def _members(group: Group) -> list[Json]:
    return [
        {
            "id": member.id,
            "raft_addr": member.raft_addr,
            "status": group.status(member.id),
            "role": "leader" if group.leader == member.id else "follower",
            "voter": member.voter,
        }
        for member in group.members.values()
    ]


def _vm(vm: Vm) -> Json:
    body: Json = {"id": vm.id, "node": vm.node, "status": vm.status, "memory": vm.memory, "cores": vm.cores}
    if vm.target:
        body["target_node"] = vm.target
    if vm.error:
        body["error"] = vm.error
    return body
