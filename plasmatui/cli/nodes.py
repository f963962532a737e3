"""`plasmatui nodes`: power, BMC, stage, lifecycle, health and findings of nodes."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import click

from plasmatui.cli.completion import complete_set
from plasmatui.cli.engine_link import FIRST_ANSWER_LIMIT, Watcher, engine, expect, run_async
from plasmatui.cli.failure import DONE
from plasmatui.cli.output import LiveLine, clean, clock, note, print_json, result, table
from plasmatui.cli.sets import ALL, pick
from plasmatui.cli.settings import Settings
from plasmatui.cli.timeline import ratio_words
from plasmatui.cli.times import at_option, note_of, past_of
from plasmatui.model import wire
from plasmatui.model.event import EventLine
from plasmatui.model.node import NodeState, StageState
from plasmatui.model.words import BmcStatus

_NOT_ASKED_YET = (BmcStatus.UNKNOWN, BmcStatus.CONNECTING)


@click.command()
@click.argument("node_set", metavar="[SET]", default=ALL, shell_complete=complete_set)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--watch", is_flag=True, help="Go on with one line per event, until ctrl-c.")
@at_option
@click.pass_obj
def nodes(settings: Settings, node_set: str, as_json: bool, watch: bool, at: str | None) -> int:
    """Show power, stage, health and findings.

    SET is @all when it is left out.
    """
    if as_json and watch:
        raise click.UsageError("--json and --watch exclude each other")
    if at is not None:
        if watch:
            raise click.UsageError("--at and --watch exclude each other")
        return run_async(_nodes_at(settings, node_set, as_json, past_of(at)))
    return run_async(_nodes(settings, node_set, as_json, watch))


async def _nodes(settings: Settings, node_set: str, as_json: bool, watch: bool) -> int:
    async with engine(settings, read_only=True) as client:
        names = pick(node_set, client.welcome.nodes)
        watcher = Watcher(client)
        await watcher.begin()
        await _first_answers(watcher, names)
        states = [watcher.states[name] for name in names if name in watcher.states]
        if as_json:
            print_json({"nodes": {state.name: node_json(state) for state in states}})
            return DONE
        result(_table(states))
        if watch:
            await _watch(watcher, frozenset(names))
    return DONE


async def _nodes_at(settings: Settings, node_set: str, as_json: bool, at: float) -> int:
    async with engine(settings, read_only=True) as client:
        names = frozenset(pick(node_set, client.welcome.nodes))
        past = expect(await client.ask(wire.AskPast(at)), wire.Past)
    states = [state for state in past.states if state.name in names]
    if as_json:
        nodes = {state.name: node_json(state) for state in states}
        print_json({"at": past.at, "known": past.silent or past.at, "nodes": nodes})
        return DONE
    note_of(past)
    result(_table(states, past.at))
    return DONE


async def _first_answers(watcher: Watcher, names: tuple[str, ...]) -> None:
    """An engine that has just been started knows nothing yet: give its BMCs a moment, and say so."""
    deadline = time.monotonic() + FIRST_ANSWER_LIMIT
    live = LiveLine()
    while True:
        open_ = [n for n in names if n in watcher.states and watcher.states[n].bmc.status in _NOT_ASKED_YET]
        left = deadline - time.monotonic()
        if not open_ or left <= 0:
            live.clear()
            return
        live.show(f"waiting for {len(open_)} of {len(names)} BMCs")
        await watcher.wait(left)


async def _watch(watcher: Watcher, names: frozenset[str]) -> None:
    # Printed here and not where they arrive: output that nobody takes any more is no fault of the connection.
    events: deque[EventLine] = deque()
    watcher.on_events = lambda changes: events.extend(changes.events)
    note("watching; ctrl-c ends")
    while True:
        await watcher.wait()
        while events:
            event = events.popleft()
            if event.node in names:
                result(f"{clock(event.wall)}  {event.node}  {clean(event.source)}  {clean(event.text)}")


def _table(states: list[NodeState], now: float | None = None) -> str:
    header = ("NODE", "POWER", "BMC", "STAGE", "LIFECYCLE", "HEALTH", "FINDINGS")
    rows = [
        (
            state.name,
            state.power.value,
            state.bmc.status,
            stage_words(state.stage, now),
            " ".join((state.lifecycle, *state.flags)),
            state.health,
            " ".join(finding.id for finding in state.findings) or "-",
        )
        for state in states
    ]
    return table(header, rows)


def stage_words(stage: StageState | None, now: float | None = None) -> str:
    """A stage for people: `http-initrd 43 %`, `tftp-loader 2.4x usual`, `dhcp-loader failed`."""
    now = time.time() if now is None else now
    if stage is None:
        return "-"
    running = now - stage.since if stage.since and stage.state == "running" else None
    parts = [
        stage.stage,
        "failed" if stage.state == "failed" else "",
        f"{stage.percent:.0f} %" if stage.percent is not None and stage.state == "running" else "",
        ratio_words(running, stage.usual),
    ]
    return " ".join(part for part in parts if part)


def _stage_json(stage: StageState | None) -> dict[str, Any] | None:
    if stage is None:
        return None
    return {
        "since": stage.since or None,
        "state": stage.state,
        "outcome": stage.outcome,
        "percent": stage.percent,
        "usual": stage.usual,
    }


def node_json(state: NodeState) -> dict[str, Any]:
    """A node's state for `--json`. `ok` is false while its BMC is not reached, `error` says why."""
    reached = state.bmc.status in (BmcStatus.UP, BmcStatus.NONE)
    error = (
        None
        if reached
        else {
            "id": state.bmc.finding or "bmc-unreachable",
            "message": state.bmc.message or f"{state.name}: the BMC has not answered yet ({state.bmc.status})",
        }
    )
    return {
        "ok": reached,
        "power": state.power.value,
        "stage": state.stage.stage if state.stage is not None else None,
        "boot": _stage_json(state.stage),
        "lifecycle": state.lifecycle,
        "health": state.health,
        "flags": list(state.flags),
        "lock": None
        if state.lock is None
        else {
            "by": state.lock.by,
            "reason": state.lock.reason,
            "since": state.lock.since,
            "until": state.lock.until or None,
        },
        "notes": [{"by": note.by, "wall": note.wall, "text": note.text} for note in state.notes],
        "operation": state.operation or None,
        "findings": [
            {
                "id": finding.id,
                "severity": finding.severity,
                "cause": finding.cause,
                "remedy": finding.remedy,
                "evidence": list(finding.evidence),
            }
            for finding in state.findings
        ],
        "error": error,
    }
