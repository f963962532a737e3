"""The installed system after a boot: that it is the one that was meant, on a machine that was really booted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from plasmatui.model.command import CommandError
from plasmatui.model.operation import Step
from plasmatui.model.words import Stage
from plasmatui.operations.bootafter import boot_after
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork

BACK_LIMIT = 1800.0
"""Seconds from the reboot to the new system's SSH: memory tests and a first boot take their time."""

ASK_LIMIT = 30.0


def system_steps(node: str, site: Site) -> tuple[Step, ...]:
    """See the machine come up with its new system."""
    return (
        Step(
            "wait-system",
            "Wait until the new system answers on SSH with its own host key",
            f"ssh {node} cat /proc/sys/kernel/random/boot_id",
            BACK_LIMIT,
        ),
        Step(
            "check-system",
            "See that it is the system that was built",
            f"ssh {node} readlink -f /run/current-system",
            ASK_LIMIT,
        ),
    )


async def wait_system(work: NodeWork, toplevel: str) -> None:
    """Do the steps of `system_steps`.

    Raises:
        NodeFailedError: "rebooted-to-network" when the installer comes up again, a boot's finding when it stops.
    """
    await work.look("wait-system", lambda: _back(work))
    await work.look("check-system", lambda: _check(work, toplevel))
    work.site.boots.stage(work.node, Stage.DISK_BOOT, "done", "the new system answers on SSH")


async def _back(work: NodeWork) -> None:
    await answers_while(work, _answers(work), lambda: _look_at_boot(work))


async def answers_while(work: NodeWork, answers: Coroutine[object, object, None], look: Callable[[], None]) -> None:
    """Wait until the machine answers, looking at its boot whenever something new is told of it.

    Raises: what `answers` or `look` raises.
    """
    waiting = asyncio.create_task(answers, name=f"ssh to {work.node}")
    try:
        while not waiting.done():
            look()
            news = asyncio.create_task(work.site.boots.news(work.node, 1.0), name=f"news of {work.node}")
            try:
                await asyncio.wait({waiting, news}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
        waiting.result()
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _answers(work: NodeWork) -> None:
    await system(work).wait_up(BACK_LIMIT, on_try=lambda each: work.log(f"SSH: {each.reason}"))


def _look_at_boot(work: NodeWork) -> None:
    boot = boot_after(work, "reboot", "power-up")
    if boot is None:
        return
    if boot.stages:
        work.progress(str(boot.stages[-1].stage), boot.stages[-1].percent)
    if boot.outcome == "installer-up":
        raise NodeFailedError(
            "rebooted-to-network",
            f"{work.node} came up in the installer again instead of its new system; "
            f"plasmatui bootdev disk {work.node} --persistent, or see the boot order in its firmware",
        )


async def _check(work: NodeWork, toplevel: str) -> None:
    try:
        ran = await system(work).run(("readlink", "-f", "/run/current-system"), limit=ASK_LIMIT, check=True)
    except CommandError as error:
        raise NodeFailedError(error.id, error.message) from error
    found = ran.out.decode(errors="replace").strip()
    if found != toplevel:
        raise NodeFailedError(
            "generation-drift",
            f"{work.node} runs another system than was installed",
            (f"{found} instead of {toplevel}",),
        )
