"""Going back to a generation of the system: chosen, activated with its boot loader, read back, healthy afterwards."""

from __future__ import annotations

import asyncio

import msgspec

from plasmatui.model.command import CommandError
from plasmatui.model.event import LifecycleChanged
from plasmatui.model.operation import NodePlan, Order, RollbackOrder, Step
from plasmatui.model.system import Generation
from plasmatui.model.words import Lifecycle
from plasmatui.nix.generations import PROFILE, When, activate_argv, choose_argv
from plasmatui.operations import health
from plasmatui.operations.activation import ended
from plasmatui.operations.endings import NodeFailedError
from plasmatui.operations.generations import LIMIT, read_generations, read_state
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork

ACTIVATE_LIMIT = 900.0
"""Seconds that an activation may take: it restarts services."""

ACTIVATION = ("read-generations", "choose", "activate", "verify-system")
"""Ids of the steps that go back to a generation."""

LOADER_ENTRIES = "/boot/loader/entries"


def steps(order: RollbackOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Read, choose, activate, read back, health."""
    first = activation_steps(order, node)
    if order.next_boot or not site.inventory().nodes[node].profile:
        return first
    return (
        *first,
        Step("see-health", "Wait until the node's services are healthy", "GET /health of each", health.LIMIT),
    )


def activation_steps(order: RollbackOrder, node: str) -> tuple[Step, ...]:
    """Those of `ACTIVATION`."""
    number = str(order.to) if order.to else "N-1"
    when = When.BOOT if order.next_boot else When.SWITCH
    unit = f"plasmatui-rollback-{number}"
    ssh = f"ssh {node} "
    return (
        Step("read-generations", "Read the generations", ssh + "nixos-rebuild list-generations --json", LIMIT),
        Step(
            "choose",
            f"Point the profile to generation {number}",
            f"{ssh}nix-env -p {PROFILE} --switch-generation {number}",
            LIMIT,
            disruptive=not order.next_boot,  # so that the guard speaks before anything is changed
            precondition="the generation exists",
            proof=f"{PROFILE} points to it",
        ),
        Step(
            "activate",
            f"Activate it {'at the next boot' if order.next_boot else 'now'}, boot loader included",
            f"{ssh}systemd-run --unit={unit} {PROFILE}/bin/switch-to-configuration {when}",
            ACTIVATE_LIMIT,
            disruptive=not order.next_boot,
            proof="the unit's result on the node",
        ),
        Step(
            "verify-system",
            "Read back what runs and what boots next",
            ssh + f"realpath /run/current-system {PROFILE}",
            LIMIT,
        ),
    )


def command(order: RollbackOrder) -> tuple[str, str]:
    to = f" --to {order.to}" if order.to else ""
    return "rollback", f"{to}{' --next-boot' if order.next_boot else ''}"


async def look(order: RollbackOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say for each node from which generation to which it would go."""
    return order, tuple(await asyncio.gather(*(_look(order, plan, site) for plan in plans)))


async def _look(order: RollbackOrder, plan: NodePlan, site: Site) -> NodePlan:
    if plan.skipped:
        return plan
    try:
        found = await read_generations(plan.node, site.hosts().system(plan.node))
        target = target_of(order, plan.node, found)
    except (CommandError, NodeFailedError) as error:
        return NodePlan(plan.node, skipped=error.message)
    current = next((each.number for each in found if each.current), 0)
    note = f"{plan.node}: generation {current} to {target.number} ({target.version}, {target.date})"
    return NodePlan(plan.node, plan.steps, "", (*plan.notes, note))


def target_of(order: RollbackOrder, node: str, found: tuple[Generation, ...]) -> Generation:
    """The generation that is meant.

    Raises:
        NodeFailedError: "generation-missing".
    """
    current = next((each.number for each in found if each.current), 0)
    older = [each for each in found if each.number < current]
    chosen = [each for each in found if each.number == order.to] if order.to else older[:1]
    if chosen:
        return chosen[0]
    there = ", ".join(str(each.number) for each in found[:10]) or "none"
    wanted = f"generation {order.to}" if order.to else f"generation before {current}"
    raise NodeFailedError("generation-missing", f"{node} has no {wanted}; it has {there}")


async def rollback(work: NodeWork, order: RollbackOrder) -> None:
    """Take the node to the generation."""
    target = await go_back(work, order)
    if any(step.id == "see-health" for step in steps(order, work.node, work.site)):
        seen = await work.look("see-health", lambda: health.wait_healthy(work))
        work.log(seen)
    work.update(after=f"generation {target}{' at the next boot' if order.next_boot else ''}")
    work.tell(LifecycleChanged(Lifecycle.ACTIVE))


async def go_back(work: NodeWork, order: RollbackOrder) -> int:
    """Do the steps of `ACTIVATION`; the generation's number.

    Raises:
        NodeFailedError: "generation-missing", "activation-failed", "generation-drift", "bootloader-failed".
    """
    host = system(work)
    found = await work.look("read-generations", lambda: read_generations(work.node, host))
    target = await _target(work, order, found)
    if not work.record.before:
        work.update(before=f"generation {next((each.number for each in found if each.current), 0)}")
    work.tell(LifecycleChanged(Lifecycle.ROLLING_BACK))
    await work.act(
        "choose",
        lambda: host.run(choose_argv(target), limit=LIMIT, check=True),
        seen=lambda: _points_to(work, target),
    )
    when = When.BOOT if order.next_boot else When.SWITCH
    unit = f"plasmatui-rollback-{work.number}.service"
    await work.act("activate", lambda: _activate(work, unit, when), seen=lambda: _activated(work, unit))
    await work.look("verify-system", lambda: _verify(work, target, now=not order.next_boot))
    return target


async def _target(work: NodeWork, order: RollbackOrder, found: tuple[Generation, ...]) -> int:
    """The generation's number; after a restart that which the profile was pointed to already, since "previous" would
    be one further back then."""
    if not order.to and (work.history.was_begun("choose") and work.record.before):
        before = int(work.record.before.removeprefix("generation "))
        found = tuple(msgspec.structs.replace(each, current=each.number == before) for each in found)
    return target_of(order, work.node, found).number


async def _points_to(work: NodeWork, number: int) -> bool:
    found = await read_generations(work.node, system(work))
    return any(each.current and each.number == number for each in found)


async def _activate(work: NodeWork, unit: str, when: When) -> None:
    await system(work).run(activate_argv(unit, when), limit=LIMIT, check=True)
    await _activated(work, unit)


async def _activated(work: NodeWork, unit: str) -> bool:
    """Follow an activation, perhaps one that was begun before the engine's restart, to its end; whether it took effect.
    False when the node knows no such unit."""
    outcome = await ended(work, unit)
    if outcome is not None and outcome.word != "done":
        work.update(message=outcome.message)
    return outcome is not None


async def _verify(work: NodeWork, number: int, *, now: bool) -> None:
    """The profile points to it, it runs if it should, and the boot loader has an entry for it.

    Raises:
        NodeFailedError: "generation-drift".
    """
    host = system(work)
    state = await read_state(work.node, host)
    if not await _points_to(work, number):
        raise NodeFailedError("generation-drift", f"{work.node}: the profile does not point to generation {number}")
    if now and state.current != state.profile:
        raise NodeFailedError(
            "generation-drift",
            f"{work.node} still runs another system than generation {number}",
            (f"{state.current} instead of {state.profile}",),
        )
    listed = await host.run(("ls", LOADER_ENTRIES), limit=LIMIT)
    entries = listed.out.decode(errors="replace").split()
    if listed.status == 0 and entries and not any(_is_entry(entry, number) for entry in entries):
        raise NodeFailedError(
            "bootloader-failed",
            f"{work.node}: the boot loader has no entry for generation {number}; see whether /boot is full",
            tuple(entries[:6]),
        )
    if now and state.reboot_needed:
        work.update(message="its kernel takes a reboot")


def _is_entry(name: str, number: int) -> bool:
    """An entry of systemd-boot: nixos-generation-N.conf, with +TRIES while boot counting watches it."""
    return name.startswith((f"nixos-generation-{number}.conf", f"nixos-generation-{number}+"))
