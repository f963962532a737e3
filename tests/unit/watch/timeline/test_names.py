"""Paths of what machines ask for."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plasmatui.watch.names import _role_of, path_of, role_of

_PARTS = (
    *("bzImage", "vmlinuz", "vmlinux", "zimage", "Image", "linux", "kernel", "initrd", "initramfs", "initrfs"),
    *("ramdisk", ".img", ".cpio", ".gz", "core.gz", ".ipxe", ".php", ".cgi", ".gpxe", "boot", "menu", "autoexec"),
    *("grub", ".cfg", "pxelinux.cfg", "/v1/boot/", ".efi", ".kpxe", ".kkpxe", ".pxe", ".0", ".n12", ".usb"),
    *("mac=", "uuid=", "hostname=", "ipxe", "/", "?", "&", "#", "%", "6B", "%6b", "-6.1", "_", ".", "x", "K"),
    *("\N{LATIN SMALL LETTER LONG S}", "\N{KELVIN SIGN}", "\t", ";", "http://h"),
)


@given(st.text() | st.text("/a%?#;[]: .\\@é\t\x00").map("/{}".format))
def test_a_path_is_what_urllib_says(file: str) -> None:
    try:
        expected = unquote(urlsplit(file).path) or file
    except ValueError:
        expected = file
    assert path_of(file) == expected


@settings(max_examples=2000)
@given(st.lists(st.sampled_from(_PARTS), max_size=4).map("".join))
def test_a_name_that_tells_nothing_is_known_at_a_glance(file: str) -> None:
    assert role_of(file) is _role_of(file)
    assert role_of(file.upper()) is _role_of(file.upper())


@pytest.mark.parametrize("before", ["", "/os/", "http://h/"])
@pytest.mark.parametrize("after", ["", "-6.1", ".gz", "?x"])
def test_each_telling_name_is_known(before: str, after: str) -> None:
    for part in _PARTS:
        assert role_of(before + part + after) is _role_of(before + part + after)
