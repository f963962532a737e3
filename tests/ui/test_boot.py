"""The Boot view and what is told of boots."""

from __future__ import annotations

import msgspec

from plasmatui.model import wire
from plasmatui.model.node import Finding, StageState
from plasmatui.model.words import Severity, Stage
from tests.ui.fake import NOW, FakeWorld


async def test_sources_and_unknown_machines_are_shown_as_they_stand(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("6")
        await ui.settle(lambda: "dhcp kea pxe01" in ui.text())
        text = ui.text()
        assert "no such file: /var/log/nginx/access.log" in text
        assert "52:54:00:aa:bb:cc" in text
        assert "UEFI x64" in text
        assert "spare[/]" in text
        source = msgspec.structs.replace(ui.world.sources[1], status="running", message="", lag=9.0)
        ui.world.push(sources=(source,), unknown=())
        await ui.settle(lambda: "lag 9.0s" in ui.text() and "52:54" not in ui.text())


async def test_enrolling_shows_the_change_and_writes_it_when_accepted(cockpit) -> None:
    async with cockpit() as ui:
        await ui.press("6", "E")
        await ui.settle(lambda: "Enrol 52:54:00:aa:bb:cc" in ui.text())
        await ui.type("node13")
        await ui.press("tab")
        await ui.type("worker")
        assert not ui.world.of(wire.EnrolNode)
        await ui.press("enter")
        await ui.settle(lambda: "+  node13:" in ui.text())
        await ui.press("y")
        await ui.settle(lambda: len(ui.world.of(wire.EnrolNode)) == 2)
        assert ui.world.of(wire.EnrolNode) == [
            wire.EnrolNode("node13", "52:54:00:aa:bb:cc", "worker", apply=apply) for apply in (False, True)
        ]
        await ui.settle(lambda: any("node13 is in the inventory" in toast for toast in ui.toasts()))


async def test_enrolling_can_be_left_and_says_what_is_wrong(cockpit) -> None:
    from plasmatui.client import EngineError

    def refuse(engine, body):
        raise EngineError(wire.Problem("inventory", "node01 is there already"))

    world = FakeWorld()
    world.answers[wire.EnrolNode] = refuse
    async with cockpit(world) as ui:
        await ui.press("6", "E", "enter")
        await ui.settle(lambda: "a name is needed" in ui.text())
        await ui.type("node01")
        await ui.press("enter")
        await ui.settle(lambda: "node01 is there already" in ui.text())
        await ui.press("escape")
        assert ui.app.screen is ui.main
        assert not any(body.apply for body in world.of(wire.EnrolNode))


async def test_a_node_that_stops_and_one_that_reaches_the_installer_are_told(cockpit) -> None:
    async with cockpit() as ui:
        await ui.pilot.pause(0.4)
        assert not ui.toasts(), "what was so before is not news"
        stage = StageState(Stage.HTTP_KERNEL, NOW, outcome="stopped", state="failed")
        finding = Finding("kernel-missing", Severity.ERROR, "The server has no kernel.", "Build it.", NOW)
        ui.world.change("node03", stage=stage, findings=(finding,))
        await ui.settle(lambda: ui.toasts())
        assert ui.toasts() == ["node03: stopped at http-kernel: The server has no kernel. → Build it."]
        done = StageState(Stage.INSTALLER_UP, NOW, state="done", outcome="installer-up")
        ui.world.change("node05", stage=done)
        await ui.settle(lambda: "node05: the installer is up" in ui.toasts())
        ui.world.change("node05", stage=done, last_event="x")
        await ui.pilot.pause(0.4)
        assert len(ui.toasts()) == 2
