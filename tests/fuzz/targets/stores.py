"""Files that programs write and that may come from anywhere: backups and their archives, the journal, the boot
service's stores, what jobs leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import io
import sqlite3
import tarfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from plasmatui.backups.manifest import SUFFIXES, BackupError, Part, find_backups, read_backup
from plasmatui.backups.verify import check_list, verify_part
from plasmatui.journal.boots import BootJournal
from plasmatui.journal.memory import Memory
from plasmatui.journal.past import PastJournal
from plasmatui.journal.schema import prepare
from plasmatui.journal.sqlite import SqliteJournal
from plasmatui.model.boot import Evidence, Signal, SignalKind
from plasmatui.model.command import CommandError
from plasmatui.model.event import Event, EventLine, PowerSeen
from plasmatui.model.words import Power
from plasmatui.nix.job import CARD, RESULT, Job
from plasmatui.pxe.assets import Activation, BuildRecord, Manifest, StoreError, read_record
from plasmatui.pxe.service.answers import Terms
from plasmatui.pxe.service.bootcfg import BootcfgSource
from plasmatui.pxe.service.matchbox import MatchboxSource
from plasmatui.pxe.service.once import BootStates, StateFileError
from plasmatui.pxe.service.payloads import PayloadError
from plasmatui.pxe.service.query import make_query
from tests.fuzz.target import Target
from tests.fuzz.targets.settings import printable, scratch

DAY: Final = "2026-11-28T04:30:00+00:00"


def head(raw: bytes) -> None:
    """A backup's head, or a node's manifest: read, or refused in words."""
    folder = scratch() / "backup"
    (folder / "node01").mkdir(parents=True, exist_ok=True)
    for name, other in (("backup.json", "node01/manifest.json"), ("node01/manifest.json", "backup.json")):
        (folder / name).write_bytes(raw)
        (folder / other).write_bytes(_good()[other])
        try:
            found = read_backup(find_backups(folder)[0])
        except BackupError as error:
            printable(str(error))
            continue
        for node, manifest in found.nodes.items():
            assert "/" not in node
            for part in manifest.parts:
                assert "/" not in part.file
                assert part.file.endswith(tuple(SUFFIXES.values()))


@cache
def _good() -> dict[str, bytes]:
    part = Part("svc", "/var/lib/svc", "svc.service", "svc.tar.gz", 3, "0" * 64, 0, True, DAY, DAY)
    manifest = {
        "cluster": "c", "node": "node01", "role": "w", "voter": True, "generation": "system-1-link", "operation": 1,
        "begin": DAY, "end": DAY, "secrets": False, "parts": [msgspec.to_builtins(part)],
    }  # fmt: skip
    top = {"cluster": "c", "name": "b", "begin": DAY, "nodes": ["node01"], "live": True, "secrets": False}
    return {"backup.json": msgspec.json.encode(top), "node01/manifest.json": msgspec.json.encode(manifest)}


def make_archive(random: Random) -> bytes:
    """A tar (not yet compressed) whose members tell anything."""
    made = io.BytesIO()
    formats = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)
    with tarfile.open(fileobj=made, mode="w", format=random.choice(formats)) as archive:
        top = tarfile.TarInfo("svc")
        top.type, top.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(top)
        for _ in range(random.randint(0, 6)):
            _add(archive, random)
    return made.getvalue()


_NAMES: Final = (
    "svc/a", "svc/d/b", "svc/../../etc/passwd", "/etc/passwd", "svc", "svc/", "svc/link/x", "./svc/a", "svc//a",
    "svc/.", "..", "svc/" + "d/" * 400 + "x", "svc/a\nb", "svc/\x1b[2J", "svc/é",
)  # fmt: skip
_TYPES: Final = (
    tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
    tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z",
)  # fmt: skip
_PAX: Final = (
    ("size", "-5"), ("size", "9" * 20), ("uid", "9" * 30), ("path", "../x"), ("linkpath", "/etc"), ("mtime", "1e999"),
    ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", str(1 << 62)),
    ("GNU.sparse.name", "svc/s"), ("GNU.sparse.map", f"{1 << 61},1"), ("GNU.sparse.size", str(1 << 62)),
    ("hdrcharset", "BINARY"),
)  # fmt: skip


def _add(archive: tarfile.TarFile, random: Random) -> None:
    member = tarfile.TarInfo(random.choice(_NAMES))
    member.type = random.choice(_TYPES)
    member.linkname = random.choice(("", "a", "svc/a", "/etc/passwd", "../..", "svc/d/b"))
    member.mode = random.choice((0o644, 0o4755, 0o7777, 0))
    content = b"1\n0\n0\n".ljust(512, b"\0") if random.random() < 0.3 else b"x" * random.choice((0, 3, 600))
    member.size = len(content) if member.isreg() else 0
    for _ in range(random.choice((0, 0, 1, 4))):
        key, value = random.choice(_PAX)
        member.pax_headers[key] = value
    try:
        archive.addfile(member, io.BytesIO(content))
    except (ValueError, OverflowError):  # this format cannot write it
        return


def impossible_archive() -> bytes:
    """A file that says that it has more bytes than there can be."""
    return _archive_of({"size": "9" * 20})


def sparse_archive() -> bytes:
    """A file of 512 bytes that says that it is one of 4 EiB."""
    hole = {"major": "1", "minor": "0", "name": "svc/x", "realsize": str(1 << 62)}
    return _archive_of({f"GNU.sparse.{key}": value for key, value in hole.items()})


def _archive_of(headers: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        top = tarfile.TarInfo("svc")
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        member = tarfile.TarInfo("svc/x")
        member.size = 512
        member.pax_headers = headers
        archive.addfile(member, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
    return made.getvalue()


def archive(raw: bytes) -> None:
    """Whatever it holds, it is refused in words, or holds only what lies in its directory, once through links."""
    folder = scratch()
    packed = raw if raw[:2] == b"\x1f\x8b" else gzip.compress(raw, 1)
    (folder / "svc.tar.gz").write_bytes(packed)
    digest = hashlib.sha256(packed).hexdigest()
    part = Part("svc", "/var/lib/svc", "svc.service", "svc.tar.gz", len(packed), digest, 0, True, DAY, DAY)
    try:
        found = verify_part(folder, part, lambda _: None)
    except BackupError as error:
        printable(str(error))
        return
    links = {member.path for member in found.members if member.kind == "symlink"}
    for member in found.members:
        parts = member.path.split("/")
        assert ".." not in parts
        assert not member.path.startswith("/")
        assert not any("/".join(parts[:count]) in links for count in range(1, len(parts)))
    assert found.bytes <= 100 * len(raw) + 1000
    for line in check_list(found, "/x").splitlines():
        assert b"  /x/" in line


def _archives() -> list[bytes]:
    return [make_archive(Random(seed)) for seed in range(5)] + [gzip.compress(make_archive(Random(7)))]


@cache
def _journal() -> bytes:
    """A journal with something of everything in it."""
    path = scratch() / "made.db"
    with sqlite3.connect(path) as connection:
        prepare(connection)
        seen = msgspec.msgpack.encode(Event("node01", "ipmi", PowerSeen(Power.ON), 1.0, 1.0))
        signal = msgspec.msgpack.encode(Signal(kind=SignalKind.LOGIN, evidence=Evidence("x", 1)))
        for number in range(1, 20):
            connection.execute("INSERT INTO events VALUES (?,1.5,'node01','ipmi','power','on',?)", (number, seen))
            connection.execute("INSERT INTO audit VALUES (?,1.5,'root','node01','x','done',0,'tui',0,'','')", (number,))
            connection.execute("INSERT INTO operations VALUES (?,1.5,0,?)", (number, seen))
            connection.execute("INSERT INTO signals VALUES (?,'node01',1,1.5,?)", (number, signal))
            connection.execute("INSERT INTO durations VALUES (?,'node01',?,'w','kexec',2.5)", (number, number))
        connection.execute("INSERT INTO memory VALUES ('lifecycle:node01', x'00')")
        connection.execute("INSERT INTO positions VALUES ('kea', x'00')")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return path.read_bytes()


def journal_with(old: bytes, new: bytes) -> bytes:
    """A journal in whose file some bytes are others."""
    assert len(old) == len(new)
    assert old in _journal()
    return _journal().replace(old, new)


def make_journal(random: Random) -> bytes:
    """A journal with bytes that fell over, parts that are missing, or of another version."""
    made = bytearray(_journal())
    kind = random.random()
    if kind < 0.1:
        made[60:64] = random.choice((0, 1, 2, 3, 99)).to_bytes(
            4, "big"
        )  # user_version (SQLite, "Database File Format")
    elif kind < 0.2:
        del made[random.randrange(len(made)) :]
    for _ in range(random.choice((1, 3, 30, 300))):
        if made:
            made[random.randrange(len(made))] = random.randrange(256)
    return bytes(made)


def journal(raw: bytes) -> None:
    """What can be read is read, and afterwards it is kept again."""
    path = scratch() / "journal.db"
    for each in scratch().glob("journal.db*"):
        each.unlink()
    path.write_bytes(raw)
    asyncio.run(_read_journal(path))


async def _read_journal(path: Path) -> None:
    kept = SqliteJournal(path, retry=0.01)
    await kept.open()
    try:
        memory, past, boots = Memory(kept), PastJournal(kept), BootJournal(kept)
        await memory.recall()
        memory.under("lifecycle:")
        await past.oldest()
        await past.place(2.0)
        await past.events(0, 100)
        await past.operations(2.0, 10)
        await past.neighbour(1.0, 1)
        await boots.recall()
        await boots.boots("node01", 5)
        await kept.last_numbers()
        await kept.events("node01", 0, 10)
        await kept.audit(10, ("node01",))
        await kept.operations(10)
        await kept.unfinished()
        line = EventLine(1_000_000, 1.0, "node01", "ipmi", "power", "on")
        kept.add_event(line, Event("node01", "ipmi", PowerSeen(Power.ON), 1.0, 1.0))
        assert await kept.flush() == (not kept.problem)
    finally:
        await kept.close()
    assert kept._thread is not None
    assert not kept._thread.is_alive()


_STORE: Final = (
    b'{"kernel": "/k", "initrd": ["/i"], "cmdline": {"console": "ttyS0", "quiet": null, "n": 1e21}}',
    b'{"id": "g", "profile": "p", "selector": {"mac": "52:54:00:12:34:56", "os": "x"}, "metadata": {"a": [1, {}]}}',
    b'{"id": "p", "boot": {"kernel": "/k", "args": ["a"]}, "cloud_id": "t", "ignition_id": "t.ign", "generic_id": "t"}',
    b'#cloud-config\nhostname: {{.mac}}\n{{range .a}}- {{.}}\n{{end}}{{if eq .os "x"}}x{{else}}y{{end}}\n',
    b'{{define "t"}}{{.}}{{end}}{{template "t" .a}}{{with $x := .mac}}{{$x | printf "%q"}}{{end}}',
    b'{"ignition": {"version": "3.3.0"}}',
)
_PLACES: Final = (
    "boot/default", "boot/mac/52:54:00:12:34:56", "cloud/default", "groups/g.json", "profiles/p.json", "cloud/t",
    "ignition/t.ign", "generic/t",
)  # fmt: skip


def boot_store(raw: bytes) -> None:
    """Whatever lies in a store is served, or named as a problem."""
    root = scratch() / "store"
    for each in _PLACES:
        place = root / each
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
    for keep in Random(raw).sample(range(3), 2):  # some of it right, so that the rest is reached
        (root / ("boot/default", "groups/g.json", "profiles/p.json")[keep]).write_bytes(_STORE[keep])
    query = make_query({"mac": "52:54:00:12:34:56", "os": "x", "a": "\x1b[2J"})
    for source in (BootcfgSource(root), MatchboxSource(root)):
        try:
            for problem in source.problems:
                assert problem.line >= 0
            source.script(query, Terms("h:80"))
            source.choice(query)
            source.macs("52:54:00:12:34:56")
            for endpoint in ("cloud", "ignition", "generic", "metadata"):
                source.answer(endpoint, query)
        except PayloadError:
            continue
        finally:
            source.close()


def records(raw: bytes) -> None:
    """What our own programs leave behind for each other."""
    folder = scratch() / "job"
    folder.mkdir(exist_ok=True)
    for name in (CARD, RESULT):
        (folder / name).write_bytes(raw)
    with contextlib.suppress(CommandError):
        Job.attach(folder).ending()
    (folder / "manifest.json").write_bytes(raw)
    for kind in (Manifest, BuildRecord, Activation):
        try:
            read_record(folder / "manifest.json", kind)
        except StoreError:
            continue
    states = BootStates(folder / "states.json")
    states.path.write_bytes(raw)
    try:
        states.all()
        states.token("52:54:00:12:34:56")
    except StateFileError:
        return


_RECORDS: Final = (
    b'{"argv":["nix"],"began":1.0,"keeper":{"pid":1,"start":2,"boot":"b"},"program":{"pid":99999999,"start":1,"boot":"b"}}',
    b'{"code":0,"uncertain":false,"ended":1.0,"terminated":false}',
    b'{"version":1,"secret":"00ff","machines":{"52:54:00:12:34:56":{"state":"pending","changes":1,"since":1.0,"by":"x"}}}',
    b'{"profile":"w","version":"1","at":1.0,"by":"activate"}', b'{"a":' * 3000, b"[" * 70_000, b"\xff", b'"\\ud800"',
    b"1e400",
)  # fmt: skip


TARGETS: Final = (
    Target("backup-manifest", lambda: [*_good().values(), b'{"x":' * 3000], head),
    Target("backup-archive", _archives, archive, make_archive, 60),
    Target("journal", lambda: [_journal()], journal, make_journal, 10),
    Target("boot-store", lambda: _STORE, boot_store, quick=40),
    Target("records", lambda: _RECORDS, records, quick=100),
)
