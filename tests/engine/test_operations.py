"""The runner: pace, limits, cancel, failures that stay with their node, restarts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import msgspec
import pytest

from plasmatui.bmc.controller import BmcError
from plasmatui.journal.locks import MemoryLocks
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.event import BootDeviceSeen, FindingCleared, FindingRaised, IdentifySeen, OperationTouched, Payload
from plasmatui.model.operation import (
    BootDeviceOrder,
    IdentifyOrder,
    NodeRecord,
    OperationRecord,
    Order,
    Pace,
    PowerOrder,
    StepRecord,
)
from plasmatui.model.words import OperationState, Power, PowerAction, StepResult
from plasmatui.operations import bootdev, identify
from plasmatui.operations import power as power_module
from plasmatui.operations.runner import Runner, StoppingError, UnknownOperationError, interrupted
from plasmatui.text import is_clean
from tests.engine.conftest import until
from tests.engine.fakes import FakeBackend, FakeMachine, make_site, rack

DONE, FAILED, CANCELLED = OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED


class Ledger:
    """Writes down everything, in order."""

    def __init__(self) -> None:
        self.records: dict[int, OperationRecord] = {}
        self.intents: list[OperationRecord] = []
        self.told: list[tuple[str, Payload]] = []
        self.audited: list[tuple[str, str, str, str]] = []
        self.more: list[dict[str, object]] = []
        self.logged: list[tuple[str, str]] = []

    async def intent(self, record: OperationRecord) -> bool:
        self.intents.append(record)
        return True

    def changed(self, record: OperationRecord) -> None:
        self.records[record.number] = record

    def tell(self, node: str, source: str, payload: Payload) -> None:
        self.told.append((node, payload))

    def audit(self, by: str, node: str, text: str, result: str = "", **more: object) -> None:
        self.audited.append((by, node, text, result))
        self.more.append(more)

    def standing(self, node: str) -> str:
        return "active"

    def progress(self, record: OperationRecord) -> None:
        self.records[record.number] = record

    def log(self, number: int, node: str, text: str) -> None:
        self.logged.append((node, text))

    def usual(self, word: str, step: str) -> float:
        return 0.0


class Rig:
    def __init__(self, count: int = 4) -> None:
        inventory = rack(count, without_bmc=1)
        self.backend = FakeBackend(inventory)
        self.ledger = Ledger()
        self.locks = MemoryLocks()
        self.site = make_site(inventory, self.backend, self.ledger)
        self.runner = Runner(self.site, self.locks, pace=lambda: Pace(16, 0.0), first_number=7)

    def machine(self, name: str = "n1") -> FakeMachine:
        return self.backend.machines[name]

    async def run(self, order: Order, *nodes: str, pace: Pace | None = None) -> OperationRecord:
        number = self.runner.start(order, nodes, "anna", pace).number
        await until(lambda: number not in self.runner.running)
        return self.ledger.records[number]


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr("plasmatui.operations.power.LOOK_PACE", 0.005)
    made = Rig()
    yield made
    await made.runner.close(0.1)
    await made.backend.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a test instead of those of a machine."""
    for name in ("ON_LIMIT", "OFF_LIMIT", "SOFT_LIMIT", "CYCLE_OFF_LIMIT"):
        monkeypatch.setattr(power_module, name, 0.2)
    for module in (power_module, bootdev, identify):
        monkeypatch.setattr(module, "ASK_LIMIT", 0.2)


def power(action: PowerAction) -> PowerOrder:
    return PowerOrder(action)


def node(record: OperationRecord, name: str = "n1") -> NodeRecord:
    return next(each for each in record.nodes if each.node == name)


