"""Lines that were delivered before are read again, once each, up to the position and no further."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from plasmatui.watch.sources.base import LogLine, LogSource, Position, Start
from plasmatui.watch.sources.file import FileSource
from plasmatui.watch.sources.journal import JournalSource
from plasmatui.watch.sources.process import LocalCommands
from plasmatui.watch.sources.remote_file import RemoteFileSource
from tests.unit.watch.sources.collector import Collector, append, numbered, until
from tests.unit.watch.sources.test_journal import Fake, entry

Make = Callable[[Path, Collector, Position | None], LogSource]

MUCH = 1 << 20


def local(path: Path, collector: Collector, position: Position | None) -> LogSource:
    return FileSource("log", path, collector, start=Start.BEGINNING, position=position, look_every=0.05)


def remote(path: Path, collector: Collector, position: Position | None) -> LogSource:
    """Through the same `sh` and `tail` as on another host."""
    return RemoteFileSource(
        "log", str(path), LocalCommands(), collector, start=Start.BEGINNING, position=position, look_every=0.05
    )


@pytest.fixture(params=[local, remote], ids=["here", "elsewhere"])
def make(request: pytest.FixtureRequest) -> Make:
    found: Make = request.param
    return found


async def read(make: Make, path: Path, count: int) -> Position:
    """Where a source is that has read so many lines."""
    collector = Collector()
    source = make(path, collector, None)
    source.start()
    await until(lambda: collector.has(count))
    await source.close()
    return collector.position


def told(lines: tuple[LogLine, ...]) -> list[tuple[int, int]]:
    return [(line.number, int(line.raw.split()[1])) for line in lines]


async def test_the_lines_before_the_position_come_again(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(numbered(0, 40))
    position = await read(make, path, 40)
    append(path, numbered(40, 50))
    again = make(path, Collector(), position)
    assert told(await again.recall(MUCH)) == [(n + 1, n) for n in range(40)]
    line = len(numbered(30, 31))
    assert told(await again.recall(20 * line + 3)) == [(n + 1, n) for n in range(20, 40)]
    assert told(await make(path, Collector(), None).recall(MUCH)) == []


async def test_a_file_that_was_rotated_or_exchanged(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(numbered(0, 20))
    collector = Collector()
    source = make(path, collector, None)
    source.start()
    await until(lambda: collector.has(20))
    path.rename(tmp_path / "access.log.1")
    path.write_bytes(numbered(20, 25))
    await until(lambda: collector.has(25))
    await source.close()
    assert told(await make(path, Collector(), collector.position).recall(MUCH)) == [(n + 1, n) for n in range(25)]
    path.rename(tmp_path / "access.log.0")
    path.write_bytes(numbered(25, 30))
    assert told(await make(path, Collector(), collector.position).recall(MUCH)) == [(n + 1, n) for n in range(25)]


async def test_what_is_no_longer_the_same_file_is_left_alone(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(numbered(0, 20))
    position = await read(make, path, 20)
    with path.open("r+b") as file:  # the same inode with other bytes
        file.write(numbered(70, 95))
    assert await make(path, Collector(), position).recall(MUCH) == ()
    path.write_bytes(numbered(0, 3))
    assert await make(path, Collector(), position).recall(MUCH) == ()
    shutil.move(path, tmp_path / "elsewhere")
    assert await make(path, Collector(), position).recall(MUCH) == ()


async def test_a_journal_is_asked_up_to_its_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(tmp_path, monkeypatch)
    fake.write([entry(1, "one"), entry(2, "two\nlines"), entry(3, "later")])
    position = Position(9, 1_700_000_001.0, (), "s=1;i=2")
    source = JournalSource("tftp", "tftpd-hpa.service", LocalCommands(), Collector(), position=position)
    lines = await source.recall(MUCH)
    assert [(line.number, line.raw.split(b": ")[1], line.wall) for line in lines[:2]] == [
        (7, b"one", 1_700_000_000.5),
        (8, b"two", 1_700_000_001.0),
    ]
    assert [(line.number, line.raw) for line in lines[2:]] == [(9, b"in.tftpd[802]: lines")]
    (call,) = fake.calls
    assert {"--until=@1700000001.000000", "--unit=tftpd-hpa.service"} <= set(call)
    assert "--follow" not in call
    nothing = JournalSource("tftp", "tftpd-hpa.service", LocalCommands(), Collector())
    assert await nothing.recall(MUCH) == ()
