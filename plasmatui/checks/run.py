"""Runs the checklist: all checks at once, each with a limit of its own, each result told as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from plasmatui.checks import bmcs, certificates, cluster, host, http, names, secrets, systems, tftp
from plasmatui.checks.context import Context
from plasmatui.checks.found import UNKNOWN, Found
from plasmatui.model.checks import CHECKS, Check, CheckAnswer
from plasmatui.text import clean_line

log = logging.getLogger(__name__)

LIMIT: Final = 90.0
"""Seconds that one check may take; what it waits for has limits of its own, which are shorter."""
LIMITS: Final = {"flake-nodes": host.FLAKE_LIMIT + 5.0}
AT_ONCE: Final = 16

WORK: Final[dict[str, Callable[[Context], Awaitable[Found]]]] = {
    "tftp-loaders": tftp.loaders,
    "loader-architecture": tftp.architecture,
    "http-port": http.port,
    "http-script": http.script,
    "http-loaders": http.loaders,
    "http-kernel": http.kernel,
    "http-initrd": http.initrd,
    "http-netboot": http.netboot,
    "http-ranges": http.ranges,
    "assets-served": http.assets,
    "dhcp-port": host.dhcp_port,
    "boot-service": http.boot_service,
    "clock-pxe": http.clock,
    "bmc-reachable": bmcs.reachable,
    "bmc-credentials": bmcs.credentials,
    "bmc-power": bmcs.power,
    "boot-device": bmcs.boot_device,
    "boot-override": bmcs.override,
    "console-open": bmcs.console,
    "console-recorded": bmcs.recorded,
    "ssh-key": systems.key,
    "host-keys": systems.host_keys,
    "ssh-login": systems.login,
    "clock-nodes": systems.clock,
    "node-space": systems.space,
    "dns-forward": names.forward,
    "dns-reverse": names.reverse,
    "cluster-ca": certificates.authority,
    "service-chain": certificates.chain,
    "service-expiry": certificates.expiry,
    "service-names": certificates.names,
    "secrets-present": secrets.present,
    "secrets-modes": secrets.modes,
    "secrets-certificates": secrets.certificates,
    "quorum-voters": cluster.voters,
    "quorum-members": cluster.members,
    "quorum-margin": cluster.margin,
    "service-health": cluster.health,
    "flake-nodes": host.flake,
    "disks-named": host.disks,
    "tools": host.tools,
    "space-journal": host.space_journal,
    "space-assets": host.space_assets,
    "space-store": host.space_store,
    "journal": host.journal,
    "log-sources": host.log_sources,
    "log-recent": host.log_recent,
}


async def run(context: Context, only: Collection[str], tell: Callable[[CheckAnswer], Awaitable[None]]) -> None:
    """Run the checks (all when `only` is empty) and tell each answer. A check that breaks costs its own answer."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(check: Check) -> None:
        async with gate:
            found = await _found(context, check)
        nodes = tuple(name for name in found.nodes if name in context.inventory.nodes)
        await tell(CheckAnswer(check.id, check.group, check.what, found.state, found.reason, found.fix, nodes))

    try:
        async with asyncio.TaskGroup() as group:
            for check in CHECKS:
                if not only or check.id in only:
                    group.create_task(one(check), name=f"check {check.id}")
    finally:
        await context.close()


async def _found(context: Context, check: Check) -> Found:
    limit = LIMITS.get(check.id, LIMIT)
    try:
        async with asyncio.timeout(limit):
            found = await WORK[check.id](context)
    except TimeoutError:
        return Found(UNKNOWN, f"it was not done within {limit:g} s", f"plasmatui check --online --only {check.id}")
    except Exception as error:
        # The boundary of one check: a fault of ours is told and logged, and the others go on.
        log.exception("check %s failed", check.id)
        return Found(UNKNOWN, f"this check broke ({type(error).__name__}); the engine's log has the details")
    return Found(found.state, clean_line(found.reason, 1000), clean_line(found.fix, 400), found.nodes)