def results(record: NodeRecord) -> dict[str, StepResult | None]:
    return {step.id: step.result for step in record.steps}


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "level", "cli"),
    [
        (PowerOrder(PowerAction.ON), 1, "plasmatui power on n[1-3]"),
        (PowerOrder(PowerAction.SOFT), 2, "plasmatui power soft n[1-3]"),
        (PowerOrder(PowerAction.CYCLE), 2, "plasmatui power cycle n[1-3]"),
        (PowerOrder(PowerAction.RESET), 2, "plasmatui power reset n[1-3]"),
        (PowerOrder(PowerAction.OFF), 2, "plasmatui power off n[1-3]"),
        (BootDeviceOrder(BootDevice(Device.PXE)), 1, "plasmatui bootdev pxe n[1-3]"),
        (
            BootDeviceOrder(BootDevice(Device.DISK, persistent=True, uefi=True)),
            2,
            "plasmatui bootdev disk n[1-3] --persistent --uefi",
        ),
        (BootDeviceOrder(BootDevice(Device.BIOS, uefi=False)), 1, "plasmatui bootdev bios n[1-3] --bios"),
        (IdentifyOrder(), 1, "plasmatui identify n[1-3]"),
        (IdentifyOrder(0), 1, "plasmatui identify n[1-3] --off"),
        (IdentifyOrder(-1), 1, "plasmatui identify n[1-3] --on"),
        (IdentifyOrder(60), 1, "plasmatui identify n[1-3] --seconds 60"),
    ],
)
async def test_plan_of_each_order(rig: Rig, order: Order, level: int, cli: str) -> None:
    plan = await rig.runner.plan(order, ("n1", "n2", "n3", "n1"))
    assert (plan.confirm, plan.cli) == (level, cli)
    assert [each.node for each in plan.nodes] == ["n1", "n2", "n3"]
    assert all(step.command and step.limit > 0 for each in plan.nodes for step in each.steps)
    assert rig.machine().calls == [], "a plan asks nobody"
    disrupts = level == 2 and not isinstance(order, BootDeviceOrder)  # a setting alone disturbs nobody
    assert any(step.disruptive for step in plan.nodes[0].steps) == disrupts


async def test_plan_names_who_is_left_out_and_why(rig: Rig) -> None:
    rig.machine().gate = asyncio.Event()
    rig.runner.start(power(PowerAction.ON), ("n1",), "anna")
    plan = await rig.runner.plan(power(PowerAction.OFF), ("n1", "n2", "n4"))
    assert "operation 7" in plan.nodes[0].notes[0]
    assert (plan.nodes[1].skipped, plan.nodes[1].notes) == ("", ())
    assert "no BMC" in plan.nodes[2].skipped
    rig.machine().gate.set()


async def test_stagger_of_the_policy_is_for_power_only(rig: Rig) -> None:
    runner = Runner(rig.site, rig.locks, pace=lambda: Pace(8, 2.0))
    assert (await runner.plan(power(PowerAction.ON), ("n1",))).pace == Pace(8, 2.0)
    assert (await runner.plan(IdentifyOrder(), ("n1",))).pace == Pace(8, 0.0)
    assert (await runner.plan(power(PowerAction.ON), ("n1",), Pace(0, -1.0))).pace == Pace(1, 0.0)


# --- power -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "before", "after", "steps"),
    [
        (PowerAction.ON, Power.OFF, "on", ["read-power", "power-on", "wait-on"]),
        (PowerAction.OFF, Power.ON, "off", ["read-power", "power-off", "wait-off"]),
        (PowerAction.SOFT, Power.ON, "off", ["read-power", "power-soft", "wait-off"]),
        (PowerAction.CYCLE, Power.ON, "on", ["read-power", "power-cycle", "wait-off", "wait-on"]),
        (PowerAction.RESET, Power.ON, "on", ["read-power", "power-reset", "wait-on"]),
    ],
)
async def test_power_is_done_when_the_bmc_says_so(
    rig: Rig, action: PowerAction, before: Power, after: str, steps: list[str]
) -> None:
    machine = rig.machine()
    machine.power_is, machine.settle = before, 0.05
    record = await rig.run(power(action), "n1")
    assert (record.state, record.end > record.begin) == (DONE, True)
    assert (node(record).before, node(record).after) == (str(before), after)
    assert results(node(record)) == dict.fromkeys(steps, StepResult.DONE)
    assert machine.by == "anna"
    assert ("anna", "n1", f"fake {action} to n1", "done") in rig.ledger.audited
    assert rig.ledger.audited[0] == ("anna", "", f"plasmatui power {action} n1 (operation 7)", "begun")
    assert rig.ledger.audited[-1][3] == "done: 1 of 1 nodes done"
    touched = [payload.record.state for _, payload in rig.ledger.told if isinstance(payload, OperationTouched)]
    assert touched[0] is OperationState.WAITING
    assert touched[-1] is DONE
    assert rig.locks.held() == {}


