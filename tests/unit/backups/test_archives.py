"""Archives as real tar makes them are verified and taken apart again; those that must not be restored are refused."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.backups.choose import why_not
from plasmatui.backups.manifest import (
    Backup,
    BackupError,
    Head,
    NodeManifest,
    Part,
    RaftSeen,
    find_backups,
    read_backup,
    write_json,
)
from plasmatui.backups.verify import check_list, verify_part
from plasmatui.operations.nodedata import create_argv, extract_argv

CODECS = [
    "gzip",
    pytest.param("zstd", marks=pytest.mark.skipif(shutil.which("zstd") is None, reason="this machine has no zstd")),
]
WHEN = "2026-11-28T04:30:00+00:00"


def part_of(path: Path, directory: str = "/var/lib/chainfire") -> Part:
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return Part("chainfire", directory, "chainfire.service", path.name, len(data), digest, 0, True, WHEN, WHEN)


def quiet(_count: int) -> None:
    pass


def archive(directory: Path, *members: tarfile.TarInfo) -> Part:
    """An archive of these members behind its directory."""
    path = directory / "chainfire.tar.gz"
    top = tarfile.TarInfo("chainfire")
    top.type, top.mode = tarfile.DIRTYPE, 0o700
    with tarfile.open(path, "w:gz") as made:
        for member in (top, *members):
            made.addfile(member, io.BytesIO(b"x" * member.size))
    return part_of(path)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


@pytest.mark.parametrize("codec", CODECS)
def test_what_tar_makes_of_a_directory_comes_back_as_it_was(tmp_path: Path, codec: str) -> None:
    data = tmp_path / "chainfire"
    (data / "raft" / "deep").mkdir(parents=True)
    data.chmod(0o750)
    (data / "raft" / "log").write_bytes(os.urandom(300_000))
    (data / "raft" / "log").chmod(0o600)
    for name in ("empty", "with space", "new\nline", "back\\slash", "umlaut-ä", "-dash"):
        (data / name).write_bytes(name.encode() if name != "empty" else b"")
    (data / "current").symlink_to("raft/log")
    os.link(data / "raft" / "log", data / "raft" / "deep" / "same")
    made = subprocess.run(create_argv(str(data), codec), capture_output=True, check=True).stdout
    path = tmp_path / f"chainfire.tar.{'zst' if codec == 'zstd' else 'gz'}"
    path.write_bytes(made)
    contents = verify_part(tmp_path, part_of(path, str(data)), quiet)
    assert (contents.top.path, contents.top.mode, contents.top.kind) == ("", 0o750, "directory")
    assert {each.kind for each in contents.members} == {"file", "directory", "symlink", "link"}
    back = tmp_path / "back"
    back.mkdir()
    subprocess.run(extract_argv(str(back), codec), input=made, check=True)
    checked = ("sha256sum", "--check", "--quiet", "--strict", "-")
    assert subprocess.run(checked, input=check_list(contents, str(back)), check=False).returncode == 0
    assert (back / "raft" / "log").stat().st_mode & 0o7777 == 0o600
    assert sorted(each.relative_to(back) for each in back.rglob("*")) == sorted(
        each.relative_to(data) for each in data.rglob("*")
    )
    (back / "raft" / "log").write_bytes(b"something else")
    assert subprocess.run(checked, input=check_list(contents, str(back)), capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    "wrong",
    [
        member("chainfire/../../etc/shadow"),
        member("/etc/shadow"),
        member("../chainfire/x"),
        member("flaredb/x"),
        member("chainfire/./x/../../y"),
        member("chainfire/link", tarfile.LNKTYPE, "/etc/shadow"),
        member("chainfire/link", tarfile.LNKTYPE, "chainfire/../../etc/shadow"),
        member("chainfire/disk", tarfile.BLKTYPE),
        member("chainfire/tty", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name} {info.linkname}".strip(),
)
def test_a_member_that_leads_out_of_its_directory_is_refused(tmp_path: Path, wrong: tarfile.TarInfo) -> None:
    with pytest.raises(BackupError, match="the member"):
        verify_part(tmp_path, archive(tmp_path, wrong), quiet)


def test_nothing_is_written_through_a_link_of_the_archive(tmp_path: Path) -> None:
    link = member("chainfire/etc", tarfile.SYMTYPE, "/etc")
    with pytest.raises(BackupError, match="does not lie in"):
        verify_part(tmp_path, archive(tmp_path, link, member("chainfire/etc/shadow")), quiet)
    assert verify_part(tmp_path, archive(tmp_path, link), quiet).members[1].kind == "symlink"


def test_an_archive_that_lacks_its_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chainfire.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        made.addfile(member("chainfire/x"))
    with pytest.raises(BackupError, match="does not begin with the directory"):
        verify_part(tmp_path, part_of(path), quiet)


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_any_damage_is_found(
    tmp_path_factory: pytest.TempPathFactory, codec: str, place: int, bit: int, cut: bool
) -> None:
    directory = tmp_path_factory.mktemp("damaged")
    (directory / "chainfire").mkdir()
    (directory / "chainfire" / "log").write_bytes(bytes(range(256)) * 8)
    argv = create_argv(str(directory / "chainfire"), codec)
    path = directory / f"chainfire.tar.{'zst' if codec == 'zstd' else 'gz'}"
    path.write_bytes(subprocess.run(argv, capture_output=True, check=True).stdout)
    part = part_of(path)
    verify_part(directory, part, quiet)
    data = bytearray(path.read_bytes())
    place %= len(data)
    if cut:
        del data[place:]
    else:
        data[place] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(BackupError):
        verify_part(directory, part, quiet)


@pytest.mark.parametrize("codec", CODECS)
def test_a_cut_archive_is_found_whatever_the_sum_says(tmp_path: Path, codec: str) -> None:
    (tmp_path / "chainfire").mkdir()
    (tmp_path / "chainfire" / "log").write_bytes(os.urandom(100_000))
    made = subprocess.run(create_argv(str(tmp_path / "chainfire"), codec), capture_output=True, check=True).stdout
    path = tmp_path / f"chainfire.tar.{'zst' if codec == 'zstd' else 'gz'}"
    path.write_bytes(made[: len(made) // 2])
    with pytest.raises(BackupError):
        verify_part(tmp_path, part_of(path), quiet)


# What backups say of themselves


def backup(directory: Path, nodes: dict[str, tuple[str, ...]], *planned: str) -> Backup:
    """A backup of these nodes, whose chainfire told these voters."""
    head = Head("prod", directory.name, WHEN, planned or tuple(nodes), False, False)
    for node, voters in nodes.items():
        (directory / node).mkdir(parents=True)
        raft = RaftSeen(node, "follower", "node01", voters)
        path, unit, file = "/var/lib/chainfire", "chainfire.service", "chainfire.tar.gz"
        part = Part("chainfire", path, unit, file, 1, "0" * 64, 1, True, WHEN, WHEN, raft)
        manifest = NodeManifest("prod", node, "control-plane", True, "system-3-link", 1, WHEN, WHEN, False, (part,))
        write_json(directory / node / "manifest.json", manifest)
    directory.mkdir(exist_ok=True)
    write_json(directory / "backup.json", head)
    return read_backup(directory)


THREE = ("node01", "node02", "node03")


def test_a_node_without_manifest_makes_a_backup_partial(tmp_path: Path) -> None:
    found = backup(tmp_path / "b", dict.fromkeys(THREE[:2], THREE), *THREE)
    assert (found.whole, found.missing) == (False, ("node03",))
    assert find_backups(tmp_path) == (tmp_path / "b",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('"prod"', '"other"'), "it is of node01 of other"),
        (lambda text: text.replace('"chainfire.tar.gz"', '"../../x.tar.gz"'), "no archive of it is named"),
        (lambda text: text.replace('"/var/lib/chainfire"', '"/"'), "is no directory of a node"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "version 2"),
        (lambda text: text[:40], "manifest.json"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    backup(tmp_path / "b", {"node01": THREE})
    path = tmp_path / "b" / "node01" / "manifest.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(BackupError, match=said):
        read_backup(tmp_path / "b")


@pytest.mark.parametrize(
    ("nodes", "taking", "said"),
    [
        (dict.fromkeys(THREE, THREE), THREE, ""),
        (dict.fromkeys(THREE[:2], THREE), THREE, ""),
        (dict.fromkeys(THREE, THREE), THREE[:2], ""),
        (dict.fromkeys(THREE[:1], THREE), THREE, "1 of 3 voters"),
        (dict.fromkeys(THREE, THREE), THREE[:1], "1 of 3 voters"),
        ({"node01": THREE, "node02": THREE[:2], "node03": THREE}, THREE, "its voters changed"),
        (dict.fromkeys(THREE, ()), THREE, ""),
        (dict.fromkeys(THREE[:1], ()), THREE, "1 of 3 voters"),
    ],
)
def test_a_group_needs_the_archives_of_a_majority(
    tmp_path: Path, nodes: dict[str, tuple[str, ...]], taking: tuple[str, ...], said: str
) -> None:
    found = why_not(backup(tmp_path / "b", nodes), "prod", taking, THREE)
    assert (said in found) if said else found == ""
    assert why_not(backup(tmp_path / "c", nodes), "lab", taking, THREE) == "it is of the cluster prod"
