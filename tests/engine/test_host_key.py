"""A host key that the console has not shown is for a person to believe, unless the console shows it after all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from plasmatui.operations.boot import TRUST, _vouch
from plasmatui.operations.endings import STOP, NodeLeftError
from plasmatui.operations.work import NodeWork
from tests.engine.conftest import until

KEY = "SHA256:abc"


class Boots:
    def __init__(self) -> None:
        self.shown: set[str] = set()
        self.vouched: list[str] = []

    def fingerprints(self, _node: str) -> frozenset[str]:
        return frozenset(self.shown)

    def vouch(self, _node: str, fingerprint: str, text: str) -> None:
        self.vouched.append(text)
        self.shown.add(fingerprint)

    async def news(self, _node: str, _limit: float) -> None:
        await asyncio.sleep(0)


class Work:
    """As much of a node's work as asking takes."""

    node, number = "n1", 7

    def __init__(self) -> None:
        self.boots = Boots()
        self.site = SimpleNamespace(boots=self.boots, hosts=lambda: SimpleNamespace(offered=self._offered))
        self.asked: asyncio.Future[str] | None = None
        self.said: list[str] = []

    async def _offered(self, _node: str, _role: object) -> object:
        return SimpleNamespace(sha256=KEY, algorithm="ssh-ed25519")

    async def ask(self, _question: str, _answers: tuple[str, ...]) -> str:
        self.asked = asyncio.get_running_loop().create_future()
        return await self.asked

    def answer(self, answer: str) -> bool:
        if self.asked is None or self.asked.done():
            return False
        self.asked.set_result(answer)
        return True

    def log(self, text: str) -> None:
        self.said.append(text)


async def begun(work: Work) -> asyncio.Task[None]:
    task = asyncio.create_task(_vouch(cast("NodeWork", work)))
    await until(lambda: work.asked is not None)
    return task


async def test_a_console_that_is_late_answers_the_question() -> None:
    work = Work()
    task = await begun(work)
    work.boots.shown.add("SHA256:of-another-machine")
    await asyncio.sleep(0.01)
    assert not task.done()
    work.boots.shown.add(KEY)
    await asyncio.wait_for(task, 30)
    assert work.boots.vouched == [], "nobody had to believe it"
    assert work.said == [f"the console showed {KEY} meanwhile"]


async def test_a_person_believes_it() -> None:
    work = Work()
    task = await begun(work)
    assert work.answer(TRUST)
    await asyncio.wait_for(task, 30)
    assert work.boots.vouched == [f"{KEY}, believed by a person in operation 7"]


async def test_a_person_does_not_believe_it() -> None:
    work = Work()
    task = await begun(work)
    assert work.answer(STOP)
    with pytest.raises(NodeLeftError, match="not believed"):
        await asyncio.wait_for(task, 30)
    assert work.boots.vouched == []
