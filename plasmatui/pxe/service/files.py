"""Images over HTTP: files below one directory, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import mimetypes
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from plasmatui.pxe.service.ranges import Plan, Version, plan

CHUNK: Final = 256 * 1024
_TYPES: Final = {".ipxe": "text/plain; charset=utf-8", ".cfg": "text/plain; charset=utf-8"}
_OPEN_NAMES: Final = frozenset({".treeinfo", ".discinfo", ".disk", ".buildstamp"})
"""What Anaconda and debian-installer look for in a tree."""
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class BrokenFileError(Exception):
    """A file was changed while it was sent. What was sent so far is of the old one; the rest must not follow."""


@dataclass(frozen=True)
class OpenFile:
    """A regular file that is being served. `close` it."""

    descriptor: int
    size: int
    version: Version
    type: str

    def close(self) -> None:
        os.close(self.descriptor)


class Images:
    """The files below a directory, but hidden ones and what links lead out to.

    Of hidden ones, those that installers ask trees of distributions for are served.

    The directory may itself be a link that is switched to another one.
    """

    def __init__(self, root: Path) -> None:
        """Raises OSError: there is no such directory."""
        self._root = root.absolute()
        if not root.resolve(strict=True).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))

    def open(self, path: str) -> OpenFile:
        """Open a file by its path below the root, as it stands in a URL after decoding.

        Raises:
            FileNotFoundError: there is none that may be served.
            PermissionError: it may not be read.
        """
        parts = path.split("/")
        if "\0" in path or any(not _served(part) for part in parts):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        try:
            root = os.path.realpath(self._root, strict=True)
            real = os.path.realpath(os.path.join(root, *parts), strict=True)
            _confine(real, root)
            descriptor = os.open(real, _OPEN | os.O_NOFOLLOW)
        except PermissionError:
            raise
        except OSError as error:
            raise FileNotFoundError(error.errno, os.strerror(error.errno or errno.ENOENT), path) from None
        try:
            return _opened(descriptor, path, root)
        except BaseException:
            os.close(descriptor)
            raise


def _served(part: str) -> bool:
    return part in _OPEN_NAMES or (bool(part) and not part.startswith("."))


def _opened(descriptor: int, path: str, root: str) -> OpenFile:
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    _confine(_path_of(descriptor), root)  # a directory on the way may have become a link meanwhile
    return OpenFile(descriptor, info.st_size, _version(info), _type(path))


def _confine(real: str | None, root: str) -> None:
    if real is not None and os.path.commonpath([real, root]) != root:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), real)


def _path_of(descriptor: int) -> str | None:
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no such thing here
        return None
    return path.removesuffix(" (deleted)")


def _version(info: os.stat_result) -> Version:
    return Version(f'"{info.st_ino:x}-{info.st_size:x}-{info.st_mtime_ns:x}"', int(info.st_mtime))


def _type(path: str) -> str:
    suffix = os.path.splitext(path)[1].lower()
    return (
        _TYPES.get(suffix)
        or (mimetypes.guess_type(path)[0] if suffix == ".json" else None)
        or ("application/octet-stream")
    )


class FileResponse(Response):
    """Answers a GET or HEAD with a file, or part of it; closes the file.

    Args:
        abort: breaks the connection off, so that the client sees that the answer is not whole.
        broken: called when the file was changed while it was sent.
    """

    def __init__(
        self, file: OpenFile, headers: Headers, abort: Callable[[], None] | None, broken: Callable[[], None]
    ) -> None:
        self._file = file
        self._abort = abort
        self._broken = broken
        self._plan = plan({name: headers[name] for name in headers}, file.version, file.size)
        self.status_code = self._plan.status
        self.background = None
        self.body = b""
        self.init_headers(self._head(self._plan))

    def _head(self, plan: Plan) -> dict[str, str]:
        file = self._file
        headers = {
            "accept-ranges": "bytes",
            "etag": file.version.etag,
            "last-modified": formatdate(file.version.modified, usegmt=True),
        }
        if plan.status in (200, 206):
            headers |= {"content-type": file.type, "content-length": str(plan.end - plan.begin)}
        elif plan.status != 304:
            headers["content-length"] = "0"
        if plan.status == 206:
            headers["content-range"] = f"bytes {plan.begin}-{plan.end - 1}/{file.size}"
        elif plan.status == 416:
            headers["content-range"] = f"bytes */{file.size}"
        return headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD" or self._plan.begin == self._plan.end:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await self._send_bytes(send)
        except BrokenFileError:
            self._broken()
            if self._abort is None:
                raise
            self._abort()
            await asyncio.sleep(0)  # the connection's loss is seen before the answer is given up
        finally:
            self._file.close()

    async def _send_bytes(self, send: Send) -> None:
        at, end = self._plan.begin, self._plan.end
        while at < end:
            data = await read(self._file, at, min(CHUNK, end - at))
            at += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": at < end})


async def read(file: OpenFile, at: int, length: int) -> bytes | memoryview:
    """Bytes of a file as it was when it was opened. Does not wait for a disk on the loop.

    Raises:
        BrokenFileError: it was changed or cut meanwhile.
    """
    buffer = bytearray(length)
    got = _read_cached(file.descriptor, buffer, at)
    if got < length:
        try:
            got = await asyncio.to_thread(_read_all, file.descriptor, buffer, at, got)
        except OSError as error:
            raise BrokenFileError(str(error)) from error
    if got < length or _version(os.fstat(file.descriptor)) != file.version:
        raise BrokenFileError("the file was changed while it was sent")
    return memoryview(buffer)


def _read_cached(descriptor: int, buffer: bytearray, at: int) -> int:
    """What of it is in memory already (preadv2(2), RWF_NOWAIT); 0 where that cannot be told."""
    flag = getattr(os, "RWF_NOWAIT", None)
    if flag is None:
        return 0
    try:
        return os.preadv(descriptor, [buffer], at, flag)
    except OSError:
        return 0


def _read_all(descriptor: int, buffer: bytearray, at: int, got: int) -> int:
    view = memoryview(buffer)
    while got < len(buffer):
        count = os.preadv(descriptor, [view[got:]], at + got)
        if not count:
            break
        got += count
    return got


def not_found() -> Response:
    """The answer for whatever is not there, in the words of the servers that this one stands in for."""
    return PlainTextResponse("404 page not found\n", 404)
