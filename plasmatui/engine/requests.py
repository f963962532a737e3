"""What each request does. One method per word of the wire protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from plasmatui.engine.checks import ChecksDesk
from plasmatui.engine.consoles import ConsoleHub
from plasmatui.engine.evidence import Collector
from plasmatui.engine.health import HealthWatch
from plasmatui.engine.marks import MarksDesk
from plasmatui.engine.oplogs import OperationLogs
from plasmatui.engine.opsdesk import ACTING, OperationsDesk
from plasmatui.engine.past import PastDesk
from plasmatui.engine.ports import ProblemError, known_nodes
from plasmatui.engine.pxe import PxeDesk
from plasmatui.engine.session import Session
from plasmatui.engine.store import Store
from plasmatui.engine.systemlooks import SystemLooks
from plasmatui.engine.watch import WatchHub
from plasmatui.engine.watchdesk import WatchDesk
from plasmatui.journal.journal import Journal
from plasmatui.model import wire
from plasmatui.model.access import role_of_request
from plasmatui.model.words import Role
from plasmatui.operations.kinds import word_of
from plasmatui.operations.runner import Runner
from plasmatui.text import clean_line

MAX_LINES = 10_000
"""Lines or records that one answer carries at most."""

QUERIES = ("power", "bootdev", "sensors", "sel", "inventory", "refresh")
"""What BMCs are asked."""

SYSTEM_QUERIES = ("generations",)
"""What systems are asked over SSH."""

_ACTING = (
    *ACTING,
    wire.ConsolePen,
    wire.ConsoleWrite,
    wire.ConsoleBreak,
    wire.ConsoleReopen,
    wire.StopEngine,
    wire.Reload,
    wire.ActivateImage,
    wire.RollBackImage,
    wire.PutNote,
    wire.LockNodes,
    wire.UnlockNodes,
    wire.CheckReplication,
)
"""What a client that was started with --read-only may not ask."""


MOST_REFUSALS = 20
"""Nodes of one refused request that are audited."""


class Bmcs(Protocol):
    """Questions to the BMCs."""

    async def query(self, node: str, what: str) -> wire.NodeAnswer:
        """One node's answer; what goes wrong is its `problem`."""


class Systems(Protocol):
    """Questions to installers and installed systems."""

    async def query(self, node: str, what: str) -> wire.NodeAnswer:
        """As `Bmcs.query`."""


class Control(Protocol):
    """The engine as a whole."""

    def status(self) -> wire.EngineStatus: ...

    def stop(self, reason: str) -> None:
        """Begin the orderly shutdown."""

    def attached(self) -> None:
        """Somebody looks at something else now."""

    async def reload(self) -> None:
        """Raises `ProblemError` "inventory" when it is wrong; the engine goes on with the old one."""


