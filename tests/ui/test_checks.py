"""The checklist on the screen: asked for, shown as it comes, cancelled, asked again, narrowed, copied from."""

from __future__ import annotations

from plasmatui.client import EngineError
from plasmatui.model import wire
from plasmatui.model.checks import CHECKS, CheckAnswer, CheckState
from plasmatui.paths import state_root
from tests.ui.fake import FakeWorld

_BY_ID = {check.id: check for check in CHECKS}


def answer(name: str, state: CheckState, reason: str, fix: str = "", *nodes: str) -> CheckAnswer:
    check = _BY_ID[name]
    return CheckAnswer(check.id, check.group, check.what, state, reason, fix, nodes)


def troubled() -> FakeWorld:
    """A site whose loader is for another machine, with BMCs that do not answer, and no DNS."""
    world = FakeWorld()
    found = (
        answer("http-port", CheckState.OK, "10.0.100.10 port 8080"),
        answer("loader-architecture", CheckState.FAILED, "efi-x64: ipxe.efi is an EFI application for efi-ia32",
               "put iPXE's build for efi-x64 as ipxe.efi into the TFTP root, or correct pxe.loaders.efi-x64"),
        answer("bmc-reachable", CheckState.FAILED, "3 BMCs do not answer", "plasmatui power status node[05-06,09]",
               "node05", "node06", "node09"),
        answer("console-recorded", CheckState.WARNING, "[/] one console is not recorded", "", "node05"),
        answer("dns-forward", CheckState.SKIPPED, "the inventory names no domain"),
        answer("clock-pxe", CheckState.UNKNOWN, "10.0.100.10 tells no time"),
    )  # fmt: skip
    world.checked = {each.id: each for each in found}
    return world


async def test_what_is_wrong_comes_first_with_reason_nodes_and_fix(cockpit) -> None:
    async with cockpit(troubled()) as ui:
        await ui.press("6", "c")
        await ui.settle(lambda: "looked at" in ui.text() and "2 failed" in ui.text())
        text = ui.text()
        order = ["loader-architecture", "is an EFI application", "fix put iPXE", "clock-pxe", "http-port",
                 "bmc-reachable", "node[05-06,09]", "console-recorded", "[/] one console"]  # fmt: skip
        assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
        assert ui.world.of(wire.AskChecks) == [wire.AskChecks()]
        await ui.press("escape")
        assert ui.main.view_name == "boot"
        await ui.press("c")
        assert len(ui.world.of(wire.AskChecks)) == 1, "opened again, it shows what it knows"
        await ui.press("r")
        await ui.settle(lambda: len(ui.world.of(wire.AskChecks)) == 2)


async def test_waiting_checks_are_named_and_escape_ends_the_run(cockpit) -> None:
    world = troubled()
    world.silent = frozenset(("flake-nodes",))
    async with cockpit(world) as ui:
        await ui.press("colon")
        await ui.type("check")
        await ui.press("enter")
        await ui.settle(lambda: "waiting for flake-nodes" in ui.text() and "bmc-reachable" in ui.text())
        assert f"{list(_BY_ID).index('flake-nodes')} of {len(CHECKS)} looked at" in ui.text()
        await ui.press("escape")
        await ui.settle(lambda: "cancelled" in ui.text() and "waiting" not in ui.text())
        assert ui.main.view_name == "checks"
        assert not ui.toasts()
        world.speak.set()
        await ui.press("r")
        await ui.settle(lambda: "looked at" in ui.text() and "cancelled" not in ui.text())


async def test_why_it_ended_is_said(cockpit) -> None:
    class Gone(FakeWorld):
        @property
        def silent(self) -> frozenset[str]:
            raise EngineError(wire.Problem("internal", "the engine [/] is tired"))

        @silent.setter
        def silent(self, _: frozenset[str]) -> None: ...

    async with cockpit(Gone()) as ui:
        await ui.press("6", "c")
        await ui.settle(lambda: "the engine [/] is tired" in ui.text())
        assert "not yet" in ui.text()


async def test_words_narrow_it_and_the_fix_is_copied(cockpit) -> None:
    async with cockpit(troubled()) as ui:
        await ui.press("6", "c")
        await ui.settle(lambda: "2 failed" in ui.text())
        await ui.press("y")
        assert any("nothing to copy" in toast for toast in ui.toasts())
        await ui.press("slash")
        await ui.type("failed node06")
        await ui.press("enter")
        await ui.settle(lambda: "http-port" not in ui.text() and "loader-architecture" not in ui.text())
        await ui.press("down", "y")
        await ui.settle(lambda: any("copied" in toast for toast in ui.toasts()))
        assert (state_root() / "copied.txt").read_text() == "plasmatui power status node[05-06,09]"
        await ui.press("escape")
        await ui.settle(lambda: "loader-architecture" in ui.text())
        await ui.press("slash")
        await ui.type("nowhere")
        await ui.settle(lambda: "no check has 'nowhere' in it" in ui.text())


async def test_hidden_it_draws_nothing_and_goes_on(cockpit, monkeypatch) -> None:
    world = troubled()
    world.silent = frozenset(("flake-nodes",))
    async with cockpit(world) as ui:
        await ui.press("6", "c")
        await ui.settle(lambda: "waiting for flake-nodes" in ui.text())
        pane = ui.main.view.pane
        drawn: list[object] = []
        monkeypatch.setattr(pane, "set_lines", drawn.append)
        await ui.press("1")
        world.speak.set()
        await ui.settle(lambda: not ui.context.store.checklist.running)
        await ui.pilot.pause(0.3)
        assert not drawn
        assert len(ui.context.store.checklist.seen) == len(CHECKS)
