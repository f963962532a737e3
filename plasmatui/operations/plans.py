"""From an order to its plan: the steps for each node with the exact command, what to confirm, the command line."""

from __future__ import annotations

from plasmatui.inventory.nodesets import fold
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.operation import BootDeviceOrder, IdentifyOrder, NodePlan, Order, Pace, Plan, PowerOrder, Step
from plasmatui.model.wire import Problem
from plasmatui.model.words import PowerAction
from plasmatui.operations.ports import Locks, Machines

ASK_LIMIT = 30.0
"""Seconds for one answer of a BMC, opening a session to it included."""

ON_LIMIT = 60.0
OFF_LIMIT = 30.0
SOFT_LIMIT = 120.0
"""Seconds that an operating system gets to shut down."""

CYCLE_OFF_LIMIT = 30.0

_DISRUPTIVE = (PowerAction.OFF, PowerAction.SOFT, PowerAction.CYCLE, PowerAction.RESET)

_POWER_TEXT = {
    PowerAction.ON: "Switch the power on",
    PowerAction.OFF: "Switch the power off at once",
    PowerAction.SOFT: "Ask the operating system to shut down",
    PowerAction.CYCLE: "Switch the power off and on again",
    PowerAction.RESET: "Reset the machine",
}


def make_plan(order: Order, nodes: tuple[str, ...], pace: Pace, machines: Machines, locks: Locks) -> Plan:
    """What `order` would do to `nodes`, in their order. Asks nothing of the BMCs."""
    plans = tuple(_node_plan(order, node, machines, locks) for node in dict.fromkeys(nodes))
    return Plan(order, plans, pace, command_line(order, nodes), confirm_level(order))


def obstacle(node: str, machines: Machines, locks: Locks) -> Problem | None:
    """Why `node` would be left out now, None when it would not."""
    holder = locks.holder(node)
    if holder:
        return busy(node, holder)
    return machines.unusable(node)


def busy(node: str, holder: int) -> Problem:
    return Problem(
        "busy", f"{node} is held by operation {holder}: wait for it, or cancel it: plasmatui ops cancel {holder}"
    )


def _node_plan(order: Order, node: str, machines: Machines, locks: Locks) -> NodePlan:
    problem = obstacle(node, machines, locks)
    if problem is not None:
        return NodePlan(node, skipped=problem.message)
    return NodePlan(node, steps_for(order, node, machines))


def steps_for(order: Order, node: str, machines: Machines) -> tuple[Step, ...]:
    """The steps that `order` takes on one node."""
    if isinstance(order, PowerOrder):
        return _power_steps(order.action, node, machines)
    if isinstance(order, BootDeviceOrder):
        read = machines.describe(node, "bootdev")
        return (
            Step("read-boot", "Read the boot device", read, ASK_LIMIT),
            Step(
                "set-boot",
                f"Set the boot device to {_boot_text(order.boot)}",
                machines.describe(node, order.boot),
                ASK_LIMIT,
                disruptive=order.boot.persistent,
            ),
            Step("verify-boot", "Read it back and compare", read, ASK_LIMIT),
        )
    text = {0: "Switch the identify light off", -1: "Switch the identify light on"}.get(
        order.seconds, f"Switch the identify light on for {order.seconds} s"
    )
    return (Step("identify", text, machines.describe(node, "identify"), ASK_LIMIT),)


def _power_steps(action: PowerAction, node: str, machines: Machines) -> tuple[Step, ...]:
    ask = machines.describe(node, "power")
    order = Step(
        f"power-{action}", _POWER_TEXT[action], machines.describe(node, action), ASK_LIMIT, action in _DISRUPTIVE
    )
    waits = {
        PowerAction.ON: (Step("wait-on", "Wait until the BMC says on", ask, ON_LIMIT),),
        PowerAction.OFF: (Step("wait-off", "Wait until the BMC says off", ask, OFF_LIMIT),),
        PowerAction.SOFT: (Step("wait-off", "Wait until the BMC says off", ask, SOFT_LIMIT),),
        PowerAction.CYCLE: (
            Step("wait-off", "Wait until the BMC says off", ask, CYCLE_OFF_LIMIT),
            Step("wait-on", "Wait until the BMC says on", ask, ON_LIMIT),
        ),
        # The power stays up during a reset: that the BMC accepted it and is on is all that can be seen.
        PowerAction.RESET: (Step("wait-on", "See that the power is on", ask, ON_LIMIT),),
    }
    return (Step("read-power", "Read the power", ask, ASK_LIMIT), order, *waits[action])


def _boot_text(boot: BootDevice) -> str:
    if boot.device is Device.NONE:
        return "none (no override)"
    mode = {True: ", UEFI", False: ", BIOS mode", None: ""}[boot.uefi]
    return f"{boot.device} for {'every boot' if boot.persistent else 'the next boot'}{mode}"


def confirm_level(order: Order) -> int:
    """1 reversible, 2 disruptive."""
    if isinstance(order, PowerOrder):
        return 2 if order.action in _DISRUPTIVE else 1
    if isinstance(order, BootDeviceOrder):
        return 2 if order.boot.persistent else 1
    return 1


def command_line(order: Order, nodes: tuple[str, ...]) -> str:
    """The command line that gives the same order."""
    names = fold(nodes)
    if isinstance(order, PowerOrder):
        return f"plasmatui power {order.action} {names}"
    if isinstance(order, BootDeviceOrder):
        mode = {True: " --uefi", False: " --bios", None: ""}[order.boot.uefi]
        return f"plasmatui bootdev {order.boot.device} {names}{' --persistent' if order.boot.persistent else ''}{mode}"
    return f"plasmatui identify {names}{_identify_options(order)}"


def _identify_options(order: IdentifyOrder) -> str:
    if order.seconds == IdentifyOrder().seconds:
        return ""
    return {0: " --off", -1: " --on"}.get(order.seconds, f" --seconds {order.seconds}")
