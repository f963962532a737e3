"""The Operations view, the bar of running operations, and what is asked of those that were begun."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plasmatui.model import wire
from plasmatui.model.event import AuditLine
from plasmatui.model.operation import InstallOrder, NodeRecord, OperationRecord, Pace, PowerOrder, StepRecord
from plasmatui.model.words import OperationState, PowerAction, StepResult
from plasmatui.ui.dialogs import base
from plasmatui.ui.dialogs.commandlog import CommandLogDialog
from plasmatui.ui.dialogs.running import AnswerDialog, RetryDialog
from tests.ui.fake import NOW, FakeWorld

DONE, FAILED, HELD, RUNNING = (OperationState[name] for name in ("DONE", "FAILED", "HELD", "RUNNING"))
QUESTION = "node02: Wipe the disks: it was begun, and it is not known whether it was done."


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "GUARD", 0.0)


def step(id_: str, begin: float, end: float = 0.0, result: StepResult | None = None, **more: Any) -> StepRecord:
    command = f"nixos-anywhere --phases {id_}"
    return StepRecord(id_, f"The step {id_}", command, NOW - begin, NOW - end if result else 0.0, result, **more)


def install(number: int = 7) -> OperationRecord:
    """Six nodes: one asks, one runs late, one failed with evidence, three are done."""
    wiped = step("disko", 90, 60, StepResult.DONE, usual=30.0)
    nodes = (
        *(NodeRecord(f"node{i:02d}", DONE, (wiped,), after="installed", planned=4) for i in (4, 5, 6)),
        NodeRecord("node01", RUNNING, (wiped, step("install", 40, usual=20.0, progress="copying 12 of 40 paths",
                                                   percent=30.0)), planned=4),
        NodeRecord("node02", HELD, (step("disko", 90, 60, StepResult.UNCERTAIN),), question=QUESTION,
                   answers=("again", "done", "stop"), planned=4),
        NodeRecord("node03", FAILED, (step("disko", 90, 60, StepResult.FAILED, message="no such device"),),
                   error="disko-device-missing", message="node03: no disk has this name [/]", planned=4,
                   evidence=("error: /dev/disk/by-id/nvme-3: not found",)),
    )  # fmt: skip
    return OperationRecord(number, InstallOrder(), "anna", "plasmatui install node[01-06]", NOW - 100,
                           RUNNING, nodes, Pace())  # fmt: skip


def world() -> FakeWorld:
    made = FakeWorld()
    made.operations = {7: install()}
    return made


def rows(ui: Any) -> list[str]:
    return [line.plain for line in ui.main.view.pane.lines]


def place(ui: Any, text: str) -> int:
    return next(i for i, row in enumerate(rows(ui)) if text in row)


async def open_view(ui: Any) -> None:
    await ui.press("4")
    await ui.settle(lambda: "operations 1" in ui.text())


async def choose(ui: Any, key: str) -> None:
    ui.main.view.pane.choose(key)
    ui.main.view._show_log()
    await ui.settle()


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_problems_come_first_and_what_is_done_is_folded(cockpit, size: tuple[int, int]) -> None:
    async with cockpit(world(), size=size) as ui:
        await open_view(ui)
        order = [place(ui, text) for text in ("▲ held      node02", "✗ failed    node03", "~ running   node01",
                                              "✓ done      node[04-06]")]  # fmt: skip
        assert order == sorted(order)
        head = rows(ui)[0]
        assert "▲ held      install node[01-06]" in head
        text = " ".join(" ".join(rows(ui)).split())
        assert "3/6 done 1 failed 1 held" in text
        assert "disko-device-missing: no disk has this name [/]" in text
        assert "/dev/disk/by-id/nvme-3: not found" in text
        assert "Q answers: again, done, stop" in text
        assert "install 40s 2.0x usual copying 12 of 40 paths" in text
        assert max(len(row) for row in rows(ui)) <= size[0]


async def test_enter_opens_steps_and_folded_nodes(cockpit) -> None:
    async with cockpit(world()) as ui:
        await open_view(ui)
        await choose(ui, "7/node01")
        await ui.press("enter")
        text = "\n".join(rows(ui))
        assert "✓ done      The step disko  30s  usual 30s" in text
        assert "nixos-anywhere --phases install" in text
        assert "… 2 more steps" in text
        await choose(ui, "7/@done")
        await ui.press("enter")
        assert place(ui, "node05")
        await choose(ui, "7/")
        await ui.press("enter")
        assert len(rows(ui)) == 1


async def test_ended_operations_are_folded_and_tell_what_is_usual(cockpit) -> None:
    made = world()
    nodes = (NodeRecord("node01", DONE, after="installed"),)
    made.operations[5] = OperationRecord(5, InstallOrder(), "bob", "plasmatui install node01", NOW - 900, DONE, nodes,
                                         Pace(), end=NOW - 600)  # fmt: skip
    async with cockpit(made) as ui:
        await ui.press("4")
        await ui.settle(lambda: "operations 2" in ui.text())
        assert "usual 5m00s" in rows(ui)[0]
        assert "✓ done      install node01" in rows(ui)[-1]


async def test_the_newest_operation_stays_open_when_it_failed(cockpit) -> None:
    made = world()
    async with cockpit(made) as ui:
        await open_view(ui)
        nodes = tuple(node for node in install().nodes if node.state is not HELD)
        ended = msgspec.structs.replace(install(), state=FAILED, end=NOW, nodes=nodes)
        made.push(operations=(ended,))
        await ui.settle(lambda: any("4: why; there F: try again" in toast for toast in ui.toasts()))
        await ui.settle(lambda: "disko-device-missing" in "\n".join(rows(ui)))
        (toast,) = (toast for toast in ui.toasts() if "try again" in toast)
        assert "node03: no disk has this name [/]" in toast
        assert "node03: node03" not in toast


async def test_the_bar_is_loud_about_who_waits_and_what_failed(cockpit) -> None:
    async with cockpit(world()) as ui:
        assert "▲ 1 HELD: 4" in ui.text().splitlines()[0]
        bar = ui.main.bars.jobs[0].plain
        for words in ("▲ HELD: node02 asks", "✗ 1 failed", "3/6 done", "node01: install 40s 2.0x usual"):
            assert words in bar
        told = "operation 7 waits for you: node02: Wipe the disks"
        await ui.settle(lambda: any(told in toast for toast in ui.toasts()))
        ui.world.push(operations=(msgspec.structs.replace(install(), by="bob"),))
        await ui.settle(lambda: ui.context.store.operations[7].by == "bob" and not ui.main._pending)
        assert sum("waits for you" in toast for toast in ui.toasts()) == 1, "the same question is told once"


async def test_the_bar_takes_no_row_from_the_grid(cockpit) -> None:
    made = world()
    async with cockpit(made, size=(120, 50)) as ui:
        assert ui.main.bars.jobs
        assert ui.main.query_one("#detail").has_class("on")
        for node in made.nodes:
            await ui.settle(lambda name=node.name: f"\n  {name} " in ui.text())


async def test_the_bar_in_ascii(cockpit) -> None:
    async with cockpit(world(), ascii=True) as ui:
        assert ui.text().isascii()
        assert "! HELD: node02 asks  x 1 failed 3/6 done  76% #######---" in ui.main.bars.jobs[0].plain


async def test_more_operations_than_lines_are_counted(cockpit) -> None:
    made = world()
    for number in (8, 9, 10):
        nodes = (NodeRecord("node08", RUNNING),)
        made.operations[number] = OperationRecord(number, PowerOrder(PowerAction.ON), "bob", "plasmatui power",
                                                  NOW - 5, RUNNING, nodes, Pace())  # fmt: skip
    async with cockpit(made) as ui:
        first, second = (line.plain for line in ui.main.bars.jobs)
        assert first.startswith(" operation 7 install"), "what waits for a person comes first"
        assert second.startswith(" operation 10 power on")
        assert "and 2 more: 4" in second


async def test_held_nodes_stand_out_in_the_grid(cockpit) -> None:
    async with cockpit(world()) as ui:
        await ui.settle(lambda: "▲ HELD op 7" in ui.text())
        row = next(line for line in ui.text().splitlines() if line.lstrip().startswith("node02"))
        assert "HELD op 7" in row
        ended = msgspec.structs.replace(install(), state=FAILED, end=NOW,
                                        nodes=(NodeRecord("node02", OperationState.CANCELLED),))  # fmt: skip
        ui.world.push(operations=(ended,))
        await ui.settle(lambda: "HELD op 7" not in ui.text())


# Answers


async def test_an_answer_that_may_wipe_wants_the_nodes_name(cockpit, no_guard) -> None:
    async with cockpit(world()) as ui:
        await open_view(ui)
        await ui.press("Q")
        assert isinstance(ui.dialog, AnswerDialog)
        assert "it was begun, and it is not known" in ui.text()
        await ui.press("y")
        assert isinstance(ui.dialog, AnswerDialog), "nothing is chosen yet"
        await ui.press("a", "y", "enter")
        assert not ui.world.of(wire.ReleaseOperation)
        await ui.press("Q", "a", "tab")
        await ui.type("node01")
        await ui.press("enter")
        assert "that is not node02" in ui.text()
        ui.dialog.phrase_input.value = ""
        await ui.type("node02")
        await ui.press("enter")
        await ui.settle(lambda: ui.world.of(wire.ReleaseOperation))
        assert ui.world.of(wire.ReleaseOperation) == [wire.ReleaseOperation(7, "node02", "again")]
        await ui.settle(lambda: "HELD" not in ui.text())


@pytest.mark.parametrize(("key", "answer"), [("d", "done"), ("s", "stop")])
async def test_other_answers_take_y(cockpit, no_guard, key: str, answer: str) -> None:
    async with cockpit(world()) as ui:
        await open_view(ui)
        await choose(ui, "7/node02")
        await ui.press("Q", key, "y")
        await ui.settle(lambda: ui.world.of(wire.ReleaseOperation))
        assert ui.world.of(wire.ReleaseOperation) == [wire.ReleaseOperation(7, "node02", answer)]


async def test_a_node_that_asks_nothing_is_not_answered(cockpit) -> None:
    async with cockpit(world()) as ui:
        await open_view(ui)
        await choose(ui, "7/node03")
        await ui.press("Q")
        assert ui.dialog is ui.main
        assert any("operation 7 asks nothing about node03" in toast for toast in ui.toasts())


# Hold, cancel, retry


async def test_hold_and_let_go_on(cockpit, no_guard) -> None:
    async with cockpit(world()) as ui:
        await open_view(ui)
        await ui.press("H")
        assert "no further step is begun" in ui.text()
        await ui.press("y")
        await ui.settle(lambda: "held by anna  (H lets it go on)" in ui.text())
        assert ui.world.of(wire.HoldOperation) == [wire.HoldOperation(7)]
        await ui.press("H")
        assert "Let operation 7 go on" in ui.text()
        await ui.press("y")
        await ui.settle(lambda: ui.world.of(wire.ReleaseOperation))
        assert ui.world.of(wire.ReleaseOperation) == [wire.ReleaseOperation(7)]


async def test_cancel_says_what_is_at_work(cockpit, no_guard) -> None:
    async with cockpit(world()) as ui:
        await open_view(ui)
        await ui.press("K")
        assert "at work: node01: The step install" in ui.text()
        assert "level 2" in ui.text()
        await ui.press("enter")
        assert not ui.world.of(wire.CancelOperation)


async def test_retry_confirms_as_the_order_does(cockpit, no_guard) -> None:
    made = world()
    made.operations[7] = msgspec.structs.replace(install(), state=FAILED, end=NOW - 10, nodes=install().nodes[-1:])
    made.confirm, made.phrase = 3, "node03"
    async with cockpit(made) as ui:
        await open_view(ui)
        await ui.press("F")
        assert isinstance(ui.dialog, RetryDialog)
        await ui.settle(lambda: ui.dialog.plan is not None)
        assert ui.world.of(wire.PlanOrder)[-1].nodes == ("node03",)
        assert "disko-device-missing" in ui.text()
        assert "per rack" not in ui.text()
        await ui.press("y")
        assert isinstance(ui.dialog, RetryDialog)
        await ui.press("tab")
        await ui.type("node03")
        await ui.press("enter")
        await ui.settle(lambda: ui.world.of(wire.RetryOperation))
        assert ui.world.of(wire.RetryOperation) == [wire.RetryOperation(7)]
        await ui.settle(lambda: "install (again: 7)" in ui.text())


async def test_a_retry_of_what_was_wiped_already_asks_for_no_phrase(cockpit, no_guard) -> None:
    made = world()
    lost = NodeRecord("node03", FAILED, (step("act", 90, 60, StepResult.DONE),), error="install-copy-failed",
                      message="node03: the copy broke")  # fmt: skip
    made.operations[7] = msgspec.structs.replace(install(), state=FAILED, end=NOW - 10, nodes=(lost,))
    made.confirm, made.phrase = 3, "node03"
    async with cockpit(made) as ui:
        await open_view(ui)
        await ui.press("F")
        await ui.settle(lambda: ui.dialog.plan is not None)
        assert "act was done before and is not done again" in ui.text()
        assert "level 2" in ui.text()
        await ui.press("y")
        await ui.settle(lambda: ui.world.of(wire.RetryOperation))


async def test_what_runs_is_not_tried_again(cockpit) -> None:
    async with cockpit(world()) as ui:
        await open_view(ui)
        await ui.press("F")
        assert ui.dialog is ui.main
        assert any("still runs" in toast for toast in ui.toasts())


# The log


async def test_the_log_follows_stands_still_and_counts(cockpit) -> None:
    made = world()
    made.printed(7, "node01", *(f"line {i}" for i in range(60)))
    async with cockpit(made) as ui:
        await open_view(ui)
        await choose(ui, "7/node01")
        await ui.settle(lambda: "line 59" in ui.text())
        assert "log of node01" in ui.text()
        made.printed(7, "node01", "line 60")
        await ui.settle(lambda: "line 60" in ui.text())
        await ui.press("l", "k", "k")
        await ui.settle(lambda: "FOLLOW off" in ui.text())
        first = next(line for line in ui.text().splitlines() if "line " in line)
        made.printed(7, "node01", "line 61 [/]", "line 62")
        await ui.settle(lambda: "+2" in ui.text())
        assert next(line for line in ui.text().splitlines() if "line " in line) == first
        await ui.press("G")
        await ui.settle(lambda: "line 62" in ui.text() and "line 61 [/]" in ui.text())
        await ui.press("w")
        assert ui.main.view.log_panel.pane.wrap
        await ui.press("escape")
        assert not ui.main.view.in_log


async def test_the_log_is_asked_for_only_while_it_is_seen(cockpit) -> None:
    async with cockpit(world(), size=(80, 24)) as ui:
        await open_view(ui)
        ui.main.view.log_panel._tick()
        await ui.settle()
        assert not ui.world.of(wire.AskOperationLog), "at this size the log is hidden"
        await ui.press("l")
        await ui.settle(lambda: ui.world.of(wire.AskOperationLog))
        await ui.press("1")
        count = len(ui.world.of(wire.AskOperationLog))
        ui.main.switcher.query_one("#oplog")._tick()
        await ui.settle()
        assert len(ui.world.of(wire.AskOperationLog)) == count


async def test_search_reads_all_pages_and_save_writes_them(cockpit, tmp_path) -> None:
    from plasmatui.paths import state_root

    made = world()
    made.page = 700
    made.printed(7, "node02", "the ä beginning", *(f"line {i}" for i in range(200)))
    async with cockpit(made) as ui:
        await open_view(ui)
        await ui.settle(lambda: "line 199" in ui.text())
        assert "beginning" not in ui.text()
        await ui.press("slash")
        await ui.type("beginning")
        await ui.press("enter")
        await ui.settle(lambda: "the ä beginning" in ui.text())
        assert "(1 of 1 hits)" in ui.text()
        texts = [line.text for line in ui.main.view.log_panel.pane.lines]
        assert texts == ["the ä beginning", *(f"line {i}" for i in range(200))]
        await ui.press("ctrl+s")
        await ui.settle(lambda: any("201 lines saved" in toast for toast in ui.toasts()))
        saved = (state_root() / "saved" / "operation-7-node02.log").read_text(encoding="utf-8").splitlines()
        assert len(saved) == 201
        assert saved[0].endswith("the ä beginning")


# Around it


async def test_the_nodes_tab_shows_its_part(cockpit) -> None:
    async with cockpit(world()) as ui:
        await ui.press("down", "enter", "right_square_bracket", "right_square_bracket")
        await ui.settle(lambda: "asks: node02: Wipe the disks" in ui.text())
        assert "operation 7 install  ▲ held" in ui.text()
        assert "▲ uncertain The step disko" in ui.text()


async def test_the_command_log_is_narrowed_to_the_operation_and_by_words(cockpit) -> None:
    made = world()
    made.audit = (
        AuditLine(1, NOW - 500, "bob", "node01", "chassis control 1", "done"),
        AuditLine(2, NOW - 100, "anna", "", "plasmatui install node[01-06] (operation 7)", "begun"),
        AuditLine(3, NOW - 90, "anna", "node01", "nixos-anywhere --phases disko", "done"),
        AuditLine(4, NOW - 80, "bob", "node09", "chassis control 0", "failed: timeout"),
    )
    async with cockpit(made) as ui:
        await ui.press("at")
        await ui.settle(lambda: "chassis control 0" in ui.text())
        assert isinstance(ui.dialog, CommandLogDialog)
        await ui.type("node09")
        (line,) = ui.dialog.pane.lines
        assert line.plain.endswith("failed: timeout")
        ui.world.push(audit=(AuditLine(5, NOW, "anna", "node09", "chassis control 1", "done"),))
        await ui.settle(lambda: len(ui.dialog.pane.lines) == 2)
        await ui.press("escape", "4")
        await ui.settle(lambda: "operations 1" in ui.text())
        await ui.press("at")
        await ui.settle(lambda: len(ui.dialog.pane.lines) == 2)
        first, second = (line.plain for line in ui.dialog.pane.lines)
        assert "(operation 7)" in first
        assert "disko" in second


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ops cancel 7", "Cancel operation 7"),
        ("ops hold 7", "Hold operation 7"),
        ("ops release 7", "node02 asks (operation 7: install)"),
        ("ops release 7 node03", "asks nothing about node03"),
        ("ops log 7 node05", "log of node05"),
        ("ops 7", "operations 1"),
        ("ops retry 7", "still runs"),
        ("ops resume 7", "is not held"),
        ("ops cancel 99", "there is no operation 99"),
        ("ops cancel", "expected ops ["),
    ],
)
async def test_ops_on_the_command_line(cockpit, text: str, words: str) -> None:
    async with cockpit(world()) as ui:
        await ui.press("colon")
        await ui.type(text)
        await ui.press("enter")
        await ui.settle(lambda: words in ui.text() or any(words in toast for toast in ui.toasts()))
