"""The store against a plain list: queries, bounds, marks, and a loop that is never held up."""

from __future__ import annotations

import asyncio
import re
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.watch import lineblocks
from plasmatui.watch.linefilter import LineFilter, PatternError, TextMatch
from plasmatui.watch.lines import LineStore, Order, StoredLine
from plasmatui.watch.sources.base import LogLine

KINDS = {"kea": "dhcp", "hpa": "tftp", "nginx": "http"}
_WORDS = st.sampled_from(["DISCOVER", "error", "Error", "", "10.0.0.1", "a\nb", "x" * 40, "kernel\xff"])
_BATCHES = st.lists(
    st.tuples(
        st.sampled_from(sorted(KINDS)),
        st.lists(st.tuples(_WORDS, st.one_of(st.none(), st.integers(90, 110))), min_size=1, max_size=6),
    ),
    max_size=12,
)
_FILTERS = st.builds(
    LineFilter,
    kinds=st.sampled_from([frozenset(), frozenset({"dhcp"}), frozenset({"tftp", "http"})]),
    sources=st.sampled_from([frozenset(), frozenset({"kea", "hpa"})]),
    nodes=st.sampled_from([None, frozenset({"node01"}), frozenset({"", "node02"}), frozenset({"nobody"})]),
    include=st.sampled_from([None, TextMatch("error"), TextMatch("E", ignore_case=False), TextMatch(r"^\S+$", True)]),
    exclude=st.sampled_from([None, TextMatch("DISC"), TextMatch(r"r\s*", True), TextMatch("^$", True)]),
    since=st.sampled_from([None, 95.0]),
    until=st.sampled_from([None, 105.0]),
)