class RequestDesk:
    """Answers the requests of all clients."""

    def __init__(
        self,
        *,
        store: Store,
        bmcs: Bmcs,
        runner: Runner,
        consoles: ConsoleHub,
        journal: Journal,
        watch: WatchHub,
        control: Control,
        logs: OperationLogs,
        systems: Systems,
        cluster: Callable[[], str],
        checks: ChecksDesk,
        pxe: PxeDesk,
        past: PastDesk,
        health: HealthWatch,
        marks: MarksDesk,
        looks: SystemLooks,
    ) -> None:
        self._store = store
        self._bmcs = bmcs
        self._runner = runner
        self._consoles = consoles
        self._journal = journal
        self._control = control
        self._systems = systems
        self._marks = marks
        self._watch_desk = WatchDesk(store, watch, journal, Collector(watch, consoles, store, journal, logs), control)
        operations = OperationsDesk(store, runner, journal, logs, marks, cluster)
        self._handlers: dict[type, Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]] = {
            wire.Watch: self._watch,
            wire.Query: self._query,
            wire.ListEvents: self._events,
            wire.ListAudit: self._audit,
            wire.ConsoleOpen: self._console_open,
            wire.ConsoleClose: self._console_close,
            wire.ConsoleHistory: self._console_history,
            wire.ConsolePen: self._console_pen,
            wire.ConsoleWrite: self._console_write,
            wire.ConsoleBreak: self._console_break,
            wire.ConsoleReopen: self._console_reopen,
            wire.AskEngine: self._engine,
            wire.StopEngine: self._stop,
            wire.Reload: self._reload,
            wire.Here: self._here,
            **marks.handlers,
            **operations.handlers,
            **checks.handlers,
            **pxe.handlers,
            **past.handlers,
            **health.handlers,
            **looks.handlers,
            **self._watch_desk.handlers,
        }

    async def answer(self, session: Session, number: int, body: wire.RequestBody) -> wire.ReplyBody:
        """See `session.Desk`."""
        if session.read_only and isinstance(body, _ACTING):
            raise ProblemError("read-only", "this client was started with --read-only: it changes nothing")
        self._check_role(session, body)
        return await self._handlers[type(body)](session, number, body)

    def _check_role(self, session: Session, body: wire.RequestBody) -> None:
        needed = role_of_request(body)
        if session.role.covers(needed):
            return
        what = asked_words(body)
        for node in (getattr(body, "nodes", ()) or (getattr(body, "node", ""),))[:MOST_REFUSALS]:
            self._store.audit(
                session.id.user,
                clean_line(node, 64),
                what,
                f"refused: needs the role {needed}",
                origin=session.id.origin,
            )
        raise ProblemError("role", f"{what}: needs the role {needed}, and {session.id.user} is {session.role} here")

    def left(self, session: Session) -> None:
        """See `session.Desk`. Operations go on; consoles and pens are given back."""
        self._consoles.leave_all(session.id.number)
        self._watch_desk.left(session)

    # --- state ----------------------------------------------------------------------------------------------------

    async def _watch(self, session: Session, _: int, __: wire.Watch) -> wire.ReplyBody:
        if session.unsubscribe is None:
            session.unsubscribe = self._store.subscribe(session.outbound.changes)
        return self._store.snapshot()

    async def _query(self, session: Session, number: int, body: wire.Query) -> wire.ReplyBody:
        if body.what not in (*QUERIES, *SYSTEM_QUERIES):
            known = ", ".join((*QUERIES, *SYSTEM_QUERIES))
            raise ProblemError("unsupported", f"{body.what!r} cannot be asked; known are {known}")
        # A refresh also tries BMCs that refused us, which may lock an account: not for those who only look.
        looks = session.read_only or session.role is Role.VIEWER
        what = "power" if body.what == "refresh" and looks else body.what

        asked = self._systems if what in SYSTEM_QUERIES else self._bmcs

        async def one(node: str) -> None:
            answer = await asked.query(node, what)
            await session.outbound.room()
            session.item(number, answer)

        nodes = self._known(body.nodes)
        async with asyncio.TaskGroup() as group:
            for node in nodes:
                group.create_task(one(node), name=f"query {what} {node}")
        return wire.Done()

    async def _events(self, _: Session, __: int, body: wire.ListEvents) -> wire.ReplyBody:
        return wire.Events(await self._journal.events(body.node, body.before, _bounded(body.limit)))

    async def _audit(self, _: Session, __: int, body: wire.ListAudit) -> wire.ReplyBody:
        nodes = self._known(body.nodes) if body.nodes else ()
        return wire.Audit(await self._journal.audit(_bounded(body.limit), nodes, body.since, body.user))

    # --- consoles -------------------------------------------------------------------------------------------------

    async def _console_open(self, session: Session, _: int, body: wire.ConsoleOpen) -> wire.ReplyBody:
        self._known((body.node,))
        return await self._consoles.read(body.node, session.id.number, session.outbound.console, body.history)

    async def _console_close(self, session: Session, _: int, body: wire.ConsoleClose) -> wire.ReplyBody:
        self._consoles.leave(body.node, session.id.number)
        return wire.Done()

    async def _console_history(self, _: Session, __: int, body: wire.ConsoleHistory) -> wire.ReplyBody:
        self._known((body.node,))
        return wire.ConsoleChunk(*await self._consoles.history(body.node, body.offset, body.length))

    async def _console_pen(self, session: Session, _: int, body: wire.ConsolePen) -> wire.ReplyBody:
        self._known((body.node,))
        if body.take:
            self._marks.refuse(session, (body.node,))
            return wire.ConsoleReply(self._consoles.take_pen(body.node, session.id, steal=body.steal))
        return wire.ConsoleReply(self._consoles.give_back(body.node, session.id.number))

    async def _console_write(self, session: Session, _: int, body: wire.ConsoleWrite) -> wire.ReplyBody:
        self._consoles.write(body.node, session.id.number, body.data)
        return wire.Done()

    async def _console_break(self, session: Session, _: int, body: wire.ConsoleBreak) -> wire.ReplyBody:
        self._consoles.send_break(body.node, session.id)
        return wire.Done()

    async def _console_reopen(self, session: Session, _: int, body: wire.ConsoleReopen) -> wire.ReplyBody:
        self._known((body.node,))
        self._marks.refuse(session, (body.node,))
        return wire.ConsoleReply(await self._consoles.reopen(body.node, session.id, takeover=body.takeover))

    # --- engine ---------------------------------------------------------------------------------------------------

    async def _engine(self, _: Session, __: int, ___: wire.AskEngine) -> wire.ReplyBody:
        return self._control.status()

    async def _stop(self, session: Session, _: int, body: wire.StopEngine) -> wire.ReplyBody:
        running = self._runner.running
        if running and not body.force:
            numbers = ", ".join(map(str, running))
            raise ProblemError("busy", f"operation {numbers} is running: wait for its end, or stop with --force")
        self._store.audit(session.id.user, "", "stop the engine", "begun", origin=session.id.origin)
        self._control.stop(f"{session.id.user} stopped it")
        return wire.Done()

    async def _reload(self, session: Session, _: int, __: wire.Reload) -> wire.ReplyBody:
        self._store.audit(session.id.user, "", "read the inventory again", "begun", origin=session.id.origin)
        await self._control.reload()
        return self._store.snapshot()

    async def _here(self, session: Session, _: int, body: wire.Here) -> wire.ReplyBody:
        session.place = clean_line(body.place, 64)
        self._control.attached()
        return wire.Done()

    def _known(self, nodes: tuple[str, ...]) -> tuple[str, ...]:
        return known_nodes(nodes, self._store.nodes)


def asked_words(body: wire.RequestBody) -> str:
    """What a request asks for, in words and without what may be secret."""
    word = str(body.__struct_config__.tag)
    if isinstance(body, wire.StartOrder):
        override = " --override-quorum" if body.override_quorum else ""
        return f"start {word_of(body.order)}{override}{' --break-lock' if body.break_lock else ''}"
    number = getattr(body, "number", 0)
    return f"{word} {number}" if number else word


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LINES))
