"""Looks at the systems of nodes over SSH now and then: what runs and boots next, first-boot units, failed units.

A look costs a login and three commands. So it is made only while somebody looks on, minutes apart, of few nodes at
once, and of nodes whose services answer or that we installed; and always when somebody asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from plasmatui.engine.ports import ProblemError
from plasmatui.engine.raised import Raised
from plasmatui.engine.session import Session
from plasmatui.engine.store import Store
from plasmatui.inventory.inventory import Inventory
from plasmatui.model import wire
from plasmatui.model.command import CommandError
from plasmatui.model.findings import FINDINGS
from plasmatui.model.health import JoinSeen, NodeSystem
from plasmatui.model.node import Finding
from plasmatui.model.words import Health, Lifecycle, Power
from plasmatui.text import clean_line

if TYPE_CHECKING:  # asyncssh takes a fifth of a second
    from plasmatui.nix.generations import Comparison
    from plasmatui.remote.host import Host
    from plasmatui.remote.hosts import Hosts

FIRST: Final = 60.0
PACE: Final = 600.0
"""Seconds until the first look by itself, and between two."""

AT_ONCE: Final = 8
EVALUATED_AT_ONCE: Final = 2
"""Flakes; each evaluation takes a core and a gigabyte."""

LIMIT: Final = 20.0
"""Seconds for one command."""

NODE_LIMIT: Final = 60.0
"""Seconds for one node, with its login."""

JOIN_LINES: Final = 200
JOURNAL_LINES: Final = 500
JOURNAL_BYTES: Final = 512 * 1024
FAILED_SHOWN: Final = 8
DRIFT: Final = ("generation-drift",)
_FAILED_ARGV: Final = ("systemctl", "list-units", "--state=failed", "--output=json", "--no-pager")
_ROOMS: Final = ("plasmatui.remote.hosts", "plasmatui.nix.generations", "plasmatui.cluster.join")


class _Unit(msgspec.Struct):
    unit: str = ""


class SystemLooks:
    """See the module.

    Args:
        hosts: SSH to the nodes. attached: whether clients are.
    """

    def __init__(
        self,
        store: Store,
        inventory: Callable[[], Inventory],
        hosts: Callable[[], Hosts],
        attached: Callable[[], bool],
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._hosts = hosts
        self._attached = attached
        self._raised = Raised(store, "systems")
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._evaluating = asyncio.Semaphore(EVALUATED_AT_ONCE)
        self.handlers: dict[type, Callable[[Session, int, Any], Awaitable[wire.ReplyBody]]] = {
            wire.LookSystems: self._look_for,
            wire.AskJournal: self._journal_of,
        }

    async def run(self) -> None:
        """Look, until cancelled. What goes wrong unforeseen ends one look, not all of them."""
        wait = FIRST
        while True:
            await asyncio.sleep(wait)
            wait = PACE
            if not self._attached():
                wait = FIRST
                continue
            try:
                await self.look(self.installed())
            except Exception as error:  # noqa: BLE001 - the boundary of a supervised task
                context = {"message": "a look at the nodes' systems", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    def installed(self) -> tuple[str, ...]:
        """Nodes that are on and have a system that should let us in."""
        return tuple(name for name in self._running() if self._is_installed(name))

    def retarget(self) -> None:
        """The inventory was read again."""
        self._raised.forget()

    def _running(self) -> list[str]:
        states = self._store.states.values()
        return [state.name for state in states if state.power.value is not Power.OFF and not state.operation]

    def _is_installed(self, name: str) -> bool:
        services = self._store.services.get(name)
        answers = services is not None and any(each.status is not Health.UNKNOWN for each in services.services)
        return answers or self._store.states[name].lifecycle is Lifecycle.ACTIVE

    async def _look_for(self, _: Session, __: int, body: wire.LookSystems) -> wire.ReplyBody:
        unknown = [name for name in body.nodes if name not in self._store.nodes]
        if unknown:
            raise ProblemError("unknown-node", f"the inventory has no node {', '.join(unknown[:5])}")
        await self.look(body.nodes or self.installed(), declared=body.declared)
        return wire.Done()

    async def _journal_of(self, _: Session, __: int, body: wire.AskJournal) -> wire.ReplyBody:
        await self._import_rooms()
        from plasmatui.cluster.join import UNITS

        services = self._services_of(body.node)
        if body.service not in services:
            known = ", ".join(services) or "none"
            raise ProblemError("unsupported", f"{body.node} runs no service {body.service!r}; its services: {known}")
        units = (f"{body.service}.service", *((UNITS[body.service],) if body.service in UNITS else ()))
        argv = ("journalctl", "--output=short-iso", f"--lines={JOURNAL_LINES}", "--no-pager",
                *(f"--unit={unit}" for unit in units))  # fmt: skip
        try:
            ran = await self._hosts().system(body.node).run(argv, limit=LIMIT, most=JOURNAL_BYTES)
        except CommandError as error:
            raise ProblemError(error.id, clean_line(error.message)) from error
        lines = ran.out.decode(errors="replace").splitlines()
        return wire.Journal(units, tuple(clean_line(line, 1000) for line in lines))

    def _services_of(self, node: str) -> tuple[str, ...]:
        inventory = self._inventory()
        known = inventory.nodes.get(node)
        profile = inventory.profiles.get(known.profile) if known is not None else None
        return tuple(profile.services) if profile is not None else ()

    @staticmethod
    async def _import_rooms() -> None:
        await asyncio.to_thread(lambda: [importlib.import_module(name) for name in _ROOMS])  # too long for the loop

    async def look(self, nodes: Iterable[str], *, declared: bool = False) -> None:
        """Look at these nodes now. `declared`: evaluate what the flake declares for them, too."""
        await self._import_rooms()
        await asyncio.gather(*(self._look_at(node, declared) for node in nodes))

    async def _look_at(self, node: str, declared: bool) -> None:
        async with self._gate:
            try:
                async with asyncio.timeout(NODE_LIMIT):
                    system = await self._ask(node)
            except CommandError as error:
                system = NodeSystem(node, time.time(), problem=clean_line(error.message, 300))
            except TimeoutError:
                system = NodeSystem(node, time.time(), problem=f"it did not tell within {NODE_LIMIT:.0f} s")
        if declared and not system.problem:
            system = await self._with_declared(system)
        elif (before := self._store.systems.get(node)) is not None:
            system = msgspec.structs.replace(
                system, declared=before.declared, undeclared=before.undeclared, evaluated=before.evaluated
            )
        if node not in self._store.nodes:  # the inventory was read again
            return
        self._store.node_system(system)
        if not system.problem:
            self._raised.settle(node, DRIFT, _findings(system))

    async def _ask(self, node: str) -> NodeSystem:
        from plasmatui.nix import generations
        from plasmatui.nix.tools import OutputError

        host = self._hosts().system(node)
        ran = await host.run(generations.STATE_ARGV, limit=LIMIT, check=True)
        try:
            state = generations.parse_state(ran.out.decode(errors="replace"))
        except OutputError as error:
            return NodeSystem(node, time.time(), problem=clean_line(f"what it runs cannot be read: {error}", 300))
        joins = await self._joins(node, host)
        failed = await host.run(_FAILED_ARGV, limit=LIMIT)
        return NodeSystem(
            node,
            time.time(),
            booted=version_of(state.booted, node),
            active=version_of(state.current, node),
            next=version_of(state.profile, node),
            drift=drift_of(state),
            reboot_needed=state.reboot_needed,
            joins=joins,
            failed=_units(failed.out) if failed.status == 0 else (),
        )

    async def _with_declared(self, system: NodeSystem) -> NodeSystem:
        from plasmatui.engine.declared import declared_system

        async with self._evaluating:
            try:
                path = await declared_system(self._inventory(), system.node)
            except CommandError as error:
                return msgspec.structs.replace(system, undeclared=clean_line(error.message, 300), evaluated=time.time())
        return msgspec.structs.replace(system, declared=version_of(path, system.node), evaluated=time.time())

    async def _joins(self, node: str, host: Host) -> tuple[JoinSeen, ...]:
        """The first-boot units of the raft groups that the node's profile runs."""
        from plasmatui.cluster.join import UNITS, JoinState, progress

        groups = [group for group in UNITS if group in self._services_of(node)]
        if not groups:
            return ()
        units = [f"--unit={UNITS[group]}" for group in groups]
        argv = ("journalctl", "--output=json", f"--lines={JOIN_LINES}", "--no-pager", *units)
        ran = await host.run(argv, limit=LIMIT)
        lines = ran.out.decode(errors="replace").splitlines()
        found = [progress(group, lines) for group in groups]
        return tuple(
            JoinSeen(each.group, str(JoinState.JOINED if each.bootstrap else each.state), clean_line(each.message, 200))
            for each in found
        )


