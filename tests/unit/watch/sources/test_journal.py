"""The journal through a stand-in for journalctl that checks its arguments and prints real-format JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from plasmatui.watch.sources.base import Position, SourceStatus, Start
from plasmatui.watch.sources.journal import JournalSource, field_bytes
from plasmatui.watch.sources.process import LocalCommands
from plasmatui.watch.sources.supervised import Pauses
from tests.unit.watch.sources.collector import Collector, until

_PROGRAM = """#!{python}
import json, sys, time
entries = json.load(open({entries!r}))
open({calls!r}, "a").write(json.dumps(sys.argv[1:]) + "\\n")
after = next((a.split("=", 1)[1] for a in sys.argv if a.startswith("--after-cursor=")), "")
begin = next((n + 1 for n, e in enumerate(entries) if e["__CURSOR"] == after), 0)
if after and not begin:
    sys.exit("Failed to seek to cursor: Invalid argument")
for entry in entries[begin : begin + 3]:
    print(json.dumps(entry), flush=True)
if {hint!r}:
    print({hint!r}, file=sys.stderr, flush=True)
    time.sleep(60)
if begin + 3 >= len(entries) and "--follow" in sys.argv:
    time.sleep(60)
sys.exit(1)
"""


class Fake:
    """A `journalctl` on PATH that ends after three entries, and stays when there are no more."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")

    def write(self, entries: list[dict[str, object]], hint: str = "") -> None:
        (self.directory / "entries").write_text(json.dumps(entries))
        program = self.directory / "journalctl"
        program.write_text(
            _PROGRAM.format(
                python=sys.executable,
                entries=str(self.directory / "entries"),
                calls=str(self.directory / "calls"),
                hint=hint,
            )
        )
        program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.directory / "calls").read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(tmp_path, monkeypatch)


def entry(number: int, message: object) -> dict[str, object]:
    return {
        "__CURSOR": f"s=1;i={number}",
        "__REALTIME_TIMESTAMP": str(1_700_000_000_000_000 + number * 500_000),
        "SYSLOG_IDENTIFIER": "in.tftpd",
        "_PID": str(800 + number),
        "MESSAGE": message,
    }


def source(collector: Collector, **options: object) -> JournalSource:
    return JournalSource(
        "tftp",
        "tftpd-hpa.service",
        LocalCommands(),
        collector,
        pauses=Pauses(0.02, 0.1),
        **options,  # type: ignore[arg-type]
    )


async def test_reads_on_after_its_cursor_when_journalctl_ends(fake: Fake) -> None:
    fake.write([entry(n, f"RRQ from 10.0.100.5 filename {n}") for n in range(7)])
    collector = Collector()
    reader = source(collector, start=Start.BEGINNING)
    reader.start()
    await until(lambda: collector.has(7))
    await reader.close()
    assert collector.raws == [f"in.tftpd[{800 + n}]: RRQ from 10.0.100.5 filename {n}".encode() for n in range(7)]
    assert [line.wall for line in collector.lines[:2]] == [1_700_000_000.0, 1_700_000_000.5]
    assert [line.number for line in collector.lines] == list(range(1, 8))
    assert collector.position.cursor == "s=1;i=6"
    assert "--unit=tftpd-hpa.service" in fake.calls[0]
    assert not any(argument.startswith(("--since", "--after-cursor")) for argument in fake.calls[0])
    assert "--after-cursor=s=1;i=2" in fake.calls[1]
    assert "--after-cursor=s=1;i=5" in fake.calls[2]


async def test_starts_at_a_time_or_at_the_end(fake: Fake) -> None:
    fake.write([])
    for start in (1234.5, Start.END):
        reader = source(Collector(), start=start)
        reader.start()
        await until(lambda: reader.state.status is SourceStatus.RUNNING)  # noqa: B023 - awaited at once
        await until(lambda: (fake.directory / "calls").exists() and len(fake.calls) >= 1)
        await reader.close()
    assert "--since=@1234.500000" in fake.calls[0]


async def test_a_lost_cursor_is_said_and_the_time_used(fake: Fake) -> None:
    fake.write([entry(1, "one")])
    collector = Collector()
    reader = source(collector, position=Position(5, 1_700_000_000.0, (), "s=0;i=99"))
    reader.start()
    await until(lambda: collector.has(1))
    await reader.close()
    assert "no longer has the place" in collector.gaps[0]
    assert collector.lines[0].number == 6
    assert "--since=@1700000000.000000" in fake.calls[1]


async def test_binary_and_repeated_messages(fake: Fake) -> None:
    fake.write([entry(1, [104, 105, 255]), entry(2, ["a", [98]]), entry(3, None), entry(4, "two\nlines")])
    collector = Collector()
    reader = source(collector, start=Start.BEGINNING)
    reader.start()
    await until(lambda: collector.has(6))
    await reader.close()
    assert [raw.split(b": ", 1)[1] for raw in collector.raws] == [b"hi\xff", b"a", b"b", b"", b"two", b"lines"]


async def test_a_journal_that_may_not_be_read(fake: Fake) -> None:
    hint = "Hint: You are currently not seeing messages from other users and the system."
    fake.write([], hint)
    reader = source(Collector())
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.FAILED)
    assert "systemd-journal" in reader.state.reason
    await reader.close()


async def test_a_missing_journalctl_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reader = source(Collector())
    reader.start()
    await until(lambda: reader.state.status is SourceStatus.FAILED)
    assert "journalctl is not installed on this host" in reader.state.reason
    assert reader.state.problem == "program-missing"
    await reader.close()


@pytest.mark.parametrize(
    ("value", "expected"), [("é", "é".encode()), ([0, 255], b"\0\xff"), (None, b""), ([], b""), ([1, 300], b"\n")]
)
def test_fields(value: object, expected: bytes) -> None:
    assert field_bytes(value) == expected