async def test_a_short_off_of_a_cycle_is_not_missed(rig: Rig) -> None:
    """The fleet's own pace of polling would be too slow for it."""
    rig.machine().power_is, rig.machine().settle = Power.ON, 0.15

    async def never(node: str, wanted: Power, limit: float) -> bool:
        return wanted is Power.ON

    rig.backend.wait_power = never  # type: ignore[method-assign]
    record = await rig.run(power(PowerAction.CYCLE), "n1")
    assert (record.state, node(record).after) == (DONE, "on")


async def test_a_bmc_that_is_away_during_a_cycle_is_waited_for(rig: Rig) -> None:
    machine = rig.machine()
    machine.power_is, machine.settle = Power.ON, 0.1

    async def waits(node: str, wanted: Power, limit: float) -> bool:
        machine.error = None
        await until(lambda: machine.power_is is wanted)
        return True

    rig.backend.wait_power = waits  # type: ignore[method-assign]
    lost = BmcError("bmc-unreachable", "n1: no answer")
    asyncio.get_running_loop().call_later(0.05, lambda: setattr(machine, "error", lost))
    record = await rig.run(power(PowerAction.CYCLE), "n1")
    assert (record.state, node(record).after) == (DONE, "on")


async def test_intent_is_kept_before_each_step(rig: Rig) -> None:
    """At the moment of an order, the journal holds a step without a result: what a crash leaves behind."""
    machine = rig.machine()
    machine.gate = asyncio.Event()
    rig.runner.start(power(PowerAction.ON), ("n1",), "anna")
    await until(lambda: "order on" in machine.calls)
    step = node(rig.ledger.intents[-1]).steps[-1]
    assert (step.id, step.result, step.command) == ("power-on", None, "fake on to n1")
    machine.gate.set()


async def test_what_is_on_already_is_not_ordered(rig: Rig) -> None:
    rig.machine().power_is = Power.ON
    record = await rig.run(power(PowerAction.ON), "n1")
    assert rig.machine().calls == ["power"]
    assert (record.state, node(record).message) == (DONE, "was on already")
    assert results(node(record))["power-on"] is StepResult.SKIPPED


@pytest.mark.parametrize("action", [PowerAction.CYCLE, PowerAction.RESET])
async def test_what_is_off_is_not_cycled(rig: Rig, action: PowerAction) -> None:
    record = await rig.run(power(action), "n1")
    assert node(record).error == "refused"
    assert "power on n1" in node(record).message
    assert rig.machine().calls == ["power"]


@pytest.mark.parametrize(
    ("action", "before", "text"),
    [
        (PowerAction.ON, Power.OFF, "did not report on"),
        (PowerAction.SOFT, Power.ON, "did not shut down"),
    ],
)
async def test_an_order_without_effect_fails_at_its_limit(
    rig: Rig, quick: None, action: PowerAction, before: Power, text: str
) -> None:
    rig.machine().power_is, rig.machine().deaf = before, True
    record = await rig.run(power(action), "n1")
    assert (record.state, node(record).error) == (FAILED, "timeout")
    assert text in node(record).message
    assert node(record).steps[-1].result is StepResult.FAILED


async def test_a_cycle_whose_off_is_not_seen_is_done_when_it_is_on(rig: Rig, quick: None) -> None:
    """The BMC accepted it, and its off may have been too short; whether it restarted is for the console to tell."""
    rig.machine().power_is, rig.machine().deaf = Power.ON, True
    record = await rig.run(power(PowerAction.CYCLE), "n1")
    assert (record.state, node(record).error, node(record).after) == (DONE, "", "on")
    assert "off was not seen; look at the console" in node(record).message
    assert results(node(record))["wait-off"] is StepResult.UNCERTAIN
    assert results(node(record))["wait-on"] is StepResult.DONE


