"""What the screen makes of its environment before it opens."""

from __future__ import annotations

import os

import pytest

from plasmatui.ui.start import only_ascii, prepare_environment


@pytest.mark.parametrize(("size", "kept"), [((120, 30), False), ((0, 0), True)])
def test_stale_size_is_forgotten_where_the_terminal_knows_its_own(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], kept: bool
) -> None:
    environment = {"COLUMNS": "80", "LINES": "24"}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(os, "get_terminal_size", lambda _descriptor: os.terminal_size(size))
    prepare_environment()
    assert ("COLUMNS" in environment, "LINES" in environment) == (kept, kept)


@pytest.mark.parametrize(
    ("environment", "ascii_only"),
    [
        ({}, False),
        ({"LANG": "C"}, False),
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "en_US.utf8", "LC_ALL": ""}, False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, True),
        ({"LC_ALL": "POSIX"}, True),
        ({"LANG": "de_DE.ISO-8859-15@euro"}, True),
        ({"LANG": "en_US"}, False),
    ],
)
def test_a_locale_without_our_signs_takes_ascii(environment: dict[str, str], ascii_only: bool) -> None:
    assert only_ascii(environment) == ascii_only
