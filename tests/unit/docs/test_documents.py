"""What the documents name is there: pages and headings behind links, files, modules, commands; and what is generated is
what it is generated from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from plasmatui.cli.main import cli
from plasmatui.cli.manual import DOCUMENTS
from plasmatui.pages import INDEX

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"(?m)^ {4}plasmatui (.+?)(?: {2,}.*)?$")
_SOURCE = re.compile(r"`((?:plasmatui/)?[a-z_]+(?:/[a-z_*]+)*\.(?:py|tcss)|plasmatui/[a-z_/]+)`")
_OPTIONS = ("-i", "--inventory", "--theme")


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```", "", text)


def anchors(text: str) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", prose(text))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in _LINK.findall(prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(there.read_text()), f"{name}: {target}"


def test_the_index_names_every_page() -> None:
    linked = {target.partition("#")[0] for target in _LINK.findall((ROOT / "docs" / INDEX).read_text())}
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert sorted(pages - linked - {INDEX}) == []


@pytest.mark.parametrize("name", [*NAMES, "docs/plasmatui.1"])
def test_commands_exist(name: str) -> None:
    """Every `plasmatui COMMAND SUBCOMMAND` that a page shows, in its text or as an example."""
    text = (ROOT / name).read_text()
    for example in [
        *_BLOCK.findall(text),
        *(c.removeprefix("plasmatui ") for c in _CODE.findall(text) if c.startswith("plasmatui ")),
    ]:
        words = list(_words(example.split()))
        command: click.Command | None = cli
        while words and isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            command = command.get_command(click.Context(command), words.pop(0))
            assert command is not None, f"{name}: plasmatui {example}"


def _words(given: list[str]) -> Iterator[str]:
    """Without the options before the command and the value of each."""
    words = iter(given)
    for word in words:
        if word in _OPTIONS:
            next(words, "")
        elif word.startswith("-") or word.isdigit():
            continue
        else:
            yield word.rstrip(",.;")
            yield from (each.rstrip(",.;") for each in words)


@pytest.mark.parametrize("name", NAMES)
def test_modules_exist(name: str) -> None:
    """Every file of the program that is named in a page, from the sources' root or from the package."""
    for path in _SOURCE.findall((ROOT / name).read_text()):
        places = (ROOT / path, ROOT / "plasmatui" / path)
        found = any(place.exists() or list(place.parent.glob(place.name)) for place in places)
        bare = "/" not in path and list((ROOT / "plasmatui").rglob(path))
        assert found or bare, f"{name}: {path}"


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_generated_pages_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == DOCUMENTS[name](), "run: python -m plasmatui.cli.manual"
