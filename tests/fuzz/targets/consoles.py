"""Serial consoles: whatever a machine sends gives evidence or none, and a screen that a terminal may be given."""

from __future__ import annotations

from random import Random
from typing import Final

from plasmatui.text import clean_text, decode, is_clean
from plasmatui.ui.vt import Vt
from plasmatui.watch.console.reader import ConsoleReader
from tests.fuzz.target import Target
from tests.fuzz.targets import data

_SIZES: Final = ((80, 25), (1, 1), (200, 3))


def evidence(raw: bytes) -> None:
    """The same bytes in one piece and in many give evidence that is clean."""
    for signals in (_read(raw, len(raw) or 1), _read(raw, 7)):
        for signal in signals:
            assert is_clean(signal.evidence.text), signal


def _read(raw: bytes, step: int) -> list[object]:
    reader = ConsoleReader("node01", "console")
    signals = [each for place in range(0, len(raw), step) for each in reader.feed(raw[place : place + step], 1.0)]
    return [*signals, *reader.flush()]


def screen(raw: bytes) -> None:
    """The emulated screen stays within its bounds, and holds nothing that a terminal would obey."""
    random = Random(len(raw))
    for columns, rows in _SIZES:
        vt = Vt(columns, rows, scrollback=50)
        place = 0
        while place < len(raw):
            step = random.randint(1, 900)
            vt.feed(raw[place : place + step])
            place += step


def text(raw: bytes) -> None:
    """What was cleaned is clean, and cleaning it again changes nothing."""
    cleaned = clean_text(decode(raw), 200, 50)
    assert all(is_clean(line) and len(line) <= 200 for line in cleaned.split("\n"))
    assert clean_text(cleaned, 200, 50) == cleaned


TARGETS: Final = (
    Target("console-evidence", data.consoles, evidence),
    Target("console-screen", data.consoles, screen),
    Target("text", data.consoles, text),
)
