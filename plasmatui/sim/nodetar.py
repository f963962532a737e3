"""Tar archives into and out of a simulated host's files, modes kept."""

from __future__ import annotations

import io
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Sequence

from plasmatui.sim.filetree import FileTree


def unpack(files: FileTree, directory: str, archive: bytes, *, strip: int = 0, owners: bool = False) -> str:
    """Unpack an archive below a directory; gives what was wrong, "" when nothing.

    Args:
        strip: leading parts of names that are left out. owners: keep them; else root's.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                name = "/".join(member.name.strip("/").split("/")[strip:])
                if strip and not name and not member.isdir():
                    continue
                where = posixpath.normpath(posixpath.join(directory, name))
                if member.isdir():
                    files.mkdir(where, parents=True)
                    files.chmod(where, member.mode)
                elif member.issym():
                    files.link(where, member.linkname)
                elif (content := tar.extractfile(member)) is not None:
                    files.put(where, content.read(), member.mode & 0o7777)
                if owners and not member.issym():
                    files.chown(where, member.uid, member.gid)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        return f"This does not look like a tar archive: {error}"
    return ""


def pack(
    files: FileTree, directory: str, paths: Sequence[str], *, compressed: bool = False, exclude: Sequence[str] = ()
) -> bytes:
    """An archive of paths below a directory, without what ends in one of `exclude` and what lies below that.

    Raises:
        FileNotFoundError: one of them is not there.
    """
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz" if compressed else "w") as tar:
        for path in paths:
            top = posixpath.join(directory, path)
            files.stat(top, follow=False)
            for name, file in files.walk(top):
                if any(f"/{each}/" in f"{name}/" for each in exclude):
                    continue
                info = tarfile.TarInfo(posixpath.relpath(name, files.resolve(directory)))
                info.mode, info.mtime, info.uid, info.gid = file.mode & 0o7777, int(file.modified), file.uid, file.gid
                if file.is_directory:
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
                elif file.is_link:
                    info.type, info.linkname = tarfile.SYMTYPE, file.data.decode()
                    tar.addfile(info)
                elif stat.S_ISREG(file.mode):
                    info.size = len(file.data)
                    tar.addfile(info, io.BytesIO(file.data))
    return target.getvalue()
