"""Waiting for nodes that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from plasmatui.model.command import CommandError, CommandFailedError
from plasmatui.remote import waiting
from plasmatui.remote.failures import ConnectError, Why
from plasmatui.remote.waiting import Try, wait_down, wait_up
from tests.unit.remote.opensshd import SSHD
from tests.unit.remote.rig import Rig

LOST = CommandError("ssh-lost", "the connection was lost")


def because(why: Why, id_: str = "ssh-refused") -> ConnectError:
    return ConnectError(id_, f"it is {why}", why, lasting=why is Why.DENIED)


class Scripted:
    """A node that gives these answers one after the other, and the last one for ever."""

    def __init__(self, *answers: str | CommandError) -> None:
        self.node = "node01"
        self.dropped = 0
        self._answers = list(answers)

    async def boot_id(self, *, limit: float) -> str:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, CommandError):
            raise answer
        return answer

    async def drop(self) -> None:
        self.dropped += 1


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Try], Callable[[Try], None]]:
    monkeypatch.setattr(waiting, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(waiting, "_LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(waiting, "_KIND_PAUSE", 0.003)
    seen: list[Try] = []
    return seen, seen.append


Tries = tuple[list[Try], Callable[[Try], None]]


async def test_up_after_all_that_a_boot_goes_through(tries: Tries) -> None:
    reasons = [
        because(Why.SILENT), because(Why.UNREACHABLE), because(Why.REFUSED), because(Why.DROPPED),
        because(Why.HOST_KEY, "ssh-hostkey-changed"), because(Why.DENIED), LOST,
    ]  # fmt: skip
    assert await wait_up(Scripted(*reasons, "b"), 60, "", tries[1]) == "b"
    assert [each.reason for each in tries[0]] == [error.message for error in reasons]
    assert [each.number for each in tries[0]] == [1, 2, 3, 4, 5, 6, 7]
    assert [each.pause == 0.003 for each in tries[0]] == [False] * 5 + [True, False]


async def test_the_old_boot_does_not_count(tries: Tries) -> None:
    host = Scripted("old", "old", LOST, "new")
    assert await wait_up(host, 60, "old", tries[1]) == "new"
    assert host.dropped == 2
    assert "still in the boot from before" in tries[0][0].reason


async def test_not_up_within_the_limit_says_the_last_reason(tries: Tries) -> None:
    with pytest.raises(ConnectError, match=r"node01 did not come up within 0.05 s: it is refused") as caught:
        await wait_up(Scripted(because(Why.REFUSED)), 0.05, "", tries[1])
    assert caught.value.why is Why.REFUSED
    assert tries[0][-1].pause == 0


async def test_our_own_key_that_cannot_be_used_is_not_waited_for(tries: Tries) -> None:
    with pytest.raises(ConnectError, match=r"^it is own-key$"):
        await wait_up(Scripted(because(Why.OWN_KEY)), 60, "", tries[1])


@pytest.mark.parametrize("why", [Why.REFUSED, Why.UNREACHABLE, Why.SILENT, Why.HOST_KEY])
async def test_down_when_nothing_or_another_answers(tries: Tries, why: Why) -> None:
    host = Scripted("a", "a", LOST, because(Why.DROPPED), because(why))
    assert await wait_down(host, 60, tries[1]) == f"it is {why}"
    assert len(tries[0]) == 4


async def test_down_and_up_between_two_questions(tries: Tries) -> None:
    assert await wait_down(Scripted("a", LOST, "b"), 60, tries[1]) == "node01 was booted again meanwhile"


@pytest.mark.parametrize(
    "answer",
    ["a", because(Why.DENIED), because(Why.DROPPED), because(Why.JUMP), CommandFailedError("node01", ["x"], 1)],
)
async def test_what_answers_somehow_is_not_down(tries: Tries, answer: str | CommandError) -> None:
    with pytest.raises(CommandError, match=r"node01 did not go down within 0\.05 s"):
        await wait_down(Scripted(answer), 0.05, tries[1])


async def test_a_limit_holds_for_an_answer_that_does_not_come(tries: Tries) -> None:
    class Hangs(Scripted):
        async def boot_id(self, *, limit: float) -> str:
            await asyncio.get_running_loop().create_future()
            return ""

    for wait in (wait_up(Hangs(""), 0.05, "", tries[1]), wait_down(Hangs(""), 0.05, tries[1])):
        with pytest.raises(CommandError, match=r"within 0.05 s"):
            await wait


@pytest.mark.needs(SSHD)
async def test_a_real_sshd_goes_and_comes(openssh: Rig) -> None:
    openssh.know()
    host = openssh.hosts.system("node01")
    seen: list[Try] = []
    boot = await host.wait_up(30, on_try=seen.append)
    assert seen == []
    tried = asyncio.Event()

    def note(each: Try) -> None:
        seen.append(each)
        tried.set()

    def end(_: Try) -> None:
        openssh.server.drop()
        openssh.server.terminate()

    assert "refused" in await host.wait_down(30, on_try=end)
    back = asyncio.create_task(host.wait_up(30, on_try=note), name="wait up")
    await tried.wait()
    await openssh.server.start()
    assert await back == boot
    assert {each.why for each in seen} == {Why.REFUSED}
