"""Keys that arrive in one piece, as they do over a slow link, mean what was typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.site import Site, site

pytestmark = pytest.mark.pty


@pytest.fixture
def lab() -> Iterator[Site]:
    with site(nodes=4, on=0) as made:
        made.engine()
        yield made


def test_text_typed_ahead_reaches_the_prompt_and_no_machine(lab: Site) -> None:
    screen = lab.screen()
    screen.see("node04")
    screen.see("link ok")
    screen.send(b"/Poy node03")
    screen.see("(?m)^/Poy node03")
    assert "Power:" not in screen.text
    screen.escape("(?m)^/")
    screen.send(b"/node03\r")
    screen.see("nodes 1/4  /node03")
    screen.send(b":P o y A B K")
    screen.see("(?m)^:P o y A B K")
    screen.escape("(?m)^:")
    assert lab.rack.powered() == []
    assert lab.cli("ops", "list").out == ""


def test_dialog_typed_ahead_is_not_confirmed_unseen(lab: Site) -> None:
    screen = lab.screen()
    screen.see("node04")
    screen.see("4 off")
    screen.send(b"Poy")
    screen.see("y accepts")  # the plan came after the y: it is asked, not done
    assert lab.cli("ops", "list").out == ""
