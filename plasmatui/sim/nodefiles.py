"""What a simulated host shows in its file system beside its own files: kernel, devices, store, profile, boot menu."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator

from plasmatui.sim.builds import STORE, Build, Toplevel, kernel_path, store_path, systemd_path
from plasmatui.sim.disk import Disk
from plasmatui.sim.filetree import DIRECTORY, File, FileTree
from plasmatui.sim.host import Host
from plasmatui.sim.system import InstalledSystem

PROFILE = "/nix/var/nix/profiles/system"
GRUB_SUBMENU = "NixOS - All configurations"
CODENAMES = {"25.05": "Warbler", "25.11": "Xantusia", "26.05": "Yarara"}
_NG_SINCE = "25.11"


def codename(version: str) -> str:
    return CODENAMES.get(version[:5], "Vicuna")


def is_ng(version: str) -> bool:
    """Whether a NixOS has nixos-rebuild-ng, and not the older program in bash."""
    return version[:5] >= _NG_SINCE


def _rebuild(version: str) -> str:
    return store_path("nixos-rebuild-ng-0.0.0" if is_ng(version) else "nixos-rebuild", version[:5])


def view(host: Host) -> FileTree:
    """All of it as one tree, as it is now. Writes go to the host's own files."""
    if host.system is not None:
        host.system.on_look()
    entries: dict[str, File] = {}
    for path, file in _everything(host):
        entries[path] = file
        while (path := path.rpartition("/")[0]) and path not in entries:
            entries[path] = File(DIRECTORY)
    return host.files.over(entries)


def os_release(host: Host) -> str:
    """`/etc/os-release`. Only a real installer says that it is one: nixos-anywhere looks at nothing else."""
    version = host.version
    lines = [
        'ANSI_COLOR="0;38;2;126;186;228"',
        f'BUILD_ID="{version}"',
        'ID="nixos"',
        'NAME="NixOS"',
        f'PRETTY_NAME="NixOS {version[:5]} ({codename(version)})"',
        f'VERSION="{version[:5]} ({codename(version)})"',
        f"VERSION_CODENAME={codename(version).lower()}",
        f'VERSION_ID="{version[:5]}"',
    ]
    if host.installer and "not-an-installer" not in host.faults:
        lines.insert(6, 'VARIANT_ID="installer"')
    return "\n".join(lines) + "\n"


def _text(text: str, mode: int = 0o444) -> File:
    return File(stat.S_IFREG | mode, text.encode())


def _link(target: str, modified: float = 0.0) -> File:
    return File(stat.S_IFLNK | 0o777, target.encode(), modified=modified)


def _everything(host: Host) -> Iterator[tuple[str, File]]:
    yield "/etc/os-release", _text(os_release(host))
    yield "/etc/hostname", _text(f"{host.hostname}\n")
    yield "/proc/sys/kernel/random/boot_id", _text(f"{host.boot_id}\n")
    yield "/proc/sys/kernel/hostname", _text(f"{host.hostname}\n")
    yield "/proc/version", _text(f"Linux version {host.kernel} (nixbld@localhost) #1-NixOS SMP PREEMPT_DYNAMIC\n")
    yield "/proc/uptime", _text(f"{host.uptime():.2f} {host.uptime() * 20:.2f}\n")
    yield "/dev/null", File(stat.S_IFCHR | 0o666)
    for number, disk in enumerate(host.visible_disks):
        yield from _devices(disk, number)
    for build in host.store.values():
        yield from _build(build)
    if host.system is not None:
        yield from _system(host.system)
        yield from _boot_menu(host.system, uefi=host.identity.uefi)
    else:
        version = host.version
        yield "/run/current-system", _link(store_path(f"nixos-system-nixos-{version}", "installer"))
        yield "/run/booted-system", _link(store_path(f"nixos-system-nixos-{version}", "installer"))
        yield f"{store_path(f'nixos-system-nixos-{version}', 'installer')}/nixos-version", _text(version)
        for build in host.target.values():
            for path, file in _build(build):
                yield f"/mnt{path}", file


