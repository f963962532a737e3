"""What the screen makes of its environment before it opens."""

from __future__ import annotations

import os

import pytest

from plasmatui.ui.start import prepare_environment


@pytest.mark.parametrize(("size", "kept"), [((120, 30), False), ((0, 0), True)])
def test_stale_size_is_forgotten_where_the_terminal_knows_its_own(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], kept: bool
) -> None:
    environment = {"COLUMNS": "80", "LINES": "24"}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(os, "get_terminal_size", lambda _descriptor: os.terminal_size(size))
    prepare_environment()
    assert ("COLUMNS" in environment, "LINES" in environment) == (kept, kept)
