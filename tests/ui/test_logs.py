"""The Logs view: merged lines, following and standing still, search and filters over everything that is kept."""

from __future__ import annotations

import msgspec

from plasmatui.model import wire
from plasmatui.model.boot import LogFilter, LogLine
from plasmatui.ui.logtext import Look, line_parts, saved_line
from tests.ui.fake import FakeWorld


def world(count: int = 1200) -> FakeWorld:
    made = FakeWorld()
    made.log(*(f"DHCPACK number {i} [/]" for i in range(1, count + 1)))
    return made


async def test_lines_are_followed_and_moving_up_stands_still(cockpit) -> None:
    async with cockpit(world()) as ui:
        await ui.press("3")
        await ui.settle(lambda: "number 1200" in ui.text())
        assert "FOLLOW" in ui.text()
        ui.world.log("a new line")
        await ui.settle(lambda: "a new line" in ui.text())
        await ui.press("up")
        before = ui.main.view.pane._visible()
        ui.world.log(*("flood" for _ in range(300)), severity="error")
        await ui.settle(lambda: "+300" in ui.text())
        assert "FOLLOW off" in ui.text()
        assert "flood" not in ui.text()
        assert ui.main.view.pane._visible() == before, "nothing moves under the reader"
        await ui.press("G")
        await ui.settle(lambda: "flood" in ui.text())
        assert "FOLLOW off" not in ui.text()
        await ui.press("1")
        await ui.settle(lambda: ui.world.followed is None)


async def test_search_goes_over_everything_that_is_kept(cockpit) -> None:
    async with cockpit(world(3000)) as ui:
        await ui.press("3")
        await ui.settle(lambda: "number 3000" in ui.text())
        await ui.press("slash")
        await ui.type("number 42 |number 2999")
        await ui.press("enter")
        await ui.settle(lambda: "(2 of 2 hits)" in ui.text())
        await ui.press("N")
        await ui.settle(lambda: "number 42 " in ui.text())
        assert ui.main.view.pane.current.seq == 42
        assert any(line.rstrip().endswith("◂") for line in ui.text().splitlines())
        await ui.press("n")
        await ui.settle(lambda: ui.main.view.pane.current.seq == 2999)
        await ui.press("escape", "escape")
        await ui.settle(lambda: "hits" not in ui.text() and "number 3000" in ui.text())


async def test_the_past_is_read_page_by_page(cockpit) -> None:
    async with cockpit(world()) as ui:
        await ui.press("3")
        await ui.settle(lambda: len(ui.main.view.pane.lines) == 500)
        for _ in range(25):
            await ui.press("pageup")
        await ui.settle(lambda: len(ui.main.view.pane.lines) == 1000)
        await ui.press("g")
        await ui.settle(lambda: "number 1 " in ui.text())
        for _ in range(20):
            await ui.press("pagedown")
        await ui.settle(lambda: len(ui.main.view.pane.lines) == 1000)
        seqs = [line.seq for line in ui.main.view.pane.lines]
        assert seqs == list(range(1, 1001))


async def test_filters(cockpit) -> None:
    made = world(20)
    made.log("timeout of node two", node="node02", kind="tftp")
    async with cockpit(made) as ui:
        await ui.press("down", "l")
        await ui.settle(lambda: "timeout of node two" in ui.text() and "DHCPACK" not in ui.text())
        assert "node=node02" in ui.text()
        await ui.press("o", "f")
        await ui.settle(lambda: "DHCPACK" in ui.text())
        await ui.type("number 1")
        await ui.press("enter")
        await ui.settle(lambda: "timeout" not in ui.text())
        await ui.press("x")
        await ui.type("1[2-9]")
        await ui.press("enter")
        await ui.settle(lambda: [line.seq for line in ui.main.view.pane.lines] == [1, 10, 11])
        assert ui.world.followed == LogFilter(include="number 1", exclude="1[2-9]")
        await ui.press("f")
        await ui.type("(")
        await ui.press("enter")
        assert "no regular expression" in ui.text()
        await ui.press("escape", "colon")
        await ui.type("logs tftp")
        await ui.press("enter")
        await ui.settle(lambda: ui.world.followed is not None and ui.world.followed.kinds == ("tftp",))


