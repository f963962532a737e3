"""Machines, BMCs and clients that attack the operator's terminal: what really reaches it, and what is kept on disk."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from plasmatui.client import EngineClient
from plasmatui.model import wire
from plasmatui.model.operation import IdentifyOrder
from plasmatui.sim import hostile, sdr
from tests.fuzz.targets.lies import make
from tests.support.output import violations
from tests.support.site import Screen, Site, site, wait_for
from tests.unit.cli.corpus import HOSTILE

pytestmark = pytest.mark.pty

# CAN and RIS first: the attack ends inside a sequence, with line drawing and odd margins left on.
END = b"\x18\x1bc\r\n--- the attack ends ---\r\n"
MARKUP = b"[@click=app.quit]press[/]\r\n"
ATTACK = "\x1b]52;c;cm0=\x07\x9b31m\x00\x07\u202e[@click=app.quit]x[/]"
PASSWORD = "Correct-Horse-9Stapl"  # as long as IPMI allows
MARKS = (b"\x1b]", b"\x1b[?1049h", b"\x1bP", b"\x9b31m", b"\x07")


def leave(screen: Screen) -> bytes:
    """Quit with the keyboard; all that the screen ever wrote."""
    screen.press_until(b"q", "Leave the screen")
    screen.send(b"y")
    assert screen.wait() == 0, f"it did not leave:\n{screen.text}"
    return bytes(screen.output)


def assault(lab: Site) -> None:
    """All that machines may say, then a line by which it is seen that everything came."""
    lab.rack.write("node01", hostile.everything())
    for attack in HOSTILE:
        lab.rack.write("node01", attack + b"\r\n")
    lab.rack.write("node01", END)


@pytest.fixture
def lab() -> Iterator[Site]:
    with site(nodes=4, on=3, password=PASSWORD, faults={"node01": "hostile-console"}) as made:
        made.engine()
        yield made


def test_hostile_console_in_every_place_that_shows_it(lab: Site) -> None:
    lab.consoles_open(4)
    screen = lab.screen()
    screen.see("node04")
    screen.see("link ok")
    screen.send(b"p")  # the preview
    screen.see("read-only|open|console")
    assault(lab)
    screen.send(b"2")
    screen.see("consoles 1-")
    screen.send(b"\r")
    screen.see("layout 1")
    lab.rack.clear("node01")  # what it says by itself after the end might wipe the end off the screen
    assault(lab)
    lab.rack.write("node01", MARKUP)
    found(screen, "the attack ends")
    found(screen, "click=app.quit.press")
    screen.send(b"\r")
    screen.send(b"6")
    screen.see("node01")
    screen.send(b"1")
    screen.see("order: node")
    screen.send(b"\r]")
    screen.see("events")
    screen.send(b"]")
    screen.see("details")
    screen.send(b"-")
    screen.see("order: node")
    assert violations(leave(screen)) == []


def found(screen: Screen, text: str) -> None:
    """Search the zoomed console's scrollback until the text is found and shown: it may still be on its way."""

    def look() -> bool:
        screen.send(b"/")
        screen.see("(?m)^/")
        screen.send(text.encode() + b"\r")
        screen.see(r"not found|\A(?![^\0]*\n/)[^\0]*" + text)
        if "not found" in screen.text:
            screen.escape("(?m)^/")
            return False
        return True

    wait_for(f"{text} in the scrollback", look)


def test_the_attack_is_recorded_but_kept_out_of_log_and_journal(lab: Site) -> None:
    lab.consoles_open(4)
    assault(lab)
    recordings = lab.state / "consoles" / "node01"
    wait_for("the recording", lambda: any(END in file.read_bytes() for file in recordings.glob("*.raw")))
    lab.cli("power", "off", "node01", "--yes")
    assert END in b"".join(file.read_bytes() for file in recordings.glob("*.raw")), "the raw bytes are kept"
    lab.stop_engine()
    no_control_characters(lab)


