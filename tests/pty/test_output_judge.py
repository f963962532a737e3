"""The judge of terminal output finds what it is there to find, and lets pass what a screen of ours writes."""

from __future__ import annotations

import pytest

from plasmatui.sim.hostile import FRAGMENTS
from tests.support.output import Picture, modes_left, styles, violations
from tests.unit.cli.corpus import HOSTILE

SETUP = b"\x1b[?1049h\x1b[?1000h\x1b[?25l\x1b[>25u\x1b[?2026$p\x1b[?2004h\x1b[?7l\x1b]22;default\x07\x1b[?2026h"
FAREWELL = b"\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?1000l\x1b[<u\x1b[?1049l\x1b[?25h"
DRAWN = b"\x1b[2;10H\x1b[1;38;2;95;175;255mnode01 \xe2\x97\x8f on\x1b[0m\r\n"


def output(frame: bytes) -> bytes:
    return SETUP + DRAWN + frame + b"\x1b[?2026l\x1b[?2026$p\x1b[?2026h" + DRAWN + FAREWELL


def test_what_a_screen_writes_is_clean() -> None:
    assert violations(output(DRAWN)) == []
    assert violations(output(b"") + output(b"")) == [], "left and opened again"


@pytest.mark.parametrize(
    "attack",
    [
        b"\x1b]52;c;cm0gLXJmIH4=\x07", b"\x1b]0;owned\x07", b"\x1b]2;owned\x1b\\", b"\x1b]8;;http://x\x1b\\",
        b"\x1b]22;crosshair\x07", b"\x1b]0;never ended", b"\x1bP+q544e\x1b\\", b"\x1b_G\x1b\\", b"\x1b^x\x1b\\",
        b"\x1bXx\x1b\\", b"\x9b31m", b"\xc2\x9b31m", b"\xc2\x9d0;x\xc2\x9c", b"\x00", b"\x07", b"\x7f", b"\x0e", b"\t",
        b"\x08", b"\x1b", b"\x1bc", b"\x1b7", b"\x1b(0", b"\x1b[6n", b"\x1b[c", b"\x1b[2J", b"\x1b[3A", b"\x1b[H",
        b"\x1b[99999;1H", b"\x1b[1000000b", b"\x1b[?1049h", b"\x1b[?1000l", b"\x1b[?2004l\x1b[?25h", b"\x1b[?1h",
        b"\x1b[>1u", b"\x1b[38:2:1:1:1m", b"\xff", b"\xed\xa0\x80", "\u202e".encode(), "\u200b".encode(),
        "\u2028".encode(), "\ue000".encode(),
    ],
)  # fmt: skip
def test_each_attack_is_found(attack: bytes) -> None:
    assert violations(output(attack)), attack


def test_machines_of_both_corpora_are_found() -> None:
    harmless = (b"[/]", b"\r\n\x18=danger")
    for attack in (*FRAGMENTS, *HOSTILE):
        if attack.startswith((b"[", b"xxx")) or attack in harmless:
            continue
        assert violations(output(attack)), attack[:80]


def test_modes_styles_and_picture() -> None:
    assert modes_left(SETUP) == {"1049": True, "1000": True, "25": False, "kitty": True, "2004": True, "7": False,
                                 "2026": True}  # fmt: skip
    assert not any(on for mode, on in modes_left(output(b"")).items() if mode not in ("25", "7"))
    assert styles(b"\x1b[1;38;5;9mx\x1b[0m") == [[1, 38, 5, 9], [0]]
    picture = Picture(3, 20)
    for byte in DRAWN:  # cut everywhere
        picture.feed(bytes([byte]))
    assert picture.lines[1] == "         node01 ● on"
