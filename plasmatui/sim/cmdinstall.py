"""What nixos-anywhere and nix make a simulated host do: receive store paths, disko, nixos-install, kexec."""

from __future__ import annotations

import json

import msgspec

from plasmatui.sim.builds import Build, DiskoScript, Toplevel, decode_builds
from plasmatui.sim.cmddisks import partitions
from plasmatui.sim.disk import Disk, Partition
from plasmatui.sim.host import Host
from plasmatui.sim.nodeshell import Call, Command
from plasmatui.sim.system import SECRETS, InstalledSystem

BANDWIDTH = 112e6
"""Bytes per second of a copy to a node: gigabit Ethernet, less what SSH takes."""
_TICK = 0.5
_KEXEC_WAIT = 6.0

_Layout = tuple[tuple[str, str, str, str], ...]
_ROOT_LAYOUT: _Layout = (("ESP", "1:0:+1G", "EF00", "vfat"), ("root", "2:0:-0", "8300", "ext4"))
_DATA_LAYOUT: _Layout = (("data", "1:0:-0", "8300", "ext4"),)


async def _nix_store(call: Call) -> int:
    """The receiving side of a copy, `nix-store --serve --write [--root /mnt]`.

    Instead of nix's protocol it takes one JSON list of builds, and answers with a JSON list of the paths that are
    missing, then with lines `DONE TOTAL` in bytes, then `ok`.
    """
    if "--serve" not in call.arguments:
        return call.fail("error: no operation specified")
    host = call.host
    to_target = "/mnt" in call.arguments
    store = host.target if to_target else host.store
    try:
        builds = decode_builds(await _line(call))
    except msgspec.MsgspecError:
        return call.fail("error: unexpected end-of-file")
    missing = [build for build in builds if build.path not in store]
    call.say(json.dumps([build.path for build in missing]))
    total, done = sum(build.size for build in missing), 0.0
    speed = BANDWIDTH / (host.faults.number("copy-slow") or 1.0) if "copy-slow" in host.faults else BANDWIDTH
    while done < total:
        await call.sleep(_TICK)
        done = min(total, done + speed * _TICK)
        call.say(f"{int(done)} {total}")
        if (code := _interrupted(call, done / total, missing, to_target=to_target)) is not None:
            return code
    _keep(host, missing, store, to_target=to_target)
    call.say("ok")
    return 0


def _interrupted(call: Call, share: float, missing: list[Build], *, to_target: bool) -> int | None:
    """Faults in the middle of a system's copy; the exit code, None when it goes on."""
    host = call.host
    if not any(isinstance(build, Toplevel) for build in missing):
        return None
    if to_target and "install-no-space" in host.faults and share >= 0.6:
        return call.fail("error: writing to file: No space left on device")
    if "install-copy-failed" in host.faults and share >= 0.45:
        host.cut()
        return 1
    if to_target and "power-lost" in host.faults and share * 100 >= host.faults.number("power-lost"):
        host.power("power-lost")
        return 1
    return None


async def _line(call: Call) -> bytes:
    """Input up to the first newline."""
    data = b""
    while b"\n" not in data:
        part = await call.read()
        if not part:
            break
        data += part
    return data.partition(b"\n")[0]


def _keep(host: Host, builds: list[Build], store: dict[str, Build], *, to_target: bool) -> None:
    for build in builds:
        store[build.path] = build
        if host.system is not None and not to_target and isinstance(build, Toplevel):
            host.system.store[build.path] = build


# disko


async def run_disko(call: Call) -> int:
    """A disko script: exit codes and text as the real one's, each command on standard error before it runs."""
    script = call.host.store[call.argv[0]]
    assert isinstance(script, DiskoScript)
    return await _Disko(call, script).run()


