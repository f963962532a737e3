"""Disks of a node, and what speaks against wiping them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasmatui.nix.disks import Disk, human_size, match, parse_disks
from plasmatui.nix.flake import DiskoDevice
from plasmatui.nix.tools import OutputError
from plasmatui.text import is_clean

LSBLK = json.dumps({"blockdevices": [
    {"name": "loop0", "path": "/dev/loop0", "type": "loop", "size": 800000000, "mountpoints": ["/nix/.ro-store"]},
    {"name": "nvme0n1", "path": "/dev/nvme0n1", "type": "disk", "size": 960197124096, "model": "SAMSUNG MZ ", "serial":
     "S1", "rm": False, "ro": False, "mountpoints": [None], "fstype": None, "pttype": "gpt", "children": [
        {"name": "nvme0n1p1", "path": "/dev/nvme0n1p1", "type": "part", "mountpoints": [None], "fstype": "vfat"},
        {"name": "nvme0n1p2", "path": "/dev/nvme0n1p2", "type": "part", "mountpoints": [None], "fstype": "ext4"}]},
    {"name": "sda", "path": "/dev/sda", "type": "disk", "size": 1920383410176, "model": "INTEL", "serial": "S2",
     "rm": False, "ro": False, "mountpoints": [None], "pttype": "gpt", "children": [
        {"name": "sda1", "path": "/dev/sda1", "type": "part", "mountpoints": [None], "children": [
            {"name": "vg-data", "path": "/dev/mapper/vg-data", "type": "lvm", "mountpoints": ["/data"]}]}]},
    {"name": "sdb", "path": "/dev/sdb", "type": "disk", "size": 500000000, "model": "Virtual HDisk", "serial":
     "AAAA", "rm": True, "ro": False, "mountpoints": [None]},
    {"name": "sr0", "path": "/dev/sr0", "type": "rom", "size": 1000, "mountpoints": [None]},
]}).encode()  # fmt: skip
LINKS = """/dev/disk/by-id/nvme-SAMSUNG_MZ_S1\t../../nvme0n1
/dev/disk/by-id/nvme-SAMSUNG_MZ_S1-part1\t../../nvme0n1p1
/dev/disk/by-id/ata-INTEL_S2\t../../sda
/dev/disk/by-id/dm-name-vg-data\t../../dm-0
/dev/disk/by-path/pci-0000:01:00.0-nvme-1\t../../nvme0n1
"""
NVME = "/dev/disk/by-id/nvme-SAMSUNG_MZ_S1"


def disks() -> tuple[Disk, ...]:
    return parse_disks(LSBLK, LINKS)


def reasons(wanted: list[str], layout: tuple[DiskoDevice, ...] = ()) -> list[tuple[str, str]]:
    return [(problem.finding, problem.reason) for problem in match(wanted, disks(), layout).problems]


def test_what_there_is() -> None:
    nvme, sda, sdb = disks()
    assert nvme.links == (NVME, "/dev/disk/by-path/pci-0000:01:00.0-nvme-1")
    assert (nvme.title, nvme.contents) == ("SAMSUNG MZ (S1) 960 GB", "gpt, 2 partitions: vfat, ext4")
    assert sda.mounted == ("/data",)
    assert (sdb.virtual, sdb.removable, sdb.contents) == (True, True, "empty")


def test_a_good_disk() -> None:
    found = match([NVME], disks(), (DiskoDevice("main", "/dev/nvme0n1"),))
    assert [disk.path for disk in found.disks] == ["/dev/nvme0n1"]
    assert found.problems == ()


def test_what_speaks_against_it() -> None:
    assert reasons([]) == [("disko-device-missing", "missing")]
    assert reasons(["/dev/disk/by-id/other"]) == [("disko-device-missing", "missing")]
    assert reasons(["/dev/sda"]) == [("disko-device-busy", "mounted")]
    assert reasons([NVME, "/dev/nvme0n1"]) == [("disk-order-differs", "ambiguous")]
    assert reasons(["/dev/sdb"]) == [("disk-order-differs", "virtual"), ("install-no-space", "smaller")]
    twins = (Disk("a", "/dev/a", serial="S", size=10**12), Disk("b", "/dev/b", serial="S", size=10**12))
    assert [problem.reason for problem in match(["S"], twins).problems] == ["ambiguous"]


def test_a_layout_that_means_another_disk() -> None:
    assert reasons([NVME], (DiskoDevice("main", "/dev/sda"),)) == [("disk-order-differs", "differs")] * 2
    assert reasons([NVME], (DiskoDevice("main", NVME), DiskoDevice("data", "/dev/sda", destroy=False))) == []
    assert reasons([NVME], (DiskoDevice("main", NVME), DiskoDevice("data", "/dev/sdz"))) == [
        ("disko-device-missing", "missing")
    ]


def test_an_earlier_try_is_no_obstacle() -> None:
    disk = Disk("a", "/dev/a", size=10**12, mounted=("/mnt", "/mnt/boot"))
    assert match(["/dev/a"], (disk,)).problems == ()
    assert match(["/dev/a"], (Disk("a", "/dev/a", size=10**12, mounted=("/mnt2",)),)).problems != ()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (512_110_190_592, "512 GB"), (960_197_124_096, "960 GB"),
     (1_920_383_410_176, "1.92 TB"), (2_000_398_934_016, "2 TB"),
     (8_001_563_222_016, "8 TB"), (999_999_999_999, "1 TB"), (1_500, "1.5 kB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text


@given(st.integers(0, 10**18))
def test_sizes_are_near(size: int) -> None:
    number, unit = human_size(size).split()
    value = float(number) * 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert abs(value - size) <= 0.05 * size


values = (
    st.none() | st.booleans() | st.integers(-1, 2**70) | st.text(max_size=6) | st.lists(st.text(max_size=4), max_size=2)
)
blocks = st.dictionaries(
    st.sampled_from(["name", "path", "type", "size", "model", "serial", "rm", "ro", "mountpoints", "fstype", "pttype"]),
    values | st.just("disk"),
)


@given(st.lists(blocks, max_size=4) | values, st.text(max_size=60))
def test_nothing_but_output_errors(devices: object, links: str) -> None:
    try:
        found = parse_disks(json.dumps({"blockdevices": devices}).encode(), links)
    except OutputError:
        return
    assert all(is_clean(disk.title) and is_clean(disk.contents) for disk in found)
    match(["/dev/x"], found)
