"""The Health view and what is told of health."""

from __future__ import annotations

import msgspec

from plasmatui.model import wire
from plasmatui.model.health import HealthLook, NodeServices, ReplicaSeen, Replication
from plasmatui.model.words import Health
from tests.ui.clusters import cluster, service, trends
from tests.ui.fake import FakeWorld


def matrix(ui):
    return ui.main.query_one("#matrix")


async def opened(ui):
    await ui.press("5")
    await ui.settle(lambda: matrix(ui).order)


async def test_problems_come_first_and_the_service_under_the_cursor_is_told(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        await opened(ui)
        assert matrix(ui).order[:5] == ["node02", "node01", "node03", "node07", "node05"]
        assert matrix(ui).order[-1] == "node12", "what is off is no problem"
        text = ui.text()
        assert "chainfire at risk  2/3 voters, margin 0" in text
        assert "✓ node01 leader  ▲ node02 unreachable  ✓ node03 follower" in text
        assert "flaredb   majority lost  no leader  1/3 voters, margin -1" in text
        assert text.index("flaredb") < text.index("chainfire"), "the worst group comes first"
        assert "node02 chainfire  ✗ failed  since 22:12:38  1200 ms" in text
        await ui.press("down", "right", "right")
        assert "node01 iam  ? silent" in ui.text()
        assert "→ Look at `systemctl status iam.service` on node01." in ui.text()
        assert "✓!" in ui.text(), "that TLS was not verified"
        await ui.press("down", "left")
        assert "TLS not verified" in ui.text()
        await ui.press("end", *["right"] * 7)
        assert "the node's profile does not run it" in ui.text()
        await ui.press("left", "left", "left")
        assert "node12 prismnet  ○ off" in ui.text()


async def test_certificates_clocks_systems_and_first_boots_are_told(cockpit) -> None:
    async with cockpit(cluster(), size=(200, 60)) as ui:
        await opened(ui)
        rows = {line[2:8]: line for line in ui.text().splitlines() if line[2:6] == "node"}
        assert "89d" in rows["node02"]
        assert "✗ no join" in rows["node02"]
        assert "▲ drift" in rows["node03"]
        assert "✓ ok ▲ cert" in rows["node07"]
        assert "▲ 12d" in rows["node07"]
        assert "▲ +5m" in rows["node07"]
        assert "unknown" in rows["node07"]
        assert "▲ 1 failed" in rows["node05"]
        assert "flaredb join refused: no leader [/]" in ui.text()
        await ui.press("down", "down")
        assert "runs 25.11.1 (aaaaaa), boots next 25.11.2 (bbbbbb)" in ui.text()
        await ui.press("down")
        assert "system ? ssh to node07: connection refused" in ui.text()
        await ui.press("down")
        assert "failed: smartd.service" in ui.text()
        await ui.press("down", "f")
        assert "differs" in rows["node09"]
        assert "the flake declared 25.11.2 (bbbbbb) at 22:11:40" in ui.text()
        await ui.settle(lambda: wire.LookSystems(("node09",), declared=True) in ui.world.of(wire.LookSystems))
        await ui.press("end", "s")
        assert "system not asked yet (s asks)" in ui.text()
        await ui.settle(lambda: wire.LookSystems() in ui.world.of(wire.LookSystems))


async def test_trends_are_drawn_over_all_nodes_and_for_the_service_under_the_cursor(cockpit) -> None:
    async with cockpit(cluster(), size=(200, 60)) as ui:
        await opened(ui)
        assert "120 ▁▁▁▁▃▁▁█" in ui.text()
        await ui.press("down", "right", "right")
        await ui.settle(lambda: "▂▂▂▃▅▂??" in ui.text())
        asked = [body.node for body in ui.world.of(wire.AskTrend)]
        ui.world.push(look=HealthLook(True, 5.0, 10.0, trends()))
        await ui.settle(lambda: len(ui.world.of(wire.AskTrend)) > len(asked))


async def test_replication_is_checked_only_after_a_yes(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        ui.world.answers[wire.CheckReplication] = lambda *_: wire.Replications(
            (
                Replication("chainfire", "key", "node01", "", (ReplicaSeen("node03", True, 0.3),)),
                Replication("flaredb", "point", "node01", "node01 did not take it: HTTP 503"),
            )
        )
        await opened(ui)
        await ui.press("V")
        assert "PUT /v1/kv/plasmatui-replication-check at node01, then read at node02, node03" in ui.text()
        await ui.press("enter")
        assert not ui.world.of(wire.CheckReplication)
        await ui.press("1", "colon")
        await ui.type("replication")
        await ui.press("enter", "y")
        await ui.settle(lambda: "written at node01; node03 has it after 0.3 s" in ui.text())
        assert "node01 did not take it: HTTP 503" in ui.text()
        assert ui.main.view_name == "health"


async def test_a_node_in_full_tells_of_its_services_groups_and_system(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        await opened(ui)
        await ui.press("enter", *["right_square_bracket"] * 4)
        await ui.settle(lambda: "raft groups" in ui.text())
        assert "✗ chainfire failed  ✓ flaredb  ✓ iam" in ui.text()
        assert "chainfire follower, unreachable" in ui.text()
        assert "flaredb join refused: no" in ui.text()


async def test_the_journal_of_the_service_under_the_cursor(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        lines = tuple(f"2026-11-28T04:00:{second:02d} node02 chainfire[1]: line {second} [/]" for second in range(60))
        ui.world.answers[wire.AskJournal] = lambda _, body: wire.Journal((f"{body.service}.service",), lines)
        await opened(ui)
        await ui.press("u")
        await ui.settle(lambda: "line 59 [/]" in ui.text())
        assert ui.world.of(wire.AskJournal) == [wire.AskJournal("node02", "chainfire")]
        assert "chainfire.service, asked at" in ui.text()
        await ui.press("home")
        assert "line 0 [/]" in ui.text()
        await ui.press("r")
        await ui.settle(lambda: len(ui.world.of(wire.AskJournal)) == 2)
        await ui.press("escape", "end", "u")
        await ui.settle(lambda: "the node's profile does not run this service" in ui.toasts())


async def test_changes_are_followed_and_told(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        await opened(ui)
        await ui.press("down")
        world = ui.world
        well = NodeServices("node02", tuple(service(each.service) for each in world.services[1].services))
        states = [
            msgspec.structs.replace(world.states[name], health=health)
            for name, health in (("node02", Health.OK), ("node05", Health.DEGRADED))
        ]
        odd = NodeServices("node05", (service("plasmavmc", Health.DEGRADED, "degraded"), service("prismnet")))
        world.push(*states, services=(well, odd), look=HealthLook(True, 5.0, 10.0))
        await ui.settle(lambda: matrix(ui).order[:3] == ["node01", "node03", "node05"])
        assert matrix(ui).cursor_key == "node01", "the cursor stays with its row"
        await ui.settle(lambda: len(ui.toasts()) == 2)
        assert ui.toasts() == ["node05: services degraded: plasmavmc degraded", "node02: its services are well again"]


async def test_it_leads_to_the_node_its_console_its_logs_and_its_boot(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        await opened(ui)
        for key, view in (("enter", "node"), ("c", "consoles"), ("l", "logs"), ("b", "node")):
            await ui.press(key)
            await ui.settle(lambda view=view: ui.main.view_name == view)
            for _ in range(3):  # of logs, the first one takes back what narrows them
                if ui.main.view_name != "health":
                    await ui.press("escape")
            assert ui.main.view_name == "health"
        assert ui.main.view.targets() == ("node02",)


async def test_filter_and_problems_narrow_it_and_escape_widens(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        await opened(ui)
        await ui.press("x")
        assert matrix(ui).order == ["node02", "node01", "node03", "node07"]
        await ui.press("slash")
        await ui.type("health=failed")
        await ui.press("enter")
        assert matrix(ui).order == ["node02"]
        await ui.press("escape", "escape")
        assert len(matrix(ui).order) == 12


async def test_without_a_cluster_it_says_so_and_asks_when_told(cockpit) -> None:
    async with cockpit(FakeWorld()) as ui:
        await ui.press("5")
        await ui.settle(lambda: "names no CA" in ui.text())
        await ui.press("down", "right", "enter", "ctrl+r")
        await ui.settle(lambda: ui.world.of(wire.LookHealth))


async def test_hidden_it_draws_nothing(cockpit) -> None:
    async with cockpit(cluster()) as ui:
        await opened(ui)
        await ui.press("1")
        view = ui.main.switcher.get_child_by_id("health")
        drawn: list[int] = []
        view.grid.update_cells = lambda *_: drawn.append(1)
        view.grid.set_rows = lambda *_: drawn.append(1)
        ui.world.push(services=(NodeServices("node01", (service("iam", Health.FAILED, "x"),)),))
        await ui.settle(lambda: ui.context.store.services["node01"].services[0].status is Health.FAILED)
        await ui.pilot.pause(0.4)
        assert drawn == []


async def test_it_works_in_the_smallest_terminal_and_with_many_nodes(cockpit) -> None:
    async with cockpit(cluster(256), size=(60, 15), ascii=True) as ui:
        await opened(ui)
        assert "[x]" in ui.text(), "the glyph of the service under the cursor"
        await ui.press("end")
        assert len(matrix(ui).order) == 256


async def test_the_grid_of_nodes_tells_of_health_where_there_is_room(cockpit) -> None:
    for width, header in ((120, False), (160, True)):
        async with cockpit(cluster(), size=(width, 40)) as ui:
            assert ("HEALTH" in ui.text()) is header
            assert "✗ failed" in ui.text()
            assert "LAST EVENT" in ui.text()
