"""SFTP on a simulated host's files."""

from __future__ import annotations

import posixpath
import stat

import asyncssh

from plasmatui.sim.filetree import File, FileTree
from plasmatui.sim.host import Host
from plasmatui.sim.nodefiles import view


class _Open:
    """An open file: read from a copy, written back when it is closed."""

    def __init__(self, path: str, data: bytes, mode: int | None, *, writes: bool, appends: bool) -> None:
        self.path = path
        self.data = bytearray(data)
        self.mode = mode
        self.writes = writes
        self.appends = appends


class NodeSftp(asyncssh.SFTPServer):
    """See the module."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], host: Host) -> None:
        super().__init__(chan)
        self._host = host

    @property
    def _files(self) -> FileTree:
        return view(self._host)

    @staticmethod
    def _path(path: bytes) -> str:
        text = path.decode("utf-8", "surrogateescape")
        return posixpath.normpath(posixpath.join("/root", text))

    def realpath(self, path: bytes) -> bytes:
        return self._files.resolve(self._path(path)).encode("utf-8", "surrogateescape")

    def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return _attributes(self._files.stat(self._path(path)))

    def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        return _attributes(self._files.stat(self._path(path), follow=False))

    def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        assert isinstance(file_obj, _Open)
        return _attributes(File(stat.S_IFREG | (file_obj.mode or 0o644), bytes(file_obj.data)))

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        name, files = self._path(path), self._files
        if attrs.permissions is not None:
            files.chmod(name, attrs.permissions)
        if attrs.uid is not None and attrs.gid is not None:
            files.chown(name, attrs.uid, attrs.gid)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        assert isinstance(file_obj, _Open)
        if attrs.permissions is not None:
            file_obj.mode = attrs.permissions & 0o7777
        if attrs.size is not None:
            del file_obj.data[attrs.size :]

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        name, files = self._path(path), self._files
        found = files.find(name)
        if found is None and not pflags & asyncssh.FXF_CREAT:
            raise FileNotFoundError(2, "No such file or directory", name)
        if found is not None and found.is_directory:
            raise IsADirectoryError(21, "Is a directory", name)
        if found is not None and pflags & asyncssh.FXF_CREAT and pflags & asyncssh.FXF_EXCL:
            raise FileExistsError(17, "File exists", name)
        data = b"" if found is None or pflags & asyncssh.FXF_TRUNC else found.data
        wanted = None if found is not None else (attrs.permissions or 0o644) & 0o7777
        if pflags & asyncssh.FXF_WRITE:
            files.write(name, data, wanted)  # says now whether it can be written
        return _Open(
            name, data, wanted, writes=bool(pflags & asyncssh.FXF_WRITE), appends=bool(pflags & asyncssh.FXF_APPEND)
        )

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        assert isinstance(file_obj, _Open)
        return bytes(file_obj.data[offset : offset + size])

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        assert isinstance(file_obj, _Open)
        at = len(file_obj.data) if file_obj.appends else offset
        file_obj.data.extend(bytes(max(0, at - len(file_obj.data))))
        file_obj.data[at : at + len(data)] = data
        return len(data)

    def close(self, file_obj: object) -> None:
        assert isinstance(file_obj, _Open)
        if file_obj.writes:
            self._files.write(file_obj.path, bytes(file_obj.data), file_obj.mode)

    def fsync(self, file_obj: object) -> None:
        assert isinstance(file_obj, _Open)

    async def scandir(self, path: bytes):  # type: ignore[no-untyped-def]
        name, files = self._path(path), self._files
        for entry in (".", "..", *files.names(name)):
            found = files.stat(posixpath.join(name, entry), follow=False)
            encoded = entry.encode("utf-8", "surrogateescape")
            yield asyncssh.SFTPName(encoded, attrs=_attributes(found))

    def remove(self, path: bytes) -> None:
        self._files.remove(self._path(path))

    def rmdir(self, path: bytes) -> None:
        self._files.remove(self._path(path))

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._files.mkdir(self._path(path), (attrs.permissions or 0o755) & 0o7777)

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        if self._files.find(self._path(newpath)) is not None:
            raise FileExistsError(17, "File exists", self._path(newpath))
        self._files.rename(self._path(oldpath), self._path(newpath))

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        self._files.rename(self._path(oldpath), self._path(newpath))

    def readlink(self, path: bytes) -> bytes:
        return self._files.stat(self._path(path), follow=False).data

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        self._files.link(self._path(newpath), oldpath.decode("utf-8", "surrogateescape"))


def _attributes(file: File) -> asyncssh.SFTPAttrs:
    at = int(file.modified)
    return asyncssh.SFTPAttrs(
        size=len(file.data), uid=file.uid, gid=file.gid, permissions=file.mode, atime=at, mtime=at
    )
