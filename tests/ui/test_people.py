"""Several operators: roles, who is there, locks, notes, the audit."""

from __future__ import annotations

import pytest

from plasmatui.client import EngineError
from plasmatui.model import wire
from plasmatui.model.access import role_of_order
from plasmatui.model.event import AuditLine
from plasmatui.model.node import NodeLock, NodeNote
from plasmatui.model.operation import InstallOrder, PowerOrder, ReprovisionOrder
from plasmatui.model.words import PowerAction, Role
from plasmatui.ui.actions import ACTIONS, BY_ID
from plasmatui.ui.dialogs import base
from plasmatui.ui.dialogs.order import PowerDialog
from plasmatui.ui.dialogs.people import LockDialog, NoteDialog, WhoDialog
from tests.ui.fake import NOW, FakeWorld

LOCK = NodeLock("ben", 1001, "new [/] disk", NOW - 600)


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "GUARD", 0.0)


def test_the_registrys_roles_are_those_of_the_engine() -> None:
    assert BY_ID["nodes.power"].role is role_of_order(PowerOrder(PowerAction.OFF)) is Role.OPERATOR
    assert BY_ID["nodes.install"].role is role_of_order(InstallOrder()) is Role.ADMIN
    assert BY_ID["nodes.reprovision"].role is role_of_order(ReprovisionOrder()) is Role.ADMIN
    assert all(action.role is not Role.VIEWER for action in ACTIONS if action.acts)


async def test_a_viewer_is_told_why_a_key_does_nothing(cockpit) -> None:
    world = FakeWorld()
    world.role = Role.VIEWER
    async with cockpit(world) as ui:
        assert " viewer " in ui.text().splitlines()[0]
        await ui.press("P")
        assert not isinstance(ui.dialog, PowerDialog)
        assert any("needs the role operator; you are viewer here" in text for text in ui.toasts())
        await ui.press("L", ":")
        await ui.type("power on node01")
        await ui.press("enter")
        assert "needs the role operator" in ui.text()
        await ui.press("escape", "2", "i")
        assert not world.of(wire.ConsolePen)
        assert not world.of(wire.StartOrder)


async def test_an_operator_may_not_install(cockpit) -> None:
    world = FakeWorld()
    world.role = Role.OPERATOR
    async with cockpit(world) as ui:
        await ui.press("I")
        assert any("needs the role admin" in text for text in ui.toasts())
        await ui.press("P")
        assert isinstance(ui.dialog, PowerDialog)


async def test_who_is_attached_and_what_they_look_at(cockpit) -> None:
    async with cockpit() as ui:
        clients = (
            wire.ClientInfo(7, "tui", "anna", "pts/3", NOW - 60, False, Role.ADMIN, 1000, "", "nodes"),
            wire.ClientInfo(
                8, "tui", "ben", "pts/4", NOW - 3600, False, Role.OPERATOR, 1001, "10.0.0.7", "console node02"
            ),
            wire.ClientInfo(9, "cli", "eve", "pts/5", NOW - 1, False, Role.VIEWER, 1002),
        )
        ui.world.push(clients=clients)
        await ui.settle(lambda: " 1 other here " in ui.text())
        await ui.press(":")
        await ui.type("who")
        await ui.press("enter")
        assert isinstance(ui.dialog, WhoDialog)
        lines = ui.text().splitlines()
        (ben,) = [line for line in lines if " ben " in line]
        assert all(word in ben for word in ("operator", "tui pts/4", "10.0.0.7", "1h", "console node02"))
        assert "this screen" in next(line for line in lines if " anna " in line)
        ui.world.push(clients=clients[:1])
        await ui.settle(lambda: " ben " not in ui.text())


async def test_the_others_are_told_what_is_in_sight(cockpit) -> None:
    async with cockpit() as ui:
        await ui.settle(lambda: ui.world.of(wire.Here))
        await ui.press("2")
        await ui.settle(lambda: ui.world.of(wire.Here)[-1].place == "console node01")
        await ui.press("1", "enter")
        await ui.settle(lambda: ui.world.of(wire.Here)[-1].place == "node node01")
        count = len(ui.world.of(wire.Here))
        ui.world.change("node02", last_event="something")
        await ui.settle()
        assert len(ui.world.of(wire.Here)) == count, "nothing is told twice"