class Model:
    """The same, with a list."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, StoredLine]] = []

    def passing(self, wanted: LineFilter, order: Order) -> list[StoredLine]:
        return [
            line
            for key, line in sorted(self.lines, key=lambda item: (item[0] if order is Order.TIME else 0.0, item[1].seq))
            if (not wanted.kinds or KINDS[line.source] in wanted.kinds)
            and (not wanted.sources or line.source in wanted.sources)
            and (wanted.nodes is None or line.node in wanted.nodes)
            and (wanted.since is None or key >= wanted.since)
            and (wanted.until is None or key <= wanted.until)
            and has(line, wanted.include, missing=True)
            and not has(line, wanted.exclude, missing=False)
        ]


def has(line: StoredLine, match: TextMatch | None, *, missing: bool) -> bool:
    if match is None:
        return missing
    text = match.text if match.regex else re.escape(match.text)
    return re.search(text.encode(), line.raw, re.IGNORECASE if match.ignore_case else 0) is not None


def fill(batches: list[tuple[str, list[tuple[str, int | None]]]]) -> tuple[LineStore, Model]:
    store, model, numbers, tops = LineStore(), Model(), dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, -1e9)
    for name, kind in KINDS.items():
        store.add_source(name, kind)
    for turn, (source, lines) in enumerate(batches):
        logged = []
        for text, wall in lines:
            numbers[source] += 1
            logged.append(LogLine(source, numbers[source], text.encode("latin-1"), wall=wall))
        for seq, line in zip(store.append(source, logged, 100.0), logged, strict=True):
            wall = 100.0 if line.wall is None else float(line.wall)
            tops[source] = max(tops[source], wall)
            node = ["", "node01", "node02"][seq % 3]
            store.own(source, line.number, node)
            raw = line.raw.replace(b"\n", b" ")
            model.lines.append((tops[source], StoredLine(seq, source, line.number, wall, node, raw)))
        if turn % 4 == 3:
            numbers[source] += 5  # a gap in the source's own numbers
    return store, model


@settings(max_examples=150, deadline=None)
@given(_BATCHES, _FILTERS, st.sampled_from(Order), st.integers(0, 40), st.integers(1, 9), st.sampled_from([30, 10**6]))
def test_queries_agree_with_a_list(
    batches: list[tuple[str, list[tuple[str, int | None]]]],
    wanted: LineFilter,
    order: Order,
    seq: int,
    count: int,
    block: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lineblocks, "BLOCK", block)
        store, model = fill(batches)
    passing = model.passing(wanted, order)
    everything = model.passing(LineFilter(), order)
    seqs = [line.seq for line in everything]

    async def check() -> None:
        assert list(await store.tail(count, wanted, order)) == passing[-count:]
        place = seqs.index(seq) if seq in seqs else -1 if seq < store.next_seq else len(seqs)
        earlier = [line for line in passing if seqs.index(line.seq) < place]
        later = [line for line in passing if seqs.index(line.seq) > place]
        assert list(await store.before(seq, count, wanted, order)) == earlier[-count:]
        assert list(await store.after(seq, count, wanted, order)) == later[:count]
        assert await store.search(wanted, seq, forward=True, order=order) == next(iter(later), None)
        hits = await store.count(wanted, ticks=4)
        assert hits.total == len(passing) == sum(hits.ticks)

    asyncio.run(check())
    assert [store.line(line.seq) for line in everything] == everything


def many(first: int, count: int, every: int = 1000) -> list[LogLine]:
    return [
        LogLine(
            "kea",
            number,
            b"2026-11-21 04:12:%02d.%03d INFO  [kea-dhcp4.leases] DHCP4_LEASE_ALLOC 52:54:00:12:34:%02x 10.0.100.%d %s"
            % (
                number // 1000 % 60,
                number % 1000,
                number % 256,
                number % 250,
                b"error" if number % every == 0 else b"ok",
            ),
            wall=number / 100,
        )
        for number in range(first, first + count)
    ]


def test_the_oldest_of_the_largest_goes_first() -> None:
    store = LineStore(cap=2 << 20)
    for name, kind in KINDS.items():
        store.add_source(name, kind)
    quiet = store.append("hpa", [LogLine("hpa", 1, b"the only line")], 1.0)[0]
    for turn in range(100):
        store.append("kea", many(turn * 500 + 1, 500), 1.0)
    assert store.bytes <= 2 << 20
    counts = store.counts()
    assert counts["hpa"].lines == 1
    assert store.line(quiet) is not None
    assert counts["kea"].lines + counts["kea"].dropped_lines == 50_000
    assert counts["kea"].dropped_bytes > 0
    assert store.line(2) is None
    store.own("kea", 2, "node01")
    store.own("nothing", 2, "node01")
    first = counts["kea"].first_seq
    assert first is not None
    kept = store.line(first)
    assert kept is not None
    assert kept.number == counts["kea"].dropped_lines + 1


def test_a_clock_far_ahead_is_not_believed() -> None:
    store = LineStore()
    store.add_source("kea", "dhcp")
    seqs = store.append("kea", [LogLine("kea", 1, b"x", wall=9e9), LogLine("kea", 2, b"y", wall=1030.0)], 1000.0)
    assert [line.wall for seq in seqs if (line := store.line(seq))] == [1000.0, 1030.0]


def test_text_is_clean_and_raw_is_not() -> None:
    store = LineStore()
    store.add_source("nginx", "http")
    (seq,) = store.append("nginx", [LogLine("nginx", 1, b"GET \x1b]0;owned\x07/ [red]\xff")], 1.0)
    line = store.line(seq)
    assert line is not None
    assert line.text == "GET / [red]\N{REPLACEMENT CHARACTER}"
    assert line.raw == b"GET \x1b]0;owned\x07/ [red]\xff"


@pytest.mark.parametrize("text", ["(", "(a+)+", "((ab)*x+)*", "(a|a)*$", "(a+b?)+$", "(.*a){20}", "x" * 501])
async def test_bad_patterns_are_refused(text: str) -> None:
    store = LineStore()
    with pytest.raises(PatternError):
        await store.tail(1, LineFilter(include=TextMatch(text, regex=True)))


async def stalls(work: Callable[[], object]) -> tuple[object, float]:
    """What a coroutine gives, and the longest time that it held up the loop, in seconds, but for the worst few."""
    gaps: list[float] = []
    stop = asyncio.Event()

    async def watch() -> None:
        last = time.perf_counter()
        while not stop.is_set():
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    watcher = asyncio.create_task(watch(), name="watch")
    result = await work()  # type: ignore[misc]
    stop.set()
    await watcher
    return result, sorted(gaps)[-3] if len(gaps) > 10 else 0.0


async def test_a_filter_over_much_leaves_the_loop_free() -> None:
    store = LineStore(cap=1 << 30)
    store.add_source("kea", "dhcp")
    for turn in range(100):
        store.append("kea", many(turn * 2000 + 1, 2000), 1e9)
    for text, expected in (("error", 200), (r"34:(0a|0b) .*ok", 1560)):
        wanted = LineFilter(include=TextMatch(text, regex=True, ignore_case=False))
        hits, stall = await stalls(lambda: store.count(wanted, ticks=50))  # noqa: B023 - awaited at once
        assert abs(hits.total - expected) <= 10  # type: ignore[attr-defined]
        assert stall < 0.02
    task = asyncio.create_task(store.count(LineFilter(include=TextMatch("nothing like it"))), name="count")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_memory_beside_the_text_is_small() -> None:
    store = LineStore(cap=1 << 30)
    store.add_source("kea", "dhcp")
    tracemalloc.start()
    text = 0
    for turn in range(25):
        lines = many(turn * 2000 + 1, 2000)
        text += sum(len(line.raw) + 1 for line in lines)
        store.append("kea", lines, 1e9)
        del lines
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < text + 50_000 * 22 + (1 << 19)
    assert store.bytes < used * 1.1


def test_a_ruler_cuts_what_is_kept_into_parts_of_equally_many_lines() -> None:
    store = LineStore()
    assert store.ruler(4) == ()
    for name, kind in KINDS.items():
        store.add_source(name, kind)
    burst = [LogLine("kea", n, b"x", wall=1000.0 + n / 1000) for n in range(1, 901)]
    quiet = [LogLine("hpa", n, b"y", wall=float(n)) for n in range(1, 101)]
    store.append("kea", burst, 2000.0)
    store.append("hpa", quiet, 2000.0)
    ruler = store.ruler(10)
    assert len(ruler) == 10
    assert ruler[0] < 20.0
    assert all(1000.0 < wall < 1001.0 for wall in ruler[1:])
    assert sorted(ruler) == list(ruler)
