"""Paths of what machines ask for."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from plasmatui.watch.names import path_of


@given(st.text() | st.text("/a%?#;[]: .\\@é\t\x00").map("/{}".format))
def test_a_path_is_what_urllib_says(file: str) -> None:
    try:
        expected = unquote(urlsplit(file).path) or file
    except ValueError:
        expected = file
    assert path_of(file) == expected
