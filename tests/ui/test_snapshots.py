"""What the screen looks like. `pytest --snapshot-update` after a change that is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plasmatui.model import wire
from plasmatui.model.operation import InstallOrder, NodeRecord, OperationRecord, Pace, PowerOrder, StepRecord
from plasmatui.model.system import Disk
from plasmatui.model.words import OperationState, PowerAction, StepResult
from tests.ui.clusters import cluster
from tests.ui.fake import NOW, FakeWorld, make_app
from tests.ui.test_checks import troubled
from tests.ui.test_travel import past

SIZES = [(80, 24), (120, 40), (200, 60)]
LOOKS = ["dark", "ascii"]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


def world() -> FakeWorld:
    made = FakeWorld()
    made.recording = {
        f"node{i:02d}": b"\x1b[2J\x1b[Hnode%02d firmware 1.2\r\n\x1b[32mPXE\x1b[0m over IPv4\r\nlogin: " % i
        for i in range(1, 13)
    }
    steps = (
        StepRecord("on", "power on", "IPMI chassis control 1", NOW - 9, NOW - 8, StepResult.DONE),
        StepRecord("wait", "wait until on", "IPMI chassis status", NOW - 8),
    )
    nodes = (
        NodeRecord("node02", OperationState.RUNNING, steps, before="off"),
        NodeRecord("node04", OperationState.DONE, (), "off", "on"),
    )
    made.operations = {
        3: OperationRecord(3, PowerOrder(PowerAction.ON), "anna", "plasmatui power on node02,node04", NOW - 9,
                           OperationState.RUNNING, nodes, Pace())
    }  # fmt: skip
    return made


def prepare(*keys: str, wait: Callable[[Any], bool] | None = None, then: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Press keys, wait, and press those of `then`."""

    async def run(pilot: Any) -> None:
        app = pilot.app
        await pilot.pause()
        for _ in range(250):
            if app.context.store.link.online and app.screen.query_one("#grid").order:
                break
            await pilot.pause(0.02)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.05)
        for _ in range(250):
            if wait is None or wait(app):
                break
            await pilot.pause(0.02)
        for key in then:
            await pilot.pause(0.3)
            await pilot.press(key)
        await pilot.pause(0.3)
        assert app._exception is None
        assert app.context.store.link.online
        assert wait is None or wait(app)

    return run


