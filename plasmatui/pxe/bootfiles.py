"""Whether a kernel and an initrd are what a boot loader and a kernel can start, and whole; nothing is unpacked to disk.

Kernels: Linux, Documentation/arch/x86/boot.rst (real-mode header) and arch/arm64/booting.rst (Image header); the EFI
stub is a PE file (Microsoft, "PE Format"). Initrds: driver-api/early-userspace/buffer-format.rst: archives in cpio's
"newc" format, each compressed or not, one behind the other, with zeros between.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

CHUNK: Final = 1 << 20
_MOST_OUTPUT: Final = 4 << 20
"""Bytes that are unpacked at once: a small file can unpack to any size."""
_MOST_MEMORY: Final = 1 << 29
_LONGEST_NAME: Final = 4096
_LARGEST_LZ4: Final = (8 << 20) + (8 << 20) // 255 + 16
"""Bytes of a block of lz4's legacy format: 8 MiB that cannot be compressed."""

LARGEST_INITRD: Final = 4 << 30
"""Bytes from which firmware and kernels cut an initrd without a word (nixpkgs issue 399607)."""
LARGE_INITRD: Final = 2 << 30
"""Bytes from which loaders have trouble (nixpkgs issue 203593)."""

Tick = Callable[[int], None]
"""Told how many bytes more have been looked at."""


class ImageError(ValueError):
    """A file is not what it should be; the message says what and where."""


@dataclass(frozen=True)
class Kernel:
    """Attributes: architecture: "x86_64" or "aarch64". efi: whether EFI firmware can start it."""

    architecture: str
    efi: bool


def read_kernel(file: BinaryIO, size: int) -> Kernel:
    """What kind of kernel a file is.

    Raises:
        ImageError: it is none, or cut off.
    """
    head = _at(file, 0, 1024)
    machine, end = _pe(file, head)
    if head[56:60] == b"ARMd":
        kernel = Kernel("aarch64", machine == 0xAA64)
    elif head[4:8] == b"zimg" and machine == 0xAA64:
        kernel = Kernel("aarch64", True)
    elif head[0x202:0x206] == b"HdrS" and head[0x1FE:0x200] == b"\x55\xaa":
        sectors, paragraphs = head[0x1F1] or 4, struct.unpack_from("<I", head, 0x1F4)[0]
        end = max(end, (sectors + 1) * 512 + max(0, paragraphs * 16 - 15))  # the last 16 bytes need not be full
        kernel = Kernel("x86_64", machine == 0x8664)
    else:
        raise ImageError(f"it is no Linux kernel: neither a bzImage nor an arm64 Image, but {_looks_like(head)}")
    if size < end:
        raise ImageError(f"it is cut off: its header speaks of {end} bytes, there are {size}")
    return kernel


def _pe(file: BinaryIO, head: bytes) -> tuple[int, int]:
    """Machine and end of the last section of a PE file; zeros when it is none."""
    if head[:2] != b"MZ" or len(head) < 0x40:
        return 0, 0
    at = struct.unpack_from("<I", head, 0x3C)[0]
    header = _at(file, at, 24)
    if len(header) < 24 or header[:4] != b"PE\0\0":
        return 0, 0
    machine, sections = struct.unpack_from("<HH", header, 4)
    optional = struct.unpack_from("<H", header, 20)[0]
    table = _at(file, at + 24 + optional, min(sections, 96) * 40)
    ends = [
        sum(struct.unpack_from("<II", table, place + 16)) for place in range(0, len(table) - 39, 40)
    ]  # size and place of the section's bytes
    return machine, max(ends, default=0)


