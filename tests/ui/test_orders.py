"""Acting: dialogs, confirm levels, read-only, and what is told of operations."""

from __future__ import annotations

import msgspec
import pytest
from textual import events

from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.operation import BootDeviceOrder, IdentifyOrder, Pace, PowerOrder
from plasmatui.model.words import OperationState, PowerAction
from plasmatui.ui.dialogs import base
from plasmatui.ui.dialogs.menu import ActionMenu
from plasmatui.ui.dialogs.order import BootDeviceDialog, PowerDialog
from tests.ui.fake import NOW, FakeWorld

LOOKING = [
    "a", "b", "c", "d", "e", "f", "h", "i", "l", "m", "n", "o", "p", "r", "s", "t", "u", "v", "w", "x", "y", "z",
    "enter", "backspace", "delete", "space", "tab", "1", "2", "4", "6",
]  # fmt: skip
ACTS = (
    wire.StartOrder,
    wire.CancelOperation,
    wire.ConsoleWrite,
    wire.ConsoleBreak,
    wire.ConsoleReopen,
    wire.StopEngine,
)


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "GUARD", 0.0)


async def test_no_lower_case_key_ever_acts(cockpit) -> None:
    async with cockpit() as ui:
        for key in LOOKING:
            await ui.pilot.press("1", key, "escape", "escape")
        for view in ("2", "4", "6"):
            await ui.pilot.press(view, "enter", "d", "r", "u", "x", "k", "delete", "backspace", "escape")
        await ui.settle()
        assert not [body for body in ui.world.asked if isinstance(body, ACTS)]


