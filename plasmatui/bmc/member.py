"""One BMC of the fleet: keeps its session, polls power, counts failures, and knows when it may be tried again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from plasmatui.bmc.controller import Backoff, BmcError, BmcTarget, Controller
from plasmatui.model.event import BmcChanged, Event, Payload, PowerSeen
from plasmatui.model.findings import FINDINGS
from plasmatui.model.node import BmcState
from plasmatui.model.words import BmcStatus, Power, PowerAction
from plasmatui.text import clean_line

log = logging.getLogger(__name__)

REFUSED = frozenset({"bmc-auth", "certificate-untrusted"})
"""Ids after which trying again by itself would do harm (a locked account) or no good."""
BROKEN = REFUSED | {"bmc-unreachable", "bmc-session-limit", "bmc-reset"}
"""Ids that say something about the standing with the BMC, whatever it was asked. A slow reading does not."""

_EXPECTED = {
    PowerAction.ON: (Power.ON,),
    PowerAction.OFF: (Power.OFF,),
    PowerAction.SOFT: (Power.OFF,),
    PowerAction.CYCLE: (Power.OFF, Power.ON),
    PowerAction.RESET: (),
}

_SMOOTHING = 0.25
_NOTABLE_MS = 20.0


@dataclass(frozen=True)
class FleetOptions:
    """Pace of the fleet, in seconds.

    Attributes:
        period: between two polls of a BMC; the polls of all BMCs are spread evenly over it.
        fast: between two polls while somebody waits for the power to change.
        logons: how many BMCs are logged on to at once.
        logon_spacing: between two first logons.
        attribution: how long after an order a change of power counts as its effect.
        close_limit: for ending all sessions.
        steady: how long a BMC must have answered for its failures to be forgotten, so that one that comes and goes is
            tried less and less often, and does not fill the journal.
    """

    period: float = 5.0
    fast: float = 0.5
    logons: int = 256
    logon_spacing: float = 0.005
    attribution: float = 300.0
    close_limit: float = 5.0
    steady: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True)
class Clock:
    """Wall time (Unix seconds) and monotonic seconds."""

    wall: Callable[[], float]
    mono: Callable[[], float]


@dataclass(frozen=True)
class Reading:
    """A power state and the monotonic time at which the BMC was asked for it."""

    power: Power
    asked: float


@dataclass(frozen=True)
class _Order:
    by: str
    expected: tuple[Power, ...]
    until: float


class Member:
    """A BMC's standing and the task that keeps it up to date."""

    def __init__(
        self,
        target: BmcTarget,
        controller: Controller,
        emit: Callable[[Event], None],
        options: FleetOptions,
        clock: Clock,
        logons: asyncio.Semaphore,
    ) -> None:
        self.target = target
        self.controller = controller
        self.state = BmcState(since=clock.wall())
        self.reading = Reading(Power.UNKNOWN, 0.0)
        self.waiting_for_power = 0  # how many wait for a change
        self._emit_event = emit
        self._options = options
        self._clock = clock
        self._logons = logons
        self._retry_at = 0.0  # monotonic
        self._failures = 0
        self._up_since = 0.0  # monotonic
        self._error: BmcError | None = None
        self._order: _Order | None = None
        self._soon_until = 0.0
        self._latency = 0.0  # milliseconds, smoothed
        self._wake = asyncio.Event()
        self._watchers: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def node(self) -> str:
        return self.target.node

    @property
    def up(self) -> bool:
        return self.state.status is BmcStatus.UP

    def start(self, delay: float, phase: float) -> None:
        """Begin after `delay` seconds; later polls come at `phase` within each period."""
        self._task = asyncio.create_task(self._run(delay, phase), name=f"bmc {self.node}")

    async def stop(self) -> None:
        """End the task and the session. Never raises."""
        self._closed = True
        self._notify()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self.controller.close()

    # --- the breaker ---------------------------------------------------------------------------------------------

    def obstacle(self) -> BmcError | None:
        """Why the BMC cannot be used now; None when a call is worth a try."""
        if self._error is None or self.up:
            return None
        if self.state.status is BmcStatus.REFUSED:
            return self._error
        return self._error if self._clock.mono() < self._retry_at else None

    def retry(self) -> None:
        """Forget the failures and try now, also when the BMC had refused."""
        if not self.up:
            self._error = None
            self._retry_at = 0.0
            self._failures = 0
            self._change(status=BmcStatus.CONNECTING, finding="", message="", retry_at=0.0, failures=0, sessions=False)
        self._wake.set()

    def failed(self, error: BmcError, *, poll: bool = False) -> None:
        """A call, or a `poll` or its logon, failed. What does not concern the standing with the BMC leaves it as it is;
        an outage counts once."""
        if self._closed or self.obstacle() is not None or not (poll or error.id in BROKEN):
            return
        now = self._clock.mono()
        if self.up and now - self._up_since >= self._options.steady:
            self._failures = 0
        self._failures += 1
        refused = error.id in REFUSED
        pause = self._pause(error.id, self._failures)
        self._error = error
        self._retry_at = now + pause
        self.reading = Reading(Power.UNKNOWN, self.reading.asked)
        self._change(
            status=BmcStatus.REFUSED if refused else BmcStatus.WAITING,
            finding=error.id if error.id in FINDINGS else "bmc-unreachable",
            message=clean_line(error.message),
            retry_at=0.0 if refused else self._clock.wall() + pause,
            failures=self._failures,
            sessions=False,
        )
        self._wake.set()

    def answers(self) -> None:
        """A call was answered after the BMC had failed."""
        if not self._closed and not self.up:
            self._is_up(self._latency)

    def _pause(self, id: str, failures: int) -> float:  # noqa: A002
        """Seconds until the next try, doubled with each failure in a row, with jitter."""
        backoff = self._options.backoff
        pause = min(backoff.first * 2.0 ** min(failures - 1, 30), backoff.longest)
        pause *= 1 + backoff.jitter * random.random()  # noqa: S311 - spreads tries
        return max(pause, backoff.floor.get(id, 0.0))

    # --- power ---------------------------------------------------------------------------------------------------

    def ordered(self, action: PowerAction, by: str) -> None:
        """An order is about to be sent: changes that it causes are `by`'s."""
        self._order = _Order(by, _EXPECTED[action], self._clock.mono() + self._options.attribution)

    def not_ordered(self) -> None:
        """The order failed."""
        self._order = None

    def saw(self, power: Power, asked: float) -> None:
        """The BMC told its power state, having been asked at monotonic time `asked`."""
        if asked < self.reading.asked:
            return
        changed = power is not self.reading.power
        self.reading = Reading(power, asked)
        if changed:
            self._emit(PowerSeen(power, by=self._by(power)))
        self._notify()

    def _by(self, power: Power) -> str:
        order = self._order
        if order is None or self._clock.mono() > order.until or power not in order.expected:
            return ""
        if order.expected[-1] is power:
            self._order = None
        return order.by

    def poll_soon(self, seconds: float) -> None:
        """Poll fast for so many seconds."""
        self._soon_until = max(self._soon_until, self._clock.mono() + seconds)
        self._wake.set()

    async def changed(self) -> None:
        """Until the next reading or change of standing."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.add(future)
        try:
            await future
        finally:
            self._watchers.discard(future)

    # --- the task ------------------------------------------------------------------------------------------------

    async def _run(self, delay: float, phase: float) -> None:
        await self._sleep(delay)
        while True:
            self._wake.clear()
            await self._round()
            await self._sleep(self._until_next(phase))

    async def _round(self) -> None:
        if self.state.status is BmcStatus.REFUSED or self.obstacle() is not None:
            return
        try:
            if self.up or await self._log_on():
                await self._poll()
        except BmcError as error:
            if error.id in BROKEN or error.id == "timeout":
                self.failed(error, poll=True)
            else:
                self._power_unknown(error)
        # A defect in a driver must not end the watch over this BMC; it is written down and tried again later.
        except Exception as error:
            log.exception("%s: BMC driver failed", self.node)
            why = f"{self.node}: internal error in the BMC driver: {type(error).__name__}"
            self.failed(BmcError("timeout", why), poll=True)

    async def _log_on(self) -> bool:
        """Whether a session could be opened."""
        if self.state.status is BmcStatus.UNKNOWN:
            self._change(status=BmcStatus.CONNECTING)
        try:
            async with self._logons:
                await self.controller.connect()
        except BmcError as error:
            self.failed(error, poll=True)
            return False
        self._error = None
        return True

    async def _poll(self) -> None:
        asked = self._clock.mono()
        power = await self.controller.power()
        self._is_up((self._clock.mono() - asked) * 1000)
        self.saw(power, asked)

    def _power_unknown(self, error: BmcError) -> None:
        """The BMC answers, but does not tell its power."""
        self._is_up(self._latency)
        self._change(message=clean_line(error.message))
        self.saw(Power.UNKNOWN, self._clock.mono())

    def _is_up(self, latency: float) -> None:
        self._error = None
        if not self.up:
            self._latency = latency
            self._up_since = self._clock.mono()
        self._latency += (latency - self._latency) * _SMOOTHING
        told = self.state.latency_ms
        # A lasting and notable change only: twice or half, and more than what a busy engine adds.
        changed = abs(self._latency - told) > _NOTABLE_MS and not told / 2 < self._latency < told * 2
        self._change(
            status=BmcStatus.UP,
            finding="",
            message="",
            retry_at=0.0,
            failures=0,
            latency_ms=round(self._latency, 1) if changed or not self.up else told,
            sessions=True,
        )

    def _until_next(self, phase: float) -> float | None:
        """Seconds to the next round; None when only a person can bring one about."""
        now = self._clock.mono()
        if self.state.status is BmcStatus.REFUSED:
            return None
        if not self.up:
            return max(0.0, self._retry_at - now)
        if self.waiting_for_power or now < self._soon_until:
            return self._options.fast
        period = self._options.period
        return period - (now - phase) % period

    async def _sleep(self, seconds: float | None) -> None:
        """Sleep; `_wake` ends it early."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    # --- telling -------------------------------------------------------------------------------------------------

    def _change(self, **fields: object) -> None:
        state = msgspec.structs.replace(self.state, **fields)
        if state == self.state:
            return
        if state.status is not self.state.status:
            state = msgspec.structs.replace(state, since=self._clock.wall())
        self.state = state
        self._emit(BmcChanged(state))
        self._notify()

    def _emit(self, payload: Payload) -> None:
        if not self._closed:
            self._emit_event(Event(self.node, self.target.driver, payload, self._clock.wall(), self._clock.mono()))

    def _notify(self) -> None:
        for future in self._watchers:
            if not future.done():
                future.set_result(None)
