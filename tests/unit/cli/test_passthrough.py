"""Nothing of a console reaches the operator's terminal but what is listed; however it is cut."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.cli.passthrough import MAX_STRING, ConsoleFilter
from tests.unit.cli.corpus import HOSTILE, forbidden

FRAGMENTS = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(HOSTILE),
        st.sampled_from(
            [b"\x1b", b"[", b"]", b"?", b";", b"\x9b", b"\xc2\x9b", b"\xc2", b"m", b"h", b"1049", b"\x07", b"P"]
        ),
        st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    max_size=24,
).map(b"".join)


def filtered(data: bytes) -> bytes:
    return ConsoleFilter().feed(data)


@given(FRAGMENTS)
def test_only_listed_bytes_pass(data: bytes) -> None:
    assert forbidden(filtered(data)) == []


@given(FRAGMENTS, st.lists(st.integers(0, 400), max_size=8))
def test_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    whole = filtered(data)
    cut = ConsoleFilter()
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    parts = b"".join(cut.feed(data[a:b]) for a, b in itertools.pairwise(edges))
    assert parts == whole


@given(FRAGMENTS)
def test_filtering_twice_changes_nothing_more(data: bytes) -> None:
    once = filtered(data)
    assert filtered(once) == once


@given(FRAGMENTS)
def test_what_comes_after_a_limit_of_garbage_is_seen(data: bytes) -> None:
    filter_ = ConsoleFilter()
    filter_.feed(data)
    assert b"login: " in filter_.feed(b"\r\n" * 2 + b"x" * 8 + b"\r\nlogin: ")


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_corpus(data: bytes) -> None:
    out = filtered(b"before" + data + b"\r\nafter\r\n")
    assert forbidden(out) == []
    assert out.startswith(b"before")
    assert out.endswith(b"after\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"plain text\r\n",
        "käse ✓ 漢字\r\n".encode(),
        b"\x1b[31;1mred\x1b[0m",
        b"\x1b[38;2;10;20;30mrgb\x1b[m",
        b"\x1b[4:3mcurly",
        b"\x1b[2J\x1b[H",
        b"\x1b[10;20Hx\x1b[K\x1b[5A\x1b[3C",
        b"\x1b7\x1b8\x1bM",
        b"50%\b\b\b60%",
        b"a\tb",
    ],
)
def test_what_consoles_need_passes_unchanged(data: bytes) -> None:
    assert filtered(data) == data


@pytest.mark.parametrize(
    "data",
    [
        b"\x1b[6n",
        b"\x1b[c",
        b"\x1b[>c",
        b"\x1b[?1049h",
        b"\x1b[?25l",
        b"\x1b[3J",
        b"\x1b[8;1;1t",
        b"\x1b[99999A",
        b"\x1b[1;2;3H",
        b"\x1bc",
        b"\x1b(0",
        b"\x1b[!p",
        b"\x1b[2 q",
        b"\x1b[5i",
        b"\x1b[1;5r",
        b"\x1b[>4;1m",
        b"\x1b[=1u",
        b"\x00\x07\x0e\x0f\x7f",
        b"\x1b]0;title\x07",
        b"\x1bPq#0\x1b\\",
        b"\xc2\x9b6n",
        b"\xc2\x9d52;c;AAAA\xc2\x9c",
        b"\x1b[" + b"1;" * 500 + b"m",
    ],
)
def test_dropped_as_a_whole(data: bytes) -> None:
    assert filtered(data) == b""


def test_string_without_end_swallows_no_more_than_its_line_or_limit() -> None:
    assert filtered(b"\x1b]0;never ends\r\nlogin: ") == b"\r\nlogin: "
    assert filtered(b"\x1b]" + b"x" * MAX_STRING + b"login: ") == b"login: "


def test_control_characters_inside_a_sequence_act_and_a_new_sequence_wins() -> None:
    assert filtered(b"\x1b[3\r\n1mred") == b"\r\n\x1b[31mred"
    assert filtered(b"\x1b[12\x1b[31mred") == b"\x1b[31mred"
    assert filtered(b"\x1b[12\x18A") == b"A"


def test_direction_overrides_and_stray_bytes_become_placeholders() -> None:
    assert filtered("a\u202eb".encode()) == "a\ufffdb".encode()
    assert filtered(b"\xff\x9b6n") == "\ufffd\ufffd6n".encode()


def test_terminal_without_utf8_gets_ascii() -> None:
    assert ConsoleFilter("iso-8859-1").feed("é✓".encode()) == b"??"
    assert ConsoleFilter("no-such-codec").feed("é".encode()) == b"?"


def test_state_is_bounded() -> None:
    filter_ = ConsoleFilter()
    for opening in (b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b("):
        filter_.feed(opening)
        for _ in range(100):
            filter_.feed(b"1" * 1000)
        kept = sum(len(v) for v in vars(filter_).values() if isinstance(v, str))
        assert kept < 1000
        filter_.feed(b"m\x07\r\n")


def test_corpus_checker_sees_what_is_forbidden() -> None:
    assert all(forbidden(data) for data in HOSTILE if re.search(rb"\x1b|\x00|\xc2[\x80-\x9f]|\x07", data))
