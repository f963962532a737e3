"""Files and journals on another host, through real `tail` and `stat` behind an SSH server on loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from plasmatui.inventory.inventory import LogSource as LogEntry
from plasmatui.remote.connections import Connections
from plasmatui.watch.sources.base import SourceStatus, Start
from plasmatui.watch.sources.factory import make_source
from plasmatui.watch.sources.remote_file import RemoteFileSource
from plasmatui.watch.sources.supervised import Pauses
from tests.unit.watch.sources.collector import Collector, append, numbered, until
from tests.unit.watch.sources.sshd import Sshd


@pytest.fixture
async def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sshd]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = Sshd(tmp_path)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def connections(sshd: Sshd) -> AsyncIterator[Connections]:
    connections = sshd.connections_to()
    yield connections
    await connections.close()


def source(
    sshd: Sshd, connections: Connections, path: Path, collector: Collector, **options: object
) -> RemoteFileSource:
    options.setdefault("start", Start.BEGINNING)
    return RemoteFileSource(
        "pxe01:kea",
        str(path),
        connections.commands(sshd.host),
        collector,
        look_every=0.1,
        pauses=Pauses(0.02, 0.1),
        **options,  # type: ignore[arg-type]
    )


async def test_cuts_and_rotations_lose_and_double_nothing(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    path, collector = tmp_path / "kea dhcp4.log", Collector()
    path.write_bytes(numbered(0, 100))
    reader = source(sshd, connections, path, collector)
    reader.start()
    count = 100
    for turn in range(6):
        await until(lambda: collector.has(count))  # noqa: B023 - awaited at once
        append(path, numbered(count, count + 30) + b"line %d of" % (count + 30))
        await until(lambda: collector.has(count + 30))  # noqa: B023
        if turn % 2:
            sshd.drop()
        append(path, b" a log that somebody writes\n")
        count += 31
        if turn >= 3:
            path.rename(tmp_path / f"kea dhcp4.log.{9 - turn}")
            append(tmp_path / f"kea dhcp4.log.{9 - turn}", numbered(count, count + 5))
            append(path, numbered(count + 5, count + 10))
            count += 10
    await until(lambda: collector.has(count))
    await reader.close()
    assert collector.numbers == list(range(count))
    assert collector.gaps == []
    assert sshd.connections == 4


async def test_a_truncation_is_said_and_the_new_lines_come_once(
    sshd: Sshd, connections: Connections, tmp_path: Path
) -> None:
    path, collector = tmp_path / "access.log", Collector()
    path.write_bytes(numbered(0, 100))
    reader = source(sshd, connections, path, collector)
    reader.start()
    await until(lambda: collector.has(100))
    shutil.copy(path, tmp_path / "access.log.1")
    os.truncate(path, 0)
    append(path, numbered(100, 120))
    await until(lambda: collector.has(120))
    append(path, numbered(120, 130))
    await until(lambda: collector.has(130))
    await reader.close()
    assert collector.numbers == list(range(130))
    assert len(collector.gaps) == 1


async def test_a_line_that_quotes_tail_is_a_line(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    path, collector = tmp_path / "a.log", Collector()
    lie = f"tail: {path}: file truncated\n".encode()
    path.write_bytes(b"one\n" + lie + b"two\n")
    reader = source(sshd, connections, path, collector)
    reader.start()
    await until(lambda: collector.has(3))
    append(path, lie + b"three\n")
    await until(lambda: collector.has(5))
    await reader.close()
    assert collector.raws == [b"one", lie[:-1], b"two", lie[:-1], b"three"]
    assert collector.gaps == []


async def test_a_restart_goes_on_where_it_was(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    path, first, second = tmp_path / "a.log", Collector(), Collector()
    path.write_bytes(numbered(0, 100))
    reader = source(sshd, connections, path, first)
    reader.start()
    await until(lambda: first.has(100))
    await reader.close()
    append(path, numbered(100, 110))
    path.rename(tmp_path / "a.log.1")
    path.write_bytes(numbered(110, 120))
    reader = source(sshd, connections, path, second, position=first.position, start=Start.END)
    reader.start()
    await until(lambda: second.has(20))
    await reader.close()
    assert second.numbers == list(range(100, 120))
    assert second.lines[0].number == 101
    assert second.gaps == []


async def test_a_missing_file_is_waited_for(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    path, collector = tmp_path / "later.log", Collector()
    reader = source(sshd, connections, path, collector, start=Start.END)
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.WAITING)
    assert "does not exist yet" in reader.state.reason
    path.write_bytes(numbered(0, 3))
    await until(lambda: collector.has(3))
    await reader.close()


async def test_a_host_that_is_down_is_tried_again(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    path, collector = tmp_path / "a.log", Collector()
    path.write_bytes(numbered(0, 3))
    await sshd.close()
    reader = source(sshd, connections, path, collector)
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.WAITING)
    assert reader.state.problem == "ssh-refused"
    await sshd.start()
    await until(lambda: collector.has(3))
    await reader.close()


async def test_the_factory_reads_a_journal_there(sshd: Sshd, connections: Connections, tmp_path: Path) -> None:
    program = tmp_path / "journalctl"
    program.write_text('#!/bin/sh\necho \'{"__CURSOR":"c1","MESSAGE":"hello"}\'\nexec sleep 60\n')
    program.chmod(0o755)
    sshd.path = str(tmp_path)
    collector = Collector()
    reader = make_source(
        LogEntry("tftp", "tftpd-hpa", journal="tftpd-hpa.service", ssh=sshd.host),
        collector,
        connect=connections.commands,
    )
    reader.start()
    await until(lambda: collector.has(1))
    assert reader.name == f"{sshd.host}:tftpd-hpa.service"
    assert reader.position.cursor == "c1"
    await reader.close()


class Canned:
    """A host whose every program prints the same."""

    name = "pxe01"

    def __init__(self, said: bytes, status: int = 0) -> None:
        self.said, self.status, self.errors = said, status, "out of order"
        self.asked: list[list[str]] = []

    async def run(self, argv: Sequence[str]) -> CannedStream:
        self.asked.append(list(argv))
        return CannedStream(self)


class CannedStream:
    def __init__(self, owner: Canned) -> None:
        self._said, self.status, self.errors = owner.said, owner.status, owner.errors

    async def read(self) -> bytes:
        said, self._said = self._said, b""
        return said

    async def close(self) -> None: ...


async def test_a_forbidden_file_is_named_with_what_to_do() -> None:
    host = Canned(b"12 100 1700000000 /var/log/a b.log\nunreadable\n")
    reader = RemoteFileSource("pxe01:log", "/var/log/a b.log", host, Collector())
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.FAILED)
    assert "permission denied" in reader.state.reason
    assert "group adm" in reader.state.reason
    assert host.asked[0][-1] == "/var/log/a b.log"
    await reader.close()


async def test_a_host_without_the_tools_is_said() -> None:
    reader = RemoteFileSource("pxe01:log", "/var/log/a.log", Canned(b"", 127), Collector())
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.WAITING)
    assert "sh on pxe01 failed: out of order" in reader.state.reason
    await reader.close()
