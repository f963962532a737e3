"""The sanitiser: what an attacker's bytes become before they are shown."""

from __future__ import annotations

import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size

from plasmatui.text import ELLIPSIS, PLACEHOLDER, StreamDecoder, clean_line, clean_text, decode, is_clean

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
ANY_TEXT = st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x10FFFF), max_size=300)
ESCAPES = ["\x1b", "\x1b[", "\x1b]", "\x1bP", "\x1b_", "\x1b\\", "\x9b", "\x9d", "\x90", "\x9c"]
PIECES = st.sampled_from([*ESCAPES, *"\x07;m?a \t\r\n\0\x7f31[/]\u202e\u2028\u0085\ud800\ufe0f\u00a0é漢"])
HOSTILE = st.lists(PIECES, max_size=60).map("".join)


def forbidden(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in FORBIDDEN}


@given(ANY_TEXT | HOSTILE)
def test_nothing_that_a_terminal_obeys_comes_out(text: str) -> None:
    cleaned = clean_line(text)
    assert not forbidden(cleaned)
    assert cleaned.isprintable()
    assert is_clean(cleaned)


@given(ANY_TEXT)
def test_the_width_of_a_line_is_that_of_its_characters(text: str) -> None:
    cleaned = clean_line(text)
    assert cell_len(cleaned) == sum(map(get_character_cell_size, cleaned))


@given(ANY_TEXT | HOSTILE, st.integers(0, 40))
def test_cleaning_twice_changes_nothing_and_the_limit_holds(text: str, limit: int) -> None:
    cleaned = clean_line(text, limit)
    assert len(cleaned) <= limit
    assert clean_line(cleaned, limit) == cleaned


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=4096))
def test_printable_ascii_is_unchanged(text: str) -> None:
    assert clean_line(text) == text


@given(ANY_TEXT | HOSTILE)
def test_several_lines_stay_several_lines(text: str) -> None:
    cleaned = clean_text(text)
    assert not forbidden(cleaned.replace("\n", ""))
    assert cleaned.count("\n") == text.count("\n")
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x1b]52;c;aGk=\x1b\\name", "name"),
        ("\x9d0;title\x9cname", "name"),
        ("node\x1b]52;c;aGk=", "node"),
        ("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c\x1b^y\x1b\\d\x1bXz\x1b\\e", "abcde"),
        ("a\x90q\x9cb", "ab"),
        ("cut\x1b[38;5", "cut"),
        ("a\x1b(0b\x1bcc", "abc"),
        ("end\x1b", "end" + PLACEHOLDER),
        ("a\x1b]0;x\x1b[31mb", "ab"),
        ("a\tb", "a       b"),
        ("line\r\n", "line"),
        ("10%\r20%", f"10%{PLACEHOLDER}20%"),
        ("a\x00b\x7fc\x85d", f"a{PLACEHOLDER}b{PLACEHOLDER}c{PLACEHOLDER}d"),
        ("evil\u202egnp.exe", f"evil{PLACEHOLDER}gnp.exe"),
        ("a\u2028b\u2029c\ud800d", f"a{PLACEHOLDER}b{PLACEHOLDER}c{PLACEHOLDER}d"),
        ("a\u00a0b", "a b"),
        ("\u2764\ufe0f", "\u2764"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d"),
        ("\U0001f1e9\U0001f1ea", "DE"),
        ("[/red][@click=app.quit]x", "[/red][@click=app.quit]x"),
        ("漢字 é", "漢字 é"),
    ],
)
def test_examples(raw: str, shown: str) -> None:
    assert clean_line(raw) == shown


def test_a_long_line_says_that_it_was_cut() -> None:
    assert clean_line("x" * 5000) == "x" * 4095 + ELLIPSIS
    assert clean_line("abc", 0) == ""
    assert clean_text("a\nb\nc\nd", lines=3) == f"a\nb\n{ELLIPSIS}"


def test_an_unterminated_sequence_does_not_hide_the_next_line() -> None:
    assert clean_text("a\x1b]0;never ended\nb") == "a\nb"


@pytest.mark.parametrize(
    "unit", ["x", "\x1b", "\x1b[", "\x1b]", "\x9b1", "\t", "\x1b[" + "1;", "\u202e", "\x1b(", "\x90a\x1b"]
)
def test_time_grows_with_the_length_only(unit: str) -> None:
    line = unit * (100_000 // len(unit))
    begin = time.perf_counter()
    clean_line(line)
    assert time.perf_counter() - begin < 1.0


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_a_stream_cut_anywhere_decodes_like_the_whole(data: bytes, cuts: list[int]) -> None:
    decoder = StreamDecoder()
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    pieces = [decoder.feed(data[a:b]) for a, b in pairwise(edges)]
    assert "".join([*pieces, decoder.finish()]) == decode(data)
