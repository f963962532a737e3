"""Where logs come from: a journal's entries, files that are rotated and cut; and what tools print."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from plasmatui.model.command import Commands
from plasmatui.nix.anywhere import parse_help, parse_installer, parse_mounted
from plasmatui.nix.disks import parse_disks
from plasmatui.nix.failures import explain
from plasmatui.nix.flake import parse_built, parse_devices, parse_metadata, parse_names, parse_outputs
from plasmatui.nix.generations import parse_links, parse_list, parse_state
from plasmatui.nix.jsonlog import BuildLog
from plasmatui.nix.progress import AnywhereProgress
from plasmatui.nix.tools import OutputError
from plasmatui.nix.trials import grub_entry, parse_kernels
from plasmatui.text import is_clean
from plasmatui.watch.sources.base import Batch, Start
from plasmatui.watch.sources.base import Position as SourcePosition
from plasmatui.watch.sources.follower import Follower
from plasmatui.watch.sources.journal import JournalSource
from plasmatui.watch.sources.splitter import LINE_LIMIT, LineSplitter
from tests.fuzz.grammar import odd
from tests.fuzz.target import Target
from tests.fuzz.targets import data
from tests.fuzz.targets.settings import scratch


class _Host(Commands):
    name = "host"


def entries(raw: bytes) -> None:
    """Whatever `journalctl` prints gives lines, or is said to be left out."""
    batches: list[Batch] = []
    source = JournalSource("journal", "x.service", _Host(), batches.append)
    for line in raw.split(b"\n"):
        source._pass([line], 0)
    for each in itertools.chain.from_iterable(batch.lines for batch in batches):
        assert len(each.raw) <= LINE_LIMIT
        assert each.wall is None or 0 <= each.wall < 1e14
    assert msgspec.json.decode(msgspec.json.encode(source.position), type=SourcePosition) == source.position


def make_entries(random: Random) -> bytes:
    return b"\n".join(_entry(random) for _ in range(random.randint(1, 5)))


def _entry(random: Random) -> bytes:
    values: tuple[object, ...] = (
        "in.tftpd",
        "RRQ from 10.0.0.1 filename x",
        "1795225600000000",
        "\u00b2",
        "9" * random.choice((19, 400, 5000)),
        None,
        -1,
        [104, 105],
        [300, -1],
        ["a", ["b", [1, 2]]],
        {"a": 1},
        odd(random),
        1e300,
        True,
    )
    keys = ("__CURSOR", "__REALTIME_TIMESTAMP", "MESSAGE", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "x")
    made = msgspec.json.encode({random.choice(keys): random.choice(values) for _ in range(random.randint(0, 7))})
    if random.random() < 0.1:
        depth = random.choice((50, 900, 5000))
        return b'{"MESSAGE":' + b"[" * depth + b"]" * depth + b"}"
    return made


def follow(raw: bytes) -> None:
    """Each line is told once and in order, however a file is written, rotated, copied, cut and filled with zeros."""
    folder = scratch() / "followed"
    folder.mkdir(exist_ok=True)
    for each in folder.iterdir():
        each.unlink()
    random = Random(raw)
    path = folder / "x.log"
    path.write_bytes(b"")
    follower = Follower(path)
    follower.begin(Start.BEGINNING, SourcePosition())
    written, told, lossless = bytearray(), bytearray(), True
    try:
        pieces = [raw[place : place + 300] for place in range(0, len(raw), 300)][:60]
        for number, piece in enumerate(pieces):
            piece += b"\n" * random.randint(0, 1)
            with path.open("ab") as file:
                file.write(piece)
            written += piece
            kind = random.random()
            if kind < 0.5:
                told += _told(follower)
            if kind < 0.1:
                path.rename(folder / f"x.log.{number + 1}")
                path.touch()
            elif kind < 0.13:
                lossless = False
                path.write_bytes(random.choice((b"", b"\0" * 5000, b"other\n")))
            elif kind > 0.97:
                lossless = False
                path.unlink()
                path.touch()
        told += _told(follower)
        told += _told(follower)
    finally:
        follower.close()
    if lossless:
        assert bytes(told) == bytes(written)


def _told(follower: Follower) -> bytes:
    follower.look()
    found = b""
    while (read := follower.read()) is not None:
        file, piece = read
        file.splitter.feed(piece)
        while len(file.splitter.take(256)) == 256:
            pass
        found += piece
    return found


def split(raw: bytes) -> None:
    """Lines and their places do not depend on where the bytes were cut, and nothing is lost."""
    random = Random(raw)
    whole, pieces = LineSplitter(limit=50), LineSplitter(limit=50)
    whole.feed(raw)
    first = whole.take(len(raw) + 1)
    second = []
    place = 0
    while place < len(raw):
        step = random.randint(1, 60)
        pieces.feed(raw[place : place + step])
        place += step
        second += pieces.take(random.randint(1, 3)) if random.random() < 0.5 else []
    second += pieces.take(len(raw) + 1)
    assert [each.raw for each in first] == [each.raw for each in second]
    assert [each.offset for each in first] == [each.offset for each in second]
    assert whole.offset + whole.pending == len(raw)


def tools(raw: bytes) -> None:
    """What nix, disko, nixos-anywhere and a node print: progress, facts, or "this is no such output"."""
    said: list[str] = []
    random = Random(raw)
    build, progress = BuildLog(said.append), AnywhereProgress()
    place = 0
    last = -1.0
    while place < len(raw):
        step = random.randint(1, 2000)
        build.feed(raw[place : place + step])
        state = progress.feed(raw[place : place + step])
        place += step
        percent = build.progress.percent
        assert percent is None or last <= percent <= 100.0
        last = percent if percent is not None else last
        assert state.percent is None or 0 <= state.percent <= 100.0
    build.finish()
    progress.finish()
    shown = build.progress
    texts = (*said, *build.tail, shown.text, *shown.errors, progress.state.text, progress.state.disk)
    failure = explain(random.choice((None, 1, 255)), raw)
    assert failure.id
    for text in (*texts, failure.message, *failure.evidence):
        assert all(is_clean(line) for line in text.split("\n")), text[:200]
    msgspec.msgpack.encode(shown)
    text = raw.decode(errors="replace")
    for parse in (parse_disks, parse_list, parse_names, parse_outputs, parse_built, parse_devices, parse_metadata):
        with contextlib.suppress(OutputError):
            parse(raw)
    for read in (parse_help, parse_links, parse_state):
        with contextlib.suppress(OutputError):
            read(text)
    parse_installer(text)
    parse_mounted(text)
    parse_kernels(text)
    grub_entry(text, 12)


_NUMBERS: Final = (0, 1, 5, -1, 10**18, 10**30, 1 << 63, True, "x", None, 1.5)


def make_tools(random: Random) -> bytes:
    """Records of nix, as it and as nobody writes them."""
    lines = []
    for _ in range(random.randint(1, 40)):
        fields = [random.choice(_NUMBERS) for _ in range(random.randint(0, 5))]
        record = {
            "action": random.choice(("start", "stop", "result", "msg", "x")),
            "id": random.choice((1, 2, 3, -1, 1 << 70, "x")),
            "type": random.choice((100, 101, 103, 104, 105, 106, None)),
            "level": random.choice((0, 1, 3, 7, -1)),
            "msg": odd(random),
            "text": odd(random),
            "fields": random.choice((fields, [103, *fields], [odd(random)], None)),
        }
        made = msgspec.json.encode({key: value for key, value in record.items() if random.random() < 0.9})
        lines.append((b"@nix " if random.random() < 0.9 else b"") + made)
    return b"\n".join(lines)


def _outputs() -> list[bytes]:
    found = Path(__file__).parents[2] / "unit" / "nix"
    kept = [path.read_bytes()[:8000] for path in sorted(found.rglob("*")) if path.suffix in (".log", ".json", ".txt")]
    disks = b'{"blockdevices":[{"name":"sda","path":"/dev/sda","type":"disk","size":1,"children":[{"name":"sda1"}]}]}'
    table = b'[{"generation":12,"date":"2026-11-28 04:30:00","nixosVersion":"25.11","current":true}]'
    deep = b'{"blockdevices":[' + b'{"name":"a","type":"disk","children":[' * 300 + b"]}" * 300 + b"]}"
    return [*kept, disks, table, deep, b"[" * 60_000]


TARGETS: Final = (
    Target("journal-entries", lambda: [make_entries(Random(seed)) for seed in range(5)], entries, make_entries, 150),
    Target("follower", lambda: [*data.logs("dhcpd"), *data.consoles()[:5]], follow, quick=30),
    Target("splitter", lambda: [*data.logs("kea"), *data.consoles()[:5]], split, quick=60),
    Target("tools", _outputs, tools, make_tools, 60),
)
