"""A boot is ordered by what the power was when it was read; the machine may have gone off since."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from plasmatui.bmc.controller import BmcError
from plasmatui.model.words import Power, PowerAction
from plasmatui.operations.power import restart
from plasmatui.operations.work import NodeWork

ON, OFF = Power.ON, Power.OFF


class Bmc:
    """A BMC that refuses to cycle a machine that is off, as IPMI 2.0 (section 28.3) recommends."""

    def __init__(self, power: Power, refusal: str = "") -> None:
        self.now = power
        self.refusal = refusal
        self.orders: list[PowerAction] = []

    async def power(self) -> Power:
        return self.now

    async def order_power(self, action: PowerAction) -> None:
        self.orders.append(action)
        if self.refusal:
            raise BmcError(self.refusal, "n1: no")
        if action is PowerAction.CYCLE and self.now is OFF:
            raise BmcError("rejected", "n1: not in the present state")


class Work:
    node = "n1"

    def __init__(self, bmc: Bmc) -> None:
        self.bmc = bmc
        self.said: list[str] = []
        self.former_boot: int | None = None
        self.site = SimpleNamespace(boots=SimpleNamespace(current=lambda _: None))

    def controller(self) -> Bmc:
        return self.bmc

    def log(self, text: str) -> None:
        self.said.append(text)


async def ordered(bmc: Bmc, before: Power) -> list[PowerAction]:
    await restart(cast("NodeWork", Work(bmc)), before)
    return bmc.orders


async def test_what_is_on_is_cycled_and_what_is_off_is_switched_on() -> None:
    assert await ordered(Bmc(ON), ON) == [PowerAction.CYCLE]
    assert await ordered(Bmc(OFF), OFF) == [PowerAction.ON]


async def test_what_went_off_meanwhile_is_switched_on() -> None:
    assert await ordered(Bmc(OFF), ON) == [PowerAction.CYCLE, PowerAction.ON]


@pytest.mark.parametrize(("power", "refusal"), [(ON, "rejected"), (OFF, "timeout"), (OFF, "bmc-reset")])
async def test_another_refusal_is_not_answered_with_a_second_order(power: Power, refusal: str) -> None:
    bmc = Bmc(power, refusal)
    with pytest.raises(BmcError):
        await ordered(bmc, ON)
    assert bmc.orders == [PowerAction.CYCLE]
