"""Mending one node with the smallest thing that does: failed units, a boot, the generation before (runbook, 9.3)."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec

from plasmatui.bmc.controller import BmcError
from plasmatui.model.command import CommandError
from plasmatui.model.event import LifecycleChanged
from plasmatui.model.operation import NodePlan, Order, RecoverOrder, RollbackOrder, Step
from plasmatui.model.words import Lifecycle, PowerAction
from plasmatui.operations import rollback
from plasmatui.operations.condition import LOOK_LIMIT, Condition, Cure, next_cure, observe
from plasmatui.operations.endings import NodeFailedError, NodeLeftError
from plasmatui.operations.limits import ASK_LIMIT
from plasmatui.operations.provision import with_note
from plasmatui.operations.reboots import BACK_LIMIT, back_up, reboot
from plasmatui.operations.site import Site
from plasmatui.operations.ssh import system
from plasmatui.operations.work import NodeWork

SETTLE = 90.0
"""Seconds that services and raft groups get to be well after a cure."""

ENOUGH = 5
"""Looks in a row that find the same unit failed, after which it is not waited for."""

PACE = 2.0
DIAGNOSE_LIMIT = 60.0
RESTART_LIMIT = 300.0

_CURES = (Cure.POWER_ON, Cure.RESTART, Cure.REBOOT, Cure.ROLLBACK)


def steps(order: RecoverOrder, node: str, site: Site) -> tuple[Step, ...]:
    """Look; then each cure, from the smallest, as long as it is not well."""
    ssh = f"ssh {node} "
    looks = "power; SSH; failed units; GET /health of each; GET /admin/cluster/members"
    units = "what does not run, as the look shows"
    return (
        Step("diagnose", "See what is wrong with it", looks, DIAGNOSE_LIMIT),
        Step(
            "power-on",
            "Switch it on",
            _described(node, site, PowerAction.ON),
            ASK_LIMIT,
            precondition="it is off",
        ),
        _see("see-power-on", "Wait until it is up, and see whether it is well", BACK_LIMIT + SETTLE),
        Step(
            "restart-units",
            "Start the units that do not run",
            f"{ssh}systemctl restart UNITS ({units})",
            RESTART_LIMIT,
            precondition="SSH answers, and some do not run",
        ),
        _see("see-restart-units", "See whether it is well", SETTLE),
        Step(
            "reboot",
            "Boot it",
            f"{_described(node, site, PowerAction.CYCLE)}, or {ssh}systemctl reboot without a BMC",
            ASK_LIMIT,
            disruptive=True,
            precondition="it is not well, and its units are not the cause",
        ),
        _see("see-reboot", "Wait until it is up, and see whether it is well", BACK_LIMIT + SETTLE),
        *(
            msgspec.structs.replace(step, precondition="a boot did not mend it, and SSH answers")
            for step in rollback.activation_steps(RollbackOrder(), node)
        ),
        Step(
            "start-again",
            "Start the units that failed with the newer system",
            f"{ssh}systemctl restart UNITS ({units})",
            RESTART_LIMIT,
            precondition="it went back",
        ),
        _see("see-rollback", "See whether it is well", SETTLE),
    )


def _see(id_: str, text: str, limit: float) -> Step:
    return Step(id_, text, "as at first", limit + DIAGNOSE_LIMIT, precondition="that was done")


def _described(node: str, site: Site, action: PowerAction) -> str:
    try:
        return site.machines.describe(node, action)
    except BmcError:
        return "(no BMC)"


def command(order: RecoverOrder) -> tuple[str, str]:
    return "recover", ""


async def look(order: RecoverOrder, plans: tuple[NodePlan, ...], site: Site) -> tuple[Order, tuple[NodePlan, ...]]:
    """Say what is wrong with each node and what would be done first; leave out those that are well."""
    return order, tuple(await asyncio.gather(*(_look(plan, site) for plan in plans)))


async def _look(plan: NodePlan, site: Site) -> NodePlan:
    node = plan.node
    if node in site.cordoned():
        return NodePlan(node, skipped=f"{node} is out of service on purpose; plasmatui undrain {node} brings it back")
    now = await observe(node, site)
    cure = next_cure(now)
    if cure is None:
        return NodePlan(node, skipped=f"{node} is well: {'; '.join(now.lines())}")
    for line in (*now.lines(), f"what may do: {_words(cure, node)}"):
        plan = with_note(plan, f"{node}: {line}")
    return plan


def _words(cure: Cure, node: str) -> str:
    return {
        Cure.POWER_ON: "switching it on",
        Cure.RESTART: "starting its units",
        Cure.REBOOT: "a boot",
        Cure.ROLLBACK: "its generation before",
        Cure.REPLACE: f"plasmatui replace {node}, which wipes its disks",
        Cure.PERSON: f"a person: see its power, network and console (plasmatui console {node}), and its SSH",
    }[cure]


async def recover(work: NodeWork, order: RecoverOrder) -> None:
    """Mend the node.

    Raises:
        NodeFailedError: "not-recovered", with what is wrong and the next thing to do.
    """
    now = await work.look("diagnose", lambda: observe(work.node, work.site))
    _tell(work, now)
    tried: set[Cure] = set()
    for cure in _CURES:
        if next_cure(now, frozenset(tried)) is cure or _halfway(work, cure):
            tried.add(cure)
            now = await _cured(work, cure, now)
        else:
            _skip(work, cure, "it is well" if now.well else "it is not what may do")
    after = next_cure(now, frozenset(tried))
    if after is None:
        work.update(after=f"well after: {', '.join(tried)}" if tried else "well")
        return
    text = f"{work.node} is not well after {', '.join(tried) or 'a look'}; what may do: {_words(after, work.node)}"
    raise NodeFailedError("not-recovered", text, now.lines())


def _halfway(work: NodeWork, cure: Cure) -> bool:
    """A former engine began it, and did not see what came of it."""
    return work.history.was_begun("choose" if cure is Cure.ROLLBACK else str(cure)) and not work.history.was_done(
        f"see-{cure}"
    )


async def _cured(work: NodeWork, cure: Cure, now: Condition) -> Condition:
    """Do one cure, and see how the node is afterwards."""
    booted = cure in (Cure.POWER_ON, Cure.REBOOT)
    if cure is Cure.POWER_ON:
        await work.act("power-on", lambda: work.controller().order_power(PowerAction.ON), seen=_again)
    elif cure is Cure.RESTART:
        await work.act("restart-units", lambda: _restart(work, now.units), seen=_again)
    elif cure is Cure.REBOOT:
        await work.act("reboot", lambda: _boot(work, now))
    else:
        try:
            await rollback.go_back(work, RollbackOrder())
        except NodeFailedError as error:
            if error.id == "refused":
                raise
            work.log(error.message)
            _skip_left(work)
        else:
            await work.act("start-again", lambda: _start_again(work), seen=_again)
        work.tell(LifecycleChanged(Lifecycle.ACTIVE))
    found = await work.look(f"see-{cure}", partial(_settled, work, booted=str(cure) if booted else ""))
    _tell(work, found)
    return found


async def _again() -> bool:
    return False


async def _restart(work: NodeWork, units: tuple[str, ...]) -> None:
    """Start units that do not run. One that cannot be started shows in the look that follows."""
    if not units:
        return
    host = system(work)
    await host.run(("systemctl", "reset-failed", *units), limit=LOOK_LIMIT)
    for unit in units:
        ran = await host.run(("systemctl", "restart", unit), limit=120.0)
        said = ran.err.decode(errors="replace").strip().splitlines()
        work.log(f"systemctl restart {unit}: {said[0] if ran.status and said else 'done'}")


async def _start_again(work: NodeWork) -> None:
    """An activation leaves alone what failed before and is no other in the system that it activates."""
    await _restart(work, (await observe(work.node, work.site)).units)


async def _boot(work: NodeWork, now: Condition) -> None:
    if now.bmc:
        await reboot(work)
    else:
        await work.controller().order_power(PowerAction.CYCLE)


async def _settled(work: NodeWork, *, booted: str) -> Condition:
    """Wait until the node is up, where it was booted by that step, and then until it is well, or nothing moves."""
    if booted:
        try:
            await back_up(work, "", booted)
        except (NodeFailedError, CommandError) as error:
            work.log(error.message)
            return await observe(work.node, work.site)
    end = asyncio.get_running_loop().time() + SETTLE
    same, before = 0, Condition()
    while True:
        now = await observe(work.node, work.site)
        same = same + 1 if now.units and now.units == before.units else 0
        if now.well or same >= ENOUGH or asyncio.get_running_loop().time() >= end:
            return now
        if work.left:
            raise NodeLeftError(f"{work.left}; {now.lines()[-1]}")
        before = now
        work.progress("; ".join((*now.ill, *now.missed)[:2]) or now.ssh)
        await asyncio.sleep(PACE)


def _tell(work: NodeWork, now: Condition) -> None:
    for line in now.lines():
        work.log(line)


def _skip(work: NodeWork, cure: Cure, why: str) -> None:
    ids = (str(cure),) if cure is not Cure.ROLLBACK else (*rollback.ACTIVATION, "start-again")
    for id_ in (*ids, f"see-{cure}"):
        work.skip(id_, why)


def _skip_left(work: NodeWork) -> None:
    begun = {step.id for step in work.record.steps}
    for id_ in (*rollback.ACTIVATION, "start-again"):
        if id_ not in begun:
            work.skip(id_, "what it needs was not there")
