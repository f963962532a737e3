"""A rack whose cluster has a bit of everything: well, degraded, failed, silent, off, unread."""

from __future__ import annotations

from typing import Any

import msgspec

from plasmatui.model import wire
from plasmatui.model.health import (
    GroupState,
    HealthLook,
    JoinSeen,
    MemberState,
    NodeServices,
    NodeSystem,
    ServiceState,
    Trend,
)
from plasmatui.model.node import Finding, PowerState
from plasmatui.model.words import Health, Power, Severity
from tests.ui.fake import NOW, FakeWorld, rack

CONTROL_PLANE = ("chainfire", "flaredb", "iam", "plasmavmc", "prismnet", "flashdns", "fiberlb", "k8shost")
WORKER = ("plasmavmc", "prismnet")
UNASKED = "asked with `kubectl get nodes` on a control-plane node, not from here"
ENDS_SOON = Finding("certificate-ends-soon", Severity.WARNING, "The TLS certificate of a service ends soon.",
                    "Issue another one.", NOW - 65, ("prismnet: it ends in 12 days",))  # fmt: skip
SILENT = Finding("service-silent", Severity.ERROR, "A service of the cluster does not answer.",
                 "Look at its journal.", NOW - 65, ("iam: no answer within 3 s",))  # fmt: skip


def service(name: str, status: Health = Health.OK, message: str = "healthy", **more: Any) -> ServiceState:
    if name == "k8shost":
        return ServiceState(name, Health.UNKNOWN, UNASKED, askable=False)
    latency = 0.0 if status is Health.UNKNOWN else 12.0
    return ServiceState(name, status, message, NOW - 3600, latency, True, ends=NOW + 89.5 * 86400, **more)


def trends(node: int = 0) -> tuple[Trend, ...]:
    """Of a node, or of all; iam did not answer at the last two looks, and chainfire is slow."""
    flat = (11.0, 12.0, 10.0, 14.0, 30.0, 12.0, 11.0, 12.0)
    return tuple(
        Trend(name, (*flat[:6], 0.0, 0.0) if name == "iam" and node else (*flat[:7], 120.0) if name == "chainfire"
              else flat, (0,) * 6 + ((1, 1) if name in ("iam", "chainfire") else (0, 0)))
        for name in CONTROL_PLANE if name != "k8shost"
    )  # fmt: skip


def system(node: str, **more: Any) -> NodeSystem:
    known = {"booted": "25.11.1 (aaaaaa)", "active": "25.11.1 (aaaaaa)", "next": "25.11.1 (aaaaaa)"}
    return NodeSystem(node, NOW - 120, **(known | more))


def cluster(size: int = 12) -> FakeWorld:
    """node01 is silent in one service, node02 failed, node03 degraded and unverified, every second worker off."""
    world = FakeWorld(rack(size))
    services = {}
    for i, node in enumerate(world.nodes, 1):
        found = [service(name) for name in (CONTROL_PLANE if i <= 3 else WORKER)]
        health, findings = Health.OK, world.states[node.name].findings
        if i == 1:
            found[2] = service("iam", Health.UNKNOWN, "no answer within 3 s", finding="service-silent",
                               remedy="Look at `systemctl status iam.service` on node01.")  # fmt: skip
            health, findings = Health.DEGRADED, (SILENT,)
        elif i == 2:
            failed = service("chainfire", Health.FAILED, "failed, raft follower")
            found[0] = msgspec.structs.replace(failed, since=NOW - 42, latency_ms=1200.0)
            health = Health.FAILED
        elif i == 3:
            found[4] = service("prismnet", Health.DEGRADED, "degraded, networks [/] 3")
            found[1] = msgspec.structs.replace(found[1], verified=False)
            health = Health.DEGRADED
        elif i % 2 == 0:
            found = [service(name, Health.UNKNOWN, "the node is off") for name in WORKER]
            health = Health.UNKNOWN
        power = PowerState(Power.OFF if i > 3 and i % 2 == 0 else Power.ON, NOW - 3600, "ipmi")
        world.states[node.name] = msgspec.structs.replace(
            world.states[node.name], health=health, findings=findings, power=power
        )
        services[node.name] = NodeServices(node.name, tuple(found), None if health is Health.UNKNOWN else 0.0)
    soon = tuple(msgspec.structs.replace(each, ends=NOW + 12.5 * 86400) for each in services["node07"].services)
    services["node07"] = NodeServices("node07", soon, 301.4)
    world.states["node07"] = msgspec.structs.replace(world.states["node07"], findings=(ENDS_SOON,))
    world.services = tuple(services.values())
    world.systems = (
        system("node02", joins=(JoinSeen("chainfire", "joined"), JoinSeen("flaredb", "refused", "no leader [/]"))),
        system("node03", next="25.11.2 (bbbbbb)", drift="the next boot takes another system than the one that runs"),
        system("node05", failed=("smartd.service",)),
        system("node09", declared="25.11.2 (bbbbbb)", evaluated=NOW - 100),
        NodeSystem("node07", NOW - 120, problem="ssh to node07: connection refused"),
    )
    world.answers[wire.AskTrend] = lambda _, body: wire.Trends(body.node, trends(int(body.node[-2:])))
    members = tuple(
        MemberState(f"node{i:02d}", f"node{i:02d}", "leader" if i == 1 else "follower", True, i != 2,
                    "healthy" if i != 2 else "unreachable")
        for i in (1, 2, 3)
    )  # fmt: skip
    world.groups = (
        GroupState("chainfire", members, "node01", 2, 3, 2, True, "", NOW - 42),
        GroupState("flaredb", members[::2], "", 1, 3, 2, True, "its members disagree on the leader", NOW - 30),
    )
    world.look = HealthLook(True, NOW - 4, 10.0, trends())
    return world
