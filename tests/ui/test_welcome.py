"""What stands in the screen's place while there is no inventory that can be used; and the documents, read there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.pilot import Pilot

from plasmatui.inventory.loader import load
from plasmatui.inventory.starter import STARTER, write_starter
from plasmatui.pages import INDEX
from plasmatui.paths import config_dir
from plasmatui.ui.screens.docs import DocsScreen, page_lines
from plasmatui.ui.welcome import Trouble, WelcomeApp, WelcomeScreen, Wish


def trouble() -> Trouble:
    return Trouble("There is no rack to show yet", ("no inventory found", "  /here"), config_dir() / "inventory.yaml")


def text(pilot: Pilot[Wish]) -> str:
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_it_says_what_is_missing_where_and_what_to_do(size: tuple[int, int]) -> None:
    app = WelcomeApp(trouble())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        shown = text(pilot)
        for words in ("no rack to show yet", "/here", "s      Open a simulated rack", "w      Write", "q      Leave"):
            assert words in shown


@pytest.mark.parametrize(
    ("key", "wish"), [("s", Wish.SIM), ("r", Wish.AGAIN), ("q", Wish.LEAVE), ("escape", Wish.LEAVE)]
)
async def test_keys_choose(key: str, wish: Wish) -> None:
    app = WelcomeApp(trouble())
    async with app.run_test() as pilot:
        await pilot.press(key)
        await pilot.pause()
    assert app.return_value is wish


async def test_the_starter_is_written_once_and_can_be_used() -> None:
    app = WelcomeApp(trouble())
    path = config_dir() / "inventory.yaml"
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("w")
        await pilot.pause()
        assert f"A first inventory was written to {path}" in text(pilot)
        assert [action.id for action in screen(app)._actions()] == [
            "start.sim",
            "start.again",
            "start.docs",
            "start.leave",
        ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(load(path).nodes) == ["node01", "node02", "node03"]
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_starter(path)
    app = WelcomeApp(trouble())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("w")
        await pilot.pause()
        assert "It cannot be written" in text(pilot)
    assert path.read_text() == "mine"


def screen(app: WelcomeApp) -> WelcomeScreen:
    assert isinstance(app.screen, WelcomeScreen)
    return app.screen


async def test_where_a_file_is_wrong_nothing_is_written_over_it() -> None:
    app = WelcomeApp(Trouble("the inventory has an error", ("inventory.yaml:3:1: error: nodes",)))
    async with app.run_test() as pilot:
        await pilot.press("w")
        await pilot.pause()
        assert "inventory.yaml:3:1" in text(pilot)
    assert not (config_dir() / "inventory.yaml").exists()


async def test_the_documents_are_read_by_links() -> None:
    app = WelcomeApp(trouble())
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("d")
        await pilot.pause()
        assert isinstance(app.screen, DocsScreen)
        assert INDEX in text(pilot)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert "first-steps.md" in text(pilot).splitlines()[0]
        await pilot.press("escape")
        await pilot.pause()
        assert INDEX in text(pilot).splitlines()[0]
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, WelcomeScreen)


def test_pages_are_paragraphs_code_and_links() -> None:
    lines = page_lines(
        "# A\n\nsome\nwords, [a page](b.md#c)\n\n    code\n\n- one\n  and more\n- [out](https://x.example)\n"
    )
    assert [line.plain for line in lines] == [
        "# A", "", "some words, a page", "", "    code", "", "- one and more", "- out",
    ]  # fmt: skip
    assert [line.key.partition(" ")[2] for line in lines if line.key] == ["b.md#c"]


def test_the_starter_s_commented_keys_can_be_used_as_they_stand(tmp_path: Path) -> None:
    lines = [re.sub(r"^(  )?# (?=node04|  |logs|- )", r"\1", line) for line in STARTER.splitlines()]
    path = tmp_path / "inventory.yaml"
    path.write_text("\n".join(lines))
    inventory = load(path)
    assert "node04" in inventory.nodes
    assert len(inventory.logs) == 3
