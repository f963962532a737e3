"""The PXE side in the Boot view: asked for while it is in sight, walked by keys, opened, mended, switched."""

from __future__ import annotations

import msgspec

from plasmatui.client import EngineError
from plasmatui.model import wire
from plasmatui.paths import state_root
from tests.ui.fake import NOW, FakeWorld

WORKER, OLD, BROKEN = (
    "worker.20231114T200000Z-89abcdef",
    "worker.20231101T080000Z-00112233",
    "worker.20231001T080000Z-44556677",
)


def copied() -> str:
    return (state_root() / "copied.txt").read_text()


async def opened(ui) -> None:
    await ui.press("6")
    await ui.settle(lambda: ui.context.store.pxe.drift is not None)
    await ui.settle(lambda: "services  looked at" in ui.text())


async def at(ui, key: str) -> None:
    """Put the cursor on a line, by keys."""
    await ui.press("home")
    for _ in range(40):
        if ui.main.view.sections.cursor == key:
            return
        await ui.press("down")
    raise AssertionError(f"no line {key}: {ui.main.view.sections.plain}")


async def test_everything_is_shown_with_what_is_wrong_and_what_to_do(cockpit) -> None:
    async with cockpit() as ui:
        await opened(ui)
        text = ui.text()
        for part in (
            "1 service failed  1 image damaged  1 file differs  1 unknown machine",
            "10.0.100.10 port 69 does not answer", "fix systemctl status tftpd-hpa",
            "verified active control-plane", "booted by node[01-03]", "damaged", "says [/] 402000000",
            "fix plasmatui images deploy worker", "nixos/rescue is a directory of your own", "differs",
            "/etc/kea/kea-dhcp4.conf", "9 files as rendered now", "52:54:00:aa:bb:cc", "events 8",
        ):  # fmt: skip
            assert part in text, part


async def test_it_is_asked_while_it_is_in_sight_and_not_otherwise(cockpit) -> None:
    async with cockpit() as ui:
        kinds = (wire.AskPxeServices, wire.AskImages, wire.AskDrift)
        await ui.pilot.pause(0.2)
        assert [len(ui.world.of(kind)) for kind in kinds] == [0, 0, 0]
        await opened(ui)
        assert [len(ui.world.of(kind)) for kind in kinds] == [1, 1, 1]
        now = NOW
        ui.app.context.clock = lambda: now
        await ui.press("1")
        now += 1000
        ui.main.switcher.get_child_by_id("boot")._tick()
        await ui.pilot.pause(0.1)
        assert [len(ui.world.of(kind)) for kind in kinds] == [1, 1, 1]
        await ui.press("6")
        await ui.settle(lambda: [len(ui.world.of(kind)) for kind in kinds] == [2, 2, 2])
        now += 20
        ui.main.view._tick()
        await ui.settle(lambda: [len(ui.world.of(kind)) for kind in kinds] == [2, 3, 3])
        await ui.press("equals_sign")
        now += 1000
        ui.main.view._tick()
        await ui.pilot.pause(0.1)
        assert [len(ui.world.of(kind)) for kind in kinds] == [2, 3, 3], "frozen, nothing is asked"


async def test_tab_walks_through_the_sections_and_the_events(cockpit) -> None:
    async with cockpit(size=(80, 24)) as ui:
        await opened(ui)
        view = ui.main.view
        seen = []
        for _ in range(6):
            seen.append("events" if view._in_events else view.sections.cursor.split()[0])
            await ui.press("tab")
        assert seen == ["service", "image", "file", "client", "events", "service"]
        await ui.press("shift+tab", "shift+tab")
        assert view._in_events
        assert view.pane.has_focus


async def test_a_file_that_differs_is_opened_and_its_command_copied(cockpit) -> None:
    world = FakeWorld()

    def diff(_, body):
        file = next(file for file in world.drift.files if file.relative == body.relative)
        return wire.DriftDiff(file, ("--- /etc/kea", "+++ rendered", "@@ -1 +1 @@", "-old [/] line", "+new line"), 7)

    world.answers[wire.AskDriftDiff] = diff
    async with cockpit(world) as ui:
        await opened(ui)
        await at(ui, "file server/etc/kea/kea-dhcp4.conf")
        await ui.press("y")
        assert copied() == "plasmatui render --only dhcp -o rendered"
        await ui.press("enter")
        await ui.settle(lambda: "-old [/] line" in ui.text())
        assert "and 7 more lines" in ui.text()
        await ui.press("escape")
        await at(ui, "file server/etc/iptables/rules.v4")
        await ui.press("enter")
        await ui.settle(lambda: "missing" in ui.text() and "only firewall" in ui.text())
        await ui.press("y")
        assert copied() == "plasmatui render --only firewall -o rendered"


async def test_a_version_is_opened_with_manifest_users_and_commands(cockpit) -> None:
    async with cockpit() as ui:
        await opened(ui)
        await at(ui, f"image {WORKER}")
        await ui.press("enter")
        await ui.settle(lambda: "manifest" in ui.text())
        for part in ("booted by  node[04-05]", "402 MB  cdcd", "plasmatui images rollback worker", "x86_64"):
            assert part in ui.text(), part


