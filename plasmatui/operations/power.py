"""Power: on, off, soft, cycle, reset. Done when the BMC says so."""

from __future__ import annotations

import asyncio
import time

from plasmatui.bmc.controller import BmcError
from plasmatui.model.operation import PowerOrder, Step
from plasmatui.model.words import Power, PowerAction, StepResult
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.limits import ASK_LIMIT
from plasmatui.operations.site import Site
from plasmatui.operations.work import NodeWork

ON_LIMIT = 60.0
OFF_LIMIT = 30.0
SOFT_LIMIT = 120.0
"""Seconds that an operating system gets to shut down."""

CYCLE_OFF_LIMIT = 30.0

CLOSE_LOOK = 5.0
"""Seconds after a cycle was ordered in which the off is looked for closely: IPMI asks for no more than a second of it
(IPMI 2.0, section 28.3)."""

LOOK_PACE = 0.1
"""Seconds between two looks."""

_SHARE = 0.95
"""Of a step's limit, which is the last resort: the waiting itself ends first and says what it saw."""

_GOAL = {
    PowerAction.ON: Power.ON,
    PowerAction.OFF: Power.OFF,
    PowerAction.SOFT: Power.OFF,
    PowerAction.CYCLE: Power.ON,
    PowerAction.RESET: Power.ON,
}

_DISRUPTIVE = (PowerAction.OFF, PowerAction.SOFT, PowerAction.CYCLE, PowerAction.RESET)

_TEXT = {
    PowerAction.ON: "Switch the power on",
    PowerAction.OFF: "Switch the power off at once",
    PowerAction.SOFT: "Ask the operating system to shut down",
    PowerAction.CYCLE: "Switch the power off and on again",
    PowerAction.RESET: "Reset the machine",
}


def steps(order: PowerOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Read, order, wait."""
    action = order.action
    describe = site.machines.describe
    ask = describe(node, "power")
    act = Step(f"power-{action}", _TEXT[action], describe(node, action), ASK_LIMIT, action in _DISRUPTIVE)
    waits = {
        PowerAction.ON: (Step("wait-on", "Wait until the BMC says on", ask, ON_LIMIT),),
        PowerAction.OFF: (Step("wait-off", "Wait until the BMC says off", ask, OFF_LIMIT),),
        PowerAction.SOFT: (Step("wait-off", "Wait until the BMC says off", ask, SOFT_LIMIT),),
        PowerAction.CYCLE: (
            Step("wait-off", "Wait until the BMC says off", ask, CYCLE_OFF_LIMIT),
            Step("wait-on", "Wait until the BMC says on", ask, ON_LIMIT),
        ),
        # The power stays up during a reset: that the BMC accepted it and is on is all that can be seen.
        PowerAction.RESET: (Step("wait-on", "See that the power is on", ask, ON_LIMIT),),
    }
    return (Step("read-power", "Read the power", ask, ASK_LIMIT), act, *waits[action])


def command(order: PowerOrder) -> tuple[str, str]:
    return f"power {order.action}", ""


def level(order: PowerOrder) -> int:
    return 2 if order.action in _DISRUPTIVE else 1


async def change_power(work: NodeWork, order: PowerOrder) -> None:
    """Read the power, send the order, wait until the BMC reports what was wanted."""
    action = order.action
    goal = _GOAL[action]
    before = await work.look("read-power", lambda: work.controller().power())
    work.update(before=before)
    if action in (PowerAction.CYCLE, PowerAction.RESET):
        if before is Power.OFF:
            raise NodeFailedError(
                "refused",
                f"{work.node} is off, there is nothing to {action}: switch it on with plasmatui power on {work.node}",
            )
    elif before is goal:
        work.skip(f"power-{action}", f"it is {goal} already")
        work.update(after=before, message=f"was {goal} already")
        return
    await work.act(f"power-{action}", lambda: work.controller().order_power(action))
    unseen = "" if action is not PowerAction.CYCLE else await _see_off(work)
    await _wait(work, goal, action)
    work.update(after=goal, message=unseen)


async def restart(work: NodeWork, before: Power) -> None:
    """Order a boot of a node whose power was `before`: cycle it when on, switch it on when off.

    One that went off since, by another hand or by itself, has nothing to cycle; its BMC refuses then (IPMI 2.0,
    section 28.3: D5h), has done nothing, and switching on is what is wanted.

    Raises:
        BmcError: the BMC refuses, or does not answer.
    """
    former = work.site.boots.current(work.node)
    work.former_boot = former.number if former is not None else 0
    controller = work.controller()
    if before is not Power.ON:
        await controller.order_power(PowerAction.ON)
        return
    try:
        await controller.order_power(PowerAction.CYCLE)
    except BmcError as error:
        if error.id != "rejected" or await controller.power() is not Power.OFF:
            raise
        work.log(f"{work.node} went off by another hand: it is switched on instead of cycled")
        await controller.order_power(PowerAction.ON)


async def _reached(work: NodeWork, wanted: Power, limit: float, *, brief: bool) -> bool:
    """Whether the BMC says `wanted` within `limit` seconds. `brief`: it may last only a moment, so look closely."""
    begin = time.monotonic()
    while brief and time.monotonic() - begin < min(CLOSE_LOOK, limit):
        try:
            if await work.controller().power() is wanted:
                return True
        except BmcError:
            break  # some BMCs are away for a moment while the power changes; the waiting below bears that
        await asyncio.sleep(LOOK_PACE)
    return await work.site.machines.wait_power(work.node, wanted, max(0.0, begin + limit - time.monotonic()))


async def _see_off(work: NodeWork) -> str:
    """Look for the off of a cycle that the BMC accepted. One that is too short to be seen is no failure when the
    power is on afterwards: what is to be said of it then, "" when it was seen."""
    limit = work.limit("wait-off")
    look = work.look("wait-off", lambda: _reached(work, Power.OFF, limit * _SHARE, brief=True))
    if await look:
        return ""
    text = "the BMC accepted the cycle, but off was not seen; look at the console whether it restarted"
    work.amend(StepResult.UNCERTAIN, f"{work.node}: {text}")
    return text


async def _wait(work: NodeWork, wanted: Power, action: PowerAction) -> None:
    id_ = f"wait-{wanted}"
    limit = work.limit(id_)
    if await work.look(id_, lambda: _reached(work, wanted, limit * _SHARE, brief=False)):
        return
    if action is PowerAction.SOFT:
        text = f"{work.node} did not shut down within {limit:g} s"
        hint = f"look at its console, or force it: plasmatui power off {work.node}"
    else:
        text = f"{work.node}: the BMC accepted the order, but did not report {wanted} within {limit:g} s"
        hint = f"look at plasmatui sel {work.node}"
    message = f"{text}; {hint}"
    work.amend(StepResult.FAILED, message)
    raise NodeFailedError("timeout", message)
