"""The checklist through a real engine: parts of the answer come one by one, and odd questions are refused."""

from __future__ import annotations

import pytest

from plasmatui.checks.run import WORK
from plasmatui.client import EngineError
from plasmatui.model import wire
from plasmatui.model.checks import CHECKS, CheckState
from tests.engine.conftest import Start


def test_every_check_that_is_listed_is_done() -> None:
    assert list(WORK) == [check.id for check in CHECKS]
    assert len({check.id for check in CHECKS}) == len(CHECKS) >= 30


async def test_a_check_that_breaks_costs_itself_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start(2)

    async def broken(_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setitem(WORK, "journal", broken)
    async with await running.client(read_only=True) as client:
        answers = {each.id: each async for each in client.stream(wire.AskChecks(("journal", "disks-named")))}
    assert answers["journal"].state is CheckState.UNKNOWN
    assert "secret" not in answers["journal"].reason
    assert answers["disks-named"].state is CheckState.WARNING
    assert answers["disks-named"].nodes == ("n1", "n2")


async def test_an_unknown_check_is_refused_with_those_that_there_are(start: Start) -> None:
    running = await start(1)
    async with await running.client() as client:
        with pytest.raises(EngineError, match="no check 'tftp'; there are tftp-loaders"):
            async for _ in client.stream(wire.AskChecks(("tftp",))):
                pass
