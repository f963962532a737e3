"""Whether a backup is what its manifest says: every byte is read again, every archive taken apart.

Blocking, for a thread. What an archive may hold is files, directories and links below the one directory that it is of:
a member that leads out of it would be written anywhere on the node that it is restored to.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from plasmatui.backups.manifest import Backup, BackupError, Part
from plasmatui.text import clean_line

CHUNK: Final = 1 << 20
Progress = Callable[[int], None]
"""Hears of bytes that were read; what it raises ends the reading."""


@dataclass(frozen=True)
class Member:
    """A file, directory ("/" at the end of `kind`) or link of an archive, by its path below the directory."""

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Contents:
    """What an archive holds. `bytes`: of its files together."""

    members: tuple[Member, ...]

    @property
    def bytes(self) -> int:
        return sum(member.size for member in self.members)

    @property
    def top(self) -> Member:
        return self.members[0]


def verify_backup(backup: Backup, progress: Progress) -> dict[tuple[str, str], Contents]:
    """Read all of a backup's nodes that are whole; what each archive holds, by node and service.

    Raises:
        BackupError: with the first file that is not what it should be.
    """
    return {
        (node, part.service): verify_part(Path(backup.directory) / node, part, progress)
        for node, manifest in backup.nodes.items()
        for part in manifest.parts
    }


def verify_part(directory: Path, part: Part, progress: Progress) -> Contents:
    """Compare an archive's sum, then take it apart.

    Raises:
        BackupError: it is damaged, or holds what it must not.
    """
    path = directory / part.file
    try:
        size = path.stat().st_size
        if size != part.bytes:
            raise BackupError(f"{path}: it has {size} bytes, and was written with {part.bytes}")
        found = _digest(path, progress)
        if found != part.sha256:
            raise BackupError(f"{path}: its SHA-256 is {found[:12]}..., and was {part.sha256[:12]}...: it is damaged")
        with opened(path, part.codec) as stream:
            return _contents(path, stream, part.path.rstrip("/").rpartition("/")[2], progress)
    except (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise BackupError(f"{path}: it is no whole archive: {clean_line(str(error), 200)}") from None
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror or error}") from None


def _digest(path: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
            progress(len(data))
    return digest.hexdigest()


@contextlib.contextmanager
def opened(path: Path, codec: str) -> Iterator[IO[bytes]]:
    """The archive's bytes, decompressed.

    Raises:
        BackupError: this host has no zstd, or zstd says that the file is damaged.
    """
    if codec == "gzip":
        import gzip

        with gzip.open(path, "rb") as stream:
            yield stream  # type: ignore[misc]
        return
    program = shutil.which("zstd")
    if program is None:
        raise BackupError(f"{path}: this host has no zstd to read it with: install it")
    argv = (program, "--decompress", "--stdout", "--quiet", "--", str(path))
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
        while process.stdout.read(CHUNK):
            pass
        _, said = process.communicate()
        if process.returncode != 0:
            raise BackupError(f"{path}: {clean_line(said.decode(errors='replace').strip(), 200)}")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _contents(path: Path, stream: IO[bytes], top: str, progress: Progress) -> Contents:
    members: list[Member] = []
    links: set[str] = set()
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            name = _confined(path, info.name, top, links)
            kind = _kind(path, info)
            if info.issym():
                links.add(name)
            if info.islnk():
                _confined(path, info.linkname, top, links)
            digest = _file_digest(path, archive, info, progress) if info.isreg() else ""
            members.append(Member(name, kind, info.mode, info.uid, info.gid, info.size if info.isreg() else 0, digest))
    while stream.read(CHUNK):  # gzip compares its sum at the end
        pass
    if not members or members[0].path or members[0].kind != "directory":
        raise BackupError(f"{path}: it does not begin with the directory {top}")
    return Contents(tuple(members))


def _confined(path: Path, name: str, top: str, links: set[str]) -> str:
    """A member's path below the directory, "" for the directory itself."""
    parts = name.removeprefix("./").rstrip("/").split("/")
    below = "/".join(parts[1:])
    through = any("/".join(parts[1:count]) in links for count in range(2, len(parts)))
    if parts[0] != top or any(part in ("", ".", "..") for part in parts) or "\0" in name or through:
        raise BackupError(f"{path}: the member {clean_line(name, 120)!r} does not lie in {top}")
    return below


def _kind(path: Path, info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    for kind, fits in (("directory", info.isdir()), ("symlink", info.issym()), ("link", info.islnk())):
        if fits:
            return kind
    if info.isfifo():
        return "fifo"
    raise BackupError(f"{path}: the member {clean_line(info.name, 120)!r} is neither file, directory nor link")


def _file_digest(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo, progress: Progress) -> str:
    if info.issparse():  # tar writes none unless it is told to, and a hole of a few bytes may stand for years of zeros
        raise BackupError(f"{path}: the member {clean_line(info.name, 120)!r} is sparse, which a backup's never is")
    digest = hashlib.sha256()
    content = archive.extractfile(info)
    assert content is not None
    while data := content.read(CHUNK):
        digest.update(data)
        progress(0)  # whoever waits may leave
    return digest.hexdigest()


def check_list(contents: Contents, directory: str) -> bytes:
    """Sums of the files as `sha256sum --check` takes them, below a directory (coreutils, "md5sum invocation")."""
    lines = []
    for member in contents.members:
        if member.kind != "file":
            continue
        name = f"{directory}/{member.path}"
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        mark = "\\" if escaped != name else ""
        lines.append(f"{mark}{member.sha256}  {escaped}\n".encode("utf-8", "surrogateescape"))
    return b"".join(lines)
