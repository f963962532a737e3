"""Recordings: offsets that name a byte for ever, times, rotation, and disks that fail."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.engine import recording as module
from plasmatui.engine.recording import Chunk, Extent, Recording, SegmentFiles, _private


def record(files: SegmentFiles, recording: Recording) -> None:
    """What the hub does: write what is not on disk yet."""
    chunk = recording.take()
    if chunk is not None:
        recording.written(chunk, files.write(chunk))


def test_bytes_times_and_modes_on_disk(tmp_path: Path) -> None:
    directory = tmp_path / "node01"
    files = SegmentFiles(directory)
    recording = Recording(files.load())
    assert recording.append(b"hello ", 1000.0) == 0
    assert recording.append(b"world", 1000.05) == 6
    assert recording.append(b"!", 1001.5) == 11
    record(files, recording)
    raw, times = directory / f"{0:020d}.raw", directory / f"{0:020d}.time"
    assert raw.read_bytes() == b"hello world!"
    assert times.read_text() == "1000.000 11\n1001.500 1\n"
    assert stat.S_IMODE(raw.stat().st_mode) == stat.S_IMODE(times.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_offsets_survive_restarts(tmp_path: Path) -> None:
    for part in (b"first ", b"second ", b"third"):
        files = SegmentFiles(tmp_path)
        recording = Recording(files.load())
        recording.append(part, 1.0)
        record(files, recording)
    files = SegmentFiles(tmp_path)
    extent = files.load()
    assert extent == Extent(0, 18)
    assert files.read(0, 100) == (0, b"first second third")
    assert files.read(6, 6) == (6, b"second")
    for raw in tmp_path.glob("*.raw"):
        counted = sum(int(line.split()[1]) for line in raw.with_suffix(".time").read_text().splitlines())
        assert counted == raw.stat().st_size


def test_rotation_keeps_the_newest_and_their_offsets(tmp_path: Path) -> None:
    files = SegmentFiles(tmp_path, size=100, segments=4)
    recording = Recording(files.load())
    whole = b"".join(f"{number:07d}\n".encode() for number in range(200))
    for place in range(0, len(whole), 8):
        recording.append(whole[place : place + 8], float(place))
        record(files, recording)
    assert recording.end == len(whole)
    kept = sum(raw.stat().st_size for raw in tmp_path.glob("*.raw"))
    assert 300 <= kept <= 420
    assert recording.start == len(whole) - kept
    assert files.read(0, 10_000) == (recording.start, whole[recording.start :])
    assert files.read(recording.end - 8, 100) == (recording.end - 8, whole[-8:])
    assert len(list(tmp_path.glob("*.time"))) == len(list(tmp_path.glob("*.raw")))
    assert SegmentFiles(tmp_path, size=100, segments=4).load() == Extent(recording.start, recording.end)


class FullDisk:
    """An opener whose files take `room` bytes altogether, then ENOSPC, half-way through a write."""

    def __init__(self) -> None:
        self.full = False

    def __call__(self, path: str, flags: int) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return _private(path, flags)


def test_a_full_disk_leaves_a_gap_that_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNWRITTEN", 10)
    disk = FullDisk()
    files = SegmentFiles(tmp_path, opener=disk)
    recording = Recording(files.load())
    recording.append(b"before", 1.0)
    record(files, recording)
    disk.full = True
    recording.append(b"0123456789abcdefghij", 2.0)
    chunk = recording.take()
    assert chunk is not None
    with pytest.raises(OSError, match="No space"):
        files.write(chunk)
    assert recording.gaps == 10
    assert recording.recent(6, 20) == (6, b"0123456789abcdefghij"), "live readers miss nothing"
    disk.full = False
    record(files, recording)
    assert recording.unwritten == 0
    assert files.read(0, 100) == (0, b"before"), "one run without a gap"
    assert files.read(6, 100) == (16, b"abcdefghij"), "it begins later than asked"
    again = SegmentFiles(tmp_path)
    assert again.load() == Extent(0, 26)
    assert again.read(16, 100) == (16, b"abcdefghij")


def test_a_write_that_breaks_half_way_is_not_doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = SegmentFiles(tmp_path)
    recording = Recording(files.load())
    recording.append(b"one ", 1.0)
    record(files, recording)
    real = files._append

    def half(offset: int, suffix: str, data: bytes) -> None:
        real(offset, suffix, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_append", half)
    recording.append(b"two three", 2.0)
    chunk = recording.take()
    assert chunk is not None
    with pytest.raises(OSError, match="No space"):
        files.write(chunk)
    monkeypatch.setattr(files, "_append", real)
    record(files, recording)
    for each in (files, SegmentFiles(tmp_path)):
        if each is not files:
            assert each.load() == Extent(0, 13)
        assert each.read(0, 100) == (0, b"one two three")


def test_links_in_the_directory_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    directory = tmp_path / "node"
    directory.mkdir()
    (directory / f"{0:020d}.raw").symlink_to(target)
    files = SegmentFiles(directory)
    assert files.load() == Extent(0, 0)
    with pytest.raises(OSError, match="symbolic links"):
        files.write(Chunk(0, b"evil", ((1.0, 4),)))
    assert target.read_bytes() == b"mine"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=60), st.booleans(), st.booleans()), max_size=25),
    st.integers(0, 1500), st.integers(0, 1500),
)  # fmt: skip
def test_whatever_is_read_is_what_came(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bytes, bool, bool]], offset: int, length: int
) -> None:
    """Chunks of any size, written or not, with restarts in between: a byte keeps its offset."""
    directory = tmp_path_factory.mktemp("node")
    files = SegmentFiles(directory, size=64, segments=3)
    recording = Recording(files.load())
    whole = b""
    for data, write, restart in steps:
        assert recording.append(data, 1.0) == len(whole)
        whole += data
        if write or restart:
            record(files, recording)
        if restart:
            files = SegmentFiles(directory, size=64, segments=3)
            recording = Recording(files.load())
    assert recording.end == len(whole)
    begin, data = files.read(offset, length)
    assert whole[begin : begin + len(data)] == data
    assert len(data) <= length
    assert begin >= min(offset, recording.start)
    recent = recording.recent(offset, length)
    if recent is not None:
        assert recent[1] == whole[offset : offset + length]
