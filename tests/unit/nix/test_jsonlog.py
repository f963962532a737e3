"""Progress of nix, from its recorded internal-json."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.nix.jsonlog import MOST_ACTIVITIES, BuildLog, BuildProgress
from plasmatui.text import is_clean
from tests.unit.nix import recorded

STREAMS = {
    "2.8": recorded.nix_2_8(),
    "2.26": recorded.nix("2.26.3", "./flk#top"),
    "2.34": recorded.nix("2.34.8", "./flk#top"),
}


def run(data: bytes, chunks: list[int] | None = None) -> tuple[BuildLog, list[BuildProgress]]:
    log, seen = BuildLog(), []
    for chunk in recorded.cut(data, chunks or [len(data) or 1]):
        log.feed(chunk)
        seen.append(log.progress)
    log.finish()
    return log, [*seen, log.progress]


def records(*items: dict[str, object]) -> bytes:
    return b"".join(b"@nix " + json.dumps(item).encode() + b"\n" for item in items)


@pytest.mark.parametrize("version", STREAMS)
def test_a_build_of_three(version: str) -> None:
    data = STREAMS[version]
    seen = []
    log = BuildLog()
    for line in data.splitlines(keepends=True):
        log.feed(line)
        seen.append(log.progress)
    assert max(state.builds for state in seen) == 3
    assert any(state.builds_expected == 3 and state.builds_running == 1 for state in seen)
    percents = [state.percent for state in seen if state.percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] >= 75
    assert any(state.text.startswith("building '/nix/store/") for state in seen)
    assert any(state.text.endswith("(buildPhase)") for state in seen)
    assert "hello from a" in log.tail
    assert seen[-1].errors == ()


@pytest.mark.parametrize("version", ["2.26.3", "2.34.8"])
def test_a_build_that_fails(version: str) -> None:
    log, seen = run(recorded.nix(version, "#bad --no-link --log-format"))
    assert seen[-1].builds_failed == 1
    assert "gcc: error: boom" in log.tail


def test_the_same_without_the_prefix() -> None:
    data = STREAMS["2.34"]
    assert run(data.replace(b"@nix ", b""))[1][-1] == run(data)[1][-1]


@settings(deadline=None)
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(1, 500), min_size=1, max_size=6))
def test_any_chunking_gives_the_same(version: str, sizes: list[int]) -> None:
    whole, cut = run(STREAMS[version])[0], run(STREAMS[version], sizes)[0]
    assert cut.tail == whole.tail
    assert msg(cut.progress) == msg(whole.progress)


def msg(state: BuildProgress) -> tuple[object, ...]:
    return (state.builds, state.builds_expected, state.paths, state.bytes, state.text, state.errors)


def test_bytes_of_a_copy() -> None:
    log = BuildLog()
    log.feed(
        records(
            {"action": "start", "id": 1, "level": 3, "type": 103, "text": "copying 1 paths", "parent": 0},
            {"action": "result", "id": 1, "type": 106, "fields": [100, 4000]},
            {"action": "start", "id": 2, "level": 3, "type": 100, "text": "copying path 'p' to 'ssh://root@n'"},
            {"action": "result", "id": 2, "type": 105, "fields": [1000, 4000, 0, 0]},
        )
    )
    assert log.progress == BuildProgress(
        bytes=1000, bytes_expected=4000, percent=25.0, text="copying path 'p' to 'ssh://root@n'"
    )
    log.feed(records({"action": "result", "id": 2, "type": 105, "fields": [500, 8000, 0, 0]}))
    assert log.progress.percent == 25.0
    log.feed(
        records(
            {"action": "result", "id": 2, "type": 105, "fields": [8000, 8000, 0, 0]},
            {"action": "stop", "id": 2},
            {"action": "result", "id": 1, "type": 105, "fields": [1, 1, 0, 0]},
            {"action": "stop", "id": 1},
        )
    )
    assert (log.progress.bytes, log.progress.paths, log.progress.percent) == (8000, 1, 100.0)


def test_errors_lose_their_colours_and_long_lines_are_read() -> None:
    text = "\x1b[31;1merror:\x1b[0m\n       " + "… trace\n" * 20_000 + "\x1b[31merror:\x1b[0m node05: disk not set"
    data = records({"action": "msg", "level": 0, "msg": text, "raw_msg": "x"})
    assert len(data) > 1 << 17
    log, seen = run(data, [4096])
    assert seen[-1].errors[0].startswith("error:")
    assert all(is_clean(line) for line in log.tail)


def test_activities_that_never_stop_are_bounded() -> None:
    log = BuildLog()
    for number in range(MOST_ACTIVITIES * 2):
        log.feed(records({"action": "start", "id": number, "level": 3, "type": 105, "text": "x"}))
    assert len(log._activities) <= MOST_ACTIVITIES


counts = st.integers(-3, 2**70) | st.booleans() | st.none() | st.text(max_size=3) | st.floats()
anything = st.recursive(counts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner))
hostile = st.fixed_dictionaries(
    {"action": st.sampled_from(["start", "stop", "result", "msg", "new"])},
    optional={
        "id": st.integers(0, 4) | anything,
        "type": st.sampled_from([0, 100, 101, 103, 104, 105, 106, 999]) | anything,
        "fields": st.lists(st.integers(0, 106), max_size=5) | anything,
        "level": st.integers(0, 7) | anything,
        "text": st.text(max_size=20) | anything,
        "msg": st.text(max_size=20) | anything,
    },
)


@settings(deadline=None)
@given(st.lists(hostile | st.binary(max_size=40), max_size=40))
def test_nothing_breaks_it(items: list[dict[str, object] | bytes]) -> None:
    log = BuildLog()
    last = 0.0
    for item in items:
        log.feed(item + b"\n" if isinstance(item, bytes) else records(item))
        state = log.progress
        assert is_clean(state.text)
        assert state.builds <= state.builds_expected or not state.builds_expected
        percent = state.percent or 0.0
        assert last <= percent <= 100
        last = percent
