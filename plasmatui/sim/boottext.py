"""What a machine's operating system writes to its serial console, from the kernel to the login prompt, as steps.

The shapes (escape sequences, carriage returns, wording) are those of real boots: Linux, NixOS, systemd.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from plasmatui.model.bmc import Device
from plasmatui.sim import crashes
from plasmatui.sim.boot import Boot
from plasmatui.sim.bootfiles import INITRD_HEAD, INITRD_TAIL
from plasmatui.sim.ipxe import Loaded
from plasmatui.sim.kernellog import KERNEL_LINES
from plasmatui.sim.steps import KERNEL, RELEASE, Scene, Step, line

_DISK_INITRD = 21_548 << 10
_UNPACK, _UNPACKED = "Trying to unpack rootfs", "Freeing initrd memory"
_RUN_INIT = "Run /init as init process"


def system(facts: Boot, loaded: Loaded | None) -> Scene[bool]:
    """From the kernel's start to the login prompt; False when the machine stops before it.

    Args:
        loaded: by iPXE; None for a boot from disk.
    """
    if not (yield from _kernel(facts, loaded)):
        return False
    if not (yield from _stage1(facts)):
        return False
    return (yield from _stage2(facts))


def _commandline(facts: Boot, loaded: Loaded | None) -> str:
    if loaded is not None:
        return loaded.arguments
    system = facts.host.system if facts.host is not None else None
    booted = system.booted if system is not None else None
    path = booted.path if booted is not None else f"/nix/store/3kq9-nixos-system-{facts.identity.name}-{RELEASE}"
    return f"init={path}/init console=tty0 console=ttyS0,115200n8 loglevel=7 root=fstab"


def _is_whole(loaded: Loaded) -> bool:
    """Whether the initrd is complete; of one that is not the simulator's nothing can be told."""
    last = loaded.images[-1]
    return not last.head.startswith(INITRD_HEAD) or last.tail.endswith(INITRD_TAIL)


def _kernel(facts: Boot, loaded: Loaded | None) -> Scene[bool]:
    """The kernel's own lines; False when it panics."""
    identity, hardware = facts.identity, facts.identity.hardware
    memory = hardware.memory_gib << 30
    values = {
        "kernel": facts.host.kernel if facts.host is not None else KERNEL,
        "cmdline": _commandline(facts, loaded),
        "memory_end": memory + (1 << 32) - 1,
        "efi": "efi: EFI v2.8 by American Megatrends" if identity.uefi else "DMI: BIOS boot, no EFI",
        "maker": hardware.maker,
        "product": hardware.product,
        "board": hardware.board,
        "bios": "3.07" if identity.uefi else "2.4a",
        "last_pfn": (memory + (1 << 32)) >> 12,
        "oem": hardware.maker[:6].upper(),
        "cpu": hardware.cpu,
        "cpus": hardware.cores * hardware.sockets * 2,
        "memory_total": memory >> 10,
        "memory_free": (memory >> 10) * 97 // 100,
        "initrd": (_DISK_INITRD if loaded is None else loaded.initrd) >> 10,
    }
    without_initrd = loaded is not None and not loaded.initrd
    if identity.uefi and without_initrd:
        yield Step(0.3)
    elif identity.uefi:
        yield line(0.3, "EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID device path")
    else:
        yield Step(0.3, b"Probing EDD (edd=off to disable)... o\x1bc\x1b[?7l\x1b[2J")
    yield Step(facts.around(1.0), b"")
    cut_off = loaded is not None and not without_initrd and not _is_whole(loaded)
    before = 0.0
    for seconds, text in KERNEL_LINES:
        if text == _RUN_INIT and (without_initrd or cut_off):
            yield from crashes.no_root(facts, seconds)
            return False
        if without_initrd and text.startswith(("RAMDISK", _UNPACK, _UNPACKED)):
            continue
        yield line(seconds - before, f"[{seconds:12.6f}] {text.format_map(values)}")
        before = seconds
        if text.startswith(_UNPACK) and "out-of-memory" in facts.faults:
            yield from crashes.out_of_memory(facts, seconds)
            return False
        if text.startswith(_UNPACK) and cut_off:
            yield line(0.2, f"[{seconds + 0.2:12.6f}] Initramfs unpacking failed: ZSTD-compressed data is truncated")
    return True


