"""Theme files: the shipped ones, the user's, and broken ones."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from textual.color import Color

from plasmatui.paths import config_dir
from plasmatui.ui import themes
from plasmatui.ui.themes import ROLES, ThemeError, load_themes, packaged_dir, read_theme
from tests.ui.fake import FakeWorld

SHIPPED = {"dark", "light", "high-contrast", "deuteranopia", "ansi-16"}
GOOD = "name: mine\ncolors: {primary: '#112233'}\nroles: {ok: tomato}\n"


def user(name: str, text: str) -> Path:
    path = config_dir() / "themes" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_shipped_themes_are_complete() -> None:
    found, problems = load_themes()
    assert problems == []
    assert set(found) == SHIPPED
    for file in found.values():
        assert set(file.roles) == set(ROLES)


def contrast(one: Color, other: Color) -> float:
    """WCAG 2.1, contrast ratio."""

    def luminance(colour: Color) -> float:
        parts = [c / 255 for c in colour.rgb]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("name", "least"), [("dark", 4.5), ("light", 4.5), ("deuteranopia", 4.5), ("high-contrast", 7.0)]
)
def test_roles_can_be_read(name: str, least: float) -> None:
    file = load_themes()[0][name]
    background = Color.parse(file.theme.background or "")
    for role in ROLES:
        if role != "cursor":
            assert contrast(Color.parse(file.roles[role]), background) >= least, role
    cursor = Color.parse(file.roles["cursor"])
    assert contrast(Color.parse(file.theme.foreground or ""), cursor) >= 4.5


def test_a_users_theme_with_defaults() -> None:
    user("mine.yaml", GOOD)
    found, problems = load_themes()
    assert problems == []
    assert found["mine"].roles["ok"] == "tomato"
    assert found["mine"].roles["busy"] == "#112233"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not YAML"),
        ("- a", "expected a mapping"),
        ("name: x\ncolors: {primary: nocolour}", "'nocolour' is no colour"),
        ("name: x\ncolors: {primary: 12}", "12 is no colour"),
        ("name: x\ncolors: {primary: red, tertiary: red}", "colors.tertiary"),
        ("name: x\ncolors: {primary: red}\nroles: {okay: red}", "roles.okay"),
        ("name: x\ncolors: {}", "colors.primary is missing"),
        ("name: x", "colors: expected"),
        ("name: '[/]'\ncolors: {primary: red}", "name:"),
        ("name: x\ncolors: {primary: red}\ndark: maybe", "dark: true or false"),
        ("name: x\ncolors: {primary: red}\nfont: x", "unknown keys: font"),
        ("a: &a [x]\nb: *a\n" + "#" * 70_000, "longer than"),
    ],
)
def test_broken_files_say_what_is_wrong(text: str, words: str) -> None:
    path = user("broken.yaml", text)
    with pytest.raises(ThemeError, match=r".") as error:
        read_theme(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


async def test_broken_files_are_one_toast(cockpit) -> None:
    user("broken.yaml", "colors: {primary: '[/]'}")
    user("other.yaml", "[")
    user("mine.yaml", GOOD)
    async with cockpit(theme="mine") as ui:
        (toast,) = ui.toasts()
        assert "broken.yaml" in toast
        assert "other.yaml" in toast
        assert ui.app.theme == "mine"


async def test_an_unknown_theme_falls_back(cockpit) -> None:
    async with cockpit(theme="nothing") as ui:
        assert ui.app.theme == "dark"
        assert "no theme 'nothing'" in ui.toasts()[0]


async def test_every_theme_can_be_switched_to(cockpit) -> None:
    async with cockpit(FakeWorld()) as ui:
        for name in sorted(SHIPPED):
            await ui.press("colon")
            await ui.type(f"theme {name}")
            await ui.press("enter")
            assert ui.app.theme == name
            assert "node01" in ui.text()


def test_a_wheel_carries_the_themes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the wheel's `force-include` puts beside the modules is found there first."""
    package = tmp_path / "plasmatui"
    (package / "themes").mkdir(parents=True)
    monkeypatch.setattr(themes.plasmatui, "__file__", str(package / "__init__.py"))
    assert packaged_dir() == package / "themes"


def test_an_installed_wheel_finds_its_themes(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    wheel = tmp_path / "site"
    for source, target in (("plasmatui", "plasmatui"), ("themes", "plasmatui/themes")):
        archive = tmp_path / "one.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in (root / source).rglob("*"):
                if path.suffix in (".py", ".yaml", ".tcss"):
                    file.write(path, f"{target}/{path.relative_to(root / source)}")
        with zipfile.ZipFile(archive) as file:
            file.extractall(wheel)
    code = "from plasmatui.ui.themes import load_themes, packaged_dir; print(packaged_dir(), *sorted(load_themes()[0]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=wheel, check=True)
    assert result.stdout.split() == [str(wheel / "plasmatui" / "themes"), *sorted(SHIPPED)]
