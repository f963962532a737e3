"""Commands of a simulated host about disks and mounts. Columns as lsblk(8) and findmnt(8) of util-linux 2.41."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from plasmatui.sim.arguments import Options
from plasmatui.sim.disk import GIB, Disk, Partition
from plasmatui.sim.host import Host
from plasmatui.sim.nodeshell import Call, Command

_BUSY = "/srv/old"
_COLUMNS = "NAME,MAJ:MIN,RM,SIZE,RO,TYPE,MOUNTPOINTS"


@dataclass(frozen=True)
class Mount:
    """A mounted file system; `size` and `used` in bytes."""

    target: str
    source: str
    filesystem: str
    size: int
    used: int


def mounts(host: Host) -> list[Mount]:
    """What is mounted, the root first."""
    found: list[Mount] = []
    memory = host.identity.hardware.memory_gib << 30
    if host.installer:
        found.append(Mount("/", "tmpfs", "tmpfs", memory // 2, 900 << 20))
    for disk in host.visible_disks:
        for partition in partitions(host, disk):
            if partition.mountpoint:
                used = min(int(partition.size * 0.07) + (60 << 20), 9 * GIB, partition.size // 2)
                if partition.mountpoint == "/boot" and "boot-full" in host.faults:
                    used = partition.size
                path = disk.partition_path(partition)
                found.append(Mount(partition.mountpoint, path, partition.filesystem, partition.size, used))
    found.append(Mount("/run", "tmpfs", "tmpfs", memory // 4, 12 << 20))
    return sorted(found, key=lambda mount: mount.target)


def partitions(host: Host, disk: Disk) -> list[Partition]:
    """A disk's partitions; with the fault `disko-device-busy` the first disk of an installer has one that is in use."""
    if host.installer and disk is host.disks[0] and "disko-device-busy" in host.faults:
        return [*disk.partitions, Partition(9, "old", "ext4", 40 * GIB, _BUSY)]
    return disk.partitions


def _row(host: Host, disk: Disk, partition: Partition | None) -> dict[str, object]:
    number = 259 if disk.transport == "nvme" else 8
    row: dict[str, object] = {
        "name": disk.kernel, "kname": disk.kernel, "path": disk.path, "maj:min": f"{number}:0", "rm": False,
        "size": disk.size, "ro": False, "type": "disk", "mountpoints": [None], "mountpoint": None, "fstype": None,
        "label": None, "uuid": None, "partlabel": None, "parttype": None, "model": disk.model.replace("_", " "),
        "serial": disk.serial, "wwn": f"eui.{uuid.uuid5(uuid.NAMESPACE_OID, disk.serial).hex[:16]}",
        "tran": disk.transport, "rota": False, "pttype": "gpt" if partitions(host, disk) else None,
        "state": "live" if disk.transport == "nvme" else "running", "vendor": None, "rev": "GXA7", "hctl": None,
        "pkname": None, "group": "disk", "owner": "root", "mode": "brw-rw----", "log-sec": 512, "phy-sec": 512,
    }  # fmt: skip
    if partition is not None:
        path = disk.partition_path(partition)
        name = path.rpartition("/")[2]
        row |= {
            "name": name, "kname": name, "path": path, "maj:min": f"{number}:{partition.number}",
            "size": partition.size, "type": "part", "mountpoints": [partition.mountpoint or None],
            "mountpoint": partition.mountpoint or None, "fstype": partition.filesystem,
            "partlabel": partition.label, "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{disk.serial}{name}")),
            "model": None, "serial": None, "tran": disk.transport if disk.transport == "nvme" else None,
            "pttype": "gpt", "pkname": disk.kernel, "state": None,
        }  # fmt: skip
    return row


def _human(size: int) -> str:
    amount = float(size)
    for unit in "BKMGT":
        if amount < 1024 or unit == "T":
            return f"{amount:.1f}".removesuffix(".0") + unit
        amount /= 1024
    return ""


async def _lsblk(call: Call) -> int:
    aliases = {"json": "J", "bytes": "b", "output": "o", "nodeps": "d", "noheadings": "n", "paths": "p", "all": "a",
               "list": "l", "output-all": "O", "fs": "f"}  # fmt: skip
    options = Options(call.arguments, ("o", "e", "I"), aliases=aliases)
    columns = [column.lower() for column in options.get("o", _COLUMNS).split(",")]
    if "f" in options:
        columns = ["name", "fstype", "label", "uuid", "mountpoints"]
    if "O" in options:
        columns = list(_row(call.host, call.host.disks[0], None))
    wrong = [column for column in columns if column not in _row(call.host, call.host.disks[0], None)]
    if wrong:
        return call.fail(f"lsblk: unknown column: {','.join(wrong)}")
    wanted = {call.files.resolve(path) for path in options.rest}
    found = []
    for disk in call.host.visible_disks:
        parts: list[Partition] = [] if "d" in options else partitions(call.host, disk)
        if wanted and disk.path not in wanted:
            parts = [part for part in parts if disk.partition_path(part) in wanted]
            if not parts:
                continue
        row = _row(call.host, disk, None)
        found.append((row, [_row(call.host, disk, part) for part in parts]))
    if wanted and not found:
        return call.fail(f"lsblk: {options.rest[0]}: not a block device", 32)

    def shown(row: dict[str, object]) -> dict[str, object]:
        sized = row if "b" in options else {**row, "size": _human(int(str(row["size"])))}
        return {column: sized[column] for column in columns}

    if "J" in options:
        devices: list[dict[str, object]] = []
        for row, below in found:
            devices.append(shown(row) | ({"children": [shown(part) for part in below]} if below else {}))
        call.say(json.dumps({"blockdevices": devices}, indent=3))
        return 0
    if "n" not in options:
        call.say(" ".join(f"{column.upper():<11}" for column in columns).rstrip())
    for row, below in found:
        call.say(_line(shown(row), ""), *(_line(shown(part), "└─") for part in below))
    return 0


