"""`plasmatui health`: what the cluster's services say of themselves, node by node, and how its raft groups stand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.engine_link import Watcher, engine, expect, run_async
from plasmatui.cli.failure import DONE, FAILED, SOME_FAILED
from plasmatui.cli.output import LiveLine, clock, duration, json_error, note, print_json, result, table
from plasmatui.cli.sets import ALL, fold, pick
from plasmatui.cli.settings import Settings
from plasmatui.cli.systems import node_json, node_troubles, replication_json, replication_text, systems_text
from plasmatui.client import EngineClient
from plasmatui.model import wire
from plasmatui.model.health import (
    GroupState,
    NodeServices,
    NodeSystem,
    Replication,
    ServiceState,
    node_word,
    service_word,
)
from plasmatui.model.node import NodeState
from plasmatui.model.words import Health

LOOK_LIMIT = 30.0
"""Seconds that a look at all services may take: dead nodes are given up before that."""

SYSTEMS_LIMIT = 300.0
"""The same for a look at all systems over SSH, of which few are asked at once."""

DECLARED_LIMIT = 600.0
"""The same for evaluating what the flake declares, of each node."""

_URGENCY = {Health.FAILED: 0, Health.DEGRADED: 1, Health.UNKNOWN: 2, Health.OK: 3}
_OFF = 4
"""A machine that is off is no problem of the cluster's."""


@click.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--watch", is_flag=True, help="Show it again at every change, until ctrl-c.")
@click.option("--systems", is_flag=True, help="Ask the systems over SSH, too: what runs and boots next, first boots.")
@click.option("--declared", is_flag=True, help="As --systems, beside what the flake declares (minutes a node).")
@click.option("--replication", is_flag=True, help="Write a value into each raft group and read it elsewhere, too.")
@click.pass_obj
def health(
    settings: Settings, node_set: str, as_json: bool, watch: bool, systems: bool, declared: bool, replication: bool
) -> int:
    """Ask the cluster's services how they are.

    SET is @all when it is left out. Exit code 0: all is ok; 1: something failed; 3: something is degraded or unknown.
    """
    if as_json and watch:
        raise click.UsageError("--json and --watch exclude each other")
    return run_async(_health(settings, node_set, _Wanted(as_json, watch, systems or declared, declared, replication)))


@dataclass(frozen=True)
class _Wanted:
    """The options."""

    as_json: bool
    watch: bool
    systems: bool
    declared: bool
    replication: bool


class _Seen(Watcher):
    """What the engine tells of nodes, services and groups."""

    def __init__(self, client: EngineClient) -> None:
        super().__init__(client)
        self.services: dict[str, NodeServices] = {}
        self.groups: tuple[GroupState, ...] = ()
        self.systems: dict[str, NodeSystem] = {}
        self.replications: tuple[Replication, ...] = ()
        self.on_events = self._take

    async def look(self, names: tuple[str, ...], wanted: _Wanted) -> None:
        """Have everything looked at, and take what is known then."""
        snapshot = await self.begin()
        live = LiveLine()
        live.show(f"asking the services of {len(snapshot.nodes)} nodes")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_LIMIT):
                expect(await self.client.ask(wire.LookHealth()), wire.Done)
        if wanted.systems:
            await self._look_at_systems(live, names if wanted.declared else ())
        if wanted.replication:
            live.show("writing into the raft groups")
            self.replications = expect(await self.client.ask(wire.CheckReplication()), wire.Replications).groups
        live.clear()
        snapshot = expect(await self.client.ask(wire.Watch()), wire.Snapshot)
        self.states.update((state.name, state) for state in snapshot.states)
        self.services = {each.node: each for each in snapshot.services}
        self.groups = snapshot.groups
        self.systems = {each.node: each for each in snapshot.systems}

    async def _look_at_systems(self, live: LiveLine, evaluated: tuple[str, ...]) -> None:
        """Of all nodes; with `evaluated` of these, beside what the flake declares for them."""
        live.show("asking the nodes' systems over SSH" + (", and the flake" if evaluated else ""))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SYSTEMS_LIMIT + DECLARED_LIMIT * len(evaluated)):
                expect(await self.client.ask(wire.LookSystems(evaluated, declared=bool(evaluated))), wire.Done)

    def _take(self, changes: wire.Changes) -> None:
        self.services.update((each.node, each) for each in changes.services)
        if changes.groups is not None:
            self.groups = changes.groups