class _Disko:
    def __init__(self, call: Call, script: DiskoScript) -> None:
        self._call = call
        self._script = script

    def _trace(self, *lines: str) -> None:
        for line in lines:
            self._call.complain(f"+ {line}\n".encode())

    def _print(self, *lines: str) -> None:
        for line in lines:
            self._call.complain(f"{line}\n".encode())

    def _disk(self, device: str) -> Disk | None:
        path = self._call.files.resolve(device)
        return next((disk for disk in self._call.host.visible_disks if disk.path == path), None)

    async def run(self) -> int:
        if self._script.mode == "disko":
            if self._mounted():
                self._trace("umount -Rv /mnt")
                self._print("umount: /mnt unmounted")
                self._unmount()
            for device in self._script.devices.values():
                if code := await self._destroy(device):
                    return code
            for name, device in self._script.devices.items():
                if code := await self._format(name, device):
                    return code
        return await self._mount()

    def _mounted(self) -> bool:
        return any(part.mountpoint.startswith("/mnt") for disk in self._call.host.disks for part in disk.partitions)

    def _unmount(self) -> None:
        for disk in self._call.host.disks:
            for part in disk.partitions:
                part.mountpoint = ""
        self._call.host.target.clear()

    async def _destroy(self, device: str) -> int:
        """Wipe a disk. One that is not there is passed over in silence, as by the real script."""
        disk = self._disk(device)
        self._trace("lsblk --output-all --json")
        await self._call.sleep(0.3)
        if disk is None:
            return 0
        self._trace(f"wipefs --all -f {disk.path}")
        if any(part.mountpoint for part in partitions(self._call.host, disk)):
            self._print(f"wipefs: error: {disk.path}: probing initialization failed: Device or resource busy")
            return 1
        disk.wipe()
        await self._call.sleep(0.6)
        self._trace(f"dd if=/dev/zero of={disk.path} bs=440 count=1")
        self._print("1+0 records in", "1+0 records out", "440 bytes copied, 0.000142001 s, 3.1 MB/s")
        return 0

    async def _format(self, name: str, device: str) -> int:
        self._trace("type=disk", f"device={device}", f"name={name}", "type=gpt", f"blkid {device}")
        self._trace(f"sgdisk --clear {device}")
        disk = self._disk(device)
        if disk is None:
            self._print(f"Problem opening {device} for reading! Error is 2.", "The specified file does not exist!")
            return 4
        self._print("Creating new GPT entries in memory.", "The operation has completed successfully.")
        first = next(iter(self._script.devices)) == name
        layout = _ROOT_LAYOUT if first else _DATA_LAYOUT
        for number, (part, extent, kind, _) in enumerate(layout, 1):
            await self._call.sleep(0.4)
            self._trace(f"sgdisk --align-end --new={extent} --partition-guid={number}:R "
                        f"--change-name={number}:disk-{name}-{part} --typecode={number}:{kind} {device}")  # fmt: skip
            self._print("The operation has completed successfully.")
            self._trace(
                f"partprobe {device}", "udevadm trigger --subsystem-match=block", "udevadm settle --timeout 120"
            )
        if first:
            disk.lay_out(name)
        else:
            disk.partitions = [Partition(1, f"disk-{name}-data", "ext4", disk.size - (2 << 20))]
        for part, _, _, filesystem in layout:
            self._trace(f"mkfs.{filesystem} /dev/disk/by-partlabel/disk-{name}-{part}")
            await self._call.sleep(0.5 if filesystem == "vfat" else 2.0)
            self._print("mkfs.fat 4.2 (2021-01-31)" if filesystem == "vfat" else "mke2fs 1.47.3 (8-Jul-2025)")
            if filesystem != "vfat":
                self._print("Writing superblocks and filesystem accounting information: done")
        return 0

    async def _mount(self) -> int:
        name, device = next(iter(self._script.devices.items()))
        disk = self._disk(device)
        labels = {part.label: part for part in disk.partitions} if disk is not None else {}
        for part, place in (("root", "/mnt"), ("ESP", "/mnt/boot")):
            label = f"/dev/disk/by-partlabel/disk-{name}-{part}"
            self._trace(f"findmnt {label} {place}/")
            found = labels.get(f"disk-{name}-{part}")
            if found is None:
                self._print(f"mount: {place}: special device {label} does not exist.",
                            "       dmesg(1) may have more information after failed mount system call.")  # fmt: skip
                return 32
            kind = found.filesystem
            self._trace(f"mount {label} {place}/ -t {kind} -o defaults -o X-mount.mkdir")
            await self._call.sleep(0.2)
            found.mountpoint = place
        if disk is not None and disk.system is not None:
            self._call.host.target.update(disk.system.store)
        return 0


# nixos-install


async def _nixos_install(call: Call) -> int:
    """`nixos-install --no-root-passwd --no-channel-copy --system PATH`."""
    host = call.host
    path = call.arguments[call.arguments.index("--system") + 1] if "--system" in call.arguments else ""
    disk = next((d for d in host.disks if any(part.mountpoint == "/mnt" for part in d.partitions)), None)
    build = host.target.get(path)
    mnt = host.files.stat("/mnt").mode & 0o777
    if mnt != 0o755:
        return call.fail(f"path /mnt should have permissions 755, but had permissions {mnt:o}. "
                         "Consider running 'chmod o+rx /mnt'.")  # fmt: skip
    if not isinstance(build, Toplevel):
        return call.fail(f"error: path '{path}' is not valid")
    await call.sleep(4.0)
    call.say("installing the boot loader...")
    if disk is None or "bootloader-failed" in host.faults:
        return call.fail(
            "efiSysMountPoint = '/boot' is not a mounted partition. Is the path configured correctly?\n"
            "Traceback (most recent call last):\n"
            "subprocess.CalledProcessError: Command '['findmnt', '/boot']' returned non-zero exit status 1."
        )
    call.say("setting up /etc...")
    await call.sleep(3.0)
    if host.identity.uefi:
        call.say('Created "/mnt/boot/EFI".', 'Created "/mnt/boot/EFI/systemd".', 'Created "/mnt/boot/loader".')
    else:
        call.say("updating GRUB 2 menu...", f"installing the GRUB 2 boot loader on {disk.path}...")
    await call.sleep(2.0)
    system = InstalledSystem(build, host.clock.wall)
    system.files.adopt(host.files, "/mnt")
    if "secrets-modes" in host.faults and system.files.find(SECRETS) is not None:
        for name, file in system.files.walk(SECRETS):
            system.files.chmod(name, 0o755 if file.is_directory else 0o644)
    disk.system = system
    call.say("installation finished!")
    return 0


async def _generate_config(call: Call) -> int:
    call.say("# Do not modify this file!  It was generated by ‘nixos-generate-config’", "{ config, lib, pkgs, ... }:",
             "{", f'  boot.initrd.availableKernelModules = [ "{host_module(call.host)}" ];',
             '  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";', "}")  # fmt: skip
    return 0


def host_module(host: Host) -> str:
    return "nvme" if host.identity.uefi else "ahci"


async def run_kexec(call: Call) -> int:
    """The `run` of a kexec tarball: starts the installer a little later, or fails with the fault `kexec-fails`."""
    if "kexec-fails" in call.host.faults:
        call.say("kexec failed, dumping dmesg", "kexec_file_load failed: Resource busy")
        return 1
    call.say(f"machine will boot into nixos in {_KEXEC_WAIT:.0f}s...")

    async def later() -> None:
        await call.sleep(_KEXEC_WAIT)
        call.host.power("kexec")

    call.host.spawn(later(), "kexec")
    return 0


COMMANDS: dict[str, Command] = {
    "nix-store": _nix_store, "nixos-install": _nixos_install, "nixos-generate-config": _generate_config,
}  # fmt: skip