def no_control_characters(lab: Site) -> None:
    log = (lab.state / "engine.log").read_text(encoding="utf-8")
    assert log, "no log was written"
    assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", log) is None
    with contextlib.closing(sqlite3.connect(lab.state / "journal.db")) as journal:
        rows = [
            *journal.execute("SELECT source, kind, text FROM events"),
            *journal.execute("SELECT actor, node, text, result FROM audit"),
        ]
        blobs = [
            *journal.execute("SELECT payload FROM events"),
            *journal.execute("SELECT record FROM operations"),
        ]
    assert rows
    assert blobs
    for row in rows:
        assert all(text.isprintable() for text in row), row
    for (blob,) in blobs:
        assert not any(mark in blob for mark in MARKS[:3]), blob


def test_hostile_bmc(monkeypatch: pytest.MonkeyPatch) -> None:
    sensors = tuple(dataclasses.replace(s, name=f"\x1b]0;{s.number}\x07\x9b1m\x00") for s in sdr.SENSORS)
    monkeypatch.setattr(sdr, "REPOSITORY", sdr.Repository.build(sensors))
    with site(nodes=2, on=2, redfish=1) as lab:
        for machine in lab.rack.rack.machines.values():
            hardware = dataclasses.replace(machine.identity.hardware, maker=ATTACK, product=ATTACK, board=ATTACK)
            machine.identity = dataclasses.replace(machine.identity, hardware=hardware, serial=ATTACK)
        lab.engine()
        for words in (("sensors",), ("sel",), ("inventory",), ("inventory", "--json"), ("sensors", "--json")):
            done = lab.cli(words[0], "@all", *words[1:])
            assert done.code == 0, done.err
            assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.out + done.err) is None
            if words == ("inventory",):
                assert done.out.count("[@click=app.quit]x[/]") >= 2, "both BMCs' texts are shown"
        screen = lab.screen()
        screen.see("link ok")
        screen.see("node02")
        for keys in (b"g", b"G"):  # IPMI, then Redfish
            screen.send(keys + b"\r")
            for tab in ("boot", "operation", "events", "details", "audit", "sensors", "sel", "inventory"):
                screen.send(b"]")
                if tab in ("sensors", "sel", "inventory"):
                    screen.see("asked at")
            screen.see("@click=app.quit")
            screen.send(b"]")
            screen.escape("@click")
            screen.see("order: node")
        assert violations(leave(screen)) == []
        lab.stop_engine()
        no_control_characters(lab)