async def test_sources_are_a_checklist_with_their_standing(cockpit) -> None:
    async with cockpit(world(5)) as ui:
        await ui.press("3", "a")
        await ui.settle(lambda: "Log sources" in ui.text())
        assert "no such file: /var/log/nginx/access.log" in ui.text()
        await ui.press("down", "space", "enter")
        await ui.settle(lambda: ui.world.followed == LogFilter(sources=("dhcp kea pxe01",)))


async def test_marks_times_wrap_and_saving(cockpit, private_directories) -> None:
    made = world(5)
    made.log("x" * 300)
    async with cockpit(made) as ui:
        await ui.press("3")
        await ui.settle(lambda: "number 5" in ui.text())
        await ui.press("up", "up", "m", "T")
        await ui.settle(lambda: "+2.0s" in ui.text() and "-3.0s" in ui.text())
        await ui.press("t", "w")
        await ui.settle(lambda: ui.text().count("x" * 20) > 1)
        await ui.press("ctrl+s")
        await ui.settle(lambda: any("6 lines saved" in toast for toast in ui.toasts()))
        (path,) = (private_directories / "state" / "plasmatui" / "saved").iterdir()
        assert path.read_text().splitlines()[0].endswith("node01 DHCPACK number 1 [/]")


async def test_the_time_of_a_line_is_shown_once(cockpit) -> None:
    made = world(1)
    made.log(
        "2026-11-21 05:24:04.676 INFO  [kea] one", "Nov 21 05:24:01 pxe01 in.tftpd[3]: two", "2 or 3 of 2023-11-14"
    )
    async with cockpit(made) as ui:
        await ui.press("3")
        await ui.settle(lambda: "2 or 3 of 2023-11-14" in ui.text())
        assert "node01     INFO  [kea] one" in ui.text()
        assert "node01     pxe01 in.tftpd[3]: two" in ui.text()
        await ui.press("t", "t")
        await ui.settle(lambda: "2026-11-21 05:24:04.676 INFO" in ui.text())


async def test_frozen_logs_stand_still_and_skipped_lines_are_said(cockpit) -> None:
    async with cockpit(world(5)) as ui:
        await ui.press("3")
        await ui.settle(lambda: "number 5" in ui.text())
        await ui.press("equals_sign")
        ui.world.log("late")
        await ui.pilot.pause(0.4)
        assert "late" not in ui.text()
        await ui.press("equals_sign")
        await ui.settle(lambda: "late" in ui.text())
        ui.world.log("last")
        ui.world.engine.on_logs(wire.LogLines((ui.world.logs[-1],), skipped=1204))
        await ui.settle(lambda: "1204 lines skipped" in ui.text())


async def test_a_new_connection_follows_again(cockpit) -> None:
    async with cockpit(world(5)) as ui:
        await ui.press("3")
        await ui.settle(lambda: ui.world.followed is not None)
        ui.world.lose()
        ui.world.followed = None
        ui.world.down = False
        await ui.press("ctrl+r")
        await ui.settle(lambda: ui.world.followed is not None)
        ui.world.log("after the break")
        await ui.settle(lambda: "after the break" in ui.text())


async def test_lines_stand_at_their_times(cockpit) -> None:
    made = world(3)
    async with cockpit(made) as ui:
        await ui.press("3")
        await ui.settle(lambda: "number 3" in ui.text())
        first, second = made.logs[1].wall, made.logs[2].wall
        late = msgspec.structs.replace(made.logs[0], seq=4, wall=(first + second) / 2, text="late")
        made.logs.append(late)
        made.engine.on_logs(wire.LogLines((late,)))
        await ui.settle(lambda: "late" in ui.text())
        pane = ui.main.view.pane
        assert [line.seq for line in pane.lines] == [1, 2, 4, 3]
        await ui.press("up")
        later = msgspec.structs.replace(late, seq=5, wall=first + 0.1, text="later")
        made.engine.on_logs(wire.LogLines((later,)))
        await ui.settle(lambda: "+1" in ui.text())
        assert [line.seq for line in pane.lines][:4] == [1, 2, 4, 3], "nothing moves under the reader"
        await ui.press("G")
        await ui.settle(lambda: [line.seq for line in pane.lines] == [1, 2, 5, 4, 3])


