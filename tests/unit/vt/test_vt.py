"""The console emulator against real boots, another emulator, and bytes that nobody should send."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.ui.vt import Vt
from plasmatui.ui.vtstyle import Attribute

CONSOLES = sorted((Path(__file__).parents[2] / "data" / "consoles").glob("*.raw"))

PIECES = st.sampled_from(
    [
        b"\x1b[",
        b"\x1b]",
        b"\x1bP",
        b"\x1b",
        b"\x1b(0",
        b"\x1b(B",
        b"\x0e",
        b"\x0f",
        b";",
        b":",
        b"5",
        b"38",
        b"999",
        b"?",
    ]
    + [bytes([c]) for c in b"mHJKLM@PXrSTbZgdGABCDEFIhlsu78c"]
    + [b"\r\n", b"\n", b"\t", b"\x08", b"\x07", b"\x1b\\", b"abc", b"x" * 30, "漢".encode(), "e\u0301".encode()]
    + [b"\x1bM", b"\x1b7", b"\x1b8", b"\x1bc", b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?6h", b"\x1b[?7l", b"\x1b[4h"]
    + [b"\x1b[2;4r", b"\xff", b"\xc2\x9b", b"\xe6", "\u202e\u200d\ufe0f\u2028".encode(), b"\x00", b"\x18", b"\x1b#8"]
)
STREAMS = st.lists(PIECES, max_size=80).map(b"".join) | st.binary(max_size=300)


def vt(data: bytes | str, cols: int = 20, rows: int = 5) -> Vt:
    terminal = Vt(cols, rows, 100)
    terminal.feed(data.encode() if isinstance(data, str) else data)
    return terminal


def rows(terminal: Vt) -> list[str]:
    return terminal.text().split("\n")


def all_text(terminal: Vt) -> Iterable[str]:
    for number in range(terminal.first_line, terminal.top_line + terminal.rows):
        yield "".join(text for text, _ in terminal.absolute_line(number))


# Real consoles


@pytest.mark.parametrize("path", CONSOLES, ids=lambda path: path.stem)
def test_a_real_boot_looks_as_in_another_emulator(path: Path) -> None:
    data = path.read_bytes()
    screen = pyte.Screen(80, 25)
    stream = pyte.ByteStream(screen)
    ours = Vt()
    for start in range(0, len(data), 997):  # compared often: a boot scrolls its mistakes away
        stream.feed(data[start : start + 997])
        ours.feed(data[start : start + 997])
        assert rows(ours) == [row.rstrip() for row in screen.display]


@pytest.mark.parametrize("path", CONSOLES, ids=lambda path: path.stem)
def test_pieces_of_seven_bytes_look_the_same(path: Path) -> None:
    data = path.read_bytes()
    whole, pieces = Vt(), Vt()
    whole.feed(data)
    for start in range(0, len(data), 7):
        pieces.feed(data[start : start + 7])
    assert rows(pieces) == rows(whole)
    assert list(pieces.history) == list(whole.history)


def test_the_panic_before_a_reset_stays_in_the_scrollback() -> None:
    panic = next(path for path in CONSOLES if path.stem == "kernel-panic")
    for clear in (b"\x1bc", b"\x1b[2J"):
        terminal = Vt()
        terminal.feed(panic.read_bytes() + clear)
        assert terminal.text().strip() == ""
        assert any("Kernel panic" in line for line in all_text(terminal))


# Any bytes


@settings(max_examples=300)
@given(STREAMS, st.lists(st.integers(0, 300), max_size=12))
def test_where_the_stream_is_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    whole, pieces = vt(data), vt(b"")
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    for start, end in pairwise(edges):
        pieces.feed(data[start:end])
    assert [pieces.line(y) for y in range(5)] == [whole.line(y) for y in range(5)]
    assert list(pieces.history) == list(whole.history)
    assert (pieces.cursor, pieces.top_line) == (whole.cursor, whole.top_line)


@settings(max_examples=300)
@given(STREAMS, st.integers(1, 30), st.integers(1, 8))
def test_nothing_raises_and_only_printable_text_comes_out(data: bytes, cols: int, height: int) -> None:
    terminal = Vt(cols, height)
    terminal.feed(data)
    width, _ = terminal.size
    x, y = terminal.cursor
    assert 0 <= x < width
    assert 0 <= y < height
    for text in all_text(terminal):
        assert text.isprintable()
        assert "\ufe0f" not in text
    for y in range(height):
        cells = sum(2 if unicodedata.east_asian_width(c) == "W" else 0 if unicodedata.combining(c) else 1
                    for text, _ in terminal.line(y) for c in text)  # fmt: skip
        assert cells == width
        assert all(terminal.attribute(number) for _, number in terminal.line(y))


def test_a_string_that_never_ends_does_not_swallow_the_console() -> None:
    assert rows(vt("\x1b]0;never closed\r\nlogin:"))[1] == "login:"
    assert rows(vt("\x1bPnever closed\r\nlogin:"))[1] == "login:"
    endless = vt(b"\x1b]0;" + b"x" * 4094 + b"login:")
    assert rows(endless)[0] == "login:"
    for _ in range(10_000):
        endless.feed(b"\x1b]" * 10)
    assert len(endless._pending) < 5000


def test_strings_and_questions_vanish() -> None:
    assert rows(vt("a\x1b]0;title\x07b\x1b]52;c;aGk=\x1b\\c\x1bPq\x1b\\d\x1b[5n\x1b[6n\x1b[c\x1bZe"))[0] == "abcde"


def test_a_very_long_line_wraps_in_linear_time() -> None:
    begin = time.perf_counter()
    terminal = vt(b"x" * 100_000, 80, 25)
    assert terminal.top_line == 1225
    vt(b"\x1b[?7l" + b"x" * 100_000)
    vt(b"\x1b[" + b"1;" * 50_000)
    vt("漢".encode() * 30_000)
    assert time.perf_counter() - begin < 2.0


def test_the_looks_that_are_kept_are_bounded() -> None:
    terminal = Vt()
    for n in range(10_000):
        terminal.feed(b"\x1b[38;2;%d;%d;0mx" % (n % 256, n // 256))
    assert len(terminal._attributes._by_number) <= 4096


# Single functions


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("abc\rX", ["Xbc"]),
        ("abc\b\bX", ["aXc"]),
        ("a\tb", ["a       b"]),
        ("x" * 20 + "y", ["x" * 20, "y"]),
        ("x" * 20 + "\r\ny", ["x" * 20, "y"]),
        ("x" * 20 + "\by", ["x" * 18 + "yx"]),
        ("\x1b[?7l" + "x" * 30 + "y", ["x" * 19 + "y"]),
        ("abcdef\x1b[3D\x1b[K", ["abc"]),
        ("abcdef\x1b[3D\x1b[1K", ["    ef"]),
        ("abcdef\x1b[3D\x1b[2P", ["abcf"]),
        ("abcdef\x1b[3D\x1b[2@", ["abc  def"]),
        ("abcdef\x1b[3D\x1b[2X", ["abc  f"]),
        ("abc\x1b[1G\x1b[4hXY\x1b[4lZ", ["XYZbc"]),
        ("1\r\n2\r\n3\x1b[2;1H\x1b[L", ["1", "", "2", "3"]),
        ("1\r\n2\r\n3\x1b[2;1H\x1b[M", ["1", "3"]),
        ("\x1b[2;3r\x1b[1;1Ha\r\nb\r\nc\r\nd", ["a", "c", "d"]),
        ("\x1b[2;4r\x1b[?6h\x1b[1;1Hx\x1b[9;1Hy", ["", "x", "", "y"]),
        ("\x1b[5;1Hlast\x1b[H\x1bMfirst", ["first"]),
        ("\x1b7\x1b[3;3Hx\x1b8y", ["y", "", "  x"]),
        ("main\x1b[?1049hother\x1b[?1049l!", ["main!"]),
        ("\x1b(0lqk\x1b(Blqk", ["┌─┐lqk"]),
        ("\x1b)0\x0elqk\x0flqk", ["┌─┐lqk"]),
        ("ab\x1b[3b", ["abbbb"]),
        ("\x1b[6G\x1bH\r\t1\x1b[g\x1b[3g\r\tX", ["     1             X"]),
        ("漢字x", ["漢字x"]),
        ("漢\x1b[2GX", [" X"]),
        ("x" * 19 + "漢", ["x" * 19, "漢"]),
        ("e\u0301x", ["e\u0301x"]),
        ("\x1b[2;2HX\x1b[A\x1b[DY\x1b[BZ\x1b[EW", [" Y", " XZ", "W"]),
        ("a\x00\x07\x7fb", ["ab"]),
        ("one\x1b[3;1Htwo\x1b[1J", [""]),
    ],
)
def test_what_a_sequence_does(data: str, expected: list[str]) -> None:
    shown = rows(vt(data))
    while shown and not shown[-1]:
        shown.pop()
    while expected and not expected[-1]:
        expected.pop()
    assert shown == expected


@pytest.mark.parametrize(
    ("sgr", "look"),
    [
        ("1;31", Attribute(fg=1, bold=True)),
        ("97;104", Attribute(fg=15, bg=12)),
        ("38;5;200;48;5;17", Attribute(fg=200, bg=17)),
        ("38;2;1;2;3", Attribute(fg=(1, 2, 3))),
        ("38:2::1:2:3", Attribute(fg=(1, 2, 3))),
        ("38:5:9;4:3", Attribute(fg=9, underline=True)),
        ("1;2;3;4", Attribute(bold=True, dim=True, italic=True, underline=True)),
        ("5;7;9", Attribute(blink=True, reverse=True, strike=True)),
        ("1;31;0", Attribute()),
        ("1;4;7;22;24;27;31;39", Attribute()),
        ("38;5;999;38;2;1;38", Attribute()),
        ("38;7;1", Attribute(bold=True)),
    ],
)  # fmt: skip
def test_looks(sgr: str, look: Attribute) -> None:
    terminal = vt(f"\x1b[{sgr}mX")
    _, number = terminal.line(0)[0]
    assert terminal.attribute(number) == look


def test_erased_cells_keep_only_the_background() -> None:
    terminal = vt("\x1b[4;7;44m\x1b[2J")
    assert [terminal.attribute(number) for _, number in terminal.line(0)] == [Attribute(bg=4)]


def test_lines_keep_their_absolute_numbers() -> None:
    terminal = vt("".join(f"line {n}\r\n" for n in range(300)))
    assert (terminal.first_line, terminal.top_line) == (196, 296)
    assert terminal.absolute_line(200) == (("line 200", 0),)
    assert terminal.absolute_line(195) == ()
    assert terminal.absolute_line(299)[0][0].rstrip() == "line 299"
    terminal.feed(b"more\r\n")
    assert terminal.absolute_line(200) == (("line 200", 0),)