def test_hostile_client(lab: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may call itself what it likes: it is seen in operations, the command log and events."""
    monkeypatch.setattr("plasmatui.client._user_name", lambda: f"evil{ATTACK}")
    monkeypatch.setattr("plasmatui.client._terminal_name", lambda: ATTACK)

    async def order() -> None:
        async with await EngineClient.connect(lab.socket, kind="tui") as client:
            await client.ask(wire.StartOrder(IdentifyOrder(15), ("node02",)))
            await client.ask(wire.ConsoleOpen("node02", 0))
            await client.ask(wire.ConsolePen("node02", True))
            screen = await asyncio.to_thread(look)
            assert violations(screen) == []

    def look() -> bytes:
        screen = lab.screen()
        screen.see("node04")
        screen.send(b"4")
        screen.see("evil")
        screen.send(b"\r@")
        screen.see("took the console")
        screen.escape("Command log")
        screen.send(b"6")
        screen.see("identify")
        screen.send(b"12")
        screen.see("consoles 1-")
        return leave(screen)

    asyncio.run(order())
    for words in (("ops", "list"), ("ops", "show", "1"), ("nodes",), ("engine", "status")):
        done = lab.cli(*words)
        assert done.code == 0, done.err
        assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.out + done.err) is None
    assert "evil" in lab.cli("ops", "list").out
    lab.stop_engine()
    no_control_characters(lab)


def test_hostile_logs(lab: Site) -> None:
    """Logs that claim boots that never were, of others' cards and of any time, with escapes in all that a client may
    choose: nothing crashes, nothing is obeyed, and the screen stays clean."""
    random = Random(7)
    macs = [machine.identity.macs[0] for machine in lab.rack.rack.machines.values()]
    for _, format_, path in lab.rack.rack.services.logs:
        lines = []
        for _ in range(12):
            for line in make(random).decode(errors="replace").split("\n"):
                name, _, text = line.partition("\t")
                if name == format_:
                    lines.append(re.sub("52:54:00:00:0a:0[0-9]", random.choice(macs), text))
        lines += [
            f"Nov 21 00:39:11 pxe {ATTACK}[1]: {ATTACK}",
            f'10.0.0.1 - - [x] "GET /{ATTACK}',
            "\x00" * 300,
            "x" * 200_000,
        ]
        with path.open("ab") as file:
            file.write("\n".join([*lines, "the lies end", ""]).encode("utf-8", "surrogatepass"))
    screen = lab.screen()
    screen.see("node04")
    screen.see("link ok")
    screen.send(b"3")
    screen.see("the lies end")
    screen.send(b"6")
    screen.see("node01")
    screen.send(b"1")
    screen.see("order: node")
    screen.send(b"\r]")
    screen.see("boot")
    assert violations(leave(screen)) == []
    for words in (("nodes", "--json"), ("timeline", "node02", "--json"), ("logs", "--json"), ("ops", "list", "--json")):
        done = lab.cli(*words)
        assert done.code in (0, 1, 3), done.err
        assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.out + done.err) is None
    assert lab.cli("ops", "list", "--json").json()["operations"] == []
    lab.stop_engine()
    no_control_characters(lab)


CRASHING = """
import sys
from plasmatui.ui.screens.main import MainScreen

def action_help(self):
    password = {password!r}
    raise RuntimeError(password)

MainScreen.action_help = action_help
from plasmatui.cli.main import main
sys.argv = ["plasmatui", "-i", {inventory!r}]
main()
"""


def test_the_password_is_nowhere() -> None:
    faults = {"node03": "bmc-auth", "node06": "bmc-auth", "node02": "bmc-slots"}
    with site(nodes=6, redfish=2, on=4, password=PASSWORD, faults=faults) as lab:
        lab.engine()
        said = [
            lab.cli(*words)
            for words in (
                ("power", "on", "@all", "--yes"), ("power", "on", "@all", "--plan"),
                ("power", "off", "@all", "--plan", "--json"), ("bootdev", "pxe", "@all", "--yes", "--json"),
                ("check",), ("check", "--json"), ("info",), ("info", "--json"), ("engine", "status", "--json"),
                ("ops", "show", "1"), ("ops", "show", "1", "--json"), ("nodes", "--json"), ("sel", "@all"),
            )
        ]  # fmt: skip
        assert all(done.out or done.err for done in said)
        screen = lab.screen()
        screen.see("node06")
        screen.send(b"@")
        screen.see("power on")
        screen.escape("Command log")
        for keys in (b"gjj\r", b"]", b"]", b"]"):
            screen.send(keys)
            screen.read(0.2)
        screen.see("asked at|bmc-auth|refused")
        written = leave(screen)
        crash = lab.screen(program=CRASHING.format(password=PASSWORD, inventory=str(lab.inventory)))
        crash.see("node06")
        crash.send(b"?")
        assert crash.wait() == 1
        assert b"crash file: " in crash.output
        lab.stop_engine()
        outputs = [done.out + done.err for done in said] + [written.decode(), crash.output.decode()]
        assert not any(PASSWORD in output for output in outputs)
        kept = [file for file in lab.directory.rglob("*") if file.is_file() and "rack" not in file.parts]
        assert {"journal.db", "engine.log"} <= {file.name for file in kept}
        assert any("crash" in file.parts for file in kept)
        assert [file for file in kept if holds_secret(file)] == []
        assert holds_secret(lab.rack.rack.password_path), "the search finds nothing at all"


def holds_secret(file: Path) -> bool:
    return PASSWORD.encode() in file.read_bytes()
