"""Who goes when in a rolling operation: waves and turns, and the copies that share the link. No nodes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.model.operation import NodeRecord
from plasmatui.model.words import OperationState
from plasmatui.operations import gate, rollout
from plasmatui.operations.gate import Wellness
from plasmatui.operations.pacing import Copies
from plasmatui.operations.rollout import Turns, waves

DONE, FAILED, CANCELLED = OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED
NAMES = st.lists(st.sampled_from([f"n{number}" for number in range(20)]), unique=True, max_size=20)


@given(NAMES, st.sets(st.sampled_from([f"n{number}" for number in range(20)])), NAMES, st.integers(1, 7))
def test_every_node_has_one_turn_the_canary_and_voters_alone(
    nodes: list[str], voters: set[str], leaders: list[str], batch: int
) -> None:
    found = waves(nodes, voters, leaders, batch)
    assert sorted(node for wave in found for node in wave) == sorted(nodes)
    voting = [place for place, wave in enumerate(found) if set(wave) & voters]
    assert all(len(found[place]) == 1 for place in voting), "one voter at a time, whatever the batch"
    assert voting == list(range(len(found) - len(voting), len(found))), "behind the others"
    leading = [found[place][0] in leaders for place in voting]
    assert leading == sorted(leading), "leaders last"
    others = found[: len(found) - len(voting)]
    assert all(len(wave) <= batch for wave in others)
    assert not others or len(others[0]) == 1, "the canary goes alone"


async def test_nobody_begins_before_all_are_ready_and_a_wave_before_the_one_ahead_is_done() -> None:
    turns = Turns((("a",), ("b", "c"), ("v",)))
    waiting = {node: asyncio.create_task(turns.turn(node, lambda _: None)) for node in "abcv"}

    async def going() -> set[str]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return {node for node, task in waiting.items() if task.done()}

    for node in "abc":
        turns.ready(node)
    assert await going() == set()
    assert turns.ahead("v") == "1 node is not ready yet"
    turns.ready("v")
    assert await going() == {"a"}
    turns.ended(NodeRecord("a", DONE))
    assert await going() == {"a", "b", "c"}
    assert turns.together("b") == {"b", "c"}
    turns.ended(NodeRecord("b", DONE))
    assert await going() == {"a", "b", "c"}
    turns.ended(NodeRecord("c", DONE))
    assert await going() == {"a", "b", "c", "v"}
    assert [task.result() for task in waiting.values()] == ["", "", "", ""]


async def test_who_waits_says_anew_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "RENEWED", 0.001)
    turns, said = Turns((("a",), ("b",))), asyncio.Queue[str]()
    waiting = asyncio.create_task(turns.turn("b", said.put_nowait))

    async def hears(text: str) -> None:
        async with asyncio.timeout(30.0):
            while await said.get() != text:
                pass

    await hears("2 nodes are not ready yet")
    turns.ready("b")
    await hears("1 node is not ready yet")
    turns.ready("a")
    await hears("wave 2 of 2; 1 nodes are before it")
    turns.ended(NodeRecord("a", DONE))
    assert await waiting == ""


async def test_nothing_begins_behind_a_node_that_did_not_get_done() -> None:
    for state, words in ((FAILED, "since b failed"), (CANCELLED, "since b was cancelled")):
        turns = Turns((("a",), ("b",), ("v",)))
        turns.ended(NodeRecord("b", state))  # before anybody else was ready: a build that fails
        assert words in await turns.turn("a", print)
        assert words in await turns.turn("v", print)
        assert words in turns.stopped


WORDS = st.lists(st.from_regex(r"[a-z0-9@:.\-]{2,20}", fullmatch=True), max_size=9).map(tuple)


@given(st.builds(Wellness, WORDS, WORDS, WORDS, WORDS))
def test_how_well_a_node_was_is_read_back_from_the_journal(well: Wellness) -> None:
    assert gate._wellness(gate._words(well)) == well


async def test_copies_wait_for_a_place_and_for_the_link() -> None:
    copies = Copies()
    order: list[str] = []

    async def copy(name: str, size: int, hold: asyncio.Event) -> None:
        async with copies.slot(2):
            order.append(name)
            copies.spend(size, 8_000)
            await hold.wait()

    hold = asyncio.Event()
    tasks = [asyncio.create_task(copy(name, 20, hold)) for name in "abc"]
    _, waiting = await asyncio.wait(tasks, timeout=0.3)  # more than the link needs for all three
    assert len(waiting) == 3
    assert len(order) == 2, "two at once"
    hold.set()
    await asyncio.gather(*tasks)
    assert sorted(order) == ["a", "b", "c"]
