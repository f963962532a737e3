"""Bytes cut anywhere give the same lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plasmatui.watch.sources.splitter import SPAN, LineSplitter, Piece

_BYTES = st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b"\xff\xfe", b"bcd" * 9, b"\0", b"\xc3"]), max_size=60)


def feed(chunks: list[bytes], most: int, limit: int = 16) -> tuple[LineSplitter, list[Piece]]:
    splitter, pieces = LineSplitter(limit=limit), []
    for chunk in chunks:
        splitter.feed(chunk)
        while True:
            some = splitter.take(most)
            pieces += some
            if len(some) < most:
                break
    return splitter, pieces


@given(_BYTES, st.lists(st.integers(1, 40), min_size=1), st.integers(1, 9))
def test_lines_do_not_depend_on_how_they_came(parts: list[bytes], cuts: list[int], most: int) -> None:
    data = b"".join(parts)
    chunks, at, turn = [], 0, 0
    while at < len(data):
        chunks.append(data[at : at + cuts[turn % len(cuts)]])
        at, turn = at + cuts[turn % len(cuts)], turn + 1
    splitter, pieces = feed(chunks, most)
    _, whole = feed([data], 1000)
    assert pieces == whole
    assert splitter.before == data[max(0, splitter.offset - SPAN) : splitter.offset]
    assert splitter.offset + splitter.pending == len(data)
    assert splitter.last(min(SPAN, len(data))) == data[len(data) - min(SPAN, len(data)) :]
    last = splitter.flush()
    for piece in [*pieces, *last]:
        assert data[piece.offset : piece.offset + len(piece.raw)] == piece.raw
        assert len(piece.raw) <= 16 or piece in last
    assert b"".join(p.raw + (b"" if p.cut else b"\n") for p in [*pieces, *last]).replace(b"\r", b"") == data.replace(
        b"\r", b""
    )


def test_an_endless_line_comes_in_pieces() -> None:
    splitter, pieces = feed([b"x" * 50, b"y" * 5 + b"\nnext\n"], 100)
    assert [(len(p.raw), p.offset, p.cut) for p in pieces] == [
        (16, 0, True),
        (16, 16, True),
        (16, 32, True),
        (7, 48, False),
        (4, 56, False),
    ]
    assert splitter.offset == 61