def read_initrd(file: BinaryIO, size: int, tick: Tick = lambda _: None) -> tuple[str, ...]:
    """Read an initrd to its end; the formats of its parts, such as `("cpio", "zstd")`.

    Of zstd and lz4 the blocks' lengths are followed; gzip, xz, lzma and bzip2 are unpacked, into nothing.

    Raises:
        ImageError: an unknown format, damage, or a part that ends too early.
    """
    parts: list[str] = []
    at = _skip_zeros(file, 0, size)
    while at < size:
        head = _at(file, at, 16)
        kind = next((name for magic, name in _MAGIC if head.startswith(magic)), "")
        if not kind:
            where = f"at byte {at}, behind {parts[-1]}, " if parts else ""
            raise ImageError(f"{where}it is of no format that a kernel unpacks, but {_looks_like(head)}")
        try:
            end = _PARTS[kind](file, at, size, tick)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ImageError(f"the {kind} part at byte {at} is damaged: {error}") from error
        parts.append(kind)
        at = _skip_zeros(file, end, size)
    if not parts:
        raise ImageError("it is empty")
    return tuple(parts)


def _at(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _looks_like(head: bytes) -> str:
    if not head:
        return "nothing"
    if head.lstrip()[:1] == b"<":
        return "a text like HTML: a server's error page?"
    if head[:1] == b"#" or (head[:64].isascii() and head[:64].decode().isprintable()):
        return f"text: {head[:24].decode('ascii', 'replace')!a}"
    return f"bytes {head[:8].hex(' ')}"


def _skip_zeros(file: BinaryIO, at: int, size: int) -> int:
    file.seek(at)
    while at < size and (data := file.read(4096)):
        rest = data.lstrip(b"\0")
        at += len(data) - len(rest)
        if rest:
            break
    return at


def _cut(kind: str, at: int, size: int) -> ImageError:
    return ImageError(f"it is cut off: its {kind} part, which begins at byte {at}, does not end before byte {size}")


def _cpio(file: BinaryIO, begin: int, size: int, tick: Tick) -> int:
    """Man page cpio(5), "New ASCII Format": headers of 110 bytes; names and contents end at multiples of four."""
    at = begin
    while True:
        header = _at(file, at, 110)
        if len(header) < 110:
            raise _cut("cpio", begin, size)
        try:
            length, name_length = int(header[54:62], 16), int(header[94:102], 16)
        except ValueError:
            length, name_length = -1, -1
        if header[:6] not in (b"070701", b"070702") or length < 0 or not 0 < name_length <= _LONGEST_NAME:
            raise ImageError(f"its cpio part is damaged at byte {at}: no header is there")
        name = file.read(name_length).rstrip(b"\0")
        content = begin + _padded(at - begin + 110 + name_length)
        end = begin + _padded(content - begin + length)
        if content + length > size:
            raise _cut("cpio", begin, size)
        tick(end - at)
        at = end
        if name == b"TRAILER!!!":
            return min(at, size)


def _padded(length: int) -> int:
    return (length + 3) & ~3


class _Unpacker(Protocol):
    def feed(self, data: bytes) -> tuple[bytes, bool]: ...  # what it gave, whether it wants more

    @property
    def over(self) -> bool: ...

    @property
    def left(self) -> int: ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)  # RFC 1952, with its check sum and length

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, _MOST_OUTPUT)
        return out, not self._inner.unconsumed_tail

    @property
    def over(self) -> bool:
        return self._inner.eof

    @property
    def left(self) -> int:
        return len(self._inner.unused_data)


class _Other:
    def __init__(self, inner: lzma.LZMADecompressor | bz2.BZ2Decompressor) -> None:
        self._inner = inner

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        out = self._inner.decompress(data, _MOST_OUTPUT)
        return out, self._inner.needs_input

    @property
    def over(self) -> bool:
        return self._inner.eof

    @property
    def left(self) -> int:
        return len(self._inner.unused_data)


