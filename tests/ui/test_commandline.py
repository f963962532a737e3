"""The `:` line, the palette, help, copying and ASCII."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from plasmatui.model import wire
from plasmatui.model.bmc import BootDevice, Device
from plasmatui.model.operation import BootDeviceOrder
from plasmatui.ui import clipboard
from plasmatui.ui.asciifilter import to_ascii
from plasmatui.ui.commandline import CommandLine
from plasmatui.ui.dialogs.order import BootDeviceDialog, PowerDialog
from tests.ui.fake import FakeWorld


async def command(ui, text: str) -> None:
    await ui.press("colon")
    await ui.type(text)
    await ui.press("enter")


async def test_power_opens_the_dialog_with_the_set(cockpit) -> None:
    async with cockpit() as ui:
        await command(ui, "power cycle node[02-03],node07")
        assert isinstance(ui.dialog, PowerDialog)
        assert ui.dialog.targets == ("node02", "node03", "node07")
        await ui.settle(lambda: ui.world.of(wire.PlanOrder))
        assert not ui.world.of(wire.StartOrder)


async def test_bootdev_takes_the_options_of_the_command_line(cockpit) -> None:
    async with cockpit() as ui:
        await command(ui, "bootdev pxe @worker --persistent --uefi")
        assert isinstance(ui.dialog, BootDeviceDialog)
        await ui.settle(lambda: ui.world.of(wire.PlanOrder))
        assert ui.world.of(wire.PlanOrder)[-1].order == BootDeviceOrder(BootDevice(Device.PXE, True, True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("power cycle", "no node set"),
        ("power on nothing01", "no node nothing01"),
        ("power up node01", "expected power on|off|soft|cycle|reset SET"),
        ("bootdev pxe node01 --bios --uefi", "exclude each other"),
        ("bootdev floppy node01", "expected bootdev"),
        ("console node[01-02]", "expected one node, found 2"),
        ("poewr on node01", "did you mean power"),
        ("theme nothing", "no theme 'nothing'"),
        ("power on 'node01", "No closing quotation"),
        ("[/]", "no command '[/]'"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_done(cockpit, text: str, words: str) -> None:
    async with cockpit() as ui:
        await command(ui, text)
        assert words in ui.text()
        assert ui.main.prompt.is_open
        assert not ui.world.of(wire.PlanOrder)


async def test_words_of_views(cockpit) -> None:
    async with cockpit() as ui:
        await command(ui, "console node05")
        await ui.settle(lambda: ui.world.engine.open == {"node05"})
        await command(ui, "ops")
        assert ui.main.view_name == "operations"
        await command(ui, "nodes @control-plane")
        await ui.settle(lambda: ui.main.view_name == "nodes")
        assert ui.main.view.grid.order == ["node01", "node02", "node03"]
        await command(ui, "sensors node02")
        await ui.settle(lambda: "CPU [/] Temp" in ui.text())
        await ui.press("minus")
        assert ui.main.view_name == "nodes"


async def test_completion_and_history(cockpit) -> None:
    async with cockpit() as ui:
        complete = CommandLine(ui.main).complete
        assert complete("pow") == ["power"]
        assert complete("power c") == ["power cycle"]
        assert complete("power on node1") == ["power on node10", "power on node11", "power on node12"]
        assert "bootdev pxe node01 --uefi" in complete("bootdev pxe node01 --u")
        assert complete("theme de") == ["theme deuteranopia"]
        await ui.press("colon")
        await ui.type("unm")
        await ui.press("tab", "enter")
        await ui.press("colon", "up")
        assert ui.main.prompt.input.value == "unmark"
        await ui.press("escape")


async def test_palette_runs_what_is_found(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("ctrl+p")
        await ui.type("problems only")
        await ui.press("enter")
        await ui.settle(lambda: ui.main.view.only_problems)
        await ui.press("ctrl+p")
        await ui.type("[/]")
        assert ui.app.is_running
        await ui.press("escape")


async def test_palette_says_why_an_act_is_dim(cockpit) -> None:
    async with cockpit(FakeWorld(read_only=True)) as ui:
        await ui.press("ctrl+p")
        await ui.type("power")
        assert "(read-only: started with --read-only)" in ui.text()
        await ui.press("enter")
        await ui.settle(lambda: ui.toasts())
        assert ui.dialog is ui.main


async def test_help_is_searched_and_shows_levels(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("question_mark")
        await ui.type("boot device")
        assert "acts, level 1" in ui.text()
        assert "Mark a range" not in ui.text()
        await ui.press("escape")
        assert ui.dialog is ui.main


def test_osc_52_is_wrapped_for_tmux_and_capped() -> None:
    assert clipboard.sequence("hi", tmux=False) == "\x1b]52;c;aGk=\x07"
    assert clipboard.sequence("hi", tmux=True) == "\x1b]52;c;aGk=\x07\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\"
    assert clipboard.sequence("x" * 60_000, tmux=False) == ""


@pytest.mark.parametrize("text", ["┌─┐│└┘", "● on", "漢字 ok", "é", "…", "█▌", "\u00a0", "plain"])
def test_ascii_keeps_the_width(text: str) -> None:
    assert to_ascii(text).isascii()
    assert cell_len(to_ascii(text)) == cell_len(text)