def app_for(look: str) -> Any:
    return make_app(world(), ascii=look == "ascii")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_nodes(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    assert snap_compare(app_for(look), terminal_size=size, run_before=prepare("space", "down", "space"))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_power_dialog(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    planned = prepare("space", "space", "space", "P", "o", wait=lambda app: app.screen.plan is not None)
    assert snap_compare(app_for(look), terminal_size=size, run_before=planned)


def installing(look: str) -> Any:
    """An installation: one node asks, one failed, one is late, the others are done."""
    made = world()
    wiped = StepRecord("disko", "Wipe and partition the disks", "nixos-anywhere --phases disko", NOW - 90, NOW - 60,
                       StepResult.DONE, usual=28.0)  # fmt: skip
    late = StepRecord("install", "Copy the system", "nixos-anywhere --phases install", NOW - 60, usual=25.0,
                      progress="copying 12 of 40 paths", percent=30.0)  # fmt: skip
    lost = StepRecord("disko", "Wipe and partition the disks", "nixos-anywhere --phases disko", NOW - 90, NOW - 60,
                      StepResult.FAILED, "node03: no disk has this name")  # fmt: skip
    nodes = (
        NodeRecord("node01", OperationState.RUNNING, (wiped, late), planned=12),
        NodeRecord("node02", OperationState.HELD, (wiped,), planned=12, answers=("wipe", "stop"),
                   question="node02: the inventory names disks by names that may change: /dev/sda is QEMU (S1). "
                   "Answer wipe to wipe them, stop to leave the node as it is"),
        NodeRecord("node03", OperationState.FAILED, (lost,), planned=12, error="disko-device-missing",
                   message="node03: no disk has this name", evidence=("error: nvme-3: not found",)),
        *(NodeRecord(f"node{i:02d}", OperationState.DONE, (wiped,), after="installed", planned=12) for i in (4, 5, 6)),
    )  # fmt: skip
    made.operations[4] = OperationRecord(4, InstallOrder(), "anna", "plasmatui install node[01-06]", NOW - 100,
                                         OperationState.RUNNING, nodes, Pace())  # fmt: skip
    made.printed(4, "node02", *(f"disko: partition {i} of 40" for i in range(1, 41)), "held: which disk?")
    made.confirm, made.phrase, made.notes = 3, "wipe 2", ("chainfire: 2 of 3 voters remain",)
    made.disks = {
        f"node{i:02d}": (Disk(f"/dev/disk/by-id/nvme-{i}", f"/dev/nvme{i}n1", "SAMSUNG MZQL2960", 960_197_124_096,
                              f"S64GNE0R{i:04d}", "ext4, 2 partitions"),)
        for i in range(1, 13)
    }  # fmt: skip
    app = make_app(made, ascii=look == "ascii")
    app.notify = lambda *_, **__: None  # toasts end by the clock
    return app


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_operations(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    assert snap_compare(installing(look), terminal_size=size, run_before=prepare("4", "down", "down", "enter"))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_health(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    app = make_app(cluster(), ascii=look == "ascii")
    assert snap_compare(app, terminal_size=size, run_before=prepare("5", "down", "right", "right"))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_install_dialog(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    planned = prepare("space", "space", "I", "i", wait=lambda app: app.screen.plan is not None)
    assert snap_compare(installing(look), terminal_size=size, run_before=planned)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_checklist(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    made = troubled()
    made.silent = frozenset(("flake-nodes",))
    asked = prepare("6", "c", wait=lambda app: len(app.context.store.checklist.seen) > 30)
    assert snap_compare(make_app(made, ascii=look == "ascii"), terminal_size=size, run_before=asked)


def _answered(app: Any) -> bool:
    pxe = app.context.store.pxe
    return None not in (pxe.services, pxe.images, pxe.drift)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_boot(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    told = prepare("6", wait=_answered, then=("tab", "down"))
    assert snap_compare(app_for(look), terminal_size=size, run_before=told)


@pytest.mark.parametrize("size", SIZES[:2])
def test_past(snap_compare: Any, size: tuple[int, int]) -> None:
    made = world()
    made.answers[wire.AskPast] = lambda _, body: past(made, body.at)
    made.answers[wire.ConsoleAt] = lambda _, body: wire.ConsoleChunk(0, b"firmware of then")
    gone = prepare("less_than_sign", wait=lambda app: app.context.store.past is not None)
    assert snap_compare(make_app(made), terminal_size=size, run_before=gone)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES)
def test_consoles(snap_compare: Any, size: tuple[int, int], look: str) -> None:
    writing = prepare("2", "i", wait=lambda app: app.screen.view.tile.console.writing)
    assert snap_compare(app_for(look), terminal_size=size, run_before=writing)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("detail-pane", ("down", "down", "down", "down", "down", "down")),
        ("node-details", ("end", "up", "up", "up", "enter", *["right_square_bracket"] * 4)),
        ("operations", ("4",)),
        ("image", ("6", "tab", "enter")),
        ("help", ("question_mark",)),
        ("problems", ("exclamation_mark",)),
        ("palette", ("ctrl+p", "p", "o", "w")),
        ("command", ("colon", "p", "o", "tab")),
    ],
)
def test_other_screens(snap_compare: Any, name: str, keys: tuple[str, ...]) -> None:
    assert snap_compare(app_for("dark"), terminal_size=(120, 40), run_before=prepare(*keys))


@pytest.mark.parametrize("theme", ["light", "high-contrast", "deuteranopia", "ansi-16"])
def test_themes(snap_compare: Any, theme: str) -> None:
    app = make_app(world(), theme=theme)
    assert snap_compare(app, terminal_size=(80, 24), run_before=prepare("space", "down"))