async def _health(settings: Settings, node_set: str, wanted: _Wanted) -> int:
    async with engine(settings, read_only=not wanted.replication) as client:
        names = pick(node_set, client.welcome.nodes)
        seen = _Seen(client)
        await seen.look(names, wanted)
        if wanted.as_json:
            print_json(_json(seen, names, wanted))
            return _code(seen, names)
        shown = _text(seen, names)
        result(shown)
        if wanted.systems:
            result(f"\n{systems_text(names, seen.systems)}")
        if wanted.replication:
            result(f"\n{replication_text(seen.replications)}")
        if wanted.watch:
            await _watch(seen, names, shown)
        return _code(seen, names)


async def _watch(seen: _Seen, names: tuple[str, ...], shown: str) -> None:
    note("watching; ctrl-c ends")
    while True:
        await seen.wait()
        text = _text(seen, names)
        if text != shown:
            shown = text
            result(f"\n{clock(time.time())}\n{text}")


def _of(seen: _Seen, names: Iterable[str]) -> list[NodeServices]:
    """The nodes of the set that run services."""
    return [seen.services[name] for name in names if name in seen.services and seen.services[name].services]


def _code(seen: _Seen, names: Iterable[str]) -> int:
    told = [seen.states[each.node].health for each in _of(seen, names)]
    told += [group.health for group in seen.groups]
    told += [Health.OK if each.ok else Health.FAILED for each in seen.replications]
    if Health.FAILED in told:
        return FAILED
    return DONE if told and all(each is Health.OK for each in told) else SOME_FAILED


# --- for people ------------------------------------------------------------


def _text(seen: _Seen, names: tuple[str, ...]) -> str:
    nodes = _of(seen, names)
    if not nodes:
        return "no node of the set runs a service: `services` of its profile in the inventory names them"
    parts = [_matrix(seen, nodes)]
    odd = [line for each in nodes for line in _troubles(each, seen.states[each.node])]
    if odd:
        parts.append(_folded(odd))
    if seen.groups:
        parts.append(_groups(seen.groups))
    return "\n\n".join(parts)


def _matrix(seen: _Seen, nodes: Sequence[NodeServices]) -> str:
    """Nodes by services; nodes that are alike share a row, odd ones come first."""
    services = list(dict.fromkeys(each.service for node in nodes for each in node.services))
    alike: dict[tuple[str, ...], list[str]] = {}
    urgency: dict[tuple[str, ...], int] = {}
    for node in nodes:
        state = seen.states[node.node]
        cells = (node_word(state.health, state.power.value), *(_word(node.service(name), state) for name in services))
        alike.setdefault(cells, []).append(node.node)
        urgency[cells] = _OFF if cells[0] == "off" else _URGENCY[state.health]
    rows = sorted(alike.items(), key=lambda row: urgency[row[0]])
    header = ("NODES", "HEALTH", *(name.upper() for name in services))
    return table(header, [(fold(names), *cells) for cells, names in rows])


def _word(service: ServiceState | None, state: NodeState) -> str:
    unverified = service is not None and service.verified is False
    return service_word(service, state.power.value) + (" !tls" if unverified else "")


def _troubles(node: NodeServices, state: NodeState) -> list[tuple[str, str]]:
    """What is not as it should be, as (node, line)."""
    if node_word(state.health, state.power.value) == "off":
        return []
    lines = node_troubles(state)
    for each in node.services:
        if each.askable and each.status is not Health.OK:
            remedy = f" -> {each.remedy}" if each.remedy else ""
            lines.append((node.node, f"{each.service}: {each.message}{remedy}"))
    return lines


