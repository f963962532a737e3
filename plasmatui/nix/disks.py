"""The disks of a node, and which of them an installation would wipe.

Run in the installer: `LSBLK_ARGV` and `LINKS_ARGV`. lsblk(8) of util-linux 2.37 and later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from plasmatui.nix.flake import DiskoDevice
from plasmatui.nix.tools import OutputError
from plasmatui.text import clean_line

LSBLK_ARGV: Final = (
    *("lsblk", "--json", "--bytes", "--output"),
    "NAME,PATH,TYPE,SIZE,MODEL,SERIAL,WWN,TRAN,ROTA,RM,RO,MOUNTPOINTS,FSTYPE,PTTYPE,LABEL",
)
LINKS_ARGV: Final = ("find", "/dev/disk/by-id", "/dev/disk/by-path", "-type", "l", "-printf", r"%p\t%l\n")
"""It fails when one of the directories is missing; what it prints counts."""

SMALLEST: Final = 4_000_000_000
"""Bytes below which no NixOS fits."""

INSTALLED_AT: Final = "/mnt"
"""Where disko mounts the new system: a disk that is mounted there only belongs to an earlier try."""

_VIRTUAL: Final = ("virtual", "idrac", "aten", "lenovo xclarity", "ilo ")


class Disk(msgspec.Struct, frozen=True):
    """A whole disk.

    Attributes:
        path: /dev/nvme0n1; may be another after a reboot. links: its names in /dev/disk/by-id and by-path, which last.
        size: bytes. serial, model: "" when not known.
        mounted: where it or parts of it are mounted; "[SWAP]" for swap.
        contents: what is on it, for people ("gpt, 3 partitions: vfat, ext4, swap").
        virtual: media of the BMC, which vanish with its session.
    """

    name: str
    path: str
    links: tuple[str, ...] = ()
    model: str = ""
    serial: str = ""
    size: int = 0
    removable: bool = False
    read_only: bool = False
    mounted: tuple[str, ...] = ()
    contents: str = "empty"
    virtual: bool = False

    @property
    def title(self) -> str:
        """`SAMSUNG MZ (S1) 960 GB`: how the disk is named to a person."""
        serial = f" ({self.serial})" if self.serial else ""
        return f"{self.model or 'unknown model'}{serial} {human_size(self.size)}"


class _Block(msgspec.Struct):
    name: str = ""
    path: str | None = None
    type: str | None = None
    size: int | str | None = 0
    model: str | None = None
    serial: str | None = None
    removable: bool | str | None = msgspec.field(name="rm", default=False)
    read_only: bool | str | None = msgspec.field(name="ro", default=False)
    mountpoints: list[str | None] = []
    fstype: str | None = None
    table: str | None = msgspec.field(name="pttype", default=None)
    children: list[_Block] = []


class _Listing(msgspec.Struct):
    blockdevices: list[_Block]


def parse_disks(lsblk: bytes, links: str = "") -> tuple[Disk, ...]:
    """The disks that there are, without loop devices, CD-ROMs and memory. Raises OutputError."""
    try:
        listing = msgspec.json.decode(lsblk, type=_Listing)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OutputError("lsblk's JSON", lsblk) from error
    names = parse_links(links)
    return tuple(
        _disk(block, names)
        for block in listing.blockdevices
        if block.type == "disk" and not block.name.startswith(("zram", "ram", "nbd", "fd"))
    )


def parse_links(output: str) -> dict[str, tuple[str, ...]]:
    """Names that last by kernel name: {"sda": ("/dev/disk/by-id/ata-...", ...)}; no partitions, arrays or volumes."""
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        name, tab, target = line.partition("\t")
        base = name.rpartition("/")[2]
        if tab and "-part" not in base and not base.startswith(("dm-", "md-", "lvm-")):
            found.setdefault(target.rpartition("/")[2], []).append(clean_line(name, 300))
    return {name: tuple(sorted(links)) for name, links in found.items()}


def _disk(block: _Block, names: dict[str, tuple[str, ...]]) -> Disk:
    model = clean_line((block.model or "").strip(), 80)
    parts = list(_below(block))
    return Disk(
        name=clean_line(block.name, 80),
        path=clean_line(block.path or f"/dev/{block.name}", 120),
        links=names.get(block.name, ()),
        model=model,
        serial=clean_line((block.serial or "").strip(), 80),
        size=_number(block.size),
        removable=_flag(block.removable),
        read_only=_flag(block.read_only),
        mounted=tuple(clean_line(at, 200) for part in (block, *parts) for at in part.mountpoints if at),
        contents=_contents(block),
        virtual=any(word in f"{model.lower()} " for word in _VIRTUAL),
    )


def _below(block: _Block) -> Iterator[_Block]:
    for child in block.children:
        yield child
        yield from _below(child)


def _contents(block: _Block) -> str:
    table = block.table or block.fstype or ""
    if not block.children:
        return clean_line(table or "empty", 80)
    kinds = [part.fstype or part.type or "?" for part in block.children if part.fstype != block.fstype or part.fstype]
    count = len(block.children)
    shown = f"{table or 'no table'}, {count} partition{'s' if count > 1 else ''}: {', '.join(kinds)}"
    return clean_line(shown, 120)


def _number(value: int | str | None) -> int:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else 0


def _flag(value: bool | str | None) -> bool:
    return value in (True, "1")


def human_size(size: int) -> str:
    """As it stands on a disk's label, in powers of ten: 960 GB, 1.92 TB."""
    if size < 1000:
        return f"{size} B"
    amount, unit = float(size), ""
    for unit in ("kB", "MB", "GB", "TB", "PB"):  # noqa: B007 - the last one is used below
        amount /= 1000
        if amount < 999.5:
            break
    digits = 2 if unit in ("TB", "PB") and amount < 100 else 1 if amount < 10 else 0
    text = f"{amount:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}"