def _stage1(facts: Boot) -> Scene[bool]:
    """The initial RAM disk; False when its init dies."""
    identity = facts.identity
    yield Step(0.3, b"\r\n<<< NixOS Stage 1 >>>\r\n\r\n")
    yield line(facts.around(0.4), "loading module dm_mod...")
    yield line(0.1, "running udev...")
    yield line(0.2, "Starting systemd-udevd version 257.7")
    nic = identity.hardware.nic
    yield line(facts.around(0.5), f"[{3.612:12.6f}] {nic} 0000:01:00.0: added PHC on eth0")
    yield line(0.05, f"[{3.641:12.6f}] {nic} 0000:01:00.0: (PCIe:5.0Gb/s:Width x4) {facts.mac}")
    if identity.uefi:
        yield line(0.1, f"[{3.702:12.6f}] nvme nvme0: pci function 0000:41:00.0")
        yield line(0.1, f"[{3.888:12.6f}]  nvme0n1: p1 p2 p3")
    else:
        yield line(0.1, f"[{3.702:12.6f}] ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)")
        yield line(0.1, f"[{3.888:12.6f}]  sda: sda1 sda2 sda3")
    system = facts.host.system if facts.host is not None else None
    booted = system.booted if system is not None else None
    if "kernel-panic" in facts.faults or (booted is not None and booted.flaw == "panics"):
        yield from crashes.init_killed(facts, 4.1)
        return False
    if facts.device is Device.PXE:
        yield line(facts.around(0.3), "mounting tmpfs on /...")
        yield line(0.1, "mounting nix-store.squashfs on /nix/.ro-store...")
    else:
        yield line(0.1, "kbd_mode: KDSKBMODE: Inappropriate ioctl for device")
        yield line(facts.around(0.4), "mounting /dev/disk/by-label/nixos on /...")
        root = "nvme0n1p2" if identity.uefi else "sda2"
        yield line(0.2, f"[{4.302:12.6f}] EXT4-fs ({root}): mounted filesystem r/w with ordered data mode.")
    yield Step(facts.around(0.5), b"\r\n<<< NixOS Stage 2 >>>\r\n\r\n")
    yield line(0.2, "running activation script...")
    yield line(facts.around(0.8), "setting up /etc...")
    yield line(0.2, "starting systemd...")
    return True


_UNITS = (
    "Created slice|Slice /system/getty",
    "Started|Dispatch Password Requests to Console Directory Watch",
    "Reached target|Path Units",
    "Reached target|Remote File Systems",
    "Listening on|Journal Sockets",
    "Listening on|udev Kernel Socket",
    "Mounted|Huge Pages File System",
    "Mounted|Kernel Debug File System",
    "Started|Journal Service",
    "Finished|Apply Kernel Variables",
    "Finished|Coldplug All udev Devices",
    "Started|Rule-based Manager for Device Events and Files",
    "Reached target|Local File Systems",
    "Finished|Create System Files and Directories",
    "Started|Network Time Synchronization",
    "Reached target|System Initialization",
    "Started|Daily Cleanup of Temporary Directories",
    "Listening on|D-Bus System Message Bus Socket",
    "Started|D-Bus System Message Bus",
    "Started|Network Configuration",
    "Started|Name Service Cache Daemon (nsncd)",
    "Reached target|Network",
    "Started|User Login Management",
    "Reached target|Network is Online",
    "Finished|SSH Host Keys Generation",
    "Started|SSH Daemon",
)


def unit_line(verb: str, unit: str) -> str:
    """A status line of systemd, coloured as on a terminal."""
    return f"[\x1b[0;32m  OK  \x1b[0m] {verb} \x1b[0;1;39m{unit}\x1b[0m."


def _stage2(facts: Boot) -> Scene[bool]:
    """systemd up to the login prompt; False when it stops in emergency mode."""
    identity = facts.identity
    yield line(
        facts.around(0.6),
        f"[{6.114:12.6f}] systemd[1]: systemd 257.7 running in system mode (+PAM +AUDIT -SELINUX +APPARMOR)",
    )
    yield line(0.1, f"[{6.118:12.6f}] systemd[1]: Detected architecture x86-64.")
    name = identity.name if facts.device is Device.DISK else "nixos"
    yield line(0.2, f"\r\nWelcome to \x1b[0;38;2;126;186;228mNixOS {RELEASE[:5]} (Warbler)\x1b[0m!\r\n")
    yield line(0.1, f"[{6.132:12.6f}] systemd[1]: Hostname set to <{name}>.")
    for entry in _UNITS:
        verb, _, unit = entry.partition("|")
        broken = facts.host is not None and facts.host.broken
        if unit == "Local File Systems" and (broken or "emergency-shell" in facts.faults):
            yield from crashes.emergency(facts)
            return False
        if unit == "Network is Online" and not (yield from _online(facts)):
            continue
        yield line(facts.around(0.09), unit_line(verb, unit))
        if unit == "SSH Daemon":
            yield Step(0.0, b"", facts.happens(facts.reached, "sshd.service"))
    if facts.device is Device.DISK:
        for service in services(facts.profile):
            yield Step(
                facts.around(0.5), b"         Starting \x1b[0;1;39m" + service.encode() + b" service\x1b[0m...\r\n"
            )
            yield line(facts.around(0.4), unit_line("Started", f"{service} service"))
            yield Step(0.0, b"", facts.happens(facts.reached, f"{service}.service"))
    elif facts.host is not None:
        yield line(0.1, facts.host.fingerprint())
    yield line(0.2, unit_line("Reached target", "Multi-User System"))
    yield Step(0.4, b"\r\n\r\n" + banner(facts) + login_prompt(facts))
    return True