def _devices(disk: Disk, number: int) -> Iterator[tuple[str, File]]:
    yield disk.path, File(stat.S_IFBLK | 0o660)
    yield disk.by_id, _link(f"../../{disk.kernel}")
    bus = (
        f"pci-0000:{0x41 + number:02x}:00.0-nvme-1"
        if disk.transport == "nvme"
        else f"pci-0000:00:17.0-ata-{number + 1}"
    )
    yield f"/dev/disk/by-path/{bus}", _link(f"../../{disk.kernel}")
    for partition in disk.partitions:
        path = disk.partition_path(partition)
        yield path, File(stat.S_IFBLK | 0o660)
        yield f"{disk.by_id}-part{partition.number}", _link(f"../../{path.rpartition('/')[2]}")
        yield f"/dev/disk/by-partlabel/{partition.label}", _link(f"../../{path.rpartition('/')[2]}")


def _build(build: Build) -> Iterator[tuple[str, File]]:
    if not isinstance(build, Toplevel):
        yield build.path, _text("#!/bin/sh\n", 0o555)
        return
    yield f"{build.path}/nixos-version", _text(build.version)
    yield f"{build.path}/init", _text("#!/bin/sh\n", 0o555)
    yield f"{build.path}/bin/switch-to-configuration", _text("#!/bin/sh\n", 0o555)
    yield f"{build.path}/kernel-params", _text("console=tty0 console=ttyS0,115200n8 loglevel=7 root=fstab\n")
    yield f"{build.path}/etc/hostname", _text(f"{build.node}\n")
    for part in ("kernel", "initrd", "kernel-modules"):
        yield f"{build.path}/{part}", _link(kernel_path(build, part))
    yield f"{build.path}/systemd", _link(systemd_path(build))
    yield f"{build.path}/sw/bin/nixos-rebuild", _link(f"{_rebuild(build.version)}/bin/nixos-rebuild")
    yield kernel_path(build, "kernel"), _text("")
    yield kernel_path(build, "initrd"), _text("")
    yield f"{kernel_path(build, 'kernel-modules')}/lib/modules/{build.kernel}/modules.dep", _text("")
    yield f"{systemd_path(build)}/lib/systemd/systemd", _text("", 0o555)
    yield f"{_rebuild(build.version)}/bin/nixos-rebuild", _text("#!/bin/sh\n", 0o555)


def _system(system: InstalledSystem) -> Iterator[tuple[str, File]]:
    assert system.booted is not None
    assert system.current is not None
    yield "/run/booted-system", _link(system.booted.path)
    yield "/run/current-system", _link(system.current.path)
    yield PROFILE, _link(f"system-{system.profile}-link")
    for generation in system.generations.values():
        yield f"{PROFILE}-{generation.number}-link", _link(generation.build.path, generation.date)
        yield from _build(generation.build)


def grub_title(system: InstalledSystem, number: int) -> str:
    """A generation in GRUB's menu."""
    generation = system.generations[number]
    day = time.strftime("%Y-%m-%d", time.gmtime(generation.date))
    return f"NixOS - Configuration {number} ({day} - {generation.build.version})"


def _boot_menu(system: InstalledSystem, *, uefi: bool) -> Iterator[tuple[str, File]]:
    """The entries of systemd-boot, or GRUB's menu on BIOS machines."""
    numbers = sorted(system.bootable, reverse=True)
    if not uefi:
        menu = (f'menuentry "{grub_title(system, number)}" --class nixos {{ }}\n' for number in numbers)
        default = 'menuentry "NixOS - Default" --class nixos { }\n'
        text = f'{default}submenu "{GRUB_SUBMENU}" --class submenu {{\n{"".join(menu)}}}\n'
        yield "/boot/grub/grub.cfg", _text(text, 0o644)
        return
    for number in numbers:
        build = system.generations[number].build
        text = (
            f"title NixOS\nversion Generation {number} NixOS {build.version}, Linux Kernel {build.kernel}\n"
            f"linux /EFI/nixos/{kernel_path(build, 'kernel')[len(STORE) + 1 :].replace('/', '-')}.efi\n"
            f"options init={build.path}/init console=ttyS0,115200n8\n"
        )
        yield f"/boot/loader/entries/nixos-generation-{number}.conf", _text(text, 0o644)
    yield "/boot/loader/loader.conf", _text(f"timeout 5\ndefault nixos-generation-{system.default}.conf\n", 0o644)
