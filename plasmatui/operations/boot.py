"""Booting a node and watching it: override set and read back, power, the stages until the installer or the login."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.boot import BootTimeline
from plasmatui.model.command import CommandError
from plasmatui.model.operation import BootOrder, Step
from plasmatui.model.words import Power, PowerAction, Severity, Stage
from plasmatui.operations.bootafter import boot_after
from plasmatui.operations.bootdev import KEPT, override, override_steps
from plasmatui.operations.endings import STOP, NodeFailedError, NodeLeftError
from plasmatui.operations.limits import ASK_LIMIT
from plasmatui.operations.netboot import offer_installer
from plasmatui.operations.power import ON_LIMIT, restart
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import installer
from plasmatui.operations.work import NodeWork

if TYPE_CHECKING:
    from plasmatui.remote.hostkeys import Fingerprint

BOOT_LIMIT = 1800.0
"""Seconds from the power to the installer: servers test their memory for minutes, and firmware tries DHCP for two."""

SSH_LIMIT = 60.0
"""Seconds from the installer's first sign to SSH."""

GRACE = 15.0
"""Seconds that a boot which stopped gets to go on by itself: firmware and iPXE try again."""

TRUST = "trust"
"""The answer that believes a host key which the console did not show."""

PROBE = 10.0
"""Seconds between two tries of SSH while logs and console say nothing."""


