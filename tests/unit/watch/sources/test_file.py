"""Local files: rotation under a writer, restarts, unfinished lines, missing and forbidden files."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from plasmatui.watch.sources.base import Position, SourceState, SourceStatus, Start
from plasmatui.watch.sources.file import FileSource
from plasmatui.watch.sources.follower import is_rotation_of
from tests.unit.watch.sources.collector import Collector, append, numbered, until


def source(path: Path, collector: Collector, **options: object) -> FileSource:
    options.setdefault("start", Start.BEGINNING)
    return FileSource("kea", path, collector, look_every=0.05, **options)  # type: ignore[arg-type]


def rename(path: Path) -> None:
    path.rename(path.with_name(path.name + ".1"))


def rename_and_pack(path: Path) -> None:
    old = path.with_name(path.name + ".1")
    path.rename(old)
    with open(old, "rb") as plain, gzip.open(f"{old}.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    old.unlink()


def rename_chain(path: Path) -> None:
    for number in (3, 2, 1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


@pytest.mark.parametrize("rotate", [rename, rename_and_pack, rename_chain, Path.unlink])
async def test_rotation_under_a_writer_loses_and_doubles_nothing(
    tmp_path: Path, rotate: Callable[[Path], None]
) -> None:
    path, collector = tmp_path / "kea.log", Collector()
    path.touch()
    reader = source(path, collector)
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.RUNNING)
    count = 0
    for _ in range(4):
        count = await write_and_rotate(path, rotate, count, collector)
    append(path, numbered(count, count + 100))
    count += 100
    await until(lambda: len(collector.lines) >= count)
    await reader.close()
    assert sorted(collector.numbers) == list(range(count))
    assert collector.gaps == []
    assert [line.number for line in collector.lines] == list(range(1, count + 1))


async def write_and_rotate(path: Path, rotate: Callable[[Path], None], count: int, collector: Collector) -> int:
    """A daemon writes, its log is rotated, and it goes on with the old file for a while."""
    old = os.open(path, os.O_WRONLY | os.O_APPEND)
    for turn in range(20):
        os.write(old, numbered(count, count + 50))
        count += 50
        await asyncio.sleep(0.002)
        if turn == 10:  # a file that is packed or deleted before anybody saw it cannot be read
            await until(partial(collector.has, count - 50))
    rotate(path)
    append(path, b"")
    os.write(old, numbered(count, count + 10))
    os.close(old)
    return count + 10


async def test_files_that_came_and_went_between_two_looks_are_read(tmp_path: Path) -> None:
    path, collector = tmp_path / "dhcpd.log", Collector()
    path.write_bytes(numbered(0, 10))
    (tmp_path / "dhcpd.log.9").write_bytes(b"line 999 is old\n")
    reader = FileSource("dhcp", path, collector, start=Start.BEGINNING, look_every=0.3)
    reader.start()
    await until(lambda: len(collector.lines) == 10)
    for turn in range(1, 4):  # three rotations at once
        rename_chain(path)
        path.write_bytes(numbered(turn * 10, turn * 10 + 10))
    await until(lambda: len(collector.lines) == 40)
    await reader.close()
    assert collector.numbers == list(range(40))


async def test_copytruncate_is_said_and_what_the_copy_holds_is_read(tmp_path: Path) -> None:
    path, collector = tmp_path / "access.log", Collector()
    path.write_bytes(numbered(0, 1000))
    reader = source(path, collector)
    reader.start()
    await until(lambda: len(collector.lines) == 1000)
    append(path, numbered(1000, 1010))
    shutil.copy(path, tmp_path / "access.log.1")
    os.truncate(path, 0)
    append(path, numbered(1010, 1020))
    await until(lambda: len(collector.lines) >= 1020)
    # Grown past the place read up to before anybody looked: seen by the bytes before that place.
    os.truncate(path, 0)
    append(path, numbered(1020, 3000))
    await until(lambda: len(collector.lines) >= 3000)
    await reader.close()
    assert collector.numbers == list(range(3000))
    assert len(collector.gaps) == 2
    assert "was truncated" in collector.gaps[0]
    assert reader.state.gaps == 2


async def test_a_hole_left_by_a_truncation_is_skipped(tmp_path: Path) -> None:
    path, collector = tmp_path / "x.log", Collector()
    writer = os.open(path, os.O_WRONLY | os.O_CREAT)  # no O_APPEND
    os.write(writer, numbered(0, 1000))
    reader = source(path, collector)
    reader.start()
    await until(lambda: len(collector.lines) == 1000)
    os.truncate(path, 0)
    os.write(writer, numbered(1000, 1001))
    os.close(writer)
    await until(lambda: len(collector.lines) == 1001)
    await reader.close()
    assert collector.numbers == list(range(1001))


@pytest.mark.parametrize("meanwhile", ["nothing", "rename", "rename twice", "copytruncate"])
async def test_a_restart_goes_on_where_it_was(tmp_path: Path, meanwhile: str) -> None:
    path, first, second = tmp_path / "kea.log", Collector(), Collector()
    path.write_bytes(numbered(0, 500) + b"line 500 of")
    reader = source(path, first)
    reader.start()
    await until(lambda: len(first.lines) == 500)
    await reader.close()
    stored = msgspec.json.decode(msgspec.json.encode(first.position), type=Position)
    append(path, b" a log that somebody writes\n" + numbered(501, 600))
    count = 600
    if meanwhile == "copytruncate":
        shutil.copy(path, tmp_path / "kea.log.1")
        os.truncate(path, 0)
        append(path, numbered(count, count := count + 50))
    for _ in range({"rename": 1, "rename twice": 2}.get(meanwhile, 0)):
        rename_chain(path)
        path.write_bytes(numbered(count, count := count + 50))
    reader = source(path, second, position=stored, start=Start.END)
    reader.start()
    await until(lambda: len(second.lines) >= count - 500)
    append(path, numbered(count, count + 1))
    await until(lambda: len(second.lines) >= count - 499)
    await reader.close()
    assert first.numbers + second.numbers == list(range(count + 1))
    assert second.lines[0].number == 501
    assert second.gaps == []


async def test_a_restart_that_finds_another_file_says_so(tmp_path: Path) -> None:
    path, first, second = tmp_path / "kea.log", Collector(), Collector()
    path.write_bytes(numbered(0, 50))
    reader = source(path, first)
    reader.start()
    await until(lambda: len(first.lines) == 50)
    await reader.close()
    path.write_bytes(numbered(100, 200))
    reader = source(path, second, position=first.position)
    reader.start()
    await until(lambda: len(second.lines) == 100)
    await reader.close()
    assert second.numbers == list(range(100, 200))
    assert len(second.gaps) == 1


async def test_stop_and_start_go_on(tmp_path: Path) -> None:
    path, collector = tmp_path / "a.log", Collector()
    path.write_bytes(numbered(0, 5))
    reader = source(path, collector, start=Start.END)
    reader.start()
    await until(lambda: bool(collector.position.marks))
    await reader.stop()
    assert reader.state.status is SourceStatus.STOPPED
    append(path, numbered(5, 8))
    reader.start()
    await until(lambda: len(collector.lines) == 3)
    await reader.close()
    assert collector.numbers == [5, 6, 7]


async def test_begins_at_a_time(tmp_path: Path) -> None:
    path, collector = tmp_path / "a.log", Collector()
    lines = b"".join(b"%d entry\n  more of it\n" % (1000 + n // 3) for n in range(30_000))
    path.write_bytes(lines)

    def stamp(raw: bytes) -> float | None:
        return float(raw.split()[0]) if raw[:1].isdigit() else None

    reader = source(path, collector, start=9000.0, stamp=stamp)
    reader.start()
    await until(lambda: len(collector.lines) == 2 * 3 * 2000)
    await reader.close()
    assert collector.raws[0] == b"9000 entry"


async def test_unfinished_lines_wait_and_then_come(tmp_path: Path) -> None:
    path, collector = tmp_path / "a.log", Collector()
    path.write_bytes(b"one\r\ntw")
    reader = source(path, collector, patience=0.3)
    reader.start()
    await until(lambda: collector.raws == [b"one"])
    append(path, b"o \xff\xc3\nthree")
    await until(lambda: collector.raws == [b"one", b"two \xff\xc3", b"three"])
    assert [line.cut for line in collector.lines] == [False, False, True]
    assert collector.lines[1].text == "two \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    await reader.close()


async def test_a_missing_file_is_waited_for_and_read_from_its_begin(tmp_path: Path) -> None:
    path, collector, states = tmp_path / "later.log", Collector(), []
    reader = source(path, collector, start=Start.END, on_state=lambda _, state: states.append(state))
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.WAITING)
    assert "does not exist yet" in reader.state.reason
    path.write_bytes(numbered(0, 3))
    await until(lambda: len(collector.lines) == 3)
    await reader.close()
    assert [state.status for state in states] == [
        SourceStatus.STARTING,
        SourceStatus.WAITING,
        SourceStatus.RUNNING,
        SourceStatus.STOPPED,
    ]


async def test_a_forbidden_file_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, collector, states = tmp_path / "secret.log", Collector(), list[SourceState]()
    path.write_bytes(numbered(0, 3))
    real = os.open

    def refuse(name: object, *rest: object, **more: object) -> int:
        if name == path:
            raise PermissionError(13, "Permission denied", str(path))
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)  # the tests may run as root, which no mode keeps out
    reader = source(path, collector, on_state=lambda _, state: states.append(state))
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.FAILED)
    assert "permission denied" in reader.state.reason
    assert "setfacl" in reader.state.reason
    monkeypatch.undo()
    await until(lambda: len(collector.lines) == 3)
    await reader.close()


async def test_a_directory_is_refused(tmp_path: Path) -> None:
    reader = source(tmp_path, Collector())
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.FAILED)
    assert "not a regular file" in reader.state.reason
    await reader.close()


async def test_a_backlog_shows_lag_and_leaves_the_loop_free(tmp_path: Path) -> None:
    path, collector = tmp_path / "big.log", Collector()
    path.write_bytes(numbered(0, 400_000))
    reader = source(path, collector)
    slices, lags = [], []
    reader.start()
    while len(collector.lines) < 400_000:
        begin = time.thread_time()
        await asyncio.sleep(0)
        slices.append(time.thread_time() - begin)
        lags.append(reader.state.lag_bytes)
    await until(lambda: reader.state.lag_bytes == 0)
    await reader.close()
    assert max(lags) > 1_000_000
    assert sorted(slices)[int(len(slices) * 0.99)] < sum(slices) / 10, "it gives way many times"


async def test_an_unforeseen_error_is_shown(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.log", []
    path.write_bytes(b"x\n")

    def broken(_: object) -> None:
        raise ZeroDivisionError

    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))
    reader = FileSource("a", path, broken, start=Start.BEGINNING)
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.FAILED)
    assert isinstance(seen[0], ZeroDivisionError)
    await reader.close()


@pytest.mark.parametrize(
    ("name", "candidate", "expected"),
    [
        ("kea-dhcp4.log", "kea-dhcp4.log.1", True),
        ("kea-dhcp4.log", "kea-dhcp4.log.lock", False),
        ("kea-dhcp4.log", "kea-dhcp4.log.1.gz", False),
        ("access.log", "access.log-20261121", True),
        ("access.log", "access-20261121.log", True),
        ("access.log", "access.log.old", True),
        ("access.log", "access.log", False),
        ("syslog", "syslog.1", True),
        ("syslog", "syslog-ng.log", False),
    ],
)
def test_names_of_rotated_files(name: str, candidate: str, expected: bool) -> None:
    assert is_rotation_of(name, candidate) is expected
