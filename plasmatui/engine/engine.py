"""The engine: puts the rooms together, serves the socket, and ends in order. It only assembles."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from plasmatui import __version__
from plasmatui.engine.access import Gatekeeper
from plasmatui.engine.amendments import Amendments
from plasmatui.engine.backend import Backend, MakeBackend
from plasmatui.engine.bare import BareNodes
from plasmatui.engine.checks import ChecksDesk
from plasmatui.engine.consoles import ConsoleHub
from plasmatui.engine.guard import QuorumGuard
from plasmatui.engine.health import HealthWatch
from plasmatui.engine.heritage import Heritage
from plasmatui.engine.idleness import Idleness
from plasmatui.engine.ledger import JournalLedger
from plasmatui.engine.marks import MarksDesk
from plasmatui.engine.meter import Meter
from plasmatui.engine.metricsport import MetricsPort
from plasmatui.engine.oplogs import OperationLogs, tidy
from plasmatui.engine.past import PastDesk
from plasmatui.engine.ports import ProblemError
from plasmatui.engine.process import EngineStartError, notify, watchdog_interval
from plasmatui.engine.pxe import PxeDesk
from plasmatui.engine.requests import RequestDesk
from plasmatui.engine.server import Server
from plasmatui.engine.sharing import Sharing
from plasmatui.engine.store import KEPT_EVENTS, KEPT_OPERATIONS, Store
from plasmatui.engine.systemlooks import SystemLooks
from plasmatui.engine.systems import Systems
from plasmatui.engine.watch import WatchHub
from plasmatui.inventory.inventory import Inventory, InventoryError
from plasmatui.inventory.loader import load
from plasmatui.journal.boots import BootJournal
from plasmatui.journal.journal import Numbers
from plasmatui.journal.locks import MemoryLocks
from plasmatui.journal.memory import Memory
from plasmatui.journal.past import PastJournal
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model import wire
from plasmatui.model.event import BmcChanged, ConsoleChanged, Event
from plasmatui.model.node import BmcState, NodeState
from plasmatui.model.operation import Pace
from plasmatui.model.words import BmcStatus, Power, Role
from plasmatui.operations.runner import Runner
from plasmatui.operations.site import Site
from plasmatui.paths import EnginePaths, crash_dir

log = logging.getLogger(__name__)

BACKEND_LIMIT = 10.0
"""Seconds that closing all BMC sessions may take."""


class Engine:
    """One running engine: `start` makes it, `stopped` says when it wants to end, `close` ends it."""

    def __init__(
        self,
        paths: EnginePaths,
        inventory: Inventory,
        backend: MakeBackend,
        journal: SqliteJournal,
        numbers: Numbers,
        idle: float | None,
    ) -> None:
        self.stopped = asyncio.Event()
        self.reason = ""
        self._paths = paths
        self._inventory = inventory
        self._started = time.time()
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._meter = Meter(self._beat)
        self._watchdog = watchdog_interval()
        self._signalled = time.monotonic()
        self._journal = journal
        self._store = Store(
            inventory.nodes.values(),
            on_line=journal.add_event,
            on_audit=journal.add_audit,
            on_lifecycle=lambda node, payload: self._heritage.keep(node, payload),
            first_event=numbers.event + 1,
            first_audit=numbers.audit + 1,
        )
        self._watch = WatchHub(inventory, self._store, BootJournal(journal))
        self._consoles = ConsoleHub(
            paths.consoles,
            self._store,
            tap=self._watch.on_console,
            always=inventory.policy.consoles == "always",
            busy=lambda: self._runner.busy_nodes(),
        )
        self._backend: Backend = backend(inventory, self._event, self._consoles.on_data)
        self._memory = Memory(journal)
        self._heritage = Heritage(self._memory, self._consoles, self._store, journal, self._spawn)
        self._marks = MarksDesk(self._store, self._memory)
        self._logs = OperationLogs(paths.operations)
        self._ledger = JournalLedger(self._store, journal, self._logs, self._consoles.refresh_soon)
        self._systems = Systems(inventory, paths)
        guard = QuorumGuard(lambda: self._inventory, lambda: self._systems.cluster, self._memory, self._bare_nodes())
        site = Site(
            self._backend,
            self._ledger,
            self._watch.boots,
            guard,
            lambda: self._inventory,
            lambda: self._systems.hosts,
            lambda: self._systems.cluster,
            self._store.cordoned,
            paths.jobs,
            Amendments(paths.inventory, self.reload).apply,
            self._marks.against,
        )
        self._runner = Runner(site, MemoryLocks(), pace=self._pace, first_number=numbers.operation + 1)
        self._health = HealthWatch(
            self._store,
            lambda: self._inventory,
            lambda: self._systems.cluster,
            self._memory,
            lambda: bool(self._runner.running),
            lambda: bool(self._server.clients),
        )
        self._metrics = MetricsPort(self._store, self.status, self._started)
        checks = ChecksDesk(
            self._store,
            self._backend.query,
            self._systems,
            lambda: self._inventory,
            paths,
            lambda: journal.problem,
        )
        self._pxe = PxeDesk(self._store, self._watch.boots, checks, lambda: self._inventory)
        self._looks = SystemLooks(
            self._store, lambda: self._inventory, lambda: self._systems.hosts, lambda: bool(self._server.clients)
        )
        desk = RequestDesk(
            store=self._store,
            bmcs=self._backend,
            runner=self._runner,
            consoles=self._consoles,
            journal=journal,
            watch=self._watch,
            control=self,
            logs=self._logs,
            systems=self._systems,
            cluster=lambda: self._inventory.cluster,
            health=self._health,
            checks=checks,
            pxe=self._pxe,
            marks=self._marks,
            past=PastDesk(self._store, PastJournal(journal), self._watch.boots, self._consoles),
            looks=self._looks,
        )
        gate = Gatekeeper(lambda: self._inventory.policy.access)
        self._server = Server(paths.socket, desk, self._welcome, gate, on_clients=self.attached)
        self._sharing = Sharing(paths, self._server)
        self._idleness = Idleness(
            idle,
            lambda: self._consoles.holds_engine,
            lambda: bool(self._server.clients or self._runner.running),
            self.stop,
        )

    @classmethod
    async def start(
        cls, paths: EnginePaths, inventory: Inventory, backend: MakeBackend, *, idle: float | None = None
    ) -> Engine:
        """Make an engine that serves.

        Args:
            idle: seconds with nobody attached after which it wants to end, 0 for never; None is the default, which
                recorded consoles override.
            backend: makes the outside; tests give one without devices.

        Raises:
            EngineStartError: the socket cannot be made.
        """
        said: list[str] = []
        journal = SqliteJournal(paths.journal, said.append)
        await journal.open()
        engine = cls(paths, inventory, backend, journal, await journal.last_numbers(), idle)
        journal.on_problem = engine._journal_says
        for text in said:
            engine._journal_says(text)
        await engine._begin()
        return engine

    async def _begin(self) -> None:
        events = await self._journal.events("", 0, KEPT_EVENTS)
        operations = await self._journal.operations(KEPT_OPERATIONS)
        self._store.began(__version__)
        self._store.recall(reversed(events), reversed(operations))
        self._inventory_notices()
        await self._memory.recall()
        self._heritage.recall()
        self._marks.recall()
        self._name_missing_bmcs()
        self._logs.start()
        await self._watch.start()
        await self._backend.start()
        await self._consoles.start(self._inventory.bmcs, self._backend.keeper)
        self._watch.recall_consoles(self._consoles)
        await self._heritage.take_up(self._runner, self._ledger, (self._paths.operations, self._paths.jobs))
        self._spawn(self._meter.run(), "meter")
        self._spawn(self._health.run(), "health")
        self._spawn(self._looks.run(), "looks at systems")
        self._spawn(self._idleness.run(), "idle")
        kept = (self._paths.operations, self._paths.jobs)
        self._spawn(tidy(kept, lambda: self._runner.running), "old logs and jobs")
        try:
            await self._server.start()
        except OSError as error:
            self.reason = "its socket cannot be made"
            await self.close()
            raise EngineStartError(f"the socket {self._paths.socket} cannot be made: {error}") from error
        try:
            await self._sharing.retarget(self._inventory.policy.access)
        except EngineStartError as error:
            self.reason = str(error)
            await self.close()
            raise
        await self._metrics.retarget(self._inventory.policy.metrics)
        self._store.note(f"engine {__version__} started, process {os.getpid()}")
        log.info("serving %s on %s", self._inventory.path, self._paths.socket)

    async def close(self) -> None:
        """Orderly: operations are left safely, BMC sessions ended, the journal written, clients told."""
        log.info("stopping: %s", self.reason)
        self._store.note(f"engine stops: {self.reason}")
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._runner.close()
        await self._logs.close()
        await self._pxe.close()
        await self._metrics.close()
        await self._systems.close()
        try:
            async with asyncio.timeout(BACKEND_LIMIT):
                await self._backend.close()
        except TimeoutError:
            log.warning("some BMC sessions were not ended within %g s", BACKEND_LIMIT)
        self._heritage.close()
        self._marks.close()
        await self._consoles.close()
        await self._watch.close()
        self._store.flush()
        await self._server.close(f"the engine was stopped: {self.reason}")
        await self._journal.close()
        self._sharing.release()

    # --- for clients (requests.Control) ---------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """Begin the orderly shutdown."""
        if not self.stopped.is_set():
            self.reason = reason
            self.stopped.set()

    async def reload(self) -> None:
        """Read the inventory again. Raises `ProblemError` "inventory"; the old one stays in use then."""
        async with self._reloading:
            try:
                inventory = await asyncio.to_thread(load, self._paths.inventory)
            except (InventoryError, OSError) as error:
                raise ProblemError("inventory", f"the old inventory stays in use:\n{error}") from None
            self._inventory = inventory
            self._store.replace_nodes(inventory.nodes.values())
            self._inventory_notices()
            self._consoles.always = inventory.policy.consoles == "always"
            self._name_missing_bmcs()
            await self._backend.retarget(inventory)
            await self._systems.retarget(inventory)
            await self._consoles.replace(inventory.bmcs)
            await self._watch.replace(inventory)
            self._health.retarget()
            await self._metrics.retarget(inventory.policy.metrics)
            self._marks.recall()
            try:
                await self._sharing.retarget(inventory.policy.access)
                self._store.notice("shared", "")
            except EngineStartError as error:
                self._store.notice("shared", str(error))
            await self._server.regrade()
            self._looks.retarget()
            self._store.note("inventory read again")

    def reload_soon(self) -> None:
        """As `reload`, for a signal: what is wrong goes to the log and to the clients."""
        self._spawn(self._reload_and_say(), "reload")

    def attached(self) -> None:
        """Somebody came, went, or looks at something else."""
        self._idleness.used()
        self._store.attached(self._server.clients)

    def status(self) -> wire.EngineStatus:
        counts = Counter(str(state.bmc.status) for state in self._store.states.values())
        lost = f"; {self._journal.lost} lines were lost" if self._journal.lost else ""
        return wire.EngineStatus(
            version=__version__,
            pid=os.getpid(),
            started=self._started,
            inventory=str(self._paths.inventory),
            clients=self._server.clients,
            running=self._runner.running,
            consoles_open=self._consoles.open,
            counts=dict(counts),
            paths={
                "socket": str(self._paths.socket),
                "journal": str(self._paths.journal),
                "consoles": str(self._paths.consoles),
                "log": str(self._paths.log),
                "crashes": str(crash_dir()),
                **({"shared socket": str(self._paths.shared)} if self._sharing.shared else {}),
            },
            lag_p99_ms=self._meter.lag_p99_ms,
            cpu_percent=self._meter.cpu_percent,
            journal=((self._journal.problem or self._journal.late) + lost).removeprefix("; "),
            idle_exit=self._idleness.limit,
        )

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _reload_and_say(self) -> None:
        try:
            await self.reload()
        except ProblemError as error:
            log.error("%s", error)
            first, *errors = str(error).splitlines()
            self._store.note(f"{first} {'; '.join(errors)}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._task_ended)
        self._tasks.append(task)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.remove(task)
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"task {task.get_name()} ended", "exception": task.exception(), "task": task}
            )

    def _welcome(self, client: int, read_only: bool, role: Role) -> wire.Welcome:
        inventory = self._inventory
        return wire.Welcome(
            wire.PROTOCOL,
            __version__,
            os.getpid(),
            client,
            str(self._paths.inventory),
            inventory.cluster,
            inventory.environment,
            read_only,
            tuple(inventory.nodes.values()),
            tuple(self._store.notices.values()),
            role,
        )

    def _event(self, event: Event) -> None:
        """A fact from the outside. What is known of a console is ours (readers, pen) and the keeper's together."""
        if isinstance(event.payload, ConsoleChanged):
            self._consoles.on_state(event.node, event.payload.state)
            self._heritage.on_console(event.node, event.payload.state)
        else:
            self._store.apply(event)

    def _bare_nodes(self) -> BareNodes:
        async def power(node: str) -> Power:
            return (await self._backend.query(node, "power")).power or Power.UNKNOWN

        return BareNodes(lambda node: self._store.states.get(node) or NodeState(node), power)

    def _pace(self) -> Pace:
        policy = self._inventory.policy
        return Pace(policy.parallel, policy.stagger, policy.per_rack, policy.bandwidth)

    def _inventory_notices(self) -> None:
        for key in [key for key in self._store.notices if key.startswith("inventory ")]:
            self._store.notice(key, "")
        for place, warning in enumerate(self._inventory.warnings):
            self._store.notice(f"inventory {place}", str(warning))

    def _name_missing_bmcs(self) -> None:
        for node in self._inventory.nodes.keys() - self._inventory.bmcs.keys():
            self._store.tell(node, "engine", BmcChanged(BmcState(BmcStatus.NONE, time.time())))

    def _journal_says(self, text: str) -> None:
        log.warning("%s", text)
        self._store.notice("journal", self._journal.problem)
        self._store.note(text)

    def _beat(self) -> None:
        self._heritage.beat()
        self._store.notice("journal behind", self._journal.late)
        if self._watchdog and time.monotonic() - self._signalled >= self._watchdog:
            self._signalled = time.monotonic()
            notify("WATCHDOG=1")