class DiskProblem(msgspec.Struct, frozen=True):
    """Why a disk must not be wiped. `finding`: id in the catalogue; `disk`: as the inventory or the flake names it."""

    finding: str
    reason: str  # "missing" "ambiguous" "smaller" "mounted" "virtual" "read-only" "differs"
    disk: str
    message: str


class Match(msgspec.Struct, frozen=True):
    """The disks that a node's inventory names, found on the machine, and all that speaks against wiping them."""

    disks: tuple[Disk, ...]
    problems: tuple[DiskProblem, ...] = ()


def find_disk(name: str, disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """The disks that a name means: a path of the device, one of its lasting names, or its serial number."""
    return tuple(disk for disk in disks if name in (disk.path, disk.serial, *disk.links))


def match(wanted: Sequence[str], disks: Sequence[Disk], layout: Sequence[DiskoDevice] = ()) -> Match:
    """Find the disks that the inventory names, and hold them against disko's layout.

    Args:
        wanted: `disks` of the node in the inventory. layout: what disko would wipe; () when it is not known.
    """
    found: dict[str, Disk] = {}
    problems: list[DiskProblem] = []
    if not wanted:
        problems.append(DiskProblem("disko-device-missing", "missing", "", "the inventory names no disk of the node"))
    for name in wanted:
        candidates = find_disk(name, disks)
        if not candidates:
            problems.append(DiskProblem("disko-device-missing", "missing", name, _missing(name, disks)))
        elif len(candidates) > 1:
            paths = " and ".join(disk.path for disk in candidates)
            problems.append(_problem("ambiguous", name, f"{name} means {paths}; name one by its by-id name"))
        elif candidates[0].path in found:
            problems.append(_problem("ambiguous", name, f"{name} is {candidates[0].path}, which is named twice"))
        else:
            found[candidates[0].path] = candidates[0]
            problems.extend(_objections(name, candidates[0]))
    problems.extend(_differences(layout, found, disks))
    return Match(tuple(found.values()), tuple(problems))


def _problem(reason: str, disk: str, message: str, finding: str = "disk-order-differs") -> DiskProblem:
    return DiskProblem(finding, reason, disk, message)


def _missing(name: str, disks: Sequence[Disk]) -> str:
    there = ", ".join(f"{disk.links[0] if disk.links else disk.path} ({disk.title})" for disk in disks[:8])
    return f"{name} is not on the node; there is: {there or 'no disk at all'}"


def _objections(name: str, disk: Disk) -> Iterator[DiskProblem]:
    foreign = [at for at in disk.mounted if at != INSTALLED_AT and not at.startswith(f"{INSTALLED_AT}/")]
    if foreign:
        message = f"{name} ({disk.title}) is in use at {', '.join(foreign[:4])}"
        yield _problem("mounted", name, message, "disko-device-busy")
    if disk.virtual or (disk.removable and disk.size < SMALLEST):
        yield _problem("virtual", name, f"{name} ({disk.title}) is a medium of the BMC or removable, not a disk")
    if disk.read_only:
        yield _problem("read-only", name, f"{name} ({disk.title}) is read-only", "disko-device-busy")
    if disk.size < SMALLEST:
        message = f"{name} ({disk.title}) is smaller than {human_size(SMALLEST)}, too small for a system"
        yield _problem("smaller", name, message, "install-no-space")


def _differences(layout: Sequence[DiskoDevice], found: dict[str, Disk], disks: Sequence[Disk]) -> Iterator[DiskProblem]:
    """Disks that the flake would wipe and the inventory does not name, and the other way round."""
    if not layout:
        return
    wiped: set[str] = set()
    for device in layout:
        candidates = find_disk(device.device, disks)
        if not candidates:
            message = f"disko's disk {device.name} is {_missing(device.device, disks)}"
            yield DiskProblem("disko-device-missing", "missing", device.device, message)
            continue
        wiped.update(disk.path for disk in candidates)
        for disk in candidates:
            if device.destroy and disk.path not in found:
                message = (
                    f"disko would wipe {device.device} ({disk.title}), which `disks` of the inventory does not name"
                )
                yield _problem("differs", device.device, message)
    for path, disk in found.items():
        if path not in wiped:
            yield _problem("differs", path, f"{path} ({disk.title}) is in the inventory but not in disko's layout")
