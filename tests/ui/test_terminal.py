"""The screen on a real pseudo-terminal with an invented engine: bytes, signals, colours."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.terminal import Terminal

pytestmark = pytest.mark.pty

ROOT = Path(__file__).parents[2]
COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
READY = b"node0012"


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Path]:
    """An inventory whose engine is an invented one with twelve nodes that change nothing."""
    path = tmp_path / "inventory.yaml"
    path.write_text("version: 1\ncluster: {name: bench}\nnodes: {node0001: {}}\n")
    command = [sys.executable, "-m", "tests.support.fake_engine", str(path), "12", "0"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == b"ready"
        yield path
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


PROGRAM = """
import sys
from pathlib import Path
from plasmatui.ui.options import TuiOptions
from plasmatui.ui.start import start
sys.exit(start(TuiOptions(Path(sys.argv[1]), **eval(sys.argv[2]))))
"""


@contextmanager
def screen(inventory: Path, options: str = "{}", program: str = PROGRAM, **env: str) -> Iterator[Terminal]:
    assignments = [f"{name}={value}" for name, value in {"PYTHONPATH": str(ROOT), **env}.items()]
    command = ["env", *assignments, sys.executable, "-c", program, str(inventory), options]
    with Terminal(command, rows=30, columns=100) as term:
        yield term


def colours(output: bytes) -> set[bytes]:
    """Parameters of SGR that set a colour; 39 and 49 are the terminal's own."""
    found = set()
    for match in COLOUR.finditer(output):
        for part in match.group()[2:-1].split(b";"):
            if (part[:1] in (b"3", b"4") and len(part) == 2) or (part[:1] in (b"9", b"1") and len(part) in (2, 3)):
                found.add(part)
    return found - {b"39", b"49"}


def test_first_screen_and_orderly_end(inventory: Path) -> None:
    with screen(inventory) as term:
        assert term.read(15, READY)
        assert colours(bytes(term.output))
        term.send(b"q")
        assert term.read(5, b"goes on without")
        term.send(b"y")
        assert term.wait(5) == 0
    assert b"\x1b[?1049l" in term.output


def test_no_color_sends_no_colour(inventory: Path) -> None:
    with screen(inventory, NO_COLOR="1") as term:
        assert term.read(15, READY)
        term.send(b" P")
        assert term.read(5, b"Cancel")
        assert colours(bytes(term.output)) == set()
        assert re.search(rb"\x1b\[[0-9;]*7[;m]", term.output), "the cursor must be seen without colours, too"


def test_ascii_sends_ascii(inventory: Path) -> None:
    with screen(inventory, "{'ascii': True}") as term:
        assert term.read(15, READY)
        for keys, seen in ((b" P", b"Cancel"), (b"\x1b", b""), (b"?", b"search"), (b"\x1b", b""), (b"2", b"view")):
            term.send(keys)
            term.read(5 if seen else 0.3, seen or None)
        assert bytes(term.output).isascii()


def test_quiet_nodes_cost_nothing(inventory: Path) -> None:
    with screen(inventory) as term:
        assert term.read(15, READY)
        term.read(1.5)
        before = len(term.output)
        term.read(3.0)
        # The minute may pass while we look: the clock and what frames a frame.
        assert len(term.output) - before < 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_gives_the_terminal_back(inventory: Path, number: signal.Signals) -> None:
    with screen(inventory) as term:
        assert term.read(15, READY)
        os.kill(term.pid, number)
        assert term.wait(5) == 128 + number
    assert b"\x1b[?1049l" in term.output
    assert b"\x1b[?25h" in term.output


def test_a_signal_ends_it_although_the_terminal_takes_nothing(inventory: Path) -> None:
    with screen(inventory) as term:
        assert term.read(15, READY)
        for _ in range(400):  # far more frames than the pseudo-terminal's buffer and Textual's queue take
            term.send(b"2")
            term.send(b"1")
            time.sleep(0.005)
        begin = time.monotonic()
        os.kill(term.pid, signal.SIGTERM)
        assert term.process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - begin < 5


CRASH = PROGRAM.replace(
    "from plasmatui.ui.start",
    """
from plasmatui.ui.screens.main import MainScreen
def broken(self):
    password = "hunter2"
    raise RuntimeError(f"secret {password}")
MainScreen.action_freeze = broken
from plasmatui.ui.start""",
)


def test_a_crash_leaves_two_lines_and_a_private_file(inventory: Path, private_directories: Path) -> None:
    with screen(inventory, program=CRASH) as term:
        assert term.read(15, READY)
        before = len(term.output)
        term.send(b"=")
        assert term.wait(5) == 1
    after = bytes(term.output[before:])
    assert b"hunter2" not in after
    assert b"Traceback" not in after
    assert b"the engine and its operations go on" in after
    (path,) = (private_directories / "state" / "plasmatui" / "crash").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "RuntimeError" in text
    assert "broken" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(("term_name", "words"), [("dumb", "TERM=dumb"), ("", "TERM=unset")])
def test_no_screen_on_a_terminal_that_cannot(inventory: Path, term_name: str, words: str) -> None:
    with screen(inventory, TERM=term_name) as term:
        assert term.wait(10) == 1
    assert words.encode() in term.output
    assert b"plasmatui nodes" in term.output
    assert b"\x1b[?1049h" not in term.output


def test_no_screen_without_a_terminal(inventory: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(inventory), "{}"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=20)
    assert result.returncode == 1
    assert "needs a terminal" in result.stderr
    assert result.stdout == ""


def test_a_line_sends_only_the_cells_that_changed() -> None:
    import asyncio

    from textual.app import App, ComposeResult
    from textual.geometry import Region

    from plasmatui.ui.lines import Line

    class OneLine(App[None]):
        def compose(self) -> ComposeResult:
            yield Line()

    async def run() -> list[Region]:
        app = OneLine()
        async with app.run_test(size=(40, 3)) as pilot:
            line = app.query_one(Line)
            line.say([("nodes 12", "")], [("22:13Z", "bold")])
            await pilot.pause()
            regions: list[Region] = []
            line.refresh = lambda *r, **_: regions.extend(r)  # type: ignore[method-assign, assignment]
            line.say([("nodes 12", "")], [("22:14Z", "bold")])
            line.say([("nodes 12", "")], [("22:14Z", "bold")])
            return regions

    assert asyncio.run(run()) == [Region(38, 0, 1, 1)]