def _folded(lines: Sequence[tuple[str, str]]) -> str:
    """Lines that differ in the node's name alone are one."""
    alike: dict[str, list[str]] = {}
    for node, text in lines:
        alike.setdefault(text.replace(node, "NODE"), []).append(node)
    return "\n".join(
        f"{fold(nodes)}: {text if len(nodes) > 1 else text.replace('NODE', nodes[0])}" for text, nodes in alike.items()
    )


def _groups(groups: Sequence[GroupState]) -> str:
    rows = []
    for group in sorted(groups, key=lambda each: _URGENCY[each.health]):
        voters = f"{group.healthy} of {group.voters}" if group.readable else "unknown"
        verdict = "majority lost" if group.lost else "at risk" if group.at_risk else str(group.health)
        spare = str(group.margin) if group.readable and group.voters else "-"
        rows.append((group.name, verdict, group.leader or "none known", voters, str(group.needed or "-"), spare))
    lines = [table(("RAFT GROUP", "STATE", "LEADER", "HEALTHY VOTERS", "NEEDED", "MARGIN"), rows)]
    for group in groups:
        lines += [f"{group.name}: {text}" for text in _group_notes(group)]
    return "\n".join(lines)


def _group_notes(group: GroupState) -> list[str]:
    missing = [f"{each.id} {each.condition}" for each in group.members if each.voter and not each.healthy]
    notes = [f"does not count: {', '.join(missing)}"] if missing else []
    if group.message:
        notes.append(group.message)
    if not group.verified:
        notes.append("told over TLS that was not verified")
    if group.since and notes:
        notes[-1] += f" (for {duration(time.time() - group.since)})"
    return notes


# --- for programs ------------------------------------------------------------


def _json(seen: _Seen, names: tuple[str, ...], wanted: _Wanted) -> dict[str, Any]:
    nodes = {name: _node_json(seen.states[name], seen.services.get(name), seen.systems.get(name)) for name in names}
    found: dict[str, Any] = {"nodes": nodes, "groups": {group.name: _group_json(group) for group in seen.groups}}
    return found | {"replication": replication_json(seen.replications)} if wanted.replication else found


def _node_json(state: NodeState, services: NodeServices | None, system: NodeSystem | None) -> dict[str, Any]:
    told = services.services if services is not None else ()
    odd = next((each for each in told if each.askable and each.status is not Health.OK), None)
    ok = state.health is Health.OK or not told
    error = None
    if not ok:
        id_ = odd.finding if odd is not None and odd.finding else "service-unhealthy"
        if state.health is Health.UNKNOWN and (odd is None or not odd.finding):
            id_ = "unknown"
        where = f"{odd.service}: {odd.message}" if odd is not None else "no service of it can be asked from here"
        error = json_error(id_, f"{state.name}: {where}")
    return {
        "ok": ok,
        "health": state.health,
        "power": state.power.value,
        **node_json(services, system),
        "services": {
            each.service: {
                "status": each.status,
                "message": each.message,
                "since": each.since or None,
                "latency_ms": each.latency_ms or None,
                "verified": each.verified,
                "finding": each.finding or None,
                "askable": each.askable,
                "certificate_ends": each.ends or None,
            }
            for each in told
        },
        "error": error,
    }


def _group_json(group: GroupState) -> dict[str, Any]:
    return {
        "ok": group.health is Health.OK,
        "health": group.health,
        "readable": group.readable,
        "leader": group.leader or None,
        "healthy": group.healthy,
        "voters": group.voters,
        "needed": group.needed,
        "margin": group.margin if group.readable and group.voters else None,
        "since": group.since or None,
        "verified": group.verified,
        "message": group.message,
        "members": [
            {
                "id": each.id,
                "node": each.node or None,
                "role": each.role,
                "voter": each.voter,
                "healthy": each.healthy,
                "condition": each.condition,
            }
            for each in group.members
        ],
    }
