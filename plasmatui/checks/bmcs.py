"""BMCs and consoles, through the engine's own sessions."""

from __future__ import annotations

import asyncio

from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, UNKNOWN, WARNING, Found, together
from plasmatui.inventory.catalogue import VENDOR_LOGINS
from plasmatui.inventory.secrets import SecretError
from plasmatui.model.answers import NodeAnswer
from plasmatui.model.bmc import Device
from plasmatui.model.node import ConsoleState
from plasmatui.model.words import BmcStatus, ConsoleStatus, Power

_NO_BMC = "the inventory names no BMC"
_FIRST_ANSWER = 15.0
"""Seconds that BMCs get which the engine has not asked yet."""
_LOOK = 0.2


def _nodes(context: Context) -> tuple[str, ...]:
    return tuple(name for name in context.inventory.nodes if name in context.inventory.bmcs)


async def _settled(context: Context, node: str) -> None:
    """Wait until the engine knows how it stands with a BMC: it has just been started, perhaps."""
    async with asyncio.timeout(_FIRST_ANSWER):
        while context.states[node].bmc.status in (BmcStatus.UNKNOWN, BmcStatus.CONNECTING):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)  # states are values: there is nothing to be told of


async def reachable(context: Context) -> Found:
    async def one(node: str) -> Found:
        try:
            await _settled(context, node)
        except TimeoutError:
            return Found(UNKNOWN, "no answer yet", f"plasmatui power status {node}")
        bmc = context.states[node].bmc
        if bmc.status is BmcStatus.UP:
            return Found(OK)
        fix = f"plasmatui explain {bmc.finding}" if bmc.finding else f"plasmatui power status {node}"
        return Found(FAILED, bmc.message or f"the BMC is {bmc.status.value}", fix)

    return together(await context.each(_nodes(context), one), "{} BMCs", _NO_BMC)


async def credentials(context: Context) -> Found:
    """Passwords are compared here and leave no trace; one reference is read once."""
    read: dict[int, str | SecretError] = {}
    found: dict[str, Found] = {}
    for name, entry in context.inventory.bmcs.items():
        if id(entry.password) not in read:
            try:
                read[id(entry.password)] = await asyncio.to_thread(entry.password.reveal)
            except SecretError as error:
                read[id(entry.password)] = error
        password = read[id(entry.password)]
        if isinstance(password, SecretError):
            found[name] = Found(FAILED, f"no password: {password}", "give the engine what bmc_defaults.password names")
        elif (entry.username.lower(), password) in VENDOR_LOGINS:
            fix = f"change the password of {entry.username} on the BMC, then where bmc_defaults.password points"
            found[name] = Found(FAILED, f"user {entry.username} still has the vendor's default password", fix)
        else:
            found[name] = Found(OK)
    return together(found, "{} BMCs", _NO_BMC)


async def _asked(context: Context, node: str, what: str) -> NodeAnswer | Found:
    """The BMC's answer; why there is none is `bmc-reachable`'s to name, here it is not known."""

    async def ask() -> NodeAnswer | Found:
        try:
            await _settled(context, node)
        except TimeoutError:
            return Found(UNKNOWN, "its BMC does not answer", "see bmc-reachable")
        if context.states[node].bmc.status is not BmcStatus.UP:
            return Found(UNKNOWN, "its BMC does not answer", "see bmc-reachable")
        answer = await context.query(node, what)
        if answer.problem is not None:
            fix = f"plasmatui explain {answer.problem.id}" if answer.problem.id.startswith("bmc-") else ""
            return Found(UNKNOWN, answer.problem.message, fix)
        return answer

    return await context.once(f"{what} {node}", ask)


async def power(context: Context) -> Found:
    async def one(node: str) -> Found:
        answer = await _asked(context, node, "power")
        if isinstance(answer, Found):
            return answer
        told = answer.power not in (None, Power.UNKNOWN)
        return (
            Found(OK) if told else Found(UNKNOWN, "the BMC does not tell the power", f"plasmatui power status {node}")
        )

    return together(await context.each(_nodes(context), one), "{} BMCs", _NO_BMC)


async def boot_device(context: Context) -> Found:
    async def one(node: str) -> Found:
        answer = await _asked(context, node, "bootdev")
        if isinstance(answer, Found):
            return answer
        if answer.boot is None:
            return Found(WARNING, "the BMC does not tell its boot device", "set it in the firmware: disk first")
        return Found(OK)

    return together(await context.each(_nodes(context), one), "{} BMCs", _NO_BMC)


async def override(context: Context) -> Found:
    """A machine that boots from the network for ever is installed again and again (image builder's trap)."""

    async def one(node: str) -> Found:
        answer = await _asked(context, node, "bootdev")
        if isinstance(answer, Found):
            return answer
        if answer.boot is not None and answer.boot.device is Device.PXE and answer.boot.persistent:
            return Found(FAILED, "it boots from the network every time", f"plasmatui bootdev none {node}")
        return Found(OK)

    return together(await context.each(_nodes(context), one), "{} BMCs", _NO_BMC)


async def console(context: Context) -> Found:
    if context.inventory.policy.consoles != "always":
        return Found(OK, "consoles are opened when somebody reads them (policy.consoles)")

    async def one(node: str) -> Found:
        try:
            await _settled(context, node)
            if context.states[node].bmc.status is not BmcStatus.UP:
                return Found(UNKNOWN, "its BMC does not answer", "see bmc-reachable")
            async with asyncio.timeout(_FIRST_ANSWER):
                while _opening(context.states[node].console):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            return Found(UNKNOWN, "it is not open yet", f"plasmatui console {node}")
        state = context.states[node].console
        if state.status is ConsoleStatus.OPEN:
            return Found(OK)
        fix = f"plasmatui console {node} --steal" if state.status is ConsoleStatus.HELD else f"plasmatui console {node}"
        return Found(FAILED, state.message or f"it is {state.status.value}", fix)

    return together(await context.each(_nodes(context), one), "{} consoles", _NO_BMC)


def _opening(state: ConsoleState) -> bool:
    """Whether a console is on its way, and nothing is known to be wrong with it."""
    closed = state.status in (ConsoleStatus.CONNECTING, ConsoleStatus.CLOSED, ConsoleStatus.WAITING)
    return closed and not state.message


async def recorded(context: Context) -> Found:
    async def one(node: str) -> Found:
        state = context.states[node].console
        if state.status is not ConsoleStatus.OPEN or state.recording:
            return Found(OK)
        return Found(FAILED, state.message or "it is not recorded", f"df -h {context.state}")

    return together(await context.each(_nodes(context), one), "{} consoles", _NO_BMC)
