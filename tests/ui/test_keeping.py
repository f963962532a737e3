"""The screen is opened again where it was left."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmatui.ui.keeping import Kept, read, write


async def test_the_screen_comes_back_to_where_it_was_left(cockpit, tmp_path: Path) -> None:
    keep = tmp_path / "state" / "screen.json"
    async with cockpit(keep=keep) as ui:
        await ui.press("slash")
        await ui.type("@worker")
        await ui.press("enter", "j", "o", "2", "space", "colon")
        await ui.type("theme light")
        await ui.press("enter", "5")
        await ui.settle(lambda: ui.main.view_name == "health")
        node = ui.context.current
        ui.app.exit()
    kept = read(keep)
    assert (kept.view, kept.node, kept.filter, kept.order) == ("health", node, "@worker", "power")
    assert (kept.theme, kept.history) == ("light", ("theme light",))
    async with cockpit(keep=keep) as ui:
        await ui.settle(lambda: ui.main.view_name == "health")
        assert ui.app.theme == "light"
        await ui.press("1")
        text = ui.text()
        assert "/@worker" in text
        assert "order: power" in text
        assert ui.context.current == node
        assert not ui.context.marks, "what an order goes to is chosen anew"


async def test_a_node_that_is_gone_leaves_the_screen_at_the_nodes(cockpit, tmp_path: Path) -> None:
    keep = tmp_path / "screen.json"
    write(keep, Kept("node", "node99", "boot", order="colour"))
    async with cockpit(keep=keep) as ui:
        assert ui.main.view_name == "nodes"
        assert "nodes 12/12" in ui.text()


async def test_the_node_that_was_open_is_open_again_with_its_tab(cockpit, tmp_path: Path) -> None:
    keep = tmp_path / "screen.json"
    async with cockpit(keep=keep) as ui:
        await ui.press("j", "enter", "right_square_bracket")
        await ui.settle(lambda: ui.main.view_name == "node")
        ui.app.exit()
    assert (read(keep).view, read(keep).node, read(keep).tab) == ("node", "node02", "boot")
    async with cockpit(keep=keep) as ui:
        await ui.settle(lambda: ui.main.view_name == "node")
        assert ui.main.shown_node() == ("node02", "boot")
        await ui.press("escape")
        assert ui.main.view_name == "nodes"


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'{"view": 3}', b'{"later": "version"}', b"\xff"])
def test_a_file_that_cannot_be_used_keeps_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "screen.json"
    path.write_bytes(data)
    assert read(path) == Kept()


def test_a_directory_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    write(tmp_path / "file" / "screen.json", Kept("logs"))
    assert read(tmp_path / "file" / "screen.json") == Kept()
