"""A rolling update: systems built and copied first, then node after node tried, judged, made permanent, or taken back.

Nothing is permanent before it was seen to be well: a `test` activation leaves profile and boot default alone, a new
kernel is booted once. Whatever happens, a reboot returns to the system from before.
"""

from __future__ import annotations

import asyncio
import contextlib

from plasmatui.model.command import CommandError
from plasmatui.model.event import LifecycleChanged
from plasmatui.model.operation import NodePlan, Order, Step, UpdateOrder
from plasmatui.model.words import Lifecycle, RebootRule, StepResult
from plasmatui.nix import generations, trials
from plasmatui.nix.generations import PROFILE
from plasmatui.operations.closures import build_closure, closure_steps, copy_closure
from plasmatui.operations.drain import CORDONED, VMS, balance, balanced, balancer_step, services_of
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.gate import remember_wellness
from plasmatui.operations.generations import LIMIT, read_generations, read_state
from plasmatui.operations.goback import BackError, back_steps, go_back
from plasmatui.operations.reboots import reboot_if_needed, reboot_steps, see_entry, write_loader
from plasmatui.operations.rollout import Waves, waves
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.trial import Change, disarm, trial_steps, try_new
from plasmatui.operations.vms import MOVE_LIMIT, move_vms, placement_notes
from plasmatui.operations.work import NodeWork

TURN_LIMIT = 7 * 86400.0
"""Seconds that a node may wait for those before it."""

HANDOVER = "the APIs have no call to hand leadership over; another leader is elected when it is restarted"