async def test_a_cycle_that_leaves_a_machine_off_fails(rig: Rig, quick: None) -> None:
    machine = rig.machine()
    machine.power_is, machine.deaf = Power.ON, True
    asyncio.get_running_loop().call_later(0.05, machine.turn, Power.OFF)
    record = await rig.run(power(PowerAction.CYCLE), "n1")
    assert (record.state, node(record).error) == (FAILED, "timeout")
    assert "did not report on" in node(record).message


async def test_a_bmc_that_never_answers_fails_at_the_limit(rig: Rig, quick: None) -> None:
    rig.machine().delay = 60
    record = await rig.run(power(PowerAction.ON), "n1")
    assert node(record).error == "timeout"
    assert "no answer within 0.2 s" in node(record).message


async def test_an_order_whose_answer_is_lost_is_uncertain(rig: Rig) -> None:
    rig.machine().refuses = BmcError("bmc-reset", "n1: the BMC lost its session")
    record = await rig.run(power(PowerAction.ON), "n1")
    assert node(record).error == "bmc-reset"
    assert results(node(record))["power-on"] is StepResult.UNCERTAIN
    assert ("anna", "n1", "fake on to n1", "uncertain: n1: the BMC lost its session") in rig.ledger.audited


async def test_what_a_bmc_says_is_clean_in_the_record(rig: Rig) -> None:
    rig.machine().refuses = BmcError("rejected", "n1: \x1b]0;evil\x07 refused\nby \u202etext")
    record = await rig.run(power(PowerAction.ON), "n1")
    assert is_clean(node(record).message)
    assert is_clean(node(record).steps[-1].message)


async def test_a_bad_node_fails_alone(rig: Rig) -> None:
    rig.machine("n2").error = BmcError("bmc-auth", "n2: refuses the password")
    record = await rig.run(power(PowerAction.ON), "n1", "n2", "n3", "n4")
    assert [each.state for each in record.nodes] == [DONE, FAILED, DONE, FAILED]
    assert [each.error for each in record.nodes] == ["", "bmc-auth", "", "no-bmc"]
    assert record.state is FAILED
    assert rig.locks.held() == {}


async def test_a_fault_of_the_program_fails_the_node_alone(rig: Rig) -> None:
    async def broken() -> Power:
        raise ZeroDivisionError

    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    rig.machine().power = broken  # type: ignore[method-assign]
    record = await rig.run(power(PowerAction.ON), "n1", "n2")
    assert [each.state for each in record.nodes] == [FAILED, DONE]
    assert node(record).error == "internal"
    assert record.state is FAILED
    assert isinstance(faults[0], ZeroDivisionError), "it is reported"


# --- pace and locks --------------------------------------------------------------------------------------------------


async def test_parallel_is_kept() -> None:
    rig = Rig(12)
    names = [f"n{i}" for i in range(1, 12)]
    now = most = 0
    for name in names:
        machine = rig.machine(name)
        real = machine.order_power

        async def counted(action: PowerAction, real=real) -> None:  # type: ignore[no-untyped-def]
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1
            await real(action)

        machine.order_power = counted  # type: ignore[method-assign]
    record = await rig.run(power(PowerAction.ON), *names, pace=Pace(3, 0.0))
    assert record.state is DONE
    assert most == 3


async def test_stagger_is_kept(rig: Rig) -> None:
    record = await rig.run(power(PowerAction.ON), "n1", "n2", "n3", pace=Pace(16, 0.1))
    begins = [each.steps[0].begin for each in record.nodes]
    assert record.state is DONE
    assert all(after - before >= 0.09 for before, after in itertools.pairwise(begins))


async def test_two_operations_never_share_a_node(rig: Rig) -> None:
    rig.machine().gate = asyncio.Event()
    first = rig.runner.start(power(PowerAction.ON), ("n1", "n2"), "anna")
    rig.runner.start(power(PowerAction.OFF), ("n1", "n3"), "anna")
    await until(lambda: node(rig.ledger.records[8], "n3").state is DONE)
    assert node(rig.ledger.records[8]).state is OperationState.WAITING
    assert "operation 7" in node(rig.ledger.records[8]).message
    assert rig.locks.holder("n1") == 7
    await until(lambda: rig.runner.busy_nodes() == {"n1"})
    rig.machine().gate.set()
    await until(lambda: not rig.runner.running)
    assert rig.ledger.records[first.number].state is DONE
    assert (node(rig.ledger.records[8]).state, node(rig.ledger.records[8]).before) == (DONE, "on")
    assert (await rig.run(power(PowerAction.OFF), "n1")).state is DONE


