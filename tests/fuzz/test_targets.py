"""Each fuzzer for a moment: what it finds fails here. `python -m tests.fuzz` takes longer."""

from __future__ import annotations

import pytest

from tests.fuzz.target import run
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_is_too_much(name: str) -> None:
    result = run(TARGETS[name], seed=1, seconds=0.5, executions=300)
    assert not result.finds, "\n".join(f"{find.what}\n{find.input[:300]!r}" for find in result.finds)
