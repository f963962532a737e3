"""Kernels and initrds: which are right, and that none that is cut passes."""

from __future__ import annotations

import contextlib
import io
import itertools
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.pxe.bootfiles import ImageError, Kernel, read_initrd, read_kernel
from tests.support import images

KINDS = tuple(images.PACKERS)


def kernel(data: bytes) -> Kernel:
    return read_kernel(io.BytesIO(data), len(data))


def parts(data: bytes) -> tuple[str, ...]:
    return read_initrd(io.BytesIO(data), len(data))


def test_kernels_are_told_apart() -> None:
    assert kernel(images.x86_kernel()) == Kernel("x86_64", True)
    assert kernel(images.x86_kernel(efi=False)) == Kernel("x86_64", False)
    assert kernel(images.arm64_kernel()) == Kernel("aarch64", True)


@pytest.mark.parametrize("data", [images.x86_kernel(), images.x86_kernel(efi=False), images.arm64_kernel()])
def test_a_cut_kernel_is_found(data: bytes) -> None:
    for size in (len(data) - 16, len(data) // 2):
        with pytest.raises(ImageError, match="cut off"):
            kernel(data[:size])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>404</html>", "error page"),
        (b"", "nothing"),
        (b"\x7fELF" + bytes(2000), "bytes 7f 45 4c 46"),
        (images.x86_kernel()[:0x1FE] + b"\0\0" + images.x86_kernel()[0x200:], "no Linux kernel"),
    ],
)
def test_what_is_no_kernel_is_said(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        kernel(data)


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_read_to_its_end(kind: str) -> None:
    assert parts(images.initrd(kind)) == (kind,)


@pytest.mark.parametrize("kinds", list(itertools.permutations(["cpio", "gzip", "xz", "zstd", "bzip2"], 2)))
@pytest.mark.parametrize("padding", [0, 4, 5000])
def test_archives_follow_each_other(kinds: tuple[str, ...], padding: int) -> None:
    assert parts(images.initrd(*kinds, padding=padding)) == kinds


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_no_cut_passes(kind: str, data: st.DataObject) -> None:
    whole = images.initrd("cpio", kind, size=700)
    size = data.draw(st.integers(0, len(whole) - 1))
    first = len(images.initrd("cpio", size=700))
    if size == first or (kind == "lz4" and size in (first + 4,)):  # whole without the second, which nobody can know
        return
    with pytest.raises(ImageError):
        parts(whole[:size])


@given(data=st.binary(max_size=300), head=st.sampled_from([b"", *(images.initrd(kind)[:40] for kind in KINDS)]))
def test_any_bytes_are_read_or_refused(head: bytes, data: bytes) -> None:
    for read in (parts, kernel):
        with contextlib.suppress(ImageError):
            read(head + data)


def test_damage_inside_gzip_is_found() -> None:
    data = bytearray(images.initrd("gzip"))
    data[-6] ^= 1
    with pytest.raises(ImageError, match="damaged"):
        parts(bytes(data))


def test_an_archive_of_something_else_is_no_initrd() -> None:
    with pytest.raises(ImageError, match="no cpio archive"):
        parts(zlib.compress(b"squashfs", wbits=31))


def test_a_bomb_is_unpacked_in_small_pieces() -> None:
    import tracemalloc

    data = images.PACKERS["gzip"](images.cpio({"zeros": bytes(50 << 20)}))
    tracemalloc.start()
    try:
        assert parts(data) == ("gzip",)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_lz4_frames_are_refused_because_kernels_do() -> None:
    with pytest.raises(ImageError, match="lz4 -l"):
        parts(b"\x04\x22\x4d\x18" + bytes(100))


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(words, marks=pytest.mark.needs(words[0]))
        for words in (("zstd", "-19", "-c"), ("lz4", "-l", "-c"), ("xz", "--check=crc32", "-c"))
    ],
)
def test_what_the_packers_themselves_write_is_read(program: tuple[str, ...]) -> None:
    archive = images.cpio({"file": bytes(i * i % 253 for i in range(400_000))})
    packed = subprocess.run(program, input=archive, stdout=subprocess.PIPE, check=True).stdout
    assert parts(images.initrd("cpio") + packed) == ("cpio", program[0])
    with pytest.raises(ImageError, match="cut off"):
        parts(images.initrd("cpio") + packed[:-1])