# --- cancel and stop -------------------------------------------------------------------------------------------------


async def test_cancel_leaves_waits_and_begins_nothing(rig: Rig) -> None:
    """n1 waits for its effect: left. n2 is being ordered: finished, then left. n3 has not begun: cancelled."""
    rig.machine("n1").deaf = True
    rig.machine("n2").gate = asyncio.Event()
    record = rig.runner.start(power(PowerAction.ON), ("n1", "n2", "n3"), "anna", Pace(2, 0.0))
    await until(lambda: results(node(rig.ledger.records[7])).get("power-on") is StepResult.DONE)
    await until(lambda: "order on" in rig.machine("n2").calls)
    answered = rig.runner.cancel(7, "ben")
    assert node(answered, "n3").state is CANCELLED
    await until(lambda: node(rig.ledger.records[7]).state.ended)
    assert 7 in rig.runner.running, "an order on its way is finished"
    rig.machine("n2").gate.set()
    await until(lambda: not rig.runner.running)
    record = rig.ledger.records[7]
    assert [each.state for each in record.nodes] == [CANCELLED] * 3
    assert record.state is CANCELLED
    assert node(record, "n1").message == "cancelled by ben after power-on; its effect was not waited for"
    assert results(node(record, "n1"))["wait-on"] is StepResult.SKIPPED
    assert results(node(record, "n2"))["power-on"] is StepResult.DONE
    assert node(record, "n3").steps == ()
    assert rig.machine("n3").calls == []
    assert rig.locks.held() == {}
    assert ("ben", "", "cancel operation 7", "begun") in rig.ledger.audited


async def test_cancel_during_a_long_stagger_ends_at_once(rig: Rig) -> None:
    rig.runner.start(power(PowerAction.ON), ("n1", "n2"), "anna", Pace(1, 60.0))
    await until(lambda: node(rig.ledger.records[7]).state is DONE)
    rig.runner.cancel(7, "anna")
    await until(lambda: not rig.runner.running)
    assert [each.state for each in rig.ledger.records[7].nodes] == [DONE, CANCELLED]


async def test_cancel_of_what_does_not_run(rig: Rig) -> None:
    with pytest.raises(UnknownOperationError):
        rig.runner.cancel(99, "anna")


async def test_stopping_leaves_steps_uncertain_and_refuses_new_orders(rig: Rig) -> None:
    rig.machine("n1").gate = asyncio.Event()
    rig.runner.start(power(PowerAction.ON), ("n1", "n2", "n3"), "anna", Pace(1, 0.0))
    await until(lambda: "order on" in rig.machine("n1").calls)
    await rig.runner.close(0.05)
    record = rig.ledger.records[7]
    assert results(node(record))["power-on"] is StepResult.UNCERTAIN
    assert (node(record).state, node(record).error) == (FAILED, "uncertain")
    assert [node(record, name).state for name in ("n2", "n3")] == [CANCELLED] * 2
    assert record.state.ended
    with pytest.raises(StoppingError):
        rig.runner.start(power(PowerAction.ON), ("n2",), "anna")


# --- boot device and identify ----------------------------------------------------------------------------------------


async def test_boot_device_is_read_back(rig: Rig) -> None:
    wanted = BootDevice(Device.PXE, uefi=True)
    record = await rig.run(BootDeviceOrder(wanted), "n1")
    assert (record.state, node(record).before, node(record).after) == (DONE, "none", "pxe uefi")
    assert ("n1", BootDeviceSeen(wanted, True)) in rig.ledger.told
    assert ("n1", FindingCleared("override-reverted")) in rig.ledger.told