def _line(row: dict[str, object], prefix: str) -> str:
    cells = []
    for column, value in row.items():
        first = value[0] if isinstance(value, list) else value
        text = "" if first is None else str(int(first)) if isinstance(first, bool) else str(first)
        cells.append(f"{prefix + text if column == 'name' else text:<11}")
    return " ".join(cells).rstrip()


def _holding(host: Host, path: str) -> Mount:
    """The mount that a path is in."""
    inside = [mount for mount in mounts(host) if mount.target == "/" or f"{path}/".startswith(f"{mount.target}/")]
    return max(inside, key=lambda mount: len(mount.target))


async def _findmnt(call: Call) -> int:
    aliases = {"noheadings": "n", "output": "o", "mountpoint": "M", "target": "T", "json": "J", "bytes": "b",
               "source": "S", "types": "t"}  # fmt: skip
    options = Options(call.arguments, ("o", "M", "T", "S", "t"), aliases=aliases)
    found = mounts(call.host)
    if "T" in options:
        found = [_holding(call.host, call.files.resolve(options["T"]))]
    for place in [*options.each("M"), *options.rest]:
        found = [mount for mount in found if place.rstrip("/") in (mount.target, mount.source) or place == mount.target]
    if not found:
        return 1
    columns = options.get("o", "TARGET,SOURCE,FSTYPE,OPTIONS").split(",")

    def cells(mount: Mount) -> dict[str, str]:
        values = {
            "TARGET": mount.target, "SOURCE": mount.source, "FSTYPE": mount.filesystem, "OPTIONS": "rw,relatime",
            "SIZE": str(mount.size), "USED": str(mount.used), "AVAIL": str(mount.size - mount.used),
            "USE%": f"{mount.used * 100 // mount.size}%",
        }  # fmt: skip
        return {column: values.get(column.upper(), "") for column in columns}

    if "J" in options:
        rows = [{name.lower(): value for name, value in cells(mount).items()} for mount in found]
        call.say(json.dumps({"filesystems": rows}, indent=3))
        return 0
    if "n" not in options:
        call.say(" ".join(columns))
    call.say(*(" ".join(cells(mount).values()) for mount in found))
    return 0


async def _df(call: Call) -> int:
    aliases = {"block-size": "B", "output": "output"}
    options = Options(call.arguments, ("B", "block-size", "output", "t", "x"), aliases=aliases)
    unit = 1 if options.get("B") == "1" else 1 << 20 if "m" in options or options.get("B") == "M" else 1 << 10
    found = mounts(call.host)
    if options.rest:
        found = []
        for path in options.rest:
            if call.files.find(path) is None:
                return call.fail(f"df: {path}: No such file or directory")
            found.append(_holding(call.host, call.files.resolve(path)))
    columns = options.get("output", "source,size,used,avail,pcent,target").split(",")
    headings = {
        "source": "Filesystem", "size": f"{unit}-blocks" if unit > 1 else "1B-blocks", "used": "Used",
        "avail": "Available", "pcent": "Use%", "target": "Mounted on", "fstype": "Type",
    }  # fmt: skip
    rows = [" ".join(headings.get(column, column) for column in columns)]
    rows += [" ".join(_df_cells(mount, unit, columns)) for mount in found]
    call.say(*rows)
    return 0


def _df_cells(mount: Mount, unit: int, columns: list[str]) -> Iterator[str]:
    values = {
        "source": mount.source, "size": str(mount.size // unit), "used": str(mount.used // unit),
        "avail": str((mount.size - mount.used) // unit), "pcent": f"{mount.used * 100 // mount.size}%",
        "target": mount.target, "fstype": mount.filesystem,
    }  # fmt: skip
    for column in columns:
        yield values.get(column, "-")


async def _blkid(call: Call) -> int:
    found = False
    for disk in call.host.visible_disks:
        for partition in partitions(call.host, disk):
            found = True
            call.say(f'{disk.partition_path(partition)}: TYPE="{partition.filesystem}" PARTLABEL="{partition.label}"')
    return 0 if found else 2


async def _umount(call: Call) -> int:
    options = Options(call.arguments)
    for place in options.rest:
        places = {part.mountpoint for disk in call.host.disks for part in disk.partitions if part.mountpoint}
        chosen = {at for at in places if at == place or ("R" in options and at.startswith(f"{place}/"))}
        below = [part for disk in call.host.disks for part in disk.partitions if part.mountpoint in chosen]
        if not below:
            return call.fail(f"umount: {place}: not mounted.", 32)
        for partition in below:
            partition.mountpoint = ""
    return 0


COMMANDS: dict[str, Command] = {
    "lsblk": _lsblk, "findmnt": _findmnt, "df": _df, "blkid": _blkid, "umount": _umount,
}  # fmt: skip