def steps(order: BootOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Override, power, watch."""
    device = Device.DISK if order.disk else Device.PXE
    last = watch_steps(node) if not order.disk else (_watch_step("wait-login", "login prompt"),)
    return (*power_steps(BootDevice(device, uefi=order.uefi), node, site), *last)


def power_steps(boot: BootDevice, node: str, site: Site) -> tuple[Step, ...]:
    """Set the override and switch the machine on, or off and on."""
    describe = site.machines.describe
    return (
        *override_steps(boot, node, site),
        Step("read-power", "Read the power", describe(node, "power"), ASK_LIMIT),
        Step(
            "power-up",
            "Switch the power on, or off and on again where it is on",
            f"{describe(node, PowerAction.ON)}, or {describe(node, PowerAction.CYCLE)}",
            ASK_LIMIT,
            disruptive=True,
            precondition="the boot device was read back as it was set, or the BMC cannot tell",
            proof="a boot that began after it",
        ),
        Step("wait-on", "Wait until the BMC says on", describe(node, "power"), ON_LIMIT),
    )


def watch_steps(node: str) -> tuple[Step, ...]:
    """Watch until the installer answers."""
    return (
        _watch_step("wait-installer", "installer"),
        Step("wait-ssh", "Wait until the installer answers on SSH", f"ssh {node} (installer) true", SSH_LIMIT),
    )


def _watch_step(id_: str, goal: str) -> Step:
    text = f"Watch logs and console until the {goal} is up"
    return Step(id_, text, "boot watch", BOOT_LIMIT)


def command(order: BootOrder) -> tuple[str, str]:
    mode = {True: " --uefi", False: " --bios", None: ""}[order.uefi]
    return "boot", f"{' --disk' if order.disk else ''}{mode}"


async def boot(work: NodeWork, order: BootOrder) -> None:
    """Boot the node, and see it come up."""
    device = Device.DISK if order.disk else Device.PXE
    await power_up(work, BootDevice(device, uefi=order.uefi))
    if order.disk:
        await work.look("wait-login", lambda: watch(work, "healthy"))
        work.update(after="login prompt")
    else:
        await to_installer(work)
        work.update(after="installer")


async def power_up(work: NodeWork, boot_device: BootDevice) -> None:
    """Do the steps of `power_steps`."""
    if work.history.was_done("power-up"):  # the override is used up by the boot that it was for
        for id_ in ("read-boot", "set-boot", "verify-boot"):
            work.skip(id_, "done before the engine was restarted")
    else:
        power = work.record.before
        if boot_device.device is Device.PXE:
            await offer_installer(work)
        await override(work, boot_device)
        if work.record.message:
            work.log(work.record.message)
        kept = work.record.message if work.record.message == KEPT else ""
        work.update(before=power, after="", message=kept)  # the boot device is not what the operation changes
    before = await work.look("read-power", lambda: work.controller().power())
    if not work.record.before:
        work.update(before=str(before))
    await work.act("power-up", lambda: restart(work, before), seen=lambda: _booted(work))
    limit = work.limit("wait-on")
    if not await work.look("wait-on", lambda: work.site.machines.wait_power(work.node, Power.ON, limit * 0.95)):
        raise NodeFailedError(
            "timeout",
            f"{work.node}: the BMC accepted the order, but did not report on within {limit:g} s; "
            f"look at plasmatui sel {work.node}",
        )


async def to_installer(work: NodeWork) -> None:
    """Do the steps of `watch_steps`."""
    await work.look("wait-installer", lambda: watch(work, "installer-up"))
    await work.look("wait-ssh", lambda: _ssh(work))
    work.site.boots.stage(work.node, Stage.SSH_READY, "done", "the installer answers on SSH")


async def watch(work: NodeWork, goal: str) -> None:
    """Wait until the boot that follows the power has the outcome `goal` ("installer-up", "healthy").

    Raises:
        NodeFailedError: with the finding that says why it stopped, or "wrong-boot" when another system came up.
    """
    probe = asyncio.create_task(_probe(work, goal), name=f"probe {work.node}")
    try:
        stopped = 0.0
        while True:
            boot = _current(work)
            if probe.done() or (boot is not None and boot.outcome == goal):
                return
            if boot is not None:
                _report(work, boot)
                if boot.outcome in ("installer-up", "healthy"):
                    raise _other(work, boot, goal)
            if boot is None or boot.outcome != "stopped":
                stopped = 0.0
            elif not stopped:
                stopped = time.monotonic()
            elif time.monotonic() - stopped >= GRACE:
                raise why_stopped(work, boot)
            await work.site.boots.news(work.node, 1.0)
    finally:
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)


def _current(work: NodeWork) -> BootTimeline | None:
    """The boot that follows our power order; None while it is the one before."""
    return boot_after(work, "power-up")


async def _booted(work: NodeWork) -> bool | None:
    """Whether an interrupted power order took effect: a boot that began after it shows that it did."""
    return True if _current(work) is not None else None


def _report(work: NodeWork, boot: BootTimeline) -> None:
    if boot.stages:
        span = boot.stages[-1]
        usual = f", usually {span.usual:.0f} s" if span.usual else ""
        work.progress(f"{span.stage}{usual}", span.percent)


def why_stopped(work: NodeWork, boot: BootTimeline) -> NodeFailedError:
    """The finding that says why a boot stopped."""
    errors = [finding for finding in boot.findings if finding.severity is Severity.ERROR]
    if not errors:
        at = boot.reached or "the beginning"
        return NodeFailedError("stalled", f"{work.node}: the boot stopped after {at}; look at its console")
    root = errors[0]
    return NodeFailedError(root.id, f"{work.node}: {root.cause} {root.remedy}", root.evidence)


def _other(work: NodeWork, boot: BootTimeline, goal: str) -> NodeFailedError:
    if goal == "healthy":
        return NodeFailedError(
            "rebooted-to-network",
            f"{work.node} came up in the installer instead of the system on its disk; "
            f"plasmatui bootdev disk {work.node}, then boot it again",
        )
    return NodeFailedError(
        "wrong-boot",
        f"{work.node} came up from its disk instead of the network: see the boot order in its firmware, and whether "
        f"the boot server answered: plasmatui timeline {work.node}",
    )


async def _ssh(work: NodeWork) -> None:
    end = time.monotonic() + work.limit("wait-ssh") * 0.9
    while True:
        left = max(1.0, end - time.monotonic())
        try:
            await installer(work).wait_up(left, on_try=lambda each: work.progress(f"SSH: {each.reason}"))
            return
        except CommandError as error:
            work.progress(f"SSH: {error.message}")
            late = time.monotonic() >= end
            if _key_may_come(error) and time.monotonic() >= end - work.limit("wait-ssh") * 0.5:
                await _vouch(work)
                end = time.monotonic() + work.limit("wait-ssh") * 0.4
            elif late or (error.lasting and not _key_may_come(error)):
                raise
        await work.site.boots.news(work.node, 1.0)


async def _vouch(work: NodeWork) -> None:
    """The console showed no fingerprint in this boot (nobody listened, or the image prints none): ask a person. A
    console that is only late, behind a slow BMC, may answer before.

    Raises:
        NodeLeftError: the person does not believe the key.
    """
    from plasmatui.remote.target import Role

    shown = await work.site.hosts().offered(work.node, Role.INSTALLER)
    seen = asyncio.create_task(_answer_when_seen(work, shown.sha256), name=f"host key of {work.node}")
    try:
        answer = await _ask(work, shown)
    finally:
        seen.cancel()
        await asyncio.gather(seen, return_exceptions=True)
    if answer == STOP:
        raise NodeLeftError("left with its host key not believed, as a person decided")
    if shown.sha256 not in work.site.boots.fingerprints(work.node):
        text = f"{shown.sha256}, believed by a person in operation {work.number}"
        work.site.boots.vouch(work.node, shown.sha256, text)
    while shown.sha256 not in work.site.boots.fingerprints(work.node):
        await work.site.boots.news(work.node, 0.5)


async def _ask(work: NodeWork, shown: Fingerprint) -> str:
    return await work.ask(
        f"{work.node}: its console showed no host key in this boot. The installer that answers shows "
        f"{shown.sha256} ({shown.algorithm}): compare it on the node's console with: "
        f"ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub. Answer {TRUST} to believe it for this boot, {STOP} to "
        "leave the node as it is",
        (TRUST, STOP),
    )


async def _answer_when_seen(work: NodeWork, fingerprint: str) -> None:
    while fingerprint not in work.site.boots.fingerprints(work.node) or not work.answer(TRUST):
        await work.site.boots.news(work.node, 1.0)
    work.log(f"the console showed {fingerprint} meanwhile")


def _key_may_come(error: CommandError) -> bool:
    """The fingerprint may still be printed on the console."""
    return "serial console" in error.message


async def _probe(work: NodeWork, goal: str) -> None:
    """The second witness: ends when SSH answers at the installer's address. Whether that is an installer, and ours,
    is looked at afterwards; without it a silent console would hide that the machine came up."""
    from plasmatui.remote.target import Role

    while goal != "installer-up" or _current(work) is None:
        await work.site.boots.news(work.node, PROBE)
    while True:
        await asyncio.sleep(PROBE)
        try:
            await work.site.hosts().offered(work.node, Role.INSTALLER)
        except CommandError as error:
            work.log(f"SSH: {error.message}")
        else:
            return