async def test_a_mode_that_was_not_chosen_is_said(rig: Rig) -> None:
    rig.machine().boot_lie = BootDevice(Device.PXE, uefi=True)
    record = await rig.run(BootDeviceOrder(BootDevice(Device.PXE)), "n1")
    assert (record.state, node(record).after) == (DONE, "pxe uefi")
    assert "--uefi or --bios" in node(record).message


async def test_a_bmc_that_cannot_tell_is_unverified(rig: Rig) -> None:
    rig.machine().tells_boot = False
    record = await rig.run(BootDeviceOrder(BootDevice(Device.PXE)), "n1")
    assert (record.state, node(record).message) == (DONE, "unverified: the BMC cannot tell")
    assert ("n1", BootDeviceSeen(BootDevice(Device.PXE), None)) in rig.ledger.told


async def test_a_bmc_that_knows_no_override_for_one_boot_is_taken_as_it_is_and_said_to_be(rig: Rig) -> None:
    lie = rig.machine().boot_lie = BootDevice(Device.PXE, persistent=True, uefi=True)
    record = await rig.run(BootDeviceOrder(BootDevice(Device.PXE, uefi=True)), "n1")
    assert (record.state, node(record).after) == (DONE, "pxe persistent uefi")
    assert "bootdev none" in node(record).message
    assert ("n1", BootDeviceSeen(lie, True)) in rig.ledger.told


@pytest.mark.parametrize(
    "lie",
    [BootDevice(Device.DISK), BootDevice(Device.PXE, persistent=True, uefi=False), BootDevice(Device.PXE, uefi=False)],
)
async def test_an_override_that_does_not_hold_is_found(rig: Rig, lie: BootDevice) -> None:
    rig.machine().boot_lie = lie
    record = await rig.run(BootDeviceOrder(BootDevice(Device.PXE, uefi=True)), "n1")
    assert (node(record).state, node(record).error) == (FAILED, "override-reverted")
    assert results(node(record))["verify-boot"] is StepResult.FAILED
    raised = [payload.finding.id for _, payload in rig.ledger.told if isinstance(payload, FindingRaised)]
    assert raised == ["override-reverted"]


async def test_a_mode_that_the_bmc_does_not_say_is_no_difference(rig: Rig) -> None:
    rig.machine().boot_lie = BootDevice(Device.PXE)
    record = await rig.run(BootDeviceOrder(BootDevice(Device.PXE, uefi=True)), "n1")
    assert record.state is DONE


async def test_identify_goes_out_by_itself(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await rig.run(IdentifyOrder(1), "n1")).state is DONE
    assert rig.machine().calls == ["identify 1"]
    assert ("n1", IdentifySeen(True)) in rig.ledger.told
    await until(lambda: ("n1", IdentifySeen(False)) in rig.ledger.told)
    await rig.run(IdentifyOrder(-1), "n2")
    assert rig.runner._lights._timers == {}, "it stays on"


# --- restart ---------------------------------------------------------------------------------------------------------


def test_what_a_dead_engine_left_is_uncertain() -> None:
    begun = StepRecord("power-on", "Switch the power on", "fake on to n1", 5.0)
    done = msgspec.structs.replace(begun, end=6.0, result=StepResult.DONE)
    record = OperationRecord(
        3,
        PowerOrder(PowerAction.ON),
        "anna",
        "plasmatui power on n[1-4]",
        4.0,
        OperationState.RUNNING,
        (
            NodeRecord("n1", OperationState.RUNNING, (begun,), before="off"),
            NodeRecord("n2", OperationState.WAITING),
            NodeRecord("n3", DONE, (done,)),
            NodeRecord("n4", OperationState.RUNNING, (done,)),
        ),
        Pace(),
    )
    marked = interrupted(record, 100.0)
    assert (marked.state, marked.end) == (FAILED, 100.0)
    assert [each.state for each in marked.nodes] == [FAILED, CANCELLED, DONE, FAILED]
    assert marked.nodes[0].steps[0].result is StepResult.UNCERTAIN
    assert "the engine ended while power-on" in marked.nodes[0].message
    assert marked.nodes[2] == record.nodes[2]
    assert marked.nodes[3].steps == (done,)
