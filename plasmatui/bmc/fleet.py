"""All BMCs: their sessions, the pace of polling, and who may be asked now. One dead BMC costs the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from plasmatui.bmc.controller import BmcError, BmcTarget, Controller
from plasmatui.bmc.guard import Guard
from plasmatui.bmc.member import Clock, FleetOptions, Member
from plasmatui.model.bmc import BootDevice, FruField, SelEntry, SensorReading
from plasmatui.model.event import Event
from plasmatui.model.node import BmcState
from plasmatui.model.words import BmcStatus, Power, PowerAction

log = logging.getLogger(__name__)

Answer = Power | BootDevice | tuple[SensorReading, ...] | tuple[SelEntry, ...] | tuple[FruField, ...] | None

POLL_SOON: Final = 10.0
"""Seconds of fast polling that one `poll_soon` brings."""


class Fleet:
    """Owns the controllers of all nodes that have a BMC.

    `make` builds the controller of a target; `emit` gets `PowerSeen` and `BmcChanged`, only when something changed.
    After a BMC was away, its power is told anew, for meanwhile it was unknown.
    """

    def __init__(
        self,
        targets: Mapping[str, BmcTarget],
        make: Callable[[BmcTarget], Controller],
        emit: Callable[[Event], None],
        *,
        options: FleetOptions | None = None,
        wall: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._emit = emit
        self._options = options or FleetOptions()
        self._clock = Clock(wall, mono)
        self._logons = asyncio.Semaphore(self._options.logons)
        self._members: dict[str, Member] = {}
        self._targets = dict(targets)

    def start(self) -> None:
        """Begin to log on and to poll."""
        self._admit(self._targets)

    async def retarget(self, targets: Mapping[str, BmcTarget]) -> None:
        """The inventory was read again: sessions with unchanged targets stay, others end or begin.

        BMCs that had refused are tried again: what a target refers to, a password in a file, may have been corrected.
        """
        gone = [name for name, member in self._members.items() if targets.get(name) != member.target]
        leaving = [self._members.pop(name) for name in gone]
        await self._stop(leaving)
        for member in self._members.values():
            if member.state.status is BmcStatus.REFUSED:
                member.retry()
        self._targets = dict(targets)
        self._admit({name: target for name, target in targets.items() if name not in self._members})

    async def close(self) -> None:
        """End all sessions at once, so that no slot stays taken on a BMC."""
        members = list(self._members.values())
        self._members.clear()
        await self._stop(members)

    # --- nodes ---------------------------------------------------------------------------------------------------

    def controller(self, node: str, by: str = "") -> Controller:
        """The node's controller, guarded: it raises at once while the BMC is known not to work.

        `by`: the operator in whose name power is ordered.

        Raises:
            BmcError: "unsupported" when the node has no BMC.
        """
        return Guard(self._member(node), self._clock, by)

    def obstacle(self, node: str) -> BmcError | None:
        """Why the BMC of `node` cannot be used now, None when it is worth a try."""
        member = self._members.get(node)
        return _no_bmc(node) if member is None else member.obstacle()

    def state(self, node: str) -> BmcState:
        member = self._members.get(node)
        return BmcState(status=BmcStatus.NONE) if member is None else member.state

    def describe(self, node: str, action: PowerAction | BootDevice | str) -> str:
        """The exact call that an order makes, whether or not the BMC works now."""
        return self._member(node).controller.describe(action)

    def retry(self, node: str) -> None:
        """Try a BMC now that is refused or waiting."""
        self._member(node).retry()

    def poll_soon(self, node: str) -> None:
        """Poll fast for a while: something is about to happen."""
        self._member(node).poll_soon(POLL_SOON)

    async def query(self, node: str, what: str) -> Answer:
        """Ask the BMC now: "power" "bootdev" "sensors" "sel" "inventory", or "refresh" (also when it was refused; its
        answer is the power).

        Raises:
            BmcError: as the controller; at once while the BMC is known not to work.
        """
        if what == "refresh":
            return await self._refresh(node)
        controller = self.controller(node)
        asks: dict[str, Callable[[], object]] = {
            "power": controller.power,
            "bootdev": controller.boot_device,
            "sensors": controller.sensors,
            "sel": controller.sel,
            "inventory": controller.inventory,
        }
        if what not in asks:
            raise BmcError("unsupported", f"{node}: a BMC is not asked for {what!r}")
        answer: Answer = await asks[what]()  # type: ignore[misc]
        return answer

    async def _refresh(self, node: str) -> Power:
        member = self._member(node)
        asked = self._clock.mono()
        member.retry()
        while member.reading.asked < asked:
            if (error := member.obstacle()) is not None:
                raise error
            await member.changed()
            self._still(member)
        return member.reading.power

    # --- waiting -------------------------------------------------------------------------------------------------

    async def watch_power(self, node: str) -> AsyncGenerator[Power, None]:
        """Power as the BMC tells it from now on, at the fast pace, each reading once.

        Raises:
            BmcError: the BMC refuses. While it is silent, nothing comes.
        """
        member = self._member(node)
        since = self._clock.mono()
        member.waiting_for_power += 1
        member.poll_soon(0.0)
        try:
            while True:
                if member.reading.asked >= since:
                    since = member.reading.asked + 1e-9
                    yield member.reading.power
                if member.state.status is BmcStatus.REFUSED and (error := member.obstacle()) is not None:
                    raise error
                await member.changed()
                self._still(member)
        finally:
            member.waiting_for_power -= 1

    async def wait_power(self, node: str, wanted: Power, limit: float) -> bool:
        """Whether the BMC says `wanted` within `limit` seconds, asked from now on.

        Raises:
            BmcError: it refuses, or at the end of the limit it does not answer.
        """
        member = self._member(node)
        try:
            async with asyncio.timeout(limit), contextlib.aclosing(self.watch_power(node)) as readings:
                async for power in readings:
                    if power is wanted:
                        return True
        except TimeoutError:
            if (error := member.obstacle()) is not None:
                raise error from None
        return False

    async def changed(self, node: str) -> None:
        """Until the next power reading of the node, or change of its standing.

        Raises:
            BmcError: the node has no BMC (any more).
        """
        member = self._member(node)
        await member.changed()
        self._still(member)

    # --- inside --------------------------------------------------------------------------------------------------

    def _member(self, node: str) -> Member:
        member = self._members.get(node)
        if member is None:
            raise _no_bmc(node)
        return member

    def _still(self, member: Member) -> None:
        """Raises when the member has left the fleet while somebody waited for it."""
        if self._members.get(member.node) is not member:
            raise BmcError("bmc-unreachable", f"{member.node}: its BMC was taken out of the inventory, or changed")

    def _admit(self, targets: Mapping[str, BmcTarget]) -> None:
        options = self._options
        now = self._clock.mono()
        spacing = min(options.logon_spacing, options.period / max(1, len(targets)))
        for index, name in enumerate(sorted(targets)):
            member = Member(targets[name], self._make(targets[name]), self._emit, options, self._clock, self._logons)
            self._members[name] = member
            member.start(index * spacing, now + options.period * index / len(targets))

    async def _stop(self, members: list[Member]) -> None:
        tasks = [asyncio.create_task(member.stop(), name=f"close bmc {member.node}") for member in members]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._options.close_limit)
        for task in late:
            task.cancel()
        if late:
            log.warning("%d BMC sessions did not end in time; the BMCs end them after a minute", len(late))
            await asyncio.wait(late)


def _no_bmc(node: str) -> BmcError:
    return BmcError("unsupported", f"{node}: the inventory names no BMC")
