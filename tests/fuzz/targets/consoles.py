"""Serial consoles: whatever a machine sends gives evidence or none, and a screen that a terminal may be given."""

from __future__ import annotations

import unicodedata
from random import Random
from typing import Final

from rich.cells import cell_len

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
        width, height = vt.size
        x, y = vt.cursor
        assert 0 <= x < width
        assert 0 <= y < height
        assert len(vt.history) <= 50
        assert len(vt._pending) < 5000
        for row in range(height):
            assert sum(max(0, cell_len(part)) for part, _ in vt.line(row)) == width
        for number in range(vt.first_line, vt.top_line + height):
            assert harmless(vt.line_text(number))


def harmless(line: str) -> bool:
    """Whether a terminal obeys nothing of a line, by what Unicode says of its characters (not by our own judge)."""
    return not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for each in line)


def text(raw: bytes) -> None:
    """What was cleaned is clean, and cleaning it again changes nothing."""
    cleaned = clean_text(decode(raw), 200, 50)
    assert all(is_clean(line) and harmless(line) and len(line) <= 200 for line in cleaned.split("\n"))
    assert clean_text(cleaned, 200, 50) == cleaned


TARGETS: Final = (
    Target("console-evidence", data.consoles, evidence, quick=40),
    Target("console-screen", data.consoles, screen, quick=40),
    Target("text", data.consoles, text),
)