async def test_a_lock_and_notes_stand_in_grid_and_details(cockpit) -> None:
    async with cockpit(size=(200, 60)) as ui:
        note = NodeNote("anna", NOW - 7200, "fan [bold]3[/] is loud")
        ui.world.change("node01", lock=LOCK, flags=("locked",), notes=(note,))
        await ui.settle(lambda: "locked enroll" in ui.text())
        await ui.press("enter")
        for _ in range(4):
            await ui.press("]")
        await ui.settle(lambda: "by ben: new [/] disk" in ui.text())
        assert "anna: fan [bold]3[/] is loud" in ui.text()


async def test_a_lock_is_seen_on_a_narrow_screen(cockpit) -> None:
    async with cockpit(size=(80, 24)) as ui:
        ui.world.change("node01", lock=LOCK, flags=("locked",))
        await ui.settle(lambda: "locked by ben" in ui.text())


async def test_a_lock_blocks_a_dialog_and_an_admin_breaks_it(cockpit, no_guard) -> None:
    world = FakeWorld()
    world.locked = "node01 is locked by ben: new disk"
    async with cockpit(world) as ui:
        await ui.press("P", "f")
        await ui.settle(lambda: ui.dialog.plan is not None)
        assert "L: break the lock; node01 is locked by ben" in ui.text()
        await ui.press("y")
        assert not world.of(wire.StartOrder)
        await ui.press("L", "y")
        await ui.settle(lambda: world.of(wire.StartOrder))
        assert world.of(wire.StartOrder)[0].break_lock


async def test_an_operator_breaks_no_lock(cockpit, no_guard) -> None:
    world = FakeWorld()
    world.role = Role.OPERATOR
    world.locked = "node01 is locked by ben: new disk"
    async with cockpit(world) as ui:
        await ui.press("P", "f")
        await ui.settle(lambda: ui.dialog.plan is not None)
        assert "break the lock" not in ui.text()
        await ui.press("L", "y")
        assert not world.of(wire.StartOrder)


async def test_locking_asks_for_a_reason_and_unlocking_for_a_yes(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("space", "space", "L")
        assert isinstance(ui.dialog, LockDialog)
        await ui.press("enter")
        assert isinstance(ui.dialog, LockDialog), "a reason is needed"
        await ui.type("work on mains")
        await ui.press("enter")
        await ui.settle(lambda: ui.world.of(wire.LockNodes))
        assert ui.world.of(wire.LockNodes) == [wire.LockNodes(("node01", "node02"), "work on mains")]
        for name in ("node01", "node02"):
            ui.world.change(name, lock=LOCK, flags=("locked",))
        await ui.settle()
        await ui.press("L", "y")
        await ui.settle(lambda: ui.world.of(wire.UnlockNodes))
        assert ui.world.of(wire.UnlockNodes) == [wire.UnlockNodes(("node01", "node02"), True)]


async def test_notes_by_key_and_by_word(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("M")
        assert isinstance(ui.dialog, NoteDialog)
        await ui.type("loud fan")
        await ui.press("enter")
        await ui.settle(lambda: ui.world.of(wire.PutNote))
        await ui.press(":")
        await ui.type("note node02 ordered one")
        await ui.press("enter")
        await ui.settle(lambda: len(ui.world.of(wire.PutNote)) == 2)
        assert ui.world.of(wire.PutNote) == [wire.PutNote("node01", "loud fan"), wire.PutNote("node02", "ordered one")]


async def test_a_refusal_of_the_engine_is_shown(cockpit) -> None:
    world = FakeWorld()

    def refuse(engine: object, body: object) -> wire.ReplyBody:
        raise EngineError(wire.Problem("locked", "node01 is locked by ben"))

    world.answers[wire.LockNodes] = refuse
    async with cockpit(world) as ui:
        await ui.press(":")
        await ui.type("lock node01 mine")
        await ui.press("enter")
        await ui.settle(lambda: "node01 is locked by ben" in ui.toasts())


async def test_the_audit_of_a_node(cockpit) -> None:
    world = FakeWorld()
    world.audit = (
        AuditLine(2, NOW - 40, "ben", "node01", "plasmatui power on node01 (operation 3)", "done", 1001,
                  "tui pts/4 from 10.0.0.7", 3, "off", "on"),
        AuditLine(1, NOW - 50, "anna", "node02", "chassis control 1", "done"),
    )  # fmt: skip
    async with cockpit(world, size=(200, 60)) as ui:
        await ui.press(":")
        await ui.type("audit node01")
        await ui.press("enter")
        await ui.settle(lambda: "operation 3" in ui.text())
        (line,) = [line for line in ui.text().splitlines() if "operation 3" in line]
        assert "ben" in line
        assert "off → on" in line
        assert "from 10.0.0.7" in line
        assert "chassis control 1" not in ui.text()
        assert world.of(wire.ListAudit)[-1].nodes == ("node01",)
