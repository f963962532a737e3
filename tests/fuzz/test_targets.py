"""Each fuzzer for a moment: what it finds fails here. `python -m tests.fuzz` takes longer."""

from __future__ import annotations

import pytest

from tests.fuzz.target import run
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_is_too_much(name: str) -> None:
    target = TARGETS[name]
    result = run(target, seed=1, seconds=60.0, executions=target.quick)  # always the same inputs
    assert not result.finds, "\n".join(f"{find.what}\n{find.input[:300]!r}" for find in result.finds)
