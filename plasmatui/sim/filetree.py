"""A small file system in memory: what a simulated node has below `/etc`, `/root`, `/var/lib` and so on."""

from __future__ import annotations

import posixpath
import stat
from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import cast

_LINKS = 16
DIRECTORY = stat.S_IFDIR | 0o755


@dataclass
class File:
    """A file, directory (`S_IFDIR` in `mode`) or symbolic link (`S_IFLNK`; `data` is the target).

    Attributes:
        mode: type and permission bits, as in `stat.st_mode`.
        modified: Unix seconds.
    """

    mode: int
    data: bytes = b""
    uid: int = 0
    gid: int = 0
    modified: float = 0.0

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class FileTree:
    """Files by absolute path. Errors are those of the operating system, with the path in `filename`."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._files: MutableMapping[str, File] = {"/": File(DIRECTORY)}

    def over(self, below: dict[str, File]) -> FileTree:
        """A tree that shows other files where this one has none. Changes go to this one; what is below stays."""
        tree = FileTree(self._wall)
        tree._files = ChainMap(cast(dict[str, File], self._files), below)
        return tree

    def resolve(self, path: str, *, last: bool = True) -> str:
        """The path without symbolic links; `last` False leaves one at the end alone. It need not exist."""
        done, todo = "/", [part for part in path.split("/") if part and part != "."]
        for _ in range(_LINKS * 8):
            if not todo:
                return done
            part = todo.pop(0)
            if part == "..":
                done = posixpath.dirname(done)
                continue
            step = posixpath.join(done, part)
            file = self._files.get(step)
            if file is not None and file.is_link and (last or todo):
                target = file.data.decode()
                done = "/" if target.startswith("/") else done
                todo[:0] = [piece for piece in target.split("/") if piece and piece != "."]
            else:
                done = step
        raise OSError(40, "Too many levels of symbolic links", path)

    def find(self, path: str, *, follow: bool = True) -> File | None:
        return self._files.get(self.resolve(path, last=follow))

    def stat(self, path: str, *, follow: bool = True) -> File:
        file = self.find(path, follow=follow)
        if file is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return file

    def read(self, path: str) -> bytes:
        file = self.stat(path)
        if file.is_directory:
            raise IsADirectoryError(21, "Is a directory", path)
        return file.data

    def write(self, path: str, data: bytes, mode: int | None = None, *, uid: int = 0, gid: int = 0) -> None:
        """Write a file; permission bits of one that exists stay unless `mode` gives them. Its directory must exist."""
        where = self.resolve(path)
        old = self._files.get(where)
        if old is not None and old.is_directory:
            raise IsADirectoryError(21, "Is a directory", path)
        parent = self._files.get(posixpath.dirname(where))
        if parent is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        if not parent.is_directory:
            raise NotADirectoryError(20, "Not a directory", path)
        bits = (stat.S_IMODE(old.mode) if old is not None else 0o644) if mode is None else mode & 0o7777
        self._files[where] = File(stat.S_IFREG | bits, data, uid, gid, self._wall())

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file and make the directories above it."""
        self.mkdir(posixpath.dirname(path), parents=True)
        self.write(path, data, mode)

    def link(self, path: str, target: str) -> None:
        """Make or replace a symbolic link; directories above it are made."""
        self.mkdir(posixpath.dirname(path), parents=True)
        self._files[self.resolve(path, last=False)] = File(stat.S_IFLNK | 0o777, target.encode(), modified=self._wall())

    def join(self, path: str, existing: str) -> None:
        """Give a file a second name."""
        where = self.resolve(path, last=False)
        if where in self._files:
            raise FileExistsError(17, "File exists", path)
        self._files[where] = self.stat(existing)

    def mkdir(self, path: str, mode: int = 0o755, *, parents: bool = False) -> None:
        where = self.resolve(path)
        there = self._files.get(where)
        if there is not None:
            if parents and there.is_directory:
                return
            raise FileExistsError(17, "File exists", path)
        above = posixpath.dirname(where)
        if above not in self._files:
            if not parents:
                raise FileNotFoundError(2, "No such file or directory", path)
            self.mkdir(above, parents=True)
        self._files[where] = File(stat.S_IFDIR | mode, modified=self._wall())

    def chmod(self, path: str, mode: int) -> None:
        file = self.stat(path)
        file.mode = stat.S_IFMT(file.mode) | mode & 0o7777

    def chown(self, path: str, uid: int, gid: int) -> None:
        file = self.stat(path)
        file.uid, file.gid = uid, gid

    def remove(self, path: str, *, recursive: bool = False) -> None:
        where = self.resolve(path, last=False)
        if where not in self._files:
            raise FileNotFoundError(2, "No such file or directory", path)
        below = [name for name in self._files if name.startswith(where.rstrip("/") + "/")]
        if below and not recursive:
            raise OSError(39, "Directory not empty", path)
        for name in (*below, where):
            if name != "/":
                self._take(name)

    def rename(self, old: str, new: str) -> None:
        source, target = self.resolve(old, last=False), self.resolve(new, last=False)
        file = self._files.get(source)
        if file is None:
            raise FileNotFoundError(2, "No such file or directory", old)
        for name in [name for name in self._files if name == source or name.startswith(source + "/")]:
            self._files[target + name[len(source) :]] = self._take(name)

    def _take(self, name: str) -> File:
        try:
            return self._files.pop(name)
        except KeyError:  # it is shown from below
            raise OSError(30, "Read-only file system", name) from None

    def names(self, path: str) -> list[str]:
        """What a directory holds, sorted."""
        if not self.stat(path).is_directory:
            raise NotADirectoryError(20, "Not a directory", path)
        prefix = self.resolve(path).rstrip("/") + "/"
        return sorted(name[len(prefix) :] for name in self._files if name.startswith(prefix) and
                      name != prefix and "/" not in name[len(prefix) :])  # fmt: skip

    def walk(self, path: str) -> Iterator[tuple[str, File]]:
        """A path and everything below it, sorted."""
        top = self.resolve(path)
        prefix = top.rstrip("/") + "/"
        for name in sorted(self._files):
            if name == top or name.startswith(prefix):
                yield name, self._files[name]

    def adopt(self, other: FileTree, below: str) -> None:
        """Put what another tree has below a directory into the root of this one."""
        prefix = other.resolve(below).rstrip("/")
        for name, file in other.walk(below):
            where = name[len(prefix) :]
            if where and where != "/":
                self._files[where] = file
