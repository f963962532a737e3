"""How the services stand that machines boot from: a light look, made often while somebody watches.

Three witnesses: the unit, where this host is the PXE server; an answer to a small question; the server's log.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from plasmatui.checks import host, http, tftp
from plasmatui.checks.context import Context
from plasmatui.checks.found import FAILED, OK, SKIPPED, UNKNOWN, WARNING, Found
from plasmatui.model.pxe import PxeService
from plasmatui.text import clean_line

LIMIT: Final = 8.0
"""Seconds for one service."""
UNIT_LIMIT: Final = 3.0
ANSWER_LIMIT: Final = 4.0
RECENT: Final = 3600.0
"""Seconds within which a line of a server's log is taken for a sign of life."""

_BOOTED: Final = Path("/run/systemd/system")
"""Is there where systemd runs: sd_booted(3)."""


async def services(context: Context) -> tuple[PxeService, ...]:
    """All services that the inventory names, in the order in which a boot needs them."""
    pxe = context.inventory.pxe
    if pxe.server is None:
        return ()
    units = {
        "dhcp": host.dhcp_unit(pxe.dhcp),
        "tftp": pxe.tftp.engine,
        "http": "nginx",
        "boot-service": "plasmatui-serve",
    }
    states = await unit_states(tuple(units.values())) if await asyncio.to_thread(host.is_here, str(pxe.server)) else {}
    work = {
        "dhcp": (pxe.dhcp, host.dhcp_port),
        "tftp": (pxe.tftp.engine, lambda context: tftp.answers(context, ANSWER_LIMIT)),
        "http": ("nginx", _http),
        "boot-service": (pxe.boot_service, http.boot_service_health),
    }

    async def one(name: str) -> PxeService:
        software, look = work[name]
        try:
            async with asyncio.timeout(LIMIT):
                found = await look(context)
        except TimeoutError:
            found = Found(UNKNOWN, f"no answer within {LIMIT:g} s")
        found = _together(found, units[name], states.get(units[name], ""), _heard(context, name))
        return PxeService(name, software, found.state, clean_line(found.reason, 600), clean_line(found.fix, 400))

    names = tuple(name for name in work if name != "boot-service" or pxe.boot_service)
    return tuple(await asyncio.gather(*map(one, names)))


async def _http(context: Context) -> Found:
    connected = await http.port(context)
    return await http.script(context) if connected.state is OK else connected


async def unit_states(units: tuple[str, ...]) -> dict[str, str]:
    """State of systemd's units on this host, such as "active" and "failed"; without those that it does not know."""
    if not await asyncio.to_thread(_BOOTED.is_dir):
        return {}
    names = tuple(f"{unit}.service" for unit in units)
    argv = ("systemctl", "show", "--property=Id,LoadState,ActiveState", "--", *names)
    try:
        _, out, _ = await host.run(argv, UNIT_LIMIT)
    except OSError:  # no systemctl, or TimeoutError
        return {}
    return parse_units(units, out.decode("utf-8", "replace"))


def parse_units(units: tuple[str, ...], text: str) -> dict[str, str]:
    """What `systemctl show` prints: a block of lines for each unit, in the order in which they were named."""
    found = {}
    for unit, block in zip(units, text.strip().split("\n\n"), strict=False):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("LoadState") == "loaded" and values.get("ActiveState"):
            found[unit] = clean_line(values["ActiveState"], 20)
    return found


def _heard(context: Context, name: str) -> Found:
    """What the log of a service tells."""
    kind = "http" if name == "boot-service" else name
    sources = [source for source in context.sources.values() if source.kind == kind]
    if not sources:
        return Found(SKIPPED)
    broken = next((source for source in sources if source.status != "running"), None)
    last = max(source.last for source in sources)
    if last:
        age = max(0.0, time.time() - last)
        told = Found(OK if age <= RECENT else UNKNOWN, f"last line of its log {_age(age)} ago")
    else:
        told = Found(UNKNOWN, "its log said nothing yet")
    if broken is None:
        return told
    return Found(told.state if last else UNKNOWN, f"log {broken.name}: {broken.message or broken.status}")


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _together(found: Found, unit: str, state: str, heard: Found) -> Found:
    """The witnesses as one: a unit that failed counts most, then the answer; without both, the log."""
    words = [found.reason] if found.reason and found.state is not SKIPPED else []
    if state:
        words.append(f"unit {unit} is {state}")
    if state == "failed":
        fix = f"systemctl status {unit}; journalctl -u {unit} -n 50"
        return Found(FAILED if found.state is not OK else WARNING, "; ".join(words), fix)
    if found.state is not SKIPPED:
        return replace(found, reason="; ".join([*words, *([heard.reason] if heard.reason else [])]))
    if heard.state is SKIPPED:
        return Found(UNKNOWN, "; ".join([*words, found.reason, "the inventory names no log of it"]), found.fix)
    return Found(heard.state, "; ".join([*words, heard.reason]), found.fix)
