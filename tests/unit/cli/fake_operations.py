"""The operations of the fake engine: plans, records, and how they end. No device is asked."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import EventLine
from plasmatui.model.node import NodeState, PowerState
from plasmatui.model.operation import (
    AddOrder,
    BootDeviceOrder,
    DecommissionOrder,
    InstallOrder,
    NodeDisks,
    NodePlan,
    NodeRecord,
    OperationRecord,
    Order,
    Pace,
    Plan,
    PowerOrder,
    ProvisionOrder,
    ReplaceOrder,
    ReprovisionOrder,
    RollbackOrder,
    Step,
    StepRecord,
    UndrainOrder,
)
from plasmatui.model.system import Disk
from plasmatui.model.words import OperationState, Power, PowerAction, StepResult

POLICY = Pace(8, 0.0, 3, 1_000_000_000)
DEAD = "node04"
DEAD_MESSAGE = "node04: the BMC at 10.0.10.54:623 does not answer"
CLUSTER = "lab"
SYSTEM = "/dev/disk/by-id/nvme-SYSTEM"

_ENDS_OFF = (PowerAction.OFF, PowerAction.SOFT)
_WIPES = (InstallOrder, ProvisionOrder, ReprovisionOrder, AddOrder, ReplaceOrder, DecommissionOrder)
_LOOKS = (InstallOrder, RollbackOrder)
_REVERSIBLE = (BootDeviceOrder, UndrainOrder)


class FakeOperations:
    """Attributes may be set before it is asked.

    Attributes:
        refused: reason with which the guard refuses every plan.
        locked: which nodes others have locked, in every plan.
        hold: operations stay running until `release` is called.
        asks: nodes that wait for a person: the question and its answers.
        failing: nodes that fail, and at which step. error: with which id.
        logs: what steps printed, by number and node.
    """

    states: dict[str, NodeState]
    _push: Callable[[wire.Changes], None]

    def __init__(self) -> None:
        self.locked = ""
        self.refused = ""
        self.hold = False
        self.asks: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.failing: dict[str, str] = {}
        self.error = "install-no-space"
        self.logs: dict[tuple[int, str], str] = {}
        self.operations: dict[int, OperationRecord] = {}

    def _operation_reply(self, body: wire.RequestBody) -> wire.ReplyBody | wire.Problem | None:
        if isinstance(body, wire.PlanOrder):
            return wire.PlanReply(self._plan(body))
        if isinstance(body, wire.StartOrder):
            if body.override_quorum not in ("", CLUSTER):
                return wire.Problem("refused", "the quorum guard is overridden by the cluster's name only")
            return wire.OperationReply(self._start(body.order, body.nodes, body.pace, bool(body.override_quorum)))
        if isinstance(body, wire.ListOperations):
            picked = [o for o in self.operations.values() if body.number in (0, o.number)]
            return wire.Operations(tuple(reversed(picked))[: body.limit])
        if isinstance(body, wire.AskOperationLog):
            text = self.logs.get((body.number, body.node), "")
            page = text[body.offset : body.offset + 64]
            page = page[: page.rfind("\n") + 1]
            return wire.OperationLog(body.offset + len(page), page)
        if isinstance(body, wire.RetryOperation):
            old = self.operations[body.number]
            nodes = tuple(node.node for node in old.nodes if node.state is not OperationState.DONE)
            record = replace(self._start(old.order, nodes, old.pace, bool(body.override_quorum)), retry_of=body.number)
            self.operations[record.number] = record
            return wire.OperationReply(record)
        return self._acted(body)

    def _acted(self, body: wire.RequestBody) -> wire.OperationReply | wire.Problem | None:
        if isinstance(body, wire.CancelOperation):
            nodes = tuple(
                replace(node, state=OperationState.CANCELLED, error="cancelled", message="cancelled by anna")
                for node in self.operations[body.number].nodes
            )
            return self._keep(body.number, state=OperationState.CANCELLED, end=time.time(), nodes=nodes)
        if isinstance(body, wire.HoldOperation):
            return self._keep(body.number, state=OperationState.HELD, held="held by anna")
        if isinstance(body, wire.ReleaseOperation):
            if not body.node:
                return self._keep(body.number, state=OperationState.RUNNING, held="")
            record = self.operations[body.number]
            held = next((node for node in record.nodes if node.node == body.node), None)
            if held is None or body.answer not in held.answers:
                return wire.Problem("refused", f"{body.node} takes one of these answers: wipe, stop")
            self.asks.pop(body.node)
            return wire.OperationReply(record)  # the record follows, as with the engine
        return None

    def _keep(self, number: int, **fields: object) -> wire.OperationReply:
        record = replace(self.operations[number], **fields)
        self.operations[number] = record
        return wire.OperationReply(record)

    def _plan(self, body: wire.PlanOrder) -> Plan:
        order: Order = body.order
        level = 3 if isinstance(order, _WIPES) else 1 if isinstance(order, _REVERSIBLE) else 2
        if isinstance(order, PowerOrder) and order.action is PowerAction.ON:
            level = 1
        plans = tuple(self._node_plan(order, name) for name in body.nodes)
        if isinstance(order, InstallOrder):
            order = InstallOrder(tuple(NodeDisks(plan.node, plan.disks) for plan in plans if plan.disks))
        there = [plan.node for plan in plans if not plan.skipped]
        phrase = there[0] if len(there) == 1 else f"wipe {len(there)}"
        return Plan(
            order,
            plans,
            body.pace or POLICY,
            f"plasmatui order {','.join(body.nodes)}",
            level,
            self.refused,
            phrase if level == 3 else "",
            ("chainfire: 3 of 3 voters are healthy",) if level == 3 else (),
            locked=self.locked,
        )

    def _node_plan(self, order: Order, name: str) -> NodePlan:
        if name == DEAD and isinstance(order, _LOOKS):
            return NodePlan(name, skipped=f"{name}: SSH to 10.0.100.54: no route to host")
        power = isinstance(order, PowerOrder)
        step = Step("order", "order it", "IPMI chassis control 1 to 10.0.10.51:623", 30.0, disruptive=power)
        wait = Step("wait", "wait until it is so", "IPMI get chassis status", 60.0)
        if not isinstance(order, _WIPES):
            return NodePlan(name, (step, wait))
        wipe = Step("disko", "Wipe and format the disks", f"nixos-anywhere --phases disko root@{name}", 1800.0,
                    disruptive=True, destroys=True, precondition="the disks are those that were confirmed",
                    proof="the phase's own result")  # fmt: skip
        disk = Disk(SYSTEM, "/dev/nvme0n1", "PM9A3", 1_920_000_000_000, f"S-{name}", "GPT, 3 partitions")
        note = f"{name}: waits for the end of operation 7"
        return NodePlan(name, (step, wipe), notes=(note,), disks=(disk,))

    def _start(self, order: Order, names: tuple[str, ...], pace: Pace | None, override: bool) -> OperationRecord:
        number = len(self.operations) + 1
        record = OperationRecord(
            number, order, "anna", f"plasmatui order {','.join(names)}", time.time(), OperationState.RUNNING,
            tuple(self._begun(order, name) for name in names), pace or POLICY, override=override,
        )  # fmt: skip
        self.operations[number] = record
        return record

    def _begun(self, order: Order, name: str) -> NodeRecord:
        step = StepRecord("order", "order it", "IPMI chassis control", time.time(), usual=12.0)
        if isinstance(order, _WIPES):
            progress = "formatting"
            step = StepRecord("disko", "Wipe and format the disks", "nixos-anywhere", time.time(), progress=progress,
                              percent=43.0, usual=90.0)  # fmt: skip
        power = str(self.states[name].power.value) if isinstance(order, PowerOrder) else ""
        record = NodeRecord(name, OperationState.RUNNING, (step,), before=power, planned=2)
        if name in self.asks:
            question, answers = self.asks[name]
            return replace(record, state=OperationState.HELD, question=question, answers=answers)
        return record

    def _end_operations(self) -> None:
        for record in list(self.operations.values()):
            if record.state.ended or record.held:
                continue
            nodes = tuple(self._end_node(record, node) for node in record.nodes)
            worst = OperationState.FAILED if any(n.error for n in nodes) else OperationState.DONE
            if not all(node.state.ended for node in nodes):
                worst = OperationState.RUNNING
            ended = replace(record, nodes=nodes, state=worst, end=time.time() if worst.ended else 0.0)
            self.operations[record.number] = ended
            states = tuple(self.states[node.node] for node in nodes)
            line = EventLine(1, time.time(), nodes[0].node, "ipmi", "power", "power on (was off)")
            self._push(wire.Changes(2, states, (ended,), (line,)))

    def _end_node(self, record: OperationRecord, node: NodeRecord) -> NodeRecord:
        if node.state.ended or node.node in self.asks:
            return node
        end = time.time()
        node = replace(node, question="", answers=())
        if node.node == DEAD:
            return _failed(node, end, "bmc-unreachable", DEAD_MESSAGE)
        if node.node in self.failing:
            steps = node.steps
            if self.failing[node.node] != steps[-1].id:  # it comes to a step further on
                begun = StepRecord(self.failing[node.node], "Copy the system", "nixos-anywhere", end)
                steps = (*(replace(each, end=end, result=StepResult.DONE) for each in steps), begun)
            failed = _failed(replace(node, steps=steps), end, self.error, f"{node.node}: no space left")
            return replace(failed, evidence=("cp: \x1b[31mno space left on device",))
        steps = tuple(replace(s, end=end, result=StepResult.DONE) for s in node.steps)
        after = ""
        if isinstance(record.order, PowerOrder):
            after = "off" if record.order.action in _ENDS_OFF else "on"
            self.states[node.node] = replace(self.states[node.node], power=PowerState(Power(after), end, "ipmi"))
        elif isinstance(record.order, BootDeviceOrder):
            boot = record.order.boot
            told = BootDevice(boot.device, boot.persistent, True if boot.uefi is None else boot.uefi)
            after = str(boot.device)
            self.states[node.node] = replace(self.states[node.node], boot=told, boot_verified=True)
            node = replace(node, before=str(Device.NONE))
        elif isinstance(record.order, _WIPES):
            after = "installed"
        return replace(node, state=OperationState.DONE, steps=steps, after=after)


def _failed(node: NodeRecord, end: float, error: str, message: str) -> NodeRecord:
    *others, last = node.steps
    last = replace(last, end=end, result=StepResult.FAILED, message=message)
    return replace(node, state=OperationState.FAILED, steps=(*others, last), error=error, message=message)