async def test_a_version_is_read_and_the_reading_can_be_left(cockpit) -> None:
    world = FakeWorld()
    checks = (wire.ImageCheck("kernel", True, "x86 bzImage"), wire.ImageCheck("initrd", False, "initrd is cut off"))
    world.answers[wire.VerifyImage] = lambda _, body: wire.ImageVerified(body.version, checks)
    async with cockpit(world) as ui:
        await opened(ui)
        await ui.press("v")
        assert any("choose a version" in toast for toast in ui.toasts())
        await at(ui, f"image {OLD}")
        versions = tuple(
            msgspec.structs.replace(each, verified=NOW) if each.name == OLD else each for each in world.images.versions
        )
        world.images = msgspec.structs.replace(world.images, versions=versions)
        await ui.press("v")
        await ui.settle(lambda: "read 240 MB" in ui.text())
        await ui.press("v")
        assert any("esc ends that" in toast for toast in ui.toasts())
        await ui.press("escape")
        await ui.settle(lambda: "read 240 MB" not in ui.text())
        world.reads.set()
        await ui.press("v")
        await ui.settle(lambda: any("initrd is cut off" in toast for toast in ui.toasts()))
        assert ui.world.of(wire.VerifyImage) == [wire.VerifyImage(OLD), wire.VerifyImage(OLD)]
        await ui.press("enter")
        await ui.settle(lambda: "initrd: initrd is cut off" in ui.text())


async def test_activating_asks_first_and_then_tells(cockpit) -> None:
    world = FakeWorld()
    world.answers[wire.ActivateImage] = lambda _, body: wire.ImageSwitched("worker", WORKER, body.version, ("render!",))
    async with cockpit(world) as ui:
        await opened(ui)
        await at(ui, f"image {WORKER}")
        await ui.press("A")
        assert any("boot worker.20231114T200000Z-89abcdef already" in toast for toast in ui.toasts())
        await at(ui, f"image {BROKEN}")
        await ui.press("A")
        assert any("is damaged" in toast for toast in ui.toasts())
        assert ui.app.screen is ui.main
        await at(ui, f"image {OLD}")
        await ui.press("A")
        await ui.settle(lambda: f"plasmatui images activate {OLD}" in ui.text())
        assert "level 2" in ui.text()
        assert f"/var/lib/pxe-boot/nixos/worker -> ../versions/{OLD}" in ui.text()
        await ui.press("enter")
        assert not ui.world.of(wire.ActivateImage)
        await ui.press("A")
        await ui.pilot.pause(0.6)
        await ui.press("y")
        await ui.settle(lambda: ui.world.of(wire.ActivateImage) == [wire.ActivateImage(OLD)])
        await ui.settle(lambda: f"worker: {WORKER} -> {OLD}" in ui.toasts() and "render!" in ui.toasts())


async def test_a_rollback_names_where_it_leads_and_is_refused_where_there_is_none(cockpit) -> None:
    world = FakeWorld()

    def refuse(_, body):
        raise EngineError(wire.Problem("refused", "the HTTP root cannot be written"))

    world.answers[wire.RollBackImage] = refuse
    async with cockpit(world) as ui:
        await opened(ui)
        await at(ui, "image control-plane.20231114T100000Z-0123abcd")
        await ui.press("R")
        assert any("no version was active before" in toast for toast in ui.toasts())
        await at(ui, f"image {WORKER}")
        await ui.press("R")
        await ui.settle(lambda: "plasmatui images rollback worker" in ui.text())
        await ui.pilot.pause(0.6)
        await ui.press("y")
        await ui.settle(lambda: "the HTTP root cannot be written" in ui.toasts())
        assert ui.world.of(wire.RollBackImage) == [wire.RollBackImage("worker", OLD)]


async def test_read_only_switches_nothing(cockpit) -> None:
    async with cockpit(FakeWorld(read_only=True)) as ui:
        await opened(ui)
        await at(ui, f"image {OLD}")
        await ui.press("A", "R")
        assert ui.app.screen is ui.main


async def test_a_question_without_an_answer_says_why_in_its_section(cockpit) -> None:
    world = FakeWorld()

    def late(_, body):
        raise EngineError(wire.Problem("timeout", "drift was not looked at within 30 s [/]"))

    world.answers[wire.AskDrift] = late
    async with cockpit(world) as ui:
        await ui.press("6")
        await ui.settle(lambda: "not looked at within 30 s [/]" in ui.text())
        assert not ui.toasts()
        del world.answers[wire.AskDrift]
        await ui.press("r")
        await ui.settle(lambda: "kea-dhcp4.conf" in ui.text() and "within 30 s" not in ui.text())


async def test_a_service_opens_its_log(cockpit) -> None:
    async with cockpit() as ui:
        await opened(ui)
        await at(ui, "service tftp")
        await ui.press("enter")
        await ui.settle(lambda: ui.main.view_name == "logs")
        await ui.press("escape", "escape")
        await ui.settle(lambda: ui.main.view_name == "boot")
