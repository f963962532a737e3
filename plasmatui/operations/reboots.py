"""A reboot into a new kernel that can be undone: booted once, watched, and only then made the default."""

from __future__ import annotations

import asyncio

from plasmatui.model.command import CommandError
from plasmatui.model.operation import Step, UpdateOrder
from plasmatui.model.words import RebootRule, Stage
from plasmatui.nix import generations, trials
from plasmatui.operations.activation import ended
from plasmatui.operations.boot import why_stopped
from plasmatui.operations.bootafter import boot_after
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.gate import wait_as_well
from plasmatui.operations.generations import LIMIT, read_state
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.system import answers_while
from plasmatui.operations.trial import PARTIAL, Change
from plasmatui.operations.work import NodeWork
from plasmatui.text import clean_line

BACK_LIMIT = 1800.0
"""Seconds from the reboot to SSH: servers test their memory for minutes."""

GRACE = 15.0
"""Seconds that a boot which stopped gets to go on by itself."""

NONE = "nothing that a reboot changes"


def reboot_steps(order: UpdateOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Whether; make it boot once; reboot; watch; health."""
    if order.reboot is RebootRule.NEVER:
        return ()
    ssh = f"ssh {node} "
    when = "" if order.reboot is RebootRule.ALWAYS else ", where the kernel, its initrd or its parameters are others"
    return (
        Step("check-reboot", "See what only a reboot changes", f"{ssh}realpath /run/booted-system/kernel ...", LIMIT),
        Step(
            "boot-once",
            f"Let the new system boot once, with the old one as default{when}",
            f"{ssh}OLD/bin/switch-to-configuration boot; "
            f"{ssh}bootctl set-oneshot nixos-generation-NEW.conf (or grub-reboot)",
            trials.TRIAL_LIMIT,
            proof="the boot loader has entries for both",
        ),
        Step("read-boot", "Read which boot it is in", f"{ssh}cat /proc/sys/kernel/random/boot_id", LIMIT),
        Step(
            "reboot",
            "Reboot",
            f"{ssh}systemctl reboot",
            LIMIT,
            disruptive=True,
            precondition="the guard, asked once more, allows it",
            proof="another boot id",
        ),
        Step(
            "wait-system",
            "Watch the boot until the new system answers on SSH",
            f"{ssh}cat /proc/sys/kernel/random/boot_id",
            BACK_LIMIT,
        ),
        Step("check-system", "See that the new system was booted", f"{ssh}realpath /run/booted-system", LIMIT),
        Step(
            "see-health-again",
            "See that it is as well as before",
            "GET /health of each, GET /admin/cluster/members",
            order.settle + 60.0,
        ),
    )


async def reboot_if_needed(work: NodeWork, order: UpdateOrder, change: Change) -> None:
    """Do the steps of `reboot_steps`.

    Raises:
        NodeFailedError: "refused": the guard does not let it be rebooted now; a boot's finding when it stopped.
    """
    if order.reboot is RebootRule.NEVER:
        return
    found = await work.remember("check-reboot", lambda: _differs(work, order, change))
    if found == NONE:
        for id_ in ("boot-once", "read-boot", "reboot", "wait-system", "check-system", "see-health-again"):
            work.skip(id_, found)
        return
    await work.act("boot-once", lambda: _boot_once(work, change), seen=_again)
    before = await work.remember("read-boot", lambda: system(work).boot_id())
    await work.act("reboot", lambda: reboot(work), seen=lambda: _rebooted(work, before), afresh=True)
    await work.look("wait-system", lambda: back_up(work, before, "reboot"))
    await work.look("check-system", lambda: _check(work, change))
    work.site.boots.stage(work.node, Stage.DISK_BOOT, "done", "the new system answers on SSH")
    work.log(await work.look("see-health-again", lambda: wait_as_well(work, change.before, order.settle)))


async def _again() -> bool:
    return False


async def _differs(work: NodeWork, order: UpdateOrder, change: Change) -> str:
    parts = await differing(work, change.new)
    if (trial := work.history.last("test")) is not None and trial.message == PARTIAL:
        parts += ("systemd",)
    if parts:
        return f"needs a reboot: {', '.join(parts)}"
    return "as it was ordered" if order.reboot is RebootRule.ALWAYS else NONE


async def differing(work: NodeWork, toplevel: str) -> tuple[str, ...]:
    """What of a system only a reboot brings, and the booted one does not have: kernel, initrd, modules, parameters."""
    host = system(work)
    ran = await host.run(trials.kernel_argv(toplevel), limit=LIMIT, check=True)
    parts = trials.parse_kernels(ran.out.decode(errors="replace"))
    texts = []
    for base in (trials.BOOTED, toplevel):
        read = await host.run(("cat", f"{base}/{trials.PARAMETERS}"), limit=LIMIT)
        texts.append(read.out.split() if read.status == 0 else None)
    return (*parts, *((trials.PARAMETERS,) if texts[0] != texts[1] else ()))


async def _boot_once(work: NodeWork, change: Change) -> None:
    """Write entries for the old and the new system with the old one as default, and choose the new one once.

    Where the boot loader cannot do that the new system becomes the default, and the record says so.

    Raises:
        NodeFailedError: "bootloader-failed": there is no entry for it.
    """
    host = system(work)
    await host.run(generations.set_profile_argv(change.new), limit=LIMIT, check=True)
    links = await host.run(generations.LINKS_ARGV, limit=LIMIT, check=True)
    number = trials.number_of(generations.parse_links(links.out.decode(errors="replace")), change.new)
    await host.run(generations.choose_argv(change.number), limit=LIMIT, check=True)
    await write_loader(work, change.old, "boot")
    listed = await host.run(("ls", trials.LOADER_ENTRIES), limit=LIMIT)
    if listed.status == 0 and listed.out.strip():
        await see_entry(work, number)
        why = await _choose_once(work, generations.trial_argv(number))
    else:
        menu = await host.run(("cat", trials.GRUB_MENU), limit=LIMIT)
        entry = trials.grub_entry(menu.out.decode(errors="replace"), number)
        why = await _choose_once(work, trials.grub_once_argv(entry)) if entry else "no boot menu has it"
    if why:
        await _boot_always(work, change, why)


async def _choose_once(work: NodeWork, argv: tuple[str, ...]) -> str:
    """Have an entry booted once; why that is not possible, "" when it is."""
    ran = await system(work).run(argv, limit=LIMIT)
    return "" if ran.status == 0 else clean_line(ran.err.decode(errors="replace"), 200) or f"{argv[0]} failed"


async def _boot_always(work: NodeWork, change: Change, why: str) -> None:
    await system(work).run(generations.set_profile_argv(change.new), limit=LIMIT, check=True)
    await write_loader(work, change.new, "boot")
    text = "its boot loader boots nothing once: the new system is the default before it was seen to boot"
    work.update(message=f"{work.node}: {text}")
    work.log(f"{text} ({why})")


async def write_loader(work: NodeWork, toplevel: str, action: str) -> None:
    """Let a system write the boot loader ("boot"), and activate it as well ("switch")."""
    # With the system in its name, so that what is left of another one's activation is not taken for this one's.
    unit = f"plasmatui-update-{work.number}-{action}-{toplevel.rpartition('/')[2][:8]}.service"
    if await ended(work, unit) is None:
        await system(work).run(trials.activate_argv(unit, toplevel, action), limit=LIMIT, check=True)
        await ended(work, unit)


async def see_entry(work: NodeWork, number: int) -> None:
    """See that systemd-boot has an entry for a generation.

    Raises:
        NodeFailedError: "bootloader-failed".
    """
    listed = await system(work).run(("ls", trials.LOADER_ENTRIES), limit=LIMIT)
    names = listed.out.decode(errors="replace").split()
    wanted = (f"nixos-generation-{number}.conf", f"nixos-generation-{number}+")
    if listed.status == 0 and names and not any(name.startswith(wanted) for name in names):
        raise NodeFailedError(
            "bootloader-failed",
            f"{work.node}: the boot loader has no entry for generation {number}; see whether /boot is full",
            tuple(names[:6]),
        )


async def reboot(work: NodeWork) -> None:
    """Order the reboot; that it happens shows in the boot id."""
    work.site.boots.stage(work.node, Stage.REBOOT, "running", "systemctl reboot")
    try:
        await system(work).run(("systemctl", "reboot"), limit=LIMIT, check=True)
    except CommandError as error:
        if error.id not in ("ssh-lost", "ssh-timeout"):
            raise
        work.log(f"{error.message}; that is how a reboot may look")


async def _rebooted(work: NodeWork, before: str) -> bool:
    """Whether a reboot that was ordered before the engine's restart is under way, or done."""
    try:
        return await system(work).boot_id() != before
    except CommandError:
        return True


async def back_up(work: NodeWork, before: str, ordered: str) -> None:
    """Wait until the machine answers in another boot than `before`, watching what its console says.

    Args:
        ordered: the step that ordered the boot.

    Raises:
        NodeFailedError: with the finding that says why the boot stopped, "rebooted-to-network" for an installer.
        CommandError: it did not answer in time.
    """
    stopped = 0.0
    loop = asyncio.get_running_loop()

    def look() -> None:
        nonlocal stopped
        boot = boot_after(work, ordered)
        if boot is not None:
            if boot.stages:
                work.progress(str(boot.stages[-1].stage), boot.stages[-1].percent)
            if boot.outcome == "installer-up":
                text = f"{work.node} came up in the installer instead of its system"
                raise NodeFailedError("rebooted-to-network", text)
        if boot is None or boot.outcome != "stopped":
            stopped = 0.0
        elif not stopped:
            stopped = loop.time()
        elif loop.time() - stopped >= GRACE or any("panic" in finding.id for finding in boot.findings):
            raise why_stopped(work, boot)

    await answers_while(work, _answers(work, before), look)


async def _answers(work: NodeWork, before: str) -> None:
    host = system(work)
    await host.wait_up(BACK_LIMIT * 0.95, other_than=before, on_try=lambda each: work.log(f"SSH: {each.reason}"))


async def _check(work: NodeWork, change: Change) -> None:
    state = await read_state(work.node, system(work))
    if state.booted != change.new:
        raise NodeFailedError(
            "generation-drift",
            f"{work.node} booted another system than the new one",
            (f"{state.booted} instead of {change.new}",),
        )
