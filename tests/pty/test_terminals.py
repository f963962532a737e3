"""The screen on terminals of every kind: small, without colours, ASCII only, dumb, none; and what idleness costs."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.output import modes_left, styles, tokens, violations
from tests.support.site import Screen, Site, site

pytestmark = pytest.mark.pty

MOUSE = {"1000", "1003", "1006", "1015"}
COLOUR = frozenset((*range(30, 39), *range(40, 49), *range(90, 98), *range(100, 108)))


@pytest.fixture(scope="module")
def lab() -> Iterator[Site]:
    """Quiet machines, all off: nothing happens that a test does not do."""
    with site(nodes=12, on=0) as made:
        made.engine()
        yield made


def shown(screen: Screen) -> Screen:
    """Wait until the grid and its last node are there."""
    screen.see("link ok")
    screen.see("node12")
    screen.see("12 off")
    return screen


def tour(screen: Screen) -> bytes:
    """Look at every view and dialog, then leave; all that was written."""
    shown(screen)
    for keys, pattern in (
        (b"2", "consoles 1-"), (b"4", "operations"), (b"6", r"events \d+"), (b"1", "order: node"),
    ):  # fmt: skip
        screen.send(keys)
        screen.see(pattern)
    screen.send(b"p")
    screen.see("sensors|events")
    screen.send(b"P")
    screen.see("Power: 1 node")
    screen.send(b"o")
    screen.see("y accepts")
    screen.see("Cancel")
    screen.escape("Power: 1 node")
    screen.send(b"B")
    screen.see("Boot: 1 node")
    screen.see("Cancel")
    screen.escape("Boot: 1")
    for keys, pattern in ((b"A", "All actions"), (b"?", "closes"), (b"@", "Command log"), (b"!", "Problems")):
        screen.send(keys)
        screen.see(pattern)
        screen.escape(pattern)
    screen.press_until(b"q", "Leave the screen")
    screen.send(b"y")
    assert screen.wait() == 0
    written = bytes(screen.output)
    assert b"Traceback" not in written
    assert violations(written) == []
    return written


def colours(written: bytes) -> list[list[int]]:
    """Every style that sets a colour, the default colours (39, 49) excepted."""
    found = []
    for style in styles(written):
        rest = list(style)
        while rest:
            number = rest.pop(0)
            if number in COLOUR:
                found.append(style)
                break
    return found


def test_80x24(lab: Site) -> None:
    written = tour(lab.screen(rows=24, columns=80))
    assert colours(written), "the measure of the tests below finds colours where there are some"
    assert any(style[index : index + 2] == [38, 2] for style in styles(written) for index in range(len(style)))
    assert not written.isascii()
    assert modes_left(written).keys() >= MOUSE


def test_too_small_says_so_and_recovers(lab: Site) -> None:
    screen = lab.screen(rows=14, columns=59)
    screen.see("terminal too small: 59x14; 60x15 is needed")
    assert "node01" not in screen.text
    screen.resize(15, 60)
    screen.see("node01")
    assert "too small" not in screen.text
    screen.resize(3, 12)
    screen.see("12x3")
    screen.resize(24, 80)
    shown(screen)
    screen.press_until(b"q", "Leave the screen")
    screen.send(b"y")
    assert screen.wait() == 0


def test_no_color_sends_no_colour(lab: Site) -> None:
    written = tour(lab.screen(environment={"NO_COLOR": "1"}))
    assert styles(written), "bold and reverse are no colours"
    assert colours(written) == []


def test_ascii_sends_ascii(lab: Site) -> None:
    written = tour(lab.screen("--ascii"))
    assert [token.text for token in tokens(written) if not token.text.isascii()] == []


@pytest.mark.parametrize("environment", [{"LANG": "C"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}])
def test_locale_c(lab: Site, environment: dict[str, str]) -> None:
    screen = shown(lab.screen(environment={"LC_ALL": "", **environment}))
    screen.press_until(b"q", "Leave the screen")
    screen.send(b"y")
    assert screen.wait() == 0
    assert violations(bytes(screen.output)) == []


def test_256_colours(lab: Site) -> None:
    written = tour(lab.screen(environment={"COLORTERM": ""}))
    assert colours(written)
    pairs = [style[index : index + 2] for style in styles(written) for index in range(len(style) - 1)]
    assert [38, 2] not in pairs
    assert [48, 2] not in pairs


def test_no_mouse_leaves_the_mouse_alone(lab: Site) -> None:
    screen = shown(lab.screen("--no-mouse"))
    screen.press_until(b"q", "Leave the screen")
    screen.send(b"y")
    assert screen.wait() == 0
    set_on = [token.text for token in tokens(bytes(screen.output)) if token.text.endswith("h")]
    assert [text for text in set_on if text[3:-1] in MOUSE] == []
    assert "\x1b[?1049h" in set_on


@pytest.mark.parametrize("term", ["dumb", ""])
def test_terminal_without_cursor_is_refused(lab: Site, term: str) -> None:
    screen = lab.screen(environment={"TERM": term})
    assert screen.wait() == 2
    assert b"\x1b" not in screen.output
    assert b"plasmatui nodes" in screen.output, "no hint at what to use instead"


def test_no_terminal_is_refused(lab: Site) -> None:
    for stdin in (subprocess.DEVNULL, subprocess.PIPE):
        done = subprocess.run(
            lab.command(), env=lab.env | {"TERM": "xterm-256color"}, stdin=stdin, capture_output=True, timeout=30,
            check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stdout == b""
        assert b"needs a terminal" in done.stderr
        assert b"plasmatui nodes" in done.stderr


def test_idle_screen_writes_nothing(lab: Site) -> None:
    screen = shown(lab.screen(rows=50, columns=160))
    screen.quiet(1.5)
    windows = []
    for _ in range(3):
        begin = len(screen.output)
        screen.read(5.0)
        windows.append(bytes(screen.output[begin:]))
    # The clock shows minutes, and a busy machine changes the latency of BMCs: such a patch may fall into a window.
    written = min(windows, key=len)
    assert len(written) <= 150, written
    assert written.count(b"\x1b[?2026h") <= 1, "more than one frame"


def test_one_change_costs_little(lab: Site) -> None:
    """A machine is switched on by its own button: the row's power and event, the counts of the status line.

    A whole frame of this size is 20 kB and more; a cell in colour with its cursor move is some fifty bytes.
    """
    screen = shown(lab.screen(rows=50, columns=160))
    press_button(lab, "node06", on=True)  # the first change after the start may draw more
    screen.see("1 on")
    press_button(lab, "node06", on=False)
    screen.see("12 off")
    screen.quiet(1.5)
    begin = len(screen.output)
    press_button(lab, "node05", on=True)
    screen.see("1 on")
    screen.quiet(0.7)
    cost = len(screen.output) - begin
    press_button(lab, "node05", on=False)
    screen.see("12 off")
    print(f"power of one node: {cost} bytes on 160x50")  # noqa: T201
    assert cost <= 800


def press_button(lab: Site, name: str, *, on: bool) -> None:
    """Change a machine's power without an order, and make the engine look."""
    lab.rack.rack.machines[name].powered = on
    assert lab.cli("power", "status", name).code == 0


def test_columns_and_lines_do_not_deceive(lab: Site) -> None:
    """COLUMNS and LINES may be stale: the terminal's own size counts, at the start and after a resize."""
    screen = shown(lab.screen(rows=30, columns=120, environment={"COLUMNS": "80", "LINES": "24"}))
    assert re.search("(?m)^.{105}", screen.text), screen.text
    screen.resize(40, 130)
    screen.see("(?m)^.{110}")
    os.kill(screen.pid, 15)
    assert screen.wait() == 143
