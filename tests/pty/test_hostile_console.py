"""A hostile machine on `plasmatui console`: what really reaches a real terminal, byte for byte."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.pty.test_console_command import LIMIT, PREFIX, engine, inventory, modes, terminal
from tests.unit.cli.corpus import HOSTILE, forbidden
from tests.unit.cli.fake_engine import FakeEngine
from tests.unit.cli.program import command, environment

pytestmark = pytest.mark.pty

__all__ = ["engine", "inventory"]  # fixtures

END = b"\x18\r\n--- the corpus ends ---\r\n"  # CAN first: the corpus ends inside a sequence


def machine_bytes(output: bytes) -> bytes:
    """What the machine caused: everything but our own marked lines, whose form is fixed."""
    return re.sub(rb"\x1b\[0m\r\n\[plasmatui: [ -~]*\]\r\n", b"", output)


def test_hostile_history_and_stream(inventory: Path, engine: FakeEngine) -> None:
    corpus = b"".join(data + b"\r\n" for data in HOSTILE)
    engine.console_history = corpus[-8000:]
    with terminal(inventory, "console", "node01") as term:
        before = modes(term)
        assert term.read(LIMIT, b"lists keys]")
        for data in HOSTILE:
            engine.send_console(data)
            for byte in range(min(len(data), 60)):  # and cut at every byte
                engine.send_console(data[byte : byte + 1])
            engine.send_console(b"\r\n")
        engine.send_console(END)
        assert term.read(LIMIT, b"--- the corpus ends ---"), "what came after the attack is lost"
        term.send(PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
        assert modes(term) == before
    assert forbidden(machine_bytes(bytes(term.output))) == []
    assert engine.written == b"", "a query was answered into the console"


def test_plain_text_of_the_attack_is_still_seen(inventory: Path, engine: FakeEngine) -> None:
    engine.console_history = b""
    with terminal(inventory, "console", "node01") as term:
        assert term.read(LIMIT, b"lists keys]")
        engine.send_console(b"a\x1b]0;title\x07b\x1b[?1049hc\x00d\r\n[@click=app.quit]e[/]\r\n")
        assert term.read(LIMIT, b"e[/]")
        term.send(PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
    assert b"abcd\r\n[@click=app.quit]e[/]\r\n" in term.output


def test_our_own_lines_cannot_be_broken_by_the_engine(inventory: Path, engine: FakeEngine) -> None:
    from plasmatui.model.node import PenHolder

    engine.pen = PenHolder(9, "evil\x1b]52;c;AAAA\x07\r\nforged", "pts/7\x1b[?1049h", 0.0)
    with terminal(inventory, "console", "node01") as term:
        assert term.read(LIMIT, b"lists keys]")
        term.send(PREFIX + b"c.")
        assert term.wait(LIMIT) == 0
    assert forbidden(bytes(term.output)) == []
    assert b"\nforged" not in term.output


def test_hostile_machine_through_bmc_and_engine(private_directories: Path) -> None:
    """The whole way: a simulated machine attacks over serial over LAN, through a real BMC session and a real engine."""
    rack = private_directories / "rack"
    path = rack / "inventory.yaml"
    server = subprocess.Popen(
        command("sim", "--nodes", "1", "-o", str(rack), "--fault", "node01=hostile-console"),
        stdout=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline().decode().strip() == str(path)
        with terminal(path, "console", "node01") as term:
            before = modes(term)
            assert term.read(LIMIT, b"lists keys]")
            subprocess.run(command("-i", str(path), "power", "on", "node01", "--yes"), env=environment(), check=True)
            assert term.read(LIMIT, b"A" * 1000), "the attack did not come"
            assert b"[@click=app.quit]press[/]" in term.output
            assert b"-rf\r\n../../etc/passwd" in term.output
            term.send(PREFIX + b"c.")
            assert term.wait(LIMIT) == 0
            assert modes(term) == before
        assert forbidden(machine_bytes(bytes(term.output))) == []
    finally:
        subprocess.run(command("-i", str(path), "engine", "stop", "--force"), env=environment(), check=False)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