async def test_keys_that_come_faster_than_a_dialog_closes_do_no_harm(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("space", "P")
        dialog = ui.dialog
        for key in ("escape", "escape", "escape", "f", "y"):
            dialog.post_message(events.Key(key, None))
        await ui.settle()
        assert len(ui.app.screen_stack) == 1
        assert not [body for body in ui.world.asked if isinstance(body, ACTS)]


async def test_power_lists_every_target_and_its_commands(cockpit, no_guard) -> None:
    async with cockpit() as ui:
        await ui.press("space", "space", "space", "P")
        assert isinstance(ui.dialog, PowerDialog)
        assert ui.dialog.focused.id == "cancel"
        text = ui.text()
        assert all(f"node0{i}  " in text for i in (1, 2, 3))
        assert "choose by its letter" in text
        await ui.press("y")
        assert isinstance(ui.dialog, PowerDialog), "nothing is chosen yet"
        await ui.press("c")
        await ui.settle(lambda: "IPMI power cycle to node03" in ui.text())
        assert "same as: plasmatui power cycle node01,node02,node03" in ui.text()
        await ui.press("y")
        await ui.settle(lambda: ui.world.of(wire.StartOrder))
        (order,) = ui.world.of(wire.StartOrder)
        assert order == wire.StartOrder(PowerOrder(PowerAction.CYCLE), ("node01", "node02", "node03"), None)
        await ui.settle(lambda: "operation 1 power cycle" in ui.text())


@pytest.mark.parametrize("key", ["enter", "escape", "n"])
async def test_everything_but_y_cancels(cockpit, no_guard, key: str) -> None:
    async with cockpit() as ui:
        await ui.press("P", "o")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press(key)
        assert not isinstance(ui.dialog, PowerDialog)
        assert not ui.world.of(wire.StartOrder)


async def test_level_2_ignores_y_for_half_a_second(cockpit, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(base, "monotonic", lambda: now[0])
    async with cockpit() as ui:
        await ui.press("P", "o")
        await ui.settle(lambda: ui.dialog.plan is not None)
        now[0] += 0.49
        await ui.press("y")
        assert isinstance(ui.dialog, PowerDialog)
        now[0] += 0.02
        await ui.press("y")
        await ui.settle(lambda: ui.world.of(wire.StartOrder))


async def test_level_1_takes_y_at_once(cockpit) -> None:
    world = FakeWorld()
    world.confirm = 1
    async with cockpit(world) as ui:
        await ui.press("A", "2", "p", "u")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press("y")
        await ui.settle(lambda: world.of(wire.StartOrder))
        (order,) = world.of(wire.StartOrder)
        assert order.order == BootDeviceOrder(BootDevice(Device.PXE, False, True))


async def test_level_3_wants_the_name_typed(cockpit) -> None:
    world = FakeWorld()
    world.confirm = 3
    async with cockpit(world) as ui:
        await ui.press("P", "f")
        await ui.settle(lambda: ui.dialog.plan is not None)
        assert "type node01 and press enter" in ui.text()
        await ui.press("y")
        assert isinstance(ui.dialog, PowerDialog)
        ui.dialog.phrase_input.focus()
        await ui.settle()
        ui.dialog.phrase_input.post_message(events.Paste("node01"))
        await ui.press("enter")
        assert isinstance(ui.dialog, PowerDialog), "a paste is not typing"
        assert ui.dialog.phrase_input.value == ""
        await ui.type("node0")
        await ui.press("enter")
        assert isinstance(ui.dialog, PowerDialog)
        await ui.type("1")
        await ui.press("enter")
        await ui.settle(lambda: world.of(wire.StartOrder))


async def test_level_3_for_many_wants_a_phrase(cockpit) -> None:
    world = FakeWorld()
    world.confirm = 3
    async with cockpit(world) as ui:
        await ui.press("space", "space", "P", "f")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press("tab")
        ui.dialog.phrase_input.focus()
        await ui.type("off 2")
        await ui.press("enter")
        await ui.settle(lambda: world.of(wire.StartOrder))


async def test_the_guard_refuses(cockpit, no_guard) -> None:
    world = FakeWorld()
    world.refused = "2 of 3 voters would be lost"
    async with cockpit(world) as ui:
        await ui.press("P", "f")
        await ui.settle(lambda: "the guard refuses it: 2 of 3 voters would be lost" in ui.text())
        await ui.press("y")
        assert isinstance(ui.dialog, PowerDialog)
        assert not world.of(wire.StartOrder)


async def test_another_choice_asks_for_another_plan(cockpit, no_guard) -> None:
    async with cockpit() as ui:
        await ui.press("P", "o", "f", "t", "t", "a")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press("y")
        await ui.settle(lambda: ui.world.of(wire.StartOrder))
        (order,) = ui.world.of(wire.StartOrder)
        assert order == wire.StartOrder(PowerOrder(PowerAction.OFF), ("node01",), Pace(1, 2.0))


async def test_identify_through_the_menu_of_all_actions(cockpit, no_guard) -> None:
    async with cockpit() as ui:
        await ui.press("A")
        assert isinstance(ui.dialog, ActionMenu)
        await ui.press("3", "l")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press("y")
        await ui.settle(lambda: ui.world.of(wire.StartOrder))
        assert ui.world.of(wire.StartOrder)[0].order == IdentifyOrder(15)


@pytest.mark.parametrize("by_engine", [True, False])
async def test_read_only_says_why(cockpit, by_engine: bool) -> None:
    async with cockpit(FakeWorld(read_only=by_engine), read_only=not by_engine) as ui:
        assert " RO " in ui.text()
        for key in ("P", "B", "I", "D", "U", "R", "X", "A"):
            ui.app.clear_notifications()
            await ui.press(key)
            assert ui.dialog is ui.main
            (toast,) = ui.toasts()
            assert "read-only" in toast
        await ui.press("colon")
        await ui.type("power off @all")
        await ui.press("enter")
        assert "read-only" in ui.text()
        await ui.press("escape", "2", "i")
        assert not ui.world.of(wire.ConsolePen)
        assert not ui.world.of(wire.PlanOrder)


async def test_the_end_of_an_operation_is_told_with_before_and_after(cockpit, no_guard) -> None:
    async with cockpit() as ui:
        await ui.press("P", "o")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press("y")
        await ui.settle(lambda: "operation 1 power on" in ui.text())
        assert "0/1" in ui.text()
        record = ui.world.operations[1]
        node = msgspec.structs.replace(record.nodes[0], state=OperationState.DONE, after="on")
        ended = msgspec.structs.replace(record, nodes=(node,), state=OperationState.DONE, end=NOW + 4)
        ui.world.push(operations=(ended,))
        await ui.settle(lambda: ui.toasts())
        assert ui.toasts() == ["operation 1 power on: done, off → on"]


async def test_operations_show_steps_and_are_cancelled_after_a_question(cockpit, no_guard) -> None:
    async with cockpit() as ui:
        await ui.press("P", "s")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press("y")
        await ui.settle(lambda: ui.world.operations)
        await ui.press("4")
        await ui.settle(lambda: "power soft" in ui.text() and "node01" in ui.text())
        await ui.press("K", "enter")
        assert not ui.world.of(wire.CancelOperation)
        await ui.press("K", "y")
        await ui.settle(lambda: "cancelled" in ui.text())
        assert ui.world.of(wire.CancelOperation) == [wire.CancelOperation(1)]


async def test_leaving_asks_and_says_what_goes_on(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("q")
        assert "The engine goes on without the screen" in ui.text()
        await ui.press("enter")
        assert ui.dialog is ui.main
        await ui.press("q", "y")
        assert ui.app.return_value == 0


async def test_a_problem_of_the_engine_is_told(cockpit, no_guard) -> None:
    from plasmatui.client import EngineError

    def busy(engine, body):
        raise EngineError(wire.Problem("busy", "node01: operation 3 holds it [/]"))

    world = FakeWorld()
    world.answers[wire.StartOrder] = busy
    async with cockpit(world) as ui:
        await ui.press("P", "o")
        await ui.settle(lambda: ui.dialog.plan is not None)
        await ui.press("y")
        await ui.settle(lambda: ui.toasts())
        assert ui.toasts() == ["node01: operation 3 holds it [/]"]


async def test_marked_boot_dialog_counts(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("space", "space", "A", "2")
        assert isinstance(ui.dialog, BootDeviceDialog)
        assert "Boot device: 2 nodes" in ui.text()
        assert "boot: pxe once uefi" in ui.text()
