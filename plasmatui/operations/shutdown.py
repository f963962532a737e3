"""Switching a machine off for good, seen by its BMC or confirmed by a person, so that it cannot come back by itself."""

from __future__ import annotations

from plasmatui.bmc.controller import BmcError
from plasmatui.model.operation import Step
from plasmatui.model.words import Power, PowerAction
from plasmatui.operations.endings import STOP, NodeLeftError
from plasmatui.operations.power import OFF_LIMIT, SOFT_LIMIT
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

LOOK_LIMIT = 60.0
SLACK = 60.0
"""Seconds for the BMC's answers, beside the waiting."""

OFF = "off"
"""The answer that a machine is off which its BMC cannot tell of."""


def off_steps(node: str, site: Site, *, soft: bool) -> tuple[Step, ...]:
    """Off, and seen. `soft`: the operating system is asked first."""
    first = f"{_described(node, site, PowerAction.SOFT)}, then " if soft else ""
    return (
        Step(
            "power-off",
            "Switch the machine off" + (", its operating system asked first" if soft else ""),
            f"{first}{_described(node, site, PowerAction.OFF)}",
            (SOFT_LIMIT if soft else 0.0) + OFF_LIMIT + SLACK,
            disruptive=True,
            proof="the BMC says off",
        ),
        Step(
            "see-off",
            "See that it is off; where its BMC cannot tell, a person confirms it",
            _described(node, site, "power"),
            LOOK_LIMIT,
        ),
    )


def _described(node: str, site: Site, what: PowerAction | str) -> str:
    if site.machines.unusable(node) is not None:
        return f"(no BMC of {node} that can be asked: by hand)"
    return site.machines.describe(node, what)


async def switch_off(work: NodeWork, *, soft: bool) -> None:
    """Do the steps of `off_steps`.

    Raises:
        NodeLeftError: a person says that it is not off.
    """
    await work.act("power-off", lambda: _order(work, soft), seen=lambda: _is_off(work))
    await work.look("see-off", lambda: _see_off(work))


async def _order(work: NodeWork, soft: bool) -> None:
    """What the BMC does not do, or cannot be asked, is for the next step to find out."""
    machines, node = work.site.machines, work.node
    try:
        if await work.controller().power() is Power.OFF:
            work.log(f"{node} is off already")
            return
        if soft:
            await work.controller().order_power(PowerAction.SOFT)
            if await machines.wait_power(node, Power.OFF, SOFT_LIMIT):
                return
            work.log(f"{node} did not shut down within {SOFT_LIMIT:g} s; it is switched off")
        await work.controller().order_power(PowerAction.OFF)
        await machines.wait_power(node, Power.OFF, OFF_LIMIT)
    except BmcError as error:
        work.log(error.message)


async def _is_off(work: NodeWork) -> bool:
    try:
        return await work.controller().power() is Power.OFF
    except BmcError:
        return False


async def _see_off(work: NodeWork) -> None:
    try:
        power = await work.controller().power()
        if power is Power.OFF:
            return
        why = f"{work.node}: its BMC says that it is {power}"
    except BmcError as error:
        why = error.message
    answer = await work.ask(
        f"{why}. A machine that comes back under this name disturbs the cluster. Answer {OFF} when it is "
        f"switched off or unplugged, {STOP} to leave the node as it is",
        (OFF, STOP),
    )
    if answer == STOP:
        raise NodeLeftError("left because it may be on, as a person decided")
