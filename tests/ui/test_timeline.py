"""Boots on the screen: the stage column, the timeline tab, evidence on demand."""

from __future__ import annotations

import msgspec

from plasmatui.model import wire
from plasmatui.model.boot import BootTimeline, Evidence, StageSpan
from plasmatui.model.node import Finding, StageState
from plasmatui.model.words import Severity, Stage
from plasmatui.ui.spans import bytes_text, span_text
from tests.ui.fake import NOW, FakeWorld

FINDING = Finding("kernel-missing", Severity.ERROR, "The server has no such kernel.", "Build it: images build.",
                  NOW - 5, ('GET /kernel 404 "[/]"',))  # fmt: skip
BOOT = BootTimeline(
    "node01", 7, NOW - 60, Stage.IPXE_SCRIPT, "stopped",
    (
        StageSpan(Stage.POWERING_ON, NOW - 60, NOW - 58, "done", usual=2.0),
        StageSpan(Stage.DHCP_LOADER, NOW - 58, NOW - 28, "done", (Evidence("kea.log", 17, "DHCPACK [/] 10.0.4.7"),),
                  usual=5.0, tries=3),
        StageSpan(Stage.TFTP_LOADER, None, None, "done", inferred=True),
        StageSpan(Stage.HTTP_KERNEL, NOW - 20, None, "running", bytes=1_500_000, total=12_000_000, percent=12.0),
    ),
    (FINDING,),
)  # fmt: skip


def test_words() -> None:
    assert [span_text(s) for s in (0.44, 12.3, 185, 7260)] == ["0.4s", "12s", "3m05s", "2h01m"]
    assert [bytes_text(n) for n in (0, 812, 73_200, 1_200_000, 45_000_000)] == [
        "0 B",
        "812 B",
        "73 kB",
        "1.2 MB",
        "45 MB",
    ]


async def test_the_boot_tab_tells_stages_times_and_why(cockpit) -> None:
    world = FakeWorld()
    older = msgspec.structs.replace(BOOT, number=6, outcome="healthy", findings=(), stages=())
    world.answers[wire.AskTimeline] = lambda engine, body: wire.Timelines(
        (BOOT, older) if body.node == "node01" else ()
    )
    async with cockpit(world, size=(160, 50)) as ui:
        await ui.press("enter", "right_square_bracket")
        await ui.settle(lambda: "boot 7" in ui.text())
        text = ui.text()
        assert "kernel-missing: The server has no such kernel." in text
        assert "→ Build it: images build." in text
        assert "6.0x usual (5.0s)" in text
        assert "3 tries" in text
        assert "not seen, proved by what came later" in text
        assert "1.5 MB of 12 MB 12%" in text
        assert "boot 6" in text
        assert "healthy" in text
        assert "DHCPACK" not in text
        await ui.press("e")
        assert "kea.log:17  DHCPACK [/] 10.0.4.7" in ui.text()
        assert 'GET /kernel 404 "[/]"' in ui.text()
        span = msgspec.structs.replace(BOOT.stages[3], bytes=6_000_000, percent=50.0)
        world.push(timelines=(msgspec.structs.replace(BOOT, stages=(*BOOT.stages[:3], span)),))
        await ui.settle(lambda: "6.0 MB of 12 MB 50%" in ui.text())


async def test_the_stage_column_tells_percent_ratio_and_end(cockpit) -> None:
    async with cockpit(size=(120, 30)) as ui:
        for stage, words in (
            (StageState(Stage.HTTP_INITRD, NOW - 3, 45.0, 10.0), "~ http-initrd 45%"),
            (StageState(Stage.DHCP_LOADER, NOW - 24, None, 10.0), "~ dhcp-loader 2.4x  "),
            (StageState(Stage.FACTS, NOW - 24, None, 10.0), "~ facts 2.4x usual"),
            (StageState(Stage.DHCP_LOADER, NOW - 24, None, 10.0, "failed", "stopped"), "✗ dhcp-loader"),
            (StageState(Stage.INSTALLER_UP, NOW - 24, None, None, "done", "installer-up"), "✓ installer-up"),
        ):
            ui.world.change("node03", stage=stage)
            await ui.settle(lambda words=words: words in ui.text())