def steps(order: UpdateOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Everything for one node; the last ones only when the new system is not well."""
    ssh = f"ssh {node} "
    return (
        Step("read-system", "Read what it runs and boots", ssh + "nixos-rebuild list-generations --json", LIMIT),
        *closure_steps(node, site),
        Step("wait-turn", "Wait for its turn: everything built, the nodes before it well", "-", TURN_LIMIT),
        Step("see-before", "Look how well it is", "GET /health of each, systemctl list-units --state=failed", LIMIT),
        *_drain_steps(order, node, site),
        *trial_steps(order, node, site),
        *reboot_steps(order, node, site),
        Step(
            "switch",
            "Make it permanent: profile and boot loader",
            f"{ssh}nix-env -p {PROFILE} --set TOPLEVEL; {ssh}TOPLEVEL/bin/switch-to-configuration switch",
            trials.TRIAL_LIMIT,
            proof="it runs, and boots next",
        ),
        Step("verify-system", "Read back what runs and what boots next", f"{ssh}realpath /run/current-system", LIMIT),
        *back_steps(order, node, site),
        *((balancer_step(node, "active", disruptive=False),) if order.drain and balanced(site) else ()),
    )


def _drain_steps(order: UpdateOrder, node: str, site: Site) -> tuple[Step, ...]:
    if not order.drain:
        return ()
    found: list[Step] = []
    if balanced(site):
        found.append(balancer_step(node, "drain", disruptive=True))
    if VMS in services_of(node, site):
        call = "POST /api/vms/ID/migrate for each"
        found.append(
            Step("move-vms", "Move its VMs to nodes with room", call, MOVE_LIMIT, True, proof="no VM is listed on it")
        )
    return tuple(found)


def command(order: UpdateOrder) -> tuple[str, str]:
    usual = UpdateOrder()
    words = f" --batch {order.batch}" if order.batch != usual.batch else ""
    words += f" --reboot {order.reboot}" if order.reboot is not usual.reboot else ""
    words += " --no-drain" if not order.drain else ""
    words += f" --settle {order.settle}" if order.settle != usual.settle else ""
    words += f" --confirm-ssh {order.confirm}" if order.confirm != usual.confirm else ""
    return "update", words


def waves_of(order: UpdateOrder, nodes: tuple[str, ...], site: Site) -> Waves:
    """Which nodes go together; see `rollout.waves`."""
    known = site.inventory().nodes
    voters = {node for node in nodes if node in known and known[node].voter}
    return waves(nodes, voters, order.leaders, order.batch)


async def look(order: UpdateOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say what each node runs, when its turn is, who leads, and where VMs would go."""
    from plasmatui.cluster.members import read_groups

    groups = await read_groups(site.cluster())
    leads = {node: [g.name for g in groups if g.leader_node == node] for node in {g.leader_node for g in groups} - {""}}
    order = UpdateOrder(order.batch, order.reboot, order.drain, order.settle, order.confirm, tuple(sorted(leads)))
    found = await asyncio.gather(*(_look(plan, site) for plan in plans))
    taking = tuple(plan.node for plan in found if not plan.skipped)
    turns = waves_of(order, taking, site)
    place = {node: number for number, wave in enumerate(turns, 1) for node in wave}
    with_vms = [node for node in taking if order.drain and VMS in services_of(node, site)]
    vms = await _vm_notes(with_vms, turns, site)
    plans = tuple(
        plan if plan.skipped else _with_notes(plan, order, place[plan.node], len(turns), leads, vms) for plan in found
    )
    return order, plans


async def _vm_notes(nodes: list[str], turns: Waves, site: Site) -> dict[str, tuple[str, ...]]:
    notes: dict[str, tuple[str, ...]] = {}
    for wave in turns:
        notes |= await placement_notes([node for node in wave if node in nodes], frozenset(wave), site)
    return notes


def _with_notes(
    plan: NodePlan,
    order: UpdateOrder,
    place: int,
    count: int,
    leads: dict[str, list[str]],
    vms: dict[str, tuple[str, ...]],
) -> NodePlan:
    node = plan.node
    first = ", alone: the canary" if place == 1 and count > 1 else ""
    notes = [*plan.notes, f"{node}: wave {place} of {count}{first}", *vms.get(node, ())]
    if node in leads:
        notes.append(f"{node} leads {' and '.join(leads[node])}, and goes last: {HANDOVER}")
    return NodePlan(node, plan.steps, "", tuple(notes))


async def _look(plan: NodePlan, site: Site) -> NodePlan:
    if plan.skipped:
        return plan
    try:
        found = await read_generations(plan.node, site.hosts().system(plan.node))
    except (CommandError, NodeFailedError) as error:
        return NodePlan(plan.node, skipped=error.message)
    current = next((each for each in found if each.current), None)
    if current is None:
        return NodePlan(plan.node, skipped=f"{plan.node}: no generation of it is the current one")
    note = f"{plan.node}: runs generation {current.number} ({current.version}, kernel {current.kernel})"
    return NodePlan(plan.node, plan.steps, "", (*plan.notes, note))


async def update(work: NodeWork, order: UpdateOrder) -> None:
    """Bring the node to its new system, or leave it as it was."""
    number, old = _parse(await work.remember("read-system", lambda: _read(work)))
    work.update(before=f"generation {number}")
    _leave_if_stopped(work)
    new = await build_closure(work)
    _leave_if_stopped(work)
    await copy_closure(work, new)
    if not _disturbed(work):
        await _turn(work)
        if await _runs_already(work, order, new):
            work.update(after=f"generation {number}", message="it runs this system already")
            return
    else:
        work.turns.ready(work.node)
        work.skip("wait-turn", "its turn had come before the engine was restarted")
    before = await remember_wellness(work, "see-before")
    await _change(work, order, Change(number, old, new, before))


async def _change(work: NodeWork, order: UpdateOrder, change: Change) -> None:
    """Everything from the first disturbance to the end; never cancelled half-way."""
    work.commit()
    work.tell(LifecycleChanged(Lifecycle.UPDATING, (CORDONED,) if order.drain else ()))
    failure: NodeFailedError | None = None
    try:
        if work.history.was_begun("check-why"):
            failure = await go_back(work, order, change, None)
        else:
            await _forward(work, order, change)
    except NodeFailedError as error:
        failure = await _after_failure(work, order, change, error) if work.history.begun("arm") else error
    if not isinstance(failure, BackError) or failure.well:
        await _into_service(work, failure)
    if failure is not None:
        raise failure


async def _into_service(work: NodeWork, failure: NodeFailedError | None) -> None:
    """Let the balancer send to a node that is well. Where it does not, that is said beside what failed before."""
    try:
        if work.history.begun("balancer-drain"):
            await work.act("balancer-active", lambda: balance(work, "active"), seen=_again)
    except NodeFailedError as error:
        if failure is None:
            raise
        raise NodeFailedError(failure.id, f"{failure.message}; {error.message}", failure.evidence) from error
    work.tell(LifecycleChanged(Lifecycle.ACTIVE))


async def _forward(work: NodeWork, order: UpdateOrder, change: Change) -> None:
    ids = {step.id for step in _drain_steps(order, work.node, work.site)}
    if "balancer-drain" in ids:
        await work.act("balancer-drain", lambda: balance(work, "drain"), seen=_again)
    if "move-vms" in ids:
        wave = work.turns.together(work.node)
        await work.act("move-vms", lambda: move_vms(work, wave), seen=_again)
    await try_new(work, order, change)
    await reboot_if_needed(work, order, change)
    await _settle(work, order, change)


async def _settle(work: NodeWork, order: UpdateOrder, change: Change) -> None:
    await work.act("switch", lambda: _switch(work, change), seen=_again)
    number = await work.look("verify-system", lambda: _verify(work, change))
    later = await _reboot_later(work, order, change)
    work.update(after=f"generation {number}", message=later or work.record.message)


async def _after_failure(work: NodeWork, order: UpdateOrder, change: Change, error: NodeFailedError) -> NodeFailedError:
    """Take the node back. One that only may not be rebooted now is well: it keeps its new system. One that the guard
    refused after a restart of the engine, before the trial, runs its old system still."""
    tried = work.history.last("see-health")
    if error.id == "refused" and (tried is None or tried.result is not StepResult.DONE):
        with contextlib.suppress(CommandError):  # the way back would only activate what runs
            await disarm(work)
        return NodeFailedError("refused", f"{error.message}; it runs its old system", error.evidence)
    if error.id == "refused":
        await _settle(work, order, change)
        text = f"{error.message}; it runs the new system, and waits for its reboot: plasmatui update {work.node} again"
        return NodeFailedError("refused", text)
    return await go_back(work, order, change, error)


async def _again() -> bool:
    return False


async def _read(work: NodeWork) -> str:
    """Generation and system to which the node would go back: those that boot next.

    Raises:
        NodeFailedError: "generation-drift": there is none.
    """
    host = system(work)
    found = await read_generations(work.node, host)
    state = await read_state(work.node, host)
    if not state.profile.startswith("/nix/store/"):
        text = f"{work.node}: its system profile leads to no system: it could not go back"
        raise NodeFailedError("generation-drift", text, (f"{PROFILE} is {state.profile}",))
    if state.word == "trial":
        work.log(f"it runs {state.current} on trial; what boots next is taken as the old system")
    return f"{next((each.number for each in found if each.current), 0)} {state.profile}"


def _parse(text: str) -> tuple[int, str]:
    number, _, path = text.partition(" ")
    return int(number), path


def _disturbed(work: NodeWork) -> bool:
    """Whether the node was touched before the engine was restarted: then it is brought to its end."""
    return any(work.history.was_begun(id_) for id_ in ("balancer-drain", "move-vms", "arm"))


def _leave_if_stopped(work: NodeWork) -> None:
    if work.turns.stopped and not _disturbed(work):
        raise NodeLeftError(f"{work.turns.stopped}; nothing was changed on it")


async def _turn(work: NodeWork) -> None:
    work.turns.ready(work.node)

    stopped = await work.look("wait-turn", lambda: work.turns.turn(work.node, work.progress))
    if stopped:
        work.amend(StepResult.SKIPPED, stopped)
        raise NodeLeftError(f"{stopped}; its new system is built and copied, nothing else was changed on it")


async def _runs_already(work: NodeWork, order: UpdateOrder, new: str) -> bool:
    state = await read_state(work.node, system(work))
    if state.current != new or state.profile != new or order.reboot is RebootRule.ALWAYS:
        return False
    return not state.reboot_needed or order.reboot is RebootRule.NEVER


async def _switch(work: NodeWork, change: Change) -> None:
    await system(work).run(generations.set_profile_argv(change.new), limit=LIMIT, check=True)
    await write_loader(work, change.new, "switch")


async def _verify(work: NodeWork, change: Change) -> int:
    """The number of the new generation, which runs and boots next.

    Raises:
        NodeFailedError: "generation-drift", "bootloader-failed".
    """
    host = system(work)
    state = await read_state(work.node, host)
    if not state.current == state.profile == change.new:
        raise NodeFailedError(
            "generation-drift",
            f"{work.node} does not run, or would not boot, the new system",
            (f"{state.current} runs, {state.profile} boots next, {change.new} is meant",),
        )
    found = await read_generations(work.node, host)
    number = next((each.number for each in found if each.current), 0)
    await see_entry(work, number)
    return number


async def _reboot_later(work: NodeWork, order: UpdateOrder, change: Change) -> str:
    if order.reboot is not RebootRule.NEVER:
        return ""
    state = await read_state(work.node, system(work))
    return "its kernel takes a reboot" if state.reboot_needed else ""