def _unpacked(kind: str, make: Callable[[], _Unpacker]) -> Callable[[BinaryIO, int, int, Tick], int]:
    def read(file: BinaryIO, begin: int, size: int, tick: Tick) -> int:
        unpacker, at, first, hungry = make(), begin, b"", True
        file.seek(at)
        while not unpacker.over:
            data = file.read(CHUNK) if hungry else b""
            at += len(data)
            tick(len(data))
            starved = hungry and not data
            out, hungry = unpacker.feed(data)
            if starved and not out and not unpacker.over:
                raise _cut(kind, begin, size)
            first = (first + out[:6])[:6] if len(first) < 6 else first
        if not first.startswith(b"0707"):
            raise ImageError(f"its {kind} part at byte {begin} holds no cpio archive, but {_looks_like(first)}")
        return at - unpacker.left

    return read


def _zstd(file: BinaryIO, begin: int, size: int, tick: Tick) -> int:
    """RFC 8878 section 3.1.1: a frame's header, then blocks with their lengths."""
    descriptor = _at(file, begin + 4, 1)
    if not descriptor:
        raise _cut("zstd", begin, size)
    flags = descriptor[0]
    single, checksum = flags >> 5 & 1, flags >> 2 & 1
    content = (1 if single else 0, 2, 4, 8)[flags >> 6]
    at = begin + 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3] + content
    last = False
    while not last:
        header = _at(file, at, 3)
        if len(header) < 3:
            raise _cut("zstd", begin, size)
        word = int.from_bytes(header, "little")
        last, kind, length = bool(word & 1), word >> 1 & 3, word >> 3
        if kind == 3:
            raise ImageError(f"its zstd part is damaged at byte {at}: no block is there")
        step = 3 + (1 if kind == 1 else length)
        at += step
        tick(step)
        if at > size:
            raise _cut("zstd", begin, size)
    at += 4 * checksum
    if at > size:
        raise _cut("zstd", begin, size)
    return at


def _skippable(file: BinaryIO, begin: int, size: int, tick: Tick) -> int:
    """RFC 8878 section 3.1.2."""
    header = _at(file, begin, 8)
    end = begin + 8 + int.from_bytes(header[4:8], "little")
    if len(header) < 8 or end > size:
        raise _cut("zstd", begin, size)
    tick(end - begin)
    return end


def _lz4(file: BinaryIO, begin: int, size: int, tick: Tick) -> int:
    """lz4_Frame_format.md, "Legacy frame", the only one that the kernel reads: blocks with their lengths, and no mark
    at the end, so that a file that is cut between two blocks passes."""
    at = begin + 4
    while at < size:
        header = _at(file, at, 4)
        length = int.from_bytes(header, "little")
        if length > _LARGEST_LZ4 or not length:
            break  # what follows is another part
        if len(header) < 4 or at + 4 + length > size:
            raise _cut("lz4", begin, size)
        at += 4 + length
        tick(4 + length)
    return at


def _lz4_frame(_file: BinaryIO, _begin: int, _size: int, _tick: Tick) -> int:
    raise ImageError("it is compressed in lz4's frame format, which the kernel does not read: use `lz4 -l`")


_MAGIC: Final = (
    (b"070701", "cpio"),
    (b"070702", "cpio"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes((low, 0x2A, 0x4D, 0x18)), "zstd-skippable") for low in range(0x50, 0x60)),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x04\x22\x4d\x18", "lz4-frame"),
    (b"BZh", "bzip2"),
    (b"\x5d\0\0", "lzma"),
)
_PARTS: Final[dict[str, Callable[[BinaryIO, int, int, Tick], int]]] = {
    "cpio": _cpio,
    "gzip": _unpacked("gzip", _Gzip),
    "xz": _unpacked("xz", lambda: _Other(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY))),
    "lzma": _unpacked("lzma", lambda: _Other(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MOST_MEMORY))),
    "bzip2": _unpacked("bzip2", lambda: _Other(bz2.BZ2Decompressor())),
    "zstd": _zstd,
    "zstd-skippable": _skippable,
    "lz4": _lz4,
    "lz4-frame": _lz4_frame,
}
