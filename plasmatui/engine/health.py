"""Looks at the services of all nodes and at the raft groups again and again, and tells what it sees.

An inventory without a cluster costs nothing: without a CA, and before a service ever answered, nothing is asked.
Silence is unknown; it is a finding only of a node whose services should answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from plasmatui.engine.guard import SEEN
from plasmatui.engine.ports import ProblemError
from plasmatui.engine.raised import Raised
from plasmatui.engine.session import Session
from plasmatui.engine.store import Store
from plasmatui.inventory.inventory import Inventory
from plasmatui.journal.memory import Memory
from plasmatui.model import wire
from plasmatui.model.event import HealthSeen
from plasmatui.model.health import GroupState, HealthLook, NodeServices
from plasmatui.model.node import NodeState
from plasmatui.model.words import Health, Power

if TYPE_CHECKING:  # httpx takes a fifth of a second
    from plasmatui.cluster.clients import ClusterClients
    from plasmatui.cluster.health import HealthChecks, ServiceHealth
    from plasmatui.engine.trends import Trends

FAST: Final = 3.0
NORMAL: Final = 10.0
SLOW: Final = 30.0
"""Seconds between the begins of two looks: after a change and while operations run, usually, and when all is well
and nobody is attached."""

FRESH: Final = 30.0
"""Seconds after a change for which looks are fast."""

COST: Final = 0.005
"""Seconds of pace for each service asked: a request takes a millisecond of CPU, and looking at most a fifth of it."""

SILENCES: Final = (10.0, 20.0, 40.0, 60.0)
"""Seconds until a silent node is asked again, by the number of looks at which it was."""

ANSWERED: Final = "services:"
"""Key of the journal's memory, before a node's name: a service of it answered once."""

SOURCE: Final = "health"


def pace_of(*, changed: float, running: bool, attached: bool, well: bool, asked: int) -> float:
    """Seconds between the begins of two looks.

    Args:
        changed: seconds since something changed. running: operations do. attached: somebody looks on.
        well: every node and group is. asked: services that a look asks.
    """
    usual = FAST if running or changed < FRESH else SLOW if well and not attached else NORMAL
    return max(usual, asked * COST)


@dataclass
class _Silence:
    """A node that says nothing: for how many looks, when it is asked again, and what was known of it then."""

    looks: int
    again: float
    known: tuple[object, ...]


class HealthWatch:
    """See the module.

    Args:
        running: whether operations run. attached: whether clients are.
    """

    def __init__(
        self,
        store: Store,
        inventory: Callable[[], Inventory],
        cluster: Callable[[], ClusterClients],
        memory: Memory,
        running: Callable[[], bool],
        attached: Callable[[], bool],
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._cluster = cluster
        self._memory = memory
        self._running = running
        self._attached = attached
        self._checks: HealthChecks | None = None
        self._silent: dict[str, _Silence] = {}
        self._answered: dict[str, float] = {}
        self._raised = Raised(store, SOURCE)
        self._trends: Trends | None = None
        self._groups: dict[str, GroupState] = {}
        self._changed = float("-inf")
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self.handlers: dict[type, Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]] = {
            wire.LookHealth: self._look_for,
            wire.AskTrend: self._trend_of,
            wire.CheckReplication: self._check_replication,
        }

    # --- for others -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look, until cancelled. What goes wrong unforeseen ends one look, not all of them."""
        while True:
            begin = time.monotonic()
            waiting, self._waiting = self._waiting, []
            self._wake.clear()
            try:
                await self._look(forced=bool(waiting))
            except Exception as error:  # noqa: BLE001 - the boundary of a supervised task
                context = {"message": "a look at the services", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
            finally:
                for each in waiting:
                    if not each.done():
                        each.set_result(None)
            await self._rest(begin)

    def retarget(self) -> None:
        """The inventory was read again: look at what it names now."""
        for node in [node for node in self._silent if node not in self._store.nodes]:
            del self._silent[node]
        self._raised.forget()
        self._wake.set()

    async def look(self) -> None:
        """Look now at everything, what is silent included; done when that has ended."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wake.set()
        await future

    async def _look_for(self, _: Session, __: int, ___: wire.LookHealth) -> wire.ReplyBody:
        await self.look()
        return wire.Done()

    async def _trend_of(self, _: Session, __: int, body: wire.AskTrend) -> wire.ReplyBody:
        if body.node not in self._store.nodes:
            raise ProblemError("unknown-node", f"the inventory has no node {body.node}")
        return wire.Trends(body.node, self._trends.of(body.node) if self._trends is not None else ())

    async def _check_replication(self, session: Session, _: int, __: wire.CheckReplication) -> wire.ReplyBody:
        replication = await asyncio.to_thread(importlib.import_module, "plasmatui.cluster.replication")
        found = await replication.check_replication(self._cluster())
        for each in found:
            at = f" at {each.writer}" if each.writer else ""
            self._store.audit(
                session.id.user, "", f"check replication of {each.group}: write {each.key or 'nothing'}{at}",
                each.problem or ("done" if each.ok else "not everywhere"),
            )  # fmt: skip
        return wire.Replications(found)

    # --- when -----------------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether there may be a cluster to look at."""
        return bool(self._inventory().ca or self._memory.under(SEEN) or self._memory.under(ANSWERED))

    def _pace(self) -> float:
        states = self._store.states
        speaking = [each for name, each in self._store.services.items() if each.services and name not in self._silent]
        return pace_of(
            changed=time.monotonic() - self._changed,
            running=self._running(),
            attached=self._attached(),
            well=all(states[each.node].health is Health.OK for each in speaking if each.node in states)
            and all(group.health is Health.OK for group in self._groups.values()),
            asked=sum(len(each.services) for each in speaking),
        )

    async def _rest(self, begin: float) -> None:
        """Wait for the next look: its time may come nearer meanwhile, as when an operation begins."""
        while not self._wake.is_set() and (left := begin + self._pace() - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, FAST)):
                    await self._wake.wait()

    def _due(self, node: str, forced: bool) -> bool:
        silence = self._silent.get(node)
        return (
            silence is None
            or forced
            or time.monotonic() >= silence.again
            or silence.known != _known(self._store.states[node])
        )

    # --- one look -------------------------------------------------------------------------------------------------

    async def _look(self, *, forced: bool) -> None:
        if not (forced or self.active):
            self._store.health_look(HealthLook())
            return
        if self._checks is None:
            await asyncio.to_thread(importlib.import_module, "plasmatui.cluster.health")  # too long for the loop
        from plasmatui.cluster.health import HealthChecks
        from plasmatui.engine.trends import Trends

        clients = self._cluster()
        if self._checks is None or self._trends is None:
            self._checks, self._trends = HealthChecks(clients), Trends()
        self._checks.forget(self._store.nodes.keys())
        self._trends.forget(self._store.nodes.keys(), clients.inventory.services.keys())
        runs = [node for node in self._store.nodes if clients.services_of(node)]
        for node in [node for node in self._store.services if node not in runs]:
            self._tell_node(node, ())
        due = [node for node in runs if self._due(node, forced)]
        await asyncio.gather(*(self._look_at(self._checks, node) for node in due), self._look_at_groups(clients, due))
        self._store.health_look(HealthLook(self.active, time.time(), self._pace(), self._trends.end_look()))

    async def _look_at(self, checks: HealthChecks, node: str) -> None:
        found = await checks.node(node)
        if node in self._store.nodes:  # the inventory may have been read again
            self._tell_node(node, found)
            if self._trends is not None:
                self._trends.take(node, found)

    def _tell_node(self, node: str, found: tuple[ServiceHealth, ...]) -> None:
        from plasmatui.cluster.health import node_health
        from plasmatui.engine.healthfacts import (
            SERVICE_FINDINGS,
            reason,
            service_findings,
            services_of,
            silence_is_wrong,
        )

        state, now = self._store.states[node], time.time()
        before = self._store.services.get(node)
        after = services_of(node, found, before, state.power.value is Power.OFF)
        self._note_silence(node, state, found, now)
        if _statuses(before) != _statuses(after):
            self._changed = time.monotonic()
        self._store.node_services(after)
        wrong = silence_is_wrong(state, self._last_answer(node))
        health = node_health(found)
        self._raised.settle(node, SERVICE_FINDINGS, service_findings(found, now, silence_wrong=wrong))
        if health is not state.health:
            self._store.tell(node, SOURCE, HealthSeen(health, reason(found) if health is not Health.UNKNOWN else ""))

    def _note_silence(self, node: str, state: NodeState, found: tuple[ServiceHealth, ...], now: float) -> None:
        if any(each.status is not Health.UNKNOWN for each in found):
            self._answered[node] = now
            self._memory.put(ANSWERED + node, b"1")
        if any(each.askable and each.finding != "service-silent" for each in found) or not found:
            self._silent.pop(node, None)
            return
        looks = self._silent[node].looks + 1 if node in self._silent else 1
        again = time.monotonic() + SILENCES[min(looks, len(SILENCES)) - 1]
        self._silent[node] = _Silence(looks, again, _known(state))

    def _last_answer(self, node: str) -> float | None:
        known = self._answered.get(node)
        return 0.0 if known is None and self._memory.get(ANSWERED + node) else known

    async def _look_at_groups(self, clients: ClusterClients, due: list[str]) -> None:
        """The groups of which somebody may answer; a group whose members are all silent stays as it is."""
        from plasmatui.cluster.members import GROUPS, read_group
        from plasmatui.engine.healthfacts import QUORUM_FINDINGS, group_state, news_of, quorum_findings

        named = {name: clients.nodes_of(name) for name in GROUPS}
        asked = [name for name, nodes in named.items() if any(node in due for node in nodes)]
        now = time.time()
        for group in await asyncio.gather(*(read_group(clients, name) for name in asked)):
            before = self._groups.get(group.name)
            after = self._groups[group.name] = group_state(group, before, now)
            if group.voters:
                self._memory.put(SEEN + group.name, b"1")
            if before is None or before.since != after.since:
                self._changed = time.monotonic()
            if text := news_of(before, after):
                self._store.note(text)
        for name in [name for name, nodes in named.items() if not nodes]:
            self._groups.pop(name, None)
        self._store.raft_groups(tuple(self._groups.values()))
        found = quorum_findings(self._groups.values(), named, now)
        for node in self._store.nodes:
            self._raised.settle(node, QUORUM_FINDINGS, found.get(node, {}))


def _known(state: NodeState) -> tuple[object, ...]:
    """What gives a silent node reason to speak when it changes."""
    return state.power.value, state.lifecycle, state.operation, state.stage.stage if state.stage is not None else None


def _statuses(services: NodeServices | None) -> list[tuple[str, Health]]:
    return [(each.service, each.status) for each in services.services] if services is not None else []
