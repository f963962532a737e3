"""Back to the system that a node ran before an update that did not go well: over SSH, by itself, or by its BMC."""

from __future__ import annotations

from plasmatui.bmc.controller import BmcError
from plasmatui.model.command import CommandError
from plasmatui.model.operation import Step, UpdateOrder
from plasmatui.model.words import PowerAction, StepResult
from plasmatui.nix import generations
from plasmatui.nix.generations import PROFILE
from plasmatui.operations.bootafter import boot_after
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.gate import wait_as_well
from plasmatui.operations.generations import LIMIT, read_state
from plasmatui.operations.limits import ASK_LIMIT
from plasmatui.operations.power import restart
from plasmatui.operations.reboots import BACK_LIMIT, back_up, differing, reboot, write_loader
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.trial import Change, disarm, silence
from plasmatui.operations.work import NodeWork

REACH_LIMIT = 60.0
"""Seconds that a node gets to answer before its BMC is asked to cycle the power."""


STOPPED_LIMIT = 5.0
"""The same for one whose boot was seen to stop."""


def back_steps(order: UpdateOrder, node: str, site: Site) -> tuple[Step, ...]:
    """What is done only when the new system is not well."""
    ssh = f"ssh {node} "
    only = "the new system is not well"
    try:
        cycle = site.machines.describe(node, PowerAction.CYCLE)
    except BmcError:
        cycle = "(no BMC)"
    return (
        Step("check-why", "Write down why it goes back", "journal", LIMIT, precondition=only),
        Step(
            "read-answers",
            "See whether it answers",
            f"{ssh}cat /proc/sys/kernel/random/boot_id",
            REACH_LIMIT + silence(order),
            precondition=only,
        ),
        Step(
            "power-cycle",
            "Switch the power off and on: what boots next is the old system",
            cycle,
            ASK_LIMIT,
            precondition=f"{only}, and it does not answer",
        ),
        Step(
            "wait-back",
            "Wait until it answers",
            f"{ssh}cat /proc/sys/kernel/random/boot_id",
            BACK_LIMIT,
            precondition=f"{only}, and it does not answer",
        ),
        Step(
            "go-back",
            "Activate the old system, as profile and in the boot loader",
            f"{ssh}nix-env -p {PROFILE} --switch-generation OLD; {ssh}OLD/bin/switch-to-configuration switch",
            1800.0,
            precondition=only,
            proof="it runs, and boots next",
        ),
        Step(
            "reboot-back",
            "Reboot into the old system",
            f"{ssh}systemctl reboot",
            LIMIT,
            precondition=f"{only}, and its kernel was booted",
            proof="another boot id",
        ),
        Step(
            "wait-old",
            "Wait until the old system answers",
            f"{ssh}cat /proc/sys/kernel/random/boot_id",
            BACK_LIMIT,
            precondition=f"{only}, and its kernel was booted",
        ),
        Step(
            "see-back",
            "See that it is as well as before",
            "GET /health of each, GET /admin/cluster/members",
            order.settle + 60.0,
            precondition=only,
        ),
    )


class BackError(NodeFailedError):
    """The node was to go back, for the reason that it gives. `well`: it did, and is as it was."""

    def __init__(self, id: str, message: str, evidence: tuple[str, ...], *, well: bool) -> None:  # noqa: A002
        super().__init__(id, message, evidence)
        self.well = well


async def go_back(work: NodeWork, order: UpdateOrder, change: Change, why: NodeFailedError | None) -> BackError:
    """Do the steps of `back_steps`; what is to be said of the node in the end.

    Args:
        why: None after a restart of the engine, which reads it from the journal.
    """
    told = await work.remember("check-why", lambda: _why(why))
    id_, _, text = told.partition(" ")
    evidence = why.evidence if why is not None else work.record.evidence
    work.update(evidence=evidence)
    try:
        await _reach(work, order)
        await work.act("go-back", lambda: _activate_old(work, change), seen=_again)
        if await differing(work, change.old):
            await _reboot_old(work)
        healthy = await work.look("see-back", lambda: wait_as_well(work, change.before, order.settle))
    except NodeFailedError as error:
        work.update(after="not known")
        return BackError(
            id_, f"{text}; going back to generation {change.number} failed: {error.message}", evidence, well=False
        )
    work.log(healthy)
    work.update(after=f"generation {change.number} again")
    return BackError(id_, f"{text}; it went back to generation {change.number} and is as before", evidence, well=True)


async def _why(why: NodeFailedError | None) -> str:
    return f"{why.id} {why.message}" if why is not None else "uncertain the engine was restarted while it went back"


async def _again() -> bool:
    return False


async def _reach(work: NodeWork, order: UpdateOrder) -> None:
    """See that the node answers; one that does not is switched off and on. While the way back is armed, it gets the
    time to come back by itself; one whose boot has stopped needs none."""
    boot = work.history.last("wait-system")
    limit = REACH_LIMIT if work.history.begun("disarm") else silence(order)
    if boot is not None and boot.result is StepResult.FAILED:
        limit = STOPPED_LIMIT
    try:
        await work.look("read-answers", lambda: system(work).wait_up(limit))
    except NodeFailedError as error:
        if not error.id.startswith("ssh-"):
            raise
        problem = work.site.machines.unusable(work.node)
        if problem is not None:
            raise NodeFailedError(
                problem.id, f"it does not answer, and has no BMC to switch its power: {problem.message}"
            ) from error
        before = step.message if (step := work.history.last("read-boot")) is not None else ""
        await work.act("power-cycle", lambda: _cycle(work), seen=lambda: _cycled(work))
        await work.look("wait-back", lambda: back_up(work, before, "power-cycle"))


async def _cycle(work: NodeWork) -> None:
    await restart(work, await work.controller().power())


async def _cycled(work: NodeWork) -> bool:
    """Whether the power was cycled before the engine's restart: a boot that began after it shows that it was."""
    return boot_after(work, "power-cycle") is not None


async def _activate_old(work: NodeWork, change: Change) -> None:
    """Make the old system what runs and what boots next; also where it is, since an activation that failed may have
    left its services stopped.

    Raises:
        NodeFailedError: "generation-drift": it is not so afterwards.
    """
    host = system(work)
    await disarm(work)
    await host.run(generations.choose_argv(change.number), limit=LIMIT, check=True)
    await write_loader(work, change.old, "switch")
    state = await read_state(work.node, host)
    if not state.current == state.profile == change.old:
        raise NodeFailedError(
            "generation-drift",
            f"{work.node} does not run the old system",
            (f"{state.current} instead of {change.old}",),
        )


async def _reboot_old(work: NodeWork) -> None:
    before = await system(work).boot_id()
    await work.act("reboot-back", lambda: reboot(work), seen=_again)
    try:
        await work.look("wait-old", lambda: back_up(work, before, "reboot-back"))
    except CommandError as error:
        raise NodeFailedError(error.id, error.message) from error
