"""The past for clients: what was known of the nodes at a time, from the journal's events through the reducer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from plasmatui.engine.asof import boots_at, operations_at
from plasmatui.engine.boots import BootWatch
from plasmatui.engine.consoles import MAX_HISTORY, ConsoleHub
from plasmatui.engine.ports import ProblemError
from plasmatui.engine.session import Session
from plasmatui.engine.state import reduce
from plasmatui.engine.store import KEPT_EVENTS, KEPT_OPERATIONS, Store
from plasmatui.journal.past import PastJournal
from plasmatui.model import wire
from plasmatui.model.event import Event, GroupsSeen, NodesKnown, ServicesSeen
from plasmatui.model.health import GroupState, NodeServices
from plasmatui.model.node import NodeState

LIMIT: Final = 30.0
"""Seconds that telling a moment may take."""

BOOTS: Final = 100
"""Newest boots of a node among which those of a time are looked for."""


@dataclass
class Known:
    """What is known at a moment: states and services by node, and the raft groups."""

    states: dict[str, NodeState] = field(default_factory=dict)
    services: dict[str, NodeServices] = field(default_factory=dict)
    groups: tuple[GroupState, ...] = ()


def replay(known: Known, events: tuple[tuple[int, Event], ...]) -> None:
    """Take events into account, oldest first."""
    for _, event in events:
        match event.payload:
            case NodesKnown(states=states, services=services, groups=groups):
                known.states = {state.name: state for state in states}
                known.services = {each.node: each for each in services}
                known.groups = groups
            case ServicesSeen(services=seen):
                known.services[seen.node] = seen
            case GroupsSeen(groups=groups):
                known.groups = groups
            case _ if event.node:
                known.states[event.node] = reduce(known.states.get(event.node) or NodeState(event.node), event)
            case _:
                continue


class PastDesk:
    """Answers `AskPast`, `ConsoleAt`, and `AskTimeline` of a time."""

    def __init__(self, store: Store, journal: PastJournal, boots: BootWatch, consoles: ConsoleHub) -> None:
        self._store = store
        self._journal = journal
        self._boots = boots
        self._consoles = consoles
        self.handlers: dict[type, Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]] = {
            wire.AskPast: self._past,
            wire.ConsoleAt: self._console,
            wire.AskTimelineAt: self._timeline,
        }

    async def _past(self, _: Session, __: int, body: wire.AskPast) -> wire.ReplyBody:
        try:
            async with asyncio.timeout(LIMIT):
                return await self._told(body)
        except TimeoutError:
            raise ProblemError("timeout", f"that moment was not told within {LIMIT:g} s") from None

    async def _told(self, body: wire.AskPast) -> wire.Past:
        at, oldest = body.at, await self._journal.oldest()
        if body.step:
            at = await self._journal.neighbour(at, body.step)
            if not at:
                raise ProblemError("no-past", f"there is no event {'before' if body.step < 0 else 'after'} that")
        place = await self._journal.place(at)
        if place is None:
            since = f"what is kept begins at {_utc(oldest)}" if oldest else "the journal keeps nothing of the past yet"
            raise ProblemError("no-past", f"nothing is kept of {_utc(at)}: {since}")
        known = Known()
        first = place.first
        while first <= place.last:
            events = await self._journal.events(first, place.last)
            if not events:
                break
            await asyncio.to_thread(replay, known, events)
            first = events[-1][0] + 1
        return wire.Past(
            at,
            oldest,
            place.heard if place.over else 0.0,
            place.last,
            tuple(_consoled(known.states.get(name) or NodeState(name)) for name in self._store.nodes),
            operations_at(await self._journal.operations(at, KEPT_OPERATIONS), at),
            await self._journal.lines(place.last, KEPT_EVENTS),
            tuple(each for name, each in known.services.items() if name in self._store.nodes),
            known.groups,
        )

    async def _timeline(self, _: Session, __: int, body: wire.AskTimelineAt) -> wire.ReplyBody:
        self._known(body.node)
        boots = await self._boots.timelines(body.node, BOOTS)
        return wire.Timelines(boots_at(boots, body.at)[: max(1, min(body.limit, BOOTS))])

    async def _console(self, _: Session, __: int, body: wire.ConsoleAt) -> wire.ReplyBody:
        self._known(body.node)
        length = max(0, min(body.length, MAX_HISTORY))
        return wire.ConsoleChunk(*await self._consoles.until(body.node, body.at, length))

    def _known(self, node: str) -> None:
        if node not in self._store.nodes:
            raise ProblemError("unknown-node", f"the inventory has no node {node}")


def _consoled(state: NodeState) -> NodeState:
    """Who reads a console, and how much of it there is, is of today."""
    return replace(state, console=replace(state.console, readers=0, start=0, end=0))


def _utc(wall: float) -> str:
    try:
        return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "that time"