def version_of(path: str, node: str) -> str:
    """A system's store path in a few words: "25.11.20251115.abc1234 (k3x9q2)", the hash telling apart what has one
    version; "" for a path that leads nowhere."""
    name = path.rpartition("/")[2]
    digest, _, rest = name.partition("-")
    if not path.startswith("/nix/store/") or not rest:
        return ""
    version = rest.removeprefix("nixos-system-").removeprefix(f"{node}-")
    return clean_line(f"{version} ({digest[:6]})", 80)


def drift_of(state: Comparison) -> str:
    """In what way booted, active and next system are not one, "" when they are."""
    if state.word == "trial":
        return "it runs a system on trial: the next boot takes another one"
    if state.word == "pending":
        return "the next boot takes another system than the one that runs"
    if state.word == "switched" and state.reboot_needed:
        return "it was switched since its boot, and its kernel or initrd waits for a reboot"
    return ""


def _findings(system: NodeSystem) -> dict[str, Finding]:
    if not system.drift or system.active == system.next:
        return {}
    kind = FINDINGS["generation-drift"]
    evidence = (system.drift, f"runs {system.active}, boots next {system.next}, was booted {system.booted}")
    return {kind.id: Finding(kind.id, kind.severity, kind.cause, kind.remedy, system.at, evidence)}


def _units(output: bytes) -> tuple[str, ...]:
    with contextlib.suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        found = msgspec.json.decode(output, type=list[_Unit])
        return tuple(clean_line(each.unit, 64) for each in found if each.unit)[:FAILED_SHOWN]
    return ()