async def test_sources_and_nodes_side_by_side(cockpit) -> None:
    made = world(0)
    for i in range(1, 41):
        made.log(f"lease {i} end", node=f"node0{i % 2 + 1}", kind="dhcp")
        made.log(f"fetch {i} end", node=f"node0{i % 2 + 1}", kind="http")
    async with cockpit(made, size=(120, 30)) as ui:
        view = lambda: ui.main.view  # noqa: E731 - the view is made when it is shown
        await ui.press("3")
        await ui.settle(lambda: "fetch 40 end" in ui.text())
        await ui.press("c")
        await ui.settle(lambda: [column.lane.title for column in view().columns] == ["dhcp", "http", "console"])
        await ui.settle(lambda: "lease 40 end" in ui.text() and "fetch 40 end" in ui.text())
        assert {line.kind for line in view().columns[0].pane.lines} == {"dhcp"}
        made.log("lease 41 end", kind="dhcp")
        await ui.settle(lambda: "lease 41 end" in ui.text())
        await ui.press("tab")
        assert view().column.lane.title == "http"
        await ui.press("slash")
        await ui.type(" 7 end")
        await ui.press("enter")
        await ui.settle(lambda: "(1 of 1 hits)" in ui.text())
        assert view().pane.current.text == "fetch 7 end"
        await ui.settle(lambda: view().columns[0].pane.current.text == "lease 7 end")
        await ui.press("j")
        await ui.settle(lambda: view().columns[0].pane.current.text == "lease 8 end")
        made.log("lease 42 end", kind="dhcp")
        await ui.settle(lambda: "+1" in ui.text())
        assert not any(column.pane.following for column in view().columns)
        await ui.press("escape", "G")
        await ui.settle(lambda: all(column.pane.following for column in view().columns))
        await ui.press("1", "space", "space", "3", "c")
        await ui.settle(lambda: [column.lane.title for column in view().columns] == ["node01", "node02"])
        assert {line.node for line in view().columns[1].pane.lines} == {"node02"}
        await ui.press("c")
        await ui.settle(lambda: len(view().columns) == 1)


async def test_a_narrow_screen_shows_the_columns_that_fit(cockpit) -> None:
    made = world(0)
    for kind in ("dhcp", "http", "console"):
        made.log(f"of {kind}", kind=kind)
    async with cockpit(made, size=(80, 24)) as ui:
        await ui.press("3", "c")
        await ui.settle(lambda: "of http" in ui.text() and "1 more: tab" in ui.text())
        assert "of console" not in ui.text()
        await ui.press("shift+tab")
        await ui.settle(lambda: "of console" in ui.text() and "of dhcp" not in ui.text())


def test_what_nobody_reads_is_left_out_until_lines_are_wrapped() -> None:
    kea = "2026-11-27 23:46:23.359 INFO  [kea-dhcp4.leases/22678.140628299306944] DHCP4_LEASE_OFFER [hwtype=1]"
    web = '10.100.4.2 - - [27/Nov/2026:23:45:36 +0000] "GET /boot.ipxe HTTP/1.1" 200 555'
    for text, short in (
        (kea, "INFO DHCP4_LEASE_OFFER [hwtype=1]"),
        (web, '10.100.4.2 "GET /boot.ipxe HTTP/1.1" 200 555'),
    ):
        line = LogLine(1, 1_700_000_000.9996, "log", "dhcp", "n1", text)
        assert line_parts(line, Look(), "*")[-1][0] == short
        assert line_parts(line, Look(whole=True), "*")[-1][0] == text
        assert line_parts(line, Look(), "*")[0][0] == " 22:13:21.000", "rounded once"
        assert saved_line(line) == f"2023-11-14T22:13:21.000Z log n1 {text}\n"