def _online(facts: Boot) -> Scene[bool]:
    """The network comes up; the installer asks DHCP for its address. False when it does not get one."""
    nic = f"[{9.018:12.6f}] {facts.identity.hardware.nic} 0000:01:00.0 eth0: NIC Link is"
    if facts.device is Device.PXE and "installer-no-network" in facts.faults:
        yield line(facts.around(1.2), f"{nic} Down")
        wait_online = "Wait for Network to be Configured"
        yield line(30.0, f"[\x1b[0;1;31mFAILED\x1b[0m] Failed to start \x1b[0;1;39m{wait_online}\x1b[0m.")
        yield line(0.02, "See 'systemctl status systemd-networkd-wait-online.service' for details.")
        return False
    yield line(facts.around(1.2), f"{nic} Up 10000 Mbps Full Duplex")
    if facts.device is Device.PXE:
        dhcp, query = facts.services.dhcp, facts.system_query()
        yield Step(facts.around(0.7), b"", facts.happens(dhcp.offered, query))
        yield Step(0.02, b"", facts.happens(dhcp.acknowledged, query))
    yield Step(facts.around(0.2))
    return True


def services(profile: str) -> tuple[str, ...]:
    """Units of an installed machine."""
    return (
        ("chainfire", "flaredb", "iam", "plasmavmc", "prismnet", "flashdns", "fiberlb", "k8shost")
        if profile == "control-plane"
        else ("plasmavmc", "prismnet")
    )


def banner(facts: Boot) -> bytes:
    text = f"<<< Welcome to NixOS {RELEASE} (x86_64) - ttyS0 >>>\r\n"
    if facts.device is Device.PXE:
        text += '\r\nThe "nixos" and "root" accounts have empty passwords.\r\n'
    return text.encode() + b"\r\n"


def login_prompt(facts: Boot) -> bytes:
    return (facts.identity.name if facts.device is Device.DISK else "nixos").encode() + b" login: "


def shutdown(facts: Boot, verb: str) -> Iterator[Step]:
    """What systemd writes while it stops the machine. About three seconds.

    Args:
        verb: "Power Off", "Reboot" or "Kexec".
    """
    yield Step(0.1, b"\r\n")
    for service in services(facts.profile) if facts.device is Device.DISK else ():
        yield line(0.05, f"         Stopping \x1b[0;1;39m{service} service\x1b[0m...")
    for verb_done, unit in (
        ("Stopped target", "Multi-User System"),
        ("Stopped", "SSH Daemon"),
        ("Stopped", "Network Time Synchronization"),
        ("Stopped target", "Network"),
        ("Unmounted", "/boot"),
        ("Reached target", "Unmount All Filesystems"),
        ("Reached target", f"System {verb}"),
    ):
        yield line(facts.around(0.25), unit_line(verb_done, unit))
    yield line(facts.around(0.5), "[  512.004417] systemd-shutdown[1]: Syncing filesystems and block devices.")
    yield line(0.2, "[  512.219004] systemd-shutdown[1]: Sending SIGTERM to remaining processes...")
    yield line(0.3, "[  512.402114] systemd-shutdown[1]: All filesystems unmounted.")
    ends = {"Power Off": "reboot: Power down", "Kexec": "kexec_core: Starting new kernel"}
    yield line(0.1, f"[  512.508851] {ends.get(verb, 'reboot: Restarting system')}")


def stop_job() -> Iterator[Step]:
    """A service that does not stop, with a job that has no limit."""
    for seconds in itertools.count(1):
        yield Step(1.0, f"\r\x1b[K[\x1b[0;31m*\x1b[0m     ] A stop job is running for chainfire service "
                        f"({seconds // 60}min {seconds % 60}s / no limit)".encode())  # fmt: skip
