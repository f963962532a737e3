"""A new system on trial: activated with the way back armed, answering, as well as before. Nothing is permanent yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from plasmatui.model.command import CommandError
from plasmatui.model.operation import Step, UpdateOrder
from plasmatui.model.words import StepResult
from plasmatui.nix import generations, trials
from plasmatui.nix.generations import Comparison
from plasmatui.operations.activation import ended
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.gate import Wellness, wait_as_well
from plasmatui.operations.generations import LIMIT, read_state
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork

SILENCE = 180.0
"""Seconds beside those to the way back in which a node that went silent may come back."""

PARTIAL = "it is active in part; the rest takes a reboot"
"""Message of a trial in which systemd itself could not be replaced (exit code 100)."""

PACE = 1.0


@dataclass(frozen=True)
class Change:
    """What a node is brought from and to.

    Attributes:
        number, old: the generation that boots next when nothing goes on, and its system. new: the system it gets.
        before: how well it was.
    """

    number: int
    old: str
    new: str
    before: Wellness


def trial_unit(work: NodeWork) -> str:
    return f"plasmatui-update-{work.number}.service"


def back_unit(work: NodeWork) -> str:
    return f"plasmatui-update-{work.number}-back.service"


def silence(order: UpdateOrder) -> float:
    """Seconds that a silent node gets to come back by itself."""
    return trials.ARM_DELAY + order.confirm + SILENCE


def trial_steps(order: UpdateOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Arm, activate, connect anew, disarm, health."""
    ssh = f"ssh {node} "
    trial, back = "plasmatui-update-N", "plasmatui-update-N-back"
    return (
        Step(
            "arm",
            f"Arm the way back: it activates the old system again unless it is disarmed within {order.confirm} s "
            "after the new one is active",
            f"{ssh}systemd-run --unit={back} --on-active={trials.ARM_DELAY} --property=After={trial} "
            f"--property='ExecStartPre=sleep {order.confirm}' OLD/bin/switch-to-configuration test",
            LIMIT,
            disruptive=True,  # so that the guard speaks before anything is changed
            precondition="every node's system is built and copied, and the nodes before it are done",
        ),
        Step(
            "test",
            "Activate the new system for now: a reboot would return to the old one",
            f"{ssh}systemd-run --unit={trial} TOPLEVEL/bin/switch-to-configuration test",
            trials.TRIAL_LIMIT + silence(order),
            disruptive=True,
            proof="the unit's result on the node",
        ),
        Step(
            "see-ssh",
            "See that a new SSH connection is answered, by the new system",
            f"{ssh}realpath /run/current-system",
            silence(order) + LIMIT,
        ),
        Step("disarm", "Disarm the way back", f"{ssh}systemctl stop {back}.timer {back}.service", LIMIT),
        Step(
            "see-health",
            "See that it is as well as before: services, units, raft groups",
            "GET /health of each, GET /admin/cluster/members",
            order.settle + 60.0,
        ),
    )


async def try_new(work: NodeWork, order: UpdateOrder, change: Change) -> None:
    """Do the steps of `trial_steps`.

    Raises:
        NodeFailedError: the new system is not well, or the node went back by itself.
    """
    await _void(work, change)
    await work.act("arm", lambda: _arm(work, order, change), seen=_again)
    said: list[str] = []
    await work.act("test", lambda: _test(work, order, change, said), seen=lambda: _tested(work, order, said))
    if said:
        work.amend(StepResult.DONE, said[0])
    await work.look("see-ssh", lambda: _answers(work, order, change))
    await work.act("disarm", lambda: _disarm(work), seen=_again)
    work.log(await work.look("see-health", lambda: wait_as_well(work, change.before, order.settle)))


async def _again() -> bool:
    """These have the same effect when they are done twice."""
    return False


async def _void(work: NodeWork, change: Change) -> None:
    """After a restart: nobody disarmed the way back in time, so that the node went back although nothing was wrong.
    The trial is then made anew."""
    armed, disarmed = work.history.last("arm"), work.history.last("disarm")
    if armed is None or (disarmed is not None and disarmed.result is not None):
        return
    try:
        async with asyncio.timeout(trials.TRIAL_LIMIT):
            state = await _settled(work)
    except (CommandError, TimeoutError):
        return  # it is silent; the steps wait for it
    if state.current == change.old and armed.result is not None:
        work.log("the way back was taken while no engine ran; the trial is made anew")
        work.history.forget("arm", "test")


async def _arm(work: NodeWork, order: UpdateOrder, change: Change) -> None:
    host = system(work)
    await _disarm(work)
    argv = trials.back_argv(back_unit(work), trial_unit(work), change.old, order.confirm)
    await host.run(argv, limit=LIMIT, check=True)


async def _test(work: NodeWork, order: UpdateOrder, change: Change, said: list[str]) -> None:
    host = system(work)
    for argv in generations.release_argvs(trial_unit(work)):  # of a trial whose end no engine saw
        await host.run(argv, limit=LIMIT)
    await host.run(trials.activate_argv(trial_unit(work), change.new, "test"), limit=LIMIT, check=True)
    await _tested(work, order, said)


async def _tested(work: NodeWork, order: UpdateOrder, said: list[str]) -> bool:
    """Follow the trial to its end; what is to be known of a good one goes to `said`.

    Raises:
        NodeFailedError: "activation-failed": it failed, or units did.
    """
    outcome = await ended(work, trial_unit(work), silence=silence(order))
    if outcome is None:
        return False
    if outcome.word == "units-failed":
        raise NodeFailedError("activation-failed", f"{work.node}: {outcome.message}", (outcome.message,))
    if outcome.word == "reboot-needed":
        said.append(PARTIAL)
    return True


async def _answers(work: NodeWork, order: UpdateOrder, change: Change) -> None:
    """Connect anew: the old connection may live on where no new one is let in.

    Raises:
        NodeFailedError: "ssh-lost": it did not answer, whether it went back by itself or not.
    """
    host = system(work)
    await host.drop()
    try:
        await host.wait_up(silence(order), on_try=lambda each: work.progress(f"SSH: {each.reason}"))
        state = await _settled(work)
    except CommandError as error:
        text = f"{work.node} does not answer on SSH since the new system was activated: {error.message}"
        raise NodeFailedError("ssh-lost", text, (error.message,)) from error
    if state.current == change.old:
        text = f"{work.node} did not answer on SSH with the new system, and went back by itself after {order.confirm} s"
        raise NodeFailedError("ssh-lost", text)
    if state.current != change.new:
        raise NodeFailedError(
            "generation-drift",
            f"{work.node} runs neither the old nor the new system",
            (f"{state.current} instead of {change.new}",),
        )


async def _settled(work: NodeWork) -> Comparison:
    """What runs, once the node is not on its way back any more."""
    while await _going_back(work):
        work.progress("it goes back by itself")
        await asyncio.sleep(PACE)
    return await read_state(work.node, system(work))


async def _going_back(work: NodeWork) -> bool:
    """Whether the way back is being taken: it must not be stopped half-way."""
    ran = await system(work).run(trials.back_state_argv(back_unit(work)), limit=LIMIT)
    return ran.out.strip() == b"start"


async def _disarm(work: NodeWork) -> None:
    if await _going_back(work):
        raise NodeFailedError("ssh-lost", f"{work.node}: it goes back to the old system by itself already")
    for argv in trials.disarm_argvs(back_unit(work)):
        await system(work).run(argv, limit=LIMIT)


async def disarm(work: NodeWork) -> None:
    """Let no way back be taken any more; one that is being taken is waited for."""
    await _settled(work)
    await _disarm(work)
