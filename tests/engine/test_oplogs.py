"""What steps printed: kept in order and by pages, bounded, and forgotten when it is old."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmatui.engine import oplogs
from plasmatui.engine.oplogs import OperationLogs, prune
from tests.engine.conftest import Start, until


def texts(page: str) -> list[str]:
    return [line.partition(" ")[2] for line in page.splitlines()]


async def test_pages_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oplogs, "PAGE", 200)
    logs = OperationLogs(tmp_path)
    for number in range(40):
        logs.add(7, "n1", f"line {number}\n\nmore {number}")
    offset, seen = 0, []
    while True:
        offset, page = await logs.read(7, "n1", offset)
        if not page:
            break
        assert len(page) <= 200
        seen += texts(page)
    assert seen == [text for number in range(40) for text in (f"line {number}", f"more {number}")]
    logs.add(7, "n1", "later")
    offset, page = await logs.read(7, "n1", offset)
    assert texts(page) == ["later"]
    _, last = await logs.read(7, "n1", -1)
    assert texts(last)[-1] == "later"
    assert len(last) <= 200
    assert (tmp_path / "7" / "n1.log").stat().st_mode & 0o777 == 0o600
    assert await logs.read(8, "n1", 0) == (0, "")


async def test_a_log_is_bounded_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oplogs, "MAX_LOG", 2000)
    logs = OperationLogs(tmp_path)
    for _ in range(50):
        logs.add(1, "n1", "x" * 100)
        await logs.read(1, "n1", 0)
    assert (tmp_path / "1" / "n1.log").stat().st_size <= 2100
    _, page = await logs.read(1, "n1", 0)
    assert "the log is full" in page.splitlines()[-1]


async def test_a_disk_that_takes_nothing_costs_lines_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    logs = OperationLogs(blocked)
    logs.add(1, "n1", "lost")
    _, page = await logs.read(1, "n1", 0)
    assert "lost" not in page


def test_old_operations_are_forgotten_but_not_unfinished_ones(tmp_path: Path) -> None:
    for number in (1, 2, 3, 10, 11):
        (tmp_path / str(number) / "n1").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    prune(tmp_path, frozenset({2}), kept=2)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["10", "11", "2", "other"]
    prune(tmp_path / "absent", frozenset())


async def test_a_long_engine_forgets_as_well(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oplogs, "TIDY_PACE", 0.01)
    running = await start(1)
    for directory in (running.paths.operations, running.paths.jobs):
        for number in range(1, oplogs.KEPT + 3):
            (directory / str(number)).mkdir(parents=True)
        await until(lambda: not (directory / "2").exists(), 60.0)  # noqa: B023
        assert not (directory / "1").exists()
        assert (directory / "3").exists()
