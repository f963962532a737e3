"""A controller as the fleet lends it: it asks the breaker first and tells the fleet what happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from plasmatui.bmc.controller import BmcError, Console
from plasmatui.bmc.member import Clock, Member
from plasmatui.model.bmc import BootDevice, FruField, SelEntry, SensorReading
from plasmatui.model.words import Power, PowerAction

T = TypeVar("T")


class Guard:
    """A `Controller`. While the BMC is known not to work, every call raises what is known, without asking it."""

    def __init__(self, member: Member, clock: Clock, by: str) -> None:
        self.target = member.target
        self._member = member
        self._controller = member.controller
        self._clock = clock
        self._by = by

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        known = self._member.obstacle()
        if known is not None:
            raise known
        try:
            yield
        except BmcError as error:
            self._member.failed(error)
            raise

    async def _reading(self, ask: Callable[[], Awaitable[T]]) -> T:
        """An answer that changes nothing. When the BMC was restarted meanwhile that is told, and it is asked again:
        its session is open again then."""
        async with self._watched():
            try:
                return await ask()
            except BmcError as error:
                if error.id != "bmc-reset":
                    raise
                self._member.failed(error)
                answer = await ask()
                self._member.answers()
                return answer

    async def connect(self) -> None:
        async with self._watched():
            await self._controller.connect()

    async def power(self) -> Power:
        async def ask() -> Power:
            asked = self._clock.mono()
            power = await self._controller.power()
            self._member.saw(power, asked)
            return power

        return await self._reading(ask)

    async def order_power(self, action: PowerAction) -> None:
        async with self._watched():
            self._member.ordered(action, self._by)
            try:
                await self._controller.order_power(action)
            except BmcError as error:
                if error.id in ("rejected", "unsupported"):  # otherwise it may have taken effect
                    self._member.not_ordered()
                raise

    async def boot_device(self) -> BootDevice | None:
        return await self._reading(self._controller.boot_device)

    async def set_boot_device(self, boot: BootDevice) -> None:
        async with self._watched():
            await self._controller.set_boot_device(boot)

    async def identify(self, seconds: int) -> None:
        async with self._watched():
            await self._controller.identify(seconds)

    async def sensors(self) -> tuple[SensorReading, ...]:
        return await self._reading(self._controller.sensors)

    async def sel(self) -> tuple[SelEntry, ...]:
        return await self._reading(self._controller.sel)

    async def inventory(self) -> tuple[FruField, ...]:
        return await self._reading(self._controller.inventory)

    async def open_console(
        self, on_data: Callable[[bytes], None], on_down: Callable[[str, str], None], *, takeover: bool
    ) -> Console:
        async with self._watched():
            return await self._controller.open_console(on_data, on_down, takeover=takeover)

    async def close(self) -> None:
        """The session is the fleet's and stays; there is nothing to end here."""

    def describe(self, action: PowerAction | BootDevice | str) -> str:
        return self._controller.describe(action)
